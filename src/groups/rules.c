/* SPDX-License-Identifier: Apache-2.0 */
/* rules.c - collecting ties. */
#include "groups/rules.h"

#include <string.h>

const pri_operand *pri_slot_operand(const pri_call *call, int slot)
{
    const pri_operand *operand = NULL;

    if (slot >= PRI_OUT(0) && slot < PRI_OUT(call->n_out))
        operand = &call->out[slot - PRI_OUT(0)];
    else if (slot >= 0 && slot < call->n_in)
        operand = &call->in[slot];
    return operand != NULL && operand->present ? operand : NULL;
}

const pri_value *pri_slot_value(const pri_node *node, int slot)
{
    if (slot >= PRI_OUT(0))
        return slot < PRI_OUT(node->n_outputs) ? node->outputs[slot - PRI_OUT(0)] : NULL;
    return slot >= 0 && slot < node->n_inputs ? node->inputs[slot] : NULL;
}

/* Arena arrays grow by copying; what they leave behind is freed with the arena. */
static void *grow(pri_arena *arena, void *old, int used, int *capacity, size_t size)
{
    if (used < *capacity)
        return old;
    const int larger = *capacity > 0 ? 2 * *capacity : 16;
    void *fresh = pri_arena_alloc(arena, (size_t)larger, size);
    if (fresh == NULL)
        return NULL;
    if (used > 0)
        memcpy(fresh, old, (size_t)used * size);
    *capacity = larger;
    return fresh;
}

static bool is_range(const pri_operand *operand, int axis, int64_t from, int64_t count)
{
    return axis >= 0 && axis < operand->shape.rank && from >= 0 && count >= 0 &&
           from + count <= operand->shape.dims[axis];
}

pare_status pri_rules_tie(pri_rules *rules, int a, int axis_a, int64_t ia, int b, int axis_b,
                          int64_t ib, int64_t count)
{
    const pri_operand *first = pri_slot_operand(rules->call, a);
    const pri_operand *second = pri_slot_operand(rules->call, b);

    if (first == NULL || second == NULL || count == 0)
        return PARE_OK;
    if (!is_range(first, axis_a, ia, count) || !is_range(second, axis_b, ib, count))
        return pri_op_fail(rules->call, PARE_ERROR_INTERNAL,
                           "declares a tie outside its operands (slots %d and %d)", a, b);
    pri_tie *ties =
        grow(rules->arena, rules->ties, rules->n_ties, &rules->ties_capacity, sizeof *ties);
    if (ties == NULL)
        return PARE_ERROR_MEMORY;
    rules->ties = ties;
    ties[rules->n_ties++] = (pri_tie){a, axis_a, b, axis_b, ia, ib, count};
    return PARE_OK;
}

pare_status pri_rules_note(pri_rules *rules, const pri_axis_note *note)
{
    pri_axis_note *notes =
        grow(rules->arena, rules->notes, rules->n_notes, &rules->notes_capacity, sizeof *notes);

    if (notes == NULL)
        return PARE_ERROR_MEMORY;
    rules->notes = notes;
    notes[rules->n_notes++] = *note;
    return PARE_OK;
}

pare_status pri_rules_pin(pri_rules *rules, int slot, int axis, const char *reason)
{
    return pri_rules_note(rules, &(pri_axis_note){slot, axis, 0, -1, reason});
}

pare_status pri_rules_free(pri_rules *rules, int slot, int axis)
{
    return pri_rules_note(rules, &(pri_axis_note){slot, axis, 0, 0, NULL});
}
