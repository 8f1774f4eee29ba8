/* SPDX-License-Identifier: Apache-2.0 */
/* inspect_rows.h - an inspection while it is put together (only within src/catalog). */
#ifndef PRI_INSPECT_ROWS_H
#define PRI_INSPECT_ROWS_H

#include <pare/inspect.h>

#include "groups/groups.h"

typedef struct pri_inspection {
    pare_inspection rows; /* what the caller sees; first, so that the two pointers are one */
    pri_arena *arena;     /* holds all text and arrays */
    const pare_model *model;
    pri_groups *groups; /* while it is made */
    int *row_of;        /* row of a node id, or -1 */
    pare_layer *layers;
    pare_group *group_rows;
} pri_inspection;

/* Fills the layers' rows and the edges between them. */
pare_status pri_inspect_layers(pri_inspection *in);
/* Fills groups, reasons and the totals; after the layers. */
pare_status pri_inspect_groups(pri_inspection *in);
/* The channel axis of a value that is followed (the first), or -1. */
int pri_inspect_axis(const pri_groups *groups, const pri_value *value);

#endif
