/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_bench.c - `pare bench`: time of a model, operator by operator. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

/* All steps of one kind. */
typedef struct kind {
    const char *op_type;
    int count;
    int64_t macs, bytes;
    double forward, backward, limit;
} kind;

static int by_time(const void *a, const void *b)
{
    const kind *x = a, *y = b;
    const double difference = y->forward + y->backward - x->forward - x->backward;

    return difference > 0 ? 1 : difference < 0 ? -1 : strcmp(x->op_type, y->op_type);
}

/* Steps added up by what they compute, the slowest first, new. */
static kind *sum_kinds(int *n, const pare_profile *p)
{
    kind *kinds = calloc((size_t)p->n_steps + 1, sizeof *kinds);

    *n = 0;
    for (int s = 0; s < p->n_steps && kinds != NULL; s++) {
        int k = 0;
        while (k < *n && strcmp(kinds[k].op_type, p->steps[s].op_type) != 0)
            k++;
        *n += k == *n;
        kinds[k].op_type = p->steps[s].op_type;
        kinds[k].count++;
        kinds[k].forward += p->steps[s].forward;
        kinds[k].backward += p->steps[s].backward;
        kinds[k].macs += p->steps[s].macs;
        kinds[k].bytes += p->steps[s].bytes;
        kinds[k].limit += p->steps[s].limit;
    }
    if (kinds != NULL)
        qsort(kinds, (size_t)*n, sizeof *kinds, by_time);
    return kinds;
}

static int by_step_time(const void *a, const void *b)
{
    const pare_profile_step *x = *(const pare_profile_step *const *)a;
    const pare_profile_step *y = *(const pare_profile_step *const *)b;
    const double difference = y->forward + y->backward - x->forward - x->backward;

    return difference > 0 ? 1 : difference < 0 ? -1 : x < y ? -1 : 1;
}

static void print_steps(const pare_profile *p, int64_t count, double whole)
{
    const pare_profile_step **list = calloc((size_t)p->n_steps + 1, sizeof *list);

    for (int s = 0; s < p->n_steps && list != NULL; s++)
        list[s] = &p->steps[s];
    if (list != NULL)
        qsort(list, (size_t)p->n_steps, sizeof *list, by_step_time);
    printf("\n%-44s %-9s %12s %12s %8s\n", "slowest steps", "algorithm", "forward us",
           "backward us", "share");
    for (int s = 0; s < p->n_steps && s < count && list != NULL; s++)
        printf("%-24.24s %-19.19s %-9s %12.1f %12.1f %7.1f%%\n", list[s]->name, list[s]->op_type,
               list[s]->algorithm, 1e6 * list[s]->forward, 1e6 * list[s]->backward,
               100 * (list[s]->forward + list[s]->backward) / whole);
    free(list);
}

static void print_limit(const char *name, int64_t macs, int64_t bytes, double seconds, double limit)
{
    const double rate = seconds > 0 ? 1e-9 / seconds : 0;

    printf("%-37.37s %9.3f %9.1f %9.1f %9.1f %10.1f %8.0f%%\n", name, 1e-9 * (double)macs,
           rate * (double)macs, 1e-6 * (double)bytes, rate * (double)bytes, 1e6 * limit,
           seconds > 0 ? 100 * limit / seconds : 0);
}

/* What the operators have to do beside what the machine can. */
static void print_limits(const pare_profile *p, const kind *kinds, int n)
{
    printf(
        "\nthis machine at best: %.1f GMAC/s in dense convolutions, %.1f GB/s from and to memory\n",
        1e-9 * p->macs_per_second, 1e-9 * p->bytes_per_second);
    printf("%-37s %9s %9s %9s %9s %10s %9s\n", "operator", "GMAC", "GMAC/s", "MB", "GB/s",
           "limit us", "reached");
    for (int k = 0; k < n; k++)
        print_limit(kinds[k].op_type, kinds[k].macs, kinds[k].bytes,
                    kinds[k].forward + kinds[k].backward, kinds[k].limit);
    print_limit("all", p->macs, p->bytes, p->forward + p->backward, p->limit);
}

static void print_text(const pare_profile *p, const kind *kinds, int n, int64_t steps)
{
    double whole = 0;

    for (int k = 0; k < n; k++)
        whole += kinds[k].forward + kinds[k].backward;
    whole = whole > 0 ? whole : 1;
    printf("batch %lld, medians of %d rounds (quartiles)\n", (long long)p->batch, p->rounds);
    printf("forward  %10.3f ms (%.3f .. %.3f)\n", 1e3 * p->forward, 1e3 * p->forward_low,
           1e3 * p->forward_high);
    if (p->backward > 0)
        printf("backward %10.3f ms (%.3f .. %.3f)\n", 1e3 * p->backward, 1e3 * p->backward_low,
               1e3 * p->backward_high);
    printf("memory   %10.1f MB of activations%s\n", (double)p->activation_bytes / 1e6,
           p->backward > 0 ? " and gradients" : "");
    printf("reorders %10d layout steps; %d convolutions stage activations, %.1f MB a step\n",
           p->n_layouts, p->n_staged, 1e-6 * (double)p->staged);
    printf("\n%-37s %6s %12s %12s %8s\n", "operator", "steps", "forward us", "backward us",
           "share");
    for (int k = 0; k < n; k++)
        printf("%-37.37s %6d %12.1f %12.1f %7.1f%%\n", kinds[k].op_type, kinds[k].count,
               1e6 * kinds[k].forward, 1e6 * kinds[k].backward,
               100 * (kinds[k].forward + kinds[k].backward) / whole);
    if (p->macs_per_second > 0)
        print_limits(p, kinds, n);
    if (steps > 0)
        print_steps(p, steps, whole);
}

/* What there is to do, and the least it could take where that is known. */
static void add_work(json_t *row, const pare_profile *p, int64_t macs, int64_t bytes, double limit)
{
    json_object_set_new(row, "macs", json_integer((json_int_t)macs));
    json_object_set_new(row, "bytes", json_integer((json_int_t)bytes));
    if (p->macs_per_second > 0)
        json_object_set_new(row, "limit", json_real(limit));
}

static json_t *kind_json(const pare_profile *p, const kind *k)
{
    json_t *row = json_pack("{s:s, s:i, s:f, s:f}", "operator", k->op_type, "steps", k->count,
                            "forward", k->forward, "backward", k->backward);

    add_work(row, p, k->macs, k->bytes, k->limit);
    return row;
}

static json_t *step_json(const pare_profile *p, const pare_profile_step *s)
{
    json_t *row = json_pack("{s:s, s:s, s:f, s:f}", "name", s->name, "operator", s->op_type,
                            "forward", s->forward, "backward", s->backward);

    if (row != NULL && s->algorithm[0] != '\0') {
        json_object_set_new(row, "algorithm", json_string(s->algorithm));
        json_object_set_new(row, "staged_bytes", json_integer((json_int_t)s->staged));
    }
    add_work(row, p, s->macs, s->bytes, s->limit);
    return row;
}

static int print_json(const pare_profile *p, const kind *kinds, int n)
{
    json_t *operators = json_array(), *steps = json_array();

    for (int k = 0; k < n; k++)
        json_array_append_new(operators, kind_json(p, &kinds[k]));
    for (int s = 0; s < p->n_steps; s++)
        json_array_append_new(steps, step_json(p, &p->steps[s]));
    json_t *reorders =
        json_pack("{s:i, s:i, s:I}", "layout_steps", p->n_layouts, "staged_convolutions",
                  p->n_staged, "staged_bytes", (json_int_t)p->staged);
    json_t *root = json_pack(
        "{s:s, s:I, s:i, s:I, s:f, s:[f, f], s:f, s:[f, f], s:o, s:o, s:o}", "schema",
        "pare.bench/1", "batch", (json_int_t)p->batch, "rounds", p->rounds, "activation_bytes",
        (json_int_t)p->activation_bytes, "forward", p->forward, "forward_quartiles", p->forward_low,
        p->forward_high, "backward", p->backward, "backward_quartiles", p->backward_low,
        p->backward_high, "reorders", reorders, "operators", operators, "steps", steps);
    add_work(root, p, p->macs, p->bytes, p->limit);
    if (p->macs_per_second > 0)
        json_object_set_new(root, "machine",
                            json_pack("{s:f, s:f}", "macs_per_second", p->macs_per_second,
                                      "bytes_per_second", p->bytes_per_second));
    return cli_print_json(root);
}

static int run(const char *path, const char *input, const pare_profile_options *options,
               int64_t n_steps)
{
    pare_model *model = NULL;
    pare_profile profile = {0};
    pare_context *ctx = cli_context();
    int code = 0, n;

    if (ctx == NULL)
        return EXIT_FAILED;
    pare_status status = pare_model_load(&model, ctx, path);
    if (status == PARE_OK && input != NULL)
        status = pare_model_set_inputs(model, input);
    if (status == PARE_OK && code == 0)
        status = pare_profile_model(&profile, model, options);
    cli_end_progress();
    if (status != PARE_OK)
        code = cli_fail(ctx, status);
    if (code == 0) {
        kind *kinds = sum_kinds(&n, &profile);
        if (kinds == NULL)
            code = cli_print_json(NULL);
        else if (cli_common.json)
            code = print_json(&profile, kinds, n);
        else
            print_text(&profile, kinds, n, n_steps);
        free(kinds);
    }
    pare_profile_clear(&profile);
    pare_model_free(model);
    return code;
}

int cmd_bench(int argc, char **argv)
{
    int64_t batch = 0, rounds = 20, n_steps = 10;
    const char *input = NULL, *precision = "f32";
    bool train = false, recompute = false, profile = false;
    cli_common.algorithms = "measure";
    const cli_option options[] = {
        {"--train", 'b', &train, NULL, "a training step: forward and backward for all weights"},
        {"--recompute", 'b', &recompute, NULL, "with --train: activations are computed again"},
        {"--profile", 'b', &profile, NULL,
         "what each operator multiplies and moves, beside what this machine\ncan do at best, "
         "measured for half a second"},
        {"--batch", 'i', &batch, "N", "images a run (default: as declared, otherwise 1)"},
        {"--rounds", 'i', &rounds, "N", "runs; medians count"},
        {"--steps", 'i', &n_steps, "N", "slowest steps to list"},
        {"--precision", 's', &precision, "f32|bf16|auto", "what convolutions multiply in"},
        CLI_ALGORITHMS_OPTION,
        {"--input", 's', &input, "[NAME:]SHAPE", "sizes the model leaves open, 1x3x320x320"},
        {NULL, 0, NULL, NULL, NULL}};
    const char *const examples[] = {
        "pare bench model.onnx --rounds 5",
        "pare bench model.onnx --profile --rounds 5 --threads 1",
        "pare bench model.onnx --train --batch 8 --rounds 3 --recompute", NULL};
    const cli_command command = {
        "bench",
        "MODEL.onnx",
        "Times every step of a model in pare's engine on random inputs "
        "and adds them up by operator.\n"
        "Names joined by + are operators that run as one. With --threads 1 processor time counts.\n"
        "Reorders are changes of layout, and convolutions that round activations to bfloat16 for\n"
        "themselves, with the bytes they read and write for that. With --profile, GMAC and MB are\n"
        "what cannot be avoided: convolutions as they are defined (Winograd's algorithm multiplies a\n"
        "quarter), each array moved once; limit is the time that takes at the machine's best.",
        options,
        1,
        1,
        examples};
    const char *words[1];
    int code;

    if (cli_parse(&code, argc, argv, &command, words) < 0)
        return code;
    if (batch < 0 || batch > 65536 || rounds < 1 || rounds > 100000 || n_steps < 0)
        return cli_usage(&command, "--batch wants at most 65536, --rounds 1 to 100000");
    if (recompute && !train)
        return cli_usage(&command, "--recompute is for --train");
    return run(words[0], input,
               &(pare_profile_options){.batch = batch,
                                       .rounds = (int)rounds,
                                       .training = train,
                                       .recompute = recompute,
                                       .precision = precision,
                                       .limits = profile},
               n_steps);
}
