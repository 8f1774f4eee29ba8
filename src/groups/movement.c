/* SPDX-License-Identifier: Apache-2.0 */
/* movement.c - ties of nodes that only move data, derived by running them on labels. */
#include "groups/rules.h"

#include <string.h>

bool pri_is_movement_parameter(const pri_operand *operand, int slot)
{
    return slot > 0 && operand->constant != NULL &&
           (operand->dtype != PRI_F32 || pri_shape_count(&operand->shape) <= 1);
}

/* Coordinates along `axis`, counted from 1 (0 means: not from the labelled input). */
static pare_status make_label(pri_tensor **out, pare_context *ctx, const pri_shape *shape, int axis)
{
    PRI_TRY(pri_tensor_new(out, ctx, PRI_I32, shape));
    if (axis < 0)
        return PARE_OK;
    int32_t *at = (*out)->data;
    const int64_t inner = pri_shape_span(shape, axis + 1, shape->rank);
    const int64_t outer = pri_shape_span(shape, 0, axis), size = shape->dims[axis];
    for (int64_t o = 0; o < outer; o++) {
        for (int64_t c = 0; c < size; c++) {
            for (int64_t i = 0; i < inner; i++)
                *at++ = (int32_t)(1 + c);
        }
    }
    return PARE_OK;
}

static pare_status run_labels(pri_tensor **outputs, const pri_groups *groups, const pri_node *node,
                              const pri_call *call, int slot, int axis)
{
    pri_tensor *inputs[PRI_MAX_OPERANDS] = {NULL};
    pare_status status = PARE_OK;

    for (int k = 0; k < node->n_inputs && status == PARE_OK; k++) {
        const pri_operand *operand = &call->in[k];
        const bool is_fill = k > 0 && k == node->op->fill_slot; /* numbers that are no labels */
        if (!operand->present || is_fill)
            continue;
        if (!pri_is_movement_parameter(operand, k))
            status = make_label(&inputs[k], groups->ctx, &operand->shape, k == slot ? axis : -1);
        else if (operand->dtype != PRI_F32)
            status = pri_tensor_share(&inputs[k], operand->constant);
    }
    if (status == PARE_OK)
        status = pri_op_run(groups->ctx, node->op, node, node->params, call->opset, node->n_inputs,
                            inputs, node->n_outputs, outputs, NULL);
    for (int k = 0; k < node->n_inputs; k++)
        pri_tensor_free(inputs[k]);
    return status;
}

static int64_t find(int64_t *parent, int64_t i)
{
    while (parent[i] != i) {
        parent[i] = parent[parent[i]];
        i = parent[i];
    }
    return i;
}

/* A walk over runs of equal labels within the slabs of an axis: activations are large, and labels
 * are the same over most of them. */
typedef struct label_walk {
    const int32_t *data;
    int64_t n_labels;           /* larger numbers are none */
    int64_t inner, size, outer; /* of the axis */
    int64_t block, at;          /* block: one slab of one outer index */
} label_walk;

static label_walk walk_axis(const pri_tensor *labels, int64_t n_labels, int axis)
{
    return (label_walk){.data = labels->data,
                        .n_labels = n_labels,
                        .inner = pri_shape_span(&labels->shape, axis + 1, labels->shape.rank),
                        .size = labels->shape.dims[axis],
                        .outer = pri_shape_span(&labels->shape, 0, axis)};
}

/* The next label and its slab; false at the end. */
static bool next_label(label_walk *w, int32_t *label, int64_t *slab)
{
    while (w->block < w->outer * w->size) {
        const int32_t *run = w->data + w->block * w->inner;
        const int64_t from = w->at;
        if (from >= w->inner) {
            w->block++;
            w->at = 0;
            continue;
        }
        while (w->at < w->inner && run[w->at] == run[from])
            w->at++;
        if (run[from] <= 0 || run[from] > w->n_labels)
            continue;
        *label = run[from];
        *slab = w->block % w->size;
        return true;
    }
    return false;
}

/* Joins the labels that share a slab of output axis `axis`, as cutting a slab cuts them all;
 * returns the number of classes left. seen[c] becomes one label of slab c, 0 for none. */
static int64_t join_slabs(const pri_tensor *labels, int axis, int64_t n_labels, int64_t *parent,
                          int64_t *seen)
{
    label_walk walk = walk_axis(labels, n_labels, axis);
    int64_t classes = n_labels, c;
    int32_t label;

    for (int64_t i = 0; i <= n_labels; i++)
        parent[i] = i;
    memset(seen, 0, (size_t)labels->shape.dims[axis] * sizeof *seen);
    while (next_label(&walk, &label, &c)) {
        if (seen[c] == 0)
            seen[c] = label;
        if (seen[c] == label)
            continue;
        const int64_t a = find(parent, seen[c]), b = find(parent, label);
        if (a != b) {
            parent[a] = b;
            classes--;
        }
    }
    return classes;
}

static bool is_pinned_output(const pri_rules *rules, int output, int axis)
{
    for (int i = 0; i < rules->n_notes; i++) {
        const pri_axis_note *note = &rules->notes[i];
        if (note->slot == PRI_OUT(output) && note->axis == axis && note->count < 0)
            return true;
    }
    return false;
}

/* The output axis that keeps most classes apart, of those the node can do without a part of; -1
 * when every axis joins all of them. */
static int choose_axis(const pri_rules *rules, const pri_tensor *labels, int output,
                       int64_t n_labels, int64_t *parent, int64_t *seen)
{
    int64_t best_classes = 1;
    int best = -1;

    for (int j = 0; j < labels->shape.rank; j++) {
        if (labels->shape.dims[j] < 2 || is_pinned_output(rules, output, j))
            continue;
        const int64_t classes = join_slabs(labels, j, n_labels, parent, seen);
        if (classes > best_classes) {
            best_classes = classes;
            best = j;
        }
    }
    return best;
}

/* The number of different labels (1 stands for one, 2 for more), and one of them. */
static int count_labels(const pri_tensor *labels, int64_t n_labels, int64_t *only)
{
    label_walk walk = {.data = labels->data,
                       .n_labels = n_labels,
                       .inner = pri_tensor_count(labels),
                       .size = 1,
                       .outer = 1};
    int64_t slab;
    int32_t label;

    *only = 0;
    while (next_label(&walk, &label, &slab)) {
        if (*only > 0 && label != *only)
            return 2;
        *only = label;
    }
    return *only > 0;
}

static pare_status tie_to_axis(pri_rules *rules, const pri_tensor *labels, int output, int slot,
                               int axis, int best, int64_t *parent, int64_t *seen)
{
    const int64_t n = rules->call->in[slot].shape.dims[axis], size = labels->shape.dims[best];

    (void)join_slabs(labels, best, n, parent, seen);
    for (int64_t c = 0, run = 1; c < size; c += run) {
        run = 1;
        if (seen[c] == 0)
            continue;
        while (c + run < size && seen[c + run] == seen[c] + run)
            run++;
        PRI_TRY(pri_rules_tie(rules, slot, axis, seen[c] - 1, PRI_OUT(output), best, c, run));
    }
    for (int64_t label = 1; label <= n; label++) {
        const int64_t other = find(parent, label);
        if (other != label)
            PRI_TRY(pri_rules_tie(rules, slot, axis, label - 1, slot, axis, other - 1, 1));
    }
    return PARE_OK;
}

static pare_status tie_output(pri_rules *rules, const pri_tensor *labels, int output, int slot,
                              int axis)
{
    const int64_t n = rules->call->in[slot].shape.dims[axis];
    int64_t longest = 1, only;
    const int different = count_labels(labels, n, &only);

    if (different == 0) /* nothing of this input arrives here */
        return PARE_OK;
    if (different == 1 && n > 1) /* no axis tells it from others: the output would vanish with it */
        return pri_rules_note(
            rules, &(pri_axis_note){slot, axis, only - 1, 1, "picks this channel alone"});
    for (int j = 0; j < labels->shape.rank; j++)
        longest = pri_max_i64(longest, labels->shape.dims[j]);
    int64_t *parent = pri_arena_alloc(rules->arena, (size_t)n + 1, sizeof *parent);
    int64_t *seen = pri_arena_alloc(rules->arena, (size_t)longest, sizeof *seen);
    if (parent == NULL || seen == NULL)
        return PARE_ERROR_MEMORY;
    const int best = choose_axis(rules, labels, output, n, parent, seen);
    if (best < 0)
        return pri_rules_pin(rules, slot, axis, "spreads these channels over several axes");
    return tie_to_axis(rules, labels, output, slot, axis, best, parent, seen);
}

/* The only slab of an output axis that holds the one label, -1 when there is none or several. */
static int64_t find_only_slab(const pri_tensor *labels, int axis)
{
    label_walk walk = walk_axis(labels, 1, axis);
    int64_t found = -1, slab;
    int32_t label;

    while (next_label(&walk, &label, &slab)) {
        if (found >= 0 && slab != found)
            return -1;
        found = slab;
    }
    return found;
}

static pare_status pin_only_slabs(pri_rules *rules, const pri_tensor *labels, int output)
{
    for (int j = 0; j < labels->shape.rank; j++) {
        const int64_t slab = labels->shape.dims[j] > 1 ? find_only_slab(labels, j) : -1;
        if (slab >= 0)
            PRI_TRY(
                pri_rules_note(rules, &(pri_axis_note){PRI_OUT(output), j, slab, 1,
                                                       "takes this channel from a tensor of one"}));
    }
    return PARE_OK;
}

static int single_axis(const pri_shape *shape)
{
    for (int a = 0; a < shape->rank; a++) {
        if (shape->dims[a] == 1)
            return a;
    }
    return -1;
}

/* Labels of activations need memory as running does, which only looking at a model must not take.
 */
static bool are_labels_too_many(const pri_rules *rules)
{
    const pri_call *call = rules->call;
    int64_t elements = 0;

    for (int k = 0; k < call->n_in + call->n_out; k++) {
        const pri_operand *operand = k < call->n_in ? &call->in[k] : &call->out[k - call->n_in];
        int64_t count = operand->present;
        for (int a = 0; a < operand->shape.rank && operand->present; a++)
            count *= pri_max_i64(operand->shape.dims[a], 1); /* empty tensors can have long axes */
        elements += count;
    }
    return elements > pri_growth_limit(call->ctx) / (int64_t)sizeof(int32_t);
}

static pare_status pin_all(pri_rules *rules, const char *reason)
{
    const pri_call *call = rules->call;

    for (int k = 0; k < call->n_in + call->n_out; k++) {
        const int slot = k < call->n_in ? k : PRI_OUT(k - call->n_in);
        const pri_operand *operand = pri_slot_operand(call, slot);
        for (int a = 0; operand != NULL && a < operand->shape.rank; a++)
            PRI_TRY(pri_rules_pin(rules, slot, a, reason));
    }
    return PARE_OK;
}

pare_status pri_rules_pin_single(pri_rules *rules, const pri_groups *groups, const pri_node *node,
                                 int slot)
{
    pri_tensor *outputs[PRI_MAX_OPERANDS] = {NULL};
    const int axis = single_axis(&rules->call->in[slot].shape);

    if (axis < 0 || are_labels_too_many(rules)) /* pri_rules_move pins all of it */
        return PARE_OK;
    pare_status status = run_labels(outputs, groups, node, rules->call, slot, axis);
    for (int k = 0; k < node->n_outputs && status == PARE_OK; k++) {
        if (outputs[k] != NULL)
            status = pin_only_slabs(rules, outputs[k], k);
    }
    for (int k = 0; k < node->n_outputs; k++)
        pri_tensor_free(outputs[k]);
    return status;
}

static bool is_run_time_parameter(const pri_operand *operand)
{
    return operand->present && operand->constant == NULL && operand->dtype != PRI_F32;
}

pare_status pri_rules_move(pri_rules *rules, const pri_groups *groups, const pri_node *node,
                           int slot, int axis)
{
    pri_tensor *outputs[PRI_MAX_OPERANDS] = {NULL};

    for (int k = 1; k < node->n_inputs; k++) {
        if (is_run_time_parameter(&rules->call->in[k]))
            return pri_rules_pin(rules, slot, axis, "moves data by numbers computed at run time");
    }
    if (are_labels_too_many(rules))
        return pin_all(rules, "moves more data than pare follows");
    pare_status status = run_labels(outputs, groups, node, rules->call, slot, axis);
    for (int k = 0; k < node->n_outputs && status == PARE_OK; k++) {
        if (outputs[k] != NULL)
            status = tie_output(rules, outputs[k], k, slot, axis);
    }
    for (int k = 0; k < node->n_outputs; k++)
        pri_tensor_free(outputs[k]);
    return status;
}
