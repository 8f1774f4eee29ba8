/* SPDX-License-Identifier: Apache-2.0 */
/* pointwise.h - what pointwise_product.c and pointwise_weights.c ask of a convolution alike. */
#ifndef PRI_POINTWISE_H
#define PRI_POINTWISE_H

#include "kernels/dnn.h"
#include "kernels/lanes.h"

enum { PRI_POINTWISE_CHANNELS = 8 }; /* on both sides at least */

/* Whether it is a 1 x 1 convolution, its outputs its inputs' pixels one by one, of one group and of
 * channels-last floats, on a processor with AVX2 or AVX-512. */
static inline bool pri_is_pointwise(const pri_conv_problem *p)
{
    if (pri_lanes() == 0 || p->is_narrow || p->src_type == PRI_BF16 || p->dst_type == PRI_BF16 ||
        p->groups != 1 || p->layout != PRI_CHANNELS_LAST ||
        p->in_channels < PRI_POINTWISE_CHANNELS || p->out_channels < PRI_POINTWISE_CHANNELS)
        return false;
    for (int k = 0; k < p->spatial; k++) {
        if (p->kernel[k] != 1 || p->stride[k] != 1 || p->pad_begin[k] != 0 || p->pad_end[k] != 0)
            return false;
    }
    return true;
}

/* Pixels of all images. */
static inline int64_t pri_pointwise_positions(const pri_conv_problem *p)
{
    int64_t positions = p->batch;

    for (int k = 0; k < p->spatial; k++)
        positions *= p->out[k];
    return positions;
}

#endif
