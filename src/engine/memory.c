/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory.c - one slab for all activations and gradients, laid out by lifetimes.
 *
 * Lifetimes are read off the steps; a block that dies where another one of the
 * same size is born may hand over its memory (in-place operators, residuals).
 * Offsets: first fit in the order of decreasing size, which keeps the large early
 * activations packed at the bottom.
 */
#include "engine/plan.h"

#include <stdlib.h>
#include <string.h>

int pri_plan_add_block(pri_engine *engine, size_t bytes)
{
    if (engine->n_blocks == engine->blocks_capacity) {
        const int capacity = engine->blocks_capacity > 0 ? 2 * engine->blocks_capacity : 256;
        pri_block *grown =
            pri_realloc(engine->ctx, engine->blocks, (size_t)capacity, sizeof *engine->blocks);
        if (grown == NULL)
            return -1;
        engine->blocks = grown;
        engine->blocks_capacity = capacity;
    }
    engine->blocks[engine->n_blocks] =
        (pri_block){.bytes = bytes, .first = 0, .last = -1, .alias = -1};
    return engine->n_blocks++;
}

int pri_plan_add_instance(pri_engine *engine, const pri_value *value, pri_dtype dtype,
                          const pri_shape *shape, pri_layout layout)
{
    const int64_t count = pri_shape_count(shape);
    const int block = pri_plan_add_block(engine, (size_t)count * pri_dtype_bytes(dtype));

    if (block < 0)
        return -1;
    if (engine->n_instances == engine->instances_capacity) {
        const int capacity = engine->instances_capacity > 0 ? 2 * engine->instances_capacity : 256;
        pri_instance *grown = pri_realloc(engine->ctx, engine->instances, (size_t)capacity,
                                          sizeof *engine->instances);
        if (grown == NULL)
            return -1;
        engine->instances = grown;
        engine->instances_capacity = capacity;
    }
    engine->instances[engine->n_instances] = (pri_instance){.value = value,
                                                            .dtype = dtype,
                                                            .shape = *shape,
                                                            .layout = layout,
                                                            .block = block,
                                                            .gradient = -1,
                                                            .producer = -1};
    return engine->n_instances++;
}

static int root_of(const pri_engine *engine, int block)
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

static bool reads_input(const pri_step *step, int slot)
{
    if (step->node == NULL)
        return false;
    const unsigned reads = step->node->op->backward_reads;
    if ((reads & PRI_READS_ALL_IN) == PRI_READS_ALL_IN)
        return true;
    return slot < 8 && (reads >> slot & 1u) != 0;
}

static void measure_values(pri_engine *engine)
{
    const int n = engine->n_steps;

    for (int i = 0; i < engine->n_instances; i++) {
        const pri_instance *instance = &engine->instances[i];
        const int born = instance->producer >= 0 ? instance->producer : 0;
        extend(engine, instance->block, born, instance->is_pinned ? 2 * n : born);
    }
    for (int s = 0; s < n; s++) {
        const pri_step *step = &engine->steps[s];
        const int back = 2 * n - 1 - s;
        for (int k = 0; k < step->call.n_in; k++) {
            if (step->in_id[k] < 0)
                continue;
            const bool late = step->runs_backward && reads_input(step, k);
            extend(engine, engine->instances[step->in_id[k]].block, s, late ? back : s);
        }
        if (step->residual >= 0)
            extend(engine, engine->instances[step->residual].block, s, s);
        if (step->runs_backward && step->node != NULL && step->out_id[0] >= 0 &&
            (step->node->op->backward_reads & PRI_READS_OUT0) != 0)
            extend(engine, engine->instances[step->out_id[0]].block, s, back);
        if (step->saved >= 0)
            extend(engine, step->saved, s, back);
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

/* Gradient blocks live from the first backward step that adds to them to the producer's. */
static pare_status measure_gradients(pri_engine *engine)
{
    const int n = engine->n_steps;

    for (int i = 0; i < engine->n_instances; i++) {
        pri_instance *instance = &engine->instances[i];
        if (!instance->needs_gradient)
            continue;
        const size_t bytes = engine->blocks[instance->block].bytes;
        const int block = pri_plan_add_block(engine, bytes);
        if (block < 0)
            return PARE_ERROR_MEMORY;
        engine->instances[i].gradient = block;
        if (engine->blocks[engine->instances[i].block].is_foreign) {
            engine->blocks[block].is_foreign = true;
            engine->weight_gradient_count += (bytes / sizeof(float) + 15) / 16 * 16;
            continue;
        }
        const int death =
            engine->instances[i].producer >= 0 ? 2 * n - 1 - engine->instances[i].producer : 2 * n;
        extend(engine, block, death, death);
        if (engine->instances[i].is_pinned)
            extend(engine, block, n - 1, 2 * n);
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
            const int back = 2 * n - 1 - s;
            /* backward time grows as s falls: the first step met is the first writer */
            if (!instance->is_pinned && block->first > back) {
                if (overwrites(step, k))
                    step->is_fresh[k] = true;
                else
                    step->fresh[step->n_fresh++] = instance->gradient;
            }
            extend(engine, instance->gradient, back, back);
        }
    }
    return PARE_OK;
}

static bool may_overwrite(const pri_engine *engine, const pri_step *step, int s, int id)
{
    const pri_instance *from = &engine->instances[id];
    const pri_instance *to = &engine->instances[step->out_id[0]];
    const pri_block *root = &engine->blocks[root_of(engine, from->block)];

    return !from->is_pinned && from->producer >= 0 && !root->is_foreign && root->last == s &&
           from->layout == to->layout && from->dtype == to->dtype &&
           pri_shape_equal(&from->shape, &to->shape);
}

static void hand_over(pri_engine *engine, const pri_step *step, int id)
{
    const int root = root_of(engine, engine->instances[id].block);
    const int mine = engine->instances[step->out_id[0]].block;

    engine->blocks[mine].alias = root;
    extend(engine, root, engine->blocks[mine].first, engine->blocks[mine].last);
}

/* On the way back the gradient of an input may take over the memory of the output's, which dies
 * there: nobody else adds to it before. */
static void share_gradients(pri_engine *engine)
{
    const int n = engine->n_steps;

    for (int s = n - 1; s >= 0; s--) {
        const pri_step *step = &engine->steps[s];
        if (!step->runs_backward || step->node == NULL || !step->node->op->is_in_place_back ||
            step->out_id[0] < 0)
            continue;
        const pri_instance *out = &engine->instances[step->out_id[0]];
        for (int k = 0; k < step->call.n_in; k++) {
            if (step->in_id[k] < 0 || !step->is_fresh[k])
                continue;
            const pri_instance *in = &engine->instances[step->in_id[k]];
            if (out->gradient < 0 || out->is_pinned || in->is_pinned || in->layout != out->layout ||
                in->dtype != out->dtype || !pri_shape_equal(&in->shape, &out->shape))
                continue;
            const int root = root_of(engine, out->gradient);
            pri_block *block = &engine->blocks[in->gradient];
            if (engine->blocks[root].last != 2 * n - 1 - s)
                continue;
            block->alias = root;
            extend(engine, root, block->first, block->last);
            break;
        }
    }
}

static void share_blocks(pri_engine *engine)
{
    for (int s = 0; s < engine->n_steps; s++) {
        pri_step *step = &engine->steps[s];
        if (step->node == NULL || step->out_id[0] < 0)
            continue;
        if (step->residual >= 0) {
            bool is_read = false;
            const int root = root_of(engine, engine->instances[step->residual].block);
            for (int k = 0; k < step->call.n_in; k++)
                is_read =
                    is_read || (step->in_id[k] >= 0 &&
                                root_of(engine, engine->instances[step->in_id[k]].block) == root);
            step->copies_residual = is_read || !may_overwrite(engine, step, s, step->residual);
            if (!step->copies_residual)
                hand_over(engine, step, step->residual);
        } else if (step->node->op->is_in_place && step->call.n_in > 0 && step->in_id[0] >= 0 &&
                   may_overwrite(engine, step, s, step->in_id[0])) {
            hand_over(engine, step, step->in_id[0]);
        }
    }
}

typedef struct placed {
    int block;
    size_t bytes;
    int first, last;
} placed;

static int by_size(const void *a, const void *b)
{
    const placed *x = a, *y = b;

    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return x->block - y->block;
}

static int by_offset(const void *a, const void *b)
{
    const size_t x = (*(const pri_block *const *)a)->offset;
    const size_t y = (*(const pri_block *const *)b)->offset;

    return x < y ? -1 : x > y;
}

/* The lowest offset where `bytes` fit between the blocks alive at the same time. */
static size_t lowest_gap(const pri_block **alive, int n_alive, size_t bytes)
{
    size_t offset = 0;

    qsort(alive, (size_t)n_alive, sizeof *alive, by_offset);
    for (int i = 0; i < n_alive; i++) {
        if (alive[i]->offset >= offset + bytes)
            break;
        const size_t end = alive[i]->offset + (alive[i]->bytes + 63) / 64 * 64;
        if (end > offset)
            offset = end;
    }
    return offset;
}

static pare_status place_blocks(pri_engine *engine)
{
    placed *order = pri_alloc(engine->ctx, (size_t)engine->n_blocks, sizeof *order);
    const pri_block **alive = pri_alloc(engine->ctx, (size_t)engine->n_blocks, sizeof *alive);
    int count = 0;

    if (order == NULL || alive == NULL) {
        pri_free(order);
        pri_free(alive);
        return PARE_ERROR_MEMORY;
    }
    for (int b = 0; b < engine->n_blocks; b++) {
        const pri_block *block = &engine->blocks[b];
        if (block->is_foreign || block->alias >= 0 || block->last < 0)
            continue;
        order[count++] = (placed){b, (block->bytes + 63) / 64 * 64, block->first, block->last};
    }
    qsort(order, (size_t)count, sizeof *order, by_size);
    for (int i = 0; i < count; i++) {
        int n_alive = 0;
        for (int j = 0; j < i; j++) {
            if (order[j].first <= order[i].last && order[i].first <= order[j].last)
                alive[n_alive++] = &engine->blocks[order[j].block];
        }
        pri_block *block = &engine->blocks[order[i].block];
        block->offset = lowest_gap(alive, n_alive, order[i].bytes);
        if (block->offset + order[i].bytes > engine->slab_bytes)
            engine->slab_bytes = block->offset + order[i].bytes;
    }
    pri_free(order);
    pri_free(alive);
    return PARE_OK;
}

static unsigned char *address_of(const pri_engine *engine, int block)
{
    const pri_block *b = &engine->blocks[root_of(engine, block)];

    return b->is_foreign ? b->data : engine->slab + b->offset;
}

void pri_plan_bind(pri_engine *engine)
{
    for (int s = 0; s < engine->n_steps; s++) {
        pri_step *step = &engine->steps[s];
        pri_call *call = &step->call;
        for (int k = 0; k < call->n_in; k++) {
            if (step->in_id[k] < 0)
                continue;
            const pri_instance *instance = &engine->instances[step->in_id[k]];
            step->in[k].data = address_of(engine, instance->block);
            if (step->needs_grad[k])
                step->grad_in[k] = (float *)(void *)address_of(engine, instance->gradient);
        }
        for (int k = 0; k < call->n_out; k++) {
            if (step->out_id[k] < 0)
                continue;
            const pri_instance *instance = &engine->instances[step->out_id[k]];
            step->out[k].data = address_of(engine, instance->block);
            if (instance->gradient >= 0)
                step->grad_out[k] = (float *)(void *)address_of(engine, instance->gradient);
        }
        call->in = step->in;
        call->out = step->out;
        call->grad_in = step->grad_in;
        call->grad_out = step->grad_out;
        call->needs_grad = step->needs_grad;
        call->grad_is_fresh = step->is_fresh;
        call->scratch = engine->scratch;
        if (step->saved >= 0)
            call->saved = address_of(engine, step->saved);
    }
}

pare_status pri_plan_memory(pri_engine *engine)
{
    measure_values(engine);
    PRI_TRY(measure_gradients(engine));
    share_blocks(engine);
    share_gradients(engine);
    PRI_TRY(place_blocks(engine));
    if (engine->options.plan_only)
        return PARE_OK;
    engine->slab = pri_alloc_aligned(engine->ctx, engine->slab_bytes);
    engine->scratch = pri_alloc_aligned(engine->ctx, engine->scratch_bytes);
    engine->weight_gradients =
        pri_alloc_aligned(engine->ctx, engine->weight_gradient_count * sizeof(float));
    if (engine->slab == NULL || engine->scratch == NULL || engine->weight_gradients == NULL)
        return PARE_ERROR_MEMORY;
    memset(engine->slab, 0, engine->slab_bytes);
    float *next = engine->weight_gradients;
    for (int i = 0; i < engine->n_instances; i++) {
        const pri_instance *instance = &engine->instances[i];
        if (instance->gradient < 0 || !engine->blocks[instance->gradient].is_foreign)
            continue;
        engine->blocks[instance->gradient].data = (unsigned char *)next;
        next += (engine->blocks[instance->gradient].bytes / sizeof(float) + 15) / 16 * 16;
    }
    pri_plan_bind(engine);
    return PARE_OK;
}
