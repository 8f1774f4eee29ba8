/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool_lanes.h - maxima and means of windows over channels-last activations, a vector of channels
 * at a time.
 *
 * Pooling moves more than it computes: each tensor is read and written once, gradients of windows
 * that tile the input without touching what is there. Results are those of the loops in
 * ops/pool.c, element by element.
 */
#ifndef PRI_POOL_LANES_H
#define PRI_POOL_LANES_H

#include "kernels/lanes.h"
#include "tensor/tensor.h"

/* Along one axis; axes that a tensor does not have are of 1 throughout, without padding. */
typedef struct pri_pool_axis {
    int64_t in, out, kernel, stride, dilation, pad_begin, pad_end;
} pri_pool_axis;

typedef struct pri_pool_problem {
    int64_t images, channels;
    pri_pool_axis axis[3];
    bool is_max;              /* otherwise the mean */
    bool counts_padding;      /* in what a mean is divided by */
    pri_dtype x_type, y_type; /* PRI_F32 or PRI_BF16; of gradients too */
} pri_pool_problem;

typedef struct pri_pool_lanes {
    void (*forward)(const pri_pool_problem *p, const void *x, void *y);
    /* d (+)= what comes back of g: of equal maxima the first in the window gets it. x is read for
     * maxima alone. add: to what d holds. */
    void (*backward)(const pri_pool_problem *p, const void *x, const void *g, void *d, bool add);
} pri_pool_lanes;
PRI_DECLARE_TABLE(pri_pool_lanes);

#endif
