/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lifetimes.c - from when to when each block is needed.
 *
 * Lifetimes are read off the steps; a block that dies where another one of the
 * same size is born may hand over its memory (in-place operators, residuals).
 */
#include "engine/plan.h"

int pri_plan_root(const pri_engine *engine, int block)
{
    while (engine->blocks[block].alias >= 0)
        block = engine->blocks[block].alias;
    return block;
}

static void extend(pri_engine *engine, int block, int from, int to)
{
    pri_block *b = &engine->blocks[block];

    if (b->last < 0) {
        b->first = from;
        b->last = to;
        return;
    }
    if (from < b->first)
        b->first = from;
    if (to > b->last)
        b->last = to;
}

bool pri_plan_adds(const pri_step *step)
{
    return step->has_epilogue && step->epilogue.has_residual && step->residual < 0;
}

bool pri_plan_reads_back(const pri_step *step, int slot)
{
    if (step->node == NULL || !step->runs_backward)
        return false;
    const unsigned reads = step->node->op->backward_reads;
    if (slot == PRI_OUT(0))
        return (reads & PRI_READS_OUT0) != 0 || pri_plan_adds(step);
    if ((reads & PRI_READS_ALL_IN) == PRI_READS_ALL_IN)
        return true;
    return slot < 8 && (reads >> slot & 1u) != 0;
}

/* What a step touches when it runs for the second time and backwards. Blocks that do not have to be
 * kept are others there than in the first pass. */
static void measure_second(pri_engine *engine, const pri_step *step)
{
    for (int k = 0; k < step->call.n_in; k++) {
        if (step->in_id[k] < 0)
            continue;
        const int block = engine->instances[step->in_id[k]].again;
        if (step->again >= 0)
            extend(engine, block, step->again, step->again);
        if (pri_plan_reads_back(step, k))
            extend(engine, block, step->back, step->back);
    }
    for (int k = 0; k < step->call.n_out; k++) {
        if (step->out_id[k] < 0)
            continue;
        const int block = engine->instances[step->out_id[k]].again;
        if (step->again >= 0)
            extend(engine, block, step->again, step->again);
        if (k == 0 && pri_plan_reads_back(step, PRI_OUT(0)))
            extend(engine, block, step->back, step->back);
    }
}

static void measure_values(pri_engine *engine)
{
    for (int i = 0; i < engine->n_instances; i++) {
        const pri_instance *instance = &engine->instances[i];
        const int born = instance->producer >= 0 ? instance->producer : 0;
        extend(engine, instance->block, born, instance->is_pinned ? engine->end : born);
    }
    for (int s = 0; s < engine->n_steps; s++) {
        const pri_step *step = &engine->steps[s];
        for (int k = 0; k < step->call.n_in; k++) {
            if (step->in_id[k] >= 0)
                extend(engine, engine->instances[step->in_id[k]].block, s, s);
        }
        if (step->residual >= 0)
            extend(engine, engine->instances[step->residual].block, s, s);
        measure_second(engine, step);
        /* not made a second time: it is small beside the values */
        if (step->saved >= 0)
            extend(engine, step->saved, s, step->back);
    }
}

/* The step can write the gradient of input k without adding, and reads that input once. */
static bool overwrites(const pri_step *step, int k)
{
    for (int j = 0; j < step->call.n_in; j++) {
        if (j != k && step->in_id[j] == step->in_id[k])
            return false;
    }
    return step->node == NULL || step->node->op->writes_gradients;
}

/* Whether the gradient of an output of the step is written by somebody. */
static bool gets_gradient(const pri_engine *engine, const pri_step *step)
{
    for (int k = 0; k < step->call.n_out; k++) {
        if (step->out_id[k] >= 0 && engine->instances[step->out_id[k]].is_written)
            return true;
    }
    return false;
}

/* Follows gradients from the outputs and taps back: nothing reaches what is read only by operators
 * without a backward, and steps before those do not run backwards. */
static void follow_gradients(pri_engine *engine)
{
    for (int i = 0; i < engine->n_instances; i++)
        engine->instances[i].is_written = engine->instances[i].is_pinned;
    for (int s = engine->n_steps - 1; s >= 0; s--) {
        pri_step *step = &engine->steps[s];
        step->runs_backward = step->runs_backward && gets_gradient(engine, step);
        for (int k = 0; k < step->call.n_in && step->runs_backward; k++) {
            if (step->in_id[k] >= 0 && step->needs_grad[k])
                engine->instances[step->in_id[k]].is_written = true;
        }
    }
}

pare_status pri_plan_add_gradients(pri_engine *engine)
{
    follow_gradients(engine);
    for (int i = 0; i < engine->n_instances; i++) {
        if (!engine->instances[i].needs_gradient)
            continue;
        const size_t bytes = engine->blocks[engine->instances[i].block].bytes;
        const int block = pri_plan_add_block(engine, bytes);
        if (block < 0)
            return PARE_ERROR_MEMORY;
        engine->instances[i].gradient = block;
        if (engine->blocks[engine->instances[i].block].is_foreign) {
            engine->blocks[block].is_foreign = true;
            engine->weight_gradient_count += (bytes / sizeof(float) + 15) / 16 * 16;
        }
    }
    return PARE_OK;
}

/* Gradient blocks live from the first backward step that adds to them to the producer's. */
static void measure_gradients(pri_engine *engine)
{
    const int n = engine->n_steps;

    for (int i = 0; i < engine->n_instances; i++) {
        const pri_instance *instance = &engine->instances[i];
        if (instance->gradient < 0 || engine->blocks[instance->gradient].is_foreign)
            continue;
        const int death =
            instance->producer >= 0 ? engine->steps[instance->producer].back : engine->end;
        extend(engine, instance->gradient, death, death);
        if (instance->is_pinned)
            extend(engine, instance->gradient, n - 1, engine->end);
    }
    for (int s = n - 1; s >= 0; s--) {
        pri_step *step = &engine->steps[s];
        if (!step->runs_backward)
            continue;
        for (int k = 0; k < step->call.n_in; k++) {
            if (step->in_id[k] < 0 || !step->needs_grad[k])
                continue;
            const pri_instance *instance = &engine->instances[step->in_id[k]];
            pri_block *block = &engine->blocks[instance->gradient];
            if (block->is_foreign)
                continue;
            /* backward time grows as s falls: the first step met is the first writer */
            if (!instance->is_pinned && block->first > step->back) {
                if (overwrites(step, k))
                    step->is_fresh[k] = true;
                else
                    step->fresh[step->n_fresh++] = instance->gradient;
            }
            extend(engine, instance->gradient, step->back, step->back);
        }
        for (int k = 0; k < step->call.n_out; k++) {
            const pri_instance *out =
                step->out_id[k] >= 0 ? &engine->instances[step->out_id[k]] : NULL;
            if (out != NULL && out->gradient >= 0 && !out->is_written)
                step->fresh[step->n_fresh++] = out->gradient;
        }
    }
}

/* At `time` the last reader of instance `id`, whose memory is `from` then, may write what it makes
 * there. */
static bool may_overwrite(const pri_engine *engine, const pri_step *step, int time, int id,
                          int from)
{
    const pri_instance *in = &engine->instances[id];
    const pri_instance *out = &engine->instances[step->out_id[0]];
    const pri_block *root = &engine->blocks[pri_plan_root(engine, from)];

    return !in->is_pinned && in->producer >= 0 && !root->is_foreign && root->last == time &&
           in->layout == out->layout && in->dtype == out->dtype &&
           pri_shape_equal(&in->shape, &out->shape);
}

static void hand_over(pri_engine *engine, int from, int to)
{
    const int root = pri_plan_root(engine, from);

    engine->blocks[to].alias = root;
    extend(engine, root, engine->blocks[to].first, engine->blocks[to].last);
}

/* On the way back the gradient of an input may take over the memory of the output's, which dies
 * there: nobody else adds to it before. */
static void share_gradients(pri_engine *engine)
{
    for (int s = engine->n_steps - 1; s >= 0; s--) {
        const pri_step *step = &engine->steps[s];
        if (!step->runs_backward || step->node == NULL || !step->node->op->is_in_place_back ||
            step->out_id[0] < 0)
            continue;
        const pri_instance *out = &engine->instances[step->out_id[0]];
        for (int k = step->call.n_in - 1; k >= 0; k--) { /* a residual rather than an input */
            if (step->in_id[k] < 0 || !step->is_fresh[k])
                continue;
            const pri_instance *in = &engine->instances[step->in_id[k]];
            if (out->gradient < 0 || out->is_pinned || in->is_pinned || in->layout != out->layout ||
                in->dtype != out->dtype || !pri_shape_equal(&in->shape, &out->shape))
                continue;
            const int root = pri_plan_root(engine, out->gradient);
            pri_block *block = &engine->blocks[in->gradient];
            if (engine->blocks[root].last != step->back)
                continue;
            block->alias = root;
            extend(engine, root, block->first, block->last);
            break;
        }
    }
}

/* The sum a convolution adds to: in the memory of the other addend where nobody needs that. */
static void share_residual(pri_engine *engine, pri_step *step, int s)
{
    const int from = engine->instances[step->residual].block, root = pri_plan_root(engine, from);
    bool is_read = false;

    for (int k = 0; k < step->call.n_in; k++)
        is_read =
            is_read || (step->in_id[k] >= 0 &&
                        pri_plan_root(engine, engine->instances[step->in_id[k]].block) == root);
    step->copies_residual = is_read || !may_overwrite(engine, step, s, step->residual, from);
    if (!step->copies_residual)
        hand_over(engine, from, engine->instances[step->out_id[0]].block);
}

static bool runs_in_place(const pri_step *step)
{
    return step->node != NULL && step->node->op->is_in_place && step->residual < 0 &&
           step->call.n_in > 0 && step->in_id[0] >= 0 && step->out_id[0] >= 0;
}

static void share_blocks(pri_engine *engine)
{
    for (int s = 0; s < engine->n_steps; s++) {
        pri_step *step = &engine->steps[s];
        if (step->node != NULL && step->residual >= 0 && step->out_id[0] >= 0)
            share_residual(engine, step, s);
        if (!runs_in_place(step))
            continue;
        const int from = engine->instances[step->in_id[0]].block;
        if (may_overwrite(engine, step, s, step->in_id[0], from))
            hand_over(engine, from, engine->instances[step->out_id[0]].block);
    }
    /* in the order they run a second time within a segment, and segments touch different blocks
     * but for kept ones, which die in the earliest */
    for (int s = 0; s < engine->n_steps; s++) {
        const pri_step *step = &engine->steps[s];
        if (step->again < 0 || !runs_in_place(step))
            continue;
        const pri_instance *in = &engine->instances[step->in_id[0]];
        const pri_instance *out = &engine->instances[step->out_id[0]];
        if (out->again != out->block &&
            may_overwrite(engine, step, step->again, step->in_id[0], in->again))
            hand_over(engine, in->again, out->again);
    }
}

void pri_plan_measure(pri_engine *engine)
{
    for (int b = 0; b < engine->n_blocks; b++) {
        engine->blocks[b].first = 0;
        engine->blocks[b].last = engine->blocks[b].alias = -1;
    }
    for (int s = 0; s < engine->n_steps; s++) {
        pri_step *step = &engine->steps[s];
        step->n_fresh = 0;
        for (int k = 0; k < step->call.n_in; k++)
            step->is_fresh[k] = false;
    }
    measure_values(engine);
    measure_gradients(engine);
    share_blocks(engine);
    share_gradients(engine);
}
