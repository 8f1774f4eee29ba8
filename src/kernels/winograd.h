/* SPDX-License-Identifier: Apache-2.0 */
/*
 * winograd.h - convolutions of 3 x 3 by Winograd's minimal filtering F(4 x 4, 3 x 3), forwards and
 * backwards (Lavin, Gray, "Fast algorithms for convolutional neural networks", 2016, section 4).
 *
 *     y = A' [(G w G') . (B' x B)] A      for tiles of 4 x 4 outputs, sums over channels in
 * between,
 *
 * a quarter of the direct multiplications. Backwards by the input it is the same with the kernel
 * turned; by the weights it is the derivative of the same expression,
 *
 *     dw = G' [sum over tiles (B' x B) . (A dy A')] G.
 *
 * Works on channels-last activations as they are, of PRI_F32 or PRI_BF16, and computes in float32;
 * every count of channels is served, in steps of a vector. Needs AVX2 or AVX-512.
 */
#ifndef PRI_WINOGRAD_H
#define PRI_WINOGRAD_H

#include "kernels/dnn.h"

typedef struct pri_winograd pri_winograd;

/* Whether the processor and the convolution allow it: two spatial axes, 3 x 3, stride and dilation
 * 1, one group, channels-last, nothing fused behind it but a sum and Relu, LeakyRelu or Clip. */
bool pri_winograd_suits(const pri_conv_problem *problem);
/* For the directions asked for (bits of dnn.h). Forwards alone, weights are kept transformed; else
 * they change from step to step and are transformed into scratch at each call. */
pare_status pri_winograd_new(pri_winograd **out, pare_context *ctx, const pri_conv_problem *problem,
                             unsigned directions);
void pri_winograd_free(pri_winograd *w); /* NULL is fine */
/* Scratch any call needs, aligned to 64. */
size_t pri_winograd_scratch(const pri_winograd *w);
/* As pri_conv_pack and the calls of dnn.h, each for a direction that was asked for. weights and
 * scale have to stay until the next pack. */
void pri_winograd_pack(pri_winograd *w, const float *weights, const float *scale,
                       const float *bias);
void pri_winograd_forward(const pri_winograd *w, const void *src, void *dst, void *scratch);
/* adds: to what diff_src holds. */
void pri_winograd_backward_data(const pri_winograd *w, const void *diff_dst, void *diff_src,
                                bool adds, void *scratch);
void pri_winograd_backward_weights(const pri_winograd *w, const void *src, const void *diff_dst,
                                   float *diff_weights, float *diff_bias, void *scratch);

#endif
