/* SPDX-License-Identifier: Apache-2.0 */
/* goal.c - quantities a pruning aims at, and taking units one by one. */
#include "groups/groups.h"

double pri_goal_measure(const pri_goal *goal, const pri_groups *groups, const bool *removed,
                        const int64_t *kept)
{
    double channels = 0;

    switch (goal->quantity) {
    case PARE_MACS: return (double)pri_groups_macs(groups, kept);
    case PARE_PARAMETERS: return (double)pri_groups_parameters(groups, kept);
    case PARE_BYTES: return goal->bytes - (double)pri_groups_saved_bytes(groups, kept);
    case PARE_CHANNELS: break;
    }
    for (int u = 0; u < groups->n_units; u++)
        channels += groups->units[u].pin >= 0 || !removed[u];
    return channels;
}

bool pri_groups_take(bool *removed, int64_t *kept, const pri_groups *groups, int unit)
{
    const pri_unit *u = &groups->units[unit];
    bool is_possible = true;

    for (int64_t e = 0; e < u->n_elements; e++)
        is_possible = --kept[groups->axis_of[u->elements[e]]] >= 1 && is_possible;
    removed[unit] = true;
    if (!is_possible)
        pri_groups_give_back(removed, kept, groups, unit);
    return is_possible;
}

void pri_groups_give_back(bool *removed, int64_t *kept, const pri_groups *groups, int unit)
{
    const pri_unit *u = &groups->units[unit];

    for (int64_t e = 0; e < u->n_elements; e++)
        kept[groups->axis_of[u->elements[e]]]++;
    removed[unit] = false;
}

void pri_goal_savings(double *saving, const pri_goal *goal, const pri_groups *groups,
                      const bool *removed, int64_t *kept)
{
    const double now = pri_goal_measure(goal, groups, removed, kept);

    for (int u = 0; u < groups->n_units; u++) {
        const pri_unit *unit = &groups->units[u];
        saving[u] = 0;
        if (unit->pin >= 0 || removed[u])
            continue;
        for (int64_t e = 0; e < unit->n_elements; e++)
            kept[groups->axis_of[unit->elements[e]]]--;
        saving[u] = goal->quantity == PARE_CHANNELS
                        ? 1
                        : now - pri_goal_measure(goal, groups, removed, kept);
        for (int64_t e = 0; e < unit->n_elements; e++)
            kept[groups->axis_of[unit->elements[e]]]++;
    }
}
