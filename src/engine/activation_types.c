/* SPDX-License-Identifier: Apache-2.0 */
/* activation_types.c - which activations are kept as bfloat16 in training. */
#include "engine/plan.h"

static bool takes_bf16(const pri_engine *engine, const pri_node *node, int slot)
{
    pri_operand in[PRI_MAX_OPERANDS], out[PRI_MAX_OPERANDS];
    pri_call call;

    if (node->op == NULL || node->op->takes_bf16 == NULL)
        return false;
    pri_call_of(&call, in, out, engine->model, node, engine->facts);
    return node->op->takes_bf16(&call, slot);
}

/* Whether the value that a step of `node` gives is kept as bfloat16: images only, and when every
 * reader takes it. */
bool pri_plan_is_narrow(const pri_engine *engine, const pri_node *node, const pri_value *value)
{
    const pri_fact *fact = &engine->facts->of[value->id];

    if (!engine->options.bf16_activations || !engine->options.bf16 || !engine->options.backward ||
        fact->dtype != PRI_F32 || fact->shape.rank < 3 || value->is_output ||
        pri_plan_is_tap(engine, value) || !takes_bf16(engine, node, PRI_OUT(0)))
        return false;
    for (int u = 0; u < value->n_uses; u++) {
        const pri_node *reader = value->uses[u].node;
        if (!reader->is_dead && !takes_bf16(engine, reader, value->uses[u].slot))
            return false;
    }
    return true;
}
