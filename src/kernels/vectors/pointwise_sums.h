/* SPDX-License-Identifier: Apache-2.0 */
/* pointwise_sums.h - sums of products of channels, for pointwise_weights.c alone. */
#ifndef PRI_POINTWISE_SUMS_H
#define PRI_POINTWISE_SUMS_H

#include "kernels/lanes.h"

/* Positions of two tensors: `wide` has the more channels, which lie in vectors. */
typedef struct pri_pointwise_block {
    const float *wide, *slim;                     /* [position][channel] */
    int64_t wide_channels, slim_channels, filled; /* of wide, in whole vectors */
    int64_t count, ahead; /* positions; of those that follow and will be read next */
} pri_pointwise_block;

typedef struct pri_pointwise_sums {
    /* sums[slim][filled] += sum over positions of slim times wide. */
    void (*add)(float *sums, const pri_pointwise_block *block);
} pri_pointwise_sums;
PRI_DECLARE_TABLE(pri_pointwise_sums);

#endif
