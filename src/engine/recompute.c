/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recompute.c - where to cut a plan, so that activations which are dropped after the forward pass
 * and computed again segment by segment (Chen et al. 2016, "Training Deep Nets with Sublinear
 * Memory Cost") leave the smallest slab.
 *
 * As in their algorithm 3 a budget is stated and segments grow as far as it lets them, for many
 * budgets; the cuts of the best are then moved. Plans are compared by the most bytes that are
 * alive at once, which is cheap, then by the slab, and a little by the work that is done again. All
 * of it depends on the plan alone.
 */
#include "engine/plan.h"

#include <string.h>

enum {
    BUDGETS = 40,    /* shares of the memory without recomputation that are tried */
    POSITIONS = 160, /* places for cuts in a long plan */
    MISSES = 6,      /* a segment has grown as far as it can after so many that do not fit */
    ROUNDS = 8,      /* of moving cuts */
    PLACINGS = 500,  /* of promising plans, fewer in plans longer than SHORT_PLAN steps */
    SHORT_PLAN = 200
};

static const double WORK_WEIGHT = 0.1, MACS_AN_ELEMENT = 32;

typedef struct search {
    pri_engine *engine;
    int *second;      /* by instance: block of what is made again */
    int *start;       /* the cuts being tried, n + 1 */
    int *best;        /* the best cuts so far, best_n + 1 */
    int *position;    /* steps at which a cut may be, n_positions; the last is the end */
    int64_t *crosses; /* by step: bytes of values made before it and read forwards from it on */
    int64_t *live;    /* by plan time: bytes alive */
    double *work;     /* by step: share of the work of a forward pass */
    int best_n, n_positions;
    int placings; /* that may still be tried */
    double best_score;
} search;

/* --- What a plan needs --- */

/* The most bytes alive in plan times from .. to of what the times and blocks are now. */
static int64_t peak_between(search *s, int from, int to)
{
    const pri_engine *engine = s->engine;
    int64_t sum = 0, peak = 0;

    memset(s->live, 0, (size_t)(3 * engine->n_steps + 2) * sizeof *s->live);
    for (int b = 0; b < engine->n_blocks; b++) {
        const pri_block *block = &engine->blocks[b];
        if (block->is_foreign || block->alias >= 0 || block->last < 0)
            continue;
        const int64_t bytes = (int64_t)((block->bytes + 63) / 64 * 64);
        s->live[block->first] += bytes;
        s->live[block->last + 1] -= bytes;
    }
    for (int t = 0; t <= to; t++) {
        sum += s->live[t];
        if (t >= from && sum > peak)
            peak = sum;
    }
    return peak;
}

static void plan(search *s, const int *start, int n)
{
    pri_plan_schedule(s->engine, start, n, s->second);
    pri_plan_measure(s->engine);
}

/* `bytes`, and WORK_WEIGHT more of them for a whole second forward pass. */
static double score_of(const search *s, double bytes)
{
    const pri_engine *engine = s->engine;
    double work = 0;

    for (int i = 0; i < engine->n_steps; i++)
        work += engine->steps[i].again >= 0 ? s->work[i] : 0;
    return bytes * (1 + WORK_WEIGHT * work);
}

/* Takes start[0 .. n] when it is better than what was; *out says whether. */
static pare_status take(bool *out, search *s, const int *start, int n)
{
    *out = false;
    plan(s, start, n);
    /* the slab is at least that large */
    if (s->placings == 0 ||
        score_of(s, (double)peak_between(s, 0, s->engine->end)) >= s->best_score)
        return PARE_OK;
    s->placings--;
    PRI_TRY(pri_plan_place(s->engine));
    const double score = score_of(s, (double)s->engine->slab_bytes);
    if (score >= s->best_score)
        return PARE_OK;
    *out = true;
    s->best_score = score;
    s->best_n = n;
    memcpy(s->best, start, ((size_t)n + 1) * sizeof *start);
    return PARE_OK;
}

/* --- Segments that grow --- */

/* The most bytes alive while segment n (start[n] .. end-1) runs again and goes back, when all
 * behind it is one segment. */
static int64_t segment_peak(search *s, int n, int end)
{
    pri_engine *engine = s->engine;
    const bool is_last = end == engine->n_steps;

    s->start[n + 1] = end;
    s->start[n + 2] = engine->n_steps;
    plan(s, s->start, is_last ? n + 1 : n + 2);
    const int from = is_last ? 0 : engine->steps[end].back + 1;
    return peak_between(s, from, engine->steps[s->start[n]].back);
}

/* Where segment n ends: among the last third of the places it can reach within the budget, the one
 * where the fewest bytes cross; -1 when it cannot reach any. */
static int grow(search *s, int n, int64_t budget)
{
    int reached = -1, misses = 0, end = -1;
    const int from = s->start[n];

    for (int p = 0; p < s->n_positions - 1 && misses < MISSES; p++) {
        if (s->position[p] <= from)
            continue;
        const bool fits = segment_peak(s, n, s->position[p]) <= budget;
        reached = fits ? s->position[p] : reached;
        misses = fits ? 0 : misses + 1;
    }
    for (int p = 0; p < s->n_positions - 1 && s->position[p] <= reached; p++) {
        const int at = s->position[p];
        if (at > from && 3 * (reached - at) <= reached - from &&
            (end < 0 || s->crosses[at] <= s->crosses[end]))
            end = at;
    }
    return end;
}

static pare_status try_budget(search *s, int64_t budget)
{
    const int n_steps = s->engine->n_steps;
    bool is_better;
    int n = 0;

    s->start[0] = 0;
    while (segment_peak(s, n, n_steps) > budget) {
        const int end = grow(s, n, budget);
        if (end < 0)
            return PARE_OK;
        s->start[++n] = end;
    }
    s->start[n + 1] = n_steps;
    return take(&is_better, s, s->start, n + 1);
}

/* --- Cuts that move --- */

/* Moves cut k of the best by `by` steps, or leaves it out (0), if that is better. */
static pare_status try_move(bool *has_moved, search *s, int k, int by)
{
    bool is_better;
    const int n = s->best_n;
    int count = 0;

    for (int j = 0; j <= n; j++) {
        if (j != k || by != 0)
            s->start[count++] = s->best[j] + (j == k ? by : 0);
    }
    for (int j = 1; j < count; j++) {
        if (s->start[j] <= s->start[j - 1])
            return PARE_OK;
    }
    PRI_TRY(take(&is_better, s, s->start, count - 1));
    *has_moved = *has_moved || is_better;
    return PARE_OK;
}

static pare_status move_cuts(search *s)
{
    static const int by[] = {0, -1, 1, -2, 2, -3, 3, -4, 4, -6, 6};
    bool has_moved = true;

    for (int round = 0; round < ROUNDS && has_moved; round++) {
        has_moved = false;
        for (int k = 1; k < s->best_n; k++) {
            for (size_t m = 0; m < PRI_COUNT(by) && k < s->best_n; m++)
                PRI_TRY(try_move(&has_moved, s, k, by[m]));
        }
    }
    return PARE_OK;
}

/* --- All of it --- */

/* Elements written, and multiplications at the rate of MACS_AN_ELEMENT. */
static void measure_work(search *s)
{
    const pri_engine *engine = s->engine;
    double sum = 0;

    for (int i = 0; i < engine->n_steps; i++) {
        const pri_step *step = &engine->steps[i];
        pri_cost cost = {0};
        if (step->node != NULL && step->node->op->cost != NULL)
            step->node->op->cost(&step->call, &cost);
        s->work[i] = (double)cost.macs / MACS_AN_ELEMENT;
        for (int k = 0; k < step->call.n_out; k++) {
            if (step->out_id[k] >= 0)
                s->work[i] += (double)pri_shape_count(&step->out[k].shape);
        }
        sum += s->work[i];
    }
    for (int i = 0; i < engine->n_steps && sum > 0; i++)
        s->work[i] /= sum;
}

static void measure_crossings(search *s)
{
    const pri_engine *engine = s->engine;

    for (int i = 0; i < engine->n_steps; i++) {
        const pri_step *step = &engine->steps[i];
        for (int k = 0; k < step->call.n_in; k++) {
            const int id = step->in_id[k];
            if (id < 0 || engine->instances[id].producer < 0)
                continue;
            for (int at = engine->instances[id].producer + 1; at <= i; at++)
                s->crosses[at] += (int64_t)engine->blocks[engine->instances[id].block].bytes;
        }
    }
}

static pare_status open_search(search *s, pri_engine *engine)
{
    const int n = engine->n_steps;
    pri_arena *arena = engine->arena;

    *s = (search){.engine = engine};
    s->second = pri_arena_alloc(arena, (size_t)engine->n_instances, sizeof *s->second);
    s->start = pri_arena_alloc(arena, (size_t)n + 3, sizeof *s->start);
    s->best = pri_arena_alloc(arena, (size_t)n + 3, sizeof *s->best);
    s->position = pri_arena_alloc(arena, POSITIONS + 1, sizeof *s->position);
    s->crosses = pri_arena_alloc(arena, (size_t)n + 1, sizeof *s->crosses);
    s->live = pri_arena_alloc(arena, 3 * (size_t)n + 3, sizeof *s->live);
    s->work = pri_arena_alloc(arena, (size_t)n + 1, sizeof *s->work);
    if (s->second == NULL || s->start == NULL || s->best == NULL || s->position == NULL ||
        s->crosses == NULL || s->live == NULL || s->work == NULL)
        return PARE_ERROR_MEMORY;
    for (int i = 0; i < engine->n_instances; i++) {
        s->second[i] = engine->instances[i].block;
        if (engine->instances[i].producer < 0 || !engine->options.recompute)
            continue;
        s->second[i] = pri_plan_add_block(engine, engine->blocks[engine->instances[i].block].bytes);
        if (s->second[i] < 0)
            return PARE_ERROR_MEMORY;
    }
    for (int p = 1; p <= POSITIONS; p++) {
        const int at = (int)((int64_t)n * p / POSITIONS);
        if (at > 0 && (s->n_positions == 0 || at > s->position[s->n_positions - 1]))
            s->position[s->n_positions++] = at;
    }
    return PARE_OK;
}

static pare_status find_cuts(search *s)
{
    const pri_engine *engine = s->engine;
    const int n = engine->n_steps, even = engine->options.segments;

    if (even > 0) {
        s->best_n = even < n ? even : n;
        for (int j = 0; j <= s->best_n; j++)
            s->best[j] = (int)((int64_t)n * j / s->best_n);
        return PARE_OK;
    }
    measure_crossings(s);
    measure_work(s);
    s->placings = PLACINGS / (1 + n / SHORT_PLAN);
    const int64_t most = (int64_t)s->best_score;
    for (int b = 1; b < BUDGETS; b++)
        PRI_TRY(try_budget(s, most * b / BUDGETS));
    return move_cuts(s);
}

pare_status pri_plan_recompute(pri_engine *engine)
{
    pri_segments *segments = &engine->segments;
    const int n = engine->n_steps;
    search s;

    PRI_TRY(open_search(&s, engine));
    s.best[1] = n;
    s.best_n = 1;
    plan(&s, s.best, 1);
    PRI_TRY(pri_plan_place(engine));
    segments->slab_bytes = engine->slab_bytes;
    s.best_score = (double)engine->slab_bytes;
    segments->start = s.best;
    segments->n = 1;
    if (!engine->options.recompute || !engine->options.backward || n < 2)
        return PARE_OK;
    PRI_TRY(find_cuts(&s));
    plan(&s, s.best, s.best_n);
    PRI_TRY(pri_plan_place(engine));
    if (engine->slab_bytes >= segments->slab_bytes && engine->options.segments == 0) {
        s.best[1] = n;
        s.best_n = 1;
        plan(&s, s.best, 1);
        PRI_TRY(pri_plan_place(engine));
    }
    segments->n = s.best_n;
    return PARE_OK;
}

/* --- Running --- */

pare_status pri_engine_run_again(pri_engine *engine, int s, int *ran)
{
    pri_segments *segments = &engine->segments;

    *ran = -1;
    while (segments->start[segments->there] > s) {
        segments->there--;
        segments->next = segments->start[segments->there];
    }
    if (segments->there == segments->n - 1)
        return PARE_OK;
    for (; segments->next < segments->start[segments->there + 1]; segments->next++) {
        pri_step *step = &engine->steps[segments->next];
        if (step->again < 0)
            continue;
        pri_plan_bind_step(engine, step, true);
        step->call.is_again = true;
        const pare_status status = pri_plan_forward(step, engine);
        step->call.is_again = false;
        *ran = segments->next++;
        return status;
    }
    return PARE_OK;
}
