/* SPDX-License-Identifier: Apache-2.0 */
/* surgeon.c - the greedy order over all layers; see surgeon.h. */
#include "criteria/surgeon.h"

#include <math.h>
#include <string.h>

#include "criteria/surgeon_sites.h"

static const double UNPRICED = 1e30;

/* Which layers read which unit. */
typedef struct link {
    int layer, member;
} link;

typedef struct walk {
    pri_surgeon sites;
    int *first; /* by unit: its links are links[first[u] .. first[u+1]-1] */
    link *links;
    bool *gone;     /* by unit */
    bool *blocked;  /* by unit: an axis would be left empty */
    int64_t *kept;  /* by axis */
    double *saving; /* by unit, of the goal's quantity */
    int *left;      /* free units left, by group */
} walk;

static pare_status link_units(walk *w)
{
    const int n = w->sites.groups->n_units;
    int total = 0;

    for (int i = 0; i < w->sites.n_layers; i++) {
        const pri_surgeon_layer *layer = &w->sites.layers[i];
        for (int m = 0; m < layer->n_members; m++)
            w->first[layer->units[m] + 1]++;
        total += layer->n_members;
    }
    for (int u = 0; u < n; u++)
        w->first[u + 1] += w->first[u];
    w->links = pri_alloc(w->sites.groups->ctx, (size_t)total + 1, sizeof *w->links);
    int *next = pri_alloc(w->sites.groups->ctx, (size_t)n + 1, sizeof *next);
    if (w->links == NULL || next == NULL) {
        pri_free(next);
        return PARE_ERROR_MEMORY;
    }
    memcpy(next, w->first, (size_t)n * sizeof *next);
    for (int i = 0; i < w->sites.n_layers; i++) {
        const pri_surgeon_layer *layer = &w->sites.layers[i];
        for (int m = 0; m < layer->n_members; m++)
            w->links[next[layer->units[m]]++] = (link){i, m};
    }
    pri_free(next);
    return PARE_OK;
}

/* Takes a unit out of all layers that read it, and prices these anew. */
static pare_status remove_unit(walk *w, int unit, bool price)
{
    for (int k = w->first[unit]; k < w->first[unit + 1]; k++) {
        pri_surgeon_layer *layer = &w->sites.layers[w->links[k].layer];
        PRI_TRY(pri_surgeon_layer_remove(layer, w->links[k].member));
        if (price)
            PRI_TRY(pri_surgeon_layer_price(layer));
    }
    return PARE_OK;
}

/* A unit that no measured layer reads (though it may be read otherwise) goes last. */
static double cost_of_unit(const walk *w, int unit)
{
    double cost = w->first[unit] == w->first[unit + 1] ? UNPRICED : 0;

    for (int k = w->first[unit]; k < w->first[unit + 1]; k++) {
        const pri_surgeon_layer *layer = &w->sites.layers[w->links[k].layer];
        cost += layer->cost[w->links[k].member] * layer->scale;
    }
    return cost;
}

/* The unit to take next, or -1. */
static int choose(const walk *w)
{
    const pri_goal *goal = &w->sites.asked->goal;
    const pri_groups *groups = w->sites.groups;
    double best = INFINITY, most_left = -1;
    int unit = -1;

    for (int u = 0; u < groups->n_units; u++) {
        if (groups->units[u].pin >= 0 || w->gone[u] || w->blocked[u])
            continue;
        const int g = groups->units[u].group;
        const double left = goal->per_layer ? (double)w->left[g] / groups->groups[g].n_free : 0;
        const double cost = cost_of_unit(w, u) / (goal->ignore_cost ? 1 : fmax(w->saving[u], 1));
        if (left > most_left || (left == most_left && cost < best)) {
            most_left = left;
            best = cost;
            unit = u;
        }
    }
    return unit;
}

/* Units still there follow in the order of what they would cost for what they would save. */
static void order_rest(double *scores, const walk *w, int place)
{
    const pri_groups *groups = w->sites.groups;
    double largest = 0;

    for (int pass = 0; pass < 2; pass++) {
        for (int u = 0; u < groups->n_units; u++) {
            if (w->gone[u] || groups->units[u].pin >= 0)
                continue;
            const double cost = cost_of_unit(w, u);
            const double share =
                cost / (w->sites.asked->goal.ignore_cost ? 1 : fmax(w->saving[u], 1));
            if (pass == 0 && cost < UNPRICED)
                largest = fmax(largest, share);
            else if (pass == 1)
                scores[u] = place + (cost >= UNPRICED ? 2 : share / (largest > 0 ? largest : 1));
        }
    }
}

static pare_status walk_down(double *scores, walk *w)
{
    const pri_groups *groups = w->sites.groups;
    const pri_goal *goal = &w->sites.asked->goal;
    const int every = groups->n_units / 64 > 8 ? groups->n_units / 64 : 8;
    int place = 0;

    pri_groups_count(groups, w->gone, w->kept);
    while (pri_goal_measure(goal, groups, w->gone, w->kept) > 0.97 * goal->keep) {
        if (place % every == 0 && !goal->ignore_cost)
            pri_goal_savings(w->saving, goal, groups, w->gone, w->kept);
        const int unit = choose(w);
        if (unit < 0)
            break;
        if (!pri_groups_take(w->gone, w->kept, groups, unit)) {
            w->blocked[unit] = true;
            continue;
        }
        w->left[groups->units[unit].group]--;
        PRI_TRY(remove_unit(w, unit, true));
        scores[unit] = place++;
        if (place % 16 == 0)
            PRI_TRY(pri_check_cancel(groups->ctx, "ordering channels"));
    }
    order_rest(scores, w, place);
    return PARE_OK;
}

/* Units gone before leave their layers first. */
static pare_status start_walk(walk *w)
{
    const pri_groups *groups = w->sites.groups;

    PRI_TRY(link_units(w));
    for (int g = 0; g < groups->n_groups; g++)
        w->left[g] = groups->groups[g].n_free;
    for (int u = 0; u < groups->n_units; u++) {
        w->gone[u] = w->sites.asked->removed[u];
        if (!w->gone[u])
            continue;
        w->left[groups->units[u].group]--;
        PRI_TRY(remove_unit(w, u, false));
    }
    for (int i = 0; i < w->sites.n_layers; i++)
        PRI_TRY(pri_surgeon_layer_price(&w->sites.layers[i]));
    return PARE_OK;
}

pare_status pri_score_surgeon(double *scores, const pri_scoring *scoring, bool by_outputs)
{
    const pri_groups *groups = scoring->groups;
    const size_t n = (size_t)groups->n_units + 2;
    walk w = {.gone = pri_alloc(groups->ctx, n, sizeof *w.gone),
              .blocked = pri_alloc(groups->ctx, n, sizeof *w.blocked),
              .first = pri_alloc(groups->ctx, n, sizeof *w.first),
              .kept = pri_alloc(groups->ctx, (size_t)groups->n_axes, sizeof *w.kept),
              .saving = pri_alloc(groups->ctx, n, sizeof *w.saving),
              .left = pri_alloc(groups->ctx, (size_t)groups->n_groups, sizeof *w.left)};
    pare_status status = PARE_ERROR_MEMORY;

    if (w.gone != NULL && w.blocked != NULL && w.first != NULL && w.kept != NULL &&
        w.saving != NULL && w.left != NULL)
        status = pri_surgeon_open(&w.sites, scoring, by_outputs);
    if (status == PARE_OK)
        status = start_walk(&w);
    if (status == PARE_OK)
        status = walk_down(scores, &w);
    pri_surgeon_close(&w.sites);
    pri_free(w.first);
    pri_free(w.links);
    pri_free(w.gone);
    pri_free(w.blocked);
    pri_free(w.kept);
    pri_free(w.saving);
    pri_free(w.left);
    return status;
}
