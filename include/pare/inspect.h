/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inspect.h - what a network is made of, which channels can be cut, and why the others cannot.
 *
 * Works on every model that loads: what cannot be inferred (unknown operators, open dimensions)
 * is said to be unknown. Everything is at the declared input shape with a batch of one.
 */
#ifndef PARE_INSPECT_H
#define PARE_INSPECT_H

#include <pare/model.h>

/* A node of the network. */
typedef struct pare_layer {
    const char *name; /* of the node, or of what it gives where the file names no node */
    const char *op_type;
    const char *domain; /* "" is ai.onnx */
    int rank;           /* of its first output; -1: unknown */
    int64_t dims[PARE_MAX_RANK];
    int64_t parameters;  /* float weights it is the first to read */
    int64_t macs;        /* -1: unknown */
    bool makes_channels; /* its weights make channels (Conv, Gemm, MatMul, ...) */
    bool is_folded;      /* known before running: it costs nothing */
    int64_t channels;    /* along the channel axis of its first output; 0: none is followed */
    int64_t prunable;    /* of these, how many can be cut */
    int n_groups;
    const int *groups;   /* the groups its channels belong to, ascending */
    const char *reason;  /* why channels of it must stay, the first reason; "" */
    const char *problem; /* why pare cannot run it; "" */
    bool is_downstream;  /* only because the shape of something before it is unknown */
} pare_layer;

/* Channels of several layers that are cut together: unit by unit. */
typedef struct pare_group {
    const char *name; /* the first layer that makes its channels */
    int64_t units, prunable;
    int64_t parameters, macs; /* saved by cutting it to the least (one unit, or what must stay) */
    int n_makers, n_readers;
    const int *makers;  /* layers that make its channels */
    const int *readers; /* layers that sum over them */
    int n_reasons;
    const char *const *reasons; /* why units must stay */
} pare_group;

/* A reason why channels must stay, over the whole network. */
typedef struct pare_reason {
    const char *text;    /* without names */
    const char *example; /* with the names of one place */
    int64_t units;       /* that it freezes ... */
    int places;          /* ... in so many places */
} pare_reason;

/* A value that goes from one layer to another; -1: an input or output of the network. */
typedef struct pare_edge {
    int from, to;
    const char *value;
} pare_edge;

typedef struct pare_inspection {
    int n_layers, n_groups, n_reasons, n_edges;
    const pare_layer *layers; /* in running order */
    const pare_group *groups;
    const pare_reason *reasons; /* most units first */
    const pare_edge *edges;
    int64_t parameters, macs;
    int64_t channels, prunable_channels;        /* of the layers that make channels */
    int64_t prunable_parameters, prunable_macs; /* saved by cutting all groups to the least */
    int n_unknown;                              /* layers without known costs */
    const char *problem; /* the first thing because of which pare cannot run it; "" */
} pare_inspection;

/* Looks at a model. *out is the caller's and independent of the model: pare_inspection_free. */
PARE_API PARE_NODISCARD pare_status pare_inspect(pare_inspection **out, const pare_model *model);
PARE_API void pare_inspection_free(pare_inspection *inspection); /* NULL is fine */

#endif
