/* SPDX-License-Identifier: Apache-2.0 */
/*
 * solve.c - follows channel axes through the graph and joins what is tied.
 *
 * A work list of (value, axis) pairs starts at the output axes that weights create.
 * Every node touching a followed axis must say what happens to it: tie it to axes of its
 * other operands (which are then followed too), pin it with a reason, or free it. A
 * node that says nothing pins it: never guess.
 */
#include <stdio.h>
#include <string.h>

#include "groups/axes.h"
#include "groups/rules.h"

typedef struct node_rules {
    bool is_done; /* couple has run */
    pri_rules rules;
    pri_call call;
    pri_operand *in, *out;
    unsigned *moved; /* by input slot: bit a = axis a has been run on labels */
} node_rules;

typedef struct solver {
    pri_groups *groups;
    const pri_graph *graph;
    node_rules *nodes;
    int next; /* first axis record not visited yet */
} solver;

/* Where something could not be inferred, an operator cannot say what it does to channels. */
static bool has_known_shapes(const pri_groups *groups, const pri_node *node)
{
    for (int k = 0; k < node->n_inputs; k++) {
        if (node->inputs[k] != NULL && !groups->facts->of[node->inputs[k]->id].known)
            return false;
    }
    for (int k = 0; k < node->n_outputs; k++) {
        if (node->outputs[k] != NULL && !groups->facts->of[node->outputs[k]->id].known)
            return false;
    }
    return true;
}

/* --- One node --- */

static pare_status open_node(node_rules **out, solver *s, const pri_node *node)
{
    node_rules *entry = &s->nodes[node->id];
    pri_groups *groups = s->groups;

    *out = entry;
    if (entry->is_done)
        return PARE_OK;
    entry->in = pri_arena_alloc(groups->arena, (size_t)node->n_inputs, sizeof *entry->in);
    entry->out = pri_arena_alloc(groups->arena, (size_t)node->n_outputs, sizeof *entry->out);
    entry->moved = pri_arena_alloc(groups->arena, (size_t)node->n_inputs, sizeof(unsigned));
    if (entry->in == NULL || entry->out == NULL || entry->moved == NULL)
        return PARE_ERROR_MEMORY;
    pri_call_of(&entry->call, entry->in, entry->out, groups->model, node, groups->facts);
    entry->rules = (pri_rules){.arena = groups->arena, .call = &entry->call};
    entry->is_done = true;
    if (node->op != NULL && node->op->couple != NULL)
        return node->op->couple(&entry->call, &entry->rules);
    return PARE_OK;
}

static pare_status move_axis(node_rules *entry, solver *s, const pri_node *node, int slot, int axis)
{
    if ((entry->moved[slot] >> axis & 1u) != 0)
        return PARE_OK;
    entry->moved[slot] |= 1u << axis;
    return pri_rules_move(&entry->rules, s->groups, node, slot, axis);
}

static pare_status pin_single(node_rules *entry, solver *s, const pri_node *node, int slot)
{
    const unsigned bit = 1u << 31; /* beside the axes */

    if ((entry->moved[slot] & bit) != 0)
        return PARE_OK;
    entry->moved[slot] |= bit;
    return pri_rules_pin_single(&entry->rules, s->groups, node, slot);
}

/* For a moved output axis: the followed axes of each data input decide; where none is followed yet,
 * every axis is tried. */
static pare_status move_back(node_rules *entry, solver *s, const pri_node *node)
{
    for (int slot = 0; slot < node->n_inputs; slot++) {
        const pri_operand *operand = &entry->in[slot];
        bool any = false;
        if (!operand->present || pri_is_movement_parameter(operand, slot))
            continue;
        PRI_TRY(pin_single(entry, s, node, slot));
        for (int a = 0; a < operand->shape.rank; a++)
            any = any || pri_groups_axis(s->groups, node->inputs[slot], a) >= 0;
        for (int a = 0; a < operand->shape.rank; a++) {
            if (operand->shape.dims[a] > 1 &&
                (!any || pri_groups_axis(s->groups, node->inputs[slot], a) >= 0))
                PRI_TRY(move_axis(entry, s, node, slot, a));
        }
    }
    return PARE_OK;
}

/* Why an axis that is not followed has to stay; NULL when it is unknown. */
static const char *stay_reason(const pri_groups *groups, const pri_value *value, int axis)
{
    const pri_fact *fact = &groups->facts->of[value->id];

    if (!fact->known || axis >= fact->shape.rank)
        return NULL;
    if (fact->shape.dims[axis] == 1)
        return "nothing would be left of one of its tensors";
    return "ties these channels to more elements than pare follows";
}

/* Ties an element to an axis that has to stay: to its only element, or to one of too many. */
static pare_status pin_to_single(pri_groups *groups, const pri_node *node, const pri_tie *tie,
                                 int ra, int rb)
{
    const bool keeps_a = ra >= 0;
    const int other = keeps_a ? tie->b : tie->a;

    const char *reason =
        stay_reason(groups, pri_slot_value(node, other), keeps_a ? tie->axis_b : tie->axis_a);
    if (keeps_a == (rb >= 0) || reason == NULL)
        return PARE_OK;
    return pri_axes_pin_range(groups, keeps_a ? ra : rb, keeps_a ? tie->ia : tie->ib, tie->count,
                              node, reason);
}

static bool is_side(const pri_node *node, int slot, int axis, const pri_axis_use *use)
{
    return axis == use->axis && pri_slot_value(node, slot) == use->value;
}

/* Joins along every tie of the node that has the followed axis on one side. */
static pare_status apply_ties(bool *mentioned, solver *s, const pri_node *node,
                              const pri_rules *rules, int record)
{
    pri_groups *groups = s->groups;

    for (int t = 0; t < rules->n_ties; t++) {
        const pri_tie *tie = &rules->ties[t];
        const pri_axis_use use = groups->axes[record];
        const bool is_a = is_side(node, tie->a, tie->axis_a, &use);
        const bool is_b = is_side(node, tie->b, tie->axis_b, &use);
        int ra = -1, rb = -1;
        if (!is_a && !is_b)
            continue;
        *mentioned = true;
        PRI_TRY(pri_axes_follow(&ra, groups, pri_slot_value(node, tie->a), tie->axis_a));
        PRI_TRY(pri_axes_follow(&rb, groups, pri_slot_value(node, tie->b), tie->axis_b));
        if (ra < 0 || rb < 0) {
            PRI_TRY(pin_to_single(groups, node, tie, ra, rb));
            continue;
        }
        for (int64_t i = 0; i < tie->count; i++)
            pri_axes_join(groups, groups->axes[ra].first + tie->ia + i,
                          groups->axes[rb].first + tie->ib + i);
    }
    return PARE_OK;
}

static const char *unknown_reason(const pri_groups *groups, const pri_node *node)
{
    return pri_arena_printf(groups->arena,
                            "operator %s is not known to pare, so what it reads must stay as it is",
                            node->op_type);
}

/* Runs labels for the followed axis; what became of it stands in ties and notes. */
static pare_status visit_movement(node_rules *entry, solver *s, const pri_node *node, int record)
{
    const pri_axis_use use = s->groups->axes[record];

    for (int slot = 0; slot < node->n_inputs; slot++) {
        if (node->inputs[slot] == use.value && !pri_is_movement_parameter(&entry->in[slot], slot))
            PRI_TRY(move_axis(entry, s, node, slot, use.axis));
    }
    for (int k = 0; k < node->n_outputs; k++) {
        if (node->outputs[k] == use.value)
            return move_back(entry, s, node);
    }
    return PARE_OK;
}

/* A folded weight of a product has no constant of its own that could be masked. */
static bool is_computed_weight(const pri_groups *groups, const pri_node *node,
                               const pri_value *value)
{
    return node->op->cost != NULL && value->constant == NULL && node->outputs[0] != value &&
           groups->facts->of[value->id].constant != NULL;
}

static pare_status visit_node(solver *s, const pri_node *node, int record)
{
    pri_groups *groups = s->groups;
    const pri_axis_use use = groups->axes[record];
    node_rules *entry = NULL;
    bool mentioned = false;

    if (node->is_dead || node->is_derived)
        return PARE_OK;
    if (node->op == NULL)
        return pri_axes_pin(groups, record, node, unknown_reason(groups, node));
    if (!has_known_shapes(groups, node))
        return pri_axes_pin(groups, record, node, "the shapes it works on are not known");
    if (node->n_inputs == 0) /* Constant */
        return PARE_OK;
    PRI_TRY(open_node(&entry, s, node));
    if (node->op->is_movement)
        PRI_TRY(visit_movement(entry, s, node, record));
    else if (node->op->couple == NULL)
        return pri_axes_pin(groups, record, node,
                            "this operator does not say how channels pass through it");
    if (is_computed_weight(groups, node, use.value))
        PRI_TRY(
            pri_axes_pin(groups, record, node, "its weights are computed from other constants"));
    PRI_TRY(apply_ties(&mentioned, s, node, &entry->rules, record));
    for (int i = 0; i < entry->rules.n_notes; i++) {
        const pri_axis_note *note = &entry->rules.notes[i];
        if (!is_side(node, note->slot, note->axis, &use))
            continue;
        mentioned = true;
        if (note->reason != NULL)
            PRI_TRY(pri_axes_pin_range(groups, record, note->first,
                                       note->count >= 0 ? note->count : use.size, node,
                                       note->reason));
    }
    if (mentioned)
        return PARE_OK;
    return pri_axes_pin(groups, record, node,
                        node->op->is_movement ? "spreads these channels over several axes"
                                              : "needs this axis whole");
}

static pare_status visit_axis(solver *s, int record)
{
    pri_groups *groups = s->groups;
    const pri_value *value = groups->axes[record].value;

    if (value->is_output)
        PRI_TRY(pri_axes_pin(groups, record, NULL, "channels are the model's output"));
    if (value->is_input)
        PRI_TRY(pri_axes_pin(groups, record, NULL, "channels are the model's input"));
    if (value->producer != NULL)
        PRI_TRY(visit_node(s, value->producer, record));
    for (int u = 0; u < value->n_uses; u++) {
        const pri_use *place = &value->uses[u];
        if (place->slot < 0)
            PRI_TRY(pri_axes_pin(groups, record, place->node,
                                 "a sub-graph of this operator reads these channels"));
        else
            PRI_TRY(visit_node(s, place->node, record));
    }
    return PARE_OK;
}

/* --- Start --- */

static bool is_created_by_weight(const node_rules *entry, const pri_tie *tie)
{
    const int other = tie->a >= PRI_OUT(0) ? tie->b : tie->a;

    if ((tie->a >= PRI_OUT(0)) == (tie->b >= PRI_OUT(0)))
        return false;
    const pri_operand *operand = pri_slot_operand(&entry->call, other);
    return operand->constant != NULL && operand->shape.rank >= 2;
}

static pare_status seed(solver *s)
{
    for (int i = 0; i < s->graph->n_nodes; i++) {
        const pri_node *node = s->graph->nodes[i];
        node_rules *entry = NULL;
        bool known =
            !node->is_dead && !node->is_derived && node->op != NULL && node->op->cost != NULL;
        for (int k = 0; k < node->n_outputs && known; k++)
            known = node->outputs[k] == NULL || s->groups->facts->of[node->outputs[k]->id].known;
        if (!known)
            continue;
        PRI_TRY(open_node(&entry, s, node));
        for (int t = 0; t < entry->rules.n_ties; t++) {
            const pri_tie *tie = &entry->rules.ties[t];
            int record = -1;
            if (!is_created_by_weight(entry, tie))
                continue;
            const bool a_is_output = tie->a >= PRI_OUT(0);
            PRI_TRY(pri_axes_follow(&record, s->groups,
                                    pri_slot_value(node, a_is_output ? tie->a : tie->b),
                                    a_is_output ? tie->axis_a : tie->axis_b));
        }
    }
    return PARE_OK;
}

pare_status pri_groups_new(pri_groups **out, const pare_model *model)
{
    pri_groups *groups = pri_alloc(model->ctx, 1, sizeof *groups);
    solver s = {.groups = groups, .graph = model->graph};
    pare_status status = PARE_ERROR_MEMORY;

    *out = NULL;
    if (groups == NULL)
        return status;
    groups->ctx = model->ctx;
    groups->model = model;
    PRI_CHECK(pri_arena_new(&groups->arena, model->ctx), status, failed);
    PRI_CHECK(pri_facts_infer(&groups->facts, model, 0, true), status, failed);
    groups->axis_of_value =
        pri_arena_alloc(groups->arena, (size_t)model->graph->n_values, sizeof(int));
    s.nodes = pri_arena_alloc(groups->arena, (size_t)model->graph->n_nodes, sizeof *s.nodes);
    status = PARE_ERROR_MEMORY;
    if (groups->axis_of_value == NULL || s.nodes == NULL)
        goto failed;
    for (int i = 0; i < model->graph->n_values; i++)
        groups->axis_of_value[i] = -1;
    PRI_CHECK(seed(&s), status, failed);
    for (; s.next < groups->n_axes; s.next++)
        PRI_CHECK(visit_axis(&s, s.next), status, failed);
    for (int i = 0; i < model->graph->n_nodes; i++) {
        if (s.nodes[i].is_done)
            PRI_CHECK(pri_groups_find_consumers(groups, model->graph->nodes[i], &s.nodes[i].rules),
                      status, failed);
    }
    PRI_CHECK(pri_groups_measure(groups), status, failed);
    PRI_CHECK(pri_groups_collect(groups), status, failed);
    *out = groups;
    return PARE_OK;

failed:
    pri_groups_free(groups);
    return status;
}

void pri_groups_free(pri_groups *groups)
{
    if (groups == NULL)
        return;
    pri_facts_free(groups->facts);
    pri_free(groups->axes);
    pri_free(groups->parent);
    pri_free(groups->axis_of);
    pri_free(groups->pin_of);
    pri_free(groups->pins);
    pri_free(groups->consumers);
    pri_arena_free(groups->arena);
    pri_free(groups);
}
