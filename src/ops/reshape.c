/* SPDX-License-Identifier: Apache-2.0 */
/* reshape.c - same elements in the same order: Reshape, Flatten, Squeeze, Unsqueeze, Identity. */
#include <string.h>

#include "ops/op_support.h"

static pare_status infer_shape(pri_call *call, const pri_shape *shape)
{
    if (pri_shape_count(shape) != pri_shape_count(&call->in[0].shape)) {
        char a[PRI_SHAPE_TEXT], b[PRI_SHAPE_TEXT];
        return pri_op_fail(call, PARE_ERROR_SHAPE, "cannot turn %s into %s",
                           pri_shape_text(a, &call->in[0].shape), pri_shape_text(b, shape));
    }
    call->out[0].dtype = call->in[0].dtype;
    call->out[0].shape = *shape;
    return PARE_OK;
}

static pare_status same_forward(pri_call *call)
{
    if (call->out[0].data != call->in[0].data)
        memcpy(call->out[0].data, call->in[0].data,
               (size_t)pri_shape_count(&call->in[0].shape) * pri_dtype_bytes(call->in[0].dtype));
    return PARE_OK;
}

static pare_status same_backward(pri_call *call)
{
    const int64_t n = pri_shape_count(&call->in[0].shape);

    if (call->grad_in[0] == NULL || call->grad_out[0] == NULL)
        return PARE_OK;
    for (int64_t i = 0; i < n; i++)
        call->grad_in[0][i] += call->grad_out[0][i];
    return PARE_OK;
}

static pare_status reshape_infer(pri_call *call)
{
    int64_t values[PRI_MAX_RANK], known = 1;
    int count, open = -1;

    PRI_TRY(pri_op_numbers(call, "shape", 1, values, &count));
    if (count < 0)
        return pri_op_fail(call, PARE_ERROR_SHAPE, "has no shape");
    for (int k = 0; k < count; k++) {
        if (values[k] == 0 && k < call->in[0].shape.rank &&
            pri_node_attr_int(call->node, "allowzero", 0) == 0)
            values[k] = call->in[0].shape.dims[k];
        if (values[k] == -1 && open < 0)
            open = k;
        else if (values[k] < 0 || !pri_mul_i64(&known, known, values[k]))
            return pri_op_fail(call, PARE_ERROR_SHAPE, "dimension %d is %lld", k,
                               (long long)values[k]);
    }
    if (open >= 0)
        values[open] = known > 0 ? pri_shape_count(&call->in[0].shape) / known : 0;
    const pri_shape shape = pri_shape_of(count, values);
    return infer_shape(call, &shape);
}

static pare_status flatten_infer(pri_call *call)
{
    const pri_shape *x = &call->in[0].shape;
    int64_t axis = pri_node_attr_int(call->node, "axis", 1);

    axis = axis < 0 ? axis + x->rank : axis;
    if (axis < 0 || axis > x->rank)
        return pri_op_fail(call, PARE_ERROR_SHAPE, "axis %lld is out of range", (long long)axis);
    const pri_shape shape =
        pri_shape_of(2, (const int64_t[]){pri_shape_span(x, 0, (int)axis),
                                          pri_shape_span(x, (int)axis, x->rank)});
    return infer_shape(call, &shape);
}

static pare_status axes_mask(const pri_call *call, int rank, unsigned *mask)
{
    int64_t values[PRI_MAX_RANK];
    int count;

    *mask = 0;
    PRI_TRY(pri_op_numbers(call, "axes", 1, values, &count));
    for (int k = 0; k < count; k++) {
        const int axis = pri_axis(values[k], rank);
        if (axis < 0)
            return pri_op_fail(call, PARE_ERROR_SHAPE, "axis %lld is out of range",
                               (long long)values[k]);
        *mask |= 1u << axis;
    }
    return PARE_OK;
}

static pare_status squeeze_infer(pri_call *call)
{
    const pri_shape *x = &call->in[0].shape;
    pri_shape shape = {0};
    unsigned mask;

    PRI_TRY(axes_mask(call, x->rank, &mask));
    for (int a = 0; a < x->rank; a++) {
        const bool drop = mask != 0 ? (mask >> a & 1) != 0 : x->dims[a] == 1;
        if (!drop)
            shape.dims[shape.rank++] = x->dims[a];
    }
    return infer_shape(call, &shape);
}

static pare_status unsqueeze_infer(pri_call *call)
{
    const pri_shape *x = &call->in[0].shape;
    const pri_attr *attr = pri_node_attr(call->node, "axes");
    pri_shape shape = {0};
    unsigned mask;
    const int added = attr != NULL              ? attr->count
                      : pri_in(call, 1) != NULL ? (int)pri_shape_count(&call->in[1].shape)
                                                : 0;

    if (x->rank + added > PRI_MAX_RANK)
        return pri_op_fail(call, PARE_ERROR_UNSUPPORTED, "gives more than %d axes", PRI_MAX_RANK);
    PRI_TRY(axes_mask(call, x->rank + added, &mask));
    for (int a = 0, from = 0; a < x->rank + added; a++)
        shape.dims[shape.rank++] = (mask >> a & 1) != 0 || from >= x->rank ? 1 : x->dims[from++];
    return infer_shape(call, &shape);
}

/* A reshape to constant sizes states the channels; after a cut they are stated anew. Sizes computed
 * from the batch keep following it: 0 copies a dimension. */
static pare_status reshape_resize(const pri_call *call, const pri_cut *cut, pri_graph *graph,
                                  pri_node *node)
{
    const pri_shape *x = &call->in[0].shape;
    const pri_shape after = pri_cut_shape(cut, PRI_OUT(0)), from = pri_cut_shape(cut, 0);
    const bool can_copy = pri_node_attr_int(node, "allowzero", 0) == 0;
    const bool is_computed = pri_node_attr(node, "shape") == NULL && node->n_inputs > 1 &&
                             node->inputs[1] != NULL && node->inputs[1]->constant == NULL;
    int64_t values[PRI_MAX_RANK];
    bool is_stale = false;
    int count;

    PRI_TRY(pri_op_numbers(call, "shape", 1, values, &count));
    for (int k = 0; k < count; k++) {
        const bool is_copy = values[k] == 0 && can_copy && k < x->rank;
        const int64_t size = is_copy ? from.dims[k] : values[k];
        if (values[k] == -1)
            continue;
        is_stale = is_stale || size != after.dims[k];
        if (is_computed && can_copy && k < x->rank && from.dims[k] == after.dims[k])
            values[k] = 0;
        else if (!is_copy || size != after.dims[k])
            values[k] = after.dims[k];
    }
    return is_stale ? pri_op_restate(graph, node, "shape", 1, values, count) : PARE_OK;
}

#define SAME_ORDER(symbol, text, words, most, infer_hook, resize_hook, rule, place)                \
    const pri_op symbol = {.name = text,                                                           \
                           .summary = words,                                                       \
                           .min_opset = 1,                                                         \
                           .max_opset = 21,                                                        \
                           .min_in = 1,                                                            \
                           .max_in = most,                                                         \
                           .n_out = 1,                                                             \
                           .layouts = rule,                                                        \
                           .is_movement = true,                                                    \
                           .is_in_place = place,                                                   \
                           .infer = infer_hook,                                                    \
                           .forward = same_forward,                                                \
                           .backward = same_backward,                                              \
                           .resize = resize_hook}

SAME_ORDER(pri_op_reshape, "Reshape", "same elements, other shape", 2, reshape_infer,
           reshape_resize, PRI_LAYOUTS_PLAIN, false);
SAME_ORDER(pri_op_flatten, "Flatten", "all axes into two", 1, flatten_infer, NULL,
           PRI_LAYOUTS_PLAIN, false);
SAME_ORDER(pri_op_squeeze, "Squeeze", "drops axes of one element", 2, squeeze_infer, NULL,
           PRI_LAYOUTS_PLAIN, false);
SAME_ORDER(pri_op_unsqueeze, "Unsqueeze", "adds axes of one element", 2, unsqueeze_infer, NULL,
           PRI_LAYOUTS_PLAIN, false);
SAME_ORDER(pri_op_identity, "Identity", "its input", 1, pri_infer_same, NULL, PRI_LAYOUTS_SAME,
           true);
