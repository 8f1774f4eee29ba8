/* SPDX-License-Identifier: Apache-2.0 */
/* select.h - which units go, for a goal. */
#ifndef PRI_SELECT_H
#define PRI_SELECT_H

#include "groups/groups.h"

/* Adds to removed[] (n_units; units gone already stay so) until the goal is reached with the lowest
 * scores gone and at least one element left of every axis. Scores are divided by what a unit saves
 * unless goal->ignore_cost or `is_order` (they say the order itself). PARE_ERROR_TARGET names what
 * can be reached at most. */
pare_status pri_select(bool *removed, const pri_groups *groups, const double *scores,
                       const pri_goal *goal, bool is_order);

#endif
