/* SPDX-License-Identifier: Apache-2.0 */
/*
 * onnx_subgraph.c - sub-graphs see the values around them by name.
 *
 * Names that a sub-graph's own nodes make shadow ours only in malformed files, so any match
 * counts: a value read too many costs nothing but a channel that could have been cut.
 */
#include "onnx/onnx_subgraph.h"

#include <onnx/onnx.pb-c.h>

typedef struct readers {
    pri_graph *graph;
    pri_map seen;
    pri_value **list;
    int count, capacity;
} readers;

static pare_status add_name(readers *r, const char *name)
{
    pri_value *value = name[0] != '\0' ? pri_graph_find_value(r->graph, name) : NULL;

    if (value == NULL || pri_map_get(&r->seen, value->name) != NULL)
        return PARE_OK;
    if (r->count == r->capacity) {
        const int capacity = r->capacity > 0 ? 2 * r->capacity : 16;
        pri_value **list =
            pri_realloc(r->graph->ctx, r->list, (size_t)capacity, sizeof(pri_value *));
        if (list == NULL)
            return PARE_ERROR_MEMORY;
        r->list = list;
        r->capacity = capacity;
    }
    r->list[r->count++] = value;
    return pri_map_set(&r->seen, value->name, value);
}

static pare_status find_in_node(readers *r, const Onnx__NodeProto *node);

/* Nesting was bounded before the message was unpacked. */
static pare_status find_in_graph(readers *r, const Onnx__GraphProto *graph)
{
    for (size_t n = 0; n < graph->n_node; n++) {
        for (size_t i = 0; i < graph->node[n]->n_input; i++)
            PRI_TRY(add_name(r, graph->node[n]->input[i]));
        PRI_TRY(find_in_node(r, graph->node[n]));
    }
    for (size_t i = 0; i < graph->n_output; i++)
        PRI_TRY(add_name(r, graph->output[i]->name != NULL ? graph->output[i]->name : ""));
    return PARE_OK;
}

static pare_status find_in_node(readers *r, const Onnx__NodeProto *node)
{
    for (size_t a = 0; a < node->n_attribute; a++) {
        const Onnx__AttributeProto *attr = node->attribute[a];
        if (attr->g != NULL)
            PRI_TRY(find_in_graph(r, attr->g));
        for (size_t g = 0; g < attr->n_graphs; g++)
            PRI_TRY(find_in_graph(r, attr->graphs[g]));
    }
    return PARE_OK;
}

pare_status pri_onnx_read_implicit(pri_graph *graph)
{
    pare_status status = PARE_OK;

    for (int i = 0; i < graph->n_nodes && status == PARE_OK; i++) {
        readers r = {.graph = graph};
        pri_map_init(&r.seen, graph->ctx);
        status = find_in_node(&r, graph->nodes[i]->origin);
        if (status == PARE_OK && r.count > 0)
            status = pri_graph_set_implicit(graph, graph->nodes[i], r.list, r.count);
        pri_map_clear(&r.seen);
        pri_free(r.list);
    }
    return status;
}
