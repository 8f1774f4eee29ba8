/* SPDX-License-Identifier: Apache-2.0 */
/*
 * move.c - operators that only move data: reshapes, Concat, Split, Slice, Pad, Transpose, Expand.
 *
 * Each is a list of segments: a box of the output that is a strided box of an input.
 * Forward copies segments, backward adds them the other way.
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

/* --- Same elements in the same order --- */

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

/* Integers of an attribute (older opsets) or of input 1. */
static pare_status numbers(const pri_call *call, const char *name, int slot,
                           int64_t values[PRI_MAX_RANK], int *count)
{
    const pri_attr *attr = pri_node_attr(call->node, name);

    *count = -1;
    if (attr == NULL)
        return pri_op_ints(call, slot, values, PRI_MAX_RANK, count);
    if (attr->count > PRI_MAX_RANK)
        return pri_op_fail(call, PARE_ERROR_UNSUPPORTED, "%s is too long", name);
    for (int k = 0; k < attr->count; k++)
        values[k] = attr->ints[k];
    *count = attr->count;
    return PARE_OK;
}

static pare_status reshape_infer(pri_call *call)
{
    int64_t values[PRI_MAX_RANK], known = 1;
    int count, open = -1;

    PRI_TRY(numbers(call, "shape", 1, values, &count));
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
    const pri_shape shape = pri_shape_of(2, (const int64_t[]){
        pri_shape_span(x, 0, (int)axis), pri_shape_span(x, (int)axis, x->rank)});
    return infer_shape(call, &shape);
}

static pare_status axes_mask(const pri_call *call, int rank, unsigned *mask)
{
    int64_t values[PRI_MAX_RANK];
    int count;

    *mask = 0;
    PRI_TRY(numbers(call, "axes", 1, values, &count));
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
    const int added = attr != NULL ? attr->count
                      : pri_in(call, 1) != NULL ? (int)pri_shape_count(&call->in[1].shape)
                                                : 0;

    if (x->rank + added > PRI_MAX_RANK)
        return pri_op_fail(call, PARE_ERROR_UNSUPPORTED, "gives more than %d axes", PRI_MAX_RANK);
    PRI_TRY(axes_mask(call, x->rank + added, &mask));
    for (int a = 0, from = 0; a < x->rank + added; a++)
        shape.dims[shape.rank++] = (mask >> a & 1) != 0 || from >= x->rank ? 1 : x->dims[from++];
    return infer_shape(call, &shape);
}

/* A reshape to constant sizes states the channels; after a cut they are stated anew. */
static pare_status reshape_resize(const pri_call *call, const pri_cut *cut, pri_graph *graph,
                                  pri_node *node)
{
    int64_t values[PRI_MAX_RANK];
    int count;
    const pri_shape after = pri_cut_shape(cut, PRI_OUT(0));
    pri_tensor *tensor = NULL;

    PRI_TRY(numbers(call, "shape", 1, values, &count));
    bool is_stale = false;
    for (int k = 0; k < count; k++)
        is_stale = is_stale || (values[k] > 0 && values[k] != after.dims[k]);
    if (!is_stale || node->n_inputs < 2)
        return PARE_OK;
    PRI_TRY(pri_tensor_new(&tensor, graph->ctx, PRI_I64,
                           &(const pri_shape){.rank = 1, .dims = {count}}));
    for (int k = 0; k < count; k++)
        ((int64_t *)tensor->data)[k] = values[k] > 0 ? after.dims[k] : values[k];
    pri_value *value = pri_graph_add_constant(graph, "", tensor);
    if (value == NULL)
        return PARE_ERROR_MEMORY;
    return pri_graph_set_input(graph, node, 1, value);
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

/* --- Concat --- */

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

static void concat_run(const pri_call *call, bool backward)
{
    const int axis = pri_axis(pri_node_attr_int(call->node, "axis", 1), call->in[0].shape.rank);
    int64_t at = 0;

    for (int k = 0; k < call->n_in; k++) {
        segment s = {.in = k, .rank = call->in[k].shape.rank};
        memcpy(s.dims, call->in[k].shape.dims, sizeof s.dims);
        pri_layout_strides(s.in_strides, &call->in[k].shape, call->in[k].layout);
        pri_layout_strides(s.out_strides, &call->out[0].shape, call->out[0].layout);
        s.out_offset = at * s.out_strides[axis];
        at += call->in[k].shape.dims[axis];
        run_segment(call, &s, backward);
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
};

/* --- One segment: Transpose, Slice, Pad, Expand --- */

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
        return pri_op_fail(call, PARE_ERROR_SHAPE, "the shape asked for does not fit");
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
        PRI_TRY(numbers(call, names[k], 1 + k, v[k], &counts[k]));
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
        shape->dims[axis] =
            step > 0 ? pri_max_i64(0, (to - from + step - 1) / step)
                     : pri_max_i64(0, (from - to - step - 1) / -step);
        s->in_offset += from * s->in_strides[axis];
        s->in_strides[axis] *= step;
    }
    memcpy(s->dims, shape->dims, sizeof s->dims);
    pri_shape_strides(s->out_strides, shape);
    return PARE_OK;
}

static pare_status pad_segment(const pri_call *call, segment *s, pri_shape *shape)
{
    const pri_shape *x = &call->in[0].shape;
    const pri_attr *attr = pri_node_attr(call->node, "pads");
    int64_t pads[2 * PRI_MAX_RANK] = {0};
    int count = -1;

    if (strcmp(pri_node_attr_string(call->node, "mode", "constant"), "constant") != 0)
        return pri_op_fail(call, PARE_ERROR_UNSUPPORTED, "only mode 'constant' runs");
    if (pri_in(call, 3) != NULL)
        return pri_op_fail(call, PARE_ERROR_UNSUPPORTED, "the axes input is not supported");
    if (attr != NULL) {
        count = attr->count;
        for (int k = 0; k < count && k < 2 * PRI_MAX_RANK; k++)
            pads[k] = attr->ints[k];
    } else {
        PRI_TRY(pri_op_ints(call, 1, pads, 2 * PRI_MAX_RANK, &count));
    }
    if (count != 2 * x->rank)
        return pri_op_fail(call, PARE_ERROR_SHAPE, "pads has %d numbers for rank %d", count,
                           x->rank);
    shape->rank = s->rank = x->rank;
    pri_shape_strides(s->in_strides, x);
    for (int a = 0; a < x->rank; a++) {
        const int64_t begin = pads[a], end = pads[a + x->rank];
        shape->dims[a] = x->dims[a] + begin + end;
        s->dims[a] = x->dims[a] + pri_min_i64(begin, 0) + pri_min_i64(end, 0);
        if (shape->dims[a] < 0 || begin > 1 << 20 || end > 1 << 20)
            return pri_op_fail(call, PARE_ERROR_SHAPE, "pads do not fit axis %d", a);
        s->in_offset += begin < 0 ? -begin * s->in_strides[a] : 0;
    }
    pri_shape_strides(s->out_strides, shape);
    for (int a = 0; a < x->rank; a++)
        s->out_offset += pads[a] > 0 ? pads[a] * s->out_strides[a] : 0;
    return PARE_OK;
}

static pare_status segment_of(const pri_call *call, segment *s, pri_shape *shape)
{
    memset(s, 0, sizeof *s);
    memset(shape, 0, sizeof *shape);
    switch (call->op->name[0]) {
    case 'T': return transpose_segment(call, s, shape);
    case 'E': return expand_segment(call, s, shape);
    case 'S': return slice_segment(call, s, shape);
    default: return pad_segment(call, s, shape);
    }
}

static pare_status segment_infer(pri_call *call)
{
    segment s;

    call->out[0].dtype = call->in[0].dtype;
    return segment_of(call, &s, &call->out[0].shape);
}

/* Outside the padded box the output holds input 2 (0 without it). */
static void fill(const pri_call *call)
{
    const int64_t n = pri_shape_count(&call->out[0].shape);
    const size_t bytes = pri_dtype_bytes(call->out[0].dtype);
    const pri_operand *value = pri_in(call, 2);
    const float attr = pri_node_attr_float(call->node, "value", 0);
    char *y = call->out[0].data;

    memset(y, 0, (size_t)n * bytes);
    const void *from = value != NULL ? value->data : NULL;
    if (from == NULL && call->out[0].dtype == PRI_F32 && attr != 0)
        from = &attr;
    for (int64_t i = 0; i < n && from != NULL && (value == NULL || value->dtype == call->out[0].dtype);
         i++)
        memcpy(y + (size_t)i * bytes, from, bytes);
}

static pare_status segment_forward(pri_call *call)
{
    segment s;
    pri_shape shape;

    PRI_TRY(segment_of(call, &s, &shape));
    if (call->op->name[0] == 'P')
        fill(call);
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

/* States `values` anew, as an attribute where the node has it so, else as constant input `slot`. */
static pare_status restate(pri_graph *graph, pri_node *node, const char *name, int slot,
                           const int64_t *values, int count)
{
    const pri_shape shape = pri_shape_of(1, (const int64_t[]){count});
    pri_tensor *tensor = NULL;

    if (pri_node_attr(node, name) != NULL)
        return pri_node_set_ints(graph, node, name, values, count);
    PRI_TRY(pri_tensor_new(&tensor, graph->ctx, PRI_I64, &shape));
    memcpy(tensor->data, values, (size_t)count * sizeof *values);
    pri_value *value = pri_graph_add_constant(graph, "", tensor);
    return value != NULL ? pri_graph_set_input(graph, node, slot, value) : PARE_ERROR_MEMORY;
}

static int64_t count_kept(const bool *keep, int64_t from, int64_t to)
{
    int64_t count = 0;

    for (int64_t i = from; i < to; i++)
        count += keep == NULL || keep[i];
    return count;
}

/* Padding elements are channels too: as many stay as the readers keep. */
static pare_status pad_resize(const pri_call *call, const pri_cut *cut, pri_graph *graph,
                              pri_node *node)
{
    const pri_shape *x = &call->in[0].shape, *y = &call->out[0].shape;
    const pri_attr *attr = pri_node_attr(call->node, "pads");
    int64_t pads[2 * PRI_MAX_RANK] = {0};
    int count = 2 * x->rank;

    if (attr != NULL)
        memcpy(pads, attr->ints, (size_t)count * sizeof *pads);
    else
        PRI_TRY(pri_op_ints(call, 1, pads, 2 * PRI_MAX_RANK, &count));
    for (int a = 0; a < x->rank; a++) {
        const bool *keep = pri_cut_keep(cut, PRI_OUT(0), a);
        if (keep == NULL || pads[a] < 0 || pads[a + x->rank] < 0)
            continue;
        const int64_t end = y->dims[a] - pads[a + x->rank];
        pads[a] = count_kept(keep, 0, pads[a]);
        pads[a + x->rank] = count_kept(keep, end, y->dims[a]);
    }
    return restate(graph, node, "pads", 1, pads, count);
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
        v[0][i] = count_kept(keep, 0, from);
        v[1][i] = v[0][i] + count_kept(keep, from, from + y->dims[axis]);
        is_stale = true;
    }
    if (!is_stale)
        return PARE_OK;
    PRI_TRY(restate(graph, node, "starts", 1, v[0], count));
    return restate(graph, node, "ends", 2, v[1], count);
}

#define SEGMENT(symbol, text, words, most, resize_hook)                                                         \
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
                           .resize = resize_hook}

SEGMENT(pri_op_transpose, "Transpose", "axes in another order", 1, NULL);
SEGMENT(pri_op_slice, "Slice", "a strided box of the input", 5, slice_resize);
SEGMENT(pri_op_pad, "Pad", "constant padding", 4, pad_resize);
SEGMENT(pri_op_expand, "Expand", "repeats axes of one element", 2, NULL);
