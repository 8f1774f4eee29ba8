/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_compare.c - `pare compare`. */
#include <jansson.h>
#include <stdio.h>

#include "cli.h"

static int print(const pare_comparison *c, const char *const *files, const pare_data *data,
                 const cli_requirements *r, const cli_verdict *v)
{
    int code = 0;

    if (cli_common.json)
        code = cli_print_json(cli_comparison_json(c, files, data, r, v));
    else
        cli_print_comparison(c);
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

static int run(const char *const *files, const cli_images *images, const cli_requirements *r,
               const pare_compare_options *options)
{
    pare_model *models[2] = {NULL, NULL};
    pare_data *data = NULL;
    pare_comparison comparison = {0};
    cli_verdict verdicts[CLI_MAX_CONDITIONS];
    pare_context *ctx = cli_context();

    if (ctx == NULL)
        return EXIT_FAILED;
    pare_status status = cli_read_requirements(verdicts, ctx, r, options->latency_rounds >= 0);
    for (int k = 0; k < 2 && status == PARE_OK; k++)
        status = pare_model_load(&models[k], ctx, files[k]);
    if (status == PARE_OK)
        status = cli_open_images(&data, ctx, images, models, 2);
    if (status == PARE_OK)
        status = pare_compare(&comparison, models[0], models[1], data, options);
    if (status == PARE_OK)
        status = cli_check_requirements(verdicts, ctx, &comparison, r);
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
        "pare compare model.onnx small.onnx --data cifar10/ --require 'macs<=60%'", NULL};
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
    cli_requirements required = {0};
    const char *words[2];
    int code;

    if (cli_parse(&code, argc, argv, &command, words) < 0)
        return code;
    if ((code = cli_check_images(&command, &images)) != 0)
        return code;
    if (batch < 0 || batch > 65536 || rounds < 1 || rounds > 1000000)
        return cli_usage(&command, "--batch wants at most 65536, --rounds 1 to 1000000");
    if (!cli_split_requirements(&required, &conditions)) {
        cli_clear_requirements(&required);
        return cli_usage(&command, "there are too many requirements");
    }
    const pare_compare_options how = {.latency_rounds = no_latency ? -1 : (int)rounds,
                                      .batch = batch};
    code = run(words, &images, &required, &how);
    cli_clear_requirements(&required);
    return code;
}
