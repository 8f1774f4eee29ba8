/* SPDX-License-Identifier: Apache-2.0 */
/*
 * op.h - all the library knows of an ONNX operator is one const struct.
 *
 * An operator is one entry in its family's file and one line in op_list.def;
 * nobody else switches on an operator's name. Hooks are pure with respect to the
 * graph: they see a pri_call (shapes, layouts, data of one node) and never look
 * at neighbours.
 *
 * Order of a node's life: parse (attributes to params, once a model), infer
 * (shapes, once a set of input shapes), prepare (layouts, primitives, scratch;
 * once an engine), forward / backward (warm, allocate nothing), release.
 */
#ifndef PRI_OP_H
#define PRI_OP_H

#include "graph/graph.h"
#include "kernels/layout.h"

typedef struct pri_op pri_op;
typedef struct pri_call pri_call;
typedef struct pri_rules pri_rules;
typedef struct pri_cut pri_cut;

/* One input or output of a call. */
typedef struct pri_operand {
    bool present;
    pri_dtype dtype;
    pri_shape shape;            /* static from infer on */
    pri_layout layout;          /* from prepare on; PRI_PLAIN during infer */
    void *data;                 /* forward, backward: the elements in that layout */
    const pri_tensor *constant; /* known before running (weights, folded shapes), or NULL.
                                   From infer on; always plain. */
    bool is_weight;             /* constant that training may change: do not bake it in */
} pri_operand;

/* An activation that a convolution can apply to what it writes. */
typedef enum pri_activation_kind {
    PRI_ACT_NONE,
    PRI_ACT_RELU, /* max(0, x), or alpha * x below 0 (LeakyRelu) */
    PRI_ACT_CLIP, /* min(max(x, alpha), beta) */
    PRI_ACT_SIGMOID,
    PRI_ACT_TANH,
    PRI_ACT_HARDSWISH,
    PRI_ACT_SWISH /* x * sigmoid(x) */
} pri_activation_kind;

typedef struct pri_activation {
    pri_activation_kind kind;
    float alpha, beta;
} pri_activation;

/* What the engine fused behind a node with takes_epilogue (inference) or takes_rest (training):
 * y = activation(scale[c] * node(x) + shift[c] + residual). */
typedef struct pri_epilogue {
    const float *scale, *shift; /* one an output channel, or both NULL; change only with
                                   weights_version */
    bool has_residual;          /* out[0].data already holds the residual: accumulate onto it (in
                                   training: see pri_op.takes_rest) */
    pri_activation activation;
} pri_epilogue;

enum { PRI_MAX_OPERANDS = 64 }; /* inputs or outputs of one node pare runs */

struct pri_call {
    pare_context *ctx;
    const pri_op *op;
    const pri_node *node; /* for messages and its name; may be NULL in tests */
    const void *params;   /* what parse wrote */
    int opset;
    int n_in, n_out;
    pri_operand *in, *out;
    /* prepare and later */
    bool training;                /* BatchNormalization uses batch statistics, Dropout drops */
    bool needs_backward;          /* prepare builds backward primitives too */
    bool is_again;                /* forward runs a second time on the same inputs, to make outputs
                                     that were dropped: what it changed in the first (`updates`)
                                     stays, and `saved` holds what that wrote */
    const bool *needs_grad;       /* n_in: which inputs need a gradient (with needs_backward) */
    bool is_narrow;               /* convolutions may multiply in bfloat16 */
    bool may_measure;             /* the call will run many times: see pri_conv_problem */
    pri_layout preferred;         /* layout convolutions should work in */
    const pri_epilogue *epilogue; /* NULL: none */
    uint64_t weights_version; /* changes when a weight's data changed: packed copies are stale */
    void *state;              /* made by prepare, freed by release */
    void *scratch;            /* scratch_bytes, aligned to 64; shared, nothing survives */
    size_t scratch_bytes;     /* stated by prepare */
    void *saved;              /* saved_bytes kept from forward to backward (with needs_backward) */
    size_t saved_bytes;       /* stated by prepare */
    uint64_t seed, step;      /* randomness of this step (Dropout) */
    const float *momentum;    /* of running statistics; NULL: the node's own */
    /* backward: gradients have the layout, shape and type of their operand (floats, where
     * takes_bf16 did not agree to PRI_BF16). backward ADDS to
     * grad_in[k] (NULL where not needed); grad_out[k] may be NULL (nobody used it). */
    float *const *grad_out;
    float *const *grad_in;
    const bool *grad_is_fresh; /* n_in: with writes_gradients, grad_in[k] holds nothing yet and is
                                  to be overwritten; NULL: add to all */
};

/* grad_in[k] is to be overwritten, not added to. */
static inline bool pri_is_fresh(const pri_call *call, int k)
{
    return call->grad_is_fresh != NULL && call->grad_is_fresh[k];
}

/* What backward reads besides the gradients (bits of pri_op.backward_reads). */
enum {
    PRI_READS_IN0 = 1,
    PRI_READS_IN1 = 2,
    PRI_READS_IN2 = 4,
    PRI_READS_ALL_IN = 0xff,
    PRI_READS_OUT0 = 0x100
};

/* How layouts pass through (pri_op.layouts) when prepare does not decide itself. */
typedef enum pri_layout_rule {
    PRI_LAYOUTS_PLAIN,  /* wants all operands plain, gives plain */
    PRI_LAYOUTS_SAME,   /* element by element on one input: gives the layout of in[0] */
    PRI_LAYOUTS_PREPARE /* prepare sets in[k].layout to what it wants and out[k].layout */
} pri_layout_rule;

/* Cost of one evaluation at the shapes of the call. */
typedef struct pri_cost {
    int64_t macs;  /* multiply-accumulates of convolutions and matrix products; 0 elsewhere */
    int64_t flops; /* other elementary operations, roughly one an output element */
} pri_cost;

/* How a prepared call computes. */
typedef struct pri_work {
    const char *algorithm;       /* static; NULL: there is one only */
    int64_t staged, staged_back; /* bytes read and written, forward and backward, to bring
                                    activations into the form the algorithm works on */
} pri_work;

/* A node as matrix products, one a group of channels. */
typedef struct pri_product {
    int groups;
    int64_t rows;      /* samples x positions */
    int64_t positions; /* per sample */
    bool is_image;   /* outputs are axis 1 of out[0], positions what follows; else the last axis */
    int64_t columns; /* K: inputs of one output, in the order of the weight's elements */
    int64_t outputs; /* of one group */
    int weight_slot;
    int64_t column_stride; /* of W[o][k] in the weight tensor, elements; within a block ... */
    int64_t block_stride;  /* ... and from block to block */
    int64_t output_stride;
    int64_t group_stride;
    int64_t block; /* columns that belong to one input channel, consecutive (kernel area) */
} pri_product;

/* Where W[o][k] of a group stands in the weight tensor. */
static inline int64_t pri_product_weight(const pri_product *p, int group, int64_t o, int64_t k)
{
    return group * p->group_stride + o * p->output_stride + k / p->block * p->block_stride +
           k % p->block * p->column_stride;
}

struct pri_op {
    const char *name;    /* ONNX op_type */
    const char *domain;  /* NULL = ai.onnx */
    const char *summary; /* one line for `pare list ops` */
    int min_opset, max_opset;
    int min_in, max_in; /* max_in may be PRI_MAX_OPERANDS for variadic ones */
    int n_out;          /* at most */
    size_t params_size;
    pri_layout_rule layouts;
    bool is_movement; /* only moves data (any type); ties are then derived by labels, couple may
                         add pins */
    int fill_slot;    /* of a movement: optional input that stands where nothing is moved to
                         (Pad: 2); 0 = none */
    bool reads_shapes_only; /* forward looks at in[].shape only (Shape, Size) */
    bool takes_epilogue;    /* honours call->epilogue */
    bool lets_outputs_out;  /* any output may be absent; of others the first is always there */
    bool is_sum;            /* adds its two inputs (a residual connection when shapes are equal) */
    bool is_product;        /* multiplies its two inputs */
    bool is_in_place;      /* forward may run with out[0].data == in[0].data (same layout, shape) */
    bool writes_gradients; /* backward honours grad_is_fresh */
    bool is_in_place_back; /* backward may run with grad_in[k] == grad_out[0] for one fresh k of the
                              output's layout and shape */
    bool takes_rest;       /* in training honours call->epilogue's residual, which is a further
                              input behind the node's own, and its Relu or Clip, both ways: reads
                              out[0] backwards then */
    unsigned backward_reads;
    unsigned updates; /* inputs (bits) whose data forward changes in training: running statistics */

    /* Attributes to params (zeroed, params_size). Reports unsupported values. May be NULL. */
    pare_status (*parse)(const pri_node *node, int opset, void *params, pri_arena *arena,
                         pare_context *ctx);
    /* Sets out[].dtype and out[].shape from in[]; may read in[].constant (shape inputs). Rejects
     * what the other hooks cannot do. Required. */
    pare_status (*infer)(pri_call *call);
    /* Layouts, primitives, scratch. May be NULL. */
    pare_status (*prepare)(pri_call *call);
    void (*release)(pri_call *call);
    /* What prepare decided on, added to *out (zeroed). NULL: nothing to say. */
    void (*work)(const pri_call *call, pri_work *out);
    /* Required for everything that runs. */
    pare_status (*forward)(pri_call *call);
    /* NULL: no gradient passes. */
    pare_status (*backward)(pri_call *call);
    /* Whether slot 0, 1, ... or PRI_OUT(0), PRI_F32 by infer, may come as PRI_BF16 in training:
     * forward reads or writes it, backward its gradient, which has the same type. Asked before
     * prepare and before layouts are known; each slot is decided by itself. NULL: none. */
    bool (*takes_bf16)(const pri_call *call, int slot);
    /* Declares ties between axes (see groups). NULL and not is_movement: a barrier. */
    pare_status (*couple)(const pri_call *call, pri_rules *rules);
    /* Repairs attributes and shape constants of a node after its operands were cut
     * (kept channel lists in `cut`). NULL: nothing counts channels. */
    pare_status (*resize)(const pri_call *call, const pri_cut *cut, pri_graph *graph,
                          pri_node *node);
    /* NULL: no MACs. */
    void (*cost)(const pri_call *call, pri_cost *cost);
    /* Inference form as an activation; false when it has none. May be NULL. */
    bool (*as_activation)(const pri_call *call, pri_activation *out);
    /* Inference form as y = scale[c] x + shift[c] over channel axis 1, from constants (arrays of
     * dims[1] floats); with NULL arrays only says whether it could. May be NULL. */
    bool (*as_affine)(const pri_call *call, float *scale, float *shift);
    /* The axis of input `slot` summed over (K of a product: Conv weight axis 1, Gemm K); -1 none.
     * Zeroing a slab there makes the node read zero for that channel. NULL: none. */
    int (*consumed_axis)(const pri_call *call, int slot);
    int bias_slot; /* optional input added to every output channel (Conv, Gemm: 2); 0 = none */
    /* The product behind the node, for least squares: output position p of group g is
     * out[p][o] = sum_k A[p][k] * W[o][k] (+ bias). Describes the problem for the shapes of the
     * call; false when this node cannot be written so. May be NULL. */
    bool (*product)(const pri_call *call, pri_product *out);
    /* Rows from .. to-1 of A for one group (row-major, out->columns wide), from in[0].data in
     * in[0].layout. Rows run over samples, then positions in row-major order. */
    void (*columns)(const pri_call *call, int group, int64_t from, int64_t to, float *rows);
};

/* --- Registry --- */

/* The entry for an operator in an opset; NULL when unknown. */
const pri_op *pri_op_find(const char *domain, const char *op_type, int opset);
/* All entries in table order; returns their number. */
int pri_op_list(const pri_op *const **out);

/* --- Coupling declarations: implemented in groups/, used by couple hooks --- */

/* A slot of the node: inputs 0, 1, ...; outputs are PRI_OUT(0), PRI_OUT(1), ... */
#define PRI_OUT(k) (1000 + (k))

/* Element `ia` of axis `axis_a` of slot `a` stays or goes together with element `ib` of
 * `axis_b` of `b`, for `count` consecutive pairs. Absent operands are ignored. */
pare_status pri_rules_tie(pri_rules *rules, int a, int axis_a, int64_t ia, int b, int axis_b,
                          int64_t ib, int64_t count);
/* This axis of this slot must stay whole, because of `reason` (a sentence a user can act on,
 * without the node's name: "normalises over channels"). */
pare_status pri_rules_pin(pri_rules *rules, int slot, int axis, const char *reason);
/* This axis carries no coupling at all here: any subset may be cut without touching the others
 * (the node sums over it or repeats it). */
pare_status pri_rules_free(pri_rules *rules, int slot, int axis);

/* --- What resize sees: implemented in groups/ --- */

/* Kept flags of an axis of a slot (length: the dimension before the cut), NULL if it is whole. */
const bool *pri_cut_keep(const pri_cut *cut, int slot, int axis);
/* Dimension of a slot's axis after the cut. */
int64_t pri_cut_dim(const pri_cut *cut, int slot, int axis);
/* The shape of a slot after the cut (from the fixed shapes in use). */
pri_shape pri_cut_shape(const pri_cut *cut, int slot);

/* --- Helpers for op files --- */

/* Fails with "Conv 'name': ..." . */
pare_status pri_op_fail(const pri_call *call, pare_status status, const char *format, ...)
    PARE_PRINTF(3, 4);
/* Reads a constant integer input (int64 or int32) into values[<= max]; PARE_ERROR_UNSUPPORTED with
 * a message when the input is not known before running. *count = -1 when it is absent. */
pare_status pri_op_ints(const pri_call *call, int slot, int64_t *values, int max, int *count);
/* Adds the bytes of an inferred call's outputs to *used; PARE_ERROR_UNSUPPORTED when that is more
 * than constants computed from others may take: a few bytes of file can ask for any number. */
pare_status pri_call_take(const pri_call *call, int64_t *used);
/* Runs an inferred call on plain data: prepares, allocates outputs, runs forward, releases. out[k]
 * are the caller's; all NULL when it fails. */
pare_status pri_call_run(pri_call *call, pri_tensor **out);
/* Runs one node on plain tensors: infers, takes what it needs of `used` (NULL: by itself), runs.
 * out[k] are the caller's (NULL where the node has none). Used to derive constants, to move labels,
 * and by tests. `in` may hold NULL. */
pare_status pri_op_run(pare_context *ctx, const pri_op *op, const pri_node *node,
                       const void *params, int opset, int n_in, pri_tensor *const *in, int n_out,
                       pri_tensor **out, int64_t *used);

#endif
