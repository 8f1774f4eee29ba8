/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layout.h - how an activation lies in memory.
 *
 * Plain is row-major as in ONNX (N, C, H, W). Channels-last keeps the shape but
 * stores the channel axis innermost (N, H, W, C), for tensors of rank 3 to 5.
 * Every channel count is served without padding, which suits pruned networks: oneDNN's
 * 16-blocked layouts cost 23 channels as much as 32, channels-last does not.
 */
#ifndef PRI_LAYOUT_H
#define PRI_LAYOUT_H

#include "tensor/tensor.h"

typedef enum pri_layout { PRI_PLAIN = 0, PRI_CHANNELS_LAST = 1 } pri_layout;

/* How a tensor of rank >= 2 splits round its channel axis 1: `outer` (N), `channels`, `inner`
 * (product of spatial dims). Element (n, c, p) is at
 * n*channels*inner + c*channel_stride + p*inner_stride. */
typedef struct pri_channels {
    int64_t outer, channels, inner;
    int64_t channel_stride, inner_stride;
} pri_channels;

pri_channels pri_channels_of(const pri_shape *shape, pri_layout layout);
/* Strides in elements of each logical axis. */
void pri_layout_strides(int64_t strides[PRI_MAX_RANK], const pri_shape *shape, pri_layout layout);
/* Copies between layouts: elements of 4 bytes, or PRI_BF16. from != to. `add`: dst += src, floats
 * or PRI_BF16. */
void pri_layout_copy(void *dst, pri_layout to, const void *src, pri_layout from,
                     const pri_shape *shape, pri_dtype dtype, bool add);

#endif
