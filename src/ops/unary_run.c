/* SPDX-License-Identifier: Apache-2.0 */
/* unary_run.c - the loops of operators of one input, and their slopes. */
#include "ops/unary.h"

#include <math.h>
#include <string.h>

#include "base/vector_math.h"
#include "kernels/narrow.h"
#include "ops/elements.h"
#include "ops/op_support.h"

enum { PIECE = 16384 }; /* elements for one thread at a time */

/* Bounds of Clip come as inputs since opset 11. */
void pri_unary_bounds(const pri_call *call, float *low, float *high)
{
    const pri_unary_params *p = call->params;
    const pri_operand *min = pri_in(call, 1), *max = pri_in(call, 2);

    *low = p->alpha;
    *high = p->beta;
    if (p->kind == PRI_UNARY_CLIP && min != NULL && min->data != NULL)
        *low = (float)pri_get_number(min, 0);
    if (p->kind == PRI_UNARY_CLIP && max != NULL && max->data != NULL)
        *high = (float)pri_get_number(max, 0);
    if (p->kind == PRI_UNARY_CLIP && *low > *high) /* the upper bound counts */
        *low = *high;
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

    return t + x * (1 - t * t) * pri_sigmoid(x);
}

static inline float gelu_tanh_slope(float x)
{
    const float t = tanhf(gelu_inner(x));

    return 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * 0.79788456f * (1 + 0.134145f * x * x);
}

#define EACH(expression)                                                                           \
    PRI_SIMD for (int64_t i = 0; i < n; i++)                                                       \
    {                                                                                              \
        const float v = x[i];                                                                      \
        y[i] = (expression);                                                                       \
    }                                                                                              \
    break

PRI_CLONES static void run_piece(pri_unary_kind kind, int64_t n, const float *x, float *y, float a,
                                 float b)
{
    switch (kind) {
    case PRI_UNARY_RELU: EACH(v < 0 ? 0 : v);
    case PRI_UNARY_LEAKY_RELU: EACH(v < 0 ? a * v : v);
    case PRI_UNARY_CLIP: EACH(v < a ? a : v > b ? b : v);
    case PRI_UNARY_SIGMOID: EACH(pri_sigmoid(v));
    case PRI_UNARY_HARD_SIGMOID: EACH(fminf(1, fmaxf(0, a * v + b)));
    case PRI_UNARY_HARD_SWISH: EACH(v * fminf(1, fmaxf(0, v / 6 + 0.5f)));
    case PRI_UNARY_TANH: EACH(pri_tanh(v));
    case PRI_UNARY_ELU: EACH(v < 0 ? a * expm1f(v) : v);
    case PRI_UNARY_SOFTPLUS: EACH(softplus(v));
    case PRI_UNARY_EXP: EACH(pri_exp(v));
    case PRI_UNARY_SQRT: EACH(sqrtf(v));
    case PRI_UNARY_ABS: EACH(fabsf(v));
    case PRI_UNARY_NEG: EACH(-v);
    case PRI_UNARY_FLOOR: EACH(floorf(v));
    case PRI_UNARY_CEIL: EACH(ceilf(v));
    case PRI_UNARY_ROUND: EACH(rintf(v)); /* halves to even */
    case PRI_UNARY_THRESHOLDED_RELU: EACH(v > a ? v : 0);
    case PRI_UNARY_SELU: EACH(b * (v < 0 ? a * expm1f(v) : v));
    case PRI_UNARY_CELU: EACH(v < 0 ? a * expm1f(v / a) : v);
    case PRI_UNARY_SOFTSIGN: EACH(v / (1 + fabsf(v)));
    case PRI_UNARY_MISH: EACH(v * pri_tanh(softplus(v)));
    case PRI_UNARY_GELU: EACH(v * normal_below(v));
    case PRI_UNARY_GELU_TANH: EACH(0.5f * v * (1 + pri_tanh(gelu_inner(v))));
    case PRI_UNARY_ERF: EACH(erff(v));
    case PRI_UNARY_LOG: EACH(logf(v));
    case PRI_UNARY_RECIPROCAL: EACH(1 / v);
    case PRI_UNARY_SIN: EACH(sinf(v));
    case PRI_UNARY_COS: EACH(cosf(v));
    case PRI_UNARY_SIGN: EACH(v < 0 ? -1.0f : v > 0 ? 1.0f : 0.0f);
    }
}

static void run_floats(pri_unary_kind kind, int64_t n, const float *x, float *y, float a, float b)
{
#pragma omp parallel for schedule(static) if (n > PIECE)
    for (int64_t at = 0; at < n; at += PIECE)
        run_piece(kind, pri_min_i64(PIECE, n - at), x + at, y + at, a, b);
}

/* Where one side or both are bfloat16. */
static void run_narrow(const pri_call *call, pri_unary_kind kind, int64_t n, float a, float b)
{
    const pri_operand *x = &call->in[0], *y = &call->out[0];

#pragma omp parallel for schedule(static) if (n > PIECE)
    for (int64_t at = 0; at < n; at += PRI_NARROW_PIECE) {
        const int64_t count = pri_min_i64(PRI_NARROW_PIECE, n - at);
        float room[2][PRI_NARROW_PIECE];
        float *to = pri_floats_for(y->data, y->dtype, at, room[1]);
        run_piece(kind, count, pri_floats_at(x->data, x->dtype, at, count, room[0]), to, a, b);
        pri_floats_put(y->data, y->dtype, at, count, to);
    }
}

/* --- Other types --- */

static int64_t integer(pri_unary_kind kind, int64_t v, int64_t low, int64_t high)
{
    switch (kind) {
    case PRI_UNARY_RELU: return v < 0 ? 0 : v;
    case PRI_UNARY_CLIP: return v < low ? pri_min_i64(low, high) : v > high ? high : v;
    case PRI_UNARY_ABS: return v < 0 ? (int64_t)(0 - (uint64_t)v) : v;
    case PRI_UNARY_SIGN: return (v > 0) - (v < 0);
    default: return (int64_t)(0 - (uint64_t)v);
    }
}

static void run_integers(const pri_call *call, pri_unary_kind kind, int64_t n)
{
    const pri_operand *min = pri_in(call, 1), *max = pri_in(call, 2);
    const int64_t low = min != NULL ? pri_get_integer(min, 0) : INT64_MIN;
    const int64_t high = max != NULL ? pri_get_integer(max, 0) : INT64_MAX;

    for (int64_t i = 0; i < n; i++)
        pri_set_integer(&call->out[0], i,
                        integer(kind, pri_get_integer(&call->in[0], i), low, high));
}

pare_status pri_unary_forward(pri_call *call)
{
    const pri_unary_params *p = call->params;
    const int64_t n = pri_shape_count(&call->in[0].shape);
    float a, b;

    if (pri_is_integer(call->in[0].dtype)) {
        run_integers(call, p->kind, n);
        return PARE_OK;
    }
    pri_unary_bounds(call, &a, &b);
    if (call->in[0].dtype == PRI_F32 && call->out[0].dtype == PRI_F32) {
        run_floats(p->kind, n, call->in[0].data, call->out[0].data, a, b);
        return PARE_OK;
    }
    if (call->in[0].dtype == PRI_F32 || call->in[0].dtype == PRI_BF16) {
        run_narrow(call, p->kind, n, a, b);
        return PARE_OK;
    }
    for (int64_t i = 0; i < n; i++) {
        const float x = (float)pri_get_number(&call->in[0], i);
        float y;
        run_floats(p->kind, 1, &x, &y, a, b);
        pri_set_number(&call->out[0], i, y);
    }
    return PARE_OK;
}

/* Two loops: a load of d that may not happen would keep the compiler from vectors. */
#define BACK_LOOP(sign, expression)                                                                \
    PRI_SIMD for (int64_t i = 0; i < n; i++)                                                       \
    {                                                                                              \
        const float v = x[i], slope = g[i];                                                        \
        (void)v;                                                                                   \
        d[i] sign(expression);                                                                     \
    }

#define EITHER(expression)                                                                         \
    if (is_fresh)                                                                                  \
        BACK_LOOP(=, expression)                                                                   \
    else                                                                                           \
        BACK_LOOP(+=, expression)                                                                  \
    break

#define BACK(expression) EITHER(slope *(expression))
/* Slopes of 1 and 0, which are not multiplied: what was cut off may be infinite. */
#define CHOOSE(condition) EITHER((condition) ? slope : 0)

PRI_CLONES static void back_piece(pri_unary_kind kind, int64_t n, const float *x, const float *g,
                                  float *d, float a, float b, bool is_fresh)
{
    switch (kind) {
    case PRI_UNARY_RELU: CHOOSE(v > 0);
    case PRI_UNARY_LEAKY_RELU: BACK(v < 0 ? a : 1.0f);
    case PRI_UNARY_CLIP: CHOOSE((v > a) & (v < b));
    case PRI_UNARY_SIGMOID: BACK(v * (1 - v));
    case PRI_UNARY_HARD_SIGMOID: BACK(((a * v + b > 0) & (a * v + b < 1)) ? a : 0.0f);
    case PRI_UNARY_HARD_SWISH: BACK(v <= -3 ? 0.0f : v >= 3 ? 1.0f : v / 3 + 0.5f);
    case PRI_UNARY_TANH: BACK(1 - v * v);
    case PRI_UNARY_ELU: BACK(v < 0 ? a * pri_exp(v) : 1.0f);
    case PRI_UNARY_SOFTPLUS: BACK(pri_sigmoid(v));
    case PRI_UNARY_EXP: BACK(v);
    case PRI_UNARY_SQRT: BACK(0.5f / sqrtf(v));
    case PRI_UNARY_ABS: BACK(v < 0 ? -1.0f : 1.0f);
    case PRI_UNARY_THRESHOLDED_RELU: CHOOSE(v > a);
    case PRI_UNARY_SELU: BACK(v < 0 ? a * b * pri_exp(v) : b);
    case PRI_UNARY_CELU: BACK(v < 0 ? pri_exp(v / a) : 1.0f);
    case PRI_UNARY_SOFTSIGN: BACK(1 / ((1 + fabsf(v)) * (1 + fabsf(v))));
    case PRI_UNARY_MISH: BACK(mish_slope(v));
    case PRI_UNARY_GELU: BACK(normal_below(v) + v * 0.39894228f * pri_exp(-0.5f * v * v));
    case PRI_UNARY_GELU_TANH: BACK(gelu_tanh_slope(v));
    case PRI_UNARY_ERF: BACK(1.12837917f * pri_exp(-v * v));
    case PRI_UNARY_LOG: BACK(1 / v);
    case PRI_UNARY_RECIPROCAL: BACK(-1 / (v * v));
    case PRI_UNARY_SIN: BACK(cosf(v));
    case PRI_UNARY_COS: BACK(-sinf(v));
    case PRI_UNARY_NEG: BACK(-1.0f);
    case PRI_UNARY_SIGN:
    case PRI_UNARY_FLOOR:
    case PRI_UNARY_CEIL:
    case PRI_UNARY_ROUND: /* flat almost everywhere */
        if (is_fresh)
            memset(d, 0, (size_t)n * sizeof *d);
        break;
    }
}

/* Relu, Clip, Sigmoid, Tanh and Exp know their slope from what they gave (v is then the output), so
 * that the input need not be kept. */
static bool reads_output(const pri_op *op)
{
    return (op->backward_reads & PRI_READS_OUT0) != 0;
}

/* Elements at .. at+n-1 where one side or both are bfloat16. */
static void back_narrow(const pri_call *call, int64_t at, int64_t n, float a, float b,
                        bool is_fresh)
{
    const pri_operand *kept = reads_output(call->op) ? &call->out[0] : &call->in[0];
    const pri_dtype d_type = call->in[0].dtype, g_type = call->out[0].dtype;
    const pri_unary_params *p = call->params;
    float room[3][PRI_NARROW_PIECE];
    float *d = pri_floats_for(call->grad_in[0], d_type, at, room[0]);

    if (!is_fresh)
        (void)pri_floats_at(call->grad_in[0], d_type, at, n, room[0]);
    if (p->kind == PRI_UNARY_CLIP && kept->dtype == PRI_BF16) {
        /* what was cut off lies on the bounds as they were stored */
        a = pri_bf16_to_f32(pri_f32_to_bf16(a));
        b = pri_bf16_to_f32(pri_f32_to_bf16(b));
    }
    back_piece(p->kind, n, pri_floats_at(kept->data, kept->dtype, at, n, room[1]),
               pri_floats_at(call->grad_out[0], g_type, at, n, room[2]), d, a, b, is_fresh);
    pri_floats_put(call->grad_in[0], d_type, at, n, d);
}

pare_status pri_unary_backward(pri_call *call)
{
    const pri_unary_params *p = call->params;
    const int64_t n = pri_shape_count(&call->in[0].shape);
    const float *x = reads_output(call->op) ? call->out[0].data : call->in[0].data;
    const float *g = call->grad_out[0];
    const bool is_fresh = pri_is_fresh(call, 0);
    const bool is_float = call->in[0].dtype == PRI_F32 && call->out[0].dtype == PRI_F32;
    const int64_t piece = is_float ? PIECE : PRI_NARROW_PIECE;
    float *d = call->grad_in[0], a, b;

    if (g == NULL || d == NULL)
        return PARE_OK;
    pri_unary_bounds(call, &a, &b);
#pragma omp parallel for schedule(static) if (n > PIECE)
    for (int64_t at = 0; at < n; at += piece) {
        const int64_t count = pri_min_i64(piece, n - at);
        if (is_float)
            back_piece(p->kind, count, x + at, g + at, d + at, a, b, is_fresh);
        else
            back_narrow(call, at, count, a, b, is_fresh);
    }
    return PARE_OK;
}

bool pri_unary_takes_bf16(const pri_call *call, int slot)
{
    (void)call;
    return slot == 0 || slot == PRI_OUT(0);
}
