/* SPDX-License-Identifier: Apache-2.0 */
/* comparisons.c - comparisons and logic with broadcasting, Not, and Where. */
#include <string.h>

#include "kernels/strided.h"
#include "ops/elements.h"
#include "ops/op_support.h"

typedef struct compare_params {
    char kind; /* = < > l (<=) g (>=) & | ^ */
} compare_params;

static pare_status parse(const pri_node *node, int opset, void *params, pri_arena *arena,
                         pare_context *ctx)
{
    static const struct {
        const char *name;
        char kind;
    } table[] = {{"Equal", '='},          {"Less", '<'}, {"Greater", '>'}, {"LessOrEqual", 'l'},
                 {"GreaterOrEqual", 'g'}, {"And", '&'},  {"Or", '|'},      {"Xor", '^'}};

    (void)opset;
    (void)arena;
    for (size_t i = 0; i < PRI_COUNT(table); i++) {
        if (strcmp(node->op_type, table[i].name) == 0) {
            ((compare_params *)params)->kind = table[i].kind;
            return PARE_OK;
        }
    }
    return pri_parse_fail(ctx, node, "is no comparison");
}

static pare_status infer(pri_call *call)
{
    if (call->in[0].dtype != call->in[1].dtype ||
        !(pri_is_number(call->in[0].dtype) || call->in[0].dtype == PRI_BOOL))
        return pri_op_fail(call, PARE_ERROR_UNSUPPORTED,
                           "inputs are %s and %s; it compares numbers of one type",
                           pri_dtype_name(call->in[0].dtype), pri_dtype_name(call->in[1].dtype));
    call->out[0].dtype = PRI_BOOL;
    if (!pri_shape_broadcast(&call->out[0].shape, &call->in[0].shape, &call->in[1].shape))
        return pri_op_fail(call, PARE_ERROR_SHAPE, "the inputs do not broadcast");
    return PARE_OK;
}

/* Operand 0 is the output, 1 and 2 are inputs a and b. */
static void make_nest(const pri_call *call, int a, int b, pri_nest *nest)
{
    const pri_shape *y = &call->out[0].shape;
    const pri_operand *operands[3] = {&call->out[0], &call->in[a], &call->in[b]};
    int64_t s[3][PRI_MAX_RANK];

    for (int k = 0; k < 3; k++) {
        int64_t natural[PRI_MAX_RANK];
        const pri_shape *x = &operands[k]->shape;
        pri_shape_strides(natural, x);
        for (int i = 0; i < y->rank; i++) {
            const int j = i - (y->rank - x->rank);
            s[k][i] = j < 0 || x->dims[j] == 1 ? 0 : natural[j];
        }
    }
    const int64_t *const strides[3] = {s[0], s[1], s[2]};
    pri_nest_make(nest, y->rank, y->dims, 3, strides);
}

static bool holds(char kind, double u, double v)
{
    switch (kind) {
    case '=': return u == v;
    case '<': return u < v;
    case '>': return u > v;
    case 'l': return u <= v;
    case 'g': return u >= v;
    case '&': return u != 0 && v != 0;
    case '|': return u != 0 || v != 0;
    default: return (u != 0) != (v != 0);
    }
}

static bool holds_integers(char kind, int64_t u, int64_t v)
{
    return kind == '='   ? u == v
           : kind == '<' ? u < v
           : kind == '>' ? u > v
           : kind == 'l' ? u <= v
                         : u >= v;
}

static bool compare(const pri_call *call, char kind, bool is_integer, int64_t a, int64_t b)
{
    if (is_integer && kind != '&' && kind != '|' && kind != '^')
        return holds_integers(kind, pri_get_integer(&call->in[0], a),
                              pri_get_integer(&call->in[1], b));
    return holds(kind, pri_get_number(&call->in[0], a), pri_get_number(&call->in[1], b));
}

static pare_status forward(pri_call *call)
{
    const char kind = ((const compare_params *)call->params)->kind;
    const bool is_integer = call->in[0].dtype == PRI_I64;
    unsigned char *y = call->out[0].data;
    pri_nest nest;

    make_nest(call, 0, 1, &nest);
    const int last = nest.rank - 1;
    for (int64_t row = 0; row < nest.rows; row++) {
        int64_t at[PRI_NEST_OPERANDS];
        const int64_t length = pri_nest_row(&nest, row, at);
        for (int64_t i = 0; i < length; i++)
            y[at[0] + i * nest.strides[0][last]] =
                compare(call, kind, is_integer, at[1] + i * nest.strides[1][last],
                        at[2] + i * nest.strides[2][last]);
    }
    return PARE_OK;
}

static pare_status couple(const pri_call *call, pri_rules *rules)
{
    for (int k = 0; k < call->n_in; k++)
        PRI_TRY(pri_couple_broadcast(call, rules, k));
    return PARE_OK;
}

#define COMPARE(symbol, text, words, first)                                                        \
    const pri_op symbol = {.name = text,                                                           \
                           .summary = words,                                                       \
                           .min_opset = first,                                                     \
                           .max_opset = 21,                                                        \
                           .min_in = 2,                                                            \
                           .max_in = 2,                                                            \
                           .n_out = 1,                                                             \
                           .params_size = sizeof(compare_params),                                  \
                           .parse = parse,                                                         \
                           .infer = infer,                                                         \
                           .forward = forward,                                                     \
                           .couple = couple}

COMPARE(pri_op_equal, "Equal", "whether elements are equal", 7);
COMPARE(pri_op_less, "Less", "whether a is less than b", 7);
COMPARE(pri_op_greater, "Greater", "whether a is greater than b", 7);
COMPARE(pri_op_less_or_equal, "LessOrEqual", "whether a is at most b", 12);
COMPARE(pri_op_greater_or_equal, "GreaterOrEqual", "whether a is at least b", 12);
COMPARE(pri_op_and, "And", "both", 7);
COMPARE(pri_op_or, "Or", "at least one", 7);
COMPARE(pri_op_xor, "Xor", "exactly one", 7);

/* --- Not --- */

static pare_status not_infer(pri_call *call)
{
    if (call->in[0].dtype != PRI_BOOL)
        return pri_op_fail(call, PARE_ERROR_UNSUPPORTED, "the input is %s, not bool",
                           pri_dtype_name(call->in[0].dtype));
    return pri_infer_same(call);
}

static pare_status not_forward(pri_call *call)
{
    const int64_t n = pri_shape_count(&call->in[0].shape);
    const unsigned char *x = call->in[0].data;

    for (int64_t i = 0; i < n; i++)
        ((unsigned char *)call->out[0].data)[i] = x[i] == 0;
    return PARE_OK;
}

const pri_op pri_op_not = {
    .name = "Not",
    .summary = "logical negation",
    .min_opset = 1,
    .max_opset = 21,
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .infer = not_infer,
    .forward = not_forward,
    .couple = pri_couple_same,
};

/* --- Where --- */

static pare_status where_infer(pri_call *call)
{
    pri_shape shape;

    if (call->in[0].dtype != PRI_BOOL || call->in[1].dtype != call->in[2].dtype ||
        pri_dtype_bytes(call->in[1].dtype) == 0)
        return pri_op_fail(call, PARE_ERROR_UNSUPPORTED, "chooses between %s and %s by %s",
                           pri_dtype_name(call->in[1].dtype), pri_dtype_name(call->in[2].dtype),
                           pri_dtype_name(call->in[0].dtype));
    call->out[0].dtype = call->in[1].dtype;
    if (!pri_shape_broadcast(&shape, &call->in[0].shape, &call->in[1].shape) ||
        !pri_shape_broadcast(&call->out[0].shape, &shape, &call->in[2].shape))
        return pri_op_fail(call, PARE_ERROR_SHAPE, "the inputs do not broadcast");
    return PARE_OK;
}

/* Input 1 goes where the condition is true, input 2 where it is false: one pass for each. */
static void where_pass(const pri_call *call, int k, bool backward)
{
    const size_t bytes = pri_dtype_bytes(call->out[0].dtype);
    const unsigned char *condition = call->in[0].data;
    pri_nest nest;

    make_nest(call, 0, k, &nest);
    const int last = nest.rank - 1;
    for (int64_t row = 0; row < nest.rows; row++) {
        int64_t at[PRI_NEST_OPERANDS];
        const int64_t length = pri_nest_row(&nest, row, at);
        for (int64_t i = 0; i < length; i++) {
            const int64_t y = at[0] + i * nest.strides[0][last];
            const int64_t x = at[2] + i * nest.strides[2][last];
            if ((condition[at[1] + i * nest.strides[1][last]] != 0) != (k == 1))
                continue;
            if (backward)
                call->grad_in[k][x] += call->grad_out[0][y];
            else
                memcpy((char *)call->out[0].data + (size_t)y * bytes,
                       (const char *)call->in[k].data + (size_t)x * bytes, bytes);
        }
    }
}

static pare_status where_forward(pri_call *call)
{
    where_pass(call, 1, false);
    where_pass(call, 2, false);
    return PARE_OK;
}

static pare_status where_backward(pri_call *call)
{
    for (int k = 1; k < 3 && call->grad_out[0] != NULL; k++) {
        if (call->grad_in[k] != NULL)
            where_pass(call, k, true);
    }
    return PARE_OK;
}

const pri_op pri_op_where = {
    .name = "Where",
    .summary = "one of two inputs by a condition",
    .min_opset = 9,
    .max_opset = 21,
    .min_in = 3,
    .max_in = 3,
    .n_out = 1,
    .backward_reads = PRI_READS_IN0,
    .infer = where_infer,
    .forward = where_forward,
    .backward = where_backward,
    .couple = couple,
};
