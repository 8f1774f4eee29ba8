/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire.c - iterative walk over the wire format.
 *
 * Only nodes, attributes, graphs, functions and types can nest without bound, so
 * only those fields are entered: the kinds below are a small automaton over (message
 * kind, field number). Everything else is skipped by its length.
 */
#include "onnx/wire.h"

enum kind {
    MODEL,
    GRAPH,
    NODE,
    ATTRIBUTE,
    FUNCTION,
    TRAINING,
    VALUE_INFO,
    TYPE,
    TYPE_ELEMENT,
    LEAF
};

typedef struct nested_field {
    enum kind in;
    unsigned field;
    enum kind out;
} nested_field;

/* Field numbers of onnx.proto. */
static const nested_field nested_fields[] = {
    {MODEL, 7, GRAPH},         {MODEL, 20, TRAINING},   {MODEL, 25, FUNCTION},
    {TRAINING, 1, GRAPH},      {TRAINING, 2, GRAPH},    {GRAPH, 1, NODE},
    {GRAPH, 11, VALUE_INFO},   {GRAPH, 12, VALUE_INFO}, {GRAPH, 13, VALUE_INFO},
    {NODE, 5, ATTRIBUTE},      {ATTRIBUTE, 6, GRAPH},   {ATTRIBUTE, 11, GRAPH},
    {ATTRIBUTE, 14, TYPE},     {ATTRIBUTE, 15, TYPE},   {FUNCTION, 7, NODE},
    {FUNCTION, 11, ATTRIBUTE}, {VALUE_INFO, 2, TYPE},   {TYPE, 4, TYPE_ELEMENT},
    {TYPE, 5, TYPE_ELEMENT},   {TYPE, 9, TYPE_ELEMENT}, {TYPE_ELEMENT, 1, TYPE},
    {TYPE_ELEMENT, 2, TYPE},
};

typedef struct level {
    enum kind kind;
    size_t end;
} level;

enum { MAX_LEVELS = 512 };

static bool read_varint(uint64_t *value, const unsigned char *bytes, size_t *at, size_t end)
{
    uint64_t result = 0;

    for (int shift = 0; shift < 64 && *at < end; shift += 7) {
        const unsigned char byte = bytes[(*at)++];
        result |= (uint64_t)(byte & 0x7fu) << shift;
        if ((byte & 0x80u) == 0) {
            *value = result;
            return true;
        }
    }
    return false;
}

static enum kind kind_of(enum kind in, uint64_t field)
{
    for (size_t i = 0; i < PRI_COUNT(nested_fields); i++) {
        if (nested_fields[i].in == in && nested_fields[i].field == field)
            return nested_fields[i].out;
    }
    return LEAF;
}

/* Passes one field; for a nested message *inner becomes its kind and *inner_end its end. */
static bool pass_field(const unsigned char *bytes, size_t *at, const level *current,
                       enum kind *inner, size_t *inner_end)
{
    uint64_t tag = 0, value = 0;

    *inner = LEAF;
    if (!read_varint(&tag, bytes, at, current->end) || tag >> 3 == 0)
        return false;
    switch (tag & 7u) {
    case 0: return read_varint(&value, bytes, at, current->end);
    case 1: value = 8; break;
    case 5: value = 4; break;
    case 2:
        if (!read_varint(&value, bytes, at, current->end))
            return false;
        break;
    default: return false;
    }
    if (value > current->end - *at)
        return false;
    if ((tag & 7u) == 2)
        *inner = kind_of(current->kind, tag >> 3);
    if (*inner != LEAF)
        *inner_end = *at + (size_t)value;
    else
        *at += (size_t)value;
    return true;
}

pare_status pri_wire_check(pare_context *ctx, const unsigned char *bytes, size_t size_bytes,
                           int max_depth)
{
    level levels[MAX_LEVELS];
    int depth = 0;
    size_t at = 0;

    levels[0] = (level){MODEL, size_bytes};
    while (depth >= 0) {
        if (at == levels[depth].end) {
            depth--;
            continue;
        }
        enum kind inner = LEAF;
        size_t inner_end = 0;
        if (!pass_field(bytes, &at, &levels[depth], &inner, &inner_end))
            return pri_fail(ctx, PARE_ERROR_FORMAT, "malformed or truncated at byte %zu of %zu", at,
                            size_bytes);
        if (inner == LEAF)
            continue;
        if (depth + 1 >= max_depth || depth + 1 >= MAX_LEVELS)
            return pri_fail(ctx, PARE_ERROR_FORMAT, "graphs or types are nested more than %d deep",
                            max_depth);
        levels[++depth] = (level){inner, inner_end};
    }
    return PARE_OK;
}
