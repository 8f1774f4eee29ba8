/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run_model.c - runs a model in pare's engine on raw numbers, for comparing with other runtimes.
 *
 * usage: run_model MODEL.onnx INPUT.raw OUTPUT.raw [NxCxHxW] [RUNS]
 * INPUT.raw holds the first input; all outputs are appended to OUTPUT.raw. With RUNS the median time of
 * a run is printed in milliseconds.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <pare/pare.h>

static double now(void)
{
    struct timespec t;

    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static int fail(const pare_context *ctx)
{
    fprintf(stderr, "run_model: %s\n", pare_context_message(ctx));
    return 1;
}

static bool read_input(const pare_tensor *x, const char *path)
{
    FILE *file = fopen(path, "rb");
    const bool is_read = file != NULL && fread(x->data, 1, x->size_bytes, file) == x->size_bytes;

    if (!is_read)
        fprintf(stderr, "run_model: '%s' does not hold %zu bytes\n", path, x->size_bytes);
    if (file != NULL)
        fclose(file);
    return is_read;
}

static bool write_outputs(const pare_session *session, const char *path)
{
    FILE *file = fopen(path, "wb");
    bool is_written = file != NULL;
    pare_tensor y;

    for (int k = 0; is_written && pare_session_output(&y, session, k); k++)
        is_written = fwrite(y.data, 1, y.size_bytes, file) == y.size_bytes;
    return file != NULL && fclose(file) == 0 && is_written;
}

int main(int argc, char **argv)
{
    pare_context *ctx = NULL;
    pare_model *model = NULL;
    pare_session *session = NULL;
    pare_tensor x;
    int64_t d[4];

    if (argc < 4 || pare_context_new(&ctx) != PARE_OK)
        return 2;
    if (pare_model_load(&model, ctx, argv[1]) != PARE_OK)
        return fail(ctx);
    if (argc > 4 &&
        sscanf(argv[4], "%" SCNd64 "x%" SCNd64 "x%" SCNd64 "x%" SCNd64, &d[0], &d[1], &d[2],
               &d[3]) == 4 &&
        pare_model_set_input_shape(model, 0, 4, d) != PARE_OK)
        return fail(ctx);
    if (pare_session_new(&session, model, NULL) != PARE_OK)
        return fail(ctx);
    pare_model_free(model);
    const int runs = argc > 5 && atoi(argv[5]) > 0 ? atoi(argv[5]) : 1;
    double *times = calloc((size_t)runs, sizeof *times);
    for (int r = 0; r < runs && times != NULL; r++) {
        if (!pare_session_input(&x, session, 0) || !read_input(&x, argv[2]))
            return 1;
        const double start = now();
        if (pare_session_run(session) != PARE_OK)
            return fail(ctx);
        times[r] = now() - start;
    }
    if (times == NULL || !write_outputs(session, argv[3]))
        return 1;
    qsort(times, (size_t)runs, sizeof *times, by_value);
    if (argc > 5)
        printf("%.3f\n", 1e3 * times[runs / 2]);
    free(times);
    pare_session_free(session);
    pare_context_free(ctx);
    return 0;
}
