/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_export_values.c - initialisers, and computed constants that became initialisers. */
#include "onnx/onnx_export.h"

/* --- Computed constants --- */

/* A derived value that was changed, or whose sources were, no longer is what the file computes. */
static void mark_stated(pri_exporter *ex, bool *is_stale)
{
    const pri_graph *g = ex->graph;

    for (int i = 0; i < g->n_values; i++)
        is_stale[i] = g->values[i]->constant != NULL && g->values[i]->is_changed;
    for (int i = 0; i < g->n_nodes; i++) {
        const pri_node *node = g->nodes[i];
        if (node->is_dead || !node->is_derived)
            continue;
        pri_value *value = node->outputs[0];
        for (int k = 0; k < node->n_inputs; k++)
            is_stale[value->id] =
                is_stale[value->id] || (node->inputs[k] != NULL && is_stale[node->inputs[k]->id]);
        ex->is_stated[value->id] = value->is_derived && is_stale[value->id];
    }
}

/* Nodes that only serve stated values go; readers come later, so going backwards they are settled.
 */
static void mark_moot(pri_exporter *ex)
{
    const pri_graph *g = ex->graph;

    for (int i = g->n_nodes - 1; i >= 0; i--) {
        const pri_node *node = g->nodes[i];
        if (node->is_dead || !node->is_derived)
            continue;
        const pri_value *value = node->outputs[0];
        bool is_moot = !value->is_derived;
        for (int u = 0; u < value->n_uses && is_moot; u++)
            is_moot = value->uses[u].node->is_dead || ex->is_moot[value->uses[u].node->id];
        ex->is_moot[i] = ex->is_stated[value->id] || is_moot;
    }
}

pare_status pri_onnx_find_stated(pri_exporter *ex)
{
    const pri_graph *g = ex->graph;
    bool *is_stale = pri_arena_alloc(ex->arena, (size_t)g->n_values, sizeof *is_stale);

    ex->is_stated = pri_arena_alloc(ex->arena, (size_t)g->n_values, sizeof *ex->is_stated);
    ex->is_moot = pri_arena_alloc(ex->arena, (size_t)g->n_nodes, sizeof *ex->is_moot);
    if (is_stale == NULL || ex->is_stated == NULL || ex->is_moot == NULL)
        return PARE_ERROR_MEMORY;
    mark_stated(ex, is_stale);
    mark_moot(ex);
    return PARE_OK;
}

/* --- Initialisers --- */

bool pri_onnx_is_written(const pri_exporter *ex, const pri_value *value)
{
    bool is_read = value->is_output;

    if (ex->is_stated[value->id])
        return true;
    if (!value->is_initializer || (value->constant == NULL && value->origin == NULL))
        return false;
    if (value->n_uses == 0 && !value->is_output)
        return value->origin != NULL && !ex->graph->metadata_changed;
    for (int u = 0; u < value->n_uses && !is_read; u++)
        is_read = !value->uses[u].node->is_dead && !ex->is_moot[value->uses[u].node->id];
    return is_read;
}

static Onnx__TensorProto *write_initializer(pri_exporter *ex, const pri_value *value)
{
    const Onnx__TensorProto *old = value->origin;
    const bool is_kept = old != NULL && !value->is_changed && !pri_onnx_is_external(old);

    if (is_kept && (ex->external == NULL || !old->has_raw_data))
        return pri_as_mutable(old);
    Onnx__TensorProto *message =
        is_kept ? PRI_NEW(ex->arena, Onnx__TensorProto)
                : pri_onnx_write_tensor(ex->arena, value->constant, value->dtype, value->name);
    if (message != NULL && is_kept)
        *message = *old;
    if (message != NULL && ex->external != NULL)
        return pri_onnx_move_outside(ex->external, ex->arena, message) == PARE_OK ? message : NULL;
    return message;
}

pare_status pri_onnx_write_initializers(pri_exporter *ex, Onnx__GraphProto *graph)
{
    const pri_graph *g = ex->graph;

    graph->initializer =
        pri_arena_alloc(ex->arena, (size_t)g->n_values, sizeof *graph->initializer);
    if (graph->initializer == NULL)
        return PARE_ERROR_MEMORY;
    graph->n_initializer = 0;
    for (int i = 0; i < g->n_values; i++) {
        if (!pri_onnx_is_written(ex, g->values[i]))
            continue;
        Onnx__TensorProto *tensor = write_initializer(ex, g->values[i]);
        if (tensor == NULL)
            return PARE_ERROR_MEMORY;
        graph->initializer[graph->n_initializer++] = tensor;
    }
    return PARE_OK;
}
