/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pointwise_weights.c - see pointwise_weights.h.
 *
 * Positions are cut into parts, whose number depends on the shape alone, and these into blocks.
 * Sums of parts are added up in double and in order, so that threads do not change them.
 */
#include "kernels/pointwise_weights.h"

#include <string.h>

#include "kernels/narrow.h"
#include "kernels/pointwise.h"
#include "kernels/vectors/pointwise_sums.h"

enum { MOST_PARTS = 16, LEAST_POSITIONS = 512 };
/* Bytes of a block of both tensors: of the first cache, which has 48 KB or 32 (most processors
 * without AVX-512: Zen 3, 24 to 144 channels at 32 x 32, 4.9 ms instead of 5.6). */
enum { BLOCK_BYTES = 24 * 1024, BLOCK_BYTES_AVX2 = 12 * 1024 };
/* Sapphire Rapids, batch 32, gradients of weights: 16 to 96 channels at 64 x 64 pixels take half of
 * oneDNN's time, 24 to 144 at 32 x 32 two thirds, 32 to 144 at 16 x 16 as long, more are slower.
 * With AVX2 the alternative is BLAS (gathered.h): MobileNetV2 on Zen 3, 32 to 192 at 16 x 16, both
 * gradients in 5.8 ms instead of 7.3. */
enum { MOST_WEIGHTS = 4096, MOST_WEIGHTS_AVX2 = 8192 };

bool pri_pointwise_weights_suits(const pri_conv_problem *p)
{
    return pri_is_pointwise(p) && p->in_channels * p->out_channels <=
                                      (pri_lanes() == 8 ? MOST_WEIGHTS_AVX2 : MOST_WEIGHTS);
}

static int64_t parts_of(const pri_conv_problem *p)
{
    return pri_max_i64(1, pri_min_i64(MOST_PARTS, pri_pointwise_positions(p) / LEAST_POSITIONS));
}

static int64_t filled_of(const pri_conv_problem *p)
{
    return pri_filled(pri_max_i64(p->in_channels, p->out_channels), pri_lanes());
}

/* Floats of the sums of one part, [slim][filled], and of the bias. */
static int64_t part_floats(const pri_conv_problem *p)
{
    return pri_min_i64(p->in_channels, p->out_channels) * filled_of(p) +
           pri_filled(p->out_channels, pri_lanes());
}

size_t pri_pointwise_weights_scratch(const pri_conv_problem *p)
{
    return (size_t)(parts_of(p) * part_floats(p)) * sizeof(float);
}

/* sums += the rows of `channels` floats. */
static void sum_bias(float *sums, const float *rows, int64_t count, int64_t channels)
{
    for (int64_t at = 0; at < count; at++)
        pri_add_piece(sums, rows + at * channels, channels);
}

/* Positions from .. end-1 of all. */
static void sum_part(float *sums, const pri_conv_problem *p, const float *src,
                     const float *diff_dst, const int64_t range[2], bool has_bias)
{
    const int64_t in = p->in_channels, out = p->out_channels;
    const bool is_out_wide = out >= in;
    const int64_t bytes = pri_lanes() == 8 ? BLOCK_BYTES_AVX2 : BLOCK_BYTES;
    const int64_t most = pri_max_i64(8, bytes / ((in + out) * (int64_t)sizeof(float)));
    float *bias = sums + pri_min_i64(in, out) * filled_of(p);

    memset(sums, 0, (size_t)part_floats(p) * sizeof *sums);
    for (int64_t at = range[0]; at < range[1]; at += most) {
        const float *x = src + at * in, *g = diff_dst + at * out;
        const int64_t count = pri_min_i64(most, range[1] - at);
        const pri_pointwise_block block = {
            .wide = is_out_wide ? g : x,
            .slim = is_out_wide ? x : g,
            .wide_channels = pri_max_i64(in, out),
            .slim_channels = pri_min_i64(in, out),
            .filled = filled_of(p),
            .count = count,
            .ahead = pri_min_i64(count, pri_pointwise_positions(p) - at - count)};
        PRI_TABLE(pri_pointwise_sums)->add(sums, &block);
        if (has_bias)
            sum_bias(bias, g, count, out);
    }
}

static float sum_at(const pri_conv_problem *p, const float *sums, int64_t at)
{
    double sum = 0;

    for (int64_t part = 0; part < parts_of(p); part++)
        sum += (double)sums[part * part_floats(p) + at];
    return (float)sum;
}

void pri_pointwise_weights_run(const pri_conv_problem *p, const float *src, const float *diff_dst,
                               float *diff_weights, float *diff_bias, void *scratch)
{
    const int64_t in = p->in_channels, out = p->out_channels, filled = filled_of(p);
    const int64_t parts = parts_of(p), positions = pri_pointwise_positions(p);
    const float *bias = (const float *)scratch + pri_min_i64(in, out) * filled;
    float *sums = scratch;

#pragma omp parallel for schedule(static)
    for (int64_t part = 0; part < parts; part++) {
        const int64_t range[2] = {positions * part / parts, positions * (part + 1) / parts};
        sum_part(sums + part * part_floats(p), p, src, diff_dst, range, diff_bias != NULL);
    }
    for (int64_t k = 0; k < in * out && diff_weights != NULL; k++) {
        const int64_t o = k / in, i = k % in;
        diff_weights[k] += sum_at(p, sums, out >= in ? i * filled + o : o * filled + i);
    }
    for (int64_t o = 0; o < out && diff_bias != NULL; o++)
        diff_bias[o] += sum_at(p, bias, o);
}
