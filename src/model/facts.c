/* SPDX-License-Identifier: Apache-2.0 */
/*
 * facts.c - shapes and constants that follow from the input shapes.
 *
 * One walk in topological order: an operator's infer gives types and shapes; a
 * node whose inputs are all known (or that reads only shapes) is run at once, so
 * the shape arithmetic exporters leave in graphs disappears before anything runs.
 */
#include "model/model.h"

#include <string.h>

static void set_constants(pri_facts *facts, const pri_graph *graph)
{
    for (int i = 0; i < graph->n_values; i++) {
        const pri_value *value = graph->values[i];
        if (value->constant == NULL)
            continue;
        facts->of[i] = (pri_fact){.known = true,
                                  .dtype = value->constant->dtype,
                                  .shape = value->constant->shape,
                                  .constant = value->constant,
                                  .from_weight = value->constant->dtype == PRI_F32 &&
                                                 value->constant->shape.rank > 0};
    }
}

void pri_call_of(pri_call *call, pri_operand *in, pri_operand *out, const pare_model *model,
                 const pri_node *node, const pri_facts *facts)
{
    memset(call, 0, sizeof *call);
    memset(in, 0, (size_t)node->n_inputs * sizeof *in);
    memset(out, 0, (size_t)node->n_outputs * sizeof *out);
    call->ctx = model->ctx;
    call->op = node->op;
    call->node = node;
    call->params = node->params;
    call->opset = model->graph->opset;
    call->n_in = node->n_inputs;
    call->n_out = node->n_outputs;
    call->in = in;
    call->out = out;
    for (int k = 0; k < node->n_inputs; k++) {
        const pri_value *value = node->inputs[k];
        if (value == NULL)
            continue;
        const pri_fact *fact = &facts->of[value->id];
        in[k] = (pri_operand){.present = true,
                              .dtype = fact->dtype,
                              .shape = fact->shape,
                              .constant = fact->constant,
                              .data = fact->constant != NULL ? fact->constant->data : NULL};
    }
    for (int k = 0; k < node->n_outputs; k++) {
        const pri_value *value = node->outputs[k];
        if (value == NULL)
            continue;
        const pri_fact *fact = &facts->of[value->id];
        out[k] = (pri_operand){.present = true, .dtype = fact->dtype, .shape = fact->shape};
    }
}

static bool can_fold(const pri_call *call)
{
    if (call->op->forward == NULL || (call->n_in == 0 && call->op->min_in > 0))
        return false;
    if (call->op->reads_shapes_only)
        return true;
    for (int k = 0; k < call->n_in; k++) {
        if (call->in[k].present && call->in[k].constant == NULL)
            return false;
    }
    return true;
}

/* Runs the node of an inferred call on its constants; outputs become facts. */
static pare_status fold(pri_facts *facts, pri_call *call)
{
    pri_tensor *results[PRI_MAX_OPERANDS];
    bool from_weight = false;

    for (int k = 0; k < call->n_in && !call->op->reads_shapes_only; k++)
        from_weight = from_weight ||
                      (call->in[k].present && facts->of[call->node->inputs[k]->id].from_weight);
    PRI_TRY(pri_call_run(call, results));
    for (int k = 0; k < call->n_out; k++) {
        if (!call->out[k].present)
            continue;
        pri_fact *fact = &facts->of[call->node->outputs[k]->id];
        if (fact->is_folded)
            pri_tensor_free(fact->constant);
        fact->constant = results[k];
        fact->is_folded = true;
        fact->from_weight = from_weight;
    }
    return PARE_OK;
}

/* Types, shapes and, where possible, the content of what a node gives. */
static pare_status infer_node(pri_facts *facts, const pare_model *model, pri_node *node)
{
    pri_operand in[PRI_MAX_OPERANDS], out[PRI_MAX_OPERANDS];
    pri_call call;

    if (node->op == NULL) {
        /* parse again for the reason */
        pare_model mutable_model = *model;
        const pare_status status = pri_model_bind_node(&mutable_model, node);
        return status != PARE_OK ? status : PARE_ERROR_UNSUPPORTED;
    }
    pri_call_of(&call, in, out, model, node, facts);
    for (int k = 0; k < node->n_inputs; k++) {
        char text[PRI_NODE_TEXT];
        if (node->inputs[k] != NULL && !facts->of[node->inputs[k]->id].known)
            return pri_fail(facts->ctx, PARE_ERROR_SHAPE,
                            "%s: the shape of its input '%s' is unknown", pri_node_text(text, node),
                            node->inputs[k]->name);
    }
    PRI_TRY(node->op->infer(&call));
    for (int k = 0; k < node->n_outputs; k++) {
        if (node->outputs[k] == NULL)
            continue;
        pri_fact *fact = &facts->of[node->outputs[k]->id];
        if (!pri_shape_is_sane(&out[k].shape))
            return pri_op_fail(&call, PARE_ERROR_SHAPE, "output %d is impossibly large", k);
        fact->known = true;
        fact->dtype = out[k].dtype;
        fact->shape = out[k].shape;
    }
    if (!can_fold(&call))
        return PARE_OK;
    PRI_TRY(pri_call_take(&call, &facts->folded_bytes));
    return fold(facts, &call);
}

pare_status pri_facts_explain(pri_facts *facts, const pare_model *model, pri_node *node)
{
    PRI_TRY(pri_facts_set_inputs(facts, model->graph, 0));
    const pare_status status = infer_node(facts, model, node);
    char text[PRI_NODE_TEXT];

    return status != PARE_OK ? status
                             : pri_fail(facts->ctx, PARE_ERROR_SHAPE, "%s: its shape is unknown",
                                        pri_node_text(text, node));
}

static bool is_constant_node(const pri_node *node)
{
    for (int k = 0; k < node->n_outputs && !node->is_derived; k++) {
        if (node->outputs[k] != NULL && node->outputs[k]->constant == NULL)
            return false;
    }
    return node->n_outputs > 0;
}

pare_status pri_facts_infer(pri_facts **out, const pare_model *model, int64_t batch, bool tolerant)
{
    const pri_graph *graph = model->graph;
    pri_facts *facts = pri_alloc(model->ctx, 1, sizeof *facts);
    pare_status status = PARE_ERROR_MEMORY;

    *out = NULL;
    if (facts == NULL)
        return status;
    facts->ctx = model->ctx;
    facts->n_values = graph->n_values;
    facts->of = pri_alloc(model->ctx, (size_t)graph->n_values, sizeof *facts->of);
    if (facts->of == NULL)
        goto failed;
    set_constants(facts, graph);
    status = pri_facts_set_inputs(facts, graph, batch);
    if (status != PARE_OK && !tolerant)
        goto failed;
    for (int i = 0; i < graph->n_nodes; i++) {
        if (graph->nodes[i]->is_dead || is_constant_node(graph->nodes[i]))
            continue;
        status = infer_node(facts, model, graph->nodes[i]);
        if (status == PARE_ERROR_MEMORY || (status != PARE_OK && !tolerant))
            goto failed;
    }
    pri_forget(model->ctx);
    *out = facts;
    return PARE_OK;

failed:
    pri_facts_free(facts);
    return status;
}

pare_status pri_facts_refresh(pri_facts *facts, const pare_model *model)
{
    const pri_graph *graph = model->graph;

    for (int i = 0; i < graph->n_values && i < facts->n_values; i++) {
        if (!facts->of[i].is_folded && facts->of[i].constant != NULL)
            facts->of[i].constant = graph->values[i]->constant;
    }
    for (int i = 0; i < graph->n_nodes; i++) {
        pri_operand in[PRI_MAX_OPERANDS], out[PRI_MAX_OPERANDS];
        pri_call call;
        const pri_node *node = graph->nodes[i];
        bool is_stale = false;
        for (int k = 0; k < node->n_outputs && !node->is_dead; k++) {
            const pri_value *value = node->outputs[k];
            is_stale = is_stale || (value != NULL && facts->of[value->id].is_folded &&
                                    facts->of[value->id].from_weight);
        }
        if (!is_stale)
            continue;
        pri_call_of(&call, in, out, model, node, facts);
        PRI_TRY(fold(facts, &call));
    }
    return PARE_OK;
}

void pri_facts_free(pri_facts *facts)
{
    if (facts == NULL)
        return;
    for (int i = 0; facts->of != NULL && i < facts->n_values; i++) {
        if (facts->of[i].is_folded)
            pri_tensor_free(facts->of[i].constant);
    }
    pri_free(facts->of);
    pri_free(facts);
}
