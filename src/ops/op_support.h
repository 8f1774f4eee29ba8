/* SPDX-License-Identifier: Apache-2.0 */
/* op_support.h - what several operator files share. */
#ifndef PRI_OP_SUPPORT_H
#define PRI_OP_SUPPORT_H

#include "ops/op.h"

/* A present operand of slot k, or NULL. */
const pri_operand *pri_in(const pri_call *call, int k);
/* Fails unless every present input in `slots` (bits) is float. */
pare_status pri_need_float(const pri_call *call, unsigned slots);
/* out[0] becomes like in[0]. */
pare_status pri_infer_same(pri_call *call);
/* Ties every axis of in[0] to the same axis of out[0]. */
pare_status pri_couple_same(const pri_call *call, pri_rules *rules);
/* Ties the channel axis (1) and batch axis (0) of in[0] and out[0] only. */
pare_status pri_couple_channels(const pri_call *call, pri_rules *rules);

/* Geometry of a window sliding over spatial axes (Conv, pools). */
typedef struct pri_window {
    int spatial;
    int64_t kernel[3], stride[3], dilation[3], pad_begin[3], pad_end[3];
    int auto_pad; /* 0 explicit, 1 SAME_UPPER, 2 SAME_LOWER, 3 VALID */
    bool ceil_mode;
    bool has_kernel;
} pri_window;

/* Reads kernel_shape, strides, dilations, pads, auto_pad, ceil_mode. */
pare_status pri_window_parse(pri_window *window, const pri_node *node, pare_context *ctx);
/* Completes a window for an input (pads of auto_pad) and computes output sizes. */
pare_status pri_window_apply(const pri_call *call, pri_window *window, const pri_shape *in,
                             int64_t out[3]);

/* Common attribute check of parse hooks. */
pare_status pri_parse_fail(pare_context *ctx, const pri_node *node, const char *format, ...)
    PARE_PRINTF(3, 4);

#endif
