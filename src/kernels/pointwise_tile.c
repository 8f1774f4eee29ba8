/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pointwise_tile.c - see pointwise_tile.h.
 *
 * A tile of up to 3 vectors of outputs by 8 positions (1 by 16) stays in registers over all inputs;
 * the tiles of the same positions follow each other, while weights and inputs stay in the first
 * cache. Rows are read and written in the order of addresses, and so they are asked for, STEP
 * inputs at a time: the tile's share of what lies AHEAD.
 */
#include "kernels/pointwise_tile.h"

#include "kernels/vector512.h"

#ifdef PRI_BUILDS_AVX512
enum { VECTORS = 3, TALL = PRI_POINTWISE_ROWS, SHORT = 8, STEP = 8 };
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
    __mmask16 lanes;
} place;

PRI_AVX512_INLINE __m512 finished(__m512 y, const rows *r)
{
    if (r->post == PRI_POST_RELU)
        return pri_leaky(y, r->alpha);
    if (r->post == PRI_POST_CLIP)
        return pri_clipped(y, _mm512_set1_ps(r->alpha), _mm512_set1_ps(r->beta));
    return y;
}

/* Asks for the inputs that lie ahead, once for all tiles of these positions: as much of them as
 * inputs k .. k+STEP-1 are of the tile's. */
PRI_AVX512_INLINE void fetch(const rows *r, place p, int64_t k, shape by)
{
    const uintptr_t x = (uintptr_t)(r->x + p.at * r->from + k * by.rows) + READ_AHEAD;

    if (p.v != 0)
        return;
    PRI_UNROLL
    for (int line = 0; line < by.rows * STEP * (int)sizeof(float); line += LINE)
        _mm_prefetch((const char *)(x + (uintptr_t)line), _MM_HINT_T0);
}

PRI_AVX512_INLINE void add_input(__m512 sum[TALL][VECTORS], const rows *r, const float *x,
                                 const float *w, shape by)
{
    __m512 weights[VECTORS];

    PRI_UNROLL
    for (int v = 0; v < by.vectors; v++)
        weights[v] = _mm512_loadu_ps(w + v * PRI_LANES);
    PRI_UNROLL
    for (int t = 0; t < by.rows; t++) {
        const __m512 input = _mm512_set1_ps(x[t * r->from]);
        PRI_UNROLL
        for (int v = 0; v < by.vectors; v++)
            sum[t][v] = _mm512_fmadd_ps(input, weights[v], sum[t][v]);
    }
}

PRI_AVX512_INLINE void give(const rows *r, place p, __m512 sum[TALL][VECTORS], shape by)
{
    PRI_UNROLL
    for (int t = 0; t < by.rows; t++) {
        float *y = r->y + (p.at + t) * r->to + p.v;
        PRI_UNROLL
        for (int v = 0; v < by.vectors; v++) {
            const __m512 result = finished(sum[t][v], r);
            if (r->streams)
                _mm512_stream_ps(y + v * PRI_LANES, result);
            else
                _mm512_mask_storeu_ps(y + v * PRI_LANES, v == by.vectors - 1 ? p.lanes : 0xffff,
                                      result);
        }
    }
}

PRI_AVX512_INLINE void run_tile(const rows *r, place p, shape by)
{
    const float *x = r->x + p.at * r->from, *w = r->weights + p.v;
    const int64_t bytes = by.rows * by.vectors * LINE;
    const uintptr_t step = r->streams ? 0 : (uintptr_t)(bytes * STEP / r->from);
    uintptr_t claimed = (uintptr_t)(r->y + p.at * r->to + p.v * by.rows) + WRITE_AHEAD;
    uintptr_t until = claimed;
    __m512 sum[TALL][VECTORS];
    int64_t k = 0;

    PRI_UNROLL
    for (int t = 0; t < by.rows; t++) {
        PRI_UNROLL
        for (int v = 0; v < by.vectors; v++)
            sum[t][v] = _mm512_loadu_ps(r->bias + p.v + v * PRI_LANES);
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
    PRI_AVX512 static void name(const rows *r, place p)                                            \
    {                                                                                              \
        run_tile(r, p, (shape){vectors, height});                                                  \
    }
TILE(run_16_by_1, 1, TALL)
TILE(run_8_by_1, 1, SHORT)
TILE(run_8_by_2, 2, SHORT)
TILE(run_8_by_3, 3, SHORT)
TILE(run_1_by_1, 1, 1)
TILE(run_1_by_2, 2, 1)
TILE(run_1_by_3, 3, 1)

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

PRI_AVX512 void pri_pointwise_multiply(const pri_pointwise_rows *r)
{
    static void (*const eight[VECTORS])(const rows *, place) = {run_8_by_1, run_8_by_2, run_8_by_3};
    static void (*const single[VECTORS])(const rows *, place) = {run_1_by_1, run_1_by_2,
                                                                 run_1_by_3};
    int64_t at = 0;

    for (; r->filled == PRI_LANES && at + TALL <= r->count; at += TALL)
        run_16_by_1(r, (place){at, 0, pri_lanes_of(r->to, 0)});
    for (; at + SHORT <= r->count; at += SHORT)
        run_outputs(r, at, eight);
    for (; at < r->count; at++)
        run_outputs(r, at, single);
    if (r->streams)
        _mm_sfence();
}
#else
void pri_pointwise_multiply(const pri_pointwise_rows *rows)
{
    (void)rows;
}
#endif
