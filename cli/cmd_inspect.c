/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_inspect.c - `pare inspect`. */
#include <jansson.h>
#include <stdio.h>

#include "cli.h"

json_t *cli_costs_json(const pare_costs *c)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "parameters", (json_int_t)c->parameters, "macs",
                     (json_int_t)c->macs, "channels", (json_int_t)c->channels, "bytes",
                     (json_int_t)c->bytes, "activation_bytes", (json_int_t)c->activation_bytes);
}

int cmd_inspect(int argc, char **argv)
{
    const cli_option options[] = {{NULL, 0, NULL, NULL, NULL}};
    const char *const examples[] = {"pare inspect model.onnx", NULL};
    const cli_command command = {"inspect", "MODEL.onnx", "Shows what a model costs.", options,
                                 1, 1, examples};
    const char *words[1];
    pare_model *model = NULL;
    pare_costs costs;
    int code;

    if (cli_parse(&code, argc, argv, &command, words) < 0)
        return code;
    pare_context *ctx = cli_context();
    if (ctx == NULL)
        return EXIT_FAILED;
    pare_status status = pare_model_load(&model, ctx, words[0]);
    if (status == PARE_OK)
        status = pare_model_costs(model, &costs);
    pare_model_free(model);
    if (status != PARE_OK)
        return cli_fail(ctx, status);
    if (cli_common.json)
        return cli_print_json(json_pack("{s:s, s:o}", "schema", "pare.inspect/1", "costs",
                                        cli_costs_json(&costs)));
    printf("parameters       %12lld\nMACs             %12lld\nchannels         %12lld\n"
           "file bytes       %12lld\nactivation bytes %12lld\n",
           (long long)costs.parameters, (long long)costs.macs, (long long)costs.channels,
           (long long)costs.bytes, (long long)costs.activation_bytes);
    return 0;
}
