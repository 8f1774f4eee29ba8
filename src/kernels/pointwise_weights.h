/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pointwise_weights.h - gradients of weights of 1 x 1 convolutions of few channels in float32:
 *
 *     dw[o][i] = sum over positions of dy[position][o] x[position][i].
 *
 * They are bound by memory, and here both tensors are read once. Needs AVX2 or AVX-512.
 */
#ifndef PRI_POINTWISE_WEIGHTS_H
#define PRI_POINTWISE_WEIGHTS_H

#include "kernels/dnn.h"

/* Whether the processor and the convolution allow it, and it is faster than oneDNN. */
bool pri_pointwise_weights_suits(const pri_conv_problem *problem);
/* Scratch of the call below, aligned to 64. */
size_t pri_pointwise_weights_scratch(const pri_conv_problem *problem);
/* As pri_conv_backward_weights. */
void pri_pointwise_weights_run(const pri_conv_problem *problem, const float *src,
                               const float *diff_dst, float *diff_weights, float *diff_bias,
                               void *scratch);

#endif
