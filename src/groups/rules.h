/* SPDX-License-Identifier: Apache-2.0 */
/* rules.h - what one node declares about its axes, collected from its couple hook. */
#ifndef PRI_RULES_H
#define PRI_RULES_H

#include "groups/groups.h"

typedef struct pri_tie {
    int a, axis_a, b, axis_b; /* slots and axes */
    int64_t ia, ib, count;
} pri_tie;

typedef struct pri_axis_note {
    int slot, axis;
    int64_t first, count; /* elements; count -1: all of them */
    const char *reason;   /* NULL: free */
} pri_axis_note;

struct pri_rules {
    pri_arena *arena;
    const pri_call *call;
    pri_tie *ties;
    int n_ties, ties_capacity;
    pri_axis_note *notes;
    int n_notes, notes_capacity;
};

/* Adds a copy of a note. */
pare_status pri_rules_note(pri_rules *rules, const pri_axis_note *note);
/* The operand or value behind a slot, NULL when absent. */
const pri_operand *pri_slot_operand(const pri_call *call, int slot);
const pri_value *pri_slot_value(const pri_node *node, int slot);

/* movement.c: derives the ties of axis `axis` of input `slot` of a node that only moves data, by
 * running it on labels, and adds them to rules; where the outputs do not carry the axis, a pin. */
pare_status pri_rules_move(pri_rules *rules, const pri_groups *groups, const pri_node *node,
                           int slot, int axis);
/* An input of one channel that becomes one of several channels of an output must stay there: an
 * axis of one element is not followed, so the pin stands on the output's element. */
pare_status pri_rules_pin_single(pri_rules *rules, const pri_groups *groups, const pri_node *node,
                                 int slot);
/* Whether input `slot` only says how to move (a shape, indices, a fill value). */
bool pri_is_movement_parameter(const pri_operand *operand, int slot);

/* measure.c: adds the products of a node that sum over followed axes; costs of weights and
 * products. */
pare_status pri_groups_find_consumers(pri_groups *groups, pri_node *node, const pri_rules *rules);
pare_status pri_groups_measure(pri_groups *groups);
/* collect.c: units, groups. */
pare_status pri_groups_collect(pri_groups *groups);

#endif
