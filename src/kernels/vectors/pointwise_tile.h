/* SPDX-License-Identifier: Apache-2.0 */
/* pointwise_tile.h - products of positions and weights, for pointwise_product.c alone. */
#ifndef PRI_POINTWISE_TILE_H
#define PRI_POINTWISE_TILE_H

#include "kernels/dnn.h"
#include "kernels/lanes.h"

/* Positions that are computed at once at most; parts of all are best multiples of it. */
enum { PRI_POINTWISE_ROWS = 16 };

/* Channels-last positions, `count` of them, y = post(bias + x w). */
typedef struct pri_pointwise_rows {
    const float *x;       /* [position][from] */
    float *y;             /* [position][to] */
    const float *weights; /* [from][filled] */
    const float *bias;    /* filled */
    int64_t from, to, filled, count;
    pri_post_kind post; /* none, Relu or Clip */
    float alpha, beta;
    bool streams; /* y is aligned to 64, as is every row of it, and is written past the caches */
} pri_pointwise_rows;

typedef struct pri_pointwise_tiles {
    void (*multiply)(const pri_pointwise_rows *rows);
} pri_pointwise_tiles;
PRI_DECLARE_TABLE(pri_pointwise_tiles);

#endif
