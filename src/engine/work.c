/* SPDX-License-Identifier: Apache-2.0 */
/* work.c - what a step has to multiply and to move. */
#include "engine/plan.h"

static int64_t bytes_of(const pri_operand *o)
{
    return o->present ? pri_shape_count(&o->shape) * (int64_t)pri_dtype_bytes(o->dtype) : 0;
}

static bool has_activation(const pri_step *step)
{
    return step->has_epilogue && step->epilogue.activation.kind != PRI_ACT_NONE;
}

/* Its output is its input's memory, as it is. */
static bool is_view(const pri_step *step)
{
    return step->node != NULL && step->node->op->is_movement && step->call.n_in > 0 &&
           step->in[0].data == step->out[0].data;
}

static int64_t forward_bytes(const pri_step *step)
{
    int64_t sum = (int64_t)step->call.saved_bytes;

    if (is_view(step))
        return 0;
    for (int k = 0; k < step->call.n_in; k++) {
        if (step->node == NULL || !step->node->op->reads_shapes_only)
            sum += bytes_of(&step->in[k]);
    }
    for (int k = 0; k < step->call.n_out; k++)
        sum += bytes_of(&step->out[k]);
    if (step->residual >= 0) /* not an input of the step's: see pri_step */
        sum += bytes_of(&step->out[0]);
    return sum;
}

/* Inputs and outputs that the way back reads, as bits of pri_op.backward_reads. */
static unsigned back_reads(const pri_step *step, bool is_product)
{
    const pri_op *op = step->node->op;
    unsigned reads = op->backward_reads;

    if (op->takes_rest && has_activation(step))
        reads |= PRI_READS_OUT0;
    if (is_product && !step->needs_grad[1]) /* a factor is read for the other one's gradient */
        reads &= ~(unsigned)PRI_READS_IN0;
    if (is_product && !step->needs_grad[0])
        reads &= ~(unsigned)PRI_READS_IN1;
    return reads;
}

static int64_t back_bytes(const pri_step *step, bool is_product)
{
    const unsigned reads = step->node != NULL ? back_reads(step, is_product) : 0;
    int64_t sum = (int64_t)step->call.saved_bytes;

    for (int k = 0; k < step->call.n_in; k++) {
        if (k < 8 && (reads & 1u << k) != 0)
            sum += bytes_of(&step->in[k]);
        if (step->node == NULL || step->needs_grad[k])
            sum += bytes_of(&step->in[k]);
    }
    for (int k = 0; k < step->call.n_out; k++)
        sum += bytes_of(&step->out[k]) * (k == 0 && (reads & PRI_READS_OUT0) != 0 ? 2 : 1);
    return sum;
}

/* Products that give gradients: one for each factor that needs one. */
static int factors(const pri_step *step)
{
    int n = 0;

    for (int k = 0; k < step->call.n_in && k < 2; k++)
        n += step->node != NULL && step->needs_grad[k];
    return n;
}

pri_step_work pri_engine_step_work(const pri_engine *engine, int step)
{
    const pri_step *s = &engine->steps[step];
    const pri_op *op = s->node != NULL ? s->node->op : NULL;
    pri_step_work out = {.forward = {.bytes = forward_bytes(s)}};
    pri_work work = {0};
    pri_cost cost = {0};

    if (op != NULL && op->work != NULL)
        op->work(&s->call, &work);
    if (op != NULL && op->cost != NULL)
        op->cost(&s->call, &cost);
    out.algorithm = work.algorithm;
    out.forward.macs = cost.macs;
    out.forward.staged = work.staged;
    if (!s->runs_backward)
        return out;
    out.back = (pri_pass_work){.macs = cost.macs * factors(s),
                               .bytes = back_bytes(s, cost.macs > 0),
                               .staged = work.staged_back};
    if (s->again >= 0) {
        out.back.macs += out.forward.macs;
        out.back.bytes += out.forward.bytes;
        out.back.staged += out.forward.staged;
    }
    return out;
}
