/* SPDX-License-Identifier: Apache-2.0 */
/* dnn_try.c - whether bfloat16 pays here, by trying: some processors multiply it at twice the rate of
 * float32, some not even as fast. */
#include "kernels/dnn.h"

/* Best of a few runs of a small convolution of this precision, in seconds; 0 when it cannot be made. */
static double time_convolution(pare_context *ctx, bool is_narrow)
{
    enum { N = 16, C = 32, SIZE = 16, RUNS = 6 };
    const pri_conv_problem problem = {.spatial = 2, .batch = N, .groups = 1, .in_channels = C,
                                      .out_channels = C, .in = {SIZE, SIZE}, .out = {SIZE, SIZE},
                                      .kernel = {3, 3}, .stride = {1, 1}, .dilation = {1, 1},
                                      .pad_begin = {1, 1}, .pad_end = {1, 1},
                                      .layout = PRI_CHANNELS_LAST, .is_narrow = is_narrow};
    pri_conv *conv = NULL;
    double best = 0;

    if (pri_conv_new(&conv, ctx, &problem, PRI_CONV_FORWARD) != PARE_OK)
        return 0;
    float *x = pri_alloc(ctx, 2 * N * SIZE * SIZE + 9 * C, C * sizeof *x);
    void *scratch = pri_alloc(ctx, pri_conv_scratch(conv) + 64, 1);
    unsigned char *aligned =
        (unsigned char *)scratch + (64 - (uintptr_t)scratch % 64) % 64;
    float *y = x + (size_t)N * SIZE * SIZE * C, *w = y + (size_t)N * SIZE * SIZE * C;
    if (x != NULL && scratch != NULL && pri_conv_pack(conv, w, NULL, NULL, aligned) == PARE_OK) {
        for (int k = 0; k < RUNS; k++) {
            const double start = pri_clock_s();
            if (pri_conv_forward(conv, x, y, aligned) != PARE_OK)
                break;
            const double seconds = pri_clock_s() - start;
            best = k == 0 || seconds < best ? seconds : best;
        }
    }
    pri_free(x);
    pri_free(scratch);
    pri_conv_free(conv);
    return best;
}

bool pri_dnn_gains_by_bf16(pare_context *ctx)
{
    if (!pri_dnn_has_bf16())
        return false;
    const double wide = time_convolution(ctx, false), narrow = time_convolution(ctx, true);
    pri_forget(ctx);
    return narrow > 0 && narrow < 0.8 * wide;
}
