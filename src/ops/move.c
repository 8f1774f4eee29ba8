/* SPDX-License-Identifier: Apache-2.0 */
/*
 * move.c - operators that pick one box: Transpose, Slice, Expand.
 *
 * Each is a segment: the output is a strided box of the input. Forward copies it,
 * backward adds it the other way.
 */
#include <string.h>

#include "kernels/strided.h"
#include "ops/op_support.h"

typedef struct segment {
    int in, out;
    int rank;
    int64_t dims[PRI_MAX_RANK];
    int64_t in_offset, out_offset;
    int64_t in_strides[PRI_MAX_RANK], out_strides[PRI_MAX_RANK];
} segment;

static void run_segment(const pri_call *call, const segment *s, bool backward)
{
    const size_t bytes = pri_dtype_bytes(call->out[s->out].dtype);
    const int64_t *const strides[2] = {backward ? s->in_strides : s->out_strides,
                                       backward ? s->out_strides : s->in_strides};
    pri_nest nest;

    for (int a = 0; a < s->rank; a++) {
        if (s->dims[a] <= 0)
            return;
    }
    pri_nest_make(&nest, s->rank, s->dims, 2, strides);
    if (!backward)
        pri_nest_copy(&nest, (char *)call->out[s->out].data + s->out_offset * (int64_t)bytes,
                      (const char *)call->in[s->in].data + s->in_offset * (int64_t)bytes, bytes);
    else if (call->grad_in[s->in] != NULL && call->grad_out[s->out] != NULL)
        pri_nest_add(&nest, call->grad_in[s->in] + s->in_offset,
                     call->grad_out[s->out] + s->out_offset, 1.0f);
}

static pare_status transpose_segment(const pri_call *call, segment *s, pri_shape *shape)
{
    const pri_attr *perm = pri_node_attr(call->node, "perm");
    const pri_shape *x = &call->in[0].shape;
    int64_t natural[PRI_MAX_RANK];

    pri_shape_strides(natural, x);
    if (perm != NULL && perm->count != x->rank)
        return pri_op_fail(call, PARE_ERROR_SHAPE, "perm does not fit rank %d", x->rank);
    shape->rank = s->rank = x->rank;
    for (int a = 0; a < x->rank; a++) {
        const int from = perm != NULL ? pri_axis(perm->ints[a], x->rank) : x->rank - 1 - a;
        if (from < 0)
            return pri_op_fail(call, PARE_ERROR_SHAPE, "perm is out of range");
        shape->dims[a] = s->dims[a] = x->dims[from];
        s->in_strides[a] = natural[from];
    }
    pri_shape_strides(s->out_strides, shape);
    return PARE_OK;
}

static pare_status expand_segment(const pri_call *call, segment *s, pri_shape *shape)
{
    const pri_shape *x = &call->in[0].shape;
    int64_t values[PRI_MAX_RANK], natural[PRI_MAX_RANK];
    int count;

    PRI_TRY(pri_op_ints(call, 1, values, PRI_MAX_RANK, &count));
    const pri_shape asked = pri_shape_of(count, values);
    if (count < 0 || !pri_shape_broadcast(shape, x, &asked))
        return pri_op_fail(call, PARE_ERROR_SHAPE, "the shape asked for does not fit the input");
    pri_shape_strides(natural, x);
    s->rank = shape->rank;
    for (int a = 0; a < shape->rank; a++) {
        const int b = a - (shape->rank - x->rank);
        s->dims[a] = shape->dims[a];
        s->in_strides[a] = b < 0 || x->dims[b] == 1 ? 0 : natural[b];
    }
    pri_shape_strides(s->out_strides, shape);
    return PARE_OK;
}

static pare_status slice_numbers(const pri_call *call, int64_t v[4][PRI_MAX_RANK], int *count)
{
    static const char *const names[] = {"starts", "ends", "axes", "steps"};
    int counts[4];

    for (int k = 0; k < 4; k++)
        PRI_TRY(pri_op_numbers(call, names[k], 1 + k, v[k], &counts[k]));
    *count = counts[0];
    for (int k = 0; k < 4; k++) {
        if (k < 2 ? counts[k] != *count || *count < 0 : counts[k] >= 0 && counts[k] != *count)
            return pri_op_fail(call, PARE_ERROR_SHAPE, "%s has %d numbers", names[k], counts[k]);
        for (int i = 0; i < *count && k >= 2 && counts[k] < 0; i++)
            v[k][i] = k == 2 ? i : 1;
    }
    return PARE_OK;
}

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

static pare_status slice_segment(const pri_call *call, segment *s, pri_shape *shape)
{
    const pri_shape *x = &call->in[0].shape;
    int64_t v[4][PRI_MAX_RANK];
    int count;

    PRI_TRY(slice_numbers(call, v, &count));
    *shape = *x;
    s->rank = x->rank;
    pri_shape_strides(s->in_strides, x);
    for (int i = 0; i < count; i++) {
        const int axis = pri_axis(v[2][i], x->rank);
        const int64_t step = v[3][i];
        if (axis < 0 || step == 0 || step == INT64_MIN)
            return pri_op_fail(call, PARE_ERROR_SHAPE, "axis or step %d is out of range", i);
        const int64_t size = x->dims[axis];
        int64_t from = v[0][i] < 0 ? v[0][i] + size : v[0][i];
        int64_t to = v[1][i] < 0 && v[1][i] > INT64_MIN + size ? v[1][i] + size : v[1][i];
        from = clamp(from, 0, step > 0 ? size : size - 1);
        to = clamp(to, step > 0 ? 0 : -1, size);
        shape->dims[axis] = step > 0 ? pri_max_i64(0, (to - from + step - 1) / step)
                                     : pri_max_i64(0, (from - to - step - 1) / -step);
        s->in_offset += from * s->in_strides[axis];
        s->in_strides[axis] *= step;
    }
    memcpy(s->dims, shape->dims, sizeof s->dims);
    pri_shape_strides(s->out_strides, shape);
    return PARE_OK;
}

static pare_status segment_of(const pri_call *call, segment *s, pri_shape *shape)
{
    memset(s, 0, sizeof *s);
    memset(shape, 0, sizeof *shape);
    switch (call->op->name[0]) {
    case 'T': return transpose_segment(call, s, shape);
    case 'E': return expand_segment(call, s, shape);
    default: return slice_segment(call, s, shape);
    }
}

static pare_status segment_infer(pri_call *call)
{
    segment s;

    call->out[0].dtype = call->in[0].dtype;
    return segment_of(call, &s, &call->out[0].shape);
}

static pare_status segment_forward(pri_call *call)
{
    segment s;
    pri_shape shape;

    PRI_TRY(segment_of(call, &s, &shape));
    run_segment(call, &s, false);
    return PARE_OK;
}

static pare_status segment_backward(pri_call *call)
{
    segment s;
    pri_shape shape;

    PRI_TRY(segment_of(call, &s, &shape));
    run_segment(call, &s, true);
    return PARE_OK;
}

/* Only steps of 1 are followed over cut axes; the size check after the cut guards the rest. */
static pare_status slice_resize(const pri_call *call, const pri_cut *cut, pri_graph *graph,
                                pri_node *node)
{
    const pri_shape *x = &call->in[0].shape, *y = &call->out[0].shape;
    int64_t v[4][PRI_MAX_RANK];
    bool is_stale = false;
    int count;

    PRI_TRY(slice_numbers(call, v, &count));
    for (int i = 0; i < count; i++) {
        const int axis = pri_axis(v[2][i], x->rank);
        const bool *keep = axis >= 0 ? pri_cut_keep(cut, 0, axis) : NULL;
        if (keep == NULL || v[3][i] != 1)
            continue;
        const int64_t size = x->dims[axis];
        const int64_t from = clamp(v[0][i] < 0 ? v[0][i] + size : v[0][i], 0, size);
        v[0][i] = pri_count_kept(keep, 0, from);
        v[1][i] = v[0][i] + pri_count_kept(keep, from, from + y->dims[axis]);
        is_stale = true;
    }
    if (!is_stale)
        return PARE_OK;
    PRI_TRY(pri_op_restate(graph, node, "starts", 1, v[0], count));
    return pri_op_restate(graph, node, "ends", 2, v[1], count);
}

/* Every second channel cannot be restated once some are gone. */
static pare_status slice_couple(const pri_call *call, pri_rules *rules)
{
    int64_t v[4][PRI_MAX_RANK];
    int count;

    PRI_TRY(slice_numbers(call, v, &count));
    for (int i = 0; i < count; i++) {
        const int axis = pri_axis(v[2][i], call->in[0].shape.rank);
        if (axis < 0 || v[3][i] == 1)
            continue;
        PRI_TRY(pri_rules_pin(rules, 0, axis, "takes these channels in steps"));
        PRI_TRY(pri_rules_pin(rules, PRI_OUT(0), axis, "takes these channels in steps"));
    }
    return PARE_OK;
}

/* The shape asked for states channels; 1 where the input decides. */
static pare_status expand_resize(const pri_call *call, const pri_cut *cut, pri_graph *graph,
                                 pri_node *node)
{
    const pri_shape after = pri_cut_shape(cut, PRI_OUT(0)), x = pri_cut_shape(cut, 0);
    int64_t values[PRI_MAX_RANK];
    int count;

    PRI_TRY(pri_op_ints(call, 1, values, PRI_MAX_RANK, &count));
    for (int k = 0; k < count; k++) {
        const int of_y = k + after.rank - count, of_x = k + x.rank - count;
        values[k] = of_x >= 0 && x.dims[of_x] == after.dims[of_y] ? 1 : after.dims[of_y];
    }
    return pri_op_restate(graph, node, "shape", 1, values, count);
}

#define SEGMENT(symbol, text, words, most, couple_hook, resize_hook)                               \
    const pri_op symbol = {.name = text,                                                           \
                           .summary = words,                                                       \
                           .min_opset = 1,                                                         \
                           .max_opset = 21,                                                        \
                           .min_in = 1,                                                            \
                           .max_in = most,                                                         \
                           .n_out = 1,                                                             \
                           .is_movement = true,                                                    \
                           .infer = segment_infer,                                                 \
                           .forward = segment_forward,                                             \
                           .backward = segment_backward,                                           \
                           .couple = couple_hook,                                                  \
                           .resize = resize_hook}

SEGMENT(pri_op_transpose, "Transpose", "axes in another order", 1, NULL, NULL);
SEGMENT(pri_op_slice, "Slice", "a strided box of the input", 5, slice_couple, slice_resize);
SEGMENT(pri_op_expand, "Expand", "repeats axes of one element", 2, NULL, expand_resize);
