/* SPDX-License-Identifier: Apache-2.0 */
/*
 * depthwise.h - convolutions of each channel by itself, forwards and backwards.
 *
 *     y[q][c] = post(bias[c] + sum over taps k of w[k][c] x[q stride - pad + k dilation][c])
 *
 * They are bound by memory: rows are computed a vector of channels at a time from channels-last
 * activations as they are, of PRI_F32 or PRI_BF16, weights and sums in float32. Needs AVX2 or
 * AVX-512.
 */
#ifndef PRI_DEPTHWISE_H
#define PRI_DEPTHWISE_H

#include "kernels/dnn.h"

typedef struct pri_depthwise pri_depthwise;

/* Whether the processor and the convolution allow it: two spatial axes, as many groups as channels
 * in and out, kernels up to 7, strides up to 2, channels-last, nothing fused behind it but Relu,
 * LeakyRelu or Clip. */
bool pri_depthwise_suits(const pri_conv_problem *problem);
pare_status pri_depthwise_new(pri_depthwise **out, pare_context *ctx,
                              const pri_conv_problem *problem);
void pri_depthwise_free(pri_depthwise *d); /* NULL is fine */
/* Scratch any call needs, aligned to 64. */
size_t pri_depthwise_scratch(const pri_depthwise *d);
/* As pri_conv_pack and the calls of dnn.h. Weights are copied. */
void pri_depthwise_pack(pri_depthwise *d, const float *weights, const float *scale,
                        const float *bias);
void pri_depthwise_forward(const pri_depthwise *d, const void *src, void *dst);
void pri_depthwise_backward_data(const pri_depthwise *d, const void *diff_dst, void *diff_src);
void pri_depthwise_backward_weights(const pri_depthwise *d, const void *src, const void *diff_dst,
                                    float *diff_weights, float *diff_bias, void *scratch);

#endif
