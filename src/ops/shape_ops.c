/* SPDX-License-Identifier: Apache-2.0 */
/* shape_ops.c - Shape, Size, ConstantOfShape, Constant, Range. */
#include <math.h>
#include <string.h>

#include "ops/elements.h"
#include "ops/op_support.h"

/* Dimensions from .. to-1 are asked for (all of them before opset 15). */
static void shape_range(const pri_call *call, int64_t *from, int64_t *to)
{
    const int64_t rank = call->in[0].shape.rank;

    *from = pri_node_attr_int(call->node, "start", 0);
    *to = pri_node_attr_int(call->node, "end", rank);
    *from = pri_max_i64(0, pri_min_i64(*from < 0 ? *from + rank : *from, rank));
    *to = pri_max_i64(*from, pri_min_i64(*to < 0 ? *to + rank : *to, rank));
}

static pare_status shape_infer(pri_call *call)
{
    int64_t from, to;

    shape_range(call, &from, &to);
    call->out[0].dtype = PRI_I64;
    call->out[0].shape = pri_shape_of(1, (const int64_t[]){to - from});
    return PARE_OK;
}

static pare_status shape_forward(pri_call *call)
{
    int64_t from, to;

    shape_range(call, &from, &to);
    memcpy(call->out[0].data, call->in[0].shape.dims + from, (size_t)(to - from) * sizeof(int64_t));
    return PARE_OK;
}

static pare_status shape_couple(const pri_call *call, pri_rules *rules)
{
    for (int a = 0; a < call->in[0].shape.rank; a++)
        PRI_TRY(pri_rules_free(rules, 0, a));
    return PARE_OK;
}

const pri_op pri_op_shape = {
    .name = "Shape",
    .summary = "the shape as integers",
    .min_opset = 1,
    .max_opset = 21,
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .reads_shapes_only = true,
    .infer = shape_infer,
    .forward = shape_forward,
    .couple = shape_couple,
};

static pare_status size_infer(pri_call *call)
{
    call->out[0].dtype = PRI_I64;
    call->out[0].shape = (pri_shape){0};
    return PARE_OK;
}

static pare_status size_forward(pri_call *call)
{
    *(int64_t *)call->out[0].data = pri_shape_count(&call->in[0].shape);
    return PARE_OK;
}

const pri_op pri_op_size = {
    .name = "Size",
    .summary = "the number of elements",
    .min_opset = 1,
    .max_opset = 21,
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .reads_shapes_only = true,
    .infer = size_infer,
    .forward = size_forward,
    .couple = shape_couple,
};

/* --- Constant, ConstantOfShape --- */

static pare_status fill_infer(pri_call *call)
{
    int64_t values[PRI_MAX_RANK];
    int count;
    const pri_attr *attr = pri_node_attr(call->node, "value");

    PRI_TRY(pri_op_ints(call, 0, values, PRI_MAX_RANK, &count));
    if (attr != NULL && attr->tensor != NULL && pri_tensor_count(attr->tensor) != 1)
        return pri_op_fail(call, PARE_ERROR_SHAPE, "its value must be one element");
    call->out[0].dtype = attr != NULL && attr->tensor != NULL ? attr->tensor->dtype : PRI_F32;
    call->out[0].shape = pri_shape_of(count, values);
    if (pri_shape_count(&call->out[0].shape) < 0)
        return pri_op_fail(call, PARE_ERROR_SHAPE, "the shape asked for is impossible");
    return PARE_OK;
}

static pare_status fill_forward(pri_call *call)
{
    const pri_attr *attr = pri_node_attr(call->node, "value");
    const size_t bytes = pri_dtype_bytes(call->out[0].dtype);
    const int64_t n = pri_shape_count(&call->out[0].shape);

    const size_t size = (size_t)n * bytes;
    char *y = call->out[0].data;

    if (attr == NULL || attr->tensor == NULL || size == 0) {
        memset(y, 0, size);
        return PARE_OK;
    }
    memcpy(y, attr->tensor->data, bytes);
    for (size_t done = bytes; done < size; done *= 2) /* what is there is copied behind itself */
        memcpy(y + done, y, done < size - done ? done : size - done);
    return PARE_OK;
}

const pri_op pri_op_constant_of_shape = {
    .name = "ConstantOfShape",
    .summary = "a tensor of one value",
    .min_opset = 9,
    .max_opset = 21,
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .infer = fill_infer,
    .forward = fill_forward,
};

static pare_status constant_infer(pri_call *call)
{
    return pri_op_fail(call, PARE_ERROR_UNSUPPORTED, "holds no tensor pare can read");
}

/* The importer has already taken the value of every Constant node. */
const pri_op pri_op_constant = {
    .name = "Constant",
    .summary = "a value stated in the graph",
    .min_opset = 1,
    .max_opset = 21,
    .max_in = 0,
    .n_out = 1,
    .infer = constant_infer,
};

/* --- Range --- */

static pare_status range_numbers(const pri_call *call, double v[3])
{
    for (int k = 0; k < 3; k++) {
        const pri_tensor *number = call->in[k].constant;
        if (number == NULL || pri_tensor_count(number) != 1)
            return pri_op_fail(call, PARE_ERROR_UNSUPPORTED,
                               "input %d must be one number known before running", k);
        v[k] = pri_tensor_get(number, 0);
    }
    return PARE_OK;
}

static pare_status range_infer(pri_call *call)
{
    const pri_dtype dtype = call->in[0].dtype;
    double v[3];

    if (!pri_is_number(dtype))
        return pri_op_fail(call, PARE_ERROR_UNSUPPORTED, "counts in %s", pri_dtype_name(dtype));
    PRI_TRY(range_numbers(call, v));
    const double count = ceil((v[1] - v[0]) / v[2]);
    if (!(count < 1e9))
        return pri_op_fail(call, PARE_ERROR_SHAPE, "from %g to %g by %g never ends", v[0], v[1],
                           v[2]);
    call->out[0].dtype = dtype;
    call->out[0].shape = pri_shape_of(1, (const int64_t[]){count > 0 ? (int64_t)count : 0});
    return PARE_OK;
}

static pare_status range_forward(pri_call *call)
{
    double v[3];

    PRI_TRY(range_numbers(call, v));
    for (int64_t i = 0; i < call->out[0].shape.dims[0]; i++)
        pri_set_number(&call->out[0], i, v[0] + (double)i * v[2]);
    return PARE_OK;
}

const pri_op pri_op_range = {
    .name = "Range",
    .summary = "numbers from a start to a limit",
    .min_opset = 11,
    .max_opset = 21,
    .min_in = 3,
    .max_in = 3,
    .n_out = 1,
    .infer = range_infer,
    .forward = range_forward,
};

/* --- EyeLike --- */

static pare_status eye_infer(pri_call *call)
{
    const pri_dtype dtype = pri_dtype_run(
        (pri_dtype)pri_node_attr_int(call->node, "dtype", (int64_t)call->in[0].dtype));

    if (call->in[0].shape.rank != 2 || !pri_is_number(dtype))
        return pri_op_fail(call, PARE_ERROR_UNSUPPORTED, "cannot make a matrix of %s from rank %d",
                           pri_dtype_name(dtype), call->in[0].shape.rank);
    call->out[0].dtype = dtype;
    call->out[0].shape = call->in[0].shape;
    return PARE_OK;
}

static pare_status eye_forward(pri_call *call)
{
    const int64_t rows = call->in[0].shape.dims[0], columns = call->in[0].shape.dims[1];
    const int64_t k = pri_node_attr_int(call->node, "k", 0);

    memset(call->out[0].data, 0, (size_t)(rows * columns) * pri_dtype_bytes(call->out[0].dtype));
    for (int64_t i = 0; i < rows; i++) {
        if (k >= -i && k < columns - i)
            pri_set_number(&call->out[0], i * columns + i + k, 1);
    }
    return PARE_OK;
}

const pri_op pri_op_eye_like = {
    .name = "EyeLike",
    .summary = "ones on a diagonal",
    .min_opset = 9,
    .max_opset = 21,
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .reads_shapes_only = true,
    .infer = eye_infer,
    .forward = eye_forward,
};
