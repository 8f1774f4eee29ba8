/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_compare.c - `pare compare`. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

enum { MAX_CONDITIONS = 128 };

typedef struct requirements {
    char *texts[CLI_LIST_MAX]; /* copies cut at commas; owned */
    const char *items[MAX_CONDITIONS];
    int n_texts, count;
} requirements;

typedef struct verdict {
    bool met;
    char text[PARE_CONDITION_TEXT];
} verdict;

/* --- Requirements --- */

static void clear_requirements(requirements *r)
{
    for (int i = 0; i < r->n_texts; i++)
        free(r->texts[i]);
}

/* "a>=1,b<=2" twice or more often; false when there are too many or memory is short. */
static bool split_requirements(requirements *out, const cli_list *list)
{
    for (int i = 0; i < list->count; i++) {
        char *at = out->texts[out->n_texts++] = strdup(list->items[i]);
        while (at != NULL) {
            char *comma = strchr(at, ',');
            if (out->count == MAX_CONDITIONS)
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

static pare_status check_all(verdict *out, pare_context *ctx, const pare_comparison *comparison,
                             const requirements *r)
{
    pare_status status = PARE_OK;

    for (int i = 0; i < r->count && status == PARE_OK; i++)
        status = pare_check_condition(&out[i].met, out[i].text, ctx, comparison, r->items[i]);
    return status;
}

/* Reads the requirements on made-up numbers, so that a slip is found before hours of work. */
static pare_status read_through(verdict *room, pare_context *ctx, const requirements *r,
                                bool has_latency)
{
    const pare_scores scores = {.classes = 1, .mask_classes = 1};
    const double seconds = has_latency ? 1 : 0;
    const pare_comparison any = {.scores = {scores, scores}, .latency = {seconds, seconds}};

    return check_all(room, ctx, &any, r);
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

static void print_text(const pare_comparison *c)
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
        printf("latency, batch %-3lld %12.3f ms %12.3f ms %10.1f %%\n", (long long)c->batch,
               1e3 * c->latency[0], 1e3 * c->latency[1], 100 * c->latency[1] / c->latency[0]);
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
        json_object_set_new(side, "latency_s", json_real(c->latency[k]));
    return side;
}

static json_t *comparison_json(const pare_comparison *c, const char *const *files,
                               const pare_data *data, const requirements *r, const verdict *v)
{
    json_t *list = json_array();

    for (int i = 0; i < r->count; i++)
        json_array_append_new(list, json_pack("{s:s, s:b, s:s}", "condition", r->items[i], "met",
                                              (int)v[i].met, "text", v[i].text));
    json_t *root = json_pack("{s:s, s:o, s:o, s:o}", "schema", "pare.compare/1", "original",
                             side_json(files[0], c, 0, data), "pruned",
                             side_json(files[1], c, 1, data), "requirements", list);
    if (c->latency[0] > 0)
        json_object_set_new(root, "batch", json_integer((json_int_t)c->batch));
    if (c->scores[0].classes > 0 && c->scores[1].classes > 0)
        json_object_set_new(root, "p_class", json_real(c->p_class));
    if (c->scores[0].mask_classes > 0 && c->scores[1].mask_classes > 0)
        json_object_set_new(root, "p_mask", json_real(c->p_mask));
    return root;
}

static int print(const pare_comparison *c, const char *const *files, const pare_data *data,
                 const requirements *r, const verdict *v)
{
    int code = 0;

    if (cli_common.json)
        code = cli_print_json(comparison_json(c, files, data, r, v));
    else
        print_text(c);
    if (!cli_common.json && r->count > 0)
        putchar('\n');
    for (int i = 0; i < r->count; i++) {
        if (!cli_common.json)
            printf("%-8s %s\n", v[i].met ? "met" : "NOT MET", v[i].text);
        if (!v[i].met && code == 0)
            code = EXIT_NOT_MET;
    }
    return code;
}

static int run(const char *const *files, const cli_images *images, const requirements *r,
               const pare_compare_options *options)
{
    pare_model *models[2] = {NULL, NULL};
    pare_data *data = NULL;
    pare_comparison comparison = {0};
    verdict verdicts[MAX_CONDITIONS];
    pare_context *ctx = cli_context();

    if (ctx == NULL)
        return EXIT_FAILED;
    pare_status status = read_through(verdicts, ctx, r, options->latency_rounds >= 0);
    for (int k = 0; k < 2 && status == PARE_OK; k++)
        status = pare_model_load(&models[k], ctx, files[k]);
    if (status == PARE_OK)
        status = cli_open_images(&data, ctx, images, models, 2);
    if (status == PARE_OK)
        status = pare_compare(&comparison, models[0], models[1], data, options);
    if (status == PARE_OK)
        status = check_all(verdicts, ctx, &comparison, r);
    cli_end_progress();
    const int code =
        status == PARE_OK ? print(&comparison, files, data, r, verdicts) : cli_fail(ctx, status);
    pare_comparison_clear(&comparison);
    pare_data_free(data);
    pare_model_free(models[1]);
    pare_model_free(models[0]);
    return code;
}

int cmd_compare(int argc, char **argv)
{
    cli_images images = {.split = "test"};
    cli_list conditions = {0};
    int64_t batch = 0, rounds = 30;
    bool no_latency = false;
    const cli_option options[] = {
        CLI_IMAGE_OPTIONS(images),
        {"--require", 'l', &conditions, "CONDITION",
         "what the pruned model must fulfil, such as 'accuracy>=-1%',\n'macs<=50%' or "
         "'latency<=0.6x'; several: repeat or use commas"},
        {"--batch", 'i', &batch, "N", "images a run of the latency (default 1)"},
        {"--rounds", 'i', &rounds, "N", "runs of each model, taking turns; the median counts"},
        {"--no-latency", 'b', &no_latency, NULL, "do not measure latency"},
        {NULL, 0, NULL, NULL, NULL}};
    const char *const examples[] = {
        "pare compare model.onnx small.onnx --data cifar10/ --require 'accuracy>=-1%,macs<=50%'",
        NULL};
    const cli_command command = {
        "compare",
        "ORIGINAL.onnx PRUNED.onnx",
        "Scores two models on the same images, tests whether their difference is more than "
        "chance,\n"
        "and measures what they cost. Exit code 3 when a requirement is not met.",
        options,
        2,
        2,
        examples};
    requirements required = {0};
    const char *words[2];
    int code;

    if (cli_parse(&code, argc, argv, &command, words) < 0)
        return code;
    if ((code = cli_check_images(&command, &images)) != 0)
        return code;
    if (batch < 0 || batch > 65536 || rounds < 1 || rounds > 1000000)
        return cli_usage(&command, "--batch wants at most 65536, --rounds 1 to 1000000");
    if (!split_requirements(&required, &conditions)) {
        clear_requirements(&required);
        return cli_usage(&command, "there are too many requirements");
    }
    const pare_compare_options how = {.latency_rounds = no_latency ? -1 : (int)rounds,
                                      .batch = batch};
    code = run(words, &images, &required, &how);
    clear_requirements(&required);
    return code;
}
