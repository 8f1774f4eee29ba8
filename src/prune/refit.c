/* SPDX-License-Identifier: Apache-2.0 */
/* refit.c - sequential least-squares re-fit of the layers of a masked model. */
#include "prune/refit.h"

#include <lapacke.h>
#include <string.h>

#include "criteria/gram.h"

/* Which columns of the product read channels that are gone. */
static void mark_gone(bool *gone, const pri_groups *groups, const pri_node *node,
                      const pri_product *p, const bool *removed)
{
    memset(gone, 0, (size_t)p->columns * sizeof *gone);
    for (int c = 0; c < groups->n_consumers; c++) {
        const pri_consumer *consumer = &groups->consumers[c];
        if (consumer->node->id != node->id)
            continue;
        const int record =
            pri_groups_axis(groups, consumer->node->inputs[consumer->slot], consumer->axis);
        if (record < 0 || groups->axes[record].size * p->block != p->columns)
            continue;
        for (int64_t k = 0; k < p->columns; k++)
            gone[k] = removed[pri_groups_unit(groups, record, k / p->block)];
    }
}

/* The value that can take an intercept: the bias, or the mean of the normalisation behind. */
static pri_value *intercept_of(pri_node *node, float *sign)
{
    const int slot = node->op->bias_slot;

    *sign = 1;
    if (slot > 0 && slot < node->n_inputs && node->inputs[slot] != NULL &&
        node->inputs[slot]->constant != NULL && node->inputs[slot]->n_uses == 1)
        return node->inputs[slot];
    const pri_value *out = node->outputs[0];
    if (out->n_uses != 1 || out->is_output)
        return NULL;
    pri_node *next = out->uses[0].node;
    if (strcmp(next->op_type, "BatchNormalization") != 0 || next->inputs[3] == NULL ||
        next->inputs[3]->constant == NULL || next->inputs[3]->n_uses != 1)
        return NULL;
    *sign = -1;
    return next->inputs[3];
}

/* Solves for the change of the weights into x (size x outputs); false when it cannot be done. */
static bool solve(double *x, double *h, const pri_gram *gram, const bool *gone, bool has_intercept)
{
    const int64_t n = gram->size;
    double trace = 0;

    for (int64_t i = 0; i + 1 < n; i++)
        trace += gram->gram[i * n + i] / (double)(n - 1);
    for (int64_t i = 0; i < n; i++) {
        const bool skip_i = i + 1 < n ? gone[i] : !has_intercept;
        for (int64_t j = i; j < n; j++) {
            const bool skip_j = j + 1 < n ? gone[j] : !has_intercept;
            h[i * n + j] = skip_i || skip_j ? 0 : gram->gram[i * n + j];
        }
        if (skip_i)
            h[i * n + i] = 1;
        else if (i + 1 < n)
            h[i * n + i] += 1e-3 * trace + 1e-12;
        for (int64_t o = 0; o < gram->outputs; o++)
            x[i * gram->outputs + o] = skip_i ? 0 : gram->cross[i * gram->outputs + o];
    }
    return LAPACKE_dposv(LAPACK_ROW_MAJOR, 'U', (int)n, (int)gram->outputs, h, (int)n, x,
                         (int)gram->outputs) == 0;
}

static pare_status update(pri_node *node, const pri_product *p, const double *x,
                          pri_value *intercept, float sign)
{
    pri_tensor *weight = node->inputs[p->weight_slot]->constant;

    PRI_TRY(pri_tensor_own(weight));
    float *w = weight->data;
    for (int64_t k = 0; k < p->columns; k++) {
        for (int64_t o = 0; o < p->outputs; o++)
            w[o * p->output_stride + k * p->column_stride] += (float)x[k * p->outputs + o];
    }
    node->inputs[p->weight_slot]->is_changed = true;
    if (intercept == NULL || pri_tensor_count(intercept->constant) != p->outputs)
        return PARE_OK;
    PRI_TRY(pri_tensor_own(intercept->constant));
    for (int64_t o = 0; o < p->outputs; o++)
        ((float *)intercept->constant->data)[o] += sign * (float)x[p->columns * p->outputs + o];
    intercept->is_changed = true;
    return PARE_OK;
}

static pare_status fit(pri_node *node, const pri_groups *groups, const bool *removed,
                       const pri_call *call, const pri_product *p, const pri_operand *wanted)
{
    pare_context *ctx = groups->ctx;
    const int64_t size = p->columns + 1;
    pri_gram gram;
    float sign;
    pri_value *intercept = intercept_of(node, &sign);

    if (intercept != NULL && pri_tensor_count(intercept->constant) != p->outputs)
        intercept = NULL;
    PRI_TRY(pri_gram_make(&gram, call, p, wanted->data, wanted->layout, 200000));
    bool *gone = pri_alloc(ctx, (size_t)p->columns, sizeof *gone);
    double *h = pri_alloc(ctx, (size_t)size, (size_t)size * sizeof *h);
    double *x = pri_alloc(ctx, (size_t)size, (size_t)p->outputs * sizeof *x);
    pare_status status = gone != NULL && h != NULL && x != NULL ? PARE_OK : PARE_ERROR_MEMORY;
    if (status == PARE_OK) {
        mark_gone(gone, groups, node, p, removed);
        if (solve(x, h, &gram, gone, intercept != NULL))
            status = update(node, p, x, intercept, sign);
        else
            pri_log(ctx, PARE_LOG_DEBUG, "a layer could not be re-fitted and stays as it is");
    }
    pri_free(gone);
    pri_free(h);
    pri_free(x);
    pri_gram_clear(&gram);
    return status;
}

static pare_status refit_step(pri_engine *engines[2], pare_model *masked, const pri_groups *groups,
                              const bool *removed, int step)
{
    pri_operand in[PRI_MAX_OPERANDS], out[PRI_MAX_OPERANDS], wanted;
    pri_call call;
    pri_product product;

    for (int k = 0; k < 2; k++)
        PRI_TRY(pri_engine_run(engines[k], step, step + 1));
    const pri_node *node = pri_engine_step_node(engines[1], step);
    if (node == NULL)
        return PARE_OK;
    PRI_TRY(pri_step_call(&call, in, out, engines[1], masked, step));
    if (!pri_is_fittable(&call, &product))
        return PARE_OK;
    PRI_TRY(pri_engine_operand(engines[0], step, PRI_OUT(0), &wanted));
    PRI_TRY(fit(masked->graph->nodes[node->id], groups, removed, &call, &product, &wanted));
    pri_engine_refresh(engines[1]);
    return pri_engine_run(engines[1], step, step + 1);
}

pare_status pri_refit(pare_model *masked, const pri_groups *groups, const bool *removed,
                      const pare_data *data, const pri_preprocess *preprocess)
{
    const int64_t batch = data->count;
    const pri_engine_options options = {.batch = batch, .no_fusion = true};
    pare_model *original = NULL;
    pri_engine *engines[2] = {NULL, NULL};
    int64_t *order = pri_alloc(groups->ctx, (size_t)batch, sizeof *order);
    pare_status status = order != NULL ? pare_model_clone(&original, groups->model)
                                       : PARE_ERROR_MEMORY;

    if (status == PARE_OK)
        status = pri_engine_new(&engines[0], original, &options);
    if (status == PARE_OK)
        status = pri_engine_new(&engines[1], masked, &options);
    if (status == PARE_OK) {
        for (int64_t i = 0; i < batch; i++)
            order[i] = i;
        for (int k = 0; k < 2; k++)
            pri_data_batch(data, preprocess, order, batch, NULL, 0,
                           pri_engine_input(engines[k], 0), NULL, NULL);
    }
    const int steps = status == PARE_OK ? pri_engine_steps(engines[0]) : 0;
    for (int s = 0; s < steps && status == PARE_OK; s++) {
        status = refit_step(engines, masked, groups, removed, s);
        if (status == PARE_OK)
            status = pri_check_cancel(groups->ctx, "re-fitting layers");
        pri_progress(groups->ctx, &(pare_progress){"re-fit", "", s + 1, steps, "steps"});
    }
    pri_engine_free(engines[0]);
    pri_engine_free(engines[1]);
    pare_model_free(original);
    pri_free(order);
    return status;
}
