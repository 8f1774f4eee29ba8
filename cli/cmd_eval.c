/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_eval.c - `pare eval`. */
#include <jansson.h>
#include <stdio.h>

#include "cli.h"

json_t *cli_scores_json(const pare_scores *s, const pare_data *data)
{
    (void)data;
    return json_pack("{s:I, s:f, s:f, s:f, s:f, s:f, s:f}", "n", (json_int_t)s->count, "accuracy",
                     s->accuracy, "top5", s->top5, "nll", s->nll, "precision_macro",
                     s->precision_macro, "recall_macro", s->recall_macro, "f1_macro", s->f1_macro);
}

static int print(const pare_scores *s, const pare_data *data)
{
    if (cli_common.json) {
        json_t *root = cli_scores_json(s, data);
        json_object_set_new(root, "schema", json_string("pare.eval/1"));
        return cli_print_json(root);
    }
    printf("images    %lld\naccuracy  %.2f %%\ntop-5     %.2f %%\nNLL       %.4f\n"
           "precision %.4f (macro)\nrecall    %.4f (macro)\nF1        %.4f (macro)\n",
           (long long)s->count, 100 * s->accuracy, 100 * s->top5, s->nll, s->precision_macro,
           s->recall_macro, s->f1_macro);
    return 0;
}

int cmd_eval(int argc, char **argv)
{
    const char *path = NULL, *preprocess = NULL;
    pare_data_options opening = {.split = "test"};
    const cli_option options[] = {
        {"--data", 's', &path, "PATH", "labelled images (required)"},
        {"--split", 's', &opening.split, "NAME", "train, val, test or all"},
        {"--preprocess", 's', &preprocess, "TEXT",
         "cifar10, imagenet, none, unit or scale=..,mean=..,std=..;\ndefault: what the model says"},
        {NULL, 0, NULL, NULL, NULL}};
    const char *const examples[] = {
        "pare eval model.onnx --data cifar10/ --preprocess cifar10", NULL};
    const cli_command command = {"eval", "MODEL.onnx", "Scores a model on labelled images.",
                                 options, 1, 1, examples};
    const char *words[1];
    pare_model *model = NULL;
    pare_data *data = NULL;
    pare_scores scores = {0};
    int code;

    if (cli_parse(&code, argc, argv, &command, words) < 0)
        return code;
    if (path == NULL)
        return cli_usage(&command, "--data is missing");
    pare_context *ctx = cli_context();
    if (ctx == NULL)
        return EXIT_FAILED;
    pare_status status = pare_model_load(&model, ctx, words[0]);
    if (status == PARE_OK && preprocess != NULL)
        status = pare_model_set_preprocess(model, preprocess);
    if (status == PARE_OK)
        status = pare_data_fit_options(&opening, model);
    if (status == PARE_OK)
        status = pare_data_open(&data, ctx, path, &opening);
    if (status == PARE_OK)
        status = pare_evaluate(&scores, model, data);
    code = status == PARE_OK ? print(&scores, data) : cli_fail(ctx, status);
    pare_scores_clear(&scores);
    pare_data_free(data);
    pare_model_free(model);
    return code;
}
