/* SPDX-License-Identifier: Apache-2.0 */
/* state.c - see state.h. */
#include "train/state.h"

#include <string.h>

static bool is_updated(const pri_node *node, int slot)
{
    return node->op != NULL && slot < 32 && (node->op->updates >> slot & 1) != 0;
}

/* Exporters share equal constants, through Identity nodes or directly; once trained they differ. */
static pare_status separate_slot(pare_model *model, const pri_facts *facts, pri_node *node,
                                 int slot)
{
    const pri_value *value = node->inputs[slot];
    const pri_tensor *constant = facts->of[value->id].constant;
    pri_tensor *copy = NULL;
    char text[PRI_NODE_TEXT];

    if (value->constant != NULL && value->n_uses == 1 && !value->is_output)
        return PARE_OK;
    if (constant == NULL)
        return pri_fail(
            model->ctx, PARE_ERROR_UNSUPPORTED,
            "%s: its running statistics are computed at run time; they cannot be trained",
            pri_node_text(text, node));
    PRI_TRY(pri_tensor_new(&copy, model->ctx, constant->dtype, &constant->shape));
    memcpy(copy->data, constant->data,
           (size_t)pri_tensor_count(constant) * pri_dtype_bytes(constant->dtype));
    pri_value *own = pri_graph_add_constant(model->graph, "", copy);
    if (own == NULL)
        return PARE_ERROR_MEMORY;
    return pri_graph_set_input(model->graph, node, slot, own);
}

pare_status pri_state_separate(pare_model *model)
{
    pri_facts *facts = NULL;
    pare_status status = pri_facts_infer(&facts, model, 0, true);

    for (int i = 0; i < model->graph->n_nodes && status == PARE_OK; i++) {
        pri_node *node = model->graph->nodes[i];
        for (int k = 0; k < node->n_inputs && !node->is_dead && status == PARE_OK; k++) {
            if (is_updated(node, k) && node->inputs[k] != NULL)
                status = separate_slot(model, facts, node, k);
        }
    }
    pri_facts_free(facts);
    return status;
}

static pare_status add_part(pri_state *state, pri_value *value)
{
    const int64_t count = pri_tensor_count(value->constant);

    PRI_TRY(pri_tensor_own(value->constant));
    state->parts[state->n_parts++] = (pri_state_part){.value = value,
                                                      .first = state->total,
                                                      .count = count,
                                                      .decays = value->constant->shape.rank >= 2};
    state->total += count;
    return PARE_OK;
}

pare_status pri_state_collect(pri_state *out, pare_model *model, pri_engine *engine)
{
    const pri_graph *graph = model->graph;

    *out = (pri_state){0};
    out->parts = pri_alloc(model->ctx, (size_t)graph->n_values, sizeof *out->parts);
    if (out->parts == NULL)
        return PARE_ERROR_MEMORY;
    pare_status status = PARE_OK;
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < graph->n_values && status == PARE_OK; i++) {
            pri_value *value = graph->values[i];
            if (value->constant == NULL || value->constant->dtype != PRI_F32)
                continue;
            if (pass == 0 ? pri_engine_weight_gradient(engine, value) != NULL
                          : pri_is_statistic(value))
                status = add_part(out, value);
        }
        if (pass == 0) {
            out->n_trained = out->n_parts;
            out->trained = out->total;
        }
    }
    if (status == PARE_OK && out->n_trained == 0)
        status = pri_fail(model->ctx, PARE_ERROR_UNSUPPORTED,
                          "no gradient reaches a float32 weight of this model");
    if (status != PARE_OK)
        pri_state_clear(out);
    return status;
}

void pri_state_clear(pri_state *state)
{
    pri_free(state->parts);
    *state = (pri_state){0};
}

void pri_state_read(const pri_state *state, float *row)
{
    for (int i = 0; i < state->n_parts; i++) {
        const pri_state_part *part = &state->parts[i];
        memcpy(row + part->first, part->value->constant->data, (size_t)part->count * sizeof *row);
    }
}

void pri_state_write(const pri_state *state, const float *row)
{
    for (int i = 0; i < state->n_parts; i++) {
        const pri_state_part *part = &state->parts[i];
        memcpy(part->value->constant->data, row + part->first, (size_t)part->count * sizeof *row);
    }
}

pare_status pri_state_give(const pri_state *state, pare_model *original)
{
    for (int i = 0; i < state->n_parts; i++) {
        const pri_value *value = state->parts[i].value;
        pri_tensor *shared = NULL;
        PRI_TRY(pri_tensor_share(&shared, value->constant));
        PRI_TRY(pri_graph_set_constant(original->graph->values[value->id], shared));
    }
    return PARE_OK;
}
