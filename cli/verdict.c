/* SPDX-License-Identifier: Apache-2.0 */
/* verdict.c - requirements on a comparison, and the comparison as text and JSON. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

/* --- Requirements --- */

void cli_clear_requirements(cli_requirements *r)
{
    for (int i = 0; i < r->n_texts; i++)
        free(r->texts[i]);
}

/* "a>=1,b<=2" twice or more often; false when there are too many or memory is short. */
bool cli_split_requirements(cli_requirements *out, const cli_list *list)
{
    for (int i = 0; i < list->count; i++) {
        char *at = out->texts[out->n_texts++] = strdup(list->items[i]);
        while (at != NULL) {
            char *comma = strchr(at, ',');
            if (out->count == CLI_MAX_CONDITIONS)
                return false;
            out->items[out->count++] = at;
            if (comma != NULL)
                *comma = '\0';
            at = comma != NULL ? comma + 1 : NULL;
        }
        if (out->texts[i] == NULL)
            return false;
    }
    return true;
}

pare_status cli_check_requirements(cli_verdict *out, pare_context *ctx,
                                   const pare_comparison *comparison, const cli_requirements *r)
{
    pare_status status = PARE_OK;

    for (int i = 0; i < r->count && status == PARE_OK; i++)
        status = pare_check_condition(&out[i].met, out[i].text, ctx, comparison, r->items[i]);
    return status;
}

/* Reads the requirements on made-up numbers, so that a slip is found before hours of work. */
pare_status cli_read_requirements(cli_verdict *room, pare_context *ctx, const cli_requirements *r,
                                  bool has_latency)
{
    const pare_scores scores = {.classes = 1, .mask_classes = 1};
    const double seconds = has_latency ? 1 : 0;
    const pare_comparison any = {.scores = {scores, scores}, .latency = {seconds, seconds}};

    return cli_check_requirements(room, ctx, &any, r);
}

/* --- Text --- */

static void print_score(const char *name, double a, double b, double scale, const char *unit)
{
    const int digits = scale == 1 ? 4 : 2;

    printf("%-18s %12.*f%-3s %12.*f%-3s %+10.*f%s\n", name, digits, scale * a, unit, digits,
           scale * b, unit, digits, scale * (b - a), scale == 1 ? "" : " points");
}

static void print_cost(const char *name, int64_t a, int64_t b)
{
    printf("%-18s %12lld    %12lld    %10.1f %%\n", name, (long long)a, (long long)b,
           a > 0 ? 100.0 * (double)b / (double)a : 100.0);
}

static void print_p(const char *what, const char *test, double p)
{
    printf("%s: %s at 5 %% (%s, p = %.3g)\n", what,
           p < 0.05 ? "a significant difference" : "no significant difference", test, p);
}

/* Medians, and below them the quartiles. */
static void print_latency(const pare_comparison *c)
{
    char texts[3][48];

    printf("latency, batch %-3lld %12.3f ms %12.3f ms %10.1f %%\n", (long long)c->batch,
           1e3 * c->latency[0], 1e3 * c->latency[1], 100 * c->latency[1] / c->latency[0]);
    for (int k = 0; k < 2; k++)
        snprintf(texts[k], sizeof texts[k], "%.3f-%.3f", 1e3 * c->latency_low[k],
                 1e3 * c->latency_high[k]);
    snprintf(texts[2], sizeof texts[2], "%.1f-%.1f", 100 * c->ratio_low, 100 * c->ratio_high);
    printf("%-18s %12s    %12s    %10s\n", "  half of the runs", texts[0], texts[1], texts[2]);
}

void cli_print_comparison(const pare_comparison *c)
{
    const pare_scores *a = &c->scores[0], *b = &c->scores[1];
    const pare_costs *m = &c->costs[0], *n = &c->costs[1];
    const bool has_classes = a->classes > 0 && b->classes > 0;
    const bool has_masks = a->mask_classes > 0 && b->mask_classes > 0;

    printf("%-18s %15s %15s %12s\n", "", "original", "pruned", "difference");
    if (has_classes) {
        print_score("accuracy", a->accuracy, b->accuracy, 100, " %");
        print_score("top-5", a->top5, b->top5, 100, " %");
        print_score("NLL", a->nll, b->nll, 1, "");
        print_score("precision, macro", a->precision_macro, b->precision_macro, 100, " %");
        print_score("recall, macro", a->recall_macro, b->recall_macro, 100, " %");
        print_score("F1, macro", a->f1_macro, b->f1_macro, 100, " %");
    }
    if (has_masks) {
        print_score("mIoU", a->miou, b->miou, 100, " %");
        print_score("pixel accuracy", a->pixel_accuracy, b->pixel_accuracy, 100, " %");
        print_score("Dice", a->dice, b->dice, 100, " %");
        print_score("mask NLL", a->mask_nll, b->mask_nll, 1, "");
    }
    printf("\n%-18s %15s %15s %12s\n", "", "original", "pruned", "kept");
    print_cost("parameters", m->parameters, n->parameters);
    print_cost("MACs", m->macs, n->macs);
    print_cost("channels", m->channels, n->channels);
    print_cost("file bytes", m->bytes, n->bytes);
    print_cost("activation bytes", m->activation_bytes, n->activation_bytes);
    if (c->latency[0] > 0)
        print_latency(c);
    putchar('\n');
    if (has_classes)
        print_p("labels", "McNemar", c->p_class);
    if (has_masks)
        print_p("masks", "Wilcoxon", c->p_mask);
}

/* --- JSON --- */

static json_t *side_json(const char *file, const pare_comparison *c, int k, const pare_data *data)
{
    json_t *side =
        json_pack("{s:s, s:o, s:o}", "file", file, "scores", cli_scores_json(&c->scores[k], data),
                  "costs", cli_costs_json(&c->costs[k]));

    if (c->latency[k] > 0)
        json_object_update_new(side, json_pack("{s:f, s:[f, f]}", "latency_s", c->latency[k],
                                               "latency_quartiles_s", c->latency_low[k],
                                               c->latency_high[k]));
    return side;
}

json_t *cli_comparison_json(const pare_comparison *c, const char *const *files,
                            const pare_data *data, const cli_requirements *r, const cli_verdict *v)
{
    json_t *list = json_array();

    for (int i = 0; i < r->count; i++)
        json_array_append_new(list, json_pack("{s:s, s:b, s:s}", "condition", r->items[i], "met",
                                              (int)v[i].met, "text", v[i].text));
    json_t *root = json_pack("{s:s, s:o, s:o, s:o}", "schema", "pare.compare/1", "original",
                             side_json(files[0], c, 0, data), "pruned",
                             side_json(files[1], c, 1, data), "requirements", list);
    if (c->latency[0] > 0)
        json_object_update_new(root,
                               json_pack("{s:I, s:[f, f]}", "batch", (json_int_t)c->batch,
                                         "latency_ratio_quartiles", c->ratio_low, c->ratio_high));
    if (c->scores[0].classes > 0 && c->scores[1].classes > 0)
        json_object_set_new(root, "p_class", json_real(c->p_class));
    if (c->scores[0].mask_classes > 0 && c->scores[1].mask_classes > 0)
        json_object_set_new(root, "p_mask", json_real(c->p_mask));
    return root;
}
