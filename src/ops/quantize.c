/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quantize.c - QuantizeLinear and DequantizeLinear, with one scale or one a channel.
 *
 * Integers carry no gradient, so training stops at a QuantizeLinear.
 */
#include <math.h>

#include "ops/elements.h"
#include "ops/op_support.h"

typedef struct quantize_params {
    int64_t axis;
    pri_dtype output; /* PRI_UNDEFINED: the zero point's */
} quantize_params;

static pare_status parse(const pri_node *node, int opset, void *params, pri_arena *arena,
                         pare_context *ctx)
{
    quantize_params *p = params;

    (void)opset;
    (void)arena;
    p->axis = pri_node_attr_int(node, "axis", 1);
    p->output = (pri_dtype)pri_node_attr_int(node, "output_dtype", PRI_UNDEFINED);
    if (pri_node_attr_int(node, "block_size", 0) != 0)
        return pri_parse_fail(ctx, node, "scales of blocks are not supported");
    return PARE_OK;
}

static bool is_quantized(pri_dtype dtype)
{
    return dtype == PRI_U8 || dtype == PRI_I8 || dtype == PRI_U16 || dtype == PRI_I16 ||
           dtype == PRI_I32;
}

/* The axis of the scales; -1 when there is one for all. */
static int axis_of(const pri_call *call)
{
    const quantize_params *p = call->params;

    return call->in[1].shape.rank == 0 ? -1 : pri_axis(p->axis, call->in[0].shape.rank);
}

static pare_status infer(pri_call *call)
{
    const quantize_params *p = call->params;
    const pri_shape *scale = &call->in[1].shape;
    const bool is_forth = call->op->name[0] == 'Q';
    const pri_operand *zero = pri_in(call, 2);
    const pri_dtype quantized = !is_forth                    ? call->in[0].dtype
                                : zero != NULL               ? zero->dtype
                                : p->output != PRI_UNDEFINED ? p->output
                                                             : PRI_U8;
    const int axis = axis_of(call);

    if (!is_quantized(quantized) || call->in[1].dtype != PRI_F32 ||
        (is_forth && call->in[0].dtype != PRI_F32 && call->in[0].dtype != PRI_I32))
        return pri_op_fail(call, PARE_ERROR_UNSUPPORTED, "%s with scales of %s and %s",
                           pri_dtype_name(call->in[0].dtype), pri_dtype_name(call->in[1].dtype),
                           pri_dtype_name(quantized));
    const bool is_one = pri_shape_count(scale) == 1;
    if ((!is_one &&
         (scale->rank != 1 || axis < 0 || scale->dims[0] != call->in[0].shape.dims[axis])) ||
        (zero != NULL && (!pri_shape_equal(&zero->shape, scale) || zero->dtype != quantized)))
        return pri_op_fail(call, PARE_ERROR_SHAPE,
                           "the scales or zero points do not fit the input");
    call->out[0].dtype = is_forth ? quantized : PRI_F32;
    call->out[0].shape = call->in[0].shape;
    return PARE_OK;
}

static pare_status forward(pri_call *call)
{
    const bool is_forth = call->op->name[0] == 'Q', has_zero = pri_in(call, 2) != NULL;
    const bool is_one = pri_shape_count(&call->in[1].shape) == 1;
    const float *scales = call->in[1].data;
    const int64_t n = pri_shape_count(&call->in[0].shape);
    const pri_lines l = is_one ? (pri_lines){1, 1, pri_max_i64(1, n)}
                               : pri_lines_of(&call->in[0].shape, axis_of(call));

    for (int64_t i = 0; i < n; i++) {
        const int64_t c = i / l.inner % l.size;
        const double zero = has_zero ? pri_get_number(&call->in[2], c) : 0;
        const double v = pri_get_number(&call->in[0], i);
        if (is_forth) /* halves to even; beyond the type it saturates */
            pri_set_number(&call->out[0], i, rintf((float)v / scales[c]) + zero);
        else
            ((float *)call->out[0].data)[i] = (float)(v - zero) * scales[c];
    }
    return PARE_OK;
}

static pare_status couple(const pri_call *call, pri_rules *rules)
{
    const int axis = axis_of(call);

    PRI_TRY(pri_couple_same(call, rules));
    for (int k = 1; k < call->n_in && axis >= 0; k++) {
        if (call->in[k].present && call->in[k].shape.dims[0] == call->in[0].shape.dims[axis])
            PRI_TRY(pri_rules_tie(rules, 0, axis, 0, k, 0, 0, call->in[k].shape.dims[0]));
    }
    return PARE_OK;
}

#define QUANTIZE(symbol, text, words)                                                              \
    const pri_op symbol = {.name = text,                                                           \
                           .summary = words,                                                       \
                           .min_opset = 10,                                                        \
                           .max_opset = 21,                                                        \
                           .min_in = 2,                                                            \
                           .max_in = 3,                                                            \
                           .n_out = 1,                                                             \
                           .params_size = sizeof(quantize_params),                                 \
                           .parse = parse,                                                         \
                           .infer = infer,                                                         \
                           .forward = forward,                                                     \
                           .couple = couple}

QUANTIZE(pri_op_quantize_linear, "QuantizeLinear", "float to integers by a scale");
QUANTIZE(pri_op_dequantize_linear, "DequantizeLinear", "integers to float by a scale");
