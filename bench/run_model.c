/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run_model.c - runs a model in pare's engine on raw floats, for comparing with other runtimes.
 *
 * usage: run_model MODEL.onnx INPUT.raw OUTPUT.raw [NxCxHxW] [RUNS]
 * INPUT.raw holds the first input; all outputs are appended to OUTPUT.raw as float32. With RUNS the
 * median time of a run is printed in milliseconds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pare/pare.h>

#include "base/base.h"
#include "engine/engine.h"

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static int fail(pare_context *ctx)
{
    fprintf(stderr, "run_model: %s\n", pare_context_message(ctx));
    return 1;
}

int main(int argc, char **argv)
{
    pare_context *ctx = NULL;
    pare_model *model = NULL;
    pri_engine *engine = NULL;
    int64_t dims[4];

    if (argc < 4 || pare_context_new(&ctx) != PARE_OK)
        return 2;
    if (pare_model_load(&model, ctx, argv[1]) != PARE_OK)
        return fail(ctx);
    if (argc > 4 && sscanf(argv[4], "%ldx%ldx%ldx%ld", &dims[0], &dims[1], &dims[2], &dims[3]) == 4 &&
        pare_model_set_input_shape(model, 0, 4, dims) != PARE_OK)
        return fail(ctx);
    if (pri_engine_new(&engine, model, &(pri_engine_options){0}) != PARE_OK)
        return fail(ctx);
    const pri_shape in = pri_engine_input_shape(engine, 0);
    FILE *file = fopen(argv[2], "rb");
    const size_t count = (size_t)pri_shape_count(&in);
    if (file == NULL || fread(pri_engine_input(engine, 0), sizeof(float), count, file) != count) {
        fprintf(stderr, "run_model: '%s' does not hold %zu floats\n", argv[2], count);
        return 1;
    }
    fclose(file);
    const int runs = argc > 5 ? atoi(argv[5]) : 1;
    double *times = calloc((size_t)runs + 1, sizeof *times);
    for (int r = 0; r < runs && times != NULL; r++) {
        const double start = pri_clock_s();
        if (pri_engine_forward(engine) != PARE_OK)
            return fail(ctx);
        times[r] = pri_clock_s() - start;
    }
    file = fopen(argv[3], "wb");
    for (int k = 0; file != NULL && pare_model_output_name(model, k) != NULL; k++) {
        const pri_shape shape = pri_engine_output_shape(engine, k);
        fwrite(pri_engine_output(engine, k), sizeof(float), (size_t)pri_shape_count(&shape), file);
    }
    if (file == NULL || fclose(file) != 0 || times == NULL)
        return 1;
    qsort(times, (size_t)runs, sizeof *times, by_value);
    if (argc > 5)
        printf("%.3f\n", 1e3 * times[runs / 2]);
    free(times);
    pri_engine_free(engine);
    pare_model_free(model);
    pare_context_free(ctx);
    return 0;
}
