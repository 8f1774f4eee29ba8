/* SPDX-License-Identifier: Apache-2.0 */
/*
 * graph.h - a neural network as the file states it: values joined by nodes.
 *
 * The graph knows no operator: a node has a type name, attributes, input and
 * output values. What the node computes is looked up by the layers above
 * (node->op is theirs). Nodes, values, names and attributes live in the graph's
 * arena; weights are reference-counted tensors. Every node, value, attribute and
 * tensor remembers the message it was read from (`origin`, opaque here), so that
 * export can write back unchanged what was not touched.
 */
#ifndef PRI_GRAPH_H
#define PRI_GRAPH_H

#include "base/arena.h"
#include "base/map.h"
#include "tensor/tensor.h"

typedef struct pri_graph pri_graph;
typedef struct pri_node pri_node;
typedef struct pri_value pri_value;

/* Values equal to ONNX's AttributeProto.AttributeType. */
typedef enum pri_attr_type {
    PRI_ATTR_FLOAT = 1,
    PRI_ATTR_INT = 2,
    PRI_ATTR_STRING = 3,
    PRI_ATTR_TENSOR = 4,
    PRI_ATTR_GRAPH = 5,
    PRI_ATTR_FLOATS = 6,
    PRI_ATTR_INTS = 7,
    PRI_ATTR_STRINGS = 8,
    PRI_ATTR_OTHER = 100 /* kept for export only */
} pri_attr_type;

typedef struct pri_attr {
    const char *name;
    pri_attr_type type;
    int64_t i;
    float f;
    const char *s; /* terminated copy of STRING */
    int count;     /* of ints, floats, strings */
    const int64_t *ints;
    const float *floats;
    const char *const *strings;
    pri_tensor *tensor; /* TENSOR; owned by the graph */
    pri_dtype dtype;    /* of the tensor in the file (see pri_value.dtype) */
    const void *origin; /* message; NULL when made or changed by pare */
} pri_attr;

/* One place where a value is read. */
typedef struct pri_use {
    pri_node *node;
    int slot; /* input number; -1 - k: read by a sub-graph of the node */
} pri_use;

struct pri_value {
    const char *name;
    int id;          /* index in graph->values */
    pri_dtype dtype; /* in the file; PRI_UNDEFINED when it does not say. float16, bfloat16 and
                        float64 are computed, and their constants held, in float32 */
    bool has_shape;
    pri_shape shape;                   /* as declared; meaningful with has_shape */
    const char *symbols[PRI_MAX_RANK]; /* names of open dimensions ("batch"), or NULL */
    pri_tensor
        *constant;   /* initialiser, output of a Constant node, or derived; owned by the graph */
    bool is_derived; /* constant was computed at loading by its producer, a derived node */
    bool is_initializer;  /* in the file's initialiser list */
    bool is_input;        /* the user feeds it: a graph input that is no initialiser */
    bool is_listed_input; /* in the file's input list (initialisers may be, before IR 4) */
    bool is_output;
    bool is_changed;    /* constant or declared shape differ from what origin says */
    pri_node *producer; /* NULL for inputs and initialisers */
    int producer_slot;
    pri_use *uses;
    int n_uses, uses_capacity;
    const void *origin; /* initialiser's TensorProto */
    const void *info;   /* ValueInfoProto */
};

struct pri_node {
    const char *name; /* as in the file; may be "" */
    const char *op_type;
    const char *domain; /* "" is ai.onnx */
    int id;             /* index in graph->nodes */
    int n_inputs, n_outputs;
    pri_value **inputs;  /* NULL where an optional input is absent */
    pri_value **outputs; /* NULL where an optional output is absent */
    int n_implicit;      /* values its sub-graphs read from this graph */
    pri_value **implicit;
    int n_attrs;
    pri_attr *attrs;
    bool is_changed;    /* attributes, inputs or outputs differ from origin */
    bool is_dead;       /* removed; skipped by everybody, dropped on export */
    bool is_derived;    /* computes constants from constants alone, and was run at loading: it is
                           there to be written back, unless what it gives was changed */
    const void *origin; /* NodeProto; NULL when made by pare */
    const struct pri_op *op; /* set by pri_model; NULL = unknown operator */
    void *params;            /* parsed attributes of op, in the arena */
};

typedef struct pri_metadata {
    const char *key, *value;
} pri_metadata;

struct pri_graph {
    pare_context *ctx;
    pri_arena *arena;
    pri_map names; /* values by name */
    const char *name;
    const char *source; /* file name for messages */
    int64_t ir_version;
    int opset;        /* of ai.onnx; 0 when the file imports none */
    pri_node **nodes; /* in topological order */
    int n_nodes, nodes_capacity;
    pri_value **values;
    int n_values, values_capacity;
    pri_value **inputs; /* fed by the user, in file order */
    int n_inputs, inputs_capacity;
    pri_value **outputs;
    int n_outputs, outputs_capacity;
    pri_metadata *metadata; /* metadata_props */
    int n_metadata, metadata_capacity;
    bool metadata_changed;
    void *origin; /* the whole message, reference-counted by the layer that read it */
    void (*retain_origin)(void *origin);
    void (*release_origin)(void *origin);
};

/* An empty graph; free it with pri_graph_free. */
pare_status pri_graph_new(pri_graph **out, pare_context *ctx);
void pri_graph_free(pri_graph *graph); /* NULL is fine */

/* Adds a value; the name must be new ("" makes one up). NULL when memory is short. */
pri_value *pri_graph_add_value(pri_graph *graph, const char *name);
/* The value of that name, or NULL. */
pri_value *pri_graph_find_value(const pri_graph *graph, const char *name);
/* Appends a node and connects it: producers and uses are set. `inputs` may hold NULL. */
pri_node *pri_graph_add_node(pri_graph *graph, const char *op_type, const char *name, int n_inputs,
                             pri_value *const *inputs, int n_outputs, pri_value *const *outputs);
pare_status pri_graph_add_input(pri_graph *graph, pri_value *value, pri_dtype dtype,
                                const pri_shape *shape);
pare_status pri_graph_add_output(pri_graph *graph, pri_value *value, pri_dtype dtype,
                                 const pri_shape *shape);
/* Adds an initialiser that takes `tensor` over. NULL (tensor freed) when memory is short. */
pri_value *pri_graph_add_constant(pri_graph *graph, const char *name, pri_tensor *tensor);
/* Replaces the constant of a value; takes `tensor` over, whose type may be the one that the value's
 * runs as. Marks value and, for a Constant node, its producer as changed. */
pare_status pri_graph_set_constant(pri_value *value, pri_tensor *tensor);
/* Connects input `slot` of a node to another value. */
pare_status pri_graph_set_input(pri_graph *graph, pri_node *node, int slot, pri_value *value);
/* Grows the node to have at least `count` inputs (absent ones NULL). */
pare_status pri_graph_grow_inputs(pri_graph *graph, pri_node *node, int count);
/* Gives a node without input `slot` a new constant of `channels` float zeros there. */
pare_status pri_graph_need_bias(pri_graph *graph, pri_node *node, int slot, int64_t channels);
/* Says which values of the graph the node's sub-graphs read. */
pare_status pri_graph_set_implicit(pri_graph *graph, pri_node *node, pri_value *const *values,
                                   int count);
/* Lets every reader of `from` (and the graph's output list) read `to` instead. */
pare_status pri_graph_replace_uses(pri_graph *graph, pri_value *from, pri_value *to);
/* Disconnects a node and marks it dead. */
void pri_graph_remove_node(pri_graph *graph, pri_node *node);
/* Marks nodes dead whose outputs nobody reads, and forgets initialisers nobody reads.
 * Returns the number of nodes removed. */
int pri_graph_drop_dead(pri_graph *graph);
/* Orders nodes so that producers come first; PARE_ERROR_FORMAT names a node of a cycle or one
 * reading a value that nobody makes. */
pare_status pri_graph_sort(pri_graph *graph);
/* A deep copy of the structure; weights are shared until written, the origin message by
 * reference count. node->op is copied, node->params is not (bind the copy again). */
pare_status pri_graph_clone(pri_graph **out, const pri_graph *graph);

const pri_attr *pri_node_attr(const pri_node *node, const char *name); /* NULL if absent */
int64_t pri_node_attr_int(const pri_node *node, const char *name, int64_t fallback);
float pri_node_attr_float(const pri_node *node, const char *name, float fallback);
const char *pri_node_attr_string(const pri_node *node, const char *name, const char *fallback);
/* Forgets an attribute, if the node has it. */
void pri_node_remove_attr(pri_node *node, const char *name);
/* Sets or adds an attribute; the node becomes changed. */
pare_status pri_node_set_int(pri_graph *graph, pri_node *node, const char *name, int64_t value);
pare_status pri_node_set_float(pri_graph *graph, pri_node *node, const char *name, float value);
pare_status pri_node_set_string(pri_graph *graph, pri_node *node, const char *name,
                                const char *value);
pare_status pri_node_set_ints(pri_graph *graph, pri_node *node, const char *name,
                              const int64_t *values, int count);
/* Takes `tensor` over. */
pare_status pri_node_set_tensor(pri_graph *graph, pri_node *node, const char *name,
                                pri_tensor *tensor);

const char *pri_graph_metadata(const pri_graph *graph, const char *key); /* NULL if absent */
pare_status pri_graph_set_metadata(pri_graph *graph, const char *key, const char *value);

/* For messages: "Conv 'layer1.0/conv1'" (or "Conv #12" without a name) into `text`. */
enum { PRI_NODE_TEXT = 160 };
char *pri_node_text(char text[PRI_NODE_TEXT], const pri_node *node);

#endif
