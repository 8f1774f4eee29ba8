/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan.c - from a model at fixed shapes to a list of steps.
 *
 * Nodes are taken in topological order; each is prepared with the layouts its
 * inputs have, and where it asks for another one a layout change is put before it.
 */
#include "engine/plan.h"

#include <string.h>

/* What is constant for this engine: weights folded into other constants are computed at run time
 * when their gradients are wanted. */
static const pri_tensor *constant_of(const pri_engine *engine, const pri_value *value)
{
    const pri_fact *fact = &engine->facts->of[value->id];

    if (fact->is_folded && fact->from_weight && engine->options.weight_gradients)
        return NULL;
    return fact->constant;
}

static void mark_needed(bool *needed, const pri_engine *engine)
{
    const pri_graph *graph = engine->model->graph;
    const pri_engine_options *options = &engine->options;

    for (int i = graph->n_nodes - 1; i >= 0; i--) {
        const pri_node *node = graph->nodes[i];
        needed[i] = false;
        if (node->is_dead)
            continue;
        for (int k = 0; k < node->n_outputs && !needed[i]; k++) {
            const pri_value *value = node->outputs[k];
            if (value == NULL || constant_of(engine, value) != NULL)
                continue;
            needed[i] = value->is_output;
            for (int u = 0; u < value->n_uses && !needed[i]; u++)
                needed[i] = needed[value->uses[u].node->id];
            for (int t = 0; t < options->n_taps && !needed[i]; t++)
                needed[i] = options->taps[t] == value;
        }
    }
}

int pri_plan_instance(pri_engine *engine, const pri_value *value)
{
    if (engine->primary[value->id] >= 0)
        return engine->primary[value->id];
    const pri_fact *fact = &engine->facts->of[value->id];
    const int id = pri_plan_add_instance(engine, value, fact->dtype, &fact->shape, PRI_PLAIN);
    if (id < 0)
        return -1;
    pri_instance *instance = &engine->instances[id];
    const pri_tensor *constant = constant_of(engine, value);
    if (constant != NULL) {
        engine->blocks[instance->block].is_foreign = true;
        engine->blocks[instance->block].data = constant->data;
        instance->needs_gradient = engine->options.backward && fact->dtype == PRI_F32 &&
                                   ((engine->options.weight_gradients && value->constant != NULL &&
                                     fact->shape.rank > 0 && !pri_is_statistic(value)) ||
                                    pri_plan_is_tap(engine, value));
    } else {
        instance->needs_gradient =
            engine->options.backward && fact->dtype == PRI_F32 && pri_plan_is_tap(engine, value);
    }
    engine->primary[value->id] = id;
    return id;
}

static pri_step *new_step(pri_engine *engine, pri_node *node, int n_in, int n_out)
{
    pri_step *step = &engine->steps[engine->n_steps];
    pri_arena *arena = engine->arena;

    *step = (pri_step){.node = node, .saved = -1, .residual = -1};
    step->in = pri_arena_alloc(arena, (size_t)n_in, sizeof *step->in);
    step->out = pri_arena_alloc(arena, (size_t)n_out, sizeof *step->out);
    step->in_id = pri_arena_alloc(arena, (size_t)n_in, sizeof(int));
    step->out_id = pri_arena_alloc(arena, (size_t)n_out, sizeof(int));
    step->grad_in = pri_arena_alloc(arena, (size_t)n_in, sizeof(float *));
    step->grad_out = pri_arena_alloc(arena, (size_t)n_out, sizeof(float *));
    step->needs_grad = pri_arena_alloc(arena, (size_t)n_in, sizeof(bool));
    step->is_fresh = pri_arena_alloc(arena, (size_t)n_in, sizeof(bool));
    step->fresh = pri_arena_alloc(arena, (size_t)(n_in + n_out) + 1, sizeof(int));
    if (step->in == NULL || step->out == NULL || step->in_id == NULL || step->out_id == NULL ||
        step->grad_in == NULL || step->grad_out == NULL || step->needs_grad == NULL ||
        step->is_fresh == NULL || step->fresh == NULL)
        return NULL;
    for (int k = 0; k < n_in; k++)
        step->in_id[k] = -1;
    for (int k = 0; k < n_out; k++)
        step->out_id[k] = -1;
    return step;
}

/* The instance of `value` in `layout`, adding a step that makes it if there is none. */
static int converted(pri_engine *engine, int id, pri_layout layout)
{
    const pri_value *value = engine->instances[id].value;

    if (engine->instances[id].layout == layout)
        return id;
    if (engine->converted[value->id] >= 0)
        return engine->converted[value->id];
    pri_step *step = new_step(engine, NULL, 1, 1);
    if (step == NULL)
        return -1;
    const pri_instance from = engine->instances[id];
    const int to = pri_plan_add_instance(engine, value, from.dtype, &from.shape, layout);
    if (to < 0)
        return -1;
    step->in_id[0] = id;
    step->out_id[0] = to;
    step->call.n_in = step->call.n_out = 1;
    step->in[0] = (pri_operand){
        .present = true, .dtype = from.dtype, .shape = from.shape, .layout = from.layout};
    step->out[0] = step->in[0];
    step->out[0].layout = layout;
    step->needs_grad[0] = from.needs_gradient;
    step->runs_backward = from.needs_gradient;
    engine->instances[to].needs_gradient = from.needs_gradient;
    engine->instances[to].producer = engine->n_steps++;
    engine->converted[value->id] = to;
    return to;
}

static void set_default_layouts(pri_call *call)
{
    if (call->op->layouts == PRI_LAYOUTS_PREPARE)
        return;
    const bool same = call->op->layouts == PRI_LAYOUTS_SAME && call->n_in > 0;
    for (int k = same ? 1 : 0; k < call->n_in; k++)
        call->in[k].layout = PRI_PLAIN;
    for (int k = 0; k < call->n_out; k++)
        call->out[k].layout = same ? call->in[0].layout : PRI_PLAIN;
}

/* Connects the inputs of a step; says whether a gradient has to pass. */
static pare_status connect_inputs(pri_engine *engine, pri_step *step)
{
    const pri_node *node = step->node;

    for (int k = 0; k < node->n_inputs; k++) {
        const pri_value *value = node->inputs[k];
        if (value == NULL)
            continue;
        const int id = pri_plan_instance(engine, value);
        if (id < 0)
            return PARE_ERROR_MEMORY;
        const pri_instance *instance = &engine->instances[id];
        step->in_id[k] = id;
        step->in[k].layout = instance->layout;
        step->in[k].dtype = instance->dtype;
        step->in[k].constant = constant_of(engine, value);
        step->in[k].is_weight = value->constant != NULL && instance->dtype == PRI_F32;
        step->needs_grad[k] = instance->needs_gradient && node->op->backward != NULL &&
                              (k >= 32 || (node->op->updates >> k & 1) == 0);
        step->runs_backward = step->runs_backward || step->needs_grad[k];
    }
    return PARE_OK;
}

/* Prepares a step that is not in the list yet, and puts the layout changes it asks for there. */
static pare_status prepare_step(pri_engine *engine, pri_step *step)
{
    const pri_node *node = step->node;

    if (step->has_epilogue)
        step->call.epilogue = &step->epilogue;
    if (node->op->prepare != NULL)
        PRI_TRY(node->op->prepare(&step->call));
    for (int k = 0; k < step->call.n_in; k++) {
        if (step->in_id[k] < 0)
            continue;
        step->in_id[k] = converted(engine, step->in_id[k], step->in[k].layout);
        if (step->in_id[k] < 0)
            return PARE_ERROR_MEMORY;
    }
    if (step->residual >= 0) {
        step->residual = converted(engine, step->residual, step->out[0].layout);
        if (step->residual < 0)
            return PARE_ERROR_MEMORY;
    }
    return PARE_OK;
}

/* Kernels count positions of an image in int. */
static bool is_countable(const pri_shape *shape)
{
    const int64_t rest = shape->rank > 2 ? pri_shape_span(shape, 2, shape->rank) : 1;

    for (int a = 0; a < shape->rank; a++) {
        if (shape->dims[a] > INT32_MAX)
            return false;
    }
    return rest <= INT32_MAX;
}

static pare_status check_sizes(const pri_step *step)
{
    const pri_call *call = &step->call;

    for (int k = 0; k < call->n_in + call->n_out; k++) {
        const pri_operand *operand = k < call->n_in ? &call->in[k] : &call->out[k - call->n_in];
        char text[PRI_SHAPE_TEXT];
        if (operand->present && !is_countable(&operand->shape))
            return pri_op_fail(call, PARE_ERROR_UNSUPPORTED, "a tensor of %s is too large to run",
                               pri_shape_text(text, &operand->shape));
    }
    return PARE_OK;
}

static pare_status add_node(pri_engine *engine, pri_node *node, const pri_fusion *fusion)
{
    char text[PRI_NODE_TEXT];

    for (int k = 0; k < node->n_outputs; k++) {
        if (node->outputs[k] != NULL && !engine->facts->of[node->outputs[k]->id].known)
            return pri_facts_explain(engine->facts, engine->model, node);
    }
    if (node->op == NULL || node->op->forward == NULL)
        return pri_fail(engine->ctx, PARE_ERROR_UNSUPPORTED, "%s cannot be run by pare",
                        pri_node_text(text, node));
    /* the step is filled in a free place; layout changes may have to come first */
    pri_step local;
    pri_step *step =
        new_step(engine, node, node->n_inputs + 1, node->n_outputs); /* room for a residual */
    if (step == NULL)
        return PARE_ERROR_MEMORY;
    pri_call_of(&step->call, step->in, step->out, engine->model, node, engine->facts);
    PRI_TRY(check_sizes(step));
    PRI_TRY(connect_inputs(engine, step));
    if (fusion->tail[node->id] != node->id)
        PRI_TRY(pri_fuse_epilogue(engine, step, fusion, node));
    step->call.training = engine->options.training;
    step->call.needs_backward = step->runs_backward;
    step->call.needs_grad = step->needs_grad;
    step->call.preferred = engine->preferred;
    step->call.is_narrow = engine->options.bf16;
    step->call.may_measure = !engine->options.plan_only && !engine->options.by_rule;
    const pri_node *last = engine->model->graph->nodes[fusion->tail[node->id]];
    if (last->outputs[0] != NULL && pri_plan_is_narrow(engine, node, last->outputs[0]))
        step->out[0].dtype = PRI_BF16;
    set_default_layouts(&step->call);
    local = *step;
    const pare_status status = prepare_step(engine, &local);
    if (status != PARE_OK) {
        if (node->op->release != NULL)
            node->op->release(&local.call);
        return status;
    }
    step = &engine->steps[engine->n_steps++];
    *step = local;
    if (step->has_epilogue)
        step->call.epilogue = &step->epilogue;
    for (int k = 0; k < node->n_outputs; k++) {
        const pri_value *value = last == node ? node->outputs[k] : last->outputs[k];
        if (value == NULL)
            continue;
        const int id = pri_plan_add_instance(engine, value, step->out[k].dtype, &step->out[k].shape,
                                             step->out[k].layout);
        if (id < 0)
            return PARE_ERROR_MEMORY;
        engine->instances[id].producer = engine->n_steps - 1;
        engine->instances[id].needs_gradient =
            engine->facts->of[value->id].dtype == PRI_F32 &&
            (step->runs_backward || (engine->options.backward && pri_plan_is_tap(engine, value)));
        engine->primary[value->id] = id;
        step->out_id[k] = id;
    }
    if (step->call.scratch_bytes > engine->scratch_bytes)
        engine->scratch_bytes = step->call.scratch_bytes;
    if (step->runs_backward && step->call.saved_bytes > 0) {
        step->saved = pri_plan_add_block(engine, step->call.saved_bytes);
        if (step->saved < 0)
            return PARE_ERROR_MEMORY;
    }
    return PARE_OK;
}

static pare_status add_inputs(pri_engine *engine)
{
    const pri_graph *graph = engine->model->graph;

    engine->inputs = pri_arena_alloc(engine->arena, (size_t)graph->n_inputs, sizeof(int));
    if (engine->inputs == NULL)
        return PARE_ERROR_MEMORY;
    for (int i = 0; i < graph->n_inputs; i++) {
        engine->inputs[i] = pri_plan_instance(engine, graph->inputs[i]);
        if (engine->inputs[i] < 0)
            return PARE_ERROR_MEMORY;
    }
    return PARE_OK;
}

static pare_status add_outputs(pri_engine *engine)
{
    const pri_graph *graph = engine->model->graph;
    const pri_engine_options *options = &engine->options;

    engine->outputs = pri_arena_alloc(engine->arena, (size_t)graph->n_outputs, sizeof(int));
    engine->taps = pri_arena_alloc(engine->arena, (size_t)options->n_taps, sizeof(int));
    if (engine->outputs == NULL || engine->taps == NULL)
        return PARE_ERROR_MEMORY;
    for (int i = 0; i < graph->n_outputs; i++) {
        int id = pri_plan_instance(engine, graph->outputs[i]);
        if (id >= 0)
            id = converted(engine, id, PRI_PLAIN);
        if (id < 0)
            return PARE_ERROR_MEMORY;
        engine->outputs[i] = id;
        engine->instances[id].is_pinned = true;
    }
    for (int t = 0; t < options->n_taps; t++) {
        engine->taps[t] = pri_plan_instance(engine, options->taps[t]);
        if (engine->taps[t] < 0)
            return PARE_ERROR_MEMORY;
        engine->instances[engine->taps[t]].is_pinned = true;
    }
    return PARE_OK;
}

pare_status pri_plan_steps(pri_engine *engine)
{
    const pri_graph *graph = engine->model->graph;
    const size_t n_values = (size_t)graph->n_values;
    pri_fusion fusion;

    bool *needed = pri_arena_alloc(engine->arena, (size_t)graph->n_nodes, sizeof *needed);
    engine->primary = pri_arena_alloc(engine->arena, n_values, sizeof(int));
    engine->converted = pri_arena_alloc(engine->arena, n_values, sizeof(int));
    engine->steps_capacity = graph->n_nodes + graph->n_values + 1;
    engine->steps =
        pri_arena_alloc(engine->arena, (size_t)engine->steps_capacity, sizeof *engine->steps);
    if (needed == NULL || engine->primary == NULL || engine->converted == NULL ||
        engine->steps == NULL)
        return PARE_ERROR_MEMORY;
    for (size_t i = 0; i < n_values; i++)
        engine->primary[i] = engine->converted[i] = -1;
    mark_needed(needed, engine);
    PRI_TRY(pri_fuse(&fusion, engine, needed));
    PRI_TRY(add_inputs(engine));
    for (int i = 0; i < graph->n_nodes; i++) {
        if (!needed[i])
            continue;
        const int head = fusion.head[i];
        if (head >= 0 && fusion.tail[head] == i)
            PRI_TRY(add_node(engine, graph->nodes[head], &fusion));
        else if (head < 0 && fusion.tail[i] == i)
            PRI_TRY(add_node(engine, graph->nodes[i], &fusion));
    }
    return add_outputs(engine);
}
