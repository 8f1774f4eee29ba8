/* SPDX-License-Identifier: Apache-2.0 */
/* graph.c - building graphs: values, nodes, inputs, outputs, metadata, copies. */
#include "graph/graph.h"

#include <stdio.h>
#include <string.h>

/* Arena arrays grow by copying; what they leave behind is freed with the arena. */
static void *grow(pri_arena *arena, void *old, int used, int *capacity, size_t size)
{
    if (used < *capacity)
        return old;
    const int larger = *capacity > 0 ? 2 * *capacity : 4;
    void *fresh = pri_arena_alloc(arena, (size_t)larger, size);
    if (fresh == NULL)
        return NULL;
    if (used > 0)
        memcpy(fresh, old, (size_t)used * size);
    *capacity = larger;
    return fresh;
}

pare_status pri_graph_new(pri_graph **out, pare_context *ctx)
{
    pri_graph *graph = pri_alloc(ctx, 1, sizeof *graph);

    *out = NULL;
    if (graph == NULL)
        return PARE_ERROR_MEMORY;
    graph->ctx = ctx;
    graph->name = graph->source = "";
    graph->ir_version = 8;
    graph->opset = 17;
    pri_map_init(&graph->names, ctx);
    if (pri_arena_new(&graph->arena, ctx) != PARE_OK) {
        pri_free(graph);
        return PARE_ERROR_MEMORY;
    }
    *out = graph;
    return PARE_OK;
}

void pri_graph_free(pri_graph *graph)
{
    if (graph == NULL)
        return;
    for (int i = 0; i < graph->n_values; i++)
        pri_tensor_free(graph->values[i]->constant);
    for (int i = 0; i < graph->n_nodes; i++) {
        for (int k = 0; k < graph->nodes[i]->n_attrs; k++)
            pri_tensor_free(graph->nodes[i]->attrs[k].tensor);
    }
    if (graph->release_origin != NULL)
        graph->release_origin(graph->origin);
    pri_map_clear(&graph->names);
    pri_arena_free(graph->arena);
    pri_free(graph);
}

pri_value *pri_graph_find_value(const pri_graph *graph, const char *name)
{
    return pri_map_get(&graph->names, name);
}

pri_value *pri_graph_add_value(pri_graph *graph, const char *name)
{
    pri_value *value = pri_arena_alloc(graph->arena, 1, sizeof *value);
    pri_value **values =
        grow(graph->arena, graph->values, graph->n_values, &graph->values_capacity, sizeof *values);

    if (value == NULL || values == NULL)
        return NULL;
    graph->values = values;
    value->name = name[0] != '\0' ? pri_arena_strdup(graph->arena, name)
                                  : pri_arena_printf(graph->arena, "pare_%d", graph->n_values);
    for (int i = 1;
         name[0] == '\0' && value->name != NULL && pri_graph_find_value(graph, value->name) != NULL;
         i++)
        value->name = pri_arena_printf(graph->arena, "pare_%d_%d", graph->n_values, i);
    if (value->name == NULL || pri_map_set(&graph->names, value->name, value) != PARE_OK)
        return NULL;
    value->id = graph->n_values;
    values[graph->n_values++] = value;
    return value;
}

static pare_status add_use(pri_graph *graph, pri_value *value, pri_node *node, int slot)
{
    pri_use *uses =
        grow(graph->arena, value->uses, value->n_uses, &value->uses_capacity, sizeof *uses);

    if (uses == NULL)
        return PARE_ERROR_MEMORY;
    value->uses = uses;
    uses[value->n_uses++] = (pri_use){node, slot};
    return PARE_OK;
}

static void drop_use(pri_value *value, const pri_node *node, int slot)
{
    for (int u = 0; u < value->n_uses; u++) {
        if (value->uses[u].node != node || value->uses[u].slot != slot)
            continue;
        value->n_uses--;
        memmove(value->uses + u, value->uses + u + 1,
                (size_t)(value->n_uses - u) * sizeof *value->uses);
        return;
    }
}

pri_node *pri_graph_add_node(pri_graph *graph, const char *op_type, const char *name, int n_inputs,
                             pri_value *const *inputs, int n_outputs, pri_value *const *outputs)
{
    pri_arena *arena = graph->arena;
    pri_node *node = pri_arena_alloc(arena, 1, sizeof *node);
    pri_node **nodes =
        grow(arena, graph->nodes, graph->n_nodes, &graph->nodes_capacity, sizeof *nodes);

    if (node == NULL || nodes == NULL)
        return NULL;
    graph->nodes = nodes;
    node->id = graph->n_nodes;
    node->name = pri_arena_strdup(arena, name);
    node->op_type = pri_arena_strdup(arena, op_type);
    node->domain = "";
    node->n_inputs = n_inputs;
    node->n_outputs = n_outputs;
    node->inputs = pri_arena_alloc(arena, (size_t)n_inputs, sizeof *node->inputs);
    node->outputs = pri_arena_alloc(arena, (size_t)n_outputs, sizeof *node->outputs);
    if (node->name == NULL || node->op_type == NULL || node->inputs == NULL ||
        node->outputs == NULL)
        return NULL;
    for (int k = 0; k < n_inputs; k++) {
        node->inputs[k] = inputs[k];
        if (inputs[k] != NULL && add_use(graph, inputs[k], node, k) != PARE_OK)
            return NULL;
    }
    for (int k = 0; k < n_outputs; k++) {
        node->outputs[k] = outputs[k];
        if (outputs[k] == NULL)
            continue;
        outputs[k]->producer = node;
        outputs[k]->producer_slot = k;
    }
    nodes[graph->n_nodes++] = node;
    return node;
}

static pare_status list_value(pri_value ***list, int *count, int *capacity, pri_graph *graph,
                              pri_value *value)
{
    pri_value **grown = grow(graph->arena, *list, *count, capacity, sizeof *grown);

    if (grown == NULL)
        return PARE_ERROR_MEMORY;
    *list = grown;
    grown[(*count)++] = value;
    return PARE_OK;
}

static void declare(pri_value *value, pri_dtype dtype, const pri_shape *shape)
{
    value->dtype = dtype;
    value->has_shape = shape != NULL;
    if (shape != NULL)
        value->shape = *shape;
}

pare_status pri_graph_add_input(pri_graph *graph, pri_value *value, pri_dtype dtype,
                                const pri_shape *shape)
{
    declare(value, dtype, shape);
    value->is_input = value->is_listed_input = true;
    return list_value(&graph->inputs, &graph->n_inputs, &graph->inputs_capacity, graph, value);
}

pare_status pri_graph_add_output(pri_graph *graph, pri_value *value, pri_dtype dtype,
                                 const pri_shape *shape)
{
    declare(value, dtype, shape);
    value->is_output = true;
    return list_value(&graph->outputs, &graph->n_outputs, &graph->outputs_capacity, graph, value);
}

pri_value *pri_graph_add_constant(pri_graph *graph, const char *name, pri_tensor *tensor)
{
    pri_value *value = pri_graph_add_value(graph, name);

    if (value == NULL) {
        pri_tensor_free(tensor);
        return NULL;
    }
    value->constant = tensor;
    value->dtype = tensor->dtype;
    value->is_initializer = value->is_changed = true;
    return value;
}

pare_status pri_graph_set_constant(pri_value *value, pri_tensor *tensor)
{
    pri_tensor_free(value->constant);
    value->constant = tensor;
    if (pri_dtype_run(value->dtype) != tensor->dtype)
        value->dtype = tensor->dtype;
    value->is_changed = true;
    if (value->producer != NULL && !value->is_derived)
        value->producer->is_changed = true;
    return PARE_OK;
}

pare_status pri_graph_set_input(pri_graph *graph, pri_node *node, int slot, pri_value *value)
{
    if (node->inputs[slot] == value)
        return PARE_OK;
    if (node->inputs[slot] != NULL)
        drop_use(node->inputs[slot], node, slot);
    node->inputs[slot] = value;
    node->is_changed = true;
    return value != NULL ? add_use(graph, value, node, slot) : PARE_OK;
}

pare_status pri_graph_grow_inputs(pri_graph *graph, pri_node *node, int count)
{
    if (count <= node->n_inputs)
        return PARE_OK;
    pri_value **inputs = pri_arena_alloc(graph->arena, (size_t)count, sizeof *inputs);
    if (inputs == NULL)
        return PARE_ERROR_MEMORY;
    if (node->n_inputs > 0)
        memcpy(inputs, node->inputs, (size_t)node->n_inputs * sizeof *inputs);
    node->inputs = inputs;
    node->n_inputs = count;
    return PARE_OK;
}

pare_status pri_graph_need_bias(pri_graph *graph, pri_node *node, int slot, int64_t channels)
{
    const pri_shape shape = pri_shape_of(1, &channels);
    pri_tensor *tensor = NULL;

    if (slot < node->n_inputs && node->inputs[slot] != NULL)
        return PARE_OK;
    PRI_TRY(pri_tensor_new(&tensor, graph->ctx, PRI_F32, &shape));
    memset(tensor->data, 0, (size_t)channels * sizeof(float));
    pri_value *value = pri_graph_add_constant(graph, "", tensor);
    if (value == NULL)
        return PARE_ERROR_MEMORY;
    PRI_TRY(pri_graph_grow_inputs(graph, node, slot + 1));
    return pri_graph_set_input(graph, node, slot, value);
}

pare_status pri_graph_set_implicit(pri_graph *graph, pri_node *node, pri_value *const *values,
                                   int count)
{
    node->implicit = pri_arena_alloc(graph->arena, (size_t)count, sizeof *node->implicit);
    if (node->implicit == NULL)
        return PARE_ERROR_MEMORY;
    node->n_implicit = count;
    for (int k = 0; k < count; k++) {
        node->implicit[k] = values[k];
        PRI_TRY(add_use(graph, values[k], node, -1 - k));
    }
    return PARE_OK;
}

pare_status pri_graph_replace_uses(pri_graph *graph, pri_value *from, pri_value *to)
{
    while (from->n_uses > 0) {
        const pri_use use = from->uses[from->n_uses - 1];
        if (use.slot < 0)
            return pri_fail(graph->ctx, PARE_ERROR_UNSUPPORTED,
                            "value '%s' is read inside a sub-graph and cannot be replaced",
                            from->name);
        PRI_TRY(pri_graph_set_input(graph, use.node, use.slot, to));
    }
    for (int i = 0; i < graph->n_outputs; i++) {
        if (graph->outputs[i] != from)
            continue;
        graph->outputs[i] = to;
        from->is_output = false;
        to->is_output = true;
    }
    return PARE_OK;
}

void pri_graph_remove_node(pri_graph *graph, pri_node *node)
{
    (void)graph;
    for (int k = 0; k < node->n_inputs; k++) {
        if (node->inputs[k] != NULL)
            drop_use(node->inputs[k], node, k);
    }
    for (int k = 0; k < node->n_implicit; k++)
        drop_use(node->implicit[k], node, -1 - k);
    for (int k = 0; k < node->n_outputs; k++) {
        if (node->outputs[k] != NULL && node->outputs[k]->producer == node)
            node->outputs[k]->producer = NULL;
    }
    node->is_dead = true;
}

int pri_graph_drop_dead(pri_graph *graph)
{
    int removed = 0;

    for (int i = graph->n_nodes - 1; i >= 0; i--) {
        pri_node *node = graph->nodes[i];
        bool is_used = node->is_dead;
        for (int k = 0; k < node->n_outputs && !is_used; k++) {
            const pri_value *value = node->outputs[k];
            is_used = value != NULL && (value->n_uses > 0 || value->is_output);
        }
        if (is_used)
            continue;
        pri_graph_remove_node(graph, node);
        removed++;
    }
    return removed;
}

/* --- Metadata --- */

const char *pri_graph_metadata(const pri_graph *graph, const char *key)
{
    for (int i = 0; i < graph->n_metadata; i++) {
        if (strcmp(graph->metadata[i].key, key) == 0)
            return graph->metadata[i].value;
    }
    return NULL;
}

static void remove_metadata(pri_graph *graph, const char *key)
{
    for (int i = 0; i < graph->n_metadata; i++) {
        if (strcmp(graph->metadata[i].key, key) != 0)
            continue;
        graph->n_metadata--;
        memmove(graph->metadata + i, graph->metadata + i + 1,
                (size_t)(graph->n_metadata - i) * sizeof *graph->metadata);
        graph->metadata_changed = true;
        return;
    }
}

pare_status pri_graph_set_metadata(pri_graph *graph, const char *key, const char *value)
{
    if (value == NULL) {
        remove_metadata(graph, key);
        return PARE_OK;
    }
    const char *copy = pri_arena_strdup(graph->arena, value);
    const char *name = pri_arena_strdup(graph->arena, key);

    if (copy == NULL || name == NULL)
        return PARE_ERROR_MEMORY;
    graph->metadata_changed = true;
    for (int i = 0; i < graph->n_metadata; i++) {
        if (strcmp(graph->metadata[i].key, key) == 0) {
            graph->metadata[i].value = copy;
            return PARE_OK;
        }
    }
    pri_metadata *list = grow(graph->arena, graph->metadata, graph->n_metadata,
                              &graph->metadata_capacity, sizeof *list);
    if (list == NULL)
        return PARE_ERROR_MEMORY;
    graph->metadata = list;
    list[graph->n_metadata++] = (pri_metadata){name, copy};
    return PARE_OK;
}

char *pri_node_text(char text[PRI_NODE_TEXT], const pri_node *node)
{
    if (node->name[0] != '\0')
        snprintf(text, PRI_NODE_TEXT, "%.40s '%.110s'", node->op_type, node->name);
    else if (node->n_outputs > 0 && node->outputs[0] != NULL)
        snprintf(text, PRI_NODE_TEXT, "%.40s that makes '%.90s'", node->op_type,
                 node->outputs[0]->name);
    else
        snprintf(text, PRI_NODE_TEXT, "%.40s #%d", node->op_type, node->id);
    return text;
}
