/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pointwise.h - gradients of weights of 1 x 1 convolutions of few channels in float32:
 *
 *     dw[o][i] = sum over positions of dy[position][o] x[position][i].
 *
 * They are bound by memory, and here both tensors are read once. Needs AVX-512.
 */
#ifndef PRI_POINTWISE_H
#define PRI_POINTWISE_H

#include "kernels/dnn.h"

/* Whether it is a 1 x 1 convolution, its outputs its inputs' pixels one by one, of one group and of
 * channels-last floats with 8 channels or more on both sides, on a processor with AVX-512. */
bool pri_pointwise_reads(const pri_conv_problem *problem);
/* Pixels of all images. */
int64_t pri_pointwise_positions(const pri_conv_problem *problem);
/* Whether the processor and the convolution allow it, and it is faster than oneDNN. */
bool pri_pointwise_suits(const pri_conv_problem *problem);
/* Scratch of the call below, aligned to 64. */
size_t pri_pointwise_scratch(const pri_conv_problem *problem);
/* As pri_conv_backward_weights. */
void pri_pointwise_weights(const pri_conv_problem *problem, const float *src, const float *diff_dst,
                           float *diff_weights, float *diff_bias, void *scratch);

#endif
