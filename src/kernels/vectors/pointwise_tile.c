/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pointwise_tile.c - see pointwise_tile.h.
 *
 * A tile of up to 3 vectors of outputs by 8 positions (1 by 16; AVX2: 4, 8) stays in registers over
 * all inputs; the tiles of the same positions follow each other, while weights and inputs stay in
 * the first cache. Rows are read and written in the order of addresses, and so they are asked for,
 * STEP inputs at a time: the tile's share of what lies AHEAD.
 */
#include "kernels/vectors/pointwise_tile.h"

#include <assert.h>

#include "kernels/vectors/vector.h"

enum { VECTORS = 3, TALL = PRI_REGISTERS / 2, SHORT = TALL / 2, STEP = 8 };
static_assert(PRI_POINTWISE_ROWS % TALL == 0, "blocks are whole tiles");
/* Bytes. Addresses beyond the arrays may be asked for: that does no harm. Sapphire Rapids, batch
 * 32, 16 to 96 channels at 64 x 64 and back: 6.1 and 6.3 ms, 2048 bytes ahead 7.3 and 8.6. */
enum { READ_AHEAD = 4096, WRITE_AHEAD = 4096 };
enum { LINE = 64 };

typedef pri_pointwise_rows rows;

/* What the compiler knows of a tile. */
typedef struct shape {
    int vectors, rows;
} shape;

/* Outputs from v on, the last vector of which has `lanes`, of the positions from `at` on. */
typedef struct place {
    int64_t at, v;
    pri_lane_set lanes;
} place;

PRI_INLINE pri_vec finished(pri_vec y, const rows *r)
{
    if (r->post == PRI_POST_RELU)
        return pri_leaky(y, r->alpha);
    if (r->post == PRI_POST_CLIP)
        return pri_clipped(y, pri_all(r->alpha), pri_all(r->beta));
    return y;
}

/* Asks for the inputs that lie ahead, once for all tiles of these positions: as much of them as
 * inputs k .. k+STEP-1 are of the tile's. */
PRI_INLINE void fetch(const rows *r, place p, int64_t k, shape by)
{
    const uintptr_t x = (uintptr_t)(r->x + p.at * r->from + k * by.rows) + READ_AHEAD;

    if (p.v != 0)
        return;
    PRI_UNROLL
    for (int line = 0; line < by.rows * STEP * (int)sizeof(float); line += LINE)
        _mm_prefetch((const char *)(x + (uintptr_t)line), _MM_HINT_T0);
}

PRI_INLINE void add_input(pri_vec sum[TALL][VECTORS], const rows *r, const float *x, const float *w,
                          shape by)
{
    pri_vec weights[VECTORS];

    PRI_UNROLL
    for (int v = 0; v < by.vectors; v++)
        weights[v] = pri_get(w + v * PRI_LANES);
    PRI_UNROLL
    for (int t = 0; t < by.rows; t++) {
        const pri_vec input = pri_all(x[t * r->from]);
        PRI_UNROLL
        for (int v = 0; v < by.vectors; v++)
            sum[t][v] = pri_fma(input, weights[v], sum[t][v]);
    }
}

PRI_INLINE void give(const rows *r, place p, pri_vec sum[TALL][VECTORS], shape by)
{
    PRI_UNROLL
    for (int t = 0; t < by.rows; t++) {
        float *y = r->y + (p.at + t) * r->to + p.v;
        PRI_UNROLL
        for (int v = 0; v < by.vectors; v++) {
            const pri_vec result = finished(sum[t][v], r);
            if (r->streams)
                pri_stream(y, false, v * PRI_LANES, result);
            else
                pri_store(y, false, v * PRI_LANES, v == by.vectors - 1 ? p.lanes : PRI_ALL, result);
        }
    }
}

PRI_INLINE void run_tile(const rows *r, place p, shape by)
{
    const float *x = r->x + p.at * r->from, *w = r->weights + p.v;
    const int64_t bytes = by.rows * by.vectors * PRI_LANES * (int64_t)sizeof(float);
    const uintptr_t step = r->streams ? 0 : (uintptr_t)(bytes * STEP / r->from);
    uintptr_t claimed = (uintptr_t)(r->y + p.at * r->to + p.v * by.rows) + WRITE_AHEAD;
    uintptr_t until = claimed;
    pri_vec sum[TALL][VECTORS];
    int64_t k = 0;

    PRI_UNROLL
    for (int t = 0; t < by.rows; t++) {
        PRI_UNROLL
        for (int v = 0; v < by.vectors; v++)
            sum[t][v] = pri_get(r->bias + p.v + v * PRI_LANES);
    }
    for (; k + STEP <= r->from; k += STEP) {
        fetch(r, p, k, by);
        until += step;
        for (; claimed < until; claimed += LINE)
            __builtin_prefetch((const void *)claimed, 1);
        for (int64_t i = k; i < k + STEP; i++)
            add_input(sum, r, x + i, w + i * r->filled, by);
    }
    for (; k < r->from; k++)
        add_input(sum, r, x + k, w + k * r->filled, by);
    give(r, p, sum, by);
}

#define TILE(name, vectors, height)                                                                \
    static void name(const rows *r, place p)                                                       \
    {                                                                                              \
        run_tile(r, p, (shape){vectors, height});                                                  \
    }
TILE(run_tall, 1, TALL)
TILE(run_short_1, 1, SHORT)
TILE(run_short_2, 2, SHORT)
TILE(run_short_3, 3, SHORT)
TILE(run_single_1, 1, 1)
TILE(run_single_2, 2, 1)
TILE(run_single_3, 3, 1)

/* All outputs of the positions from `at` on, by the tiles of one height. */
static void run_outputs(const rows *r, int64_t at,
                        void (*const tiles[VECTORS])(const rows *, place))
{
    int64_t left = r->filled / PRI_LANES;

    for (int64_t v = 0; left > 0;) {
        const int64_t vectors = left == 4 ? 2 : pri_min_i64(left, VECTORS);
        const int64_t last = v + (vectors - 1) * PRI_LANES;
        tiles[vectors - 1](r, (place){at, v, pri_lanes_of(r->to, last)});
        v += vectors * PRI_LANES;
        left -= vectors;
    }
}

static void multiply(const pri_pointwise_rows *r)
{
    static void (*const several[VECTORS])(const rows *, place) = {run_short_1, run_short_2,
                                                                  run_short_3};
    static void (*const single[VECTORS])(const rows *, place) = {run_single_1, run_single_2,
                                                                 run_single_3};
    int64_t at = 0;

    for (; r->filled == PRI_LANES && at + TALL <= r->count; at += TALL)
        run_tall(r, (place){at, 0, pri_lanes_of(r->to, 0)});
    for (; at + SHORT <= r->count; at += SHORT)
        run_outputs(r, at, several);
    for (; at < r->count; at++)
        run_outputs(r, at, single);
    if (r->streams)
        _mm_sfence();
}

PRI_DEFINE_TABLE(pri_pointwise_tiles) = {multiply};
