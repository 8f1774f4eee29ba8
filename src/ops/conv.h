/* SPDX-License-Identifier: Apache-2.0 */
/* conv.h - what Conv and ConvTranspose share. */
#ifndef PRI_OPS_CONV_H
#define PRI_OPS_CONV_H

#include "kernels/choose.h"
#include "kernels/dnn.h"
#include "ops/op_support.h"

typedef struct pri_conv_params {
    pri_window window;
    int64_t group;
    int64_t output_padding[3]; /* ConvTranspose */
    int64_t output_shape[3];
    bool has_output_shape;
} pri_conv_params;

typedef struct pri_conv_state {
    pri_conv *conv;
    uint64_t packed_version; /* weights_version + 1 that was packed; 0 = none */
    float *bias;             /* with an epilogue: bias * scale + shift */
    size_t data_scratch;     /* bytes of a gradient written before it is added */
} pri_conv_state;

pare_status pri_conv_parse(const pri_node *node, int opset, void *params, pri_arena *arena,
                           pare_context *ctx);
/* Whether whole groups go; otherwise the same positions of every group do. */
bool pri_conv_loses_groups(const pri_call *call, int64_t groups);
/* Ties of a product in groups: axis x_axis of in 0 and axis 1 of the output. */
pare_status pri_conv_couple_groups(const pri_call *call, pri_rules *rules, int64_t groups,
                                   int in_weight_axis, int out_weight_axis);
pare_status pri_conv_resize(const pri_call *call, const pri_cut *cut, pri_graph *graph,
                            pri_node *node);
void pri_conv_release(pri_call *call);
/* Bytes of scratch for a gradient of x that is added afterwards. */
size_t pri_conv_data_scratch(const pri_operand *x);
/* Whether products in bfloat16 can pay for this many groups of so many channels in all: not
 * depthwise. */
bool pri_conv_gains_by_bf16(int64_t groups, int64_t channels);

#endif
