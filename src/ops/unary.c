/* SPDX-License-Identifier: Apache-2.0 */
/* unary.c - operators that work element by element on one input. */
#include <math.h>
#include <string.h>

#include "ops/op_support.h"

typedef enum unary_kind {
    RELU,
    LEAKY_RELU,
    THRESHOLDED_RELU,
    CLIP,
    SIGMOID,
    HARD_SIGMOID,
    HARD_SWISH,
    TANH,
    ELU,
    SELU,
    CELU,
    SOFTPLUS,
    SOFTSIGN,
    MISH,
    GELU,
    GELU_TANH,
    ERF,
    EXP,
    LOG,
    SQRT,
    RECIPROCAL,
    SIN,
    COS,
    ABS,
    NEG,
    SIGN,
    FLOOR,
    CEIL,
    ROUND
} unary_kind;

typedef struct unary_params {
    unary_kind kind;
    float alpha, beta;
} unary_params;

static pare_status parse(const pri_node *node, int opset, void *params, pri_arena *arena,
                         pare_context *ctx)
{
    static const struct {
        const char *name;
        unary_kind kind;
        float alpha, beta;
    } table[] = {{"Relu", RELU, 0, 0},
                 {"LeakyRelu", LEAKY_RELU, 0.01f, 0},
                 {"Clip", CLIP, -INFINITY, INFINITY},
                 {"Sigmoid", SIGMOID, 0, 0},
                 {"HardSigmoid", HARD_SIGMOID, 0.2f, 0.5f},
                 {"HardSwish", HARD_SWISH, 0, 0},
                 {"Tanh", TANH, 0, 0},
                 {"Elu", ELU, 1, 0},
                 {"Softplus", SOFTPLUS, 0, 0},
                 {"Exp", EXP, 0, 0},
                 {"Sqrt", SQRT, 0, 0},
                 {"Abs", ABS, 0, 0},
                 {"Neg", NEG, 0, 0},
                 {"Floor", FLOOR, 0, 0},
                 {"Ceil", CEIL, 0, 0},
                 {"Round", ROUND, 0, 0},
                 {"ThresholdedRelu", THRESHOLDED_RELU, 1, 0},
                 {"Selu", SELU, 1.67326319f, 1.05070102f},
                 {"Celu", CELU, 1, 0},
                 {"Softsign", SOFTSIGN, 0, 0},
                 {"Mish", MISH, 0, 0},
                 {"Gelu", GELU, 0, 0},
                 {"Erf", ERF, 0, 0},
                 {"Log", LOG, 0, 0},
                 {"Reciprocal", RECIPROCAL, 0, 0},
                 {"Sin", SIN, 0, 0},
                 {"Cos", COS, 0, 0},
                 {"Sign", SIGN, 0, 0}};
    unary_params *p = params;

    (void)opset;
    (void)arena;
    for (size_t i = 0; i < PRI_COUNT(table); i++) {
        if (strcmp(node->op_type, table[i].name) != 0)
            continue;
        p->kind = table[i].kind;
        p->alpha = pri_node_attr_float(node, p->kind == CLIP ? "min" : "alpha", table[i].alpha);
        p->beta = pri_node_attr_float(node, p->kind == CLIP   ? "max"
                                            : p->kind == SELU ? "gamma"
                                                              : "beta",
                                      table[i].beta);
        if (p->kind == GELU && strcmp(pri_node_attr_string(node, "approximate", "none"), "tanh") == 0)
            p->kind = GELU_TANH;
        return PARE_OK;
    }
    return pri_parse_fail(ctx, node, "is no operator of one input");
}

/* Bounds of Clip come as inputs since opset 11. */
static void bounds(const pri_call *call, float *low, float *high)
{
    const unary_params *p = call->params;
    const pri_operand *min = pri_in(call, 1), *max = pri_in(call, 2);

    *low = p->alpha;
    *high = p->beta;
    if (p->kind == CLIP && min != NULL && min->data != NULL)
        *low = *(const float *)min->data;
    if (p->kind == CLIP && max != NULL && max->data != NULL)
        *high = *(const float *)max->data;
}

static pare_status infer(pri_call *call)
{
    PRI_TRY(pri_need_float(call, 7));
    for (int k = 1; k < call->n_in; k++) {
        if (call->in[k].present && pri_shape_count(&call->in[k].shape) != 1)
            return pri_op_fail(call, PARE_ERROR_SHAPE, "bound %d is not one number", k);
    }
    return pri_infer_same(call);
}

static pare_status prepare(pri_call *call)
{
    call->out[0].layout = call->in[0].layout;
    for (int k = 1; k < call->n_in; k++)
        call->in[k].layout = PRI_PLAIN;
    return PARE_OK;
}

static inline float sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x));
}

static inline float softplus(float x)
{
    return fmaxf(x, 0) + log1pf(expf(-fabsf(x)));
}

/* Distribution function of the normal law, and the cubic that tanh approximates it with. */
static inline float normal_below(float x)
{
    return 0.5f * (1 + erff(x * 0.70710678f));
}

static inline float gelu_inner(float x)
{
    return 0.79788456f * (x + 0.044715f * x * x * x);
}

static inline float mish_slope(float x)
{
    const float t = tanhf(softplus(x));

    return t + x * (1 - t * t) * sigmoid(x);
}

static inline float gelu_tanh_slope(float x)
{
    const float t = tanhf(gelu_inner(x));

    return 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * 0.79788456f * (1 + 0.134145f * x * x);
}

#define EACH(expression)                                                                           \
    _Pragma("omp parallel for schedule(static) if (n > 16384)") for (int64_t i = 0; i < n; i++)    \
    {                                                                                              \
        const float v = x[i];                                                                      \
        y[i] = (expression);                                                                       \
    }                                                                                              \
    break

static pare_status forward(pri_call *call)
{
    const unary_params *p = call->params;
    const int64_t n = pri_shape_count(&call->in[0].shape);
    const float *x = call->in[0].data;
    float *y = call->out[0].data, a, b;

    bounds(call, &a, &b);
    switch (p->kind) {
    case RELU: EACH(v < 0 ? 0 : v);
    case LEAKY_RELU: EACH(v < 0 ? a * v : v);
    case CLIP: EACH(v < a ? a : v > b ? b : v);
    case SIGMOID: EACH(sigmoid(v));
    case HARD_SIGMOID: EACH(fminf(1, fmaxf(0, a * v + b)));
    case HARD_SWISH: EACH(v * fminf(1, fmaxf(0, v / 6 + 0.5f)));
    case TANH: EACH(tanhf(v));
    case ELU: EACH(v < 0 ? a * expm1f(v) : v);
    case SOFTPLUS: EACH(softplus(v));
    case EXP: EACH(expf(v));
    case SQRT: EACH(sqrtf(v));
    case ABS: EACH(fabsf(v));
    case NEG: EACH(-v);
    case FLOOR: EACH(floorf(v));
    case CEIL: EACH(ceilf(v));
    case ROUND: EACH(rintf(v)); /* halves to even */
    case THRESHOLDED_RELU: EACH(v > a ? v : 0);
    case SELU: EACH(b * (v < 0 ? a * expm1f(v) : v));
    case CELU: EACH(v < 0 ? a * expm1f(v / a) : v);
    case SOFTSIGN: EACH(v / (1 + fabsf(v)));
    case MISH: EACH(v * tanhf(softplus(v)));
    case GELU: EACH(v * normal_below(v));
    case GELU_TANH: EACH(0.5f * v * (1 + tanhf(gelu_inner(v))));
    case ERF: EACH(erff(v));
    case LOG: EACH(logf(v));
    case RECIPROCAL: EACH(1 / v);
    case SIN: EACH(sinf(v));
    case COS: EACH(cosf(v));
    case SIGN: EACH(v < 0 ? -1.0f : v > 0 ? 1.0f : 0.0f);
    }
    return PARE_OK;
}

/* Two loops: a load of d that may not happen would keep the compiler from vectors. */
#define BACK_LOOP(sign, expression)                                                                \
    _Pragma("omp parallel for schedule(static) if (n > 16384)") for (int64_t i = 0; i < n; i++)    \
    {                                                                                              \
        const float v = x[i];                                                                      \
        (void)v;                                                                                   \
        d[i] sign g[i] * (expression);                                                             \
    }

#define BACK(expression)                                                                           \
    if (is_fresh)                                                                                  \
        BACK_LOOP(=, expression)                                                                   \
    else                                                                                           \
        BACK_LOOP(+=, expression)                                                                  \
    break

PRI_CLONES static void relu_back(const float *y, const float *g, float *d, int64_t n, bool is_fresh)
{
    if (is_fresh) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            const float slope = g[i];
            d[i] = y[i] > 0 ? slope : 0;
        }
        return;
    }
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        const float slope = g[i];
        d[i] += y[i] > 0 ? slope : 0;
    }
}

/* The commonest of all, and the one that compilers do not vectorise as a product. */
static void run_relu_back(const float *y, const float *g, float *d, int64_t n, bool is_fresh)
{
    enum { PIECE = 16384 };

#pragma omp parallel for schedule(static) if (n > PIECE)
    for (int64_t at = 0; at < n; at += PIECE)
        relu_back(y + at, g + at, d + at, pri_min_i64(PIECE, n - at), is_fresh);
}

/* Relu, Clip, Sigmoid, Tanh and Exp know their slope from what they gave (v is then the output), so
 * that the input need not be kept. */
static bool reads_output(const pri_op *op)
{
    return (op->backward_reads & PRI_READS_OUT0) != 0;
}

static pare_status backward(pri_call *call)
{
    const unary_params *p = call->params;
    const int64_t n = pri_shape_count(&call->in[0].shape);
    const float *x = reads_output(call->op) ? call->out[0].data : call->in[0].data;
    const float *g = call->grad_out[0];
    const bool is_fresh = pri_is_fresh(call, 0);
    float *d = call->grad_in[0], a, b;

    if (g == NULL || d == NULL)
        return PARE_OK;
    bounds(call, &a, &b);
    switch (p->kind) {
    case RELU: run_relu_back(x, g, d, n, is_fresh); break;
    case LEAKY_RELU: BACK(v < 0 ? a : 1.0f);
    case CLIP: BACK(v > a && v < b ? 1.0f : 0.0f);
    case SIGMOID: BACK(v * (1 - v));
    case HARD_SIGMOID: BACK(a * v + b > 0 && a * v + b < 1 ? a : 0.0f);
    case HARD_SWISH: BACK(v <= -3 ? 0.0f : v >= 3 ? 1.0f : v / 3 + 0.5f);
    case TANH: BACK(1 - v * v);
    case ELU: BACK(v < 0 ? a * expf(v) : 1.0f);
    case SOFTPLUS: BACK(sigmoid(v));
    case EXP: BACK(v);
    case SQRT: BACK(0.5f / sqrtf(v));
    case ABS: BACK(v < 0 ? -1.0f : 1.0f);
    case THRESHOLDED_RELU: BACK(v > a ? 1.0f : 0.0f);
    case SELU: BACK(v < 0 ? a * b * expf(v) : b);
    case CELU: BACK(v < 0 ? expf(v / a) : 1.0f);
    case SOFTSIGN: BACK(1 / ((1 + fabsf(v)) * (1 + fabsf(v))));
    case MISH: BACK(mish_slope(v));
    case GELU: BACK(normal_below(v) + v * 0.39894228f * expf(-0.5f * v * v));
    case GELU_TANH: BACK(gelu_tanh_slope(v));
    case ERF: BACK(1.12837917f * expf(-v * v));
    case LOG: BACK(1 / v);
    case RECIPROCAL: BACK(-1 / (v * v));
    case SIN: BACK(cosf(v));
    case COS: BACK(-sinf(v));
    case NEG: BACK(-1.0f);
    case SIGN:
    case FLOOR:
    case CEIL:
    case ROUND: /* flat almost everywhere */
        if (is_fresh)
            memset(d, 0, (size_t)n * sizeof *d);
        break;
    }
    return PARE_OK;
}

static bool as_activation(const pri_call *call, pri_activation *out)
{
    const unary_params *p = call->params;
    pri_activation found = {PRI_ACT_NONE, 0, 0};

    for (int k = 1; k < call->n_in; k++) {
        if (call->in[k].present && call->in[k].constant == NULL)
            return false;
    }
    bounds(call, &found.alpha, &found.beta);
    switch (p->kind) {
    case RELU: found = (pri_activation){PRI_ACT_RELU, 0, 0}; break;
    case LEAKY_RELU: found.kind = PRI_ACT_RELU; break;
    case CLIP: found.kind = PRI_ACT_CLIP; break;
    case SIGMOID: found.kind = PRI_ACT_SIGMOID; break;
    case TANH: found.kind = PRI_ACT_TANH; break;
    case HARD_SWISH: found.kind = PRI_ACT_HARDSWISH; break;
    default: return false;
    }
    if (out != NULL)
        *out = found;
    return true;
}

#define UNARY(symbol, text, words, most_inputs, reads)                                             \
    const pri_op symbol = {.name = text,                                                           \
                           .summary = words,                                                       \
                           .min_opset = 1,                                                         \
                           .max_opset = 21,                                                        \
                           .min_in = 1,                                                            \
                           .max_in = most_inputs,                                                  \
                           .n_out = 1,                                                             \
                           .params_size = sizeof(unary_params),                                    \
                           .layouts = PRI_LAYOUTS_PREPARE,                                         \
                           .is_in_place = true,                                                    \
                           .writes_gradients = true,                                               \
                           .is_in_place_back = true,                                               \
                           .backward_reads = reads,                                                \
                           .parse = parse,                                                         \
                           .infer = infer,                                                         \
                           .prepare = prepare,                                                     \
                           .forward = forward,                                                     \
                           .backward = backward,                                                   \
                           .couple = pri_couple_same,                                              \
                           .as_activation = as_activation}

UNARY(pri_op_relu, "Relu", "max(0, x)", 1, PRI_READS_OUT0);
UNARY(pri_op_leaky_relu, "LeakyRelu", "x or alpha x below zero", 1, PRI_READS_IN0);
UNARY(pri_op_clip, "Clip", "min(max(x, low), high)", 3, PRI_READS_OUT0);
UNARY(pri_op_sigmoid, "Sigmoid", "logistic function", 1, PRI_READS_OUT0);
UNARY(pri_op_hard_sigmoid, "HardSigmoid", "clipped line", 1, PRI_READS_IN0);
UNARY(pri_op_hard_swish, "HardSwish", "x times a clipped line", 1, PRI_READS_IN0);
UNARY(pri_op_tanh, "Tanh", "hyperbolic tangent", 1, PRI_READS_OUT0);
UNARY(pri_op_elu, "Elu", "exponential linear unit", 1, PRI_READS_IN0);
UNARY(pri_op_softplus, "Softplus", "log(1 + exp(x))", 1, PRI_READS_IN0);
UNARY(pri_op_exp, "Exp", "exponential", 1, PRI_READS_OUT0);
UNARY(pri_op_sqrt, "Sqrt", "square root", 1, PRI_READS_IN0);
UNARY(pri_op_abs, "Abs", "absolute value", 1, PRI_READS_IN0);
UNARY(pri_op_neg, "Neg", "minus x", 1, PRI_READS_IN0);
UNARY(pri_op_floor, "Floor", "round down", 1, PRI_READS_IN0);
UNARY(pri_op_ceil, "Ceil", "round up", 1, PRI_READS_IN0);
UNARY(pri_op_round, "Round", "round to nearest, halves to even", 1, PRI_READS_IN0);
UNARY(pri_op_thresholded_relu, "ThresholdedRelu", "x above alpha, else 0", 1, PRI_READS_IN0);
UNARY(pri_op_selu, "Selu", "scaled exponential linear unit", 1, PRI_READS_IN0);
UNARY(pri_op_celu, "Celu", "continuously differentiable Elu", 1, PRI_READS_IN0);
UNARY(pri_op_softsign, "Softsign", "x / (1 + |x|)", 1, PRI_READS_IN0);
UNARY(pri_op_mish, "Mish", "x tanh(softplus(x))", 1, PRI_READS_IN0);
UNARY(pri_op_gelu, "Gelu", "x times the normal distribution function", 1, PRI_READS_IN0);
UNARY(pri_op_erf, "Erf", "error function", 1, PRI_READS_IN0);
UNARY(pri_op_log, "Log", "natural logarithm", 1, PRI_READS_IN0);
UNARY(pri_op_reciprocal, "Reciprocal", "1 / x", 1, PRI_READS_IN0);
UNARY(pri_op_sin, "Sin", "sine", 1, PRI_READS_IN0);
UNARY(pri_op_cos, "Cos", "cosine", 1, PRI_READS_IN0);
UNARY(pri_op_sign, "Sign", "-1, 0 or 1", 1, PRI_READS_IN0);
