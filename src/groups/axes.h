/* SPDX-License-Identifier: Apache-2.0 */
/* axes.h - the axes that are followed, which of their elements are tied, which are pinned. */
#ifndef PRI_AXES_H
#define PRI_AXES_H

#include "groups/groups.h"

/* The element that stands for all tied to `element`. */
int64_t pri_axes_root(pri_groups *groups, int64_t element);
void pri_axes_join(pri_groups *groups, int64_t a, int64_t b);
/* Starts to follow an axis; *record is -1 for axes of one element, which cannot be cut, and for
 * those that are too long. */
pare_status pri_axes_follow(int *record, pri_groups *groups, const pri_value *value, int axis);
/* Freezes `count` elements of an axis from `first` on; the first reason stands. */
pare_status pri_axes_pin_range(pri_groups *groups, int record, int64_t first, int64_t count,
                               const pri_node *node, const char *reason);
pare_status pri_axes_pin(pri_groups *groups, int record, const pri_node *node, const char *reason);

#endif
