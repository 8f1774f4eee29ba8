/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_synth.c - `pare synth`. */
#include <jansson.h>
#include <stdio.h>

#include "cli.h"

static int print(const char *directory, const pare_synth_options *o)
{
    if (cli_common.json)
        return cli_print_json(json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:f, s:I}", "schema",
                                        "pare.synth/1", "directory", directory, "train",
                                        (json_int_t)o->train, "val", (json_int_t)o->val, "test",
                                        (json_int_t)o->test, "size", (json_int_t)o->size,
                                        "difficulty", o->difficulty, "seed", (json_int_t)o->seed));
    printf("%s: %lld train, %lld val, %lld test images of %lldx%lld, 10 classes with masks\n",
           directory, (long long)o->train, (long long)o->val, (long long)o->test,
           (long long)o->size, (long long)o->size);
    return 0;
}

int cmd_synth(int argc, char **argv)
{
    pare_synth_options o = {.train = 4000, .val = 500, .test = 1000, .size = 48, .difficulty = 0.5};
    int64_t seed = 0;
    bool force = false;
    const cli_option options[] = {
        {"--train", 'i', &o.train, "N", "training images"},
        {"--val", 'i', &o.val, "N", "validation images"},
        {"--test", 'i', &o.test, "N", "test images"},
        {"--size", 'i', &o.size, "N", "height and width, 16 to 512"},
        {"--difficulty", 'f', &o.difficulty, "X",
         "above 0, to 1: noise, clutter, occlusion, contrast"},
        {"--seed", 'i', &seed, "N", "the same options give the same images"},
        {"--force", 'b', &force, NULL, "replace an existing set"},
        {NULL, 0, NULL, NULL, NULL}};
    const char *const examples[] = {
        "pare synth shapes/", "pare synth easy/ --train 1000 --difficulty 0.2 --seed 7", NULL};
    const cli_command command = {
        "synth",
        "DIR",
        "Makes a set of images of drawn shapes: ten classes, with a class label and a mask each.",
        options,
        1,
        1,
        examples};
    const char *words[1];
    int code;

    if (cli_parse(&code, argc, argv, &command, words) < 0)
        return code;
    if (o.train <= 0 || o.val <= 0 || o.test <= 0 || o.size <= 0 || !(o.difficulty > 0))
        return cli_usage(&command, "numbers of images, size and difficulty are above 0");
    o.seed = (uint64_t)seed;
    pare_context *ctx = cli_context();
    if (ctx == NULL)
        return EXIT_FAILED;
    const pare_status status = pare_synth(ctx, words[0], &o, force);
    return status == PARE_OK ? print(words[0], &o) : cli_fail(ctx, status);
}
