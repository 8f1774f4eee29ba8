/* SPDX-License-Identifier: Apache-2.0 */
/*
 * normalise.h - the passes of a normalisation over channels, with a Relu or Clip behind it or none.
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
/* What is cut off behind a normalisation: below low and above high. */
typedef struct pri_norm_bounds {
    bool is_there;
    float low, high;
} pri_norm_bounds;

typedef struct pri_norm_forward {
    const float *scale, *shift; /* C */
    pri_norm_bounds bounds;
    pri_norm_tensor residual; /* in x's layout; data NULL: none */
} pri_norm_forward;

/* y = scale[c] x + shift[c] + residual, within the bounds. y may be x or the residual. */
void pri_norm_apply(const pri_channels *ch, pri_norm_tensor x, pri_norm_tensor y,
                    const pri_norm_forward *f, void *scratch);

/* The way back: h = g where scale[c] x + shift[c] is within the bounds, and 0 where it is cut off.
 */
typedef struct pri_norm_back {
    pri_norm_tensor x, g;
    const float *mean;          /* C */
    const float *scale, *shift; /* C, of the forward pass */
    pri_norm_bounds bounds;
    const float *slope, *tilt; /* C: a and b below */
    void *d;                   /* of x's type, or NULL; may be g */
    bool add;                  /* d += instead of d = */
    const void *y;             /* of g's type; NULL: there was no residual */
    pri_norm_tensor residual;  /* with y: its gradient, which is h, or NULL; g itself: then
                                  pri_norm_back_sums leaves h there, and d is not g */
    bool residual_add;
} pri_norm_back;

/* sums[c] = sum h (x - mean[c]), sums[C + c] = sum h. */
void pri_norm_back_sums(const pri_channels *ch, const pri_norm_back *back, double *sums,
                        void *scratch);
/* d (+)= scale[c] (h - b[c] - (x - mean[c]) a[c]). */
void pri_norm_back_apply(const pri_channels *ch, const pri_norm_back *back, void *scratch);

#endif
