/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory.c - one slab for all activations and gradients, laid out by lifetimes.
 *
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
                                                            .again = block,
                                                            .gradient = -1,
                                                            .producer = -1};
    return engine->n_instances++;
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

pare_status pri_plan_place(pri_engine *engine)
{
    placed *order = pri_alloc(engine->ctx, (size_t)engine->n_blocks, sizeof *order);
    const pri_block **alive = pri_alloc(engine->ctx, (size_t)engine->n_blocks, sizeof *alive);
    int count = 0;

    engine->slab_bytes = 0;
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
    const pri_block *b = &engine->blocks[pri_plan_root(engine, block)];

    return b->is_foreign ? b->data : engine->slab + b->offset;
}

void pri_plan_bind_step(pri_engine *engine, pri_step *step, bool second)
{
    pri_call *call = &step->call;

    for (int k = 0; k < call->n_in; k++) {
        if (step->in_id[k] < 0)
            continue;
        const pri_instance *instance = &engine->instances[step->in_id[k]];
        step->in[k].data = address_of(engine, second ? instance->again : instance->block);
    }
    for (int k = 0; k < call->n_out; k++) {
        if (step->out_id[k] < 0)
            continue;
        const pri_instance *instance = &engine->instances[step->out_id[k]];
        step->out[k].data = address_of(engine, second ? instance->again : instance->block);
    }
}

static void bind_gradients(pri_engine *engine, pri_step *step)
{
    for (int k = 0; k < step->call.n_in; k++) {
        if (step->in_id[k] >= 0 && step->needs_grad[k])
            step->grad_in[k] =
                (float *)(void *)address_of(engine, engine->instances[step->in_id[k]].gradient);
    }
    for (int k = 0; k < step->call.n_out; k++) {
        if (step->out_id[k] >= 0 && engine->instances[step->out_id[k]].gradient >= 0)
            step->grad_out[k] =
                (float *)(void *)address_of(engine, engine->instances[step->out_id[k]].gradient);
    }
}

void pri_plan_bind(pri_engine *engine)
{
    for (int s = 0; s < engine->n_steps; s++) {
        pri_step *step = &engine->steps[s];
        pri_call *call = &step->call;
        pri_plan_bind_step(engine, step, false);
        bind_gradients(engine, step);
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
    PRI_TRY(pri_plan_add_gradients(engine));
    PRI_TRY(pri_plan_recompute(engine));
    if (engine->options.plan_only)
        return PARE_OK;
    /* One allocation: scratch by itself is too small for large pages, and kernels that write to
     * many places of it at once (Winograd: 72) need more pages of the small kind than are
     * remembered. */
    const size_t slab_bytes = (engine->slab_bytes + 63) / 64 * 64;
    if (engine->scratch_bytes > SIZE_MAX - slab_bytes)
        return pri_fail(engine->ctx, PARE_ERROR_MEMORY,
                        "the model needs more memory than there is");
    engine->slab = pri_alloc_aligned(engine->ctx, slab_bytes + engine->scratch_bytes);
    engine->weight_gradients =
        pri_alloc_aligned(engine->ctx, engine->weight_gradient_count * sizeof(float));
    if (engine->slab == NULL || engine->weight_gradients == NULL)
        return PARE_ERROR_MEMORY;
    engine->scratch = engine->slab + slab_bytes;
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
