/* SPDX-License-Identifier: Apache-2.0 */
/*
 * select.c - takes units in the order of their scores until the goal is met.
 *
 * What is taken at once is a bundle: one unit, or as many units of a group as keep its channel
 * count a multiple of goal->align.
 */
#include "prune/select.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct candidate {
    int unit, group;
    double score;
} candidate;

typedef struct bundle {
    int first, count; /* candidates */
    double score;
    bool is_passed; /* would have overshot the goal */
} bundle;

static int by_score(const void *a, const void *b)
{
    const candidate *x = a, *y = b;

    if (x->score != y->score)
        return x->score < y->score ? -1 : 1;
    return x->unit - y->unit;
}

static int by_group(const void *a, const void *b)
{
    const candidate *x = a, *y = b;

    return x->group != y->group ? x->group - y->group : by_score(a, b);
}

static int by_bundle_score(const void *a, const void *b)
{
    const bundle *x = a, *y = b;

    if (x->score != y->score)
        return x->score < y->score ? -1 : 1;
    return x->first - y->first;
}

typedef struct selection {
    const pri_groups *groups;
    const pri_goal *goal;
    bool *removed;
    int64_t *kept;
    candidate *list;
    bundle *bundles;
    int n, n_bundles;
} selection;

static bool take_bundle(selection *s, const bundle *b)
{
    for (int i = 0; i < b->count; i++) {
        if (pri_groups_take(s->removed, s->kept, s->groups, s->list[b->first + i].unit))
            continue;
        while (i-- > 0)
            pri_groups_give_back(s->removed, s->kept, s->groups, s->list[b->first + i].unit);
        return false;
    }
    return true;
}

/* Walks the bundles until at most the goal is left; one that would overshoot by more than half a
 * percent is passed over for later ones, and the first of those that can still be taken is taken in
 * the end, only if nothing else reaches the goal. */
static double descend(selection *s)
{
    const double goal = s->goal->keep;
    double now = pri_goal_measure(s->goal, s->groups, s->removed, s->kept);

    for (int i = 0; i < s->n_bundles && now > goal; i++) {
        bundle *b = &s->bundles[i];
        if (!take_bundle(s, b))
            continue;
        const double then = pri_goal_measure(s->goal, s->groups, s->removed, s->kept);
        if (then >= 0.995 * goal) {
            now = then;
            continue;
        }
        for (int k = 0; k < b->count; k++)
            pri_groups_give_back(s->removed, s->kept, s->groups, s->list[b->first + k].unit);
        b->is_passed = true;
    }
    for (int i = 0; i < s->n_bundles && now > goal; i++) {
        if (s->bundles[i].is_passed && take_bundle(s, &s->bundles[i]))
            now = pri_goal_measure(s->goal, s->groups, s->removed, s->kept);
    }
    return now;
}

static pare_status list_candidates(selection *s, const double *scores, bool is_order)
{
    const pri_groups *groups = s->groups;
    double *saving = pri_alloc(groups->ctx, (size_t)groups->n_units, sizeof *saving);

    if (saving == NULL)
        return PARE_ERROR_MEMORY;
    const bool divides = !is_order && !s->goal->ignore_cost && !s->goal->per_layer;
    if (divides)
        pri_goal_savings(saving, s->goal, groups, s->removed, s->kept);
    pare_status status = PARE_OK;
    for (int u = 0; u < groups->n_units && status == PARE_OK; u++) {
        const pri_unit *unit = &groups->units[u];
        if (unit->pin >= 0 || s->removed[u])
            continue;
        if (!isfinite(scores[u]))
            status =
                pri_fail(groups->ctx, PARE_ERROR_NUMERIC, "a channel of '%s' has no finite score",
                         groups->groups[unit->group].name);
        s->list[s->n++] =
            (candidate){u, unit->group, divides ? scores[u] / fmax(saving[u], 1) : scores[u]};
    }
    pri_free(saving);
    return status;
}

/* Candidates of each group in the order of their scores, in bundles. */
static void make_bundles(selection *s)
{
    const int align = s->goal->align > 1 ? (int)s->goal->align : 1;

    qsort(s->list, (size_t)s->n, sizeof *s->list, by_group);
    for (int i = 0; i < s->n;) {
        const pri_group *group = &s->groups->groups[s->list[i].group];
        int end = i, kept = 0;
        for (int k = 0; k < group->n_units; k++)
            kept += !s->removed[group->units[k]];
        while (end < s->n && s->list[end].group == s->list[i].group)
            end++;
        const int from = i, gone = group->n_free - (end - i);
        for (int size = kept % align != 0 ? kept % align : align; i + size <= end;
             i += size, size = align) {
            bundle *b = &s->bundles[s->n_bundles++];
            *b = (bundle){.first = i, .count = size};
            for (int k = i; k < i + size; k++)
                b->score += s->list[k].score / size;
            if (s->goal->per_layer)
                b->score = (gone + i - from + 0.5 * size) / group->n_free;
        }
        i = end;
    }
    qsort(s->bundles, (size_t)s->n_bundles, sizeof *s->bundles, by_bundle_score);
}

pare_status pri_select(bool *removed, const pri_groups *groups, const double *scores,
                       const pri_goal *goal, bool is_order)
{
    const size_t n = (size_t)groups->n_units + 1;
    selection s = {.groups = groups,
                   .goal = goal,
                   .removed = removed,
                   .kept = pri_alloc(groups->ctx, (size_t)groups->n_axes, sizeof(int64_t)),
                   .list = pri_alloc(groups->ctx, n, sizeof(candidate)),
                   .bundles = pri_alloc(groups->ctx, n, sizeof(bundle))};
    pare_status status = PARE_ERROR_MEMORY;

    if (s.kept != NULL && s.list != NULL && s.bundles != NULL) {
        pri_groups_count(groups, removed, s.kept);
        status = list_candidates(&s, scores, is_order);
    }
    if (status == PARE_OK) {
        make_bundles(&s);
        const double now = descend(&s);
        if (now > goal->keep)
            status = pri_fail(groups->ctx, PARE_ERROR_TARGET,
                              "the target of %.2f %% cannot be reached; %.2f %% is the least that "
                              "can be kept%s",
                              100 * goal->keep / goal->whole, 100 * now / goal->whole,
                              goal->align > 1 ? " with this alignment" : "");
    }
    pri_free(s.kept);
    pri_free(s.list);
    pri_free(s.bundles);
    return status;
}
