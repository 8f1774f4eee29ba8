/* SPDX-License-Identifier: Apache-2.0 */
/* select.c - takes units in the order of their scores until the target is met. */
#include "prune/select.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct candidate {
    int unit;
    double score;
} candidate;

static int by_score(const void *a, const void *b)
{
    const candidate *x = a, *y = b;

    if (x->score != y->score)
        return x->score < y->score ? -1 : 1;
    return x->unit - y->unit;
}

static double cost_of(const pri_groups *groups, const pri_selection *s, const bool *removed,
                      const int64_t *kept)
{
    double channels = 0;

    if (s->target == PRI_TARGET_MACS)
        return (double)pri_groups_macs(groups, kept);
    if (s->target == PRI_TARGET_PARAMETERS)
        return (double)pri_groups_parameters(groups, kept);
    for (int u = 0; u < groups->n_units; u++)
        channels += groups->units[u].pin >= 0 || !removed[u];
    return channels;
}

/* Takes a unit away unless an axis would be left empty. */
static bool take(bool *removed, int64_t *kept, const pri_groups *groups, int unit)
{
    const pri_unit *u = &groups->units[unit];

    for (int64_t e = 0; e < u->n_elements; e++)
        kept[groups->axis_of[u->elements[e]]]--;
    for (int64_t e = 0; e < u->n_elements; e++) {
        if (kept[groups->axis_of[u->elements[e]]] >= 1)
            continue;
        for (int64_t f = 0; f < u->n_elements; f++)
            kept[groups->axis_of[u->elements[f]]]++;
        return false;
    }
    removed[unit] = true;
    return true;
}

static void give_back(bool *removed, int64_t *kept, const pri_groups *groups, int unit)
{
    const pri_unit *u = &groups->units[unit];

    for (int64_t e = 0; e < u->n_elements; e++)
        kept[groups->axis_of[u->elements[e]]]++;
    removed[unit] = false;
}

/* Walks the list until at most `goal` is left; a unit that would overshoot by more than 1 % is passed
 * over for later ones, and taken in the end only if nothing else reaches the goal. */
static double descend(bool *removed, int64_t *kept, const pri_groups *groups,
                      const pri_selection *selection, const candidate *list, int n, double goal)
{
    double now = cost_of(groups, selection, removed, kept);
    int passed = -1;

    for (int i = 0; i < n && now > goal; i++) {
        if (!take(removed, kept, groups, list[i].unit))
            continue;
        const double then = cost_of(groups, selection, removed, kept);
        if (then < 0.99 * goal) {
            give_back(removed, kept, groups, list[i].unit);
            passed = passed < 0 ? list[i].unit : passed;
        } else {
            now = then;
        }
    }
    if (now > goal && passed >= 0 && take(removed, kept, groups, passed))
        now = cost_of(groups, selection, removed, kept);
    return now;
}

/* MACs that the first unit of each group would save alone, for dividing scores. */
static pare_status divide_by_macs(candidate *list, int n, const pri_groups *groups,
                                  const int64_t *all)
{
    int64_t *kept = pri_alloc(groups->ctx, (size_t)groups->n_axes, sizeof *kept);
    const double full = (double)pri_groups_macs(groups, all);

    if (kept == NULL)
        return PARE_ERROR_MEMORY;
    for (int i = 0; i < n; i++) {
        const pri_unit *u = &groups->units[list[i].unit];
        memcpy(kept, all, (size_t)groups->n_axes * sizeof *kept);
        for (int64_t e = 0; e < u->n_elements; e++)
            kept[groups->axis_of[u->elements[e]]]--;
        list[i].score /= fmax(1, full - (double)pri_groups_macs(groups, kept));
    }
    pri_free(kept);
    return PARE_OK;
}

/* Scores become ranks within the group, so that all groups lose the same fraction. */
static void rank_groups(candidate *list, int n, const pri_groups *groups)
{
    int *seen = pri_alloc(groups->ctx, (size_t)groups->n_groups, sizeof *seen);

    if (seen == NULL)
        return;
    qsort(list, (size_t)n, sizeof *list, by_score);
    for (int i = 0; i < n; i++) {
        const int g = groups->units[list[i].unit].group;
        list[i].score = (seen[g]++ + 0.5) / groups->groups[g].n_free;
    }
    pri_free(seen);
}

pare_status pri_select(bool *removed, const pri_groups *groups, const double *scores,
                       const pri_selection *selection)
{
    candidate *list = pri_alloc(groups->ctx, (size_t)groups->n_units, sizeof *list);
    int64_t *kept = pri_alloc(groups->ctx, (size_t)groups->n_axes, sizeof *kept);
    pare_status status = list != NULL && kept != NULL ? PARE_OK : PARE_ERROR_MEMORY;
    int n = 0;

    memset(removed, 0, (size_t)groups->n_units * sizeof *removed);
    for (int u = 0; u < groups->n_units && status == PARE_OK; u++) {
        if (groups->units[u].pin >= 0)
            continue;
        if (!isfinite(scores[u]))
            status = pri_fail(groups->ctx, PARE_ERROR_NUMERIC,
                              "a channel of '%s' has no finite score",
                              groups->groups[groups->units[u].group].name);
        list[n++] = (candidate){u, scores[u]};
    }
    if (status == PARE_OK) {
        pri_groups_count(groups, removed, kept);
        if (selection->per_mac)
            status = divide_by_macs(list, n, groups, kept);
    }
    if (status == PARE_OK) {
        if (selection->per_layer)
            rank_groups(list, n, groups);
        qsort(list, (size_t)n, sizeof *list, by_score);
        const double full = cost_of(groups, selection, removed, kept);
        const double now = descend(removed, kept, groups, selection, list, n,
                                   selection->fraction * full);
        if (now > selection->fraction * full)
            status = pri_fail(groups->ctx, PARE_ERROR_TARGET,
                              "the target of %.1f %% cannot be reached; %.1f %% is the least that "
                              "can be kept",
                              100 * selection->fraction, 100 * now / full);
    }
    pri_free(list);
    pri_free(kept);
    return status;
}
