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
/* Ties the axes of in[k] that the output has as large, aligned at the last axis. */
pare_status pri_couple_broadcast(const pri_call *call, pri_rules *rules, int k);
/* Ties the channel axis (1) and batch axis (0) of in[0] and out[0] only. */
pare_status pri_couple_channels(const pri_call *call, pri_rules *rules);

/* A tensor as lines along one axis: element k of line i is at pri_line_start(l, i) + k * l->inner.
 */
typedef struct pri_lines {
    int64_t count, size, inner;
} pri_lines;
pri_lines pri_lines_of(const pri_shape *shape, int axis);
static inline int64_t pri_line_start(const pri_lines *l, int64_t i)
{
    return i / l->inner * l->size * l->inner + i % l->inner;
}
/* Axis attribute `name` as 0 .. rank-1; fails when it is out of range. */
pare_status pri_axis_of(int *axis, const pri_call *call, const char *name, int64_t fallback,
                        int rank);
/* Ties in[0] to all outputs along every axis but from .. to-1, which stay whole because of `reason`
 * (outputs have them too, or none of them); lines: but one. */
pare_status pri_couple_around(const pri_call *call, pri_rules *rules, int from, int to,
                              const char *reason);
pare_status pri_couple_lines(const pri_call *call, pri_rules *rules, int axis, const char *reason);

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

/* Integers of attribute `name` (older opsets) or of constant input `slot`; *count = -1 for neither.
 */
pare_status pri_op_numbers(const pri_call *call, const char *name, int slot,
                           int64_t values[PRI_MAX_RANK], int *count);
/* For resize hooks: states integers anew, as an attribute where the node has it so, else as
 * constant input `slot`. */
pare_status pri_op_restate(pri_graph *graph, pri_node *node, const char *name, int slot,
                           const int64_t *values, int count);
/* How many of keep[from .. to-1] are true; all of them when keep is NULL. */
int64_t pri_count_kept(const bool *keep, int64_t from, int64_t to);
/* Whether input `slot` is computed from the shape of some value, so that it follows a cut by
 * itself. */
bool pri_follows_shapes(const pri_node *node, int slot);

/* Common attribute check of parse hooks. */
pare_status pri_parse_fail(pare_context *ctx, const pri_node *node, const char *format, ...)
    PARE_PRINTF(3, 4);

#endif
