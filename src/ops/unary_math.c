/* SPDX-License-Identifier: Apache-2.0 */
/* unary_math.c - functions of one number that networks seldom use, worked out in double. */
#include <math.h>
#include <string.h>

#include "ops/elements.h"
#include "ops/op_support.h"

typedef struct math_params {
    double (*value)(double v);
    double (*slope)(double v);
    double lambda, bias; /* Shrink */
} math_params;

static double slope_tan(double v)
{
    return 1 + tan(v) * tan(v);
}
static double slope_asin(double v)
{
    return 1 / sqrt(1 - v * v);
}
static double slope_acos(double v)
{
    return -1 / sqrt(1 - v * v);
}
static double slope_atan(double v)
{
    return 1 / (1 + v * v);
}
static double slope_tanh_inverse(double v)
{
    return 1 / (1 - v * v);
}
static double slope_sinh_inverse(double v)
{
    return 1 / sqrt(v * v + 1);
}
static double slope_cosh_inverse(double v)
{
    return 1 / sqrt(v * v - 1);
}

static pare_status parse(const pri_node *node, int opset, void *params, pri_arena *arena,
                         pare_context *ctx)
{
    static const struct {
        const char *name;
        double (*value)(double v);
        double (*slope)(double v);
    } table[] = {{"Tan", tan, slope_tan},
                 {"Asin", asin, slope_asin},
                 {"Acos", acos, slope_acos},
                 {"Atan", atan, slope_atan},
                 {"Sinh", sinh, cosh},
                 {"Cosh", cosh, sinh},
                 {"Asinh", asinh, slope_sinh_inverse},
                 {"Acosh", acosh, slope_cosh_inverse},
                 {"Atanh", atanh, slope_tanh_inverse},
                 {"Shrink", NULL, NULL}};
    math_params *p = params;

    (void)opset;
    (void)arena;
    p->lambda = pri_node_attr_float(node, "lambd", 0.5f);
    p->bias = pri_node_attr_float(node, "bias", 0);
    for (size_t i = 0; i < PRI_COUNT(table); i++) {
        if (strcmp(node->op_type, table[i].name) != 0)
            continue;
        p->value = table[i].value;
        p->slope = table[i].slope;
        return PARE_OK;
    }
    return pri_parse_fail(ctx, node, "is no function of one number");
}

static pare_status infer(pri_call *call)
{
    if (!pri_is_number(call->in[0].dtype))
        return pri_op_fail(call, PARE_ERROR_UNSUPPORTED, "the input is %s",
                           pri_dtype_name(call->in[0].dtype));
    return pri_infer_same(call);
}

static double value_of(const math_params *p, double v)
{
    if (p->value != NULL)
        return p->value(v);
    return v < -p->lambda ? v + p->bias : v > p->lambda ? v - p->bias : 0;
}

static double slope_of(const math_params *p, double v)
{
    if (p->slope != NULL)
        return p->slope(v);
    return v < -p->lambda || v > p->lambda;
}

static pare_status forward(pri_call *call)
{
    const math_params *p = call->params;
    const int64_t n = pri_shape_count(&call->in[0].shape);

    for (int64_t i = 0; i < n; i++)
        pri_set_number(&call->out[0], i, value_of(p, pri_get_number(&call->in[0], i)));
    return PARE_OK;
}

static pare_status backward(pri_call *call)
{
    const math_params *p = call->params;
    const int64_t n = pri_shape_count(&call->in[0].shape);
    const float *x = call->in[0].data, *g = call->grad_out[0];

    for (int64_t i = 0; i < n && g != NULL && call->grad_in[0] != NULL; i++)
        call->grad_in[0][i] += (float)(g[i] * slope_of(p, x[i]));
    return PARE_OK;
}

#define MATH(symbol, text, words, first)                                                           \
    const pri_op symbol = {.name = text,                                                           \
                           .summary = words,                                                       \
                           .min_opset = first,                                                     \
                           .max_opset = 21,                                                        \
                           .min_in = 1,                                                            \
                           .max_in = 1,                                                            \
                           .n_out = 1,                                                             \
                           .params_size = sizeof(math_params),                                     \
                           .layouts = PRI_LAYOUTS_SAME,                                            \
                           .backward_reads = PRI_READS_IN0,                                        \
                           .parse = parse,                                                         \
                           .infer = infer,                                                         \
                           .forward = forward,                                                     \
                           .backward = backward,                                                   \
                           .couple = pri_couple_same}

MATH(pri_op_tan, "Tan", "tangent", 7);
MATH(pri_op_asin, "Asin", "inverse sine", 7);
MATH(pri_op_acos, "Acos", "inverse cosine", 7);
MATH(pri_op_atan, "Atan", "inverse tangent", 7);
MATH(pri_op_sinh, "Sinh", "hyperbolic sine", 9);
MATH(pri_op_cosh, "Cosh", "hyperbolic cosine", 9);
MATH(pri_op_asinh, "Asinh", "inverse hyperbolic sine", 9);
MATH(pri_op_acosh, "Acosh", "inverse hyperbolic cosine", 9);
MATH(pri_op_atanh, "Atanh", "inverse hyperbolic tangent", 9);
MATH(pri_op_shrink, "Shrink", "0 near 0, shifted elsewhere", 9);

/* --- IsNaN, IsInf --- */

static pare_status is_infer(pri_call *call)
{
    if (!pri_is_float(call->in[0].dtype))
        return pri_op_fail(call, PARE_ERROR_UNSUPPORTED, "the input is %s, not a float",
                           pri_dtype_name(call->in[0].dtype));
    call->out[0].dtype = PRI_BOOL;
    call->out[0].shape = call->in[0].shape;
    return PARE_OK;
}

static pare_status is_forward(pri_call *call)
{
    const bool asks_nan = strcmp(call->op->name, "IsNaN") == 0;
    const bool positive = pri_node_attr_int(call->node, "detect_positive", 1) != 0;
    const bool negative = pri_node_attr_int(call->node, "detect_negative", 1) != 0;
    const int64_t n = pri_shape_count(&call->in[0].shape);
    unsigned char *y = call->out[0].data;

    for (int64_t i = 0; i < n; i++) {
        const double v = pri_get_number(&call->in[0], i);
        y[i] =
            asks_nan ? isnan(v) != 0 : (v == INFINITY && positive) || (v == -INFINITY && negative);
    }
    return PARE_OK;
}

#define ASKS(symbol, text, words, first)                                                           \
    const pri_op symbol = {.name = text,                                                           \
                           .summary = words,                                                       \
                           .min_opset = first,                                                     \
                           .max_opset = 21,                                                        \
                           .min_in = 1,                                                            \
                           .max_in = 1,                                                            \
                           .n_out = 1,                                                             \
                           .infer = is_infer,                                                      \
                           .forward = is_forward,                                                  \
                           .couple = pri_couple_same}

ASKS(pri_op_is_nan, "IsNaN", "whether elements are no numbers", 9);
ASKS(pri_op_is_inf, "IsInf", "whether elements are infinite", 10);
