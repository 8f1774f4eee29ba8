/* SPDX-License-Identifier: Apache-2.0 */
/*
 * softmax.c - Softmax and LogSoftmax.
 *
 * Before opset 13 the input is seen as a matrix: all axes from `axis` on are normalised together.
 * Since 13 one axis is.
 */
#include <math.h>

#include "ops/op_support.h"

typedef struct softmax_params {
    int64_t axis;
    bool is_flat, is_log;
} softmax_params;

static pare_status parse(const pri_node *node, int opset, void *params, pri_arena *arena,
                         pare_context *ctx)
{
    softmax_params *p = params;

    (void)arena;
    (void)ctx;
    p->is_flat = opset < 13;
    p->axis = pri_node_attr_int(node, "axis", p->is_flat ? 1 : -1);
    p->is_log = node->op_type[0] == 'L';
    return PARE_OK;
}

static int axis_of(const pri_call *call)
{
    const softmax_params *p = call->params;
    const int rank = call->in[0].shape.rank;

    if (p->is_flat && p->axis == rank)
        return rank; /* rows of one element */
    return pri_axis(p->axis, rank);
}

static pare_status infer(pri_call *call)
{
    PRI_TRY(pri_need_float(call, 1));
    if (axis_of(call) < 0)
        return pri_op_fail(call, PARE_ERROR_SHAPE, "its axis is out of range");
    return pri_infer_same(call);
}

/* A line is `size` elements, `inner` apart. */
typedef struct lines {
    int64_t count, size, inner;
} lines;

static lines lines_of(const pri_call *call)
{
    const softmax_params *p = call->params;
    const pri_shape *x = &call->in[0].shape;
    const int axis = axis_of(call);
    const int end = p->is_flat ? x->rank : axis + 1;
    lines l = {.size = pri_shape_span(x, axis, end), .inner = pri_shape_span(x, end, x->rank)};

    l.count = pri_shape_span(x, 0, axis) * l.inner;
    return l;
}

static int64_t start_of(const lines *l, int64_t line)
{
    return line / l->inner * l->inner * l->size + line % l->inner;
}

static void normalise(const float *x, float *y, int64_t size, int64_t step, bool is_log)
{
    float largest = -INFINITY;
    double sum = 0;

    for (int64_t i = 0; i < size; i++)
        largest = fmaxf(largest, x[i * step]);
    for (int64_t i = 0; i < size; i++) {
        const float e = expf(x[i * step] - largest);
        sum += e;
        y[i * step] = e;
    }
    const float inverse = (float)(1 / sum), shift = largest + (float)log(sum);
    for (int64_t i = 0; i < size; i++)
        y[i * step] = is_log ? x[i * step] - shift : y[i * step] * inverse;
}

static pare_status forward(pri_call *call)
{
    const softmax_params *p = call->params;
    const lines l = lines_of(call);
    const float *x = call->in[0].data;
    float *y = call->out[0].data;

#pragma omp parallel for schedule(static) if (l.count * l.size > 16384)
    for (int64_t i = 0; i < l.count; i++) {
        const int64_t at = start_of(&l, i);
        normalise(x + at, y + at, l.size, l.inner, p->is_log);
    }
    return PARE_OK;
}

/* softmax: d += y (g - sum(g y)); log of it: d += g - exp(y) sum(g) */
static pare_status backward(pri_call *call)
{
    const softmax_params *p = call->params;
    const lines l = lines_of(call);
    const float *y = call->out[0].data, *g = call->grad_out[0];
    float *d = call->grad_in[0];

    if (g == NULL || d == NULL)
        return PARE_OK;
#pragma omp parallel for schedule(static) if (l.count * l.size > 16384)
    for (int64_t i = 0; i < l.count; i++) {
        const int64_t at = start_of(&l, i);
        double sum = 0;
        for (int64_t k = at; k < at + l.size * l.inner; k += l.inner)
            sum += p->is_log ? g[k] : (double)g[k] * y[k];
        for (int64_t k = at; k < at + l.size * l.inner; k += l.inner)
            d[k] += p->is_log ? g[k] - expf(y[k]) * (float)sum : y[k] * (g[k] - (float)sum);
    }
    return PARE_OK;
}

static pare_status couple(const pri_call *call, pri_rules *rules)
{
    const softmax_params *p = call->params;
    const pri_shape *x = &call->in[0].shape;
    const int axis = axis_of(call);

    for (int a = 0; a < x->rank; a++) {
        if (a == axis || (p->is_flat && a > axis)) {
            PRI_TRY(pri_rules_pin(rules, 0, a, "normalises over these channels"));
            PRI_TRY(pri_rules_pin(rules, PRI_OUT(0), a, "normalises over these channels"));
        } else {
            PRI_TRY(pri_rules_tie(rules, 0, a, 0, PRI_OUT(0), a, 0, x->dims[a]));
        }
    }
    return PARE_OK;
}

#define SOFTMAX(symbol, text, words)                                                               \
    const pri_op symbol = {.name = text,                                                           \
                           .summary = words,                                                       \
                           .min_opset = 1,                                                         \
                           .max_opset = 21,                                                        \
                           .min_in = 1,                                                            \
                           .max_in = 1,                                                            \
                           .n_out = 1,                                                             \
                           .params_size = sizeof(softmax_params),                                  \
                           .backward_reads = PRI_READS_OUT0,                                       \
                           .parse = parse,                                                         \
                           .infer = infer,                                                         \
                           .forward = forward,                                                     \
                           .backward = backward,                                                   \
                           .couple = couple}

SOFTMAX(pri_op_softmax, "Softmax", "exponentials that sum to one along an axis");
SOFTMAX(pri_op_log_softmax, "LogSoftmax", "logarithm of Softmax");
