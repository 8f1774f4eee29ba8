/* SPDX-License-Identifier: Apache-2.0 */
/* passage.c - what a layer's output passes on its way to the next. */
#include "model/model.h"

#include <math.h>
#include <string.h>

/* The node behind `node` when it is the only reader of its output. */
static const pri_node *only_reader(const pri_node *node)
{
    const pri_value *out = node->outputs[0];

    return out != NULL && out->n_uses == 1 && !out->is_output && out->uses[0].slot >= 0
               ? out->uses[0].node
               : NULL;
}

pri_passage pri_passage_of(const pri_node *layer)
{
    const pri_node *next = only_reader(layer);
    const pri_value *own = layer->outputs[0];
    pri_passage passage = {0};

    if (next != NULL && next->op != NULL && next->op->as_affine != NULL && next->inputs[0] == own) {
        passage.affine = next;
        own = next->outputs[0];
        next = only_reader(next);
    }
    if (next == NULL || next->op == NULL || !next->op->is_sum || next->n_inputs != 2)
        return passage;
    const int slot = next->inputs[0] == own ? 1 : 0;
    const pri_value *other = next->inputs[slot];
    if (other == NULL || other == own || other->constant != NULL)
        return passage;
    passage.sum = next;
    passage.other = other;
    return passage;
}

bool pri_passage_scale(float *scale, float *shift, const pare_model *model,
                       const pri_passage *passage, const pri_facts *facts)
{
    pri_operand in[PRI_MAX_OPERANDS], out[PRI_MAX_OPERANDS];
    pri_call call;

    if (passage->affine == NULL)
        return false;
    const pri_node *node = model->graph->nodes[passage->affine->id];
    pri_call_of(&call, in, out, model, node, facts);
    for (int k = 1; k < call.n_in; k++)
        in[k].constant = node->inputs[k] != NULL ? node->inputs[k]->constant : NULL;
    return node->op->as_affine(&call, scale, shift);
}
