/* SPDX-License-Identifier: Apache-2.0 */
/* one_hot.c - OneHot, Compress, NonZero: between indices and what they stand for. */
#include <string.h>

#include "ops/elements.h"
#include "ops/op_support.h"

/* --- OneHot --- */

static pare_status hot_infer(pri_call *call)
{
    const pri_shape *x = &call->in[0].shape;
    int64_t depth[PRI_MAX_RANK];
    int axis, count;

    if (x->rank + 1 > PRI_MAX_RANK || !pri_is_number(call->in[0].dtype) ||
        pri_shape_count(&call->in[2].shape) != 2 || pri_dtype_bytes(call->in[2].dtype) == 0)
        return pri_op_fail(call, PARE_ERROR_UNSUPPORTED, "its inputs do not fit");
    PRI_TRY(pri_axis_of(&axis, call, "axis", -1, x->rank + 1));
    PRI_TRY(pri_op_ints(call, 1, depth, PRI_MAX_RANK, &count));
    if (count != 1 || depth[0] < 1 || depth[0] > 1 << 30)
        return pri_op_fail(call, PARE_ERROR_SHAPE, "its depth is not one number above 0");
    call->out[0].dtype = call->in[2].dtype;
    call->out[0].shape.rank = x->rank + 1;
    for (int a = 0; a < x->rank + 1; a++)
        call->out[0].shape.dims[a] = a == axis ? depth[0] : x->dims[a < axis ? a : a - 1];
    return PARE_OK;
}

static pare_status hot_forward(pri_call *call)
{
    const size_t bytes = pri_dtype_bytes(call->out[0].dtype);
    const char *values = call->in[2].data; /* off, on */
    int axis;

    PRI_TRY(pri_axis_of(&axis, call, "axis", -1, call->out[0].shape.rank));
    const pri_lines l = pri_lines_of(&call->out[0].shape, axis);
    for (int64_t i = 0; i < l.count; i++) {
        const int64_t stated = pri_get_integer(&call->in[0], i);
        const int64_t hot = stated < 0 ? stated + l.size : stated;
        for (int64_t k = 0; k < l.size; k++)
            memcpy((char *)call->out[0].data +
                       (size_t)(pri_line_start(&l, i) + k * l.inner) * bytes,
                   values + (k == hot ? bytes : 0), bytes);
    }
    return PARE_OK;
}

const pri_op pri_op_one_hot = {
    .name = "OneHot",
    .summary = "one value at an index, another elsewhere",
    .min_opset = 9,
    .max_opset = 21,
    .min_in = 3,
    .max_in = 3,
    .n_out = 1,
    .infer = hot_infer,
    .forward = hot_forward,
};

/* --- Compress --- */

/* The lines asked for: the whole input is one without an axis. */
static pare_status compress_lines(const pri_call *call, pri_lines *l, int *axis)
{
    const pri_shape *x = &call->in[0].shape;

    *axis = -1;
    *l = (pri_lines){1, pri_shape_count(x), 1};
    if (pri_node_attr(call->node, "axis") == NULL)
        return PARE_OK;
    PRI_TRY(pri_axis_of(axis, call, "axis", 0, x->rank));
    *l = pri_lines_of(x, *axis);
    return PARE_OK;
}

static pare_status compress_infer(pri_call *call)
{
    const pri_tensor *condition = call->in[1].constant;
    int64_t kept = 0;
    pri_lines l;
    int axis;

    PRI_TRY(compress_lines(call, &l, &axis));
    if (condition == NULL || condition->dtype != PRI_BOOL)
        return pri_op_fail(call, PARE_ERROR_UNSUPPORTED,
                           "its condition must be constant; it is computed at run time");
    if (condition->shape.rank != 1 || condition->shape.dims[0] > l.size)
        return pri_op_fail(call, PARE_ERROR_SHAPE, "the condition does not fit the input");
    for (int64_t k = 0; k < condition->shape.dims[0]; k++)
        kept += ((const unsigned char *)condition->data)[k] != 0;
    call->out[0].dtype = call->in[0].dtype;
    call->out[0].shape = axis >= 0 ? call->in[0].shape : pri_shape_of(1, (const int64_t[]){kept});
    call->out[0].shape.dims[axis >= 0 ? axis : 0] = kept;
    return PARE_OK;
}

static pare_status compress(const pri_call *call, bool backward)
{
    const unsigned char *condition = call->in[1].data;
    const size_t bytes = pri_dtype_bytes(call->in[0].dtype);
    pri_lines l;
    int axis;

    PRI_TRY(compress_lines(call, &l, &axis));
    const pri_lines to = axis >= 0 ? pri_lines_of(&call->out[0].shape, axis)
                                   : (pri_lines){1, call->out[0].shape.dims[0], 1};
    for (int64_t i = 0; i < l.count; i++) {
        int64_t out = pri_line_start(&to, i);
        for (int64_t k = 0; k < call->in[1].shape.dims[0]; k++) {
            const int64_t in = pri_line_start(&l, i) + k * l.inner;
            if (condition[k] == 0)
                continue;
            if (backward)
                call->grad_in[0][in] += call->grad_out[0][out];
            else
                memcpy((char *)call->out[0].data + (size_t)out * bytes,
                       (const char *)call->in[0].data + (size_t)in * bytes, bytes);
            out += to.inner;
        }
    }
    return PARE_OK;
}

static pare_status compress_forward(pri_call *call)
{
    return compress(call, false);
}

static pare_status compress_backward(pri_call *call)
{
    return call->grad_in[0] != NULL && call->grad_out[0] != NULL ? compress(call, true) : PARE_OK;
}

static pare_status compress_couple(const pri_call *call, pri_rules *rules)
{
    static const char reason[] = "picks these channels by a condition";
    pri_lines l;
    int axis;

    PRI_TRY(compress_lines(call, &l, &axis));
    if (axis >= 0)
        return pri_couple_lines(call, rules, axis, reason);
    for (int a = 0; a < call->in[0].shape.rank; a++)
        PRI_TRY(pri_rules_pin(rules, 0, a, reason));
    return pri_rules_pin(rules, PRI_OUT(0), 0, reason);
}

const pri_op pri_op_compress = {
    .name = "Compress",
    .summary = "slices picked by a condition",
    .min_opset = 9,
    .max_opset = 21,
    .min_in = 2,
    .max_in = 2,
    .n_out = 1,
    .backward_reads = PRI_READS_IN1,
    .infer = compress_infer,
    .forward = compress_forward,
    .backward = compress_backward,
    .couple = compress_couple,
};

/* --- NonZero --- */

static pare_status nonzero_infer(pri_call *call)
{
    const pri_shape *x = &call->in[0].shape;
    int64_t found = 0;

    if (call->in[0].constant == NULL)
        return pri_op_fail(call, PARE_ERROR_UNSUPPORTED,
                           "the size of its result depends on the data; pare's shapes are fixed");
    for (int64_t i = 0; i < pri_shape_count(x); i++)
        found += pri_tensor_get(call->in[0].constant, i) != 0;
    call->out[0].dtype = PRI_I64;
    call->out[0].shape = pri_shape_of(2, (const int64_t[]){pri_max_i64(1, x->rank), found});
    return PARE_OK;
}

static pare_status nonzero_forward(pri_call *call)
{
    const pri_shape *x = &call->in[0].shape;
    const int64_t found = call->out[0].shape.dims[1];
    int64_t *rows = call->out[0].data, at = 0;

    for (int64_t i = 0; i < pri_shape_count(x) && at < found; i++) {
        int64_t rest = i;
        if (pri_get_number(&call->in[0], i) == 0)
            continue;
        rows[at] = 0;
        for (int a = x->rank - 1; a >= 0; a--) {
            rows[a * found + at] = rest % x->dims[a];
            rest /= x->dims[a];
        }
        at++;
    }
    return PARE_OK;
}

const pri_op pri_op_non_zero = {
    .name = "NonZero",
    .summary = "coordinates of elements that are not 0, of a constant",
    .min_opset = 9,
    .max_opset = 21,
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .infer = nonzero_infer,
    .forward = nonzero_forward,
};
