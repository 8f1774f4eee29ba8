/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_inspect.c - `pare inspect`. */
#include <jansson.h>
#include <stdio.h>

#include "inspect_view.h"

json_t *cli_costs_json(const pare_costs *c)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "parameters", (json_int_t)c->parameters, "macs",
                     (json_int_t)c->macs, "channels", (json_int_t)c->channels, "bytes",
                     (json_int_t)c->bytes, "activation_bytes", (json_int_t)c->activation_bytes);
}

typedef struct view {
    bool all, groups, dot;
    const char *why, *input;
} view;

static int show(const pare_model *model, const pare_inspection *in, const pare_costs *costs,
                const view *v)
{
    if (cli_common.json)
        return cli_print_json(inspect_json(model, in, costs));
    if (v->dot)
        inspect_print_dot(in);
    else if (v->groups)
        inspect_print_groups(in);
    else if (v->why == NULL)
        inspect_print_layers(model, in, costs, v->all);
    else if (!inspect_print_why(in, v->why)) {
        fprintf(stderr, "pare: the model has no node '%s'; --all lists them\n", v->why);
        return EXIT_FAILED;
    }
    return 0;
}

static int run(pare_context *ctx, const char *path, const view *v)
{
    pare_model *model = NULL;
    pare_inspection *in = NULL;
    pare_costs costs;
    pare_status status = pare_model_load(&model, ctx, path);

    if (status != PARE_OK)
        return cli_fail(ctx, status);
    if (v->input != NULL)
        status = pare_model_set_inputs(model, v->input);
    if (status == PARE_OK)
        status = pare_inspect(&in, model);
    if (status == PARE_OK)
        status = pare_model_costs(model, &costs);
    const int code = status == PARE_OK ? show(model, in, &costs, v) : cli_fail(ctx, status);
    pare_inspection_free(in);
    pare_model_free(model);
    return code;
}

int cmd_inspect(int argc, char **argv)
{
    view v = {0};
    const cli_option options[] = {
        {"--all", 'b', &v.all, NULL, "every node, not only those that make channels"},
        {"--groups", 'b', &v.groups, NULL, "which layers' channels are cut together"},
        {"--why", 's', &v.why, "NODE", "what can be cut of one node, and why the rest cannot"},
        {"--dot", 'b', &v.dot, NULL, "the graph for Graphviz; a colour is a group"},
        {"--input", 's', &v.input, "SHAPES",
         "fixes input shapes: [NAME:]1x3x224x224, several with commas"},
        {NULL, 0, NULL, NULL, NULL}};
    const char *const examples[] = {
        "pare inspect model.onnx", "pare inspect model.onnx --why conv1",
        "pare inspect model.onnx --groups", "pare inspect model.onnx --dot > model.dot", NULL};
    const cli_command command = {
        "inspect",
        "MODEL.onnx",
        "Shows a model's layers, what they cost, which channels can be pruned, and why others "
        "cannot.\nWorks on models pare cannot run: what is not known is shown as '?'.",
        options,
        1,
        1,
        examples};
    const char *words[1];
    int code;

    if (cli_parse(&code, argc, argv, &command, words) < 0)
        return code;
    if (v.all + v.groups + v.dot + (v.why != NULL) + cli_common.json > 1)
        return cli_usage(&command, "--all, --groups, --why, --dot and --json exclude each other");
    pare_context *ctx = cli_context();
    return ctx != NULL ? run(ctx, words[0], &v) : EXIT_FAILED;
}
