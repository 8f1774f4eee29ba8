/* SPDX-License-Identifier: Apache-2.0 */
/*
 * segments.c - what is kept and what is made again when a plan is cut into segments.
 *
 * A value that another segment than its own needs after the forward pass, to run again or to go
 * backwards, is kept; so is what cannot be made again, and all of the last segment, which goes
 * backwards at once. What else backward reads is made again, with the values it is made of.
 */
#include "engine/plan.h"

/* Whether a second run writes the same: no state moves in it that it reads. */
static bool is_repeatable(const pri_engine *engine, const pri_step *step)
{
    if (step->node == NULL || !engine->options.training)
        return true;
    if (step->node->op->updates != 0) {
        /* its numbers of the first time must be there, and further outputs tell of the state */
        for (int k = 1; k < step->call.n_out; k++) {
            if (step->out_id[k] >= 0)
                return false;
        }
        return step->saved >= 0;
    }
    for (int k = 0; k < step->call.n_in; k++) {
        if (step->in_id[k] >= 0 && engine->instances[step->in_id[k]].is_updated)
            return false;
    }
    for (int k = 0; k < step->call.n_out; k++) {
        if (step->out_id[k] >= 0 && engine->instances[step->out_id[k]].is_updated)
            return false;
    }
    return true;
}

static void mark_updated(pri_engine *engine)
{
    for (int s = 0; s < engine->n_steps; s++) {
        const pri_step *step = &engine->steps[s];
        for (int k = 0; k < step->call.n_in && k < 32 && step->node != NULL; k++) {
            if (step->in_id[k] >= 0 && (step->node->op->updates >> k & 1) != 0)
                engine->instances[step->in_id[k]].is_updated = true;
        }
    }
}

static void keep(pri_engine *engine, int id)
{
    engine->instances[id].again = engine->instances[id].block;
    engine->instances[id].is_kept = true;
}

/* The segment that begins at step `start` needs instance `id` after the forward pass. */
static void need(pri_engine *engine, int id, int start, const int *second)
{
    pri_instance *instance = &engine->instances[id];

    if (instance->is_kept)
        return;
    if (instance->is_pinned || instance->is_updated || instance->producer < start ||
        engine->blocks[instance->block].is_foreign ||
        !is_repeatable(engine, &engine->steps[instance->producer]))
        keep(engine, id);
    else
        instance->again = second[id];
}

/* Whether an output of the step is to be made again. */
static bool is_wanted(const pri_engine *engine, const pri_step *step)
{
    for (int k = 0; k < step->call.n_out; k++) {
        if (step->out_id[k] >= 0 &&
            engine->instances[step->out_id[k]].again != engine->instances[step->out_id[k]].block)
            return true;
    }
    return false;
}

/* What goes backwards in steps from .. to-1 needs, in a segment that begins at `start`. */
static void need_backward(pri_engine *engine, int from, int to, int start, const int *second)
{
    for (int s = from; s < to; s++) {
        const pri_step *step = &engine->steps[s];
        for (int k = 0; k < step->call.n_in; k++) {
            if (step->in_id[k] >= 0 && pri_plan_reads_back(step, k))
                need(engine, step->in_id[k], start, second);
        }
        if (step->call.n_out > 0 && step->out_id[0] >= 0 && pri_plan_reads_back(step, PRI_OUT(0)))
            need(engine, step->out_id[0], start, second);
    }
}

/* Which steps of a segment run again: those whose outputs are wanted, from the last on, since each
 * wants its inputs. Then all they write needs a place. */
static void mark_again(pri_engine *engine, int from, int to, const int *second)
{
    for (int s = to - 1; s >= from; s--) {
        pri_step *step = &engine->steps[s];
        if (!is_wanted(engine, step))
            continue;
        step->again = 0;
        for (int k = 0; k < step->call.n_in; k++) {
            if (step->in_id[k] >= 0)
                need(engine, step->in_id[k], from, second);
        }
        for (int k = 0; k < step->call.n_out; k++) {
            if (step->out_id[k] >= 0)
                need(engine, step->out_id[k], from, second);
        }
    }
}

void pri_plan_schedule(pri_engine *engine, const int *start, int n, const int *second)
{
    int time = engine->n_steps;

    for (int i = 0; i < engine->n_instances; i++) {
        engine->instances[i].again = engine->instances[i].block;
        engine->instances[i].is_kept = engine->instances[i].is_updated = false;
    }
    for (int s = 0; s < engine->n_steps; s++)
        engine->steps[s].again = -1;
    if (n > 1)
        mark_updated(engine);
    /* the last segment keeps what it reads: none of it is made after its start */
    need_backward(engine, start[n - 1], start[n], engine->n_steps, second);
    for (int j = n - 2; j >= 0; j--) {
        need_backward(engine, start[j], start[j + 1], start[j], second);
        mark_again(engine, start[j], start[j + 1], second);
    }
    for (int j = n - 1; j >= 0; j--) {
        for (int s = start[j]; s < start[j + 1]; s++) {
            if (engine->steps[s].again >= 0)
                engine->steps[s].again = time++;
        }
        for (int s = start[j + 1] - 1; s >= start[j]; s--)
            engine->steps[s].back = time++;
    }
    engine->end = time;
}
