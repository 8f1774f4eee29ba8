/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catalog.h - what this build of the library knows: operators, networks, strategies, formats.
 */
#ifndef PARE_CATALOG_H
#define PARE_CATALOG_H

#include <stdbool.h>

#include <pare/context.h>

/* How channels pass through an operator when a model is pruned. */
typedef enum pare_coupling {
    PARE_COUPLING_LAYER,  /* its weights make channels, which can be cut */
    PARE_COUPLING_TIES,   /* declares which channels of its operands belong together */
    PARE_COUPLING_MOVES,  /* only moves data; followed element by element */
    PARE_COUPLING_NONE,   /* reads no channels (constants, shapes) */
    PARE_COUPLING_BARRIER /* keeps the channels it reads as they are */
} pare_coupling;

/* One operator. Text is static. */
typedef struct pare_operator {
    const char *name;   /* ONNX op_type */
    const char *domain; /* "" is ai.onnx */
    const char *summary;
    int min_opset, max_opset;
    bool has_gradient; /* a gradient passes: it can be trained through */
    pare_coupling coupling;
} pare_operator;

/* Operator `index` (0, 1, ...) of the table; false past the last. */
PARE_API bool pare_operator_at(pare_operator *out, int index);
/* "layer", "ties", "moves", "none", "barrier"; and what it means, in a sentence. Static. */
PARE_API const char *pare_coupling_name(pare_coupling coupling);
PARE_API const char *pare_coupling_summary(pare_coupling coupling);

/* The other lists: a name and a line about it each. */
typedef enum pare_list {
    PARE_LIST_ARCHITECTURES,
    PARE_LIST_STRATEGIES,
    PARE_LIST_PREPROCESSING,
    PARE_LIST_FORMATS
} pare_list;

typedef struct pare_entry {
    const char *name, *summary; /* static */
} pare_entry;

/* Entry `index` (0, 1, ...) of a list; false past the last. */
PARE_API bool pare_entry_at(pare_entry *out, pare_list list, int index);

#endif
