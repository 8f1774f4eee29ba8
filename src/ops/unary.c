/* SPDX-License-Identifier: Apache-2.0 */
/* unary.c - operators that work element by element on one input. */
#include <math.h>
#include <string.h>

#include "ops/elements.h"
#include "ops/op_support.h"
#include "ops/unary.h"

static pare_status parse(const pri_node *node, int opset, void *params, pri_arena *arena,
                         pare_context *ctx)
{
    static const struct {
        const char *name;
        pri_unary_kind kind;
        float alpha, beta;
    } table[] = {{"Relu", PRI_UNARY_RELU, 0, 0},
                 {"LeakyRelu", PRI_UNARY_LEAKY_RELU, 0.01f, 0},
                 {"Clip", PRI_UNARY_CLIP, -INFINITY, INFINITY},
                 {"Sigmoid", PRI_UNARY_SIGMOID, 0, 0},
                 {"HardSigmoid", PRI_UNARY_HARD_SIGMOID, 0.2f, 0.5f},
                 {"HardSwish", PRI_UNARY_HARD_SWISH, 0, 0},
                 {"Tanh", PRI_UNARY_TANH, 0, 0},
                 {"Elu", PRI_UNARY_ELU, 1, 0},
                 {"Softplus", PRI_UNARY_SOFTPLUS, 0, 0},
                 {"Exp", PRI_UNARY_EXP, 0, 0},
                 {"Sqrt", PRI_UNARY_SQRT, 0, 0},
                 {"Abs", PRI_UNARY_ABS, 0, 0},
                 {"Neg", PRI_UNARY_NEG, 0, 0},
                 {"Floor", PRI_UNARY_FLOOR, 0, 0},
                 {"Ceil", PRI_UNARY_CEIL, 0, 0},
                 {"Round", PRI_UNARY_ROUND, 0, 0},
                 {"ThresholdedRelu", PRI_UNARY_THRESHOLDED_RELU, 1, 0},
                 {"Selu", PRI_UNARY_SELU, 1.67326319f, 1.05070102f},
                 {"Celu", PRI_UNARY_CELU, 1, 0},
                 {"Softsign", PRI_UNARY_SOFTSIGN, 0, 0},
                 {"Mish", PRI_UNARY_MISH, 0, 0},
                 {"Gelu", PRI_UNARY_GELU, 0, 0},
                 {"Erf", PRI_UNARY_ERF, 0, 0},
                 {"Log", PRI_UNARY_LOG, 0, 0},
                 {"Reciprocal", PRI_UNARY_RECIPROCAL, 0, 0},
                 {"Sin", PRI_UNARY_SIN, 0, 0},
                 {"Cos", PRI_UNARY_COS, 0, 0},
                 {"Sign", PRI_UNARY_SIGN, 0, 0}};
    pri_unary_params *p = params;

    (void)opset;
    (void)arena;
    for (size_t i = 0; i < PRI_COUNT(table); i++) {
        if (strcmp(node->op_type, table[i].name) != 0)
            continue;
        p->kind = table[i].kind;
        p->alpha =
            pri_node_attr_float(node, p->kind == PRI_UNARY_CLIP ? "min" : "alpha", table[i].alpha);
        p->beta = pri_node_attr_float(node,
                                      p->kind == PRI_UNARY_CLIP   ? "max"
                                      : p->kind == PRI_UNARY_SELU ? "gamma"
                                                                  : "beta",
                                      table[i].beta);
        if (p->kind == PRI_UNARY_GELU &&
            strcmp(pri_node_attr_string(node, "approximate", "none"), "tanh") == 0)
            p->kind = PRI_UNARY_GELU_TANH;
        return PARE_OK;
    }
    return pri_parse_fail(ctx, node, "is no operator of one input");
}

static bool knows_integers(pri_unary_kind kind)
{
    return kind == PRI_UNARY_RELU || kind == PRI_UNARY_CLIP || kind == PRI_UNARY_ABS ||
           kind == PRI_UNARY_NEG || kind == PRI_UNARY_SIGN;
}

static pare_status infer(pri_call *call)
{
    const pri_unary_params *p = call->params;
    const pri_dtype dtype = call->in[0].dtype;
    if (!pri_is_float(dtype) && !(pri_is_integer(dtype) && knows_integers(p->kind)))
        return pri_op_fail(call, PARE_ERROR_UNSUPPORTED, "the input is %s", pri_dtype_name(dtype));
    for (int k = 1; k < call->n_in; k++) {
        if (call->in[k].present && call->in[k].dtype != dtype)
            return pri_op_fail(call, PARE_ERROR_UNSUPPORTED, "bound %d is %s, the input %s", k,
                               pri_dtype_name(call->in[k].dtype), pri_dtype_name(dtype));
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

static bool as_activation(const pri_call *call, pri_activation *out)
{
    const pri_unary_params *p = call->params;
    pri_activation found = {PRI_ACT_NONE, 0, 0};

    for (int k = 1; k < call->n_in; k++) {
        if (call->in[k].present && call->in[k].constant == NULL)
            return false;
    }
    pri_unary_bounds(call, &found.alpha, &found.beta);
    switch (p->kind) {
    case PRI_UNARY_RELU: found = (pri_activation){PRI_ACT_RELU, 0, 0}; break;
    case PRI_UNARY_LEAKY_RELU: found.kind = PRI_ACT_RELU; break;
    case PRI_UNARY_CLIP: found.kind = PRI_ACT_CLIP; break;
    case PRI_UNARY_SIGMOID: found.kind = PRI_ACT_SIGMOID; break;
    case PRI_UNARY_TANH: found.kind = PRI_ACT_TANH; break;
    case PRI_UNARY_HARD_SWISH: found.kind = PRI_ACT_HARDSWISH; break;
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
                           .params_size = sizeof(pri_unary_params),                                \
                           .layouts = PRI_LAYOUTS_PREPARE,                                         \
                           .is_in_place = true,                                                    \
                           .writes_gradients = true,                                               \
                           .is_in_place_back = true,                                               \
                           .backward_reads = reads,                                                \
                           .parse = parse,                                                         \
                           .infer = infer,                                                         \
                           .prepare = prepare,                                                     \
                           .forward = pri_unary_forward,                                           \
                           .backward = pri_unary_backward,                                         \
                           .takes_bf16 = pri_unary_takes_bf16,                                     \
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
