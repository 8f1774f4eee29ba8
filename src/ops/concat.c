/* SPDX-License-Identifier: Apache-2.0 */
/* concat.c - Concat and Split. */
#include <string.h>

#include "kernels/pieces.h"
#include "ops/op_support.h"

/* Elements of a part that lie together: what its `axis` and the axes inside of it hold. Those
 * outside of it are the rows. */
static int64_t piece_count(const pri_operand *part, int axis)
{
    int64_t strides[PRI_MAX_RANK];

    pri_layout_strides(strides, &part->shape, part->layout);
    return part->shape.dims[axis] * strides[axis];
}

static pare_status concat_infer(pri_call *call)
{
    pri_shape shape = call->in[0].shape;
    const int axis = pri_axis(pri_node_attr_int(call->node, "axis", 1), shape.rank);

    if (axis < 0)
        return pri_op_fail(call, PARE_ERROR_SHAPE, "its axis is out of range");
    for (int k = 1; k < call->n_in; k++) {
        const pri_shape *x = &call->in[k].shape;
        pri_shape other = *x;
        if (x->rank != shape.rank || call->in[k].dtype != call->in[0].dtype)
            return pri_op_fail(call, PARE_ERROR_SHAPE, "input %d has another rank or type", k);
        other.dims[axis] = shape.dims[axis];
        if (!pri_shape_equal(&other, &shape))
            return pri_op_fail(call, PARE_ERROR_SHAPE, "input %d does not fit input 0", k);
        shape.dims[axis] += x->dims[axis];
    }
    call->out[0].dtype = call->in[0].dtype;
    call->out[0].shape = shape;
    return PARE_OK;
}

/* Channels-last when the first input is, for float images. */
static pare_status concat_prepare(pri_call *call)
{
    const pri_layout layout = call->in[0].layout;

    for (int k = 0; k < call->n_in; k++)
        call->in[k].layout = layout;
    call->out[0].layout = layout;
    return PARE_OK;
}

static bool concat_takes_bf16(const pri_call *call, int slot)
{
    (void)call;
    return slot >= 0; /* every input, PRI_OUT(0) too */
}

static void concat_run(const pri_call *call, bool backward)
{
    const pri_operand *y = &call->out[0];
    const int axis = pri_axis(pri_node_attr_int(call->node, "axis", 1), y->shape.rank);
    const int64_t count = pri_shape_count(&y->shape);
    pri_piece pieces[PRI_MAX_OPERANDS];

    if (count == 0 || (backward && call->grad_out[0] == NULL))
        return;
    for (int k = 0; k < call->n_in; k++)
        pieces[k] = (pri_piece){.data = backward ? call->grad_in[k] : call->in[k].data,
                                .count = piece_count(&call->in[k], axis),
                                .dtype = call->in[k].dtype,
                                .add = backward && !pri_is_fresh(call, k)};
    const int64_t rows = count / piece_count(y, axis);
    if (backward)
        pri_pieces_split(call->grad_out[0], y->dtype, pieces, call->n_in, rows);
    else
        pri_pieces_join(y->data, y->dtype, pieces, call->n_in, rows);
}

static pare_status concat_forward(pri_call *call)
{
    concat_run(call, false);
    return PARE_OK;
}

static pare_status concat_backward(pri_call *call)
{
    concat_run(call, true);
    return PARE_OK;
}

const pri_op pri_op_concat = {
    .name = "Concat",
    .summary = "inputs one after another along an axis",
    .min_opset = 4,
    .max_opset = 21,
    .min_in = 1,
    .max_in = PRI_MAX_OPERANDS,
    .n_out = 1,
    .layouts = PRI_LAYOUTS_PREPARE,
    .is_movement = true,
    .infer = concat_infer,
    .prepare = concat_prepare,
    .forward = concat_forward,
    .backward = concat_backward,
    .takes_bf16 = concat_takes_bf16,
    .writes_gradients = true,
};

/* --- Split --- */

/* Sizes of the parts: stated, or as equal as can be (the last one smaller, since opset 18). */
static pare_status split_sizes(const pri_call *call, int axis, int64_t sizes[PRI_MAX_OPERANDS])
{
    const pri_attr *attr = pri_node_attr(call->node, "split");
    const int64_t total = call->in[0].shape.dims[axis], parts = call->n_out;
    int64_t sum = 0;
    int count = -1;

    if (attr != NULL && attr->count <= PRI_MAX_OPERANDS) {
        count = attr->count;
        memcpy(sizes, attr->ints, (size_t)count * sizeof *sizes);
    } else {
        PRI_TRY(pri_op_ints(call, 1, sizes, PRI_MAX_OPERANDS, &count));
    }
    if (count < 0) {
        const int64_t each = (total + parts - 1) / parts;
        if (total % parts != 0 && call->opset < 18)
            return pri_op_fail(call, PARE_ERROR_SHAPE, "%lld elements do not split into %lld parts",
                               (long long)total, (long long)parts);
        for (int64_t k = 0; k < parts; k++)
            sizes[k] = pri_max_i64(0, pri_min_i64(each, total - k * each));
        count = (int)parts;
    }
    for (int k = 0; k < count; k++) {
        if (sizes[k] < 0 || sizes[k] > total - sum)
            break;
        sum += sizes[k];
    }
    if (count != call->n_out || sum != total)
        return pri_op_fail(call, PARE_ERROR_SHAPE,
                           "its sizes do not add up to the %lld elements of axis %d",
                           (long long)total, axis);
    return PARE_OK;
}

static int split_axis(const pri_call *call)
{
    return pri_axis(pri_node_attr_int(call->node, "axis", 0), call->in[0].shape.rank);
}

static pare_status split_infer(pri_call *call)
{
    int64_t sizes[PRI_MAX_OPERANDS];
    const int axis = split_axis(call);

    if (axis < 0)
        return pri_op_fail(call, PARE_ERROR_SHAPE, "its axis is out of range");
    PRI_TRY(split_sizes(call, axis, sizes));
    for (int k = 0; k < call->n_out; k++) {
        call->out[k].dtype = call->in[0].dtype;
        call->out[k].shape = call->in[0].shape;
        call->out[k].shape.dims[axis] = sizes[k];
    }
    return PARE_OK;
}

static pare_status split_prepare(pri_call *call)
{
    for (int k = 1; k < call->n_in; k++)
        call->in[k].layout = PRI_PLAIN;
    for (int k = 0; k < call->n_out; k++)
        call->out[k].layout = call->in[0].layout;
    return PARE_OK;
}

static pare_status split_run(const pri_call *call, bool backward)
{
    const pri_operand *x = &call->in[0];
    const int axis = split_axis(call);
    const int64_t count = pri_shape_count(&x->shape), row = piece_count(x, axis);
    pri_piece pieces[PRI_MAX_OPERANDS];
    int64_t sizes[PRI_MAX_OPERANDS];

    PRI_TRY(split_sizes(call, axis, sizes));
    if (count == 0 || (backward && call->grad_in[0] == NULL))
        return PARE_OK;
    for (int k = 0; k < call->n_out; k++) {
        void *data = backward ? (void *)call->grad_out[k] : call->out[k].data;
        pieces[k] = (pri_piece){.data = call->out[k].present ? data : NULL,
                                .count = row / x->shape.dims[axis] * sizes[k],
                                .dtype = x->dtype,
                                .add = backward};
    }
    if (backward)
        pri_pieces_join(call->grad_in[0], x->dtype, pieces, call->n_out, count / row);
    else
        pri_pieces_split(x->data, x->dtype, pieces, call->n_out, count / row);
    return PARE_OK;
}

static pare_status split_forward(pri_call *call)
{
    return split_run(call, false);
}

static pare_status split_backward(pri_call *call)
{
    return split_run(call, true);
}

/* Parts lose channels of their own, so that equal parts may become unequal: sizes are stated. */
static pare_status split_resize(const pri_call *call, const pri_cut *cut, pri_graph *graph,
                                pri_node *node)
{
    const int axis = split_axis(call);
    const bool *keep = pri_cut_keep(cut, 0, axis);
    int64_t sizes[PRI_MAX_OPERANDS], at = 0;

    if (keep == NULL)
        return PARE_OK;
    PRI_TRY(split_sizes(call, axis, sizes));
    for (int k = 0; k < call->n_out; k++) {
        const int64_t end = at + sizes[k];
        sizes[k] = pri_count_kept(keep, at, end);
        at = end;
    }
    pri_node_remove_attr(node, "num_outputs");
    if (call->opset < 13)
        return pri_node_set_ints(graph, node, "split", sizes, call->n_out);
    return pri_op_restate(graph, node, "split", 1, sizes, call->n_out);
}

const pri_op pri_op_split = {
    .name = "Split",
    .lets_outputs_out = true,
    .summary = "parts of an axis",
    .min_opset = 2,
    .max_opset = 21,
    .min_in = 1,
    .max_in = 2,
    .n_out = PRI_MAX_OPERANDS,
    .layouts = PRI_LAYOUTS_PREPARE,
    .is_movement = true,
    .infer = split_infer,
    .prepare = split_prepare,
    .forward = split_forward,
    .backward = split_backward,
    .resize = split_resize,
};
