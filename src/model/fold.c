/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fold.c - weights that a file computes from other constants become weights of their own.
 *
 * Exporters put Identity, Transpose, Cast or DequantizeLinear between a constant and the layer that
 * reads it. Nothing can be scored, masked or cut there, so the result takes the place of the node
 * that makes it, under its name. An Identity is skipped instead, so that layers go on sharing its
 * weights. What is computed from next to nothing (ConstantOfShape, Expand) stays as the file has
 * it.
 */
#include "model/model.h"

#include <string.h>

enum { MAX_DEPTH = 16 }; /* of a chain between a constant and its reader */

/* Whether a product (the operators with costs) reads the value. */
static bool feeds_product(const pri_value *value)
{
    for (int u = 0; u < value->n_uses; u++) {
        const pri_use *use = &value->uses[u];
        if (use->slot >= 0 && !use->node->is_dead && use->node->op != NULL &&
            use->node->op->cost != NULL)
            return true;
    }
    return false;
}

/* Elements of the constants a value is computed from; -1 where it is not from constants alone.
 * Chains are short. */
static int64_t count_sources(const pri_value *value, int depth)
{
    int64_t count = 0;

    if (value->constant != NULL)
        return pri_tensor_count(value->constant);
    const pri_node *node = value->producer;
    if (node == NULL || depth == 0 || node->op == NULL || node->n_implicit > 0 ||
        node->op->reads_shapes_only)
        return -1;
    for (int k = 0; k < node->n_inputs; k++) {
        const int64_t more =
            node->inputs[k] != NULL ? count_sources(node->inputs[k], depth - 1) : 0;
        if (more < 0)
            return -1;
        count += more;
    }
    return count;
}

static bool is_computed_weight(const pri_value *value)
{
    return value->constant == NULL && value->producer != NULL && !value->is_output &&
           feeds_product(value) && count_sources(value, MAX_DEPTH) > 0;
}

static bool has_computed_weight(const pri_graph *graph)
{
    for (int i = 0; i < graph->n_values; i++) {
        if (is_computed_weight(graph->values[i]))
            return true;
    }
    return false;
}

static pare_status fold_value(pri_graph *graph, const pri_facts *facts, pri_value *value)
{
    const pri_fact *fact = &facts->of[value->id];
    pri_node *node = value->producer;

    if (strcmp(node->op_type, "Identity") == 0 && node->inputs[0]->constant != NULL)
        return pri_graph_replace_uses(graph, value, node->inputs[0]);
    if (fact->constant == NULL || fact->dtype != PRI_F32 || node->n_outputs != 1 ||
        2 * count_sources(value, MAX_DEPTH) < pri_tensor_count(fact->constant))
        return PARE_OK;
    PRI_TRY(pri_tensor_share(&value->constant, fact->constant));
    pri_graph_remove_node(graph, node);
    value->dtype = PRI_F32;
    value->is_initializer = value->is_changed = true;
    return PARE_OK;
}

pare_status pri_model_fold_weights(pare_model *model)
{
    pri_graph *graph = model->graph;
    pri_facts *facts = NULL;
    pare_status status = PARE_OK;

    if (!has_computed_weight(graph))
        return PARE_OK;
    PRI_TRY(pri_facts_infer(&facts, model, 0, true));
    for (int i = 0; i < graph->n_nodes && status == PARE_OK; i++) {
        pri_node *node = graph->nodes[i];
        for (int k = 0; k < node->n_outputs && status == PARE_OK && !node->is_dead; k++) {
            if (node->outputs[k] != NULL && is_computed_weight(node->outputs[k]))
                status = fold_value(graph, facts, node->outputs[k]);
        }
    }
    pri_facts_free(facts);
    if (status == PARE_OK)
        (void)pri_graph_drop_dead(graph);
    return status;
}
