/* SPDX-License-Identifier: Apache-2.0 */
/* unary.h - operators that work element by element on one input: kinds, and their loops. */
#ifndef PRI_UNARY_H
#define PRI_UNARY_H

#include "ops/op.h"

typedef enum pri_unary_kind {
    PRI_UNARY_RELU,
    PRI_UNARY_LEAKY_RELU,
    PRI_UNARY_THRESHOLDED_RELU,
    PRI_UNARY_CLIP,
    PRI_UNARY_SIGMOID,
    PRI_UNARY_HARD_SIGMOID,
    PRI_UNARY_HARD_SWISH,
    PRI_UNARY_TANH,
    PRI_UNARY_ELU,
    PRI_UNARY_SELU,
    PRI_UNARY_CELU,
    PRI_UNARY_SOFTPLUS,
    PRI_UNARY_SOFTSIGN,
    PRI_UNARY_MISH,
    PRI_UNARY_GELU,
    PRI_UNARY_GELU_TANH,
    PRI_UNARY_ERF,
    PRI_UNARY_EXP,
    PRI_UNARY_LOG,
    PRI_UNARY_SQRT,
    PRI_UNARY_RECIPROCAL,
    PRI_UNARY_SIN,
    PRI_UNARY_COS,
    PRI_UNARY_ABS,
    PRI_UNARY_NEG,
    PRI_UNARY_SIGN,
    PRI_UNARY_FLOOR,
    PRI_UNARY_CEIL,
    PRI_UNARY_ROUND
} pri_unary_kind;

typedef struct pri_unary_params {
    pri_unary_kind kind;
    float alpha, beta;
} pri_unary_params;

/* Bounds of Clip (inputs since opset 11), alpha and beta of the others. */
void pri_unary_bounds(const pri_call *call, float *low, float *high);
pare_status pri_unary_forward(pri_call *call);
pare_status pri_unary_backward(pri_call *call);
bool pri_unary_takes_bf16(const pri_call *call, int slot);

#endif
