/* SPDX-License-Identifier: Apache-2.0 */
/* order.c - topological order, and copies of whole graphs. */
#include <string.h>

#include "graph/graph.h"

/* Nodes still waiting for a producer count down; ready ones keep the file's order. */
static int count_waiting(const pri_node *node)
{
    int waiting = 0;

    for (int k = 0; k < node->n_inputs; k++)
        waiting += node->inputs[k] != NULL && node->inputs[k]->producer != NULL;
    for (int k = 0; k < node->n_implicit; k++)
        waiting += node->implicit[k]->producer != NULL;
    return waiting;
}

static pare_status check_sources(const pri_graph *graph)
{
    char text[PRI_NODE_TEXT];

    for (int i = 0; i < graph->n_nodes; i++) {
        const pri_node *node = graph->nodes[i];
        for (int k = 0; k < node->n_inputs && !node->is_dead; k++) {
            const pri_value *value = node->inputs[k];
            if (value == NULL || value->producer != NULL || value->is_input ||
                value->constant != NULL)
                continue;
            return pri_fail(graph->ctx, PARE_ERROR_FORMAT,
                            "%s reads '%s', which is neither an input nor made by any node",
                            pri_node_text(text, node), value->name);
        }
    }
    return PARE_OK;
}

static int next_ready(const int *waiting, const bool *done, int from, int n)
{
    while (from < n && (done[from] || waiting[from] > 0))
        from++;
    return from;
}

pare_status pri_graph_sort(pri_graph *graph)
{
    const int n = graph->n_nodes;
    int *waiting = pri_arena_alloc(graph->arena, (size_t)n, sizeof *waiting);
    bool *done = pri_arena_alloc(graph->arena, (size_t)n, sizeof *done);
    pri_node **sorted =
        pri_arena_alloc(graph->arena, (size_t)graph->nodes_capacity + 1, sizeof *sorted);
    char text[PRI_NODE_TEXT];

    if (waiting == NULL || done == NULL || sorted == NULL)
        return PARE_ERROR_MEMORY;
    PRI_TRY(check_sources(graph));
    for (int i = 0; i < n; i++)
        waiting[i] = count_waiting(graph->nodes[i]);
    int lowest = 0;
    for (int count = 0; count < n; count++) {
        const int i = next_ready(waiting, done, lowest, n);
        if (i == n) {
            for (int k = 0; k < n; k++) {
                if (!done[k])
                    return pri_fail(graph->ctx, PARE_ERROR_FORMAT, "%s is part of a cycle",
                                    pri_node_text(text, graph->nodes[k]));
            }
        }
        pri_node *node = graph->nodes[i];
        done[i] = true;
        lowest = i + 1;
        sorted[count] = node;
        for (int k = 0; k < node->n_outputs; k++) {
            const pri_value *value = node->outputs[k];
            for (int u = 0; value != NULL && value->producer == node && u < value->n_uses; u++) {
                const int reader = value->uses[u].node->id;
                waiting[reader]--;
                if (waiting[reader] == 0 && reader < lowest)
                    lowest = reader;
            }
        }
    }
    if (n > 0)
        memcpy(graph->nodes, sorted, (size_t)n * sizeof *sorted);
    for (int i = 0; i < n; i++)
        graph->nodes[i]->id = i;
    return PARE_OK;
}

/* --- Copies --- */

static pare_status clone_values(pri_graph *copy, const pri_graph *graph)
{
    for (int i = 0; i < graph->n_values; i++) {
        const pri_value *from = graph->values[i];
        pri_value *value = pri_graph_add_value(copy, from->name);
        if (value == NULL)
            return PARE_ERROR_MEMORY;
        const char *name = value->name;
        *value = *from;
        value->name = name;
        value->constant = NULL;
        value->producer = NULL;
        value->uses = NULL;
        value->n_uses = value->uses_capacity = 0;
        if (from->constant != NULL)
            PRI_TRY(pri_tensor_share(&value->constant, from->constant));
    }
    return PARE_OK;
}

static pare_status clone_attrs(pri_graph *copy, pri_node *node, const pri_node *from)
{
    node->attrs = pri_arena_alloc(copy->arena, (size_t)from->n_attrs, sizeof *node->attrs);
    if (node->attrs == NULL)
        return PARE_ERROR_MEMORY;
    for (int i = 0; i < from->n_attrs; i++) {
        pri_attr *attr = &node->attrs[i];
        *attr = from->attrs[i];
        attr->tensor = NULL;
        node->n_attrs = i + 1;
        attr->name = pri_arena_strdup(copy->arena, from->attrs[i].name);
        if (attr->name == NULL)
            return PARE_ERROR_MEMORY;
        if (attr->s != NULL && (attr->s = pri_arena_strdup(copy->arena, attr->s)) == NULL)
            return PARE_ERROR_MEMORY;
        void *ints = pri_arena_alloc(copy->arena, (size_t)attr->count, sizeof(int64_t));
        void *floats = pri_arena_alloc(copy->arena, (size_t)attr->count, sizeof(float));
        char **strings = pri_arena_alloc(copy->arena, (size_t)attr->count, sizeof(char *));
        if (ints == NULL || floats == NULL || strings == NULL)
            return PARE_ERROR_MEMORY;
        if (attr->ints != NULL)
            attr->ints = memcpy(ints, attr->ints, (size_t)attr->count * sizeof(int64_t));
        if (attr->floats != NULL)
            attr->floats = memcpy(floats, attr->floats, (size_t)attr->count * sizeof(float));
        for (int k = 0; attr->strings != NULL && k < attr->count; k++) {
            strings[k] = pri_arena_strdup(copy->arena, attr->strings[k]);
            if (strings[k] == NULL)
                return PARE_ERROR_MEMORY;
        }
        if (attr->strings != NULL)
            attr->strings = (const char *const *)strings;
        if (from->attrs[i].tensor != NULL)
            PRI_TRY(pri_tensor_share(&attr->tensor, from->attrs[i].tensor));
    }
    return PARE_OK;
}

static pare_status clone_uses(pri_graph *copy, const pri_graph *graph)
{
    for (int i = 0; i < graph->n_values; i++) {
        const pri_value *from = graph->values[i];
        pri_value *value = copy->values[i];
        value->uses = pri_arena_alloc(copy->arena, (size_t)from->n_uses, sizeof *value->uses);
        if (value->uses == NULL)
            return PARE_ERROR_MEMORY;
        value->n_uses = value->uses_capacity = from->n_uses;
        for (int u = 0; u < from->n_uses; u++)
            value->uses[u] = (pri_use){copy->nodes[from->uses[u].node->id], from->uses[u].slot};
        if (from->producer != NULL)
            value->producer = copy->nodes[from->producer->id];
    }
    return PARE_OK;
}

static pri_value **map_values(pri_graph *copy, pri_value *const *from, int count)
{
    pri_value **list = pri_arena_alloc(copy->arena, (size_t)count, sizeof *list);

    for (int i = 0; list != NULL && i < count; i++)
        list[i] = from[i] != NULL ? copy->values[from[i]->id] : NULL;
    return list;
}

static pare_status clone_nodes(pri_graph *copy, const pri_graph *graph)
{
    copy->nodes = pri_arena_alloc(copy->arena, (size_t)graph->n_nodes, sizeof *copy->nodes);
    if (copy->nodes == NULL)
        return PARE_ERROR_MEMORY;
    copy->nodes_capacity = graph->n_nodes;
    for (int i = 0; i < graph->n_nodes; i++) {
        const pri_node *from = graph->nodes[i];
        pri_node *node = pri_arena_alloc(copy->arena, 1, sizeof *node);
        if (node == NULL)
            return PARE_ERROR_MEMORY;
        *node = *from;
        node->params = NULL;
        node->n_attrs = 0;
        copy->nodes[copy->n_nodes++] = node;
        node->name = pri_arena_strdup(copy->arena, from->name);
        node->op_type = pri_arena_strdup(copy->arena, from->op_type);
        node->domain = pri_arena_strdup(copy->arena, from->domain);
        node->inputs = map_values(copy, from->inputs, from->n_inputs);
        node->outputs = map_values(copy, from->outputs, from->n_outputs);
        node->implicit = map_values(copy, from->implicit, from->n_implicit);
        if (node->name == NULL || node->op_type == NULL || node->domain == NULL ||
            node->inputs == NULL || node->outputs == NULL || node->implicit == NULL)
            return PARE_ERROR_MEMORY;
        PRI_TRY(clone_attrs(copy, node, from));
    }
    return PARE_OK;
}

static pare_status clone_rest(pri_graph *copy, const pri_graph *graph)
{
    copy->name = pri_arena_strdup(copy->arena, graph->name);
    copy->source = pri_arena_strdup(copy->arena, graph->source);
    copy->ir_version = graph->ir_version;
    copy->opset = graph->opset;
    copy->inputs = map_values(copy, graph->inputs, graph->n_inputs);
    copy->n_inputs = copy->inputs_capacity = graph->n_inputs;
    copy->outputs = map_values(copy, graph->outputs, graph->n_outputs);
    copy->n_outputs = copy->outputs_capacity = graph->n_outputs;
    if (copy->name == NULL || copy->source == NULL || copy->inputs == NULL || copy->outputs == NULL)
        return PARE_ERROR_MEMORY;
    for (int i = 0; i < graph->n_metadata; i++)
        PRI_TRY(pri_graph_set_metadata(copy, graph->metadata[i].key, graph->metadata[i].value));
    copy->metadata_changed = graph->metadata_changed;
    if (graph->retain_origin != NULL) {
        graph->retain_origin(graph->origin);
        copy->origin = graph->origin;
        copy->retain_origin = graph->retain_origin;
        copy->release_origin = graph->release_origin;
    }
    return PARE_OK;
}

pare_status pri_graph_clone(pri_graph **out, const pri_graph *graph)
{
    pri_graph *copy = NULL;
    pare_status status = pri_graph_new(&copy, graph->ctx);

    *out = NULL;
    if (status == PARE_OK)
        status = clone_values(copy, graph);
    if (status == PARE_OK)
        status = clone_nodes(copy, graph);
    if (status == PARE_OK)
        status = clone_uses(copy, graph);
    if (status == PARE_OK)
        status = clone_rest(copy, graph);
    if (status != PARE_OK) {
        pri_graph_free(copy);
        return status;
    }
    *out = copy;
    return PARE_OK;
}
