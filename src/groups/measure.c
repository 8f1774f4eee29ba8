/* SPDX-License-Identifier: Apache-2.0 */
/* measure.c - what solved axes say about products: who sums over them, how MACs scale. */
#include "groups/rules.h"

static pare_status add_consumer(pri_groups *groups, const pri_consumer *consumer)
{
    if (groups->n_consumers == groups->consumers_capacity) {
        const int capacity = groups->consumers_capacity > 0 ? 2 * groups->consumers_capacity : 64;
        pri_consumer *grown =
            pri_realloc(groups->ctx, groups->consumers, (size_t)capacity, sizeof *grown);
        if (grown == NULL)
            return PARE_ERROR_MEMORY;
        groups->consumers = grown;
        groups->consumers_capacity = capacity;
    }
    groups->consumers[groups->n_consumers++] = *consumer;
    return PARE_OK;
}

pare_status pri_groups_find_consumers(pri_groups *groups, pri_node *node, const pri_rules *rules)
{
    if (node->is_dead || node->op == NULL || node->op->consumed_axis == NULL)
        return PARE_OK;
    for (int slot = 0; slot < node->n_inputs; slot++) {
        if (node->inputs[slot] == NULL || node->inputs[slot]->constant == NULL)
            continue;
        const int axis = node->op->consumed_axis(rules->call, slot);
        if (axis < 0 || pri_groups_axis(groups, node->inputs[slot], axis) < 0)
            continue;
        for (int t = 0; t < rules->n_ties; t++) {
            const pri_tie *tie = &rules->ties[t];
            const bool is_a = tie->a == slot && tie->axis_a == axis;
            const bool is_b = tie->b == slot && tie->axis_b == axis;
            const int other = is_a ? tie->b : tie->a;
            if ((!is_a && !is_b) || other >= PRI_OUT(0) || other == slot)
                continue;
            PRI_TRY(
                add_consumer(groups, &(pri_consumer){node, other, is_a ? tie->axis_b : tie->axis_a,
                                                     slot, axis}));
            break;
        }
    }
    return PARE_OK;
}

static int64_t node_macs(const pri_groups *groups, const pri_node *node)
{
    pri_operand in[PRI_MAX_OPERANDS], out[PRI_MAX_OPERANDS];
    pri_cost cost = {0};
    pri_call call;

    if (node->is_dead || node->op == NULL || node->op->cost == NULL || node->n_outputs < 1 ||
        node->outputs[0] == NULL)
        return 0;
    for (int k = 0; k < node->n_outputs; k++) {
        if (node->outputs[k] != NULL && !groups->facts->of[node->outputs[k]->id].known)
            return 0;
    }
    pri_call_of(&call, in, out, groups->model, node, groups->facts);
    node->op->cost(&call, &cost);
    return cost.macs;
}

/* Lists the weights; weight_of[value id] becomes the number of each, -1 for other values. */
static void list_weights(pri_groups *groups, const pri_graph *graph, int *weight_of)
{
    for (int i = 0; i < graph->n_values; i++) {
        const pri_value *value = graph->values[i];
        weight_of[i] = -1;
        if (value->constant == NULL || !pri_is_read(value) ||
            pri_dtype_run(value->constant->dtype) != PRI_F32)
            continue;
        pri_sized_weight *weight = &groups->weights[groups->n_weights];
        weight_of[i] = groups->n_weights++;
        weight->value = value;
        for (int a = 0; a < PRI_MAX_RANK; a++)
            weight->axes[a] =
                a < value->constant->shape.rank ? pri_groups_axis(groups, value, a) : -1;
    }
}

static void add_product(pri_groups *groups, const pri_node *node, int64_t macs)
{
    pri_sized_product *product = &groups->products[groups->n_products++];
    const pri_shape *shape = &groups->facts->of[node->outputs[0]->id].shape;

    product->value = node->outputs[0];
    product->macs = macs;
    for (int a = 0; a < PRI_MAX_RANK; a++)
        product->axes[a] = a < shape->rank ? pri_groups_axis(groups, node->outputs[0], a) : -1;
}

pare_status pri_groups_measure(pri_groups *groups)
{
    const pri_graph *graph = groups->model->graph;

    groups->weights =
        pri_arena_alloc(groups->arena, (size_t)graph->n_values, sizeof *groups->weights);
    groups->products =
        pri_arena_alloc(groups->arena, (size_t)graph->n_nodes, sizeof *groups->products);
    int *weight_of = pri_arena_alloc(groups->arena, (size_t)graph->n_values, sizeof(int));
    if (groups->weights == NULL || groups->products == NULL || weight_of == NULL)
        return PARE_ERROR_MEMORY;
    list_weights(groups, graph, weight_of);
    for (int i = 0; i < graph->n_nodes; i++) {
        const pri_node *node = graph->nodes[i];
        const int64_t macs = node_macs(groups, node);
        int owner = -1;
        for (int k = 0; k < node->n_inputs && macs > 0 && owner < 0; k++) {
            if (node->inputs[k] != NULL && weight_of[node->inputs[k]->id] >= 0 &&
                node->inputs[k]->constant->shape.rank >= 2)
                owner = weight_of[node->inputs[k]->id];
        }
        if (owner >= 0)
            groups->weights[owner].macs += macs;
        else if (macs > 0)
            add_product(groups, node, macs);
    }
    return PARE_OK;
}
