/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine.h - runs a model forwards and backwards at fixed shapes.
 *
 * Making an engine plans everything: order, layouts, fused operators, one slab of
 * memory laid out by lifetimes. Running it allocates nothing. Weights are read in place
 * from the model (constant->data), so the model must outlive the engine; after
 * changing a weight call pri_engine_refresh. With `training`, a forward pass changes the
 * running statistics of the model: making the engine gives the model its own copies, and a
 * clone made while the engine lives would share what the engine writes.
 */
#ifndef PRI_ENGINE_H
#define PRI_ENGINE_H

#include "model/model.h"

typedef struct pri_engine pri_engine;

typedef struct pri_engine_options {
    int64_t batch;          /* first dimension of the inputs; 0 = declared, or 1 when open */
    bool training;          /* batch statistics in normalisation, dropout; of fusion only what
                               follows a normalisation: a sum, Relu, Clip */
    bool backward;          /* gradients will be asked for; no fusion */
    bool weight_gradients;  /* with backward: gradients of all float weights */
    pri_value *const *taps; /* values kept readable after forward ... */
    int n_taps;             /* ... and whose gradients are kept after backward */
    bool no_fusion;         /* every value of the graph is computed as itself */
    bool plain;             /* no channels-last, for tests */
    bool bf16;              /* convolutions multiply in bfloat16 (pri_precision_parse) */
    /* with bf16 and backward: activations between operators that take them (pri_op.takes_bf16) and
     * their gradients are bfloat16 too; inputs, outputs, taps, weights and their gradients stay
     * floats */
    bool bf16_activations;
    bool recompute; /* with backward: activations are dropped and computed again where that
                       lowers the memory; all results are the same to the bit */
    int segments;   /* of recompute: cut evenly into so many, for tests; 0: as is best */
    bool by_rule;   /* algorithms by the rule, whatever the context says: it runs few times */
    bool plan_only; /* takes no memory to run in: only what it would need can be asked */
} pri_engine_options;

/* "f32" (or NULL), "bf16", "auto": bfloat16 on processors that gain by it, so that a run goes on in
 * what it began in. PARE_ERROR_UNSUPPORTED for "bf16" on a processor without, PARE_ERROR_ARGUMENT
 * for other words. */
pare_status pri_precision_parse(bool *bf16, pare_context *ctx, const char *text);

pare_status pri_engine_new(pri_engine **out, pare_model *model, const pri_engine_options *options);
void pri_engine_free(pri_engine *engine); /* NULL is fine */

/* Lowers *batch to what keeps the activations of an engine with these options (their batch is of no
 * account) within `bytes`; it becomes the declared batch where the graph runs at no other. */
pare_status pri_batch_within(int64_t *batch, pare_model *model, pri_engine_options options,
                             double bytes);
int64_t pri_engine_batch(const pri_engine *engine);
/* Whether all outputs have the batch as first dimension: a graph that states its batch in a Reshape
 * may run at another one and fold images together. */
bool pri_engine_keeps_batch(const pri_engine *engine);
/* Where to write input k: plain float (or the input's type), shape as given. */
void *pri_engine_input(pri_engine *engine, int k);
pri_shape pri_engine_input_shape(const pri_engine *engine, int k);
/* Output k after forward: plain; borrowed until the next forward. */
const float *pri_engine_output(const pri_engine *engine, int k);
pri_shape pri_engine_output_shape(const pri_engine *engine, int k);
pri_dtype pri_engine_output_dtype(const pri_engine *engine, int k);

pare_status pri_engine_forward(pri_engine *engine);
/* Where to write the gradient of the loss by output k before backward: plain, same shape. */
float *pri_engine_output_gradient(pri_engine *engine, int k);
/* Needs a forward before it. Weight gradients are ADDED to those there. */
pare_status pri_engine_backward(pri_engine *engine);
/* Sets all weight gradients to zero. */
void pri_engine_zero_gradients(pri_engine *engine);
/* Gradient of a float weight: plain, the constant's shape; NULL when it has none. */
float *pri_engine_weight_gradient(pri_engine *engine, const pri_value *weight);
/* Tells the engine that weights changed (packed copies are made anew in the next forward). */
void pri_engine_refresh(pri_engine *engine);
/* Seeds dropout; call before each training step. */
void pri_engine_set_step(pri_engine *engine, uint64_t seed, uint64_t step);
/* Training: running statistics become momentum * old + (1 - momentum) * batch, whatever the nodes
 * say; negative: what the nodes say. */
void pri_engine_set_momentum(pri_engine *engine, float momentum);

/* A tapped value after forward (and its gradient after backward, NULL without). */
typedef struct pri_tap {
    pri_shape shape;
    pri_layout layout;
    const float *data;
    const float *gradient;
} pri_tap;
pare_status pri_engine_tap(const pri_engine *engine, int tap, pri_tap *out);
/* Where to write the gradient of a loss by a tapped value before backward: in the tap's layout,
 * zero after forward; NULL without backward. */
float *pri_engine_tap_gradient(const pri_engine *engine, int tap);

/* Bytes of activations and gradients alone; the same if nothing were computed again; with scratch:
 * what a run needs beside the weights. */
int64_t pri_engine_activation_bytes(const pri_engine *engine);
int64_t pri_engine_kept_bytes(const pri_engine *engine);
int64_t pri_engine_slab_bytes(const pri_engine *engine);

/* --- Step by step, for layer-wise methods (no_fusion engines) --- */
int pri_engine_steps(const pri_engine *engine);
/* The node of a step, NULL for the engine's own (layout changes). */
const pri_node *pri_engine_step_node(const pri_engine *engine, int step);
/* The k-th node folded into a step, in running order; NULL past the last. */
const pri_node *pri_engine_step_fused(const pri_engine *engine, int step, int k);
/* What a step does forwards and, where it goes backwards, on the way back (a second forward
 * included). */
typedef struct pri_pass_work {
    int64_t macs;   /* of convolutions and matrix products, as defined, whatever the algorithm */
    int64_t bytes;  /* of activations, weights and gradients that cannot but be read or written */
    int64_t staged; /* bytes moved besides (pri_work) */
} pri_pass_work;
typedef struct pri_step_work {
    const char *algorithm; /* static; NULL: there is one only */
    pri_pass_work forward, back;
} pri_step_work;
pri_step_work pri_engine_step_work(const pri_engine *engine, int step);
/* Runs steps from .. to-1; the inputs must be filled before step 0. */
pare_status pri_engine_run(pri_engine *engine, int from, int to);
/* Runs steps to-1 .. from backwards; forward comes before, and the gradients of the outputs. */
pare_status pri_engine_run_back(pri_engine *engine, int from, int to);
/* With recompute: runs the next step that has to run a second time before step s goes back (which
 * pri_engine_run_back does by itself); *ran is that step, -1 when all have run. */
pare_status pri_engine_run_again(pri_engine *engine, int s, int *ran);
/* Input or output slot (PRI_OUT(k)) of a step, readable between its producer and its last
 * reader. */
pare_status pri_engine_operand(const pri_engine *engine, int step, int slot, pri_operand *out);

#endif
