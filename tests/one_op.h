/* SPDX-License-Identifier: Apache-2.0 */
/* one_op.h - a model of one operator, stated in a line of gradient_cases.def. */
#ifndef TEST_ONE_OP_H
#define TEST_ONE_OP_H

#include "build.h"
#include "engine/engine.h"

/*
 * Inputs, separated by blanks: x2x3 activation, w5x3 weight, c5 positive constant that has no
 * gradient, i1,2 int64 constant (i2x1:1,2 of that shape), f0.5,2 float constant, = the activation
 * before once more, b3 bool constant, - none. Hints: + positive inputs, 1 one is added, s half as
 * large, d all elements distinct (of up to three inputs), L four times as large, t training, p
 * plain layout only, 2..9 outputs.
 */
typedef struct one_op_case {
    const char *op;
    int opset;
    const char *inputs, *attributes, *hints;
} one_op_case;

enum { ONE_OP_INPUTS = 8, ONE_OP_OUTPUTS = 9 };

typedef struct one_op {
    pare_context *ctx;
    const one_op_case *it;
    bool wraps; /* identity convolutions before it, which bring channels-last */
    /* Activations kept in bfloat16: with wraps, convolutions over all channels, which take it ...
     */
    bool is_dense;
    pri_shape behind; /* ... and one behind output 0, if its shape is stated */
    /* activations (bits) that something else reads that takes only floats: the first and the third
     * after the operator, the others before it */
    unsigned wide;
    bool is_narrow; /* the engine keeps activations in bfloat16 */
    pare_model *model;
    pri_engine *engine;
    pri_value *activations[ONE_OP_INPUTS], *read[ONE_OP_INPUTS], *weights[ONE_OP_INPUTS];
    int n_activations, n_weights;
} one_op;

bool one_op_has(const one_op *p, char hint);
/* Builds the model and an engine with gradients, and fills the inputs. */
void one_op_start(one_op *p, bool plain);

#endif
