/* SPDX-License-Identifier: Apache-2.0 */
/* roofline.c - see roofline.h. */
#include "kernels/roofline.h"

#include <string.h>

#include "kernels/dnn_conv.h"

enum { ROUNDS = 20, PASSES = 6, ARRAY_FLOATS = 1 << 24 };

/* --- Multiplications --- */

typedef struct buffers {
    void *src, *dst, *scratch;
    float *weights;
} buffers;

static double macs_of(const pri_conv_problem *p)
{
    return (double)(p->batch * p->out[0] * p->out[1] * p->out_channels * p->in_channels *
                    p->kernel[0] * p->kernel[1]);
}

static pare_status take(buffers *b, pare_context *ctx, const pri_conv_problem *p,
                        const pri_conv *conv)
{
    const size_t pixels = (size_t)(p->batch * p->in[0] * p->in[1]);
    const size_t src = pixels * (size_t)p->in_channels * sizeof(float);
    const size_t weights = (size_t)(p->out_channels * p->in_channels * p->kernel[0] * p->kernel[1]);

    b->src = pri_alloc_aligned(ctx, src);
    b->dst = pri_alloc_aligned(ctx, pixels * (size_t)p->out_channels * sizeof(float));
    b->scratch = pri_alloc_aligned(ctx, pri_conv_scratch(conv));
    b->weights = pri_alloc(ctx, weights, sizeof *b->weights);
    if (b->src == NULL || b->dst == NULL || b->scratch == NULL || b->weights == NULL)
        return PARE_ERROR_MEMORY;
    memset(b->src, 0, src);
    return PARE_OK;
}

static pare_status time_rounds(double *rate, pare_context *ctx, pri_conv *conv,
                               const pri_conv_problem *p, const buffers *b)
{
    PRI_TRY(pri_conv_pack(conv, b->weights, NULL, NULL, b->scratch));
    for (int round = 0; round < ROUNDS; round++) {
        const double start = pri_work_clock_s(ctx);
        PRI_TRY(pri_conv_forward(conv, b->src, b->dst, b->scratch));
        const double seconds = pri_work_clock_s(ctx) - start;
        if (seconds > 0 && macs_of(p) / seconds > *rate)
            *rate = macs_of(p) / seconds;
    }
    return PARE_OK;
}

/* Raises *rate to what this convolution reaches. */
static pare_status measure_macs(double *rate, pare_context *ctx, const pri_conv_problem *p)
{
    pri_conv *conv = NULL;
    buffers b = {0};

    PRI_TRY(pri_conv_make(&conv, ctx, p, PRI_CONV_FORWARD,
                          p->is_narrow ? PRI_CONV_BF16 : PRI_CONV_DIRECT));
    pare_status status = take(&b, ctx, p, conv);
    if (status == PARE_OK)
        status = time_rounds(rate, ctx, conv, p, &b);
    pri_conv_free(conv);
    pri_free(b.src);
    pri_free(b.dst);
    pri_free(b.scratch);
    pri_free(b.weights);
    return status;
}

/* `channels` to as many on images of 14 x 14. */
static pri_conv_problem dense(int64_t channels, int64_t kernel, int64_t batch, bool bf16)
{
    const int64_t pad = kernel / 2;

    return (pri_conv_problem){.spatial = 2,
                              .batch = batch,
                              .groups = 1,
                              .in_channels = channels,
                              .out_channels = channels,
                              .in = {14, 14},
                              .out = {14, 14},
                              .kernel = {kernel, kernel},
                              .stride = {1, 1},
                              .dilation = {1, 1},
                              .pad_begin = {pad, pad},
                              .pad_end = {pad, pad},
                              .layout = PRI_CHANNELS_LAST,
                              .is_narrow = bf16,
                              .src_type = bf16 ? PRI_BF16 : PRI_F32,
                              .dst_type = bf16 ? PRI_BF16 : PRI_F32,
                              .is_direct = true};
}

/* --- Memory --- */

static double measure_bytes(const pare_context *ctx, float *x, float *y, float *z)
{
    double rate = 0;

    for (int64_t i = 0; i < ARRAY_FLOATS; i++)
        x[i] = y[i] = 1; /* unwritten memory would be one page, read from a cache */
    for (int pass = -1; pass < PASSES; pass++) { /* the first one takes the pages */
        const double start = pri_work_clock_s(ctx);
#pragma omp parallel for schedule(static)
        for (int64_t i = 0; i < ARRAY_FLOATS; i++)
            z[i] = x[i] + y[i];
        const double seconds = pri_work_clock_s(ctx) - start;
        if (pass >= 0 && seconds > 0 && 3.0 * sizeof *z * ARRAY_FLOATS / seconds > rate)
            rate = 3.0 * sizeof *z * ARRAY_FLOATS / seconds;
    }
    return rate;
}

pare_status pri_measure_roofline(pri_roofline *out, pare_context *ctx, bool bf16)
{
    const pri_conv_problem problems[] = {dense(256, 3, 4, bf16), dense(512, 1, 8, bf16)};
    float *arrays[3];

    *out = (pri_roofline){0};
    for (size_t i = 0; i < PRI_COUNT(problems); i++)
        PRI_TRY(measure_macs(&out->macs, ctx, &problems[i]));
    for (int k = 0; k < 3; k++)
        arrays[k] = pri_alloc_aligned(ctx, ARRAY_FLOATS * sizeof *arrays[k]);
    const bool has_room = arrays[0] != NULL && arrays[1] != NULL && arrays[2] != NULL;
    if (has_room)
        out->bytes = measure_bytes(ctx, arrays[0], arrays[1], arrays[2]);
    for (int k = 0; k < 3; k++)
        pri_free(arrays[k]);
    return has_room ? PARE_OK : PARE_ERROR_MEMORY;
}
