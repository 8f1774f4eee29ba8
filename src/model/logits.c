/* SPDX-License-Identifier: Apache-2.0 */
/* logits.c - what stands before a Softmax at the end of a network. */
#include <string.h>

#include "model/model.h"

/* The Softmax or LogSoftmax an output comes from (Identities may stand between), or NULL. */
static const pri_node *softmax_of(const pri_value *output)
{
    const pri_node *node = output->producer;

    while (node != NULL && strcmp(node->op_type, "Identity") == 0 && node->n_inputs == 1)
        node = node->inputs[0]->producer;
    if (node == NULL || node->n_inputs != 1 || node->inputs[0] == NULL ||
        (strcmp(node->op_type, "Softmax") != 0 && strcmp(node->op_type, "LogSoftmax") != 0))
        return NULL;
    return node;
}

pri_value *pri_logits_of(pri_value *output, const pri_facts *facts, int opset)
{
    const pri_node *node = softmax_of(output);

    if (node == NULL)
        return output;
    const pri_shape *shape = &facts->of[node->inputs[0]->id].shape;
    const int axis = pri_axis(pri_node_attr_int(node, "axis", opset < 13 ? 1 : -1), shape->rank);
    /* before opset 13 it ran over all axes from its own on */
    const bool is_over_classes =
        axis == 1 && (opset >= 13 || pri_shape_span(shape, 2, shape->rank) == 1);
    return is_over_classes ? node->inputs[0] : output;
}

pare_status pri_model_expose_logits(pare_model *model)
{
    pri_graph *graph = model->graph;
    pri_facts *facts = NULL;

    PRI_TRY(pri_facts_infer(&facts, model, 0, true));
    for (int k = 0; k < graph->n_outputs; k++) {
        pri_value *output = graph->outputs[k];
        pri_value *logits = pri_logits_of(output, facts, graph->opset);
        if (logits == output || logits->is_output)
            continue;
        output->is_output = false;
        logits->is_output = true;
        graph->outputs[k] = logits;
    }
    pri_facts_free(facts);
    return PARE_OK;
}
