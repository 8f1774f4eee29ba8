/* SPDX-License-Identifier: Apache-2.0 */
/* costs.c - what a model costs: parameters, MACs, channels, bytes. */
#include "engine/engine.h"
#include "onnx/onnx_io.h"

pare_status pare_model_costs(const pare_model *model, pare_costs *out)
{
    const pri_graph *graph = model->graph;
    pri_facts *facts = NULL;
    size_t size = 0;

    *out = (pare_costs){0};
    PRI_TRY(pri_facts_infer(&facts, model, 1, true));
    for (int i = 0; i < graph->n_nodes; i++) {
        const pri_node *node = graph->nodes[i];
        pri_operand in[PRI_MAX_OPERANDS], outputs[PRI_MAX_OPERANDS];
        pri_call call;
        pri_cost cost = {0};
        if (node->is_dead || node->op == NULL || node->op->cost == NULL ||
            node->outputs[0] == NULL || !facts->of[node->outputs[0]->id].known)
            continue;
        pri_call_of(&call, in, outputs, model, node, facts);
        node->op->cost(&call, &cost);
        out->macs += cost.macs;
        const pri_shape *shape = &outputs[0].shape;
        /* a product that is one number (Einsum) has no channels */
        if (shape->rank > 0)
            out->channels += shape->dims[shape->rank > 2 ? 1 : shape->rank - 1];
    }
    pri_facts_free(facts);
    for (int i = 0; i < graph->n_values; i++) {
        const pri_value *value = graph->values[i];
        if ((value->is_output || pri_is_read(value)) && value->constant != NULL &&
            value->constant->dtype == PRI_F32)
            out->parameters += pri_tensor_count(value->constant);
    }
    PRI_TRY(pri_onnx_measure(&size, graph));
    out->bytes = (int64_t)size;
    pri_engine *engine = NULL;
    pare_model *mutable_model;
    PRI_TRY(pare_model_clone(&mutable_model, model));
    const pri_engine_options options = {.batch = 1, .plan_only = true};
    if (pri_engine_new(&engine, mutable_model, &options) == PARE_OK) {
        out->activation_bytes = pri_engine_slab_bytes(engine);
        pri_engine_free(engine);
    } else {
        pri_forget(model->ctx); /* a model pare cannot run still has the other costs */
    }
    pare_model_free(mutable_model);
    return PARE_OK;
}
