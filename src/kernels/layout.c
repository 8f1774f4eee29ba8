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

/* Of a matrix, from one on and up to before the other. */
typedef struct tile {
    int64_t row[2], column[2];
} tile;

enum { TILE_ROWS = 64, TILE_COLUMNS = 64 };

static inline void put(void *dst, int64_t to, const void *src, int64_t from, bool is_narrow,
                       bool add)
{
    if (is_narrow) {
        uint16_t *at = (uint16_t *)dst + to;
        const uint16_t value = ((const uint16_t *)src)[from];
        *at = add ? pri_f32_to_bf16(pri_bf16_to_f32(*at) + pri_bf16_to_f32(value)) : value;
    } else {
        float *at = (float *)dst + to;
        const float value = ((const float *)src)[from];
        *at = add ? *at + value : value;
    }
}

/* dst[c][r] (+)= src[r][c] in a tile, whose longer side goes fastest: what is short is a few
 * channels, and to write to all of them in turn would fall into one set of a cache. */
static inline void turn(void *dst, const void *src, int64_t rows, int64_t columns, tile t,
                        bool is_narrow, bool add)
{
    if (t.row[1] - t.row[0] >= t.column[1] - t.column[0]) {
        for (int64_t c = t.column[0]; c < t.column[1]; c++) {
            for (int64_t r = t.row[0]; r < t.row[1]; r++)
                put(dst, c * rows + r, src, r * columns + c, is_narrow, add);
        }
        return;
    }
    for (int64_t r = t.row[0]; r < t.row[1]; r++) {
        for (int64_t c = t.column[0]; c < t.column[1]; c++)
            put(dst, c * rows + r, src, r * columns + c, is_narrow, add);
    }
}

static void turn_tile(void *dst, const void *src, int64_t rows, int64_t columns, tile t,
                      bool is_narrow, bool add)
{
    if (is_narrow && add)
        turn(dst, src, rows, columns, t, true, true);
    else if (is_narrow)
        turn(dst, src, rows, columns, t, true, false);
    else if (add)
        turn(dst, src, rows, columns, t, false, true);
    else
        turn(dst, src, rows, columns, t, false, false);
}

void pri_layout_copy(void *dst, pri_layout to, const void *src, pri_layout from,
                     const pri_shape *shape, pri_dtype dtype, bool add)
{
    const pri_channels ch = pri_channels_of(shape, from);
    const int64_t rows = from == PRI_CHANNELS_LAST ? ch.inner : ch.channels;
    const int64_t columns = from == PRI_CHANNELS_LAST ? ch.channels : ch.inner;
    const size_t sample = (size_t)(rows * columns) * pri_dtype_bytes(dtype);

    (void)to;
#pragma omp parallel for collapse(2) schedule(static)
    for (int64_t n = 0; n < ch.outer; n++) {
        for (int64_t r = 0; r < rows; r += TILE_ROWS) {
            tile t = {.row = {r, pri_min_i64(r + TILE_ROWS, rows)}};
            for (int64_t c = 0; c < columns; c += TILE_COLUMNS) {
                t.column[0] = c;
                t.column[1] = pri_min_i64(c + TILE_COLUMNS, columns);
                turn_tile((unsigned char *)dst + (size_t)n * sample,
                          (const unsigned char *)src + (size_t)n * sample, rows, columns, t,
                          dtype == PRI_BF16, add);
            }
        }
    }
}
