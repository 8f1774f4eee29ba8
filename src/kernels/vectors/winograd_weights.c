/* SPDX-License-Identifier: Apache-2.0 */
/* winograd_weights.c - weights and their gradients; see winograd_tile.h. */
#include "kernels/vectors/winograd_tile.h"

#include "kernels/vectors/winograd_vector.h"

/* The kernels of input channel i and `count` output channels from o on, side by side. */
static void one_weight(float *u, int64_t place, const float *w, const float *scale, int64_t i,
                       int64_t o, const pri_winograd_order *order)
{
    float taken[9][PRI_LANES] = {{0}};
    pri_vec part[3][PRI_PATCH], of_row[3], r[PRI_PATCH];

    for (int64_t n = 0; n < PRI_LANES && o + n < order->out; n++) {
        const float *from = w + i * order->in_stride + (o + n) * order->out_stride;
        const float factor = scale == NULL ? 1 : scale[order->is_turned ? i : o + n];
        for (int k = 0; k < 9; k++)
            taken[order->is_turned ? 8 - k : k][n] = from[k] * factor;
    }
    for (int y = 0; y < 3; y++) {
        for (int x = 0; x < 3; x++)
            of_row[x] = pri_get(taken[3 * y + x]);
        pri_on_weights(part[y], of_row);
    }
    for (int x = 0; x < PRI_PATCH; x++) {
        for (int y = 0; y < 3; y++)
            of_row[y] = part[y][x];
        pri_on_weights(r, of_row);
        for (int y = 0; y < PRI_PATCH; y++)
            pri_put(u + (y * PRI_PATCH + x) * place, r[y]);
    }
}

static void turn(float *u, const float *w, const float *scale, const pri_winograd_order *order)
{
    const int64_t out = pri_filled(order->out, PRI_LANES),
                  place = pri_place_stride(order->in, out, PRI_LANES);

#pragma omp parallel for collapse(2) schedule(static) if (place > 4096)
    for (int64_t o = 0; o < out; o += PRI_LANES) {
        for (int64_t i = 0; i < order->in; i++) {
            const int64_t width = pri_block_width(out, o);
            one_weight(u + pri_block_at(order->in, o) + i * width + o % PRI_WIDTH, place, w, scale,
                       i, o, order);
        }
    }
}

/* Adds to `count` kernels, out_stride apart, what their sums give. */
static void add_kernels(float *w, int64_t out_stride, const float *sums, int64_t place, int count)
{
    pri_vec part[3][PRI_PATCH], of_column[PRI_PATCH], r[3];
    float given[9][PRI_LANES];

    for (int x = 0; x < PRI_PATCH; x++) {
        for (int y = 0; y < PRI_PATCH; y++)
            of_column[y] = pri_get(sums + (y * PRI_PATCH + x) * place);
        pri_on_sums(r, of_column);
        for (int y = 0; y < 3; y++)
            part[y][x] = r[y];
    }
    for (int y = 0; y < 3; y++) {
        pri_on_sums(r, part[y]);
        for (int x = 0; x < 3; x++)
            pri_put(given[3 * y + x], r[x]);
    }
    for (int o = 0; o < count; o++) {
        for (int k = 0; k < 9; k++)
            w[o * out_stride + k] += given[k][o];
    }
}

static void collect(float *w, const float *sums, int64_t in, int64_t out)
{
    const int64_t rows = pri_filled(in, PRI_LANES), filled = pri_filled(out, PRI_LANES);
    const int64_t place = pri_place_stride(rows, filled, PRI_LANES);

#pragma omp parallel for schedule(static) if (place > 4096)
    for (int64_t o = 0; o < out; o += PRI_LANES) {
        const int64_t width = pri_block_width(filled, o);
        const float *from = sums + pri_block_at(rows, o) + o % PRI_WIDTH;
        for (int64_t i = 0; i < in; i++)
            add_kernels(w + (o * in + i) * 9, in * 9, from + i * width, place,
                        (int)pri_min_i64(PRI_LANES, out - o));
    }
}

static void sum(float *bias, const float *z, int64_t tiles, int64_t out)
{
    const int64_t filled = pri_filled(out, PRI_LANES);

    for (int64_t o = 0; o < out; o += PRI_LANES) {
        pri_vec part = pri_zero();
        for (int64_t t = 0; t < tiles; t++)
            part = part + pri_get(z + t * filled + o);
        const pri_lane_set lanes = pri_lanes_of(out, o);
        pri_store(bias + o, false, 0, lanes, pri_load(bias + o, false, 0, lanes) + part);
    }
}

PRI_DEFINE_TABLE(pri_winograd_weights) = {turn, collect, sum};
