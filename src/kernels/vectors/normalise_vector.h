/* SPDX-License-Identifier: Apache-2.0 */
/*
 * normalise_vector.h - the passes of normalise.h over channels-last tensors on vectors of
 * channels. The numbers of up to 4 vectors, and their sums, stay in registers for as many
 * positions as are at hand, where bfloat16 is widened and rounded too: a training step of
 * ResNet-20 in bfloat16 (128 images) normalises in 18 ms instead of 36 by loops over pieces, on a
 * Xeon with 2 MB of second cache.
 *
 * Few channels: as many positions as fit are taken for one of `width` = k C channels.
 */
#ifndef PRI_NORMALISE_VECTOR_H
#define PRI_NORMALISE_VECTOR_H

#include "kernels/lanes.h"
#include "kernels/normalise_parts.h"

/* Rows of `width` elements over which sums may run in float. */
enum { PRI_NORM_ROWS = 128 };

/* Vectors of a strip: a row of few channels is widened to so many. */
enum { PRI_NORM_STRIP = 4 };

/* Results of more bytes are written past the caches. Training steps of 32 images of MobileNetV2
 * (tensors of up to 50 MB) take 3 % less time so, of ResNet-20 (8 MB) the same, on a processor of
 * 2 MB of second cache. */
enum { PRI_NORM_STREAMS = 12 << 20 };

/* Elements at .. at+n-1 of a tensor, from the start of a position on. Numbers in p are repeated to
 * at least `width` elements. */
typedef struct pri_norm_range {
    const pri_norm_params *p;
    const void *x, *g; /* whole tensors */
    int64_t width, at, n;
    bool streams; /* pri_norm_vector_apply: y is too large for the caches to keep it */
} pri_norm_range;

typedef struct pri_norm_passes {
    /* As pri_norm_sums and pri_norm_back_sums, added to `width` floats each. */
    void (*squares)(const pri_norm_range *r, float *square, float *sum);
    void (*gradients)(const pri_norm_range *r, float *product, float *sum);
    /* As pri_norm_apply and pri_norm_back_apply (d NULL: only the residual's gradient). */
    void (*apply)(const pri_norm_range *r, void *y);
    void (*back)(const pri_norm_range *r, void *d);
} pri_norm_passes;
PRI_DECLARE_TABLE(pri_norm_passes);

#endif
