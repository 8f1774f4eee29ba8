/* SPDX-License-Identifier: Apache-2.0 */
/*
 * winograd_tile.h - what winograd.c does with one tile and with the weights. Shared by the
 * winograd*.c files alone. `filled` is in whole vectors.
 *
 * Transformed weights lie in blocks of two vectors of output channels, the last of one vector where
 * the vectors are odd in number: [place][block][in][width].
 */
#ifndef PRI_WINOGRAD_TILE_H
#define PRI_WINOGRAD_TILE_H

#include "kernels/dnn.h"
#include "kernels/lanes.h"

enum { PRI_PLACES = 36, PRI_TILE = 4, PRI_PATCH = 6 };

/* Where A y A' holds the sum of all of y: the point 1 in both directions. */
enum { PRI_SUM_PLACE = PRI_PATCH + 1 };

/* Tiles come in multiples of this to the products; floats of a line of a cache. */
enum { PRI_ROWS = 12, PRI_LINE = 16 };

/* Floats from one place's weights of `in` rows to the next's: a line more than they take, so that
 * the places of one weight do not fall into one set of a cache. */
static inline int64_t pri_place_stride(int64_t in, int64_t out, int lanes)
{
    return in * pri_filled(out, lanes) + PRI_LINE;
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

/* What happens to outputs before they are written. */
typedef struct pri_winograd_finish {
    const float *bias; /* filled, or NULL */
    bool accumulates;  /* adds what is there */
    pri_post_kind post;
    float alpha, beta;
} pri_winograd_finish;

/* The first pixel of a tile: (row, column) of an image; may be outside. */
typedef struct pri_corner {
    int64_t image, row, column;
} pri_corner;

/* `at` is a tile's corner, `ahead` that of one some tiles later, whose memory is asked for; it may
 * be of an image that is not there. */
typedef struct pri_winograd_tiles {
    /* v[place] = B' x B of the 6 x 6 pixels from the corner on, zero outside of the image; places
     * `stride` apart, channels filled up with zeros. */
    void (*take)(float *v, int64_t stride, const pri_patch *from, pri_corner at, pri_corner ahead);
    /* z[place] = A y A' of the 4 x 4 pixels from the corner on. */
    void (*spread)(float *z, int64_t stride, const pri_patch *from, pri_corner at,
                   pri_corner ahead);
    /* The 4 x 4 pixels from the corner on, as far as they are in the image, = A' m A. */
    void (*give)(const pri_patch *to, pri_corner at, pri_corner ahead, const float *m,
                 int64_t stride, const pri_winograd_finish *finish);
} pri_winograd_tiles;
PRI_DECLARE_TABLE(pri_winograd_tiles);

typedef struct pri_winograd_weights {
    /* u = G (scale w) G', in blocks, of all kernels, places pri_place_stride(in, out) apart. scale:
     * of the convolution's outputs; NULL: 1. */
    void (*turn)(float *u, const float *w, const float *scale, const pri_winograd_order *order);
    /* w[o][i] += G' sums G, from blocks with filled(in) rows, places pri_place_stride(filled(in),
     * out) apart. */
    void (*collect)(float *w, const float *sums, int64_t in, int64_t out);
    /* bias[o] += sum over t < tiles of z[t][o], rows of filled(out). */
    void (*sum)(float *bias, const float *z, int64_t tiles, int64_t out);
} pri_winograd_weights;
PRI_DECLARE_TABLE(pri_winograd_weights);

typedef struct pri_winograd_products {
    /* m[t][o] = sum over i < in of v[t][i] u[i][o] for t < tiles: v rows of filled(in), m rows of
     * filled(out), u in blocks. tiles is a multiple of PRI_ROWS. */
    void (*inner)(float *m, const float *v, const float *u, int64_t tiles, int64_t in, int64_t out);
    /* u[i][o] += sum over t < tiles of v[t][i] z[t][o], with i < filled(in). */
    void (*outer)(float *u, const float *v, const float *z, int64_t tiles, int64_t in, int64_t out);
} pri_winograd_products;
PRI_DECLARE_TABLE(pri_winograd_products);

#endif
