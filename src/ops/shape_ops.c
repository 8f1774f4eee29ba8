/* SPDX-License-Identifier: Apache-2.0 */
/* shape_ops.c - Shape, Gather, Cast, ConstantOfShape, Constant, Dropout. */
#include <string.h>

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

/* --- Gather --- */

static pare_status check_indices(const pri_call *call, int64_t size)
{
    const pri_tensor *index = call->in[1].constant;

    for (int64_t k = 0; index != NULL && k < pri_tensor_count(index); k++) {
        const int64_t i = pri_tensor_get_i64(index, k);
        if (i < -size || i >= size)
            return pri_op_fail(call, PARE_ERROR_SHAPE, "index %lld is outside an axis of %lld",
                               (long long)i, (long long)size);
    }
    return PARE_OK;
}

static pare_status gather_infer(pri_call *call)
{
    const pri_shape *x = &call->in[0].shape, *i = &call->in[1].shape;
    const int axis = pri_axis(pri_node_attr_int(call->node, "axis", 0), x->rank);
    pri_shape shape = {0};

    if (axis < 0 || x->rank - 1 + i->rank > PRI_MAX_RANK ||
        (call->in[1].dtype != PRI_I64 && call->in[1].dtype != PRI_I32))
        return pri_op_fail(call, PARE_ERROR_SHAPE, "its axis or indices do not fit");
    PRI_TRY(check_indices(call, x->dims[axis]));
    for (int a = 0; a < axis; a++)
        shape.dims[shape.rank++] = x->dims[a];
    for (int a = 0; a < i->rank; a++)
        shape.dims[shape.rank++] = i->dims[a];
    for (int a = axis + 1; a < x->rank; a++)
        shape.dims[shape.rank++] = x->dims[a];
    call->out[0].dtype = call->in[0].dtype;
    call->out[0].shape = shape;
    return PARE_OK;
}

static pare_status gather(const pri_call *call, bool backward)
{
    const pri_shape *x = &call->in[0].shape;
    const int axis = pri_axis(pri_node_attr_int(call->node, "axis", 0), x->rank);
    const int64_t outer = pri_shape_span(x, 0, axis), size = x->dims[axis];
    const int64_t inner = pri_shape_span(x, axis + 1, x->rank);
    const int64_t count = pri_shape_count(&call->in[1].shape);
    const size_t bytes = pri_dtype_bytes(call->in[0].dtype);

    for (int64_t o = 0; o < outer; o++) {
        for (int64_t k = 0; k < count; k++) {
            int64_t i = call->in[1].dtype == PRI_I64 ? ((const int64_t *)call->in[1].data)[k]
                                                     : ((const int32_t *)call->in[1].data)[k];
            i = i < 0 ? i + size : i;
            if (i < 0 || i >= size)
                return pri_op_fail(call, PARE_ERROR_SHAPE, "index %lld is outside 0 .. %lld",
                                   (long long)i, (long long)size - 1);
            const int64_t from = (o * size + i) * inner, to = (o * count + k) * inner;
            if (!backward)
                memcpy((char *)call->out[0].data + (size_t)to * bytes,
                       (const char *)call->in[0].data + (size_t)from * bytes,
                       (size_t)inner * bytes);
            for (int64_t e = 0; backward && e < inner; e++)
                call->grad_in[0][from + e] += call->grad_out[0][to + e];
        }
    }
    return PARE_OK;
}

static pare_status gather_forward(pri_call *call)
{
    return gather(call, false);
}

static pare_status gather_backward(pri_call *call)
{
    return call->grad_in[0] != NULL && call->grad_out[0] != NULL ? gather(call, true) : PARE_OK;
}

/* The index tensor after a cut: without the positions that are gone, numbers counted among the
 * channels that are left. */
static pare_status renumber(pri_tensor **out, const pri_call *call, const pri_cut *cut, int axis)
{
    const pri_tensor *index = call->in[1].constant;
    const int64_t size = call->in[0].shape.dims[axis];
    const bool *keep = pri_cut_keep(cut, 0, axis);
    pri_tensor *now = NULL;

    PRI_TRY(pri_tensor_convert(&now, index, PRI_I64));
    for (int a = 0; a < index->shape.rank; a++) {
        const bool *stays = pri_cut_keep(cut, PRI_OUT(0), axis + a);
        pri_tensor *sliced = NULL;
        const pare_status status =
            stays != NULL ? pri_tensor_slice(&sliced, now, a, stays) : PARE_OK;
        if (stays != NULL) {
            pri_tensor_free(now);
            now = sliced;
        }
        if (status != PARE_OK)
            return status;
    }
    int64_t *values = now->data;
    for (int64_t k = 0; k < pri_tensor_count(now); k++)
        values[k] = pri_count_kept(keep, 0, values[k] < 0 ? values[k] + size : values[k]);
    *out = now;
    return PARE_OK;
}

static pare_status gather_resize(const pri_call *call, const pri_cut *cut, pri_graph *graph,
                                 pri_node *node)
{
    const int axis =
        pri_axis(pri_node_attr_int(call->node, "axis", 0), call->in[0].shape.rank);
    bool is_stale = pri_cut_keep(cut, 0, axis) != NULL;
    pri_tensor *index = NULL;

    for (int a = 0; a < call->in[1].shape.rank; a++)
        is_stale = is_stale || pri_cut_keep(cut, PRI_OUT(0), axis + a) != NULL;
    if (!is_stale || call->in[1].constant == NULL)
        return PARE_OK;
    PRI_TRY(renumber(&index, call, cut, axis));
    pri_value *value = pri_graph_add_constant(graph, "", index);
    return value != NULL ? pri_graph_set_input(graph, node, 1, value) : PARE_ERROR_MEMORY;
}

const pri_op pri_op_gather = {
    .name = "Gather",
    .summary = "slices picked by index",
    .min_opset = 1,
    .max_opset = 21,
    .min_in = 2,
    .max_in = 2,
    .n_out = 1,
    .is_movement = true,
    .backward_reads = PRI_READS_IN1,
    .infer = gather_infer,
    .forward = gather_forward,
    .backward = gather_backward,
    .resize = gather_resize,
};

/* --- Cast, Constant, ConstantOfShape --- */

static pare_status cast_infer(pri_call *call)
{
    const pri_dtype to = (pri_dtype)pri_node_attr_int(call->node, "to", 0);
    const pri_dtype from = call->in[0].dtype;

    if ((to != PRI_F32 && to != PRI_I64 && to != PRI_I32 && to != PRI_BOOL && to != PRI_U8 &&
         to != from) ||
        from == PRI_STRING || pri_dtype_bytes(from) == 0)
        return pri_op_fail(call, PARE_ERROR_UNSUPPORTED,
                           "casts %s to %s; pare casts to float32, int64, int32, uint8 and bool",
                           pri_dtype_name(from), pri_dtype_name(to));
    call->out[0].dtype = to;
    call->out[0].shape = call->in[0].shape;
    return PARE_OK;
}

/* Numbers outside an integer type end at its bounds, instead of being undefined. */
static int64_t to_integer(double value, double low, double high)
{
    if (!(value > low)) /* NaN too */
        return low <= -9.2e18 ? INT64_MIN : (int64_t)low;
    return value < high ? (int64_t)value : high >= 9.2e18 ? INT64_MAX : (int64_t)high;
}

static void cast_element(const pri_operand *out, int64_t i, const pri_tensor *from)
{
    const bool is_float = from->dtype == PRI_F32 || from->dtype == PRI_F16 ||
                          from->dtype == PRI_F64 || from->dtype == PRI_BF16;
    const double value = pri_tensor_get(from, i);

    switch (out->dtype) {
    case PRI_F32: ((float *)out->data)[i] = (float)value; break;
    case PRI_BOOL: ((unsigned char *)out->data)[i] = value != 0; break;
    case PRI_U8: ((unsigned char *)out->data)[i] = (unsigned char)to_integer(value, 0, 255); break;
    case PRI_I32:
        ((int32_t *)out->data)[i] = (int32_t)to_integer(value, INT32_MIN, INT32_MAX);
        break;
    default:
        ((int64_t *)out->data)[i] =
            is_float ? to_integer(value, -9.2e18, 9.2e18) : pri_tensor_get_i64(from, i);
        break;
    }
}

static pare_status cast_forward(pri_call *call)
{
    const int64_t n = pri_shape_count(&call->in[0].shape);
    const pri_tensor from = {.dtype = call->in[0].dtype,
                             .shape = call->in[0].shape,
                             .data = call->in[0].data};

    if (call->out[0].dtype == call->in[0].dtype) {
        memcpy(call->out[0].data, call->in[0].data, (size_t)n * pri_dtype_bytes(from.dtype));
        return PARE_OK;
    }
    for (int64_t i = 0; i < n; i++)
        cast_element(&call->out[0], i, &from);
    return PARE_OK;
}

/* Only float reaches float, so only a copy passes a gradient. */
static pare_status cast_backward(pri_call *call)
{
    const int64_t n = pri_shape_count(&call->in[0].shape);

    if (call->grad_in[0] == NULL || call->grad_out[0] == NULL || call->in[0].dtype != PRI_F32)
        return PARE_OK;
    for (int64_t i = 0; i < n; i++)
        call->grad_in[0][i] += call->grad_out[0][i];
    return PARE_OK;
}

const pri_op pri_op_cast = {
    .name = "Cast",
    .summary = "another element type",
    .min_opset = 6,
    .max_opset = 21,
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .infer = cast_infer,
    .forward = cast_forward,
    .backward = cast_backward,
    .couple = pri_couple_same,
};

static pare_status fill_infer(pri_call *call)
{
    int64_t values[PRI_MAX_RANK];
    int count;
    const pri_attr *attr = pri_node_attr(call->node, "value");

    PRI_TRY(pri_op_ints(call, 0, values, PRI_MAX_RANK, &count));
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

    memset(call->out[0].data, 0, (size_t)n * bytes);
    for (int64_t i = 0; i < n && attr != NULL && attr->tensor != NULL; i++)
        memcpy((char *)call->out[0].data + (size_t)i * bytes, attr->tensor->data, bytes);
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

/* --- Dropout --- */

typedef struct dropout_params {
    float ratio;
} dropout_params;

static pare_status dropout_parse(const pri_node *node, int opset, void *params, pri_arena *arena,
                                 pare_context *ctx)
{
    (void)opset;
    (void)arena;
    (void)ctx;
    ((dropout_params *)params)->ratio = pri_node_attr_float(node, "ratio", 0.5f);
    return PARE_OK;
}

static bool has_mask(const pri_call *call)
{
    return call->n_out > 1 && call->out[1].present;
}

/* The mask output says what was kept: of the input's type, since opset 10 of bool. */
static pare_status dropout_infer(pri_call *call)
{
    if (has_mask(call)) {
        call->out[1].dtype = call->opset < 10 ? call->in[0].dtype : PRI_BOOL;
        call->out[1].shape = call->in[0].shape;
        if (call->opset < 10)
            PRI_TRY(pri_need_float(call, 1));
    }
    return pri_infer_same(call);
}

static pare_status dropout_prepare(pri_call *call)
{
    if (has_mask(call))
        call->in[0].layout = call->out[1].layout = PRI_PLAIN;
    for (int k = 1; k < call->n_in; k++)
        call->in[k].layout = PRI_PLAIN;
    call->out[0].layout = call->in[0].layout;
    return PARE_OK;
}

static float ratio_of(const pri_call *call)
{
    const pri_operand *ratio = pri_in(call, 1);

    if (!call->training)
        return 0;
    return ratio != NULL && ratio->dtype == PRI_F32 ? *(const float *)ratio->data
                                                    : ((const dropout_params *)call->params)->ratio;
}

static float factor_at(const pri_call *call, float ratio, int64_t i)
{
    /* counter-based, so that backward draws the same mask (splitmix64 finaliser) */
    uint64_t z = call->seed + (call->step + 1) * UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)i;

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    z ^= z >> 31;
    return (float)(z >> 40) < ratio * 16777216.0f ? 0.0f : 1.0f / (1.0f - ratio);
}

static void fill_mask(const pri_call *call, float ratio)
{
    const int64_t n = pri_shape_count(&call->in[0].shape);

    for (int64_t i = 0; i < n; i++) {
        const bool keep = ratio <= 0 || factor_at(call, ratio, i) > 0;
        if (call->out[1].dtype == PRI_BOOL)
            ((unsigned char *)call->out[1].data)[i] = keep;
        else
            ((float *)call->out[1].data)[i] = keep;
    }
}

static pare_status dropout_forward(pri_call *call)
{
    const int64_t n = pri_shape_count(&call->in[0].shape);
    const size_t bytes = pri_dtype_bytes(call->in[0].dtype);
    const float ratio = ratio_of(call);
    const float *x = call->in[0].data;
    float *y = call->out[0].data;

    if (has_mask(call) && call->out[1].data != NULL)
        fill_mask(call, ratio);
    if (ratio <= 0 || bytes != sizeof(float)) {
        if (call->out[0].data != call->in[0].data)
            memcpy(call->out[0].data, call->in[0].data, (size_t)n * bytes);
        return PARE_OK;
    }
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] * factor_at(call, ratio, i);
    return PARE_OK;
}

static pare_status dropout_backward(pri_call *call)
{
    const int64_t n = pri_shape_count(&call->in[0].shape);
    const float ratio = ratio_of(call);

    if (call->grad_in[0] == NULL || call->grad_out[0] == NULL)
        return PARE_OK;
    for (int64_t i = 0; i < n; i++)
        call->grad_in[0][i] +=
            call->grad_out[0][i] * (ratio > 0 ? factor_at(call, ratio, i) : 1.0f);
    return PARE_OK;
}

const pri_op pri_op_dropout = {
    .name = "Dropout",
    .summary = "drops elements while training",
    .min_opset = 7,
    .max_opset = 21,
    .min_in = 1,
    .max_in = 3,
    .n_out = 2,
    .params_size = sizeof(dropout_params),
    .layouts = PRI_LAYOUTS_PREPARE,
    .is_in_place = true,
    .parse = dropout_parse,
    .infer = dropout_infer,
    .prepare = dropout_prepare,
    .forward = dropout_forward,
    .backward = dropout_backward,
    .couple = pri_couple_same,
};
