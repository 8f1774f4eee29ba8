/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuse.c - finds what a convolution can take over in inference:
 * conv -> [affine per channel] -> [residual sum] -> [activation], where the activation may be
 * spelled as x * Sigmoid(x).
 *
 * In training, normalisation -> [residual sum] -> [Relu or Clip], where the operator does all at
 * once, both ways.
 *
 * Each link needs the value between to have no other reader. The operators say
 * themselves what they are (as_affine, is_sum, is_product, as_activation).
 */
#include "engine/plan.h"

/* Read by `readers` operands of nodes and by nothing else. */
static bool is_private(const pri_engine *engine, const pri_value *value, int readers)
{
    return !value->is_output && value->n_uses == readers && !pri_plan_is_tap(engine, value);
}

/* Whether a node's inputs fit it: what does not is not fused, but said when its step is made. */
static bool is_inferred(const pri_engine *engine, const pri_node *node)
{
    return node->n_outputs > 0 && node->outputs[0] != NULL &&
           engine->facts->of[node->outputs[0]->id].known;
}

/* The only reader of a node's output, when the pair may be fused. */
static const pri_node *next_node(const pri_engine *engine, const pri_node *node, const bool *needed)
{
    const pri_value *value = node->outputs[0];

    if (!is_private(engine, value, 1) || value->uses[0].slot < 0)
        return NULL;
    const pri_node *next = value->uses[0].node;
    if (!needed[next->id] || next->op == NULL || !is_inferred(engine, next))
        return NULL;
    return next;
}

static bool takes_affine(const pri_engine *engine, const pri_node *node, const pri_value *from)
{
    pri_operand in[PRI_MAX_OPERANDS], out[PRI_MAX_OPERANDS];
    pri_call call;

    if (node->op->as_affine == NULL || node->inputs[0] != from)
        return false;
    pri_call_of(&call, in, out, engine->model, node, engine->facts);
    return node->op->as_affine(&call, NULL, NULL);
}

static bool takes_sum(const pri_engine *engine, const pri_node *node, const pri_value *from)
{
    if (!node->op->is_sum || node->n_inputs != 2)
        return false;
    const pri_value *other = node->inputs[0] == from ? node->inputs[1] : node->inputs[0];
    if (other == NULL || other == from || engine->facts->of[other->id].constant != NULL)
        return false;
    return pri_shape_equal(&engine->facts->of[other->id].shape,
                           &engine->facts->of[from->id].shape) &&
           engine->facts->of[other->id].dtype == PRI_F32;
}

static bool takes_activation(const pri_engine *engine, const pri_node *node, const pri_value *from,
                             pri_activation *activation)
{
    pri_operand in[PRI_MAX_OPERANDS], out[PRI_MAX_OPERANDS];
    pri_call call;

    if (node->op->as_activation == NULL || node->inputs[0] != from)
        return false;
    pri_call_of(&call, in, out, engine->model, node, engine->facts);
    return node->op->as_activation(&call, activation);
}

/* The product in x * Sigmoid(x), where nothing else reads x or the Sigmoid, which goes to *gate;
 * NULL if there is none. */
static const pri_node *find_swish(const pri_engine *engine, const pri_value *x, const bool *needed,
                                  const pri_node **gate)
{
    pri_activation activation;

    if (!is_private(engine, x, 2))
        return NULL;
    for (int k = 0; k < 2; k++) {
        const pri_use *use = &x->uses[k], *other = &x->uses[1 - k];
        if (use->slot < 0 || other->slot < 0 || !needed[use->node->id] || use->node->op == NULL ||
            !is_inferred(engine, use->node) ||
            !takes_activation(engine, use->node, x, &activation) ||
            activation.kind != PRI_ACT_SIGMOID)
            continue;
        const pri_node *product = next_node(engine, use->node, needed);
        if (product != NULL && product == other->node && product->op->is_product) {
            *gate = use->node;
            return product;
        }
    }
    return NULL;
}

static void fuse_behind(pri_fusion *fusion, const pri_engine *engine, const pri_node *conv,
                        const bool *needed)
{
    const pri_node *last = conv, *gate = NULL;
    const pri_node *next = next_node(engine, last, needed);
    pri_activation activation;

    if (next != NULL && takes_affine(engine, next, last->outputs[0])) {
        fusion->affine[conv->id] = next;
        fusion->head[next->id] = conv->id;
        last = next;
        next = next_node(engine, last, needed);
    }
    if (next != NULL && takes_sum(engine, next, last->outputs[0]) && fusion->head[next->id] < 0) {
        fusion->sum[conv->id] = next;
        fusion->head[next->id] = conv->id;
        last = next;
        next = next_node(engine, last, needed);
    }
    const pri_node *product = find_swish(engine, last->outputs[0], needed, &gate);
    if (product != NULL)
        next = gate;
    if (next != NULL && takes_activation(engine, next, last->outputs[0], &activation)) {
        fusion->activation[conv->id] = next;
        fusion->head[next->id] = conv->id;
        last = next;
    }
    if (product != NULL) {
        fusion->product[conv->id] = product;
        fusion->head[product->id] = conv->id;
        last = product;
    }
    fusion->tail[conv->id] = last->id;
}

/* Relu, or Clip between bounds that are in order. */
static bool is_cut(const pri_activation *activation)
{
    return activation->kind == PRI_ACT_RELU
               ? activation->alpha == 0
               : activation->kind == PRI_ACT_CLIP && activation->alpha < activation->beta;
}

/* What follows a normalisation in training: a sum, an activation, or both. */
static void fuse_rest(pri_fusion *fusion, const pri_engine *engine, const pri_node *node,
                      const bool *needed)
{
    pri_activation activation;
    const pri_node *last = node, *next = next_node(engine, node, needed);

    if (next != NULL && takes_sum(engine, next, last->outputs[0]) && fusion->head[next->id] < 0) {
        fusion->sum[node->id] = next;
        fusion->head[next->id] = node->id;
        last = next;
        next = next_node(engine, last, needed);
    }
    if (next != NULL && takes_activation(engine, next, last->outputs[0], &activation) &&
        is_cut(&activation)) {
        fusion->activation[node->id] = next;
        fusion->head[next->id] = node->id;
        last = next;
    }
    fusion->tail[node->id] = last->id;
}

pare_status pri_fuse(pri_fusion *fusion, pri_engine *engine, const bool *needed)
{
    const pri_graph *graph = engine->model->graph;
    const size_t n = (size_t)graph->n_nodes;

    fusion->head = pri_arena_alloc(engine->arena, n, sizeof(int));
    fusion->tail = pri_arena_alloc(engine->arena, n, sizeof(int));
    fusion->affine = pri_arena_alloc(engine->arena, n, sizeof(pri_node *));
    fusion->activation = pri_arena_alloc(engine->arena, n, sizeof(pri_node *));
    fusion->product = pri_arena_alloc(engine->arena, n, sizeof(pri_node *));
    fusion->sum = pri_arena_alloc(engine->arena, n, sizeof(pri_node *));
    if (fusion->head == NULL || fusion->tail == NULL || fusion->affine == NULL ||
        fusion->activation == NULL || fusion->product == NULL || fusion->sum == NULL)
        return PARE_ERROR_MEMORY;
    for (int i = 0; i < graph->n_nodes; i++) {
        fusion->head[i] = -1;
        fusion->tail[i] = i;
    }
    const pri_engine_options *options = &engine->options;
    for (int i = 0; i < graph->n_nodes && options->training && !options->no_fusion; i++) {
        const pri_node *node = graph->nodes[i];
        if (needed[i] && node->op != NULL && node->op->takes_rest)
            fuse_rest(fusion, engine, node, needed);
    }
    if (options->no_fusion || options->training || options->backward)
        return PARE_OK;
    for (int i = 0; i < graph->n_nodes; i++) {
        const pri_node *node = graph->nodes[i];
        if (needed[i] && node->op != NULL && node->op->takes_epilogue)
            fuse_behind(fusion, engine, node, needed);
    }
    return PARE_OK;
}

/* --- The step that is made of it --- */

/* A residual as an input behind those of the node. */
static void add_input(const pri_engine *engine, pri_step *step, int id)
{
    const pri_instance *instance = &engine->instances[id];
    const int k = step->call.n_in++;

    step->in_id[k] = id;
    step->in[k] = (pri_operand){.present = true,
                                .dtype = instance->dtype,
                                .shape = instance->shape,
                                .layout = instance->layout};
    step->needs_grad[k] = instance->needs_gradient;
    step->runs_backward = step->runs_backward || step->needs_grad[k];
}

pare_status pri_fuse_epilogue(pri_engine *engine, pri_step *step, const pri_fusion *fusion,
                              const pri_node *node)
{
    pri_operand in[PRI_MAX_OPERANDS], out[PRI_MAX_OPERANDS];
    pri_call call;
    const pri_node *activation = fusion->activation[node->id];
    const pri_node *product = fusion->product[node->id];

    step->has_epilogue = true;
    step->affine = fusion->affine[node->id];
    const pri_node *const fused[PRI_MAX_FUSED] = {step->affine, fusion->sum[node->id], activation,
                                                  product};
    for (int k = 0, n = 0; k < PRI_MAX_FUSED; k++) {
        if (fused[k] != NULL)
            step->fused[n++] = fused[k];
    }
    if (step->affine != NULL) {
        const int64_t channels = step->out[0].shape.dims[1];
        step->scale_shift = pri_arena_alloc(engine->arena, (size_t)(2 * channels), sizeof(float));
        if (step->scale_shift == NULL)
            return PARE_ERROR_MEMORY;
        step->epilogue.scale = step->scale_shift;
        step->epilogue.shift = step->scale_shift + channels;
        pri_call_of(&call, in, out, engine->model, step->affine, engine->facts);
        (void)step->affine->op->as_affine(&call, step->scale_shift, step->scale_shift + channels);
    }
    if (fusion->sum[node->id] != NULL) {
        const pri_node *sum = fusion->sum[node->id];
        const pri_value *own = step->affine != NULL ? step->affine->outputs[0] : node->outputs[0];
        const int residual =
            pri_plan_instance(engine, sum->inputs[0] == own ? sum->inputs[1] : sum->inputs[0]);
        if (residual < 0)
            return PARE_ERROR_MEMORY;
        step->epilogue.has_residual = true;
        if (engine->options.training)
            add_input(engine, step, residual);
        else
            step->residual = residual;
    }
    if (activation != NULL) {
        pri_call_of(&call, in, out, engine->model, activation, engine->facts);
        (void)activation->op->as_activation(&call, &step->epilogue.activation);
    }
    if (product != NULL)
        step->epilogue.activation.kind = PRI_ACT_SWISH;
    step->call.epilogue = &step->epilogue;
    return PARE_OK;
}
