/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pointwise_sums.c - see pointwise_sums.h.
 *
 * Tiles of up to 3 vectors of one tensor by 8 channels of the other (AVX2: 4) stay in registers
 * over a block of positions that stays in the first cache; meanwhile the next block is fetched.
 */
#include "kernels/vectors/pointwise_sums.h"
#include "kernels/vectors/vector.h"

enum { VECTORS = 3, SCALARS = PRI_REGISTERS / 4 };

/* What the compiler knows of a tile. */
typedef struct shape {
    int vectors, scalars;
} shape;

/* Asks for the tile's share of position `position` after the block's. */
PRI_INLINE void fetch(const pri_pointwise_block *b, int64_t position, int64_t v, int64_t s,
                      shape by)
{
    const int64_t at = b->count + position;

    if (s == 0) {
        PRI_UNROLL
        for (int byte = 0; byte < by.vectors * PRI_LANES * 4; byte += 64)
            _mm_prefetch((const char *)(b->wide + at * b->wide_channels + v) + byte, _MM_HINT_T1);
    }
    if (v == 0)
        _mm_prefetch((const char *)(b->slim + at * b->slim_channels + s), _MM_HINT_T1);
}

/* Vectors from v on, the last of which has `lanes`, by channels from s on. */
PRI_INLINE void sum_tile(float *sums, const pri_pointwise_block *b, int64_t v, int64_t s,
                         pri_lane_set lanes, shape by)
{
    pri_vec sum[SCALARS][VECTORS];

    PRI_UNROLL
    for (int i = 0; i < by.scalars; i++) {
        PRI_UNROLL
        for (int k = 0; k < by.vectors; k++)
            sum[i][k] = pri_zero();
    }
    for (int64_t at = 0; at < b->count; at++) {
        const float *wide = b->wide + at * b->wide_channels + v;
        const float *slim = b->slim + at * b->slim_channels + s;
        pri_vec x[VECTORS];
        if (at < b->ahead)
            fetch(b, at, v, s, by);
        PRI_UNROLL
        for (int k = 0; k < by.vectors; k++)
            x[k] =
                pri_load_masked(wide, false, k * PRI_LANES, k == by.vectors - 1 ? lanes : PRI_ALL);
        PRI_UNROLL
        for (int i = 0; i < by.scalars; i++) {
            const pri_vec y = pri_all(slim[i]);
            PRI_UNROLL
            for (int k = 0; k < by.vectors; k++)
                sum[i][k] = pri_fma(x[k], y, sum[i][k]);
        }
    }
    PRI_UNROLL
    for (int i = 0; i < by.scalars; i++) {
        PRI_UNROLL
        for (int k = 0; k < by.vectors; k++) {
            float *to = sums + (s + i) * b->filled + v + k * PRI_LANES;
            pri_put(to, pri_get(to) + sum[i][k]);
        }
    }
}

PRI_INLINE void sum_vectors(float *sums, const pri_pointwise_block *b, int64_t v, int vectors)
{
    const int64_t last = v + (vectors - 1) * PRI_LANES;
    const pri_lane_set lanes = pri_lanes_of(b->wide_channels, last);
    int64_t s = 0;

    for (; s + SCALARS <= b->slim_channels; s += SCALARS)
        sum_tile(sums, b, v, s, lanes, (shape){vectors, SCALARS});
    for (; s + 3 <= b->slim_channels; s += 3)
        sum_tile(sums, b, v, s, lanes, (shape){vectors, 3});
    for (; s < b->slim_channels; s++)
        sum_tile(sums, b, v, s, lanes, (shape){vectors, 1});
}

static void sum_three(float *sums, const pri_pointwise_block *b, int64_t v)
{
    sum_vectors(sums, b, v, 3);
}

static void sum_two(float *sums, const pri_pointwise_block *b, int64_t v)
{
    sum_vectors(sums, b, v, 2);
}

static void sum_one(float *sums, const pri_pointwise_block *b, int64_t v)
{
    sum_vectors(sums, b, v, 1);
}

static void add(float *sums, const pri_pointwise_block *b)
{
    static void (*const by[VECTORS])(float *, const pri_pointwise_block *,
                                     int64_t) = {sum_one, sum_two, sum_three};
    int64_t left = b->filled / PRI_LANES;

    for (int64_t v = 0; left > 0;) {
        const int64_t vectors = left == 4 ? 2 : pri_min_i64(left, VECTORS);
        by[vectors - 1](sums, b, v);
        v += vectors * PRI_LANES;
        left -= vectors;
    }
}

PRI_DEFINE_TABLE(pri_pointwise_sums) = {add};
