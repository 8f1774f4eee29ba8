/* SPDX-License-Identifier: Apache-2.0 */
/* layout.c - strides of a layout, and copying between layouts. */
#include "kernels/layout.h"

#include <string.h>

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

/* dst[c][r] (+)= src[r][c] for one sample, in tiles that stay in cache. */
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

void pri_layout_copy(void *dst, pri_layout to, const void *src, pri_layout from,
                     const pri_shape *shape, bool add)
{
    const pri_channels ch = pri_channels_of(shape, from);
    const int64_t rows = from == PRI_CHANNELS_LAST ? ch.inner : ch.channels;
    const int64_t columns = from == PRI_CHANNELS_LAST ? ch.channels : ch.inner;
    const int64_t tiles = (rows + TILE - 1) / TILE;
    float *out = dst;
    const float *in = src;

    (void)to;
#pragma omp parallel for collapse(2) schedule(static)
    for (int64_t n = 0; n < ch.outer; n++) {
        for (int64_t t = 0; t < tiles; t++) {
            const int64_t first = n * rows * columns;
            transpose(out + first, in + first, rows, columns, t * TILE,
                      pri_min_i64((t + 1) * TILE, rows), add);
        }
    }
}

size_t pri_blocked_bytes(int64_t batch, int64_t channels, int64_t positions)
{
    const int64_t blocks = (channels + PRI_BLOCK - 1) / PRI_BLOCK;

    return (size_t)(batch * blocks * positions * PRI_BLOCK) * sizeof(float);
}

/* One image's channels from..from+15 of all positions, or fewer where channels end. */
static void block_one(float *to, const float *from, int64_t channels, int64_t positions,
                      int64_t count)
{
    for (int64_t p = 0; p < positions && count == PRI_BLOCK; p++)
        memcpy(to + p * PRI_BLOCK, from + p * channels, PRI_BLOCK * sizeof *to);
    for (int64_t p = 0; p < positions && count < PRI_BLOCK; p++) {
        for (int64_t c = 0; c < PRI_BLOCK; c++)
            to[p * PRI_BLOCK + c] = c < count ? from[p * channels + c] : 0;
    }
}

static void unblock_one(float *to, const float *from, int64_t channels, int64_t positions,
                        int64_t count)
{
    for (int64_t p = 0; p < positions && count == PRI_BLOCK; p++)
        memcpy(to + p * channels, from + p * PRI_BLOCK, PRI_BLOCK * sizeof *to);
    for (int64_t p = 0; p < positions && count < PRI_BLOCK; p++) {
        for (int64_t c = 0; c < count; c++)
            to[p * channels + c] = from[p * PRI_BLOCK + c];
    }
}

void pri_block_channels(float *to, const float *from, int64_t batch, int64_t channels,
                        int64_t positions)
{
    const int64_t blocks = (channels + PRI_BLOCK - 1) / PRI_BLOCK;

#pragma omp parallel for schedule(static) if (batch * channels * positions > 16384)
    for (int64_t i = 0; i < batch * blocks; i++) {
        const int64_t c = i % blocks * PRI_BLOCK;
        block_one(to + i * positions * PRI_BLOCK, from + i / blocks * positions * channels + c,
                  channels, positions, pri_min_i64(PRI_BLOCK, channels - c));
    }
}

void pri_unblock_channels(float *to, const float *from, int64_t batch, int64_t channels,
                          int64_t positions)
{
    const int64_t blocks = (channels + PRI_BLOCK - 1) / PRI_BLOCK;

#pragma omp parallel for schedule(static) if (batch * channels * positions > 16384)
    for (int64_t i = 0; i < batch * blocks; i++) {
        const int64_t c = i % blocks * PRI_BLOCK;
        unblock_one(to + i / blocks * positions * channels + c, from + i * positions * PRI_BLOCK,
                    channels, positions, pri_min_i64(PRI_BLOCK, channels - c));
    }
}
