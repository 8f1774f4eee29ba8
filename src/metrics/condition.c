/* SPDX-License-Identifier: Apache-2.0 */
/*
 * condition.c - NAME OP VALUE, checked on a comparison.
 *
 * What a value means follows from its sign and suffix: without a sign it is what the pruned model
 * must reach, with a sign how far it may lie from the original. A cost with % or x is measured in
 * costs of the original.
 */
#include <pare/evaluate.h>

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

typedef enum quantity_kind {
    SCORE,   /* 0 .. 1, shown as per cent */
    LOSS,    /* nats */
    COST,    /* a count */
    LATENCY, /* seconds */
    CHANCE   /* a p-value: of both models together, has no original */
} quantity_kind;

typedef struct quantity {
    const char *name, *label;
    quantity_kind kind;
    size_t offset; /* of the number in what `place` says */
    enum { IN_SCORES, IN_COSTS, IN_COMPARISON } place;
    bool needs_classes, needs_masks;
} quantity;

#define SCORES_AT(member) offsetof(pare_scores, member), IN_SCORES
#define COSTS_AT(member) offsetof(pare_costs, member), IN_COSTS
#define COMPARISON_AT(member) offsetof(pare_comparison, member), IN_COMPARISON

static const quantity quantities[] = {
    {"accuracy", "accuracy", SCORE, SCORES_AT(accuracy), true, false},
    {"top5", "top-5 accuracy", SCORE, SCORES_AT(top5), true, false},
    {"nll", "NLL", LOSS, SCORES_AT(nll), true, false},
    {"precision", "precision", SCORE, SCORES_AT(precision_macro), true, false},
    {"recall", "recall", SCORE, SCORES_AT(recall_macro), true, false},
    {"f1", "F1", SCORE, SCORES_AT(f1_macro), true, false},
    {"miou", "mIoU", SCORE, SCORES_AT(miou), false, true},
    {"pixel_accuracy", "pixel accuracy", SCORE, SCORES_AT(pixel_accuracy), false, true},
    {"dice", "Dice", SCORE, SCORES_AT(dice), false, true},
    {"parameters", "parameters", COST, COSTS_AT(parameters), false, false},
    {"params", "parameters", COST, COSTS_AT(parameters), false, false},
    {"macs", "MACs", COST, COSTS_AT(macs), false, false},
    {"bytes", "file bytes", COST, COSTS_AT(bytes), false, false},
    {"activation_bytes", "activation bytes", COST, COSTS_AT(activation_bytes), false, false},
    {"latency", "latency", LATENCY, COMPARISON_AT(latency), false, false},
    {"p_class", "p of the class difference", CHANCE, COMPARISON_AT(p_class), true, false},
    {"p_mask", "p of the mask difference", CHANCE, COMPARISON_AT(p_mask), false, true}};

typedef struct condition {
    const quantity *what;
    bool is_upper, is_strict; /* <= or <, < or > */
    bool is_change;           /* a sign was given: relative to the original */
    bool is_share;            /* of a cost of the original */
    double bound;
} condition;

static pare_status refuse(pare_context *ctx, const char *text, const char *why)
{
    return pri_fail(ctx, PARE_ERROR_ARGUMENT,
                    "cannot read the condition '%.60s': %s; say for example accuracy>=-1%%, "
                    "miou>=0.7, macs<=50%% or latency<=0.6x",
                    text, why);
}

static pare_status refuse_quantity(pare_context *ctx, const char *text)
{
    char why[320] = "there is no such quantity; there are";

    for (size_t i = 0; i < PRI_COUNT(quantities); i++) {
        strcat(why, i > 0 ? ", " : " ");
        strcat(why, quantities[i].name);
    }
    return refuse(ctx, text, why);
}

static const char *skip_space(const char *at)
{
    while (isspace((unsigned char)*at))
        at++;
    return at;
}

static const char *read_name(const quantity **out, const char *at)
{
    size_t length = 0;

    at = skip_space(at);
    while (islower((unsigned char)at[length]) || isdigit((unsigned char)at[length]) ||
           at[length] == '_')
        length++;
    *out = NULL;
    for (size_t i = 0; i < PRI_COUNT(quantities); i++) {
        if (strlen(quantities[i].name) == length && memcmp(quantities[i].name, at, length) == 0)
            *out = &quantities[i];
    }
    return skip_space(at + length);
}

/* The suffix and what it does to the bound; false when it makes no sense here. */
static bool read_suffix(condition *c, const char *suffix)
{
    const quantity_kind kind = c->what->kind;
    const bool is_cost = kind == COST || kind == LATENCY;

    if (strcmp(suffix, "%") == 0) {
        c->bound /= 100;
        c->is_share = is_cost;
        return kind != LOSS;
    }
    if (strcmp(suffix, "x") == 0) {
        c->is_share = true;
        return is_cost;
    }
    if (strcmp(suffix, "ms") == 0)
        c->bound /= 1000;
    else if (strcmp(suffix, "s") != 0)
        return *suffix == '\0';
    return kind == LATENCY;
}

static pare_status read_condition(condition *c, pare_context *ctx, const char *text)
{
    char number[40] = "", suffix[4] = "", *end;

    *c = (condition){0};
    const char *at = read_name(&c->what, text);
    if (c->what == NULL)
        return refuse_quantity(ctx, text);
    if (*at != '<' && *at != '>')
        return refuse(ctx, text, ">= or <= is missing");
    c->is_upper = *at == '<';
    c->is_strict = at[1] != '=';
    at = skip_space(at + (c->is_strict ? 1 : 2));
    c->is_change = *at == '+' || *at == '-';
    /* the span first: strtod would take the x of "0x" and words such as "nan" */
    const size_t length = strspn(at, "+-0123456789.eE");
    if (length == 0 || length >= sizeof number)
        return refuse(ctx, text, "the value is no number");
    memcpy(number, at, length);
    c->bound = strtod(number, &end);
    if (end == number || *end != '\0' || !isfinite(c->bound))
        return refuse(ctx, text, "the value is no number");
    at = skip_space(at + length);
    for (size_t n = 0; *at != '\0' && !isspace((unsigned char)*at) && n < sizeof suffix - 1; n++)
        suffix[n] = *at++;
    if (*skip_space(at) != '\0' || !read_suffix(c, suffix))
        return refuse(ctx, text, "what follows the number does not fit");
    if (c->is_change && c->what->kind == CHANCE)
        return refuse(ctx, text, "a probability has no sign");
    return PARE_OK;
}

/* --- Looking up --- */

static double value_of(const pare_comparison *comparison, const quantity *what, int k)
{
    const char *base = what->place == IN_SCORES  ? (const char *)&comparison->scores[k]
                       : what->place == IN_COSTS ? (const char *)&comparison->costs[k]
                                                 : (const char *)comparison;
    int64_t count;
    double number;

    if (what->place == IN_COSTS) {
        memcpy(&count, base + what->offset, sizeof count);
        return (double)count;
    }
    const size_t index = what->kind == LATENCY ? (size_t)k : 0;
    memcpy(&number, base + what->offset + index * sizeof number, sizeof number);
    return number;
}

static pare_status check_measured(pare_context *ctx, const pare_comparison *comparison,
                                  const quantity *what, const char *text)
{
    for (int k = 0; k < 2; k++) {
        if ((what->needs_classes && comparison->scores[k].classes == 0) ||
            (what->needs_masks && comparison->scores[k].mask_classes == 0))
            return pri_fail(ctx, PARE_ERROR_ARGUMENT,
                            "'%.60s' cannot be checked: no %s head was scored", text,
                            what->needs_classes ? "class" : "mask");
    }
    if (what->kind == LATENCY && !(comparison->latency[0] > 0))
        return pri_fail(ctx, PARE_ERROR_ARGUMENT,
                        "'%.60s' cannot be checked: latency was not measured", text);
    return PARE_OK;
}

/* --- Words --- */

static void write_value(char *out, size_t size, quantity_kind kind, double value)
{
    switch (kind) {
    case SCORE: snprintf(out, size, "%.2f %%", 100 * value); break;
    case LOSS: snprintf(out, size, "%.4f", value); break;
    case COST: snprintf(out, size, "%.0f", value); break;
    case LATENCY: snprintf(out, size, "%.3f ms", 1e3 * value); break;
    case CHANCE: snprintf(out, size, "%.3g", value); break;
    }
}

static void write_change(char *out, size_t size, const condition *c, double value)
{
    if (c->is_share)
        snprintf(out, size, "%+.1f %%", 100 * value);
    else if (c->what->kind == SCORE)
        snprintf(out, size, "%+.2f points", 100 * value);
    else if (c->what->kind == LATENCY)
        snprintf(out, size, "%+.3f ms", 1e3 * value);
    else
        snprintf(out, size, c->what->kind == LOSS ? "%+.4f" : "%+.0f", value);
}

static void describe(char *text, const condition *c, const double values[2], double reached)
{
    const char *limit =
        c->is_upper ? (c->is_strict ? "below" : "at most") : (c->is_strict ? "above" : "at least");
    char original[28], now[28], got[28], wanted[28];

    write_value(original, sizeof original, c->what->kind, values[0]);
    write_value(now, sizeof now, c->what->kind, values[1]);
    if (c->is_change) {
        write_change(got, sizeof got, c, reached);
        write_change(wanted, sizeof wanted, c, c->bound);
        snprintf(text, PARE_CONDITION_TEXT, "%s: %s -> %s, %s; wanted %s %s", c->what->label,
                 original, now, got, limit, wanted);
    } else if (c->is_share) {
        snprintf(text, PARE_CONDITION_TEXT, "%s: %.1f %% of the original; wanted %s %.1f %%",
                 c->what->label, 100 * reached, limit, 100 * c->bound);
    } else {
        write_value(wanted, sizeof wanted, c->what->kind, c->bound);
        snprintf(text, PARE_CONDITION_TEXT, "%s: %s; wanted %s %s", c->what->label, now, limit,
                 wanted);
    }
}

/* A bound that is reached exactly, up to the rounding of the decimal and of the difference. */
static bool holds(const condition *c, double reached)
{
    const double slack = c->is_strict ? 0 : 1e-12 * fmax(1, fabs(c->bound));

    if (c->is_upper)
        return c->is_strict ? reached < c->bound : reached <= c->bound + slack;
    return c->is_strict ? reached > c->bound : reached >= c->bound - slack;
}

pare_status pare_check_condition(bool *met, char *text, pare_context *ctx,
                                 const pare_comparison *comparison, const char *condition_text)
{
    condition c;

    *met = false;
    text[0] = '\0';
    PRI_TRY(read_condition(&c, ctx, condition_text));
    PRI_TRY(check_measured(ctx, comparison, c.what, condition_text));
    const double values[2] = {value_of(comparison, c.what, 0), value_of(comparison, c.what, 1)};
    double reached = values[1];
    if (c.is_share) {
        reached = values[0] > 0 ? values[1] / values[0] : 1;
        reached -= c.is_change ? 1 : 0;
    } else if (c.is_change) {
        reached -= values[0];
    }
    *met = holds(&c, reached);
    describe(text, &c, values, reached);
    return PARE_OK;
}
