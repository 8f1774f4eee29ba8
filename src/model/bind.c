/* SPDX-License-Identifier: Apache-2.0 */
/* bind.c - looks up the operator of each node, parses attributes, lists weights. */
#include "model/model.h"

#include <string.h>

static pare_status bind_node(pri_graph *graph, pri_node *node)
{
    const pri_op *op = pri_op_find(node->domain, node->op_type, graph->opset);
    char text[PRI_NODE_TEXT];

    node->op = NULL;
    if (op == NULL)
        return pri_fail(graph->ctx, PARE_ERROR_UNSUPPORTED,
                        "%s: operator %s%s%s is not supported in opset %d (see 'pare list ops')",
                        pri_node_text(text, node), node->domain, node->domain[0] ? "." : "",
                        node->op_type, graph->opset);
    if (node->n_inputs < op->min_in || node->n_inputs > op->max_in || node->n_outputs > op->n_out ||
        node->n_inputs > PRI_MAX_OPERANDS)
        return pri_fail(graph->ctx, PARE_ERROR_FORMAT,
                        "%s: has %d inputs and %d outputs; expected %d to %d and at most %d",
                        pri_node_text(text, node), node->n_inputs, node->n_outputs, op->min_in,
                        op->max_in, op->n_out);
    if (node->n_outputs < 1 || (!op->lets_outputs_out && node->outputs[0] == NULL))
        return pri_fail(graph->ctx, PARE_ERROR_FORMAT, "%s: its first output has no name",
                        pri_node_text(text, node));
    if (op->params_size > 0) {
        node->params = pri_arena_alloc(graph->arena, 1, op->params_size);
        if (node->params == NULL)
            return PARE_ERROR_MEMORY;
    }
    if (op->parse != NULL)
        PRI_TRY(op->parse(node, graph->opset, node->params, graph->arena, graph->ctx));
    node->op = op;
    return PARE_OK;
}

pare_status pri_model_bind_node(pare_model *model, pri_node *node)
{
    return bind_node(model->graph, node);
}

pare_status pri_model_bind(pare_model *model)
{
    pri_graph *graph = model->graph;

    for (int i = 0; i < graph->n_nodes; i++) {
        pri_node *node = graph->nodes[i];
        if (node->is_dead)
            continue;
        const pare_status status = bind_node(graph, node);
        if (status == PARE_ERROR_MEMORY)
            return status;
        if (status != PARE_OK)
            pri_log(graph->ctx, PARE_LOG_DEBUG, "%s", pare_context_message(graph->ctx));
        pri_forget(graph->ctx);
    }
    return PARE_OK;
}

pare_status pri_model_from_graph(pare_model **out, pri_graph *graph)
{
    pare_model *model = pri_alloc(graph->ctx, 1, sizeof *model);

    *out = NULL;
    if (model == NULL) {
        pri_graph_free(graph);
        return PARE_ERROR_MEMORY;
    }
    model->ctx = graph->ctx;
    model->graph = graph;
    const pare_status status = pri_model_bind(model);
    if (status != PARE_OK) {
        pare_model_free(model);
        return status;
    }
    *out = model;
    return PARE_OK;
}

void pri_model_needed(bool *needed, const pare_model *model, const pri_facts *facts)
{
    const pri_graph *graph = model->graph;

    memset(needed, 0, (size_t)graph->n_nodes * sizeof *needed);
    for (int i = graph->n_nodes - 1; i >= 0; i--) {
        const pri_node *node = graph->nodes[i];
        if (node->is_dead)
            continue;
        for (int k = 0; k < node->n_outputs && !needed[i]; k++) {
            const pri_value *value = node->outputs[k];
            if (value == NULL ||
                (facts != NULL && facts->of[value->id].constant != NULL && !value->is_output))
                continue;
            needed[i] = value->is_output;
            for (int u = 0; u < value->n_uses && !needed[i]; u++)
                needed[i] = needed[value->uses[u].node->id];
        }
    }
}

bool pri_is_statistic(const pri_value *value)
{
    for (int u = 0; u < value->n_uses && value->constant != NULL; u++) {
        const pri_use *use = &value->uses[u];
        if (!use->node->is_dead && use->node->op != NULL && use->slot >= 0 && use->slot < 32 &&
            (use->node->op->updates >> use->slot & 1) != 0)
            return true;
    }
    return false;
}

int pri_model_weights(const pare_model *model, pri_value **out, int max)
{
    const pri_graph *graph = model->graph;
    int count = 0;

    for (int i = 0; i < graph->n_values; i++) {
        pri_value *value = graph->values[i];
        if (value->constant == NULL || value->constant->dtype != PRI_F32 ||
            value->constant->shape.rank < 1 || pri_tensor_count(value->constant) == 0)
            continue;
        bool is_read = false;
        for (int u = 0; u < value->n_uses && !is_read; u++)
            is_read = !value->uses[u].node->is_dead && !value->uses[u].node->is_derived &&
                      value->uses[u].node->op != NULL;
        if (!is_read)
            continue;
        if (count < max)
            out[count] = value;
        count++;
    }
    return count;
}
