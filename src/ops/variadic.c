/* SPDX-License-Identifier: Apache-2.0 */
/* variadic.c - Sum, Mean, Max and Min of any number of inputs, with broadcasting. */
#include <math.h>
#include <string.h>

#include "kernels/strided.h"
#include "ops/elements.h"
#include "ops/op_support.h"

typedef struct variadic_params {
    char kind; /* + sum, m mean, > max, < min */
} variadic_params;

static pare_status parse(const pri_node *node, int opset, void *params, pri_arena *arena,
                         pare_context *ctx)
{
    variadic_params *p = params;

    (void)opset;
    (void)arena;
    (void)ctx;
    p->kind = node->op_type[0] == 'S'              ? '+'
              : strcmp(node->op_type, "Mean") == 0 ? 'm'
              : strcmp(node->op_type, "Max") == 0  ? '>'
                                                   : '<';
    return PARE_OK;
}

static pare_status infer(pri_call *call)
{
    pri_shape shape = call->in[0].shape;
    const pri_dtype dtype = call->in[0].dtype;

    for (int k = 0; k < call->n_in; k++) {
        const pri_shape so_far = shape;
        if (!call->in[k].present || call->in[k].dtype != dtype || !pri_is_number(dtype))
            return pri_op_fail(call, PARE_ERROR_UNSUPPORTED,
                               "input %d is %s; it takes numbers of one type", k,
                               pri_dtype_name(call->in[k].dtype));
        if (!pri_shape_broadcast(&shape, &so_far, &call->in[k].shape))
            return pri_op_fail(call, PARE_ERROR_SHAPE,
                               "input %d does not broadcast with the others", k);
    }
    call->out[0].dtype = dtype;
    call->out[0].shape = shape;
    return PARE_OK;
}

static pare_status prepare(pri_call *call)
{
    const variadic_params *p = call->params;
    const pri_shape *y = &call->out[0].shape;
    pri_layout layout = PRI_PLAIN;

    for (int k = 0; k < call->n_in; k++) {
        if (call->in[k].layout == PRI_CHANNELS_LAST && pri_shape_equal(&call->in[k].shape, y))
            layout = PRI_CHANNELS_LAST;
    }
    for (int k = 0; k < call->n_in; k++) {
        if (pri_shape_equal(&call->in[k].shape, y))
            call->in[k].layout = layout;
    }
    call->out[0].layout = layout;
    if (p->kind == '>' || p->kind == '<') /* which input won */
        call->saved_bytes = (size_t)pri_shape_count(y);
    return PARE_OK;
}

/* Operand 0 is the output, 1 is input k; swapped when `backward`. */
static void make_nest(const pri_call *call, int k, bool backward, pri_nest *nest)
{
    const pri_shape *y = &call->out[0].shape, *x = &call->in[k].shape;
    int64_t of_y[PRI_MAX_RANK], natural[PRI_MAX_RANK], of_x[PRI_MAX_RANK];

    pri_layout_strides(of_y, y, call->out[0].layout);
    pri_layout_strides(natural, x, call->in[k].layout);
    for (int a = 0; a < y->rank; a++) {
        const int b = a - (y->rank - x->rank);
        of_x[a] = b < 0 || x->dims[b] == 1 ? 0 : natural[b];
    }
    const int64_t *const strides[2] = {backward ? of_x : of_y, backward ? of_y : of_x};
    pri_nest_make(nest, y->rank, y->dims, 2, strides);
}

static void keep_extreme(const pri_nest *nest, const pri_call *call, int k, bool is_max)
{
    const int64_t sy = nest->strides[0][nest->rank - 1], sx = nest->strides[1][nest->rank - 1];
    unsigned char *winner = call->saved;

    for (int64_t row = 0; row < nest->rows; row++) {
        int64_t at[PRI_NEST_OPERANDS];
        const int64_t length = pri_nest_row(nest, row, at);
        for (int64_t i = 0; i < length; i++) {
            float *y = (float *)call->out[0].data + at[0] + i * sy;
            const float x = ((const float *)call->in[k].data)[at[1] + i * sx];
            if (is_max ? x > *y : x < *y) {
                *y = x;
                if (winner != NULL)
                    winner[at[0] + i * sy] = (unsigned char)k;
            }
        }
    }
}

/* Input k joins what the output holds, for types other than float. */
static void fold_any(const pri_nest *nest, const pri_call *call, int k)
{
    const char kind = ((const variadic_params *)call->params)->kind;
    const int64_t sy = nest->strides[0][nest->rank - 1], sx = nest->strides[1][nest->rank - 1];
    const bool is_integer = pri_is_integer(call->out[0].dtype);

    for (int64_t row = 0; row < nest->rows; row++) {
        int64_t at[PRI_NEST_OPERANDS];
        const int64_t length = pri_nest_row(nest, row, at);
        for (int64_t i = 0; i < length; i++) {
            const int64_t y = at[0] + i * sy, x = at[1] + i * sx;
            const double u = pri_get_number(&call->out[0], y), v = pri_get_number(&call->in[k], x);
            if (kind == '+' || kind == 'm')
                pri_set_number(&call->out[0], y, u + v);
            else if ((kind == '>' ? v > u : v < u) || isnan(v))
                is_integer ? pri_set_integer(&call->out[0], y, pri_get_integer(&call->in[k], x))
                           : pri_set_number(&call->out[0], y, v);
        }
    }
}

static pare_status forward_any(const pri_call *call)
{
    const variadic_params *p = call->params;
    pri_nest nest;

    make_nest(call, 0, false, &nest);
    pri_nest_copy(&nest, call->out[0].data, call->in[0].data, pri_dtype_bytes(call->out[0].dtype));
    for (int k = 1; k < call->n_in; k++) {
        make_nest(call, k, false, &nest);
        fold_any(&nest, call, k);
    }
    for (int64_t i = 0; i < pri_shape_count(&call->out[0].shape) && p->kind == 'm'; i++)
        pri_set_number(&call->out[0], i, pri_get_number(&call->out[0], i) / call->n_in);
    return PARE_OK;
}

static pare_status forward(pri_call *call)
{
    const variadic_params *p = call->params;
    if (call->out[0].dtype != PRI_F32)
        return forward_any(call);
    const int64_t n = pri_shape_count(&call->out[0].shape);
    float *y = call->out[0].data;
    pri_nest nest;

    make_nest(call, 0, false, &nest);
    pri_nest_copy(&nest, y, call->in[0].data, sizeof *y);
    if (call->saved != NULL)
        memset(call->saved, 0, call->saved_bytes);
    for (int k = 1; k < call->n_in; k++) {
        make_nest(call, k, false, &nest);
        if (p->kind == '+' || p->kind == 'm')
            pri_nest_add(&nest, y, call->in[k].data, 1.0f);
        else
            keep_extreme(&nest, call, k, p->kind == '>');
    }
    for (int64_t i = 0; i < n && p->kind == 'm'; i++)
        y[i] /= (float)call->n_in;
    return PARE_OK;
}

static void extreme_back(const pri_nest *nest, const pri_call *call, int k)
{
    const int64_t sx = nest->strides[0][nest->rank - 1], sy = nest->strides[1][nest->rank - 1];
    const unsigned char *winner = call->saved;

    for (int64_t row = 0; row < nest->rows; row++) {
        int64_t at[PRI_NEST_OPERANDS];
        const int64_t length = pri_nest_row(nest, row, at);
        for (int64_t i = 0; i < length; i++) {
            if (winner[at[1] + i * sy] == k)
                call->grad_in[k][at[0] + i * sx] += call->grad_out[0][at[1] + i * sy];
        }
    }
}

static pare_status backward(pri_call *call)
{
    const variadic_params *p = call->params;
    pri_nest nest;

    for (int k = 0; k < call->n_in && call->grad_out[0] != NULL; k++) {
        if (call->grad_in[k] == NULL)
            continue;
        make_nest(call, k, true, &nest);
        if (p->kind == '+' || p->kind == 'm')
            pri_nest_add(&nest, call->grad_in[k], call->grad_out[0],
                         p->kind == 'm' ? 1.0f / (float)call->n_in : 1.0f);
        else
            extreme_back(&nest, call, k);
    }
    return PARE_OK;
}

static pare_status couple(const pri_call *call, pri_rules *rules)
{
    for (int k = 0; k < call->n_in; k++)
        PRI_TRY(pri_couple_broadcast(call, rules, k));
    return PARE_OK;
}

#define VARIADIC(symbol, text, words, sum)                                                         \
    const pri_op symbol = {.name = text,                                                           \
                           .summary = words,                                                       \
                           .min_opset = 6,                                                         \
                           .max_opset = 21,                                                        \
                           .min_in = 1,                                                            \
                           .max_in = PRI_MAX_OPERANDS,                                             \
                           .n_out = 1,                                                             \
                           .params_size = sizeof(variadic_params),                                 \
                           .layouts = PRI_LAYOUTS_PREPARE,                                         \
                           .is_sum = sum,                                                          \
                           .parse = parse,                                                         \
                           .infer = infer,                                                         \
                           .prepare = prepare,                                                     \
                           .forward = forward,                                                     \
                           .backward = backward,                                                   \
                           .couple = couple}

VARIADIC(pri_op_sum, "Sum", "sum of all inputs", true);
VARIADIC(pri_op_mean, "Mean", "mean of all inputs", false);
VARIADIC(pri_op_max, "Max", "largest of all inputs", false);
VARIADIC(pri_op_min, "Min", "smallest of all inputs", false);
