/* SPDX-License-Identifier: Apache-2.0 */
/*
 * select.c - takes units in the order of their scores until the goal is met.
 *
 * What is taken at once is a bundle: one unit, or as many units of a group as keep its channel
 * count a multiple of the group's step. The step is goal->align, or chosen for each group (see
 * step_of).
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
    int widest; /* step, where steps are chosen */
} selection;

/*
 * Steps that are chosen, and how many units a group has at least for each: at first the machine's
 * step of channels, where a group has two of them (kernels/channel_step.h), then 4, since ONNX
 * Runtime leaves its blocked layout for counts that are no multiple of it, then single units. Wide
 * steps everywhere are fastest, but groups of one never shrink then and the others pay for them:
 * ResNet-56 at 47 % of its MACs runs in 0.53 instead of 0.67 of the time, at 48 instead of 90.5 %
 * accuracy (bench/results/alignment.md).
 */
enum { PASSES = 3 };

static int step_at(const selection *s, int pass)
{
    return pass == 0 ? s->goal->channel_step : pass == 1 ? 4 : 1;
}

static int step_of(const selection *s, const pri_group *group)
{
    if (s->goal->align > 0)
        return (int)s->goal->align;
    for (int pass = 0; pass < PASSES; pass++) {
        const int step = step_at(s, pass);
        if (step <= s->widest && group->n_units >= 2 * step)
            return step;
    }
    return 1;
}

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
 * percent is passed over for later ones. */
static double walk(selection *s)
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
    return now;
}

/* Takes the first of the bundles that were passed over and can still be taken: nothing else reaches
 * the goal. */
static double overshoot(selection *s)
{
    const double goal = s->goal->keep;
    double now = pri_goal_measure(s->goal, s->groups, s->removed, s->kept);

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

    s->n = 0;
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
    s->n_bundles = 0;
    qsort(s->list, (size_t)s->n, sizeof *s->list, by_group);
    for (int i = 0; i < s->n;) {
        const pri_group *group = &s->groups->groups[s->list[i].group];
        const int align = step_of(s, group);
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

/* Where steps are chosen, what the wide ones leave of the way is gone in finer ones, the last of it
 * in single units, so that a goal is met as closely as without alignment. */
static pare_status descend(selection *s, const double *scores, bool is_order)
{
    const pri_goal *goal = s->goal;
    const int n_passes = goal->align > 0 ? 1 : PASSES;
    double now = goal->whole;

    for (int pass = 0; pass < n_passes && now > goal->keep; pass++) {
        s->widest = step_at(s, pass);
        PRI_TRY(list_candidates(s, scores, is_order));
        make_bundles(s);
        now = walk(s);
        if (now > goal->keep && pass + 1 == n_passes)
            now = overshoot(s);
    }
    if (now <= goal->keep)
        return PARE_OK;
    return pri_fail(
        s->groups->ctx, PARE_ERROR_TARGET,
        "the target of %.3g %% cannot be reached; %.3g %% is the least that can be kept%s",
        100 * goal->keep / goal->whole, 100 * now / goal->whole,
        goal->align > 1 ? " with this alignment" : "");
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
        status = descend(&s, scores, is_order);
    }
    pri_free(s.kept);
    pri_free(s.list);
    pri_free(s.bundles);
    return status;
}
