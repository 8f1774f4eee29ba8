/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model.h - a graph whose nodes know their operators, and what is known before running.
 */
#ifndef PRI_MODEL_H
#define PRI_MODEL_H

#include <pare/model.h>

#include "graph/graph.h"
#include "ops/op.h"

struct pare_model {
    pare_context *ctx;
    pri_graph *graph;
};

/* Takes the graph over: finds the operator of each node and parses its attributes. A node whose
 * operator is unknown or whose attributes pare cannot do keeps op == NULL; the reason is in
 * the log at debug level and comes back as an error when the node must run. */
pare_status pri_model_from_graph(pare_model **out, pri_graph *graph);
/* Looks operators up again after nodes were added or attributes changed. */
pare_status pri_model_bind(pare_model *model);
/* The same for one node, with the reason as error. */
pare_status pri_model_bind_node(pare_model *model, pri_node *node);
/* Runs what computes float constants from constants alone (weights behind ConstantOfShape, Cast,
 * Transpose, DequantizeLinear ...) and keeps the results as constants of the values that other
 * nodes read: weights like any other from then on. See is_derived. */
pare_status pri_model_derive(pare_model *model);
/* Whether a live node reads the value, not counting those that derive other constants. */
bool pri_is_read(const pri_value *value);
/* Float weights read by a live node with an operator, once each (constants of rank >= 1 that a
 * forward pass uses and that are not only shapes). Fills up to `max`, returns their number. */
int pri_model_weights(const pare_model *model, pri_value **out, int max);

/* A constant that training changes in place, without a gradient: running mean and variance. */
bool pri_is_statistic(const pri_value *value);

/* What is known of each value for given input shapes: type, shape, and its content where it
 * follows from constants and shapes alone. */
typedef struct pri_fact {
    bool known; /* type and shape are */
    pri_dtype dtype;
    pri_shape shape;
    pri_tensor *constant; /* the model's own or folded (owned by the facts); NULL: run time */
    bool is_folded;       /* constant was computed by the facts */
    bool from_weight;     /* folded from float weights of the model: stale when these change */
} pri_fact;

typedef struct pri_facts {
    pare_context *ctx;
    int n_values;
    pri_fact *of;         /* by value id */
    int64_t folded_bytes; /* of constants computed here */
} pri_facts;

/* Infers everything for the declared input shapes with their dynamic first dimension set to
 * `batch` (0: declared, or 1 when open), and so all dimensions that the file gives the same name.
 * Other open dimensions, and such of one name and two sizes, are errors naming the input.
 * With `tolerant`, nodes that cannot be inferred leave their outputs unknown instead of failing. */
pare_status pri_facts_infer(pri_facts **out, const pare_model *model, int64_t batch, bool tolerant);
/* inputs.c: types and shapes of the inputs, with the batch as above. */
pare_status pri_facts_set_inputs(pri_facts *facts, const pri_graph *graph, int64_t batch);
/* Adds to a message that an input leaves its size open, where one does. */
void pri_note_open_sizes(const pare_model *model);
/* The error because of which a node's outputs are unknown in tolerant facts. */
pare_status pri_facts_explain(pri_facts *facts, const pare_model *model, pri_node *node);
/* Takes the model's constants anew and folds again what depends on weights (shapes must be as they
 * were). */
pare_status pri_facts_refresh(pri_facts *facts, const pare_model *model);
void pri_facts_free(pri_facts *facts); /* NULL is fine */

/* Marks the nodes whose outputs the graph's outputs depend on (n_nodes flags); skips what the facts
 * hold as constant when `facts` is given. */
void pri_model_needed(bool *needed, const pare_model *model, const pri_facts *facts);

/* The value before a Softmax or LogSoftmax over classes that ends in `output`, or `output` itself.
 * The likelihood of logits is steadier than that of probabilities, and has the same optimum. */
pri_value *pri_logits_of(pri_value *output, const pri_facts *facts, int opset);
/* Makes such values the outputs of a model (a clone that is only run). */
pare_status pri_model_expose_logits(pare_model *model);

/* What a layer's output passes next, each the only reader of what stands before; NULL where absent.
 */
typedef struct pri_passage {
    const pri_node *affine; /* a normalisation with fixed statistics */
    const pri_node *sum;    /* of a residual connection, behind affine or the layer itself ... */
    const pri_value *other; /* ... and what is added there */
} pri_passage;
pri_passage pri_passage_of(const pri_node *layer);
/* Scale and shift of each channel in passage->affine with the weights `model` has now (same ids as
 * the passage's graph); false when there is none. */
bool pri_passage_scale(float *scale, float *shift, const pare_model *model,
                       const pri_passage *passage, const pri_facts *facts);

/* A call of `node` at these facts, without data: in and out must hold PRI_MAX_OPERANDS each. */
void pri_call_of(pri_call *call, pri_operand *in, pri_operand *out, const pare_model *model,
                 const pri_node *node, const pri_facts *facts);

#endif
