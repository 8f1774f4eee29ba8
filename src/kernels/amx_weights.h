/* SPDX-License-Identifier: Apache-2.0 */
/*
 * amx_weights.h - gradients of a convolution's weights by the tiles of AMX, in bfloat16.
 *
 *     dW[o][i][kh][kw] = sum over n, p, q of dy[n, p, q, o] x[n, p s + kh - pad, q s + kw - pad, i]
 *
 * A product of two matrices for each tap, whose inner axis are positions. Activations are
 * channels-last, any count of channels; sums are float32. On Sapphire Rapids (one thread) 1.2 to 6
 * times as fast as oneDNN 2.6.3 in 66 shapes of common networks: 128 x 16 -> 16 channels of 32 x 32
 * 1.65 and 0.77 ms, 4 x 32 -> 16 of 256 x 256 5.95 and 2.93 ms.
 */
#ifndef PRI_AMX_WEIGHTS_H
#define PRI_AMX_WEIGHTS_H

#include "kernels/dnn.h"

typedef struct pri_amx_weights pri_amx_weights;

/* Whether the processor has AMX and lets this process use it, and the convolution is one of this
 * kind: bfloat16, two spatial axes, one group, dilation 1, channels-last, kernels of at most
 * 7 x 7, strides of at most 4. */
bool pri_amx_weights_suits(const pri_conv_problem *problem);
/* Whether it is faster than oneDNN's where it suits: not for large kernels on few channels, which
 * fill a part of each tile (8 x 3 -> 64 channels, 7 x 7, of 224 x 224: 0.98 times as fast). */
bool pri_amx_weights_gains(const pri_conv_problem *problem);
pare_status pri_amx_weights_new(pri_amx_weights **out, pare_context *ctx,
                                const pri_conv_problem *problem);
void pri_amx_weights_free(pri_amx_weights *w); /* NULL is fine */
/* Scratch a run needs, aligned to 64. */
size_t pri_amx_weights_scratch(const pri_amx_weights *w);
/* Adds to plain gradients [O][I][kh][kw] and of the bias; either may be NULL. src, diff_dst:
 * bfloat16. Results do not depend on the number of threads. */
void pri_amx_weights_run(const pri_amx_weights *w, const uint16_t *src, const uint16_t *diff_dst,
                         float *diff_weights, float *diff_bias, void *scratch);

#endif
