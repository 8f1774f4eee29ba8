/* SPDX-License-Identifier: Apache-2.0 */
/*
 * derive.c - weights that the file computes from constants.
 *
 * Exporters state weights through ConstantOfShape, Cast, Transpose or DequantizeLinear. What needs
 * nothing but constants is run once; where a node of the rest of the network reads a float result,
 * that value holds it as a constant and is a weight. The nodes before it stay for the file.
 *
 * Weights are tied where the rest reads a source as well as what is computed from it (an embedding
 * and its Transpose): there the node stays, as a copy would break the tie. Identity ties nothing:
 * exporters let parameters that happen to be equal share one initialiser so.
 */
#include <string.h>

#include "model/model.h"

typedef struct derivation {
    pri_graph *graph;
    pri_tensor **results; /* by value id; owned until a value takes it */
    bool *is_pure;        /* by node id: its result is there */
    bool *is_shared;      /* by value id: it or a float it comes from is read by the rest ... */
    bool *is_tied;        /* ... and it is computed from that */
    int64_t bytes;        /* of the results */
} derivation;

static pri_tensor *tensor_of(const derivation *d, const pri_value *value)
{
    return value->constant != NULL ? value->constant : d->results[value->id];
}

static bool can_run(const derivation *d, const pri_node *node)
{
    const pri_op *op = node->op;

    if (node->is_dead || op == NULL || op->forward == NULL || op->reads_shapes_only ||
        op->updates != 0 || node->n_implicit > 0 || node->n_inputs == 0 || node->n_outputs != 1 ||
        node->outputs[0] == NULL || node->outputs[0]->constant != NULL)
        return false;
    for (int k = 0; k < node->n_inputs; k++) {
        if (node->inputs[k] != NULL && tensor_of(d, node->inputs[k]) == NULL)
            return false;
    }
    return true;
}

/* What a node cannot do is no error here: it stays for whoever runs the model to report. */
static pare_status run(derivation *d, const pri_node *node)
{
    pri_tensor *in[PRI_MAX_OPERANDS] = {NULL}, *out[1] = {NULL};
    pri_graph *graph = d->graph;

    for (int k = 0; k < node->n_inputs; k++)
        in[k] = node->inputs[k] != NULL ? tensor_of(d, node->inputs[k]) : NULL;
    const pare_status status = pri_op_run(graph->ctx, node->op, node, node->params, graph->opset,
                                          node->n_inputs, in, 1, out, &d->bytes);
    if (status == PARE_ERROR_MEMORY)
        return status;
    pri_forget(graph->ctx);
    if (status != PARE_OK)
        return PARE_OK;
    d->results[node->outputs[0]->id] = out[0];
    d->is_pure[node->id] = true;
    return PARE_OK;
}

/* The type in which the file has what a node gives; a node's float inputs have one type. */
static pri_dtype file_dtype(const pri_node *node)
{
    const pri_attr *value = pri_node_attr(node, "value");
    const int64_t to = pri_node_attr_int(node, "to", PRI_UNDEFINED);

    if (to != PRI_UNDEFINED)
        return (pri_dtype)to;
    if (value != NULL && value->tensor != NULL)
        return value->dtype;
    for (int k = node->n_inputs - 1; k >= 0; k--) {
        if (node->inputs[k] != NULL && pri_dtype_run(node->inputs[k]->dtype) == PRI_F32)
            return node->inputs[k]->dtype;
    }
    return PRI_F32;
}

static bool is_read_by_rest(const derivation *d, const pri_value *value)
{
    bool is_read = value->is_output;

    for (int u = 0; u < value->n_uses && !is_read; u++)
        is_read = !value->uses[u].node->is_dead && !d->is_pure[value->uses[u].node->id];
    return is_read;
}

/* Sources come earlier in the list. */
static void mark_tied(derivation *d, const pri_node *node)
{
    const pri_value *out = node->outputs[0];
    const bool is_copy = strcmp(node->op_type, "Identity") == 0;

    if (!d->is_pure[node->id])
        return;
    for (int k = 0; k < node->n_inputs; k++) {
        const pri_value *in = node->inputs[k];
        const pri_tensor *tensor = in != NULL ? tensor_of(d, in) : NULL;
        if (tensor == NULL || tensor->dtype != PRI_F32 || tensor->shape.rank == 0)
            continue;
        const bool is_shared = d->is_shared[in->id] || is_read_by_rest(d, in);
        d->is_shared[out->id] = d->is_shared[out->id] || is_shared;
        d->is_tied[out->id] = d->is_tied[out->id] || (is_copy ? d->is_tied[in->id] : is_shared);
    }
}

/* Readers come later in the list, so going backwards they are settled. */
static void keep_result(derivation *d, pri_node *node)
{
    if (!d->is_pure[node->id])
        return;
    pri_value *value = node->outputs[0];
    pri_tensor *result = d->results[value->id];
    if (!value->is_output && !pri_is_read(value)) {
        node->is_derived = value->n_uses > 0;
        return;
    }
    if (result->dtype != PRI_F32 || result->shape.rank == 0 || d->is_tied[value->id])
        return;
    node->is_derived = value->is_derived = true;
    value->constant = result;
    d->results[value->id] = NULL;
}

pare_status pri_model_derive(pare_model *model)
{
    pri_graph *graph = model->graph;
    derivation d = {.graph = graph,
                    .results = pri_alloc(model->ctx, (size_t)graph->n_values, sizeof *d.results),
                    .is_pure = pri_alloc(model->ctx, (size_t)graph->n_nodes, sizeof *d.is_pure),
                    .is_shared = pri_alloc(model->ctx, (size_t)graph->n_values, sizeof(bool)),
                    .is_tied = pri_alloc(model->ctx, (size_t)graph->n_values, sizeof(bool))};
    pare_status status =
        d.results != NULL && d.is_pure != NULL && d.is_shared != NULL && d.is_tied != NULL
            ? PARE_OK
            : PARE_ERROR_MEMORY;

    for (int i = 0; i < graph->n_nodes && status == PARE_OK; i++) {
        pri_node *node = graph->nodes[i];
        if (!can_run(&d, node))
            continue;
        status = run(&d, node);
        if (node->outputs[0]->dtype == PRI_UNDEFINED)
            node->outputs[0]->dtype = file_dtype(node);
    }
    for (int i = 0; i < graph->n_nodes && status == PARE_OK; i++)
        mark_tied(&d, graph->nodes[i]);
    for (int i = graph->n_nodes - 1; i >= 0 && status == PARE_OK; i--)
        keep_result(&d, graph->nodes[i]);
    for (int i = 0; d.results != NULL && i < graph->n_values; i++)
        pri_tensor_free(d.results[i]);
    pri_free(d.results);
    pri_free(d.is_pure);
    pri_free(d.is_shared);
    pri_free(d.is_tied);
    return status;
}

bool pri_is_read(const pri_value *value)
{
    for (int u = 0; u < value->n_uses; u++) {
        if (!value->uses[u].node->is_dead && !value->uses[u].node->is_derived)
            return true;
    }
    return false;
}
