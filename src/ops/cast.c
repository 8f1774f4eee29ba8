/* SPDX-License-Identifier: Apache-2.0 */
/* cast.c - Cast and CastLike: another element type. */
#include <string.h>

#include "ops/elements.h"
#include "ops/op_support.h"

static bool is_castable(pri_dtype dtype)
{
    return pri_is_number(dtype) || dtype == PRI_BOOL;
}

static pare_status infer(pri_call *call)
{
    const bool is_like = call->n_in > 1;
    const pri_dtype from = call->in[0].dtype;
    const pri_dtype to = pri_dtype_run(is_like ? call->in[1].dtype
                                               : (pri_dtype)pri_node_attr_int(call->node, "to", 0));

    if (!is_castable(from) || !is_castable(to))
        return pri_op_fail(call, PARE_ERROR_UNSUPPORTED, "casts %s to %s", pri_dtype_name(from),
                           pri_dtype_name(to));
    call->out[0].dtype = to;
    call->out[0].shape = call->in[0].shape;
    return PARE_OK;
}

static pare_status forward(pri_call *call)
{
    const int64_t n = pri_shape_count(&call->in[0].shape);
    const pri_operand *in = &call->in[0], *out = &call->out[0];
    const bool is_integer = pri_is_integer(in->dtype) && pri_is_integer(out->dtype);

    if (out->dtype == in->dtype) {
        memcpy(out->data, in->data, (size_t)n * pri_dtype_bytes(in->dtype));
        return PARE_OK;
    }
    for (int64_t i = 0; i < n; i++) {
        if (is_integer)
            pri_set_integer(out, i, pri_get_integer(in, i));
        else
            pri_set_number(out, i, pri_get_number(in, i));
    }
    return PARE_OK;
}

/* Only float reaches float, so only a copy passes a gradient. */
static pare_status backward(pri_call *call)
{
    const int64_t n = pri_shape_count(&call->in[0].shape);

    if (call->grad_in[0] == NULL || call->grad_out[0] == NULL || call->in[0].dtype != PRI_F32)
        return PARE_OK;
    for (int64_t i = 0; i < n; i++)
        call->grad_in[0][i] += call->grad_out[0][i];
    return PARE_OK;
}

#define CAST(symbol, text, words, first, inputs)                                                   \
    const pri_op symbol = {.name = text,                                                           \
                           .summary = words,                                                       \
                           .min_opset = first,                                                     \
                           .max_opset = 21,                                                        \
                           .min_in = inputs,                                                       \
                           .max_in = inputs,                                                       \
                           .n_out = 1,                                                             \
                           .infer = infer,                                                         \
                           .forward = forward,                                                     \
                           .backward = backward,                                                   \
                           .couple = pri_couple_same}

CAST(pri_op_cast, "Cast", "another element type", 6, 1);
CAST(pri_op_cast_like, "CastLike", "the element type of another tensor", 15, 2);
