/* SPDX-License-Identifier: Apache-2.0 */
/* layout.c - strides of a layout, and copying between layouts. */
#include "kernels/layout.h"

#include <string.h>

#include "kernels/narrow.h"

pri_channels pri_channels_of(const pri_shape *shape, pri_layout layout)
{
    pri_channels out = {.outer = shape->dims[0],
                        .channels = shape->dims[1],
                        .inner = pri_shape_span(shape, 2, shape->rank)};

    out.channel_stride = layout == PRI_CHANNELS_LAST ? 1 : out.inner;
    out.inner_stride = layout == PRI_CHANNELS_LAST ? out.channels : 1;
    return out;
}

void pri_layout_strides(int64_t strides[PRI_MAX_RANK], const pri_shape *shape, pri_layout layout)
{
    pri_shape_strides(strides, shape);
    if (layout != PRI_CHANNELS_LAST || shape->rank < 3)
        return;
    strides[1] = 1;
    int64_t stride = shape->dims[1];
    for (int k = shape->rank - 1; k >= 2; k--) {
        strides[k] = stride;
        stride *= shape->dims[k];
    }
    strides[0] = stride;
}

enum { TILE = 32 };

/* dst[c][r] (+)= src[r][c] for one sample, rows from .. to-1, in tiles that stay in cache. */
static void transpose(float *dst, const float *src, int64_t rows, int64_t columns, int64_t from,
                      int64_t to, bool add)
{
    for (int64_t c0 = 0; c0 < columns; c0 += TILE) {
        const int64_t c1 = pri_min_i64(c0 + TILE, columns);
        for (int64_t r = from; r < to; r++) {
            for (int64_t c = c0; c < c1; c++) {
                if (add)
                    dst[c * rows + r] += src[r * columns + c];
                else
                    dst[c * rows + r] = src[r * columns + c];
            }
        }
    }
}

static void transpose_narrow(uint16_t *dst, const uint16_t *src, int64_t rows, int64_t columns,
                             int64_t from, int64_t to, bool add)
{
    for (int64_t r = from; r < to; r++) {
        for (int64_t c = 0; c < columns; c++) {
            uint16_t *at = &dst[c * rows + r];
            const uint16_t value = src[r * columns + c];
            *at = add ? pri_f32_to_bf16(pri_bf16_to_f32(*at) + pri_bf16_to_f32(value)) : value;
        }
    }
}

void pri_layout_copy(void *dst, pri_layout to, const void *src, pri_layout from,
                     const pri_shape *shape, pri_dtype dtype, bool add)
{
    const pri_channels ch = pri_channels_of(shape, from);
    const int64_t rows = from == PRI_CHANNELS_LAST ? ch.inner : ch.channels;
    const int64_t columns = from == PRI_CHANNELS_LAST ? ch.channels : ch.inner;
    const int64_t tiles = (rows + TILE - 1) / TILE;

    (void)to;
#pragma omp parallel for collapse(2) schedule(static)
    for (int64_t n = 0; n < ch.outer; n++) {
        for (int64_t t = 0; t < tiles; t++) {
            const int64_t first = n * rows * columns, end = pri_min_i64((t + 1) * TILE, rows);
            if (dtype == PRI_BF16)
                transpose_narrow((uint16_t *)dst + first, (const uint16_t *)src + first, rows,
                                 columns, t * TILE, end, add);
            else
                transpose((float *)dst + first, (const float *)src + first, rows, columns, t * TILE,
                          end, add);
        }
    }
}
