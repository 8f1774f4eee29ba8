/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_eval.c - `pare eval` and `pare inspect`. */
#include <jansson.h>
#include <stdio.h>

#include "cli.h"

static int print_json(json_t *root)
{
    const int failed = root == NULL || json_dumpf(root, stdout, JSON_INDENT(2)) != 0;

    putchar('\n');
    json_decref(root);
    return failed ? EXIT_FAILED : 0;
}

int cmd_inspect(int argc, char **argv)
{
    const char *words[1];
    bool json = false, help = false;
    const cli_option options[] = {{"--json", 'b', &json}, {"--help", 'b', &help}, {NULL, 0, NULL}};
    const int n = cli_parse(argc, argv, options, words, 1);
    pare_model *model = NULL;
    pare_costs costs;

    if (help)
        return puts("usage: pare inspect MODEL.onnx [--json]\n\n"
                    "example: pare inspect model.onnx") < 0;
    if (n != 1)
        return EXIT_USAGE;
    pare_context *ctx = cli_context();
    if (ctx == NULL)
        return EXIT_FAILED;
    pare_status status = pare_model_load(&model, ctx, words[0]);
    if (status == PARE_OK)
        status = pare_model_costs(model, &costs);
    if (status != PARE_OK) {
        pare_model_free(model);
        return cli_fail(ctx, status);
    }
    pare_model_free(model);
    if (json)
        return print_json(json_pack("{s:i, s:I, s:I, s:I, s:I, s:I}", "schema", 1, "parameters",
                                    (json_int_t)costs.parameters, "macs", (json_int_t)costs.macs,
                                    "channels", (json_int_t)costs.channels, "bytes",
                                    (json_int_t)costs.bytes, "activation_bytes",
                                    (json_int_t)costs.activation_bytes));
    printf("parameters       %12lld\nMACs             %12lld\nchannels         %12lld\n"
           "file bytes       %12lld\nactivation bytes %12lld\n",
           (long long)costs.parameters, (long long)costs.macs, (long long)costs.channels,
           (long long)costs.bytes, (long long)costs.activation_bytes);
    return 0;
}

static json_t *scores_json(const pare_scores *s)
{
    return json_pack("{s:i, s:I, s:f, s:f, s:f, s:f, s:f, s:f}", "schema", 1, "n",
                     (json_int_t)s->count, "accuracy", s->accuracy, "top5", s->top5, "nll", s->nll,
                     "precision_macro", s->precision_macro, "recall_macro", s->recall_macro,
                     "f1_macro", s->f1_macro);
}

int cmd_eval(int argc, char **argv)
{
    const char *words[1], *path = NULL, *split = "test", *preprocess = NULL;
    int64_t threads = 0;
    bool json = false, help = false;
    const cli_option options[] = {{"--data", 's', &path},       {"--split", 's', &split},
                                  {"--preprocess", 's', &preprocess}, {"--threads", 'i', &threads},
                                  {"--json", 'b', &json},       {"--help", 'b', &help},
                                  {NULL, 0, NULL}};
    const int n = cli_parse(argc, argv, options, words, 1);
    pare_model *model = NULL;
    pare_data *data = NULL;
    pare_scores scores = {0};

    if (help)
        return puts("usage: pare eval MODEL.onnx --data PATH [--split test|train]\n"
                    "       [--preprocess cifar10|imagenet|none|unit|scale=..,mean=..,std=..]\n"
                    "       [--threads N] [--json]\n\n"
                    "example: pare eval model.onnx --data cifar10/ --preprocess cifar10") < 0;
    if (n != 1 || path == NULL) {
        fprintf(stderr, "pare: eval wants a model and --data; see pare eval --help\n");
        return EXIT_USAGE;
    }
    pare_context *ctx = cli_context();
    if (ctx == NULL)
        return EXIT_FAILED;
    pare_context_set_threads(ctx, (int)threads);
    pare_status status = pare_model_load(&model, ctx, words[0]);
    if (status == PARE_OK && preprocess != NULL)
        status = pare_model_set_preprocess(model, preprocess);
    if (status == PARE_OK)
        status = pare_data_open(&data, ctx, path, split);
    if (status == PARE_OK)
        status = pare_evaluate(&scores, model, data);
    int code = 0;
    if (status != PARE_OK)
        code = cli_fail(ctx, status);
    else if (json)
        code = print_json(scores_json(&scores));
    else
        printf("images    %lld\naccuracy  %.2f %%\ntop-5     %.2f %%\nNLL       %.4f\n"
               "precision %.4f (macro)\nrecall    %.4f (macro)\nF1        %.4f (macro)\n",
               (long long)scores.count, 100 * scores.accuracy, 100 * scores.top5, scores.nll,
               scores.precision_macro, scores.recall_macro, scores.f1_macro);
    pare_scores_clear(&scores);
    pare_data_free(data);
    pare_model_free(model);
    return code;
}
