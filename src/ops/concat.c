/* SPDX-License-Identifier: Apache-2.0 */
/* concat.c - Concat and Split. */
#include <string.h>

#include "kernels/narrow.h"
#include "kernels/strided.h"
#include "ops/op_support.h"

/* The nest over one part of a whole, which begins `at` elements along `axis`; *offset is where in
 * the whole. Operand 0 is the whole when `into_whole`. False when the part is empty. */
static bool part_nest(pri_nest *nest, int64_t *offset, const pri_operand *whole,
                      const pri_operand *part, int axis, int64_t at, bool into_whole)
{
    int64_t of_whole[PRI_MAX_RANK], of_part[PRI_MAX_RANK];

    if (pri_shape_count(&part->shape) == 0)
        return false;
    pri_layout_strides(of_whole, &whole->shape, whole->layout);
    pri_layout_strides(of_part, &part->shape, part->layout);
    const int64_t *const strides[2] = {into_whole ? of_whole : of_part,
                                       into_whole ? of_part : of_whole};
    pri_nest_make(nest, part->shape.rank, part->shape.dims, 2, strides);
    *offset = at * of_whole[axis];
    return true;
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

/* Activations of which some are bfloat16: rows along memory, operand 0 of the nest is written. */
static void copy_narrow(const pri_nest *nest, void *to, pri_dtype to_type, int64_t to_offset,
                        const void *from, pri_dtype from_type, int64_t from_offset, bool add)
{
    const int last = nest->rank - 1;
    const int64_t piece =
        nest->strides[0][last] == 1 && nest->strides[1][last] == 1 ? PRI_NARROW_PIECE : 1;

#pragma omp parallel for schedule(static) if (nest->rows * nest->chunk > 16384)
    for (int64_t row = 0; row < nest->rows; row++) {
        int64_t at[PRI_NEST_OPERANDS];
        const int64_t length = pri_nest_row(nest, row, at);
        for (int64_t i = 0; i < length; i += piece) {
            const int64_t n = pri_min_i64(piece, length - i);
            const int64_t there = to_offset + at[0] + i * nest->strides[0][last];
            const int64_t here = from_offset + at[1] + i * nest->strides[1][last];
            float room[2][PRI_NARROW_PIECE];
            const float *v = pri_floats_at(from, from_type, here, n, room[0]);
            float *w = pri_floats_for(to, to_type, there, room[1]);
            if (add)
                (void)pri_floats_at(to, to_type, there, n, room[1]);
            for (int64_t k = 0; k < n; k++)
                w[k] = add ? w[k] + v[k] : v[k];
            pri_floats_put(to, to_type, there, n, w);
        }
    }
}

/* Whether activations have types of their own (concat_takes_bf16). */
static bool has_own_types(const pri_call *call)
{
    bool differ = call->out[0].dtype == PRI_BF16;

    for (int k = 0; k < call->n_in; k++)
        differ = differ || call->in[k].dtype != call->out[0].dtype;
    return differ;
}

static void concat_run(const pri_call *call, bool backward)
{
    const size_t bytes = pri_dtype_bytes(call->out[0].dtype);
    const int axis = pri_axis(pri_node_attr_int(call->node, "axis", 1), call->in[0].shape.rank);
    int64_t at = 0;

    for (int k = 0; k < call->n_in; at += call->in[k++].shape.dims[axis]) {
        int64_t offset;
        pri_nest nest;
        if (!part_nest(&nest, &offset, &call->out[0], &call->in[k], axis, at, !backward))
            continue;
        if (has_own_types(call) && !backward)
            copy_narrow(&nest, call->out[0].data, call->out[0].dtype, offset, call->in[k].data,
                        call->in[k].dtype, 0, false);
        else if (has_own_types(call) && call->grad_in[k] != NULL && call->grad_out[0] != NULL)
            copy_narrow(&nest, call->grad_in[k], call->in[k].dtype, 0, call->grad_out[0],
                        call->out[0].dtype, offset, !pri_is_fresh(call, k));
        else if (!backward)
            pri_nest_copy(&nest, (char *)call->out[0].data + offset * (int64_t)bytes,
                          call->in[k].data, bytes);
        else if (call->grad_in[k] != NULL && call->grad_out[0] != NULL && pri_is_fresh(call, k))
            pri_nest_copy(&nest, call->grad_in[k], call->grad_out[0] + offset, sizeof(float));
        else if (call->grad_in[k] != NULL && call->grad_out[0] != NULL)
            pri_nest_add(&nest, call->grad_in[k], call->grad_out[0] + offset, 1.0f);
    }
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
    const size_t bytes = pri_dtype_bytes(call->in[0].dtype);
    const int axis = split_axis(call);
    int64_t sizes[PRI_MAX_OPERANDS], at = 0;

    PRI_TRY(split_sizes(call, axis, sizes));
    for (int k = 0; k < call->n_out; at += sizes[k++]) {
        int64_t offset;
        pri_nest nest;
        if (!call->out[k].present ||
            !part_nest(&nest, &offset, &call->in[0], &call->out[k], axis, at, backward))
            continue;
        if (!backward)
            pri_nest_copy(&nest, call->out[k].data,
                          (const char *)call->in[0].data + offset * (int64_t)bytes, bytes);
        else if (call->grad_out[k] != NULL && call->grad_in[0] != NULL)
            pri_nest_add(&nest, call->grad_in[0] + offset, call->grad_out[k], 1.0f);
    }
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
