/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pointwise_product.h - 1 x 1 convolutions of few channels in float32, forwards and backwards by
 * the input:
 *
 *     y[position][o] = post(bias[o] + sum over i of w[o][i] x[position][i])
 *     dx[position][i] = sum over o of w[o][i] dy[position][o]
 *
 * They are bound by memory: weights stay in the first cache, and activations are asked for ahead.
 * Needs AVX2 or AVX-512. Gradients of weights are pointwise_weights.h's.
 */
#ifndef PRI_POINTWISE_PRODUCT_H
#define PRI_POINTWISE_PRODUCT_H

#include "kernels/dnn.h"

typedef struct pri_pointwise_product pri_pointwise_product;

/* Whether the processor and the convolution allow it, nothing fused behind it but Relu, LeakyRelu
 * or Clip, and it is faster than oneDNN. */
bool pri_pointwise_product_suits(const pri_conv_problem *problem);
pare_status pri_pointwise_product_new(pri_pointwise_product **out, pare_context *ctx,
                                      const pri_conv_problem *problem);
void pri_pointwise_product_free(pri_pointwise_product *product); /* NULL is fine */
/* As pri_conv_pack and the calls of dnn.h. Weights are copied; no scratch is needed. */
void pri_pointwise_product_pack(pri_pointwise_product *product, const float *weights,
                                const float *scale, const float *bias);
void pri_pointwise_product_forward(const pri_pointwise_product *product, const float *src,
                                   float *dst);
void pri_pointwise_product_backward_data(const pri_pointwise_product *product,
                                         const float *diff_dst, float *diff_src);

#endif
