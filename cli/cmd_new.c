/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_new.c - `pare new`: a fresh network by name. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"

/* CxHxW or HxW (three channels). */
static bool parse_size(int64_t size[3], const char *text)
{
    int64_t numbers[3];
    int count = 0;

    for (char *end; count < 3; text = end + 1) {
        if (*text < '0' || *text > '9')
            return false;
        numbers[count++] = strtoll(text, &end, 10);
        if (*end == '\0')
            break;
        if (*end != 'x' || count == 3)
            return false;
    }
    if (count < 2)
        return false;
    size[0] = count == 3 ? numbers[0] : 3;
    size[1] = numbers[count - 2];
    size[2] = numbers[count - 1];
    return true;
}

static int print(const char *architecture, const char *path, const pare_costs *costs)
{
    if (cli_common.json)
        return cli_print_json(json_pack("{s:s, s:s, s:s, s:o}", "schema", "pare.new/1",
                                        "architecture", architecture, "file", path, "costs",
                                        cli_costs_json(costs)));
    printf("%s: %s, %lld parameters, %lld MACs, %lld bytes\n", path, architecture,
           (long long)costs->parameters, (long long)costs->macs, (long long)costs->bytes);
    return 0;
}

int cmd_new(int argc, char **argv)
{
    const char *path = NULL, *input = "3x32x32", *preprocess = NULL;
    int64_t classes = 10, seed = 0, size[3];
    bool force = false;
    const cli_option options[] = {
        {"-o", 's', &path, "OUT.onnx", "the file to write (required)"},
        {"--classes", 'i', &classes, "N", "classes to tell apart"},
        {"--input", 's', &input, "CxHxW", "channels, height and width of an image"},
        {"--preprocess", 's', &preprocess, "TEXT",
         "how pixels become inputs, kept in the file: cifar10, imagenet,\n"
         "none, unit or scale=..,mean=..,std=.."},
        {"--seed", 'i', &seed, "N", "of the first weights"},
        {"--force", 'b', &force, NULL, "replace an existing file"},
        {NULL, 0, NULL, NULL, NULL}};
    const char *const examples[] = {
        "pare new resnet20 -o fresh.onnx --classes 10 --input 3x32x32 --seed 1",
        "pare new duo -o duo.onnx --classes 10 --input 3x48x48 --preprocess unit",
        "pare new lenet5 -o lenet.onnx --input 1x28x28", NULL};
    const cli_command command = {"new",
                                 "ARCHITECTURE",
                                 "Makes a fresh network with He-initialised weights. "
                                 "'pare list architectures' names them.",
                                 options,
                                 1,
                                 1,
                                 examples};
    const char *words[1];
    pare_model *model = NULL;
    pare_costs costs;
    int code;

    if (cli_parse(&code, argc, argv, &command, words) < 0)
        return code;
    if (path == NULL)
        return cli_usage(&command, "-o is missing");
    if (!parse_size(size, input))
        return cli_usage(&command, "'%s' is no image size; --input wants CxHxW, such as 3x32x32",
                         input);
    pare_context *ctx = cli_context();
    if (ctx == NULL)
        return EXIT_FAILED;
    pare_status status =
        pare_model_new(&model, ctx, words[0], classes, size[0], size[1], size[2], (uint64_t)seed);
    if (status == PARE_OK && preprocess != NULL)
        status = pare_model_set_preprocess(model, preprocess);
    if (status == PARE_OK)
        status = pare_model_save(model, path, force);
    if (status == PARE_OK)
        status = pare_model_costs(model, &costs);
    pare_model_free(model);
    return status == PARE_OK ? print(words[0], path, &costs) : cli_fail(ctx, status);
}
