/* SPDX-License-Identifier: Apache-2.0 */
/* engine.c - makes and runs plans. */
#include "engine/plan.h"

#include <string.h>

static int64_t count_of(const pri_instance *instance)
{
    return pri_shape_count(&instance->shape);
}

/* Running statistics are written in place, so they must not be shared with another model. */
static pare_status own_statistics(const pri_graph *graph)
{
    for (int i = 0; i < graph->n_values; i++) {
        pri_value *value = graph->values[i];
        if (!pri_is_statistic(value))
            continue;
        PRI_TRY(pri_tensor_own(value->constant));
        value->is_changed = true;
        if (value->producer != NULL && !value->is_derived)
            value->producer->is_changed = true;
    }
    return PARE_OK;
}

static pare_status build(pri_engine *engine)
{
    if (engine->options.training)
        PRI_TRY(own_statistics(engine->model->graph));
    PRI_TRY(pri_arena_new(&engine->arena, engine->ctx));
    PRI_TRY(pri_facts_infer(&engine->facts, engine->model, engine->options.batch, true));
    PRI_TRY(pri_plan_steps(engine));
    PRI_TRY(pri_plan_memory(engine));
    engine->version = 1;
    if (engine->options.weight_gradients && !engine->options.plan_only)
        pri_engine_zero_gradients(engine);
    return PARE_OK;
}

pare_status pri_engine_new(pri_engine **out, pare_model *model, const pri_engine_options *options)
{
    pri_engine *engine = pri_alloc(model->ctx, 1, sizeof *engine);

    *out = NULL;
    if (engine == NULL)
        return PARE_ERROR_MEMORY;
    engine->ctx = model->ctx;
    engine->model = model;
    engine->options = *options;
    engine->preferred = options->plain ? PRI_PLAIN : PRI_CHANNELS_LAST;
    const pare_status status = build(engine);
    if (status != PARE_OK) {
        pri_engine_free(engine);
        return status;
    }
    *out = engine;
    return PARE_OK;
}

void pri_engine_free(pri_engine *engine)
{
    if (engine == NULL)
        return;
    for (int s = 0; s < engine->n_steps; s++) {
        pri_step *step = &engine->steps[s];
        if (step->node != NULL && step->node->op->release != NULL)
            step->node->op->release(&step->call);
    }
    pri_facts_free(engine->facts);
    pri_free(engine->instances);
    pri_free(engine->blocks);
    pri_free(engine->slab);
    pri_free(engine->weight_gradients);
    pri_arena_free(engine->arena);
    pri_free(engine);
}

/* Takes constants anew and works out again what was fused from them. */
pare_status pri_engine_refresh_weights(pri_engine *engine)
{
    PRI_TRY(pri_facts_refresh(engine->facts, engine->model));
    for (int i = 0; i < engine->n_instances; i++) {
        const pri_instance *instance = &engine->instances[i];
        const pri_tensor *constant = engine->facts->of[instance->value->id].constant;
        if (engine->blocks[instance->block].is_foreign && constant != NULL)
            engine->blocks[instance->block].data = constant->data;
    }
    for (int s = 0; s < engine->n_steps; s++) {
        pri_step *step = &engine->steps[s];
        for (int k = 0; k < step->call.n_in && step->node != NULL; k++) {
            if (step->in[k].constant != NULL)
                step->in[k].constant = engine->facts->of[step->node->inputs[k]->id].constant;
        }
        step->call.weights_version = engine->version;
        if (step->affine == NULL)
            continue;
        pri_operand in[PRI_MAX_OPERANDS], out[PRI_MAX_OPERANDS];
        pri_call call;
        pri_call_of(&call, in, out, engine->model, step->affine, engine->facts);
        (void)step->affine->op->as_affine(&call, step->scale_shift,
                                          step->scale_shift + step->out[0].shape.dims[1]);
    }
    pri_plan_bind(engine);
    engine->is_ready = true;
    return PARE_OK;
}

void pri_engine_refresh(pri_engine *engine)
{
    engine->version++;
    engine->is_ready = false;
}

/* --- Running --- */

pare_status pri_plan_forward(pri_step *step, const pri_engine *engine)
{
    if (step->node == NULL) {
        pri_layout_copy(step->out[0].data, step->out[0].layout, step->in[0].data,
                        step->in[0].layout, &step->in[0].shape, step->in[0].dtype, false);
        return PARE_OK;
    }
    if (step->copies_residual) {
        const pri_instance *residual = &engine->instances[step->residual];
        const pri_block *block = &engine->blocks[residual->block];
        const int root = pri_plan_root(engine, residual->block);
        const unsigned char *from = engine->blocks[root].is_foreign
                                        ? engine->blocks[root].data
                                        : engine->slab + engine->blocks[root].offset;
        memcpy(step->out[0].data, from, block->bytes);
    }
    return step->node->op->forward(&step->call);
}

pare_status pri_engine_run(pri_engine *engine, int from, int to)
{
    if (!engine->is_ready)
        PRI_TRY(pri_engine_refresh_weights(engine));
    for (int s = from; s < to; s++) {
        if (engine->segments.n > 1)
            pri_plan_bind_step(engine, &engine->steps[s], false);
        PRI_TRY(pri_plan_forward(&engine->steps[s], engine));
    }
    engine->segments.there = engine->segments.n - 1;
    return PARE_OK;
}

/* Gradients that the caller writes, or that nobody writes, start from zero. */
static void zero_pinned_gradients(pri_engine *engine)
{
    for (int i = 0; i < engine->n_instances; i++) {
        const pri_instance *instance = &engine->instances[i];
        if (!instance->is_pinned || instance->gradient < 0)
            continue;
        const pri_block *block = &engine->blocks[instance->gradient];
        if (!block->is_foreign)
            memset(engine->slab + block->offset, 0, block->bytes);
    }
}

pare_status pri_engine_forward(pri_engine *engine)
{
    PRI_TRY(pri_engine_run(engine, 0, engine->n_steps));
    if (engine->options.backward)
        zero_pinned_gradients(engine);
    return PARE_OK;
}

enum { ZEROED = 65536 }; /* bytes for one thread at a time */

static pare_status run_backward(pri_engine *engine, pri_step *step)
{
    for (int f = 0; f < step->n_fresh; f++) {
        const pri_block *block = &engine->blocks[step->fresh[f]];
        unsigned char *gradient = engine->slab + block->offset;
        const int64_t bytes = (int64_t)block->bytes;
#pragma omp parallel for if (bytes > 4 * ZEROED) schedule(static)
        for (int64_t at = 0; at < bytes; at += ZEROED)
            memset(gradient + at, 0, (size_t)pri_min_i64(ZEROED, bytes - at));
    }
    if (step->node == NULL) {
        pri_layout_copy(step->grad_in[0], step->in[0].layout, step->grad_out[0],
                        step->out[0].layout, &step->in[0].shape, step->in[0].dtype,
                        !step->is_fresh[0]);
        return PARE_OK;
    }
    return step->node->op->backward(&step->call);
}

pare_status pri_engine_run_back(pri_engine *engine, int from, int to)
{
    if (!engine->options.backward)
        return pri_fail(engine->ctx, PARE_ERROR_ARGUMENT, "this engine was made without backward");
    for (int s = to - 1; s >= from; s--) {
        int ran = 0;
        while (ran >= 0)
            PRI_TRY(pri_engine_run_again(engine, s, &ran));
        if (!engine->steps[s].runs_backward)
            continue;
        if (engine->segments.n > 1)
            pri_plan_bind_step(engine, &engine->steps[s], true);
        PRI_TRY(run_backward(engine, &engine->steps[s]));
    }
    return PARE_OK;
}

pare_status pri_engine_backward(pri_engine *engine)
{
    return pri_engine_run_back(engine, 0, engine->n_steps);
}

void pri_engine_zero_gradients(pri_engine *engine)
{
    memset(engine->weight_gradients, 0, engine->weight_gradient_count * sizeof(float));
}

void pri_engine_set_step(pri_engine *engine, uint64_t seed, uint64_t step)
{
    for (int s = 0; s < engine->n_steps; s++) {
        engine->steps[s].call.seed = seed + (uint64_t)s * UINT64_C(0x9e3779b97f4a7c15);
        engine->steps[s].call.step = step;
    }
}

void pri_engine_set_momentum(pri_engine *engine, float momentum)
{
    engine->momentum = momentum;
    for (int s = 0; s < engine->n_steps; s++)
        engine->steps[s].call.momentum = momentum < 0 ? NULL : &engine->momentum;
}

/* --- Looking in --- */

static const unsigned char *data_of(const pri_engine *engine, int block)
{
    const pri_block *b = &engine->blocks[pri_plan_root(engine, block)];

    return b->is_foreign ? b->data : engine->slab + b->offset;
}

int64_t pri_engine_batch(const pri_engine *engine)
{
    const pri_shape *shape = &engine->instances[engine->inputs[0]].shape;

    return shape->rank > 0 ? shape->dims[0] : 1;
}

bool pri_engine_keeps_batch(const pri_engine *engine)
{
    for (int k = 0; k < engine->model->graph->n_outputs; k++) {
        const pri_shape *shape = &engine->instances[engine->outputs[k]].shape;
        if (shape->rank > 0 && shape->dims[0] != pri_engine_batch(engine))
            return false;
    }
    return true;
}

void *pri_engine_input(pri_engine *engine, int k)
{
    const int block = engine->instances[engine->inputs[k]].block;

    return engine->slab + engine->blocks[block].offset;
}

pri_shape pri_engine_input_shape(const pri_engine *engine, int k)
{
    return engine->instances[engine->inputs[k]].shape;
}

const float *pri_engine_output(const pri_engine *engine, int k)
{
    return (const float *)(const void *)data_of(engine,
                                                engine->instances[engine->outputs[k]].block);
}

pri_shape pri_engine_output_shape(const pri_engine *engine, int k)
{
    return engine->instances[engine->outputs[k]].shape;
}

pri_dtype pri_engine_output_dtype(const pri_engine *engine, int k)
{
    return engine->instances[engine->outputs[k]].dtype;
}

float *pri_engine_output_gradient(pri_engine *engine, int k)
{
    const pri_instance *instance = &engine->instances[engine->outputs[k]];

    if (instance->gradient < 0)
        return NULL;
    const pri_block *block = &engine->blocks[instance->gradient];
    return (float *)(void *)(block->is_foreign ? block->data : engine->slab + block->offset);
}

float *pri_engine_weight_gradient(pri_engine *engine, const pri_value *weight)
{
    const int id = engine->primary[weight->id];

    if (id < 0 || engine->instances[id].gradient < 0 ||
        !engine->blocks[engine->instances[id].gradient].is_foreign)
        return NULL;
    return (float *)(void *)engine->blocks[engine->instances[id].gradient].data;
}

pare_status pri_engine_tap(const pri_engine *engine, int tap, pri_tap *out)
{
    const pri_instance *instance = &engine->instances[engine->taps[tap]];

    *out = (pri_tap){.shape = instance->shape,
                     .layout = instance->layout,
                     .data = (const float *)(const void *)data_of(engine, instance->block)};
    if (instance->gradient >= 0)
        out->gradient = (const float *)(const void *)data_of(engine, instance->gradient);
    return count_of(instance) >= 0 ? PARE_OK : PARE_ERROR_SHAPE;
}

float *pri_engine_tap_gradient(const pri_engine *engine, int tap)
{
    const pri_instance *instance = &engine->instances[engine->taps[tap]];

    if (instance->gradient < 0)
        return NULL;
    const pri_block *block = &engine->blocks[instance->gradient];
    return (float *)(void *)(block->is_foreign ? block->data : engine->slab + block->offset);
}

int64_t pri_engine_activation_bytes(const pri_engine *engine)
{
    return (int64_t)engine->slab_bytes;
}

int64_t pri_engine_kept_bytes(const pri_engine *engine)
{
    return (int64_t)engine->segments.slab_bytes;
}

int64_t pri_engine_slab_bytes(const pri_engine *engine)
{
    return (int64_t)(engine->slab_bytes + engine->scratch_bytes);
}

int pri_engine_steps(const pri_engine *engine)
{
    return engine->n_steps;
}

bool pri_plan_is_tap(const pri_engine *engine, const pri_value *value)
{
    for (int t = 0; t < engine->options.n_taps; t++) {
        if (engine->options.taps[t] == value)
            return true;
    }
    return false;
}

const pri_node *pri_engine_step_node(const pri_engine *engine, int step)
{
    return engine->steps[step].node;
}

const pri_node *pri_engine_step_fused(const pri_engine *engine, int step, int k)
{
    return k >= 0 && k < PRI_MAX_FUSED ? engine->steps[step].fused[k] : NULL;
}

pare_status pri_engine_operand(const pri_engine *engine, int step, int slot, pri_operand *out)
{
    const pri_step *s = &engine->steps[step];

    if (slot >= PRI_OUT(0) && slot < PRI_OUT(s->call.n_out))
        *out = s->out[slot - PRI_OUT(0)];
    else if (slot >= 0 && slot < s->call.n_in)
        *out = s->in[slot];
    else
        return pri_fail(engine->ctx, PARE_ERROR_ARGUMENT, "step %d has no slot %d", step, slot);
    return PARE_OK;
}
