/* SPDX-License-Identifier: Apache-2.0 */
/* intercepts.c - see intercepts.h. */
#include "prune/intercepts.h"

#include <string.h>

static pri_value *bias_of(const pri_node *node)
{
    const int slot = node->op != NULL ? node->op->bias_slot : 0;

    return slot > 0 && slot < node->n_inputs ? node->inputs[slot] : NULL;
}

pri_value *pri_intercept_of(const pri_node *node, float *sign)
{
    pri_value *bias = bias_of(node);

    *sign = 1;
    if (bias != NULL && bias->constant != NULL && bias->n_uses == 1)
        return bias;
    const pri_value *out = node->outputs[0];
    if (out->n_uses != 1 || out->is_output)
        return NULL;
    const pri_node *next = out->uses[0].node;
    if (strcmp(next->op_type, "BatchNormalization") != 0 || next->inputs[3] == NULL ||
        next->inputs[3]->constant == NULL || next->inputs[3]->n_uses != 1)
        return NULL;
    *sign = -1;
    return next->inputs[3];
}

/* Channels of the output of a layer that lacks an intercept; 0 when it has one or cannot have any.
 */
static int64_t channels_lacking(const pare_model *model, const pri_node *node,
                                const pri_facts *facts)
{
    pri_operand in[PRI_MAX_OPERANDS], out[PRI_MAX_OPERANDS];
    pri_product product;
    pri_call call;
    float sign;

    if (node->op == NULL || node->op->bias_slot == 0 || node->op->product == NULL ||
        bias_of(node) != NULL || pri_intercept_of(node, &sign) != NULL)
        return 0;
    pri_call_of(&call, in, out, model, node, facts);
    if (!node->op->product(&call, &product))
        return 0;
    const pri_value *weight = node->inputs[product.weight_slot];
    return weight->constant != NULL && weight->constant->dtype == PRI_F32
               ? product.outputs * product.groups
               : 0;
}

pare_status pri_add_intercepts(pare_model *model)
{
    pri_graph *graph = model->graph;
    pri_facts *facts = NULL;

    PRI_TRY(pri_facts_infer(&facts, model, 0, true));
    pare_status status = PARE_OK;
    for (int i = 0; i < graph->n_nodes && status == PARE_OK; i++) {
        const int64_t channels = channels_lacking(model, graph->nodes[i], facts);
        if (channels > 0)
            status = pri_graph_need_bias(graph, graph->nodes[i], graph->nodes[i]->op->bias_slot,
                                         channels);
    }
    pri_facts_free(facts);
    return status == PARE_OK ? pri_model_bind(model) : status;
}

static bool is_zero(const pri_tensor *tensor)
{
    const float *x = tensor->data;

    for (int64_t i = 0; i < pri_tensor_count(tensor); i++) {
        if (x[i] != 0)
            return false;
    }
    return true;
}

pare_status pri_drop_intercepts(pare_model *model, const pare_model *original)
{
    pri_graph *graph = model->graph;

    for (int i = 0; i < original->graph->n_nodes; i++) {
        pri_node *node = graph->nodes[i];
        pri_value *bias = bias_of(node);
        if (bias == NULL || bias_of(original->graph->nodes[i]) != NULL || bias->constant == NULL ||
            !is_zero(bias->constant))
            continue;
        PRI_TRY(pri_graph_set_input(graph, node, node->op->bias_slot, NULL));
        if (node->n_inputs == node->op->bias_slot + 1)
            node->n_inputs--;
    }
    return pri_model_bind(model);
}
