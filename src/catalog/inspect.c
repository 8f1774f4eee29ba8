/* SPDX-License-Identifier: Apache-2.0 */
/* inspect.c - one row a node: shape, costs, channels, and what stands in the way. */
#include <string.h>

#include "catalog/inspect_rows.h"

int pri_inspect_axis(const pri_groups *groups, const pri_value *value)
{
    int best = -1;

    for (int r = groups->axis_of_value[value->id]; r >= 0; r = groups->axes[r].next) {
        if (best < 0 || groups->axes[r].axis < groups->axes[best].axis)
            best = r;
    }
    return best;
}

static const pri_value *first_output(const pri_node *node)
{
    for (int k = 0; k < node->n_outputs; k++) {
        if (node->outputs[k] != NULL)
            return node->outputs[k];
    }
    return NULL;
}

static bool is_row(const pri_node *node)
{
    const pri_value *output = first_output(node);

    /* Constant nodes and what computes weights are no layers */
    return !node->is_dead && !node->is_derived &&
           !(output != NULL && output->constant != NULL && node->n_inputs == 0);
}

/* --- Shape and costs --- */

static bool is_shape_known(const pri_facts *facts, const pri_node *node)
{
    for (int k = 0; k < node->n_outputs; k++) {
        if (node->outputs[k] != NULL && !facts->of[node->outputs[k]->id].known)
            return false;
    }
    return true;
}

/* The first line of the context's message, without the node's name in front of it. */
static const char *take_message(pri_inspection *in, const pri_node *node)
{
    const char *message = pare_context_message(in->model->ctx);
    char name[PRI_NODE_TEXT];

    if (node != NULL) {
        const size_t length = strlen(pri_node_text(name, node));
        if (strncmp(message, name, length) == 0 && strncmp(message + length, ": ", 2) == 0)
            message += length + 2;
    }
    const char *copy = pri_arena_strndup(in->arena, message, strcspn(message, "\n"));
    if (copy != NULL)
        pri_forget(in->model->ctx);
    return copy;
}

static const char *unknown_input(const pri_facts *facts, const pri_node *node)
{
    for (int k = 0; k < node->n_inputs; k++) {
        if (node->inputs[k] != NULL && !facts->of[node->inputs[k]->id].known)
            return node->inputs[k]->name;
    }
    return NULL;
}

static pare_status explain(pare_layer *row, pri_inspection *in, pri_node *node)
{
    pri_facts *facts = in->groups->facts;
    const char *input = unknown_input(facts, node);

    if (node->op != NULL && input != NULL) {
        row->is_downstream = true;
        row->problem = pri_arena_printf(in->arena, "the shape of '%s' is not known", input);
        return row->problem != NULL ? PARE_OK : PARE_ERROR_MEMORY;
    }
    pare_model mutable_model = *in->model;
    const pare_status status = node->op == NULL ? pri_model_bind_node(&mutable_model, node)
                                                : pri_facts_explain(facts, in->model, node);
    if (status == PARE_ERROR_MEMORY)
        return status;
    row->problem = take_message(in, node);
    return row->problem != NULL ? PARE_OK : PARE_ERROR_MEMORY;
}

static pare_status measure(pare_layer *row, pri_inspection *in, pri_node *node)
{
    const pri_facts *facts = in->groups->facts;
    const pri_value *output = first_output(node);
    const pri_fact *fact = output != NULL ? &facts->of[output->id] : NULL;

    row->rank = -1;
    row->macs = node->op != NULL && node->op->cost == NULL ? 0 : -1;
    if (fact != NULL && fact->known) {
        row->rank = fact->shape.rank;
        memcpy(row->dims, fact->shape.dims, sizeof row->dims);
        row->is_folded = fact->constant != NULL;
    }
    if (node->op == NULL || !is_shape_known(facts, node))
        return explain(row, in, node);
    if (node->op->cost != NULL) {
        pri_operand operands[2][PRI_MAX_OPERANDS];
        pri_cost cost = {0};
        pri_call call;
        pri_call_of(&call, operands[0], operands[1], in->model, node, facts);
        node->op->cost(&call, &cost);
        row->macs = row->is_folded ? 0 : cost.macs;
    }
    return PARE_OK;
}

/* --- Channels --- */

static bool makes_channels(const pri_inspection *in, const pri_node *node)
{
    const pri_facts *facts = in->groups->facts;

    for (int k = 0; node->op != NULL && node->op->cost != NULL && k < node->n_inputs; k++) {
        const pri_fact *fact = node->inputs[k] != NULL ? &facts->of[node->inputs[k]->id] : NULL;
        if (fact != NULL && fact->constant != NULL && fact->shape.rank >= 2)
            return true;
    }
    return false;
}

static pare_status count_channels(pare_layer *row, pri_inspection *in, const pri_node *node)
{
    const pri_groups *groups = in->groups;
    const pri_value *output = first_output(node);
    const int record = output != NULL ? pri_inspect_axis(groups, output) : -1;
    const pri_pin *pin = NULL;

    row->makes_channels = makes_channels(in, node);
    if (record < 0)
        return PARE_OK;
    const pri_axis_use *axis = &groups->axes[record];
    bool *seen = pri_alloc(groups->ctx, (size_t)groups->n_groups, sizeof *seen);
    if (seen == NULL)
        return PARE_ERROR_MEMORY;
    row->channels = axis->size;
    for (int64_t i = 0; i < axis->size; i++) {
        const pri_unit *unit = &groups->units[pri_groups_unit(groups, record, i)];
        row->prunable += unit->pin < 0;
        row->n_groups += !seen[unit->group];
        seen[unit->group] = true;
        if (pin == NULL && unit->pin >= 0)
            pin = &groups->pins[unit->pin];
    }
    int *list = pri_arena_alloc(in->arena, (size_t)row->n_groups, sizeof *list);
    for (int g = 0, n = 0; list != NULL && g < groups->n_groups; g++) {
        if (seen[g])
            list[n++] = g;
    }
    row->groups = list;
    pri_free(seen);
    if (pin != NULL)
        row->reason = pri_arena_strdup(in->arena, pri_groups_reason(groups, pin));
    return list != NULL && row->reason != NULL ? PARE_OK : PARE_ERROR_MEMORY;
}

/* A layer whose channels nobody follows says why, too. */
static void explain_unfollowed(pare_layer *row)
{
    if (!row->makes_channels || row->channels > 0)
        return;
    row->reason = row->problem[0] != '\0' ? row->problem
                  : row->is_folded        ? "it is known before running"
                                          : "it makes a single channel";
}

/* Each float weight counts where it is read first. */
static void add_parameters(pri_inspection *in)
{
    const pri_graph *graph = in->model->graph;

    for (int i = 0; i < graph->n_values; i++) {
        const pri_value *value = graph->values[i];
        int first = -1;
        if (value->constant == NULL || value->constant->dtype != PRI_F32)
            continue;
        for (int u = 0; u < value->n_uses; u++) {
            const int row = in->row_of[value->uses[u].node->id];
            if (row >= 0 && (first < 0 || row < first))
                first = row;
        }
        if (first >= 0)
            in->layers[first].parameters += pri_tensor_count(value->constant);
    }
}

static pare_status fill_row(pare_layer *row, pri_inspection *in, pri_node *node)
{
    const pri_value *output = first_output(node);
    const char *name = node->name[0] != '\0' || output == NULL ? node->name : output->name;

    row->reason = row->problem = "";
    row->name = pri_arena_strdup(in->arena, name);
    row->op_type = pri_arena_strdup(in->arena, node->op_type);
    row->domain = pri_arena_strdup(in->arena, node->domain);
    if (row->name == NULL || row->op_type == NULL || row->domain == NULL)
        return PARE_ERROR_MEMORY;
    PRI_TRY(measure(row, in, node));
    PRI_TRY(count_channels(row, in, node));
    explain_unfollowed(row);
    return PARE_OK;
}

/* --- Edges --- */

static int source_of(const pri_inspection *in, const pri_value *value)
{
    return value->producer != NULL ? in->row_of[value->producer->id] : -1;
}

/* Counts the edges, and writes them where `edges` is given. */
static pare_status list_edges(pri_inspection *in, pare_edge *edges)
{
    const pri_graph *graph = in->model->graph;
    int n = 0;

    for (int i = 0; i < graph->n_values; i++) {
        const pri_value *value = graph->values[i];
        const int from = source_of(in, value);
        if (from < 0 && !value->is_input)
            continue;
        const char *name = edges != NULL ? pri_arena_strdup(in->arena, value->name) : "";
        if (name == NULL)
            return PARE_ERROR_MEMORY;
        for (int u = 0; u < value->n_uses; u++) {
            const int to = in->row_of[value->uses[u].node->id];
            if (to < 0)
                continue;
            if (edges != NULL)
                edges[n] = (pare_edge){from, to, name};
            n++;
        }
        if (value->is_output && edges != NULL)
            edges[n] = (pare_edge){from, -1, name};
        n += value->is_output;
    }
    in->rows.n_edges = n;
    return PARE_OK;
}

pare_status pri_inspect_layers(pri_inspection *in)
{
    const pri_graph *graph = in->model->graph;

    in->row_of = pri_arena_alloc(in->arena, (size_t)graph->n_nodes, sizeof *in->row_of);
    in->layers = pri_arena_alloc(in->arena, (size_t)graph->n_nodes, sizeof *in->layers);
    if (in->row_of == NULL || in->layers == NULL)
        return PARE_ERROR_MEMORY;
    for (int i = 0; i < graph->n_nodes; i++)
        in->row_of[i] = is_row(graph->nodes[i]) ? in->rows.n_layers++ : -1;
    for (int i = 0; i < graph->n_nodes; i++) {
        if (in->row_of[i] >= 0)
            PRI_TRY(fill_row(&in->layers[in->row_of[i]], in, graph->nodes[i]));
    }
    add_parameters(in);
    in->rows.layers = in->layers;
    PRI_TRY(list_edges(in, NULL));
    pare_edge *edges = pri_arena_alloc(in->arena, (size_t)in->rows.n_edges, sizeof *edges);
    if (edges == NULL)
        return PARE_ERROR_MEMORY;
    in->rows.edges = edges;
    return list_edges(in, edges);
}

/* --- The whole --- */

static pare_status find_problem(pri_inspection *in)
{
    pri_facts *facts = NULL;
    const pare_status status = pri_facts_infer(&facts, in->model, 0, false);

    pri_facts_free(facts);
    in->rows.problem = "";
    if (status == PARE_OK || status == PARE_ERROR_MEMORY)
        return status;
    in->rows.problem = take_message(in, NULL);
    return in->rows.problem != NULL ? PARE_OK : PARE_ERROR_MEMORY;
}

pare_status pare_inspect(pare_inspection **out, const pare_model *model)
{
    pri_arena *arena = NULL;

    *out = NULL;
    PRI_TRY(pri_arena_new(&arena, model->ctx));
    pri_inspection *in = pri_arena_alloc(arena, 1, sizeof *in);
    pare_status status = PARE_ERROR_MEMORY;
    if (in == NULL)
        goto failed;
    in->arena = arena;
    in->model = model;
    PRI_CHECK(find_problem(in), status, failed);
    PRI_CHECK(pri_groups_new(&in->groups, model), status, failed);
    status = pri_inspect_layers(in);
    if (status == PARE_OK)
        status = pri_inspect_groups(in);
    pri_groups_free(in->groups);
    in->groups = NULL;
    if (status != PARE_OK)
        goto failed;
    *out = &in->rows;
    return PARE_OK;

failed:
    pri_arena_free(arena);
    return status;
}

void pare_inspection_free(pare_inspection *inspection)
{
    if (inspection != NULL)
        pri_arena_free(((pri_inspection *)inspection)->arena);
}
