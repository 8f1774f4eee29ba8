/* SPDX-License-Identifier: Apache-2.0 */
/*
 * winograd_tile.h - what winograd.c does with one tile and with the weights, where there is
 * AVX-512. Shared by the winograd*.c files alone.
 */
#ifndef PRI_WINOGRAD_TILE_H
#define PRI_WINOGRAD_TILE_H

#include "kernels/dnn.h"
#include "kernels/vector512.h"

enum { PRI_PLACES = 36, PRI_TILE = 4, PRI_PATCH = 6 };

/* Widest block of output channels of packed weights: [place][block][in][width]. */
enum { PRI_WIDTH = 32, PRI_ROWS = 12 };

/* Floats from one place's weights of `in` rows to the next's: a line more than they take, so that
 * the places of one weight do not fall into one set of a cache. */
static inline int64_t pri_place_stride(int64_t in, int64_t out)
{
    return in * pri_filled(out) + PRI_LANES;
}

/* Where the block with output channel `out` begins in one place's weights of `in` rows. */
static inline int64_t pri_block_at(int64_t in, int64_t out)
{
    return out / PRI_WIDTH * PRI_WIDTH * in;
}

static inline int64_t pri_block_width(int64_t filled, int64_t out)
{
    return filled - out / PRI_WIDTH * PRI_WIDTH < PRI_WIDTH ? PRI_LANES : PRI_WIDTH;
}

/* Images of one size, channels-last: [image][row][column][channel]. */
typedef struct pri_patch {
    const void *data;
    void *written; /* what pri_winograd_give writes */
    pri_dtype dtype;
    int64_t height, width, channels;
} pri_patch;

/* Where the kernel from input i to output o stands; turned by half a turn: of the way back, where
 * inputs are the convolution's outputs. */
typedef struct pri_winograd_order {
    int64_t in, out, in_stride, out_stride;
    bool is_turned;
} pri_winograd_order;

/* u = G (scale w) G', in blocks, of all kernels, places pri_place_stride(in, out) apart. scale: of
 * the convolution's outputs; NULL: 1. */
void pri_winograd_weights(float *u, const float *w, const float *scale,
                          const pri_winograd_order *order);
/* v[place] = B' x B of the 6 x 6 pixels from (row, column) on, zero outside of the image; places
 * `stride` apart, channels filled up with zeros. */
void pri_winograd_take(float *v, int64_t stride, const pri_patch *from, int64_t image, int64_t row,
                       int64_t column);
/* z[place] = A y A' of the 4 x 4 pixels from (row, column) on. */
void pri_winograd_spread(float *z, int64_t stride, const pri_patch *from, int64_t image,
                         int64_t row, int64_t column);

/* What happens to outputs before they are written. */
typedef struct pri_winograd_finish {
    const float *bias; /* filled, or NULL */
    bool accumulates;  /* adds what is there */
    pri_post_kind post;
    float alpha, beta;
} pri_winograd_finish;

/* The 4 x 4 pixels from (row, column) on, as far as they are in the image, = A' m A. */
void pri_winograd_give(const pri_patch *to, int64_t image, int64_t row, int64_t column,
                       const float *m, int64_t stride, const pri_winograd_finish *finish);
/* w[o][i] += G' sums G, from blocks with filled(in) rows, places pri_place_stride(filled(in), out)
 * apart. */
void pri_winograd_gradient(float *w, const float *sums, int64_t in, int64_t out);
/* bias[o] += sum of channel o over `batch` images. */
void pri_winograd_sum(float *bias, const pri_patch *y, int64_t batch);

/* m[t][o] = sum over i < in of v[t][i] u[i][o] for t < tiles: v rows of filled(in), m rows of
 * filled(out), u in blocks. tiles is a multiple of PRI_ROWS. */
void pri_winograd_product(float *m, const float *v, const float *u, int64_t tiles, int64_t in,
                          int64_t out);
/* u[i][o] += sum over t < tiles of v[t][i] z[t][o], with i < filled(in). */
void pri_winograd_outer(float *u, const float *v, const float *z, int64_t tiles, int64_t in,
                        int64_t out);

#endif
