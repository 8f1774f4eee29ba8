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
    const char *reason; /* NULL: free */
} pri_axis_note;

struct pri_rules {
    pri_arena *arena;
    const pri_call *call;
    pri_tie *ties;
    int n_ties, ties_capacity;
    pri_axis_note *notes;
    int n_notes, notes_capacity;
};

/* The operand or value behind a slot, NULL when absent. */
const pri_operand *pri_slot_operand(const pri_call *call, int slot);
const pri_value *pri_slot_value(const pri_node *node, int slot);

/* Derives the ties of axis `axis` of input `slot` of a node that only moves data, by running it on
 * labels, and adds them to rules. *found says whether its outputs carry the axis. */
pare_status pri_rules_move(pri_rules *rules, const pri_groups *groups, const pri_node *node,
                           int slot, int axis, bool *found);
/* Whether input `slot` only says how to move (a shape, indices, a fill value). */
bool pri_is_movement_parameter(const pri_operand *operand, int slot);

#endif
