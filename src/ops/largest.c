/* SPDX-License-Identifier: Apache-2.0 */
/* largest.c - which elements of a line are largest: ArgMax, ArgMin, TopK, Hardmax. */
#include <stdlib.h>
#include <string.h>

#include "ops/elements.h"
#include "ops/op_support.h"

static const char reason[] = "picks the largest or smallest of these channels";

/* --- ArgMax, ArgMin --- */

static pare_status arg_infer(pri_call *call)
{
    const pri_shape *x = &call->in[0].shape;
    pri_shape shape = {0};
    int axis;

    PRI_TRY(pri_axis_of(&axis, call, "axis", 0, x->rank));
    if (!pri_is_number(call->in[0].dtype) || x->dims[axis] < 1)
        return pri_op_fail(call, PARE_ERROR_UNSUPPORTED, "has no numbers to choose from");
    for (int a = 0; a < x->rank; a++) {
        if (a != axis)
            shape.dims[shape.rank++] = x->dims[a];
        else if (pri_node_attr_int(call->node, "keepdims", 1) != 0)
            shape.dims[shape.rank++] = 1;
    }
    call->out[0].dtype = PRI_I64;
    call->out[0].shape = shape;
    return PARE_OK;
}

static int64_t find_best(const pri_call *call, const pri_lines *l, int64_t start)
{
    const bool is_max = strcmp(call->op->name, "ArgMax") == 0;
    const bool is_last = pri_node_attr_int(call->node, "select_last_index", 0) != 0;
    double best = pri_get_number(&call->in[0], start);
    int64_t found = 0;

    for (int64_t k = 1; k < l->size; k++) {
        const double v = pri_get_number(&call->in[0], start + k * l->inner);
        if ((is_max ? v > best : v < best) || (is_last && v == best)) {
            best = v;
            found = k;
        }
    }
    return found;
}

static pare_status arg_forward(pri_call *call)
{
    int axis;

    PRI_TRY(pri_axis_of(&axis, call, "axis", 0, call->in[0].shape.rank));
    const pri_lines l = pri_lines_of(&call->in[0].shape, axis);
    for (int64_t i = 0; i < l.count; i++)
        ((int64_t *)call->out[0].data)[i] = find_best(call, &l, pri_line_start(&l, i));
    return PARE_OK;
}

static pare_status arg_couple(const pri_call *call, pri_rules *rules)
{
    int axis;

    PRI_TRY(pri_axis_of(&axis, call, "axis", 0, call->in[0].shape.rank));
    return pri_couple_lines(call, rules, axis, reason);
}

#define ARG(symbol, text, words)                                                                   \
    const pri_op symbol = {.name = text,                                                           \
                           .summary = words,                                                       \
                           .min_opset = 1,                                                         \
                           .max_opset = 21,                                                        \
                           .min_in = 1,                                                            \
                           .max_in = 1,                                                            \
                           .n_out = 1,                                                             \
                           .infer = arg_infer,                                                     \
                           .forward = arg_forward,                                                 \
                           .couple = arg_couple}

ARG(pri_op_arg_max, "ArgMax", "index of the largest element along an axis");
ARG(pri_op_arg_min, "ArgMin", "index of the smallest element along an axis");

/* --- TopK --- */

static pare_status top_infer(pri_call *call)
{
    const pri_shape *x = &call->in[0].shape;
    int64_t k[PRI_MAX_RANK] = {pri_node_attr_int(call->node, "k", -1)};
    int axis, count = 1;

    PRI_TRY(pri_axis_of(&axis, call, "axis", -1, x->rank));
    if (call->opset >= 10)
        PRI_TRY(pri_op_ints(call, 1, k, PRI_MAX_RANK, &count));
    if (count != 1 || k[0] < 0 || k[0] > x->dims[axis] || !pri_is_number(call->in[0].dtype))
        return pri_op_fail(call, PARE_ERROR_SHAPE, "cannot take %lld of %lld elements of %s",
                           (long long)k[0], (long long)x->dims[axis],
                           pri_dtype_name(call->in[0].dtype));
    call->out[0].dtype = call->in[0].dtype;
    call->out[0].shape = *x;
    call->out[0].shape.dims[axis] = k[0];
    if (call->n_out > 1) {
        call->out[1].dtype = PRI_I64;
        call->out[1].shape = call->out[0].shape;
    }
    return PARE_OK;
}

typedef struct ranked {
    double key; /* the smaller the better */
    int64_t index;
} ranked;

static pare_status top_prepare(pri_call *call)
{
    int axis;

    PRI_TRY(pri_axis_of(&axis, call, "axis", -1, call->in[0].shape.rank));
    call->scratch_bytes = (size_t)call->in[0].shape.dims[axis] * sizeof(ranked);
    call->saved_bytes = (size_t)pri_shape_count(&call->out[0].shape) * sizeof(int64_t);
    return PARE_OK;
}

/* Of equal elements the first comes first; NaN comes last. */
static int compare_ranked(const void *a, const void *b)
{
    const ranked *u = a, *v = b;
    const bool u_is_number = u->key == u->key, v_is_number = v->key == v->key;

    if (u_is_number != v_is_number)
        return u_is_number ? -1 : 1;
    if (u->key != v->key && u_is_number)
        return u->key < v->key ? -1 : 1;
    return (u->index > v->index) - (u->index < v->index);
}

static void take_line(const pri_call *call, const pri_lines *in, const pri_lines *out, int64_t i)
{
    const bool is_largest = pri_node_attr_int(call->node, "largest", 1) != 0;
    const int64_t from = pri_line_start(in, i), to = pri_line_start(out, i);
    ranked *list = call->scratch;
    int64_t *saved = call->saved;

    for (int64_t k = 0; k < in->size; k++) {
        const double v = pri_get_number(&call->in[0], from + k * in->inner);
        list[k] = (ranked){is_largest ? -v : v, k};
    }
    qsort(list, (size_t)in->size, sizeof *list, compare_ranked);
    for (int64_t k = 0; k < out->size; k++) {
        const int64_t at = to + k * out->inner, source = from + list[k].index * in->inner;
        const size_t bytes = pri_dtype_bytes(call->in[0].dtype);
        if (call->out[0].present)
            memcpy((char *)call->out[0].data + (size_t)at * bytes,
                   (const char *)call->in[0].data + (size_t)source * bytes, bytes);
        if (call->n_out > 1 && call->out[1].present)
            ((int64_t *)call->out[1].data)[at] = list[k].index;
        if (saved != NULL)
            saved[at] = source;
    }
}

static pare_status top_forward(pri_call *call)
{
    int axis;

    PRI_TRY(pri_axis_of(&axis, call, "axis", -1, call->in[0].shape.rank));
    const pri_lines in = pri_lines_of(&call->in[0].shape, axis);
    const pri_lines out = pri_lines_of(&call->out[0].shape, axis);
    for (int64_t i = 0; i < in.count; i++)
        take_line(call, &in, &out, i);
    return PARE_OK;
}

static pare_status top_backward(pri_call *call)
{
    const int64_t *source = call->saved;
    const int64_t n = pri_shape_count(&call->out[0].shape);

    for (int64_t i = 0; i < n && call->grad_in[0] != NULL && call->grad_out[0] != NULL; i++)
        call->grad_in[0][source[i]] += call->grad_out[0][i];
    return PARE_OK;
}

static pare_status top_couple(const pri_call *call, pri_rules *rules)
{
    int axis;

    PRI_TRY(pri_axis_of(&axis, call, "axis", -1, call->in[0].shape.rank));
    return pri_couple_lines(call, rules, axis, reason);
}

const pri_op pri_op_top_k = {
    .name = "TopK",
    .lets_outputs_out = true,
    .summary = "the k largest or smallest elements along an axis",
    .min_opset = 1,
    .max_opset = 21,
    .min_in = 1,
    .max_in = 2,
    .n_out = 2,
    .infer = top_infer,
    .prepare = top_prepare,
    .forward = top_forward,
    .backward = top_backward,
    .couple = top_couple,
};

/* --- Hardmax --- */

/* Before opset 13 the axes from `axis` on are one line. */
static pare_status hard_lines(const pri_call *call, pri_lines *l, int *axis)
{
    const pri_shape *x = &call->in[0].shape;

    PRI_TRY(pri_axis_of(axis, call, "axis", call->opset < 13 ? 1 : -1, x->rank));
    *l = pri_lines_of(x, *axis);
    if (call->opset < 13)
        *l = (pri_lines){pri_shape_span(x, 0, *axis), pri_shape_span(x, *axis, x->rank), 1};
    return PARE_OK;
}

static pare_status hard_infer(pri_call *call)
{
    pri_lines l;
    int axis;

    PRI_TRY(pri_need_float(call, 1));
    PRI_TRY(hard_lines(call, &l, &axis));
    return pri_infer_same(call);
}

static pare_status hard_forward(pri_call *call)
{
    const float *x = call->in[0].data;
    float *y = call->out[0].data;
    pri_lines l;
    int axis;

    PRI_TRY(hard_lines(call, &l, &axis));
    memset(y, 0, (size_t)pri_shape_count(&call->in[0].shape) * sizeof *y);
    for (int64_t i = 0; i < l.count && l.size > 0; i++) {
        int64_t best = pri_line_start(&l, i);
        for (int64_t k = 1, at = best + l.inner; k < l.size; k++, at += l.inner)
            best = x[at] > x[best] ? at : best;
        y[best] = 1;
    }
    return PARE_OK;
}

static pare_status hard_couple(const pri_call *call, pri_rules *rules)
{
    pri_lines l;
    int axis;

    PRI_TRY(hard_lines(call, &l, &axis));
    const int to = call->opset < 13 ? call->in[0].shape.rank : axis + 1;
    return pri_couple_around(call, rules, axis, to, reason);
}

const pri_op pri_op_hardmax = {
    .name = "Hardmax",
    .summary = "one at the largest element along an axis, 0 elsewhere",
    .min_opset = 1,
    .max_opset = 21,
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .infer = hard_infer,
    .forward = hard_forward,
    .couple = hard_couple,
};
