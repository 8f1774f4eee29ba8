/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan.h - the inside of an engine, shared by the files of this folder.
 *
 * A plan is a list of steps over instances. An instance is a value in one layout;
 * a value has one primary instance and, where a reader wants another layout, a
 * converted one. Each instance owns a block: a range of the slab with a lifetime,
 * or foreign memory (a constant).
 *
 * Steps are cut into segments (one, unless options.recompute finds better). Plan time runs
 * 0 .. n_steps-1 forwards; then, from the last segment to the first, the steps of a segment that
 * run a second time, in order, and all of its steps backwards. The last segment needs no second
 * time. An instance that is made again has a block of its own from there on.
 */
#ifndef PRI_PLAN_H
#define PRI_PLAN_H

#include "engine/engine.h"

enum { PRI_MAX_FUSED = 4 }; /* nodes folded into one step */

typedef struct pri_block {
    size_t bytes;
    int first, last;     /* lifetime in plan time, inclusive */
    int alias;           /* block whose memory this one uses, or -1 */
    size_t offset;       /* in the slab */
    unsigned char *data; /* foreign memory, or slab + offset */
    bool is_foreign;
} pri_block;

typedef struct pri_instance {
    const pri_value *value;
    pri_dtype dtype;
    pri_shape shape;
    pri_layout layout;
    int block;
    int again;    /* its block from its step's second time on; `block` where it is kept */
    int gradient; /* block of its gradient, or -1 */
    int producer; /* step, or -1 for inputs and constants */
    bool needs_gradient;
    bool is_pinned;  /* readable after the run: output, tap */
    bool is_written; /* its gradient: by a step that goes backwards, or by the caller */
    /* while segments are laid out: needed by another segment than its own; changed by a step */
    bool is_kept, is_updated;
} pri_instance;

typedef struct pri_step {
    pri_node *node; /* NULL: a change of layout from in_id[0] to out_id[0] */
    pri_call call;
    pri_operand *in, *out;
    int *in_id, *out_id; /* instances; -1 where absent */
    float **grad_in, **grad_out;
    bool *needs_grad, *is_fresh; /* is_fresh: this step writes the gradient of input k first */
    bool runs_backward;
    /* gradient blocks first written by this step's backward, or by none, and zeroed before it */
    int *fresh;
    int n_fresh;
    int saved; /* block, or -1 */
    /* plan times of the second forward (-1: none) and of the way back */
    int again, back;
    /* fusion */
    pri_epilogue epilogue;
    bool has_epilogue;
    const pri_node *affine; /* node folded into scale and shift, or NULL */
    /* all nodes folded into this step, in running order; NULL after them */
    const pri_node *fused[PRI_MAX_FUSED];
    float *scale_shift; /* 2 * channels */
    int residual; /* inference: instance, or -1; its block is out's when it can be overwritten */
    bool copies_residual;
} pri_step;

/* Segment j is steps start[j] .. start[j + 1] - 1. */
typedef struct pri_segments {
    int *start, n;
    size_t slab_bytes; /* what one segment would need */
    /* running: segment whose values are there, and its next step that may have to run again */
    int there, next;
} pri_segments;

struct pri_engine {
    pare_context *ctx;
    pare_model *model;
    pri_engine_options options;
    pri_facts *facts;
    pri_arena *arena;
    pri_layout preferred;
    bool is_ready; /* packed weights and epilogues are current */
    pri_step *steps;
    int n_steps, steps_capacity;
    pri_instance *instances;
    int n_instances, instances_capacity;
    pri_block *blocks;
    int n_blocks, blocks_capacity;
    int *primary;   /* instance by value id, or -1 */
    int *converted; /* instance in the other layout by value id, or -1 */
    int *inputs, *outputs, *taps;
    pri_segments segments;
    int end; /* of plan time: readable after the run */
    unsigned char *slab;
    size_t slab_bytes;
    void *scratch; /* behind the slab, in one allocation */
    size_t scratch_bytes;
    float *weight_gradients;
    size_t weight_gradient_count;
    uint64_t version;
    float momentum;
};

/* plan.c */
pare_status pri_plan_steps(pri_engine *engine);
/* The primary instance of a value, made here for constants; -1: out of memory. */
int pri_plan_instance(pri_engine *engine, const pri_value *value);
/* activation_types.c: whether the value that a step of `node` gives is kept as bfloat16. */
bool pri_plan_is_narrow(const pri_engine *engine, const pri_node *node, const pri_value *value);
/* engine.c: whether the options ask for a value to stay readable. */
bool pri_plan_is_tap(const pri_engine *engine, const pri_value *value);
/* fuse.c: fused_into[node id] = id of the node whose step computes it (itself when not fused),
 * and position[id] = id of the node in whose place that step runs. */
typedef struct pri_fusion {
    int *head; /* by node id: the convolution that swallowed it, or -1 */
    int *tail; /* by node id of a convolution: last node it swallowed, or itself */
    /* by node id of the convolution; product: of the activation and what it was taken of */
    const pri_node **affine, **sum, **activation, **product;
} pri_fusion;
pare_status pri_fuse(pri_fusion *fusion, pri_engine *engine, const bool *needed);
/* What is fused behind `node`, for its step: epilogue, fused nodes, residual. */
pare_status pri_fuse_epilogue(pri_engine *engine, pri_step *step, const pri_fusion *fusion,
                              const pri_node *node);
/* memory.c: blocks and instances, offsets (slab_bytes), the slab itself, pointers of all steps; of
 * the values of one step, at its first time or from its second time on. */
int pri_plan_add_block(pri_engine *engine, size_t bytes);
int pri_plan_add_instance(pri_engine *engine, const pri_value *value, pri_dtype dtype,
                          const pri_shape *shape, pri_layout layout);
pare_status pri_plan_place(pri_engine *engine);
pare_status pri_plan_memory(pri_engine *engine);
void pri_plan_bind(pri_engine *engine);
void pri_plan_bind_step(pri_engine *engine, pri_step *step, bool second);
/* lifetimes.c: whether a residual is the step's last input (pri_op.takes_rest). */
bool pri_plan_adds(const pri_step *step);
/* lifetimes.c: the block whose memory this one uses; whether a step's backward reads its input
 * `slot` or PRI_OUT(0); blocks for gradients; lifetimes and in-place aliases of all blocks, by the
 * times that steps have, and which gradients are fresh. */
int pri_plan_root(const pri_engine *engine, int block);
bool pri_plan_reads_back(const pri_step *step, int slot);
pare_status pri_plan_add_gradients(pri_engine *engine);
void pri_plan_measure(pri_engine *engine);
/* segments.c: plan time and blocks of all steps when they are cut so (start[0] = 0, start[n] =
 * n_steps); second[i]: block for what instance i is when it is made again. */
void pri_plan_schedule(pri_engine *engine, const int *start, int n, const int *second);
/* recompute.c: cuts, measures and places. */
pare_status pri_plan_recompute(pri_engine *engine);
/* engine.c */
pare_status pri_plan_forward(pri_step *step, const pri_engine *engine);
pare_status pri_engine_refresh_weights(pri_engine *engine);

#endif
