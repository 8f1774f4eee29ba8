/* SPDX-License-Identifier: Apache-2.0 */
/* binary.c - Add, Sub, Mul, Div, Mod, Pow and PRelu with broadcasting. */
#include <math.h>
#include <string.h>

#include "kernels/narrow.h"
#include "kernels/strided.h"
#include "ops/elements.h"
#include "ops/op_support.h"

typedef struct binary_params {
    char kind; /* + - * / ^ p, m Mod, f Mod of floats */
} binary_params;

static pare_status parse(const pri_node *node, int opset, void *params, pri_arena *arena,
                         pare_context *ctx)
{
    static const struct {
        const char *name;
        char kind;
    } table[] = {{"Add", '+'},   {"Sub", '-'}, {"Mul", '*'}, {"Div", '/'},
                 {"PRelu", 'p'}, {"Pow", '^'}, {"Mod", 'm'}};
    binary_params *p = params;

    (void)opset;
    (void)arena;
    for (size_t i = 0; i < PRI_COUNT(table); i++) {
        if (strcmp(node->op_type, table[i].name) == 0) {
            p->kind = table[i].kind;
            if (p->kind == 'm' && pri_node_attr_int(node, "fmod", 0) != 0)
                p->kind = 'f';
            return PARE_OK;
        }
    }
    return pri_parse_fail(ctx, node, "is no operator of two inputs");
}

static pare_status infer(pri_call *call)
{
    char a[PRI_SHAPE_TEXT], b[PRI_SHAPE_TEXT];

    const bool may_differ = ((const binary_params *)call->params)->kind == '^';
    if (!pri_is_number(call->in[0].dtype) || !pri_is_number(call->in[1].dtype) ||
        (call->in[0].dtype != call->in[1].dtype && !may_differ))
        return pri_op_fail(call, PARE_ERROR_UNSUPPORTED,
                           "inputs are %s and %s; it takes numbers of one type",
                           pri_dtype_name(call->in[0].dtype), pri_dtype_name(call->in[1].dtype));
    call->out[0].dtype = call->in[0].dtype;
    if (!pri_shape_broadcast(&call->out[0].shape, &call->in[0].shape, &call->in[1].shape))
        return pri_op_fail(call, PARE_ERROR_SHAPE, "%s and %s do not broadcast",
                           pri_shape_text(a, &call->in[0].shape),
                           pri_shape_text(b, &call->in[1].shape));
    return PARE_OK;
}

/* Channels-last when a full operand is; smaller operands are read by strides. */
static pare_status prepare(pri_call *call)
{
    const pri_shape *y = &call->out[0].shape;
    pri_layout layout = PRI_PLAIN;

    for (int k = 0; k < 2; k++) {
        if (call->in[k].layout == PRI_CHANNELS_LAST && pri_shape_equal(&call->in[k].shape, y))
            layout = PRI_CHANNELS_LAST;
    }
    for (int k = 0; k < 2; k++) {
        if (pri_shape_equal(&call->in[k].shape, y))
            call->in[k].layout = layout;
    }
    call->out[0].layout = layout;
    return PARE_OK;
}

static void strides_of(const pri_operand *operand, const pri_shape *out, int64_t *strides)
{
    int64_t natural[PRI_MAX_RANK];

    pri_layout_strides(natural, &operand->shape, operand->layout);
    for (int a = 0; a < out->rank; a++) {
        const int b = a - (out->rank - operand->shape.rank);
        strides[a] = b < 0 || operand->shape.dims[b] == 1 ? 0 : natural[b];
    }
}

static void make_nest(const pri_call *call, pri_nest *nest)
{
    const pri_shape *y = &call->out[0].shape;
    int64_t s[3][PRI_MAX_RANK];

    strides_of(&call->out[0], y, s[0]);
    strides_of(&call->in[0], y, s[1]);
    strides_of(&call->in[1], y, s[2]);
    const int64_t *const strides[3] = {s[0], s[1], s[2]};
    pri_nest_make(nest, y->rank, y->dims, 3, strides);
}

#define LOOP(expression)                                                                           \
    do {                                                                                           \
        if (sa == 1 && sb == 1)                                                                    \
            for (int64_t i = 0; i < length; i++) {                                                 \
                const float u = a[i], v = b[i];                                                    \
                y[i] = (expression);                                                               \
            }                                                                                      \
        else                                                                                       \
            for (int64_t i = 0; i < length; i++) {                                                 \
                const float u = a[i * sa], v = b[i * sb];                                          \
                y[i * sy] = (expression);                                                          \
            }                                                                                      \
    } while (0)

static void forward_float(const pri_call *call, const pri_nest *nest)
{
    const char kind = ((const binary_params *)call->params)->kind;
    const int last = nest->rank - 1;
    const int64_t sy = nest->strides[0][last], sa = nest->strides[1][last];
    const int64_t sb = nest->strides[2][last];

#pragma omp parallel for schedule(static) if (nest->rows * nest->chunk > 16384)
    for (int64_t row = 0; row < nest->rows; row++) {
        int64_t at[PRI_NEST_OPERANDS];
        const int64_t length = pri_nest_row(nest, row, at);
        float *y = (float *)call->out[0].data + at[0];
        const float *a = (const float *)call->in[0].data + at[1];
        const float *b = (const float *)call->in[1].data + at[2];
        switch (kind) {
        case '+': LOOP(u + v); break;
        case '-': LOOP(u - v); break;
        case '*': LOOP(u * v); break;
        case '/': LOOP(u / v); break;
        case '^': LOOP(powf(u, v)); break;
        case 'm':
        case 'f': LOOP(fmodf(u, v)); break;
        default: LOOP(u < 0 ? u * v : u); break;
        }
    }
}

/* --- Other types --- */

static int64_t power(int64_t u, int64_t v)
{
    uint64_t result = 1;

    if (v < 0)
        return u == 1 ? 1 : u == -1 ? (v % 2 == 0 ? 1 : -1) : 0;
    for (uint64_t base = (uint64_t)u; v > 0; v >>= 1, base *= base)
        result *= (v & 1) != 0 ? base : 1;
    return (int64_t)result;
}

/* Division by zero gives 0: a file must not stop the program. */
static int64_t divide(char kind, bool is_unsigned, int64_t u, int64_t v)
{
    if (v == 0)
        return 0;
    if (is_unsigned)
        return (int64_t)(kind == '/' ? (uint64_t)u / (uint64_t)v : (uint64_t)u % (uint64_t)v);
    if (v == -1)
        return kind == '/' ? (int64_t)(0 - (uint64_t)u) : 0;
    const int64_t rest = u % v;
    if (kind == '/')
        return u / v;
    return kind == 'm' && rest != 0 && (rest < 0) != (v < 0) ? rest + v : rest;
}

static int64_t integer(char kind, bool is_unsigned, int64_t u, int64_t v)
{
    switch (kind) {
    case '+': return (int64_t)((uint64_t)u + (uint64_t)v);
    case '-': return (int64_t)((uint64_t)u - (uint64_t)v);
    case '*': return (int64_t)((uint64_t)u * (uint64_t)v);
    case '^': return power(u, v);
    case 'p': return u < 0 ? (int64_t)((uint64_t)u * (uint64_t)v) : u;
    default: return divide(kind, is_unsigned, u, v);
    }
}

static double real(char kind, double u, double v)
{
    switch (kind) {
    case '+': return u + v;
    case '-': return u - v;
    case '*': return u * v;
    case '/': return u / v;
    case '^': return pow(u, v);
    case 'm':
    case 'f': return fmod(u, v);
    default: return u < 0 ? u * v : u;
    }
}

static void forward_any(const pri_call *call, const pri_nest *nest)
{
    const char kind = ((const binary_params *)call->params)->kind;
    const int last = nest->rank - 1;
    const pri_dtype dtype = call->in[0].dtype;
    const bool is_integer = pri_is_integer(dtype) && pri_is_integer(call->in[1].dtype);
    const bool is_unsigned =
        dtype == PRI_U64 || dtype == PRI_U32 || dtype == PRI_U16 || dtype == PRI_U8;

    for (int64_t row = 0; row < nest->rows; row++) {
        int64_t at[PRI_NEST_OPERANDS];
        const int64_t length = pri_nest_row(nest, row, at);
        for (int64_t i = 0; i < length; i++) {
            const int64_t y = at[0] + i * nest->strides[0][last];
            const int64_t a = at[1] + i * nest->strides[1][last];
            const int64_t b = at[2] + i * nest->strides[2][last];
            if (is_integer)
                pri_set_integer(&call->out[0], y,
                                integer(kind, is_unsigned, pri_get_integer(&call->in[0], a),
                                        pri_get_integer(&call->in[1], b)));
            else
                pri_set_number(
                    &call->out[0], y,
                    real(kind, pri_get_number(&call->in[0], a), pri_get_number(&call->in[1], b)));
        }
    }
}

/* --- Sums of activations of which some are bfloat16: equal shapes in one layout --- */

static bool takes_bf16(const pri_call *call, int slot)
{
    const binary_params *p = call->params;

    return slot >= 0 && p->kind == '+' && pri_shape_equal(&call->in[0].shape, &call->in[1].shape);
}

static bool has_bf16(const pri_call *call)
{
    return (call->in[0].dtype == PRI_BF16 || call->in[1].dtype == PRI_BF16 ||
            call->out[0].dtype == PRI_BF16) &&
           takes_bf16(call, 0);
}

static void sum_narrow(const pri_call *call)
{
    const pri_operand *a = &call->in[0], *b = &call->in[1], *y = &call->out[0];
    const int64_t total = pri_shape_count(&y->shape);

#pragma omp parallel for schedule(static) if (total > 16384)
    for (int64_t at = 0; at < total; at += PRI_NARROW_PIECE) {
        const int64_t n = pri_min_i64(PRI_NARROW_PIECE, total - at);
        float room[3][PRI_NARROW_PIECE];
        const float *u = pri_floats_at(a->data, a->dtype, at, n, room[0]);
        const float *v = pri_floats_at(b->data, b->dtype, at, n, room[1]);
        float *to = pri_floats_for(y->data, y->dtype, at, room[2]);
        PRI_SIMD
        for (int64_t i = 0; i < n; i++)
            to[i] = u[i] + v[i];
        pri_floats_put(y->data, y->dtype, at, n, to);
    }
}

static void sum_narrow_back(const pri_call *call, int k)
{
    const pri_dtype from = call->out[0].dtype, to = call->in[k].dtype;
    const int64_t total = pri_shape_count(&call->out[0].shape);

#pragma omp parallel for schedule(static) if (total > 16384)
    for (int64_t at = 0; at < total; at += PRI_NARROW_PIECE) {
        const int64_t n = pri_min_i64(PRI_NARROW_PIECE, total - at);
        float room[2][PRI_NARROW_PIECE];
        const float *g = pri_floats_at(call->grad_out[0], from, at, n, room[0]);
        float *d = pri_floats_for(call->grad_in[k], to, at, room[1]);
        if (pri_is_fresh(call, k)) {
            memcpy(d, g, (size_t)n * sizeof *d);
        } else {
            (void)pri_floats_at(call->grad_in[k], to, at, n, room[1]);
            pri_add_piece(d, g, n);
        }
        pri_floats_put(call->grad_in[k], to, at, n, d);
    }
}

static pare_status forward(pri_call *call)
{
    pri_nest nest;

    if (has_bf16(call)) {
        sum_narrow(call);
        return PARE_OK;
    }
    make_nest(call, &nest);
    if (call->out[0].dtype == PRI_F32 && call->in[1].dtype == PRI_F32)
        forward_float(call, &nest);
    else
        forward_any(call, &nest);
    return PARE_OK;
}

/* Derivative by input `k` at u, v. */
static float slope(char kind, int k, float u, float v)
{
    switch (kind) {
    case '+': return 1;
    case '-': return k == 0 ? 1.0f : -1.0f;
    case '*': return k == 0 ? v : u;
    case '/': return k == 0 ? 1 / v : -u / (v * v);
    case 'm':
    case 'f': return k == 0 ? 1 : -truncf(u / v);
    case '^': return k == 0 ? v * powf(u, v - 1) : u > 0 ? powf(u, v) * logf(u) : 0;
    default: return u < 0 ? (k == 0 ? v : u) : (k == 0 ? 1.0f : 0.0f);
    }
}

static void backward_row(const pri_call *call, const pri_nest *nest, int k, const int64_t *at,
                         int64_t length, bool is_fresh)
{
    const char kind = ((const binary_params *)call->params)->kind;
    const int last = nest->rank - 1;
    const float *g = call->grad_out[0] + at[0];
    const float *a = (const float *)call->in[0].data + at[1];
    const float *b = (const float *)call->in[1].data + at[2];
    float *d = call->grad_in[k] + at[1 + k];
    const int64_t sg = nest->strides[0][last], sd = nest->strides[1 + k][last];
    const int64_t sa = nest->strides[1][last], sb = nest->strides[2][last];

    if (kind == '+' && sg == 1 && sd == 1) {
        if (is_fresh) {
            memcpy(d, g, (size_t)length * sizeof *d);
            return;
        }
        PRI_SIMD
        for (int64_t i = 0; i < length; i++)
            d[i] += g[i];
        return;
    }
    for (int64_t i = 0; i < length; i++) {
        const float more =
            kind == '+' ? g[i * sg] : g[i * sg] * slope(kind, k, a[i * sa], b[i * sb]);
        d[i * sd] = (is_fresh ? 0 : d[i * sd]) + more;
    }
}

static pare_status backward(pri_call *call)
{
    pri_nest nest;

    make_nest(call, &nest);
    for (int k = 0; k < 2 && call->grad_out[0] != NULL; k++) {
        float *gradient = call->grad_in[k];
        const bool is_full = pri_shape_equal(&call->in[k].shape, &call->out[0].shape);
        if (gradient == NULL || gradient == call->grad_out[0])
            continue; /* the gradient of a sum is already in place */
        if (has_bf16(call)) {
            sum_narrow_back(call, k);
            continue;
        }
        if (call->in[1].dtype != PRI_F32)
            continue;
        if (pri_is_fresh(call, k) && !is_full)
            memset(gradient, 0, (size_t)pri_shape_count(&call->in[k].shape) * sizeof *gradient);
        const bool is_fresh = pri_is_fresh(call, k) && is_full;
#pragma omp parallel for schedule(static) if (is_full && nest.rows * nest.chunk > 16384)
        for (int64_t row = 0; row < nest.rows; row++) {
            int64_t at[PRI_NEST_OPERANDS];
            const int64_t length = pri_nest_row(&nest, row, at);
            backward_row(call, &nest, k, at, length, is_fresh);
        }
    }
    return PARE_OK;
}

static pare_status couple(const pri_call *call, pri_rules *rules)
{
    PRI_TRY(pri_couple_broadcast(call, rules, 0));
    return pri_couple_broadcast(call, rules, 1);
}

#define BINARY(symbol, text, words, first, sum, product)                                           \
    const pri_op symbol = {.name = text,                                                           \
                           .summary = words,                                                       \
                           .min_opset = first,                                                     \
                           .max_opset = 21,                                                        \
                           .min_in = 2,                                                            \
                           .max_in = 2,                                                            \
                           .n_out = 1,                                                             \
                           .params_size = sizeof(binary_params),                                   \
                           .layouts = PRI_LAYOUTS_PREPARE,                                         \
                           .is_sum = sum,                                                          \
                           .is_product = product,                                                  \
                           .is_in_place = true,                                                    \
                           .writes_gradients = true,                                               \
                           .is_in_place_back = sum,                                                \
                           .backward_reads = sum ? 0 : PRI_READS_IN0 | PRI_READS_IN1,              \
                           .parse = parse,                                                         \
                           .infer = infer,                                                         \
                           .prepare = prepare,                                                     \
                           .forward = forward,                                                     \
                           .backward = backward,                                                   \
                           .takes_bf16 = takes_bf16,                                               \
                           .couple = couple}

BINARY(pri_op_add, "Add", "sum with broadcasting", 7, true, false);
BINARY(pri_op_sub, "Sub", "difference with broadcasting", 7, false, false);
BINARY(pri_op_mul, "Mul", "product with broadcasting", 7, false, true);
BINARY(pri_op_div, "Div", "quotient with broadcasting", 7, false, false);
BINARY(pri_op_mod, "Mod", "rest of a division", 10, false, false);
BINARY(pri_op_pow, "Pow", "power with broadcasting", 7, false, false);
BINARY(pri_op_prelu, "PRelu", "x, or slope times x below zero", 7, false, false);
