/* SPDX-License-Identifier: Apache-2.0 */
/* reduce.c - sums, means, extremes and norms over axes, in any layout. */
#include <math.h>
#include <string.h>

#include "ops/elements.h"
#include "ops/op_support.h"

typedef enum reduce_kind {
    MEAN,
    SUM,
    MAX,
    MIN,
    PROD,
    L1,
    L2,
    SUM_SQUARE,
    LOG_SUM,
    LOG_SUM_EXP
} reduce_kind;

typedef struct reduce_params {
    reduce_kind kind;
    bool keeps, no_axes_is_copy;
} reduce_params;

static pare_status parse(const pri_node *node, int opset, void *params, pri_arena *arena,
                         pare_context *ctx)
{
    static const struct {
        const char *name;
        reduce_kind kind;
    } table[] = {{"ReduceMean", MEAN},      {"ReduceSum", SUM},
                 {"ReduceMax", MAX},        {"ReduceMin", MIN},
                 {"ReduceProd", PROD},      {"ReduceL1", L1},
                 {"ReduceL2", L2},          {"ReduceSumSquare", SUM_SQUARE},
                 {"ReduceLogSum", LOG_SUM}, {"ReduceLogSumExp", LOG_SUM_EXP}};
    reduce_params *p = params;

    (void)opset;
    (void)arena;
    p->keeps = pri_node_attr_int(node, "keepdims", 1) != 0;
    p->no_axes_is_copy = pri_node_attr_int(node, "noop_with_empty_axes", 0) != 0;
    for (size_t i = 0; i < PRI_COUNT(table); i++) {
        if (strcmp(node->op_type, table[i].name) == 0) {
            p->kind = table[i].kind;
            return PARE_OK;
        }
    }
    return pri_parse_fail(ctx, node, "is no reduction");
}

/* Bit a = axis a is reduced. */
static pare_status reduced_axes(const pri_call *call, unsigned *mask)
{
    const reduce_params *p = call->params;
    const int rank = call->in[0].shape.rank;
    int64_t axes[PRI_MAX_RANK];
    int count;

    *mask = 0;
    PRI_TRY(pri_op_numbers(call, "axes", 1, axes, &count));
    for (int k = 0; k < count; k++) {
        const int axis = pri_axis(axes[k], rank);
        if (axis < 0)
            return pri_op_fail(call, PARE_ERROR_SHAPE, "axis %lld is out of range",
                               (long long)axes[k]);
        *mask |= 1u << axis;
    }
    if (count <= 0 && !p->no_axes_is_copy)
        *mask = (1u << rank) - 1;
    return PARE_OK;
}

static pare_status infer(pri_call *call)
{
    const reduce_params *p = call->params;
    const pri_shape *x = &call->in[0].shape;
    const pri_dtype dtype = call->in[0].dtype;
    pri_shape shape = {0};
    unsigned mask;

    if (!pri_is_number(dtype) && !(dtype == PRI_BOOL && (p->kind == MAX || p->kind == MIN)))
        return pri_op_fail(call, PARE_ERROR_UNSUPPORTED, "the input is %s", pri_dtype_name(dtype));
    PRI_TRY(reduced_axes(call, &mask));
    for (int a = 0; a < x->rank; a++) {
        if ((mask >> a & 1u) == 0)
            shape.dims[shape.rank++] = x->dims[a];
        else if (p->keeps)
            shape.dims[shape.rank++] = 1;
    }
    call->out[0].dtype = dtype;
    call->out[0].shape = shape;
    return PARE_OK;
}

static pare_status prepare(pri_call *call)
{
    const reduce_params *p = call->params;

    call->out[0].layout = p->keeps ? call->in[0].layout : PRI_PLAIN;
    if (call->n_in > 1)
        call->in[1].layout = PRI_PLAIN;
    return PARE_OK;
}

/* The kept axes with their strides in both operands, and the reduced ones with theirs in the input.
 */
typedef struct axes_list {
    int rank;
    int64_t dims[PRI_MAX_RANK], x[PRI_MAX_RANK], y[PRI_MAX_RANK], count;
} axes_list;

static void add_axis(axes_list *list, int64_t size, int64_t x, int64_t y)
{
    list->dims[list->rank] = size;
    list->x[list->rank] = x;
    list->y[list->rank++] = y;
    list->count *= size;
}

static pare_status list_axes(const pri_call *call, axes_list *kept, axes_list *reduced)
{
    const reduce_params *p = call->params;
    const pri_shape *shape = &call->in[0].shape;
    int64_t x[PRI_MAX_RANK], y[PRI_MAX_RANK];
    unsigned mask;

    *kept = *reduced = (axes_list){.count = 1};
    PRI_TRY(reduced_axes(call, &mask));
    pri_layout_strides(x, shape, call->in[0].layout);
    pri_layout_strides(y, &call->out[0].shape, call->out[0].layout);
    for (int a = 0, b = 0; a < shape->rank; a++) {
        const bool is_reduced = (mask >> a & 1u) != 0;
        if (is_reduced)
            add_axis(reduced, shape->dims[a], x[a], 0);
        else
            add_axis(kept, shape->dims[a], x[a], y[b]);
        b += !is_reduced || p->keeps;
    }
    return PARE_OK;
}

static void offsets_of(const axes_list *list, int64_t index, int64_t *x, int64_t *y)
{
    *x = *y = 0;
    for (int a = list->rank - 1; a >= 0; a--) {
        const int64_t i = index % list->dims[a];
        index /= list->dims[a];
        *x += i * list->x[a];
        *y += i * list->y[a];
    }
}

static double value_at(const pri_operand *operand, int64_t i)
{
    return operand->dtype == PRI_F32 ? ((const float *)operand->data)[i]
                                     : pri_get_number(operand, i);
}

static double start_of(reduce_kind kind)
{
    switch (kind) {
    case MAX: return -INFINITY;
    case MIN: return INFINITY;
    case PROD: return 1;
    default: return 0;
    }
}

static double step(reduce_kind kind, double sum, double v, double largest)
{
    switch (kind) {
    case MAX: return v > sum ? v : sum;
    case MIN: return v < sum ? v : sum;
    case PROD: return sum * v;
    case L1: return sum + fabs(v);
    case L2:
    case SUM_SQUARE: return sum + v * v;
    case LOG_SUM_EXP: return sum + exp(v - largest);
    default: return sum + v;
    }
}

static double finish(reduce_kind kind, double sum, int64_t count, double largest)
{
    switch (kind) {
    case MEAN: return sum / (double)count;
    case L2: return sqrt(sum);
    case LOG_SUM: return log(sum);
    case LOG_SUM_EXP: return largest + log(sum);
    default: return sum;
    }
}

static double fold_line(const pri_operand *in, const axes_list *reduced, int64_t from,
                        reduce_kind kind)
{
    double largest = -INFINITY, sum = start_of(kind);
    int64_t at, unused;

    for (int64_t r = 0; r < reduced->count && kind == LOG_SUM_EXP; r++) {
        offsets_of(reduced, r, &at, &unused);
        largest = fmax(largest, value_at(in, from + at));
    }
    if (!isfinite(largest)) /* nothing to scale by: an empty or infinite line */
        largest = 0;
    for (int64_t r = 0; r < reduced->count; r++) {
        offsets_of(reduced, r, &at, &unused);
        sum = step(kind, sum, value_at(in, from + at), largest);
    }
    return finish(kind, sum, reduced->count, largest);
}

static pare_status forward(pri_call *call)
{
    const reduce_params *p = call->params;
    axes_list kept, reduced;

    PRI_TRY(list_axes(call, &kept, &reduced));
#pragma omp parallel for schedule(static) if (kept.count * reduced.count > 16384)
    for (int64_t k = 0; k < kept.count; k++) {
        int64_t x, y;
        offsets_of(&kept, k, &x, &y);
        double result = fold_line(&call->in[0], &reduced, x, p->kind);
        if (call->out[0].dtype == PRI_BOOL) /* of nothing: false for Max, true for Min */
            result = fmax(0, fmin(1, result));
        pri_set_number(&call->out[0], y, result);
    }
    return PARE_OK;
}

/* Derivative of the result y by one element v. */
static double slope(reduce_kind kind, double v, double y, int64_t count)
{
    switch (kind) {
    case MEAN: return 1 / (double)count;
    case L1: return v < 0 ? -1 : v > 0;
    case L2: return y > 0 ? v / y : 0;
    case SUM_SQUARE: return 2 * v;
    case LOG_SUM: return 1 / exp(y);
    case LOG_SUM_EXP: return exp(v - y);
    default: return 1;
    }
}

/* Extremes pass the gradient to the first element that reaches them. */
static void extreme_back(const pri_call *call, const axes_list *reduced, int64_t from, float y,
                         float g)
{
    const float *x = call->in[0].data;
    int64_t at, unused;

    for (int64_t r = 0; r < reduced->count; r++) {
        offsets_of(reduced, r, &at, &unused);
        if (x[from + at] == y) {
            call->grad_in[0][from + at] += g;
            return;
        }
    }
}

/* The product of the others: with one zero among them only its element has a slope. */
static void product_back(const pri_call *call, const axes_list *reduced, int64_t from, float g)
{
    const float *x = call->in[0].data;
    int64_t at, unused, zeros = 0;
    double others = 1;

    for (int64_t r = 0; r < reduced->count; r++) {
        offsets_of(reduced, r, &at, &unused);
        zeros += x[from + at] == 0;
        others *= x[from + at] != 0 ? x[from + at] : 1;
    }
    for (int64_t r = 0; r < reduced->count && zeros < 2; r++) {
        offsets_of(reduced, r, &at, &unused);
        const double v = x[from + at];
        if (zeros == 0 || v == 0)
            call->grad_in[0][from + at] += (float)(g * (v != 0 ? others / v : others));
    }
}

static pare_status backward(pri_call *call)
{
    const reduce_params *p = call->params;
    const float *out = call->out[0].data, *g = call->grad_out[0], *in = call->in[0].data;
    float *d = call->grad_in[0];
    axes_list kept, reduced;

    if (g == NULL || d == NULL)
        return PARE_OK;
    PRI_TRY(list_axes(call, &kept, &reduced));
#pragma omp parallel for schedule(static) if (kept.count * reduced.count > 16384)
    for (int64_t k = 0; k < kept.count; k++) {
        int64_t x, y, at, unused;
        offsets_of(&kept, k, &x, &y);
        if (p->kind == MAX || p->kind == MIN) {
            extreme_back(call, &reduced, x, out[y], g[y]);
            continue;
        }
        if (p->kind == PROD) {
            product_back(call, &reduced, x, g[y]);
            continue;
        }
        for (int64_t r = 0; r < reduced.count; r++) {
            offsets_of(&reduced, r, &at, &unused);
            d[x + at] += (float)(g[y] * slope(p->kind, in[x + at], out[y], reduced.count));
        }
    }
    return PARE_OK;
}

/* A mean over channels changes with every channel that goes: reduced axes stay whole. */
static pare_status couple(const pri_call *call, pri_rules *rules)
{
    const reduce_params *p = call->params;
    const pri_shape *x = &call->in[0].shape;
    unsigned mask;

    PRI_TRY(reduced_axes(call, &mask));
    for (int a = 0, b = 0; a < x->rank; a++) {
        const bool is_reduced = (mask >> a & 1u) != 0;
        if (is_reduced)
            PRI_TRY(pri_rules_pin(rules, 0, a, "its result depends on all of these channels"));
        else
            PRI_TRY(pri_rules_tie(rules, 0, a, 0, PRI_OUT(0), b, 0, x->dims[a]));
        b += !is_reduced || p->keeps;
    }
    return PARE_OK;
}

#define REDUCE(symbol, text, words)                                                                \
    const pri_op symbol = {.name = text,                                                           \
                           .summary = words,                                                       \
                           .min_opset = 1,                                                         \
                           .max_opset = 21,                                                        \
                           .min_in = 1,                                                            \
                           .max_in = 2,                                                            \
                           .n_out = 1,                                                             \
                           .params_size = sizeof(reduce_params),                                   \
                           .layouts = PRI_LAYOUTS_PREPARE,                                         \
                           .backward_reads = PRI_READS_IN0 | PRI_READS_OUT0,                       \
                           .parse = parse,                                                         \
                           .infer = infer,                                                         \
                           .prepare = prepare,                                                     \
                           .forward = forward,                                                     \
                           .backward = backward,                                                   \
                           .couple = couple}

REDUCE(pri_op_reduce_mean, "ReduceMean", "mean over axes");
REDUCE(pri_op_reduce_sum, "ReduceSum", "sum over axes");
REDUCE(pri_op_reduce_max, "ReduceMax", "largest value over axes");
REDUCE(pri_op_reduce_min, "ReduceMin", "smallest value over axes");
REDUCE(pri_op_reduce_prod, "ReduceProd", "product over axes");
REDUCE(pri_op_reduce_l1, "ReduceL1", "sum of magnitudes over axes");
REDUCE(pri_op_reduce_l2, "ReduceL2", "Euclidean norm over axes");
REDUCE(pri_op_reduce_sum_square, "ReduceSumSquare", "sum of squares over axes");
REDUCE(pri_op_reduce_log_sum, "ReduceLogSum", "logarithm of the sum over axes");
REDUCE(pri_op_reduce_log_sum_exp, "ReduceLogSumExp", "logarithm of the sum of exponentials");
