/* SPDX-License-Identifier: Apache-2.0 */
/*
 * normalise.h - the passes of a normalisation over channels, with an optional Relu behind it.
 *
 * Each pass reads its tensors once. Sums run in float over short stretches and in double over
 * these, over blocks that do not depend on the number of threads. Nothing here knows a graph.
 */
#ifndef PRI_NORMALISE_H
#define PRI_NORMALISE_H

#include "kernels/layout.h"

/* Bytes of scratch any pass needs, aligned to 64. */
size_t pri_norm_scratch(const pri_channels *ch);
/* Elements are PRI_F32 or PRI_BF16, each tensor its own. */
typedef struct pri_norm_tensor {
    void *data;
    pri_dtype dtype;
} pri_norm_tensor;

/* sums[c] = sum (x - centre[c])^2 and sums[C + c] = sum (x - centre[c]) over the positions. */
void pri_norm_sums(const pri_channels *ch, pri_norm_tensor x, const float *centre, double *sums,
                   void *scratch);
/* y = scale[c] x + shift[c], with `relu` max(0, that). y may be x. */
void pri_norm_apply(const pri_channels *ch, pri_norm_tensor x, pri_norm_tensor y,
                    const float *scale, const float *shift, bool relu, void *scratch);

/* The way back: with h = g where scale[c] x + shift[c] > 0 and 0 elsewhere (`relu`), or h = g. */
typedef struct pri_norm_back {
    pri_norm_tensor x, g;
    const float *mean;          /* C */
    const float *scale, *shift; /* C, of the forward pass */
    bool relu;
    const float *slope, *tilt; /* C: a and b below */
    void *d;                   /* of x's type; may be g */
    bool add;                  /* d += instead of d = */
} pri_norm_back;

/* sums[c] = sum h (x - mean[c]), sums[C + c] = sum h. */
void pri_norm_back_sums(const pri_channels *ch, const pri_norm_back *back, double *sums,
                        void *scratch);
/* d (+)= scale[c] (h - b[c] - (x - mean[c]) a[c]). */
void pri_norm_back_apply(const pri_channels *ch, const pri_norm_back *back, void *scratch);

#endif
