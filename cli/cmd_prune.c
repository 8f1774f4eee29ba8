/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_prune.c - `pare prune`. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static void print_costs(const pare_prune_result *r)
{
    const struct {
        const char *name;
        int64_t before, after;
    } rows[] = {{"parameters", r->before.parameters, r->after.parameters},
                {"MACs", r->before.macs, r->after.macs},
                {"channels", r->before.channels, r->after.channels},
                {"file bytes", r->before.bytes, r->after.bytes},
                {"activation bytes", r->before.activation_bytes, r->after.activation_bytes}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        printf("%-17s %12lld -> %12lld  (%.1f %%)\n", rows[i].name, (long long)rows[i].before,
               (long long)rows[i].after, 100.0 * (double)rows[i].after / (double)rows[i].before);
    printf("units removed     %12lld of %lld\noracle            %12.2g of the output's range\n"
           "time              %12.1f s (scores %.1f, re-fit %.1f, reconstruction %.1f)\n",
           (long long)r->removed, (long long)r->units, r->oracle, r->seconds, r->score_seconds,
           r->refit_seconds, r->reconstruct_seconds);
}

static int print_json(const pare_prune_options *o, const pare_prune_result *r)
{
    json_t *root = json_pack(
        "{s:i, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f}", "schema", 1, "strategy",
        pare_strategy_name(o->strategy), "parameters_before", (json_int_t)r->before.parameters,
        "parameters", (json_int_t)r->after.parameters, "macs_before", (json_int_t)r->before.macs,
        "macs", (json_int_t)r->after.macs, "channels", (json_int_t)r->after.channels, "bytes",
        (json_int_t)r->after.bytes, "units", (json_int_t)r->units, "removed",
        (json_int_t)r->removed, "oracle", r->oracle, "seconds", r->seconds);
    const int failed = root == NULL || json_dumpf(root, stdout, JSON_INDENT(2)) != 0;

    putchar('\n');
    json_decref(root);
    return failed ? EXIT_FAILED : 0;
}

typedef struct arguments {
    const char *out, *target, *strategy, *path, *scope, *preprocess, *split;
    int64_t draws, seed, steps, reconstruct;
    bool force;
} arguments;

static int run(pare_context *ctx, const char *in, const arguments *a, pare_prune_options *options)
{
    pare_model *model = NULL, *pruned = NULL;
    pare_data *data = NULL;
    pare_prune_result result = {0};
    pare_status status = pare_model_load(&model, ctx, in);

    if (status == PARE_OK && a->preprocess != NULL)
        status = pare_model_set_preprocess(model, a->preprocess);
    if (status == PARE_OK && a->path != NULL)
        status = pare_data_open(&data, ctx, a->path, &(pare_data_options){.split = a->split});
    if (status == PARE_OK)
        status = pare_target_parse(&options->target, ctx, a->target);
    if (status == PARE_OK)
        status = pare_prune(&pruned, model, data, options, &result);
    if (status == PARE_OK)
        status = pare_model_save(pruned, a->out, a->force);
    int code = 0;
    if (status != PARE_OK)
        code = cli_fail(ctx, status);
    else if (cli_common.json)
        code = print_json(options, &result);
    else
        print_costs(&result);
    pare_prune_result_clear(&result);
    pare_data_free(data);
    pare_model_free(pruned);
    pare_model_free(model);
    return code;
}

int cmd_prune(int argc, char **argv)
{
    arguments a = {.strategy = "ml", .scope = "global", .split = "train"};
    pare_prune_options options = {0};
    const char *words[1];
    const cli_option list[] = {
        {"-o", 's', &a.out, "OUT.onnx", "the file to write (required)"},
        {"--target", 's', &a.target, "T", "macs=P%, params=P% or channels=P% to keep (required)"},
        {"--strategy", 's', &a.strategy, "NAME",
         "random, magnitude, bn-scale, taylor, ml or local-ml"},
        {"--data", 's', &a.path, "PATH", "images to calibrate with"},
        {"--split", 's', &a.split, "NAME", "which of them"},
        {"--scope", 's', &a.scope, "WHERE", "global or layer"},
        {"--preprocess", 's', &a.preprocess, "TEXT", "how pixels become inputs"},
        {"--calibration", 'i', &options.calibration, "N", "images used at most"},
        {"--draws", 'i', &a.draws, "K", "of random: the best of K"},
        {"--seed", 'i', &a.seed, "N", "of everything random"},
        {"--steps", 'i', &a.steps, "N", "score and cut in N steps"},
        {"--align", 'i', &options.align, "N", "keep channel counts at multiples of N"},
        {"--reconstruct", 'i', &a.reconstruct, "N", "passes of joint reconstruction, -1: none"},
        {"--ignore-cost", 'b', &options.ignore_cost, NULL, "do not divide scores by what is saved"},
        {"--no-fold", 'b', &options.no_fold, NULL, "do not fold means into biases"},
        {"--no-refit", 'b', &options.no_refit, NULL, "no least-squares re-fit"},
        {"--force", 'b', &a.force, NULL, "replace an existing file"},
        {NULL, 0, NULL, NULL, NULL}};
    const char *const examples[] = {"pare prune model.onnx -o small.onnx --target macs=50% "
                                    "--data cifar10/ --preprocess cifar10",
                                    NULL};
    const cli_command command = {"prune", "MODEL.onnx", "Cuts channels out of a model.", list,
                                 1, 1, examples};
    int code;

    if (cli_parse(&code, argc, argv, &command, words) < 0)
        return code;
    options.per_layer = strcmp(a.scope, "layer") == 0;
    options.draws = (int)a.draws;
    options.steps = (int)a.steps;
    options.reconstruct = (int)a.reconstruct;
    options.seed = (uint64_t)a.seed;
    if (a.out == NULL || a.target == NULL ||
        !pare_strategy_parse(&options.strategy, a.strategy) ||
        (!options.per_layer && strcmp(a.scope, "global") != 0)) {
        return cli_usage(&command, "-o, --target, --strategy and --scope are not all right");
    }
    pare_context *ctx = cli_context();
    if (ctx == NULL)
        return EXIT_FAILED;
    return run(ctx, words[0], &a, &options);
}
