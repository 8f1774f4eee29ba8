/* SPDX-License-Identifier: Apache-2.0 */
/* select.h - which units go, for a target. */
#ifndef PRI_SELECT_H
#define PRI_SELECT_H

#include "groups/groups.h"

typedef enum pri_target { PRI_TARGET_MACS, PRI_TARGET_PARAMETERS, PRI_TARGET_CHANNELS } pri_target;

typedef struct pri_selection {
    pri_target target;
    double fraction; /* to keep */
    bool per_layer, per_mac;
} pri_selection;

/* Sets removed[] (n_units) so that the target is reached with the lowest scores gone and at least one
 * element left of every axis. PARE_ERROR_TARGET names what can be reached at most. */
pare_status pri_select(bool *removed, const pri_groups *groups, const double *scores,
                       const pri_selection *selection);

#endif
