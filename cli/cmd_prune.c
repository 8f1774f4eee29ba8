/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_prune.c - `pare prune`. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const char help_text[] =
    "usage: pare prune MODEL.onnx -o OUT.onnx --target macs=50% [--strategy NAME]\n"
    "       [--data PATH] [--calibration N] [--scope global|layer] [--per-mac] [--no-refit]\n"
    "       [--draws K] [--preprocess TEXT] [--seed N] [--threads N] [--force] [--json]\n\n"
    "strategies: random magnitude bn-scale taylor ml local-ml (default ml)\n"
    "targets:    macs=P%  params=P%  channels=P%   what is kept of the original\n\n"
    "example: pare prune model.onnx -o small.onnx --target macs=50% --strategy local-ml \\\n"
    "             --data cifar10/ --preprocess cifar10";

static bool parse_target(pare_prune_options *options, const char *text)
{
    static const char *const known[] = {"macs", "params", "channels"};

    for (size_t i = 0; text != NULL && i < sizeof known / sizeof *known; i++) {
        const size_t length = strlen(known[i]);
        char *end;
        if (strncmp(text, known[i], length) != 0 || text[length] != '=')
            continue;
        options->fraction = strtod(text + length + 1, &end);
        if (end == text + length + 1 || (*end != '\0' && strcmp(end, "%") != 0))
            return false;
        if (*end == '%')
            options->fraction /= 100;
        snprintf(options->target, sizeof options->target, "%s", known[i]);
        return true;
    }
    return false;
}

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
           "time              %12.1f s\n",
           (long long)r->removed, (long long)r->units, r->oracle, r->seconds);
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
    int64_t threads, draws, seed;
    bool force, json;
} arguments;

static int run(pare_context *ctx, const char *in, const arguments *a, pare_prune_options *options)
{
    pare_model *model = NULL, *pruned = NULL;
    pare_data *data = NULL;
    pare_prune_result result;
    pare_status status = pare_model_load(&model, ctx, in);

    if (status == PARE_OK && a->preprocess != NULL)
        status = pare_model_set_preprocess(model, a->preprocess);
    if (status == PARE_OK && a->path != NULL)
        status = pare_data_open(&data, ctx, a->path, a->split);
    if (status == PARE_OK)
        status = pare_prune(&pruned, model, data, options, &result);
    if (status == PARE_OK)
        status = pare_model_save(pruned, a->out, a->force);
    int code = 0;
    if (status != PARE_OK)
        code = cli_fail(ctx, status);
    else if (a->json)
        code = print_json(options, &result);
    else
        print_costs(&result);
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
    bool help = false;
    const cli_option list[] = {{"-o", 's', &a.out},
                               {"--target", 's', &a.target},
                               {"--strategy", 's', &a.strategy},
                               {"--data", 's', &a.path},
                               {"--split", 's', &a.split},
                               {"--scope", 's', &a.scope},
                               {"--preprocess", 's', &a.preprocess},
                               {"--calibration", 'i', &options.calibration},
                               {"--draws", 'i', &a.draws},
                               {"--seed", 'i', &a.seed},
                               {"--threads", 'i', &a.threads},
                               {"--per-mac", 'b', &options.per_mac},
                               {"--no-refit", 'b', &options.no_refit},
                               {"--force", 'b', &a.force},
                               {"--json", 'b', &a.json},
                               {"--help", 'b', &help},
                               {NULL, 0, NULL}};
    const int n = cli_parse(argc, argv, list, words, 1);

    if (help)
        return puts(help_text) < 0;
    if (n < 0)
        return EXIT_USAGE;
    options.per_layer = strcmp(a.scope, "layer") == 0;
    options.draws = (int)a.draws;
    options.seed = (uint64_t)a.seed;
    if (n != 1 || a.out == NULL || !parse_target(&options, a.target) ||
        !pare_strategy_parse(&options.strategy, a.strategy) ||
        (!options.per_layer && strcmp(a.scope, "global") != 0)) {
        fprintf(stderr, "pare: prune wants a model, -o, --target such as macs=50%%, a known "
                        "--strategy and --scope\n%s\n",
                help_text);
        return EXIT_USAGE;
    }
    pare_context *ctx = cli_context();
    if (ctx == NULL)
        return EXIT_FAILED;
    pare_context_set_threads(ctx, (int)a.threads);
    return run(ctx, words[0], &a, &options);
}
