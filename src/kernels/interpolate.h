/* SPDX-License-Identifier: Apache-2.0 */
/*
 * interpolate.h - nearest, linear and cubic interpolation along up to three axes of a tensor.
 *
 * Interpolation is separable: every output index of an axis reads a few input indices ("taps") with
 * weights worked out once. A row of the output (the axis that lies innermost in memory) is then a
 * sum over the taps of the other axes.
 */
#ifndef PRI_INTERPOLATE_H
#define PRI_INTERPOLATE_H

#include "kernels/layout.h"

enum { PRI_MAX_RESAMPLED = 3 };

/* Where an output index lies in the input (names as in ONNX). */
typedef enum pri_coordinates {
    PRI_HALF_PIXEL,
    PRI_PYTORCH_HALF_PIXEL,
    PRI_ALIGN_CORNERS,
    PRI_ASYMMETRIC,
    PRI_TF_HALF_PIXEL,
    PRI_HALF_PIXEL_SYMMETRIC
} pri_coordinates;

typedef enum pri_rounding {
    PRI_ROUND_PREFER_FLOOR,
    PRI_ROUND_PREFER_CEIL,
    PRI_ROUND_FLOOR,
    PRI_ROUND_CEIL,
    PRI_ROUND_SIMPLE /* down when enlarging, up when shrinking: before opset 11 */
} pri_rounding;

typedef struct pri_interpolation {
    int taps; /* 1 nearest, 2 linear, 4 cubic */
    pri_coordinates coordinates;
    pri_rounding nearest;
    float cubic; /* coefficient of the cubic */
    bool excludes_outside;
    bool antialias; /* where an axis shrinks, the kernel is stretched over what it skips */
} pri_interpolation;

typedef struct pri_taps {
    int axis, n;    /* n taps an output index */
    int64_t *index; /* out * n */
    float *weight;
} pri_taps;

typedef struct pri_resampled {
    int count;
    pri_taps axes[PRI_MAX_RESAMPLED];
} pri_resampled;

/* Adds the taps of an axis of `in` elements that gets `out`. */
pare_status pri_resampled_add(pri_resampled *resampled, pare_context *ctx,
                              const pri_interpolation *how, int axis, int64_t in, int64_t out,
                              float scale);
/* Whether an output row is a sum over as few input rows as pri_interpolate can take. */
bool pri_resampled_fits(const pri_resampled *resampled, int rank, pri_layout layout);
void pri_resampled_clear(pri_resampled *resampled);

void pri_interpolate(const pri_resampled *resampled, const pri_shape *out, const pri_shape *in,
                     pri_layout layout, const float *x, float *y);
/* Adds to the gradient d of x. */
void pri_interpolate_back(const pri_resampled *resampled, const pri_shape *out, const pri_shape *in,
                          pri_layout layout, const float *g, float *d);

#endif
