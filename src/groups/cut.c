/* SPDX-License-Identifier: Apache-2.0 */
/* cut.c - removing units from a model: slices, repaired attributes, checked shapes. */
#include <string.h>

#include "groups/rules.h"

struct pri_cut {
    const pri_groups *groups;
    const pri_node *node; /* of the analysed model */
    bool *keep;           /* by element */
    int64_t *kept;        /* by axis record */
};

static int record_of(const pri_cut *cut, int slot, int axis)
{
    const pri_value *value = pri_slot_value(cut->node, slot);

    return value != NULL ? pri_groups_axis(cut->groups, value, axis) : -1;
}

const bool *pri_cut_keep(const pri_cut *cut, int slot, int axis)
{
    const int record = record_of(cut, slot, axis);

    if (record < 0 || cut->kept[record] == cut->groups->axes[record].size)
        return NULL;
    return cut->keep + cut->groups->axes[record].first;
}

int64_t pri_cut_dim(const pri_cut *cut, int slot, int axis)
{
    const int record = record_of(cut, slot, axis);
    const pri_value *value = pri_slot_value(cut->node, slot);

    if (record >= 0)
        return cut->kept[record];
    return value != NULL ? cut->groups->facts->of[value->id].shape.dims[axis] : 0;
}

pri_shape pri_cut_shape(const pri_cut *cut, int slot)
{
    const pri_value *value = pri_slot_value(cut->node, slot);
    pri_shape shape = {0};

    if (value == NULL)
        return shape;
    shape = cut->groups->facts->of[value->id].shape;
    for (int a = 0; a < shape.rank; a++)
        shape.dims[a] = pri_cut_dim(cut, slot, a);
    return shape;
}

/* --- Constants --- */

static pare_status slice_constant(const pri_cut *cut, pri_value *value)
{
    const pri_groups *groups = cut->groups;

    for (int record = groups->axis_of_value[value->id]; record >= 0;
         record = groups->axes[record].next) {
        const pri_axis_use *use = &groups->axes[record];
        pri_tensor *sliced = NULL;
        if (cut->kept[record] == use->size)
            continue;
        PRI_TRY(pri_tensor_slice(&sliced, value->constant, use->axis, cut->keep + use->first));
        PRI_TRY(pri_graph_set_constant(value, sliced));
    }
    return PARE_OK;
}

static void cut_declared_shape(const pri_cut *cut, pri_value *value)
{
    const pri_groups *groups = cut->groups;

    if (!value->has_shape || value->constant != NULL)
        return;
    for (int record = groups->axis_of_value[value->id]; record >= 0;
         record = groups->axes[record].next) {
        const pri_axis_use *use = &groups->axes[record];
        if (use->axis >= value->shape.rank || value->shape.dims[use->axis] != use->size ||
            cut->kept[record] == use->size)
            continue;
        value->shape.dims[use->axis] = cut->kept[record];
        value->is_changed = true;
    }
}

static bool touches_cut(const pri_cut *cut)
{
    const pri_groups *groups = cut->groups;
    const pri_node *node = cut->node;

    for (int k = 0; k < node->n_inputs + node->n_outputs; k++) {
        const pri_value *value =
            k < node->n_inputs ? node->inputs[k] : node->outputs[k - node->n_inputs];
        if (value == NULL)
            continue;
        for (int record = groups->axis_of_value[value->id]; record >= 0;
             record = groups->axes[record].next) {
            if (cut->kept[record] != groups->axes[record].size)
                return true;
        }
    }
    return false;
}

static pare_status repair_nodes(pri_cut *cut, pare_model *model)
{
    const pri_graph *original = cut->groups->model->graph;

    for (int i = 0; i < original->n_nodes; i++) {
        pri_operand in[PRI_MAX_OPERANDS], out[PRI_MAX_OPERANDS];
        pri_call call;
        cut->node = original->nodes[i];
        if (cut->node->is_dead || cut->node->is_derived || cut->node->op == NULL ||
            cut->node->op->resize == NULL || !touches_cut(cut))
            continue;
        pri_call_of(&call, in, out, cut->groups->model, cut->node, cut->groups->facts);
        PRI_TRY(cut->node->op->resize(&call, cut, model->graph, model->graph->nodes[i]));
    }
    return PARE_OK;
}

/* Infers the cut model: every followed axis must have the size that was kept. */
static pare_status check_shapes(const pri_cut *cut, const pare_model *model)
{
    const pri_groups *groups = cut->groups;
    pri_facts *facts = NULL;
    pare_status status = PARE_OK;

    PRI_TRY(pri_facts_infer(&facts, model, 0, true));
    for (int r = 0; r < groups->n_axes && status == PARE_OK; r++) {
        const pri_axis_use *use = &groups->axes[r];
        const pri_fact *fact = &facts->of[use->value->id];
        if (fact->known && use->axis < fact->shape.rank &&
            fact->shape.dims[use->axis] == cut->kept[r])
            continue;
        if (!fact->known) {
            pri_facts *strict = NULL;
            status = pri_facts_infer(&strict, model, 0, false);
            pri_facts_free(strict);
            if (status != PARE_OK) {
                pri_note(groups->ctx, "after the cut");
                break;
            }
        }
        const pri_node *node = use->value->producer;
        char text[PRI_NODE_TEXT] = "";
        status = pri_fail(
            groups->ctx, PARE_ERROR_VERIFY,
            "after the cut axis %d of '%s' (%s) has %lld elements, expected %lld", use->axis,
            use->value->name, node != NULL ? pri_node_text(text, node) : "constant",
            fact->known && use->axis < fact->shape.rank ? (long long)fact->shape.dims[use->axis]
                                                        : -1LL,
            (long long)cut->kept[r]);
    }
    pri_facts_free(facts);
    return status;
}

static pare_status cut_model(pri_cut *cut, pare_model *model)
{
    pri_graph *graph = model->graph;
    const int n_values = cut->groups->facts->n_values;

    for (int r = 0; r < cut->groups->n_axes; r++) {
        const pri_axis_use *use = &cut->groups->axes[r];
        if (cut->kept[r] == 0)
            return pri_fail(model->ctx, PARE_ERROR_TARGET,
                            "nothing would be left of axis %d of '%s'; keep at least one channel",
                            use->axis, use->value->name);
    }
    for (int i = 0; i < n_values; i++) {
        if (graph->values[i]->constant != NULL)
            PRI_TRY(slice_constant(cut, graph->values[i]));
        cut_declared_shape(cut, graph->values[i]);
    }
    PRI_TRY(repair_nodes(cut, model));
    PRI_TRY(pri_model_bind(model));
    return check_shapes(cut, model);
}

pare_status pri_groups_cut(const pri_groups *groups, pare_model *model, const bool *removed)
{
    pri_cut cut = {.groups = groups};
    pare_status status = PARE_ERROR_MEMORY;

    cut.keep = pri_alloc(groups->ctx, (size_t)groups->n_elements, sizeof *cut.keep);
    cut.kept = pri_alloc(groups->ctx, (size_t)groups->n_axes, sizeof *cut.kept);
    if (cut.keep != NULL && cut.kept != NULL) {
        for (int64_t e = 0; e < groups->n_elements; e++)
            cut.keep[e] = !removed[groups->parent[e]];
        pri_groups_count(groups, removed, cut.kept);
        status = cut_model(&cut, model);
    }
    pri_free(cut.keep);
    pri_free(cut.kept);
    return status;
}

/* --- Masking --- */

/* Multiplies the slabs of removed units along one axis of a float constant. */
static pare_status scale_slabs(const pri_groups *groups, pri_value *value, int record,
                               const bool *removed, float factor)
{
    const pri_axis_use *use = &groups->axes[record];
    const pri_shape *shape = &value->constant->shape;
    const int64_t inner = pri_shape_span(shape, use->axis + 1, shape->rank);
    const int64_t outer = pri_shape_span(shape, 0, use->axis);
    bool any = false;

    for (int64_t i = 0; i < use->size && !any; i++)
        any = removed[pri_groups_unit(groups, record, i)];
    if (!any)
        return PARE_OK;
    if (value->constant->dtype != PRI_F32)
        return pri_fail(groups->ctx, PARE_ERROR_UNSUPPORTED,
                        "weight '%s' is %s; only float32 weights can be masked or weakened",
                        value->name, pri_dtype_name(value->constant->dtype));
    PRI_TRY(pri_tensor_own(value->constant));
    value->is_changed = true;
    float *data = value->constant->data;
    for (int64_t o = 0; o < outer; o++) {
        for (int64_t i = 0; i < use->size; i++) {
            if (!removed[pri_groups_unit(groups, record, i)])
                continue;
            float *slab = data + (o * use->size + i) * inner;
            for (int64_t k = 0; k < inner; k++)
                slab[k] *= factor;
        }
    }
    return PARE_OK;
}

pare_status pri_groups_mask_consumers(const pri_groups *groups, pare_model *model,
                                      const bool *removed)
{
    for (int c = 0; c < groups->n_consumers; c++) {
        const pri_consumer *consumer = &groups->consumers[c];
        const pri_value *value = consumer->node->inputs[consumer->weight_slot];
        const int record = pri_groups_axis(groups, value, consumer->weight_axis);
        PRI_TRY(scale_slabs(groups, model->graph->values[value->id], record, removed, 0.0f));
    }
    return PARE_OK;
}

static bool is_consumed(const pri_groups *groups, const pri_value *value, int axis)
{
    for (int c = 0; c < groups->n_consumers; c++) {
        const pri_consumer *consumer = &groups->consumers[c];
        if (consumer->node->inputs[consumer->weight_slot] == value && consumer->weight_axis == axis)
            return true;
    }
    return false;
}

static bool is_normalised(const pri_node *node)
{
    const pri_value *out = node->n_outputs > 0 ? node->outputs[0] : NULL;

    return out != NULL && out->n_uses == 1 && out->uses[0].node->op != NULL &&
           out->uses[0].node->op->updates != 0;
}

/* Running statistics stay, and so do weights in front of a normalisation: its own scale and shift
 * do what is wanted. */
static bool keeps_weakened(const pri_value *value)
{
    for (int u = 0; u < value->n_uses; u++) {
        const pri_use *use = &value->uses[u];
        if (use->node->op == NULL || use->slot < 0)
            continue;
        if ((use->node->op->updates >> use->slot & 1u) != 0 ||
            (use->node->op->updates == 0 && is_normalised(use->node)))
            return true;
    }
    return false;
}

pare_status pri_groups_scale_producers(const pri_groups *groups, pare_model *model,
                                       const bool *removed, float factor)
{
    for (int r = 0; r < groups->n_axes; r++) {
        const pri_axis_use *use = &groups->axes[r];
        pri_value *value = model->graph->values[use->value->id];
        if (value->constant == NULL || is_consumed(groups, use->value, use->axis) ||
            (factor > 0 && keeps_weakened(value)))
            continue;
        PRI_TRY(scale_slabs(groups, value, r, removed, factor));
    }
    return PARE_OK;
}
