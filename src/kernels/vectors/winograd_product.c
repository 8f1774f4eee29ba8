/* SPDX-License-Identifier: Apache-2.0 */
/*
 * winograd_product.c - small products in registers; see winograd_tile.h.
 *
 * 12 rows (AVX2: 6) by one or two vectors: sums stay in registers, each step loads the vectors and
 * multiplies them by one number of each row.
 */
#include "kernels/vectors/winograd_tile.h"

#include "kernels/vectors/winograd_vector.h"

enum { ROWS = PRI_REGISTERS == 32 ? 12 : 6 };

/* v: rows `stride` apart; u: `in` rows of `vectors`. */
PRI_INLINE void rows_by(float *m, int64_t m_stride, const float *v, int64_t stride, const float *u,
                        int64_t in, int vectors)
{
    pri_vec sum[ROWS][2];
    const float *v0 = v, *v3 = v + 3 * stride, *v6 = v + 6 * stride, *v9 = v + 9 * stride;

    PRI_UNROLL
    for (int r = 0; r < ROWS; r++)
        sum[r][0] = sum[r][1] = pri_zero();
    for (int64_t i = 0; i < in; i++, u += vectors * PRI_LANES) {
        const pri_vec first = pri_get(u);
        const pri_vec second = vectors > 1 ? pri_get(u + PRI_LANES) : first;
#define ROW(r, base, k)                                                                            \
    do {                                                                                           \
        const pri_vec x = pri_all(base[i + (k)*stride]);                                           \
        sum[r][0] = pri_fma(x, first, sum[r][0]);                                                  \
        if (vectors > 1)                                                                           \
            sum[r][1] = pri_fma(x, second, sum[r][1]);                                             \
    } while (0)
        ROW(0, v0, 0);
        ROW(1, v0, 1);
        ROW(2, v0, 2);
        ROW(3, v3, 0);
        ROW(4, v3, 1);
        ROW(5, v3, 2);
        if (ROWS > 6) {
            ROW(6, v6, 0);
            ROW(7, v6, 1);
            ROW(8, v6, 2);
            ROW(9, v9, 0);
            ROW(10, v9, 1);
            ROW(11, v9, 2);
        }
    }
    PRI_UNROLL
    for (int r = 0; r < ROWS; r++) {
        pri_put(m + r * m_stride, sum[r][0]);
        if (vectors > 1)
            pri_put(m + r * m_stride + PRI_LANES, sum[r][1]);
    }
}

static void inner(float *m, const float *v, const float *u, int64_t tiles, int64_t in, int64_t out)
{
    const int64_t v_stride = pri_filled(in, PRI_LANES), m_stride = pri_filled(out, PRI_LANES);

    for (int64_t o = 0; o < m_stride; o += PRI_WIDTH) {
        const float *block = u + pri_block_at(in, o);
        const bool is_wide = pri_block_width(m_stride, o) == PRI_WIDTH;
        for (int64_t t = 0; t < tiles; t += ROWS) {
            if (is_wide)
                rows_by(m + t * m_stride + o, m_stride, v + t * v_stride, v_stride, block, in, 2);
            else
                rows_by(m + t * m_stride + o, m_stride, v + t * v_stride, v_stride, block, in, 1);
        }
    }
}

enum { SIDE = PRI_REGISTERS == 32 ? 8 : 4 };

/* SIDE rows of u, `vectors` wide, over all tiles. */
PRI_INLINE void outer_by(float *u, const float *v, int64_t v_stride, const float *z,
                         int64_t z_stride, int64_t tiles, int vectors)
{
    const int64_t width = vectors * PRI_LANES;
    pri_vec sum[SIDE][2];

    PRI_UNROLL
    for (int r = 0; r < SIDE; r++) {
        sum[r][0] = pri_get(u + r * width);
        sum[r][1] = vectors > 1 ? pri_get(u + r * width + PRI_LANES) : sum[r][0];
    }
    for (int64_t t = 0; t < tiles; t++, v += v_stride, z += z_stride) {
        const pri_vec first = pri_get(z);
        const pri_vec second = vectors > 1 ? pri_get(z + PRI_LANES) : first;
        PRI_UNROLL
        for (int r = 0; r < SIDE; r++) {
            const pri_vec x = pri_all(v[r]);
            sum[r][0] = pri_fma(x, first, sum[r][0]);
            if (vectors > 1)
                sum[r][1] = pri_fma(x, second, sum[r][1]);
        }
    }
    PRI_UNROLL
    for (int r = 0; r < SIDE; r++) {
        pri_put(u + r * width, sum[r][0]);
        if (vectors > 1)
            pri_put(u + r * width + PRI_LANES, sum[r][1]);
    }
}

static void outer(float *u, const float *v, const float *z, int64_t tiles, int64_t in, int64_t out)
{
    const int64_t rows = pri_filled(in, PRI_LANES), z_stride = pri_filled(out, PRI_LANES);

    for (int64_t o = 0; o < z_stride; o += PRI_WIDTH) {
        const int64_t width = pri_block_width(z_stride, o);
        float *block = u + pri_block_at(rows, o);
        for (int64_t i = 0; i < rows; i += SIDE) {
            if (width == PRI_WIDTH)
                outer_by(block + i * width, v + i, rows, z + o, z_stride, tiles, 2);
            else
                outer_by(block + i * width, v + i, rows, z + o, z_stride, tiles, 1);
        }
    }
}

PRI_DEFINE_TABLE(pri_winograd_products) = {inner, outer};
