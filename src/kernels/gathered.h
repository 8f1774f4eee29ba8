/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gathered.h - convolutions as products of matrices, forwards and backwards, in float32: what lies
 * under the window of a position is gathered into a row of K = rows x columns x channels numbers
 * (Chellapilla, Puri, Simard, "High performance convolutional neural networks for document
 * processing", 2006, section 3),
 *
 *     y[position][o] = bias[o] + sum over k of x[position][k] w[o][k]
 *     dx[position][k] = sum over o of dy[position][o] w[o][k], added up where windows overlap
 *     dw[o][k] = sum over positions of dy[position][o] x[position][k]
 *
 * For what oneDNN's kernels for AVX2 are far from the processor's limit with: strides, few
 * input channels, transposed convolutions, gradients of 1 x 1. Those for AVX-512 are not. Needs
 * AVX2 or AVX-512.
 */
#ifndef PRI_GATHERED_H
#define PRI_GATHERED_H

#include "kernels/dnn.h"

typedef struct pri_gathered pri_gathered;

/* Whether the processor and the convolution allow it: two spatial axes, one group, channels-last
 * floats, nothing fused behind it. */
bool pri_gathered_suits(const pri_conv_problem *problem);
/* The directions (bits of dnn.h) in which it is faster than oneDNN. */
unsigned pri_gathered_gains(const pri_conv_problem *problem);
/* For the directions asked for. */
pare_status pri_gathered_new(pri_gathered **out, pare_context *ctx, const pri_conv_problem *problem,
                             unsigned directions);
void pri_gathered_free(pri_gathered *g); /* NULL is fine */
/* Scratch any call needs, aligned to 64. */
size_t pri_gathered_scratch(const pri_gathered *g);
/* As pri_conv_pack and the calls of dnn.h. Weights are copied. */
void pri_gathered_pack(pri_gathered *g, const float *weights, const float *scale,
                       const float *bias);
void pri_gathered_forward(const pri_gathered *g, const float *src, float *dst, void *scratch);
void pri_gathered_backward_data(const pri_gathered *g, const float *diff_dst, float *diff_src,
                                void *scratch);
void pri_gathered_backward_weights(const pri_gathered *g, const float *src, const float *diff_dst,
                                   float *diff_weights, float *diff_bias, void *scratch);

#endif
