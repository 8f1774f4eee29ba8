/* SPDX-License-Identifier: Apache-2.0 */
/* refit.c - sequential least-squares re-fit of the layers of a masked model. */
#include "prune/refit.h"

#include <lapacke.h>
#include <math.h>
#include <string.h>

#include "criteria/gram.h"
#include "prune/intercepts.h"

enum { MOST_ROWS = 200000, LEAST_ROWS = 4096, MOST_COLUMNS = 8192 };
static const double SLAB_BUDGET = 3e9; /* bytes of activations each of two engines may use */

/* The pass over one model pair. */
typedef struct pass {
    const pri_groups *groups;
    const bool *removed;
    pare_model *masked;
    pri_engine *engines[2]; /* original, masked */
    int *step_of;           /* by node id, -1: not run */
    pri_refit_kind kind;
    bool is_touched; /* something before the current step was removed */
} pass;

/* Which columns of one group of the product read channels that are gone; whether any does. */
static bool mark_gone(bool *gone, const pass *run, const pri_node *node, const pri_product *p,
                      int group)
{
    const pri_groups *groups = run->groups;
    bool any = false;

    memset(gone, 0, (size_t)p->columns * sizeof *gone);
    for (int c = 0; c < groups->n_consumers; c++) {
        const pri_consumer *consumer = &groups->consumers[c];
        if (consumer->node->id != node->id)
            continue;
        const int record =
            pri_groups_axis(groups, consumer->node->inputs[consumer->slot], consumer->axis);
        if (record < 0 || groups->axes[record].size * p->block != p->columns * p->groups)
            continue;
        for (int64_t k = 0; k < p->columns; k++) {
            gone[k] = run->removed[pri_groups_unit(groups, record,
                                                   group * (p->columns / p->block) + k / p->block)];
            any = any || gone[k];
        }
    }
    return any;
}

/* Solves for the change of weights and intercept into x (size x outputs); false when it cannot be
 * done. */
static bool solve(double *x, double *h, const pri_gram *gram, const bool *gone, bool has_intercept,
                  pri_refit_kind kind)
{
    const int64_t n = gram->size;
    double trace = 0;

    for (int64_t i = 0; i + 1 < n; i++)
        trace += gram->gram[i * n + i] / (double)(n - 1);
    for (int64_t i = 0; i < n; i++) {
        const bool is_fixed = kind == PRI_REFIT_INTERCEPT;
        const bool skip_i = i + 1 < n ? gone[i] || is_fixed : !has_intercept;
        for (int64_t j = i; j < n; j++) {
            const bool skip_j = j + 1 < n ? gone[j] || is_fixed : !has_intercept;
            h[i * n + j] = skip_i || skip_j ? 0 : gram->gram[i * n + j];
        }
        if (skip_i)
            h[i * n + i] = 1;
        else if (i + 1 < n)
            h[i * n + i] += pri_ridge(gram->rows, n - 1) * trace + 1e-12;
        for (int64_t o = 0; o < gram->outputs; o++)
            x[i * gram->outputs + o] = skip_i ? 0 : gram->cross[i * gram->outputs + o];
    }
    if (LAPACKE_dposv(LAPACK_ROW_MAJOR, 'U', (int)n, (int)gram->outputs, h, (int)n, x,
                      (int)gram->outputs) != 0)
        return false;
    for (int64_t i = 0; i < n * gram->outputs; i++) {
        if (!isfinite(x[i]))
            return false;
    }
    return true;
}

static pare_status update(pri_node *node, const pri_product *p, int group, const double *x,
                          pri_value *intercept, float sign)
{
    pri_value *weight = node->inputs[p->weight_slot];

    PRI_TRY(pri_tensor_own(weight->constant));
    float *w = weight->constant->data;
    for (int64_t k = 0; k < p->columns; k++) {
        for (int64_t o = 0; o < p->outputs; o++)
            w[pri_product_weight(p, group, o, k)] += (float)x[k * p->outputs + o];
    }
    weight->is_changed = true;
    if (intercept == NULL)
        return PARE_OK;
    PRI_TRY(pri_tensor_own(intercept->constant));
    float *b = (float *)intercept->constant->data + group * p->outputs;
    for (int64_t o = 0; o < p->outputs; o++)
        b[o] += sign * (float)x[p->columns * p->outputs + o];
    intercept->is_changed = true;
    return PARE_OK;
}

static pare_status fit_group(pass *run, const pri_call *call, const pri_product *p, int group,
                             const pri_wanted *wanted)
{
    pare_context *ctx = run->groups->ctx;
    pri_node *node = run->masked->graph->nodes[call->node->id];
    const int64_t size = p->columns + 1;
    pri_gram gram;
    float sign;
    pri_value *intercept = pri_intercept_of(node, &sign);

    if (intercept != NULL && (intercept->constant->dtype != PRI_F32 ||
                              pri_tensor_count(intercept->constant) != p->outputs * p->groups))
        intercept = NULL;
    PRI_TRY(pri_gram_make(&gram, call, p, group, wanted,
                          pri_max_i64(MOST_ROWS / p->groups, LEAST_ROWS)));
    bool *gone = pri_alloc(ctx, (size_t)p->columns, sizeof *gone);
    double *h = pri_alloc(ctx, (size_t)size, (size_t)size * sizeof *h);
    double *x = pri_alloc(ctx, (size_t)size, (size_t)p->outputs * sizeof *x);
    pare_status status = gone != NULL && h != NULL && x != NULL ? PARE_OK : PARE_ERROR_MEMORY;
    if (status == PARE_OK) {
        (void)mark_gone(gone, run, node, p, group);
        if (solve(x, h, &gram, gone, intercept != NULL, run->kind))
            status = update(node, p, group, x, intercept, sign);
        else
            pri_log(ctx, PARE_LOG_DEBUG, "a layer could not be re-fitted and stays as it is");
    }
    pri_free(gone);
    pri_free(h);
    pri_free(x);
    pri_gram_clear(&gram);
    return status;
}

/* --- Shortcuts --- */

/* Reciprocals of what each output channel is multiplied by on its way; channels that hardly count
 * get 0. NULL: nothing is. */
static pare_status reciprocal_scale(float **out, const pass *run, const pri_passage *passage,
                                    int64_t channels)
{
    float largest = 0;

    if (passage->affine == NULL)
        return PARE_OK;
    *out = pri_alloc(run->groups->ctx, (size_t)(2 * channels), sizeof(float));
    if (*out == NULL)
        return PARE_ERROR_MEMORY;
    if (!pri_passage_scale(*out, *out + channels, run->masked, passage, run->groups->facts)) {
        memset(*out, 0, (size_t)channels * sizeof(float));
        return PARE_OK;
    }
    for (int64_t c = 0; c < channels; c++)
        largest = fmaxf(largest, fabsf((*out)[c]));
    for (int64_t c = 0; c < channels; c++)
        (*out)[c] = fabsf((*out)[c]) > 1e-2f * largest ? 1 / (*out)[c] : 0;
    return PARE_OK;
}

/* Fills in the shortcut a layer's output is added to, when it has been computed already. */
static pare_status find_shortcut(pri_wanted *wanted, float **scale, const pass *run,
                                 const pri_node *node, const pri_operand *out, int step)
{
    const pri_passage passage = pri_passage_of(node);
    const pri_value *other = passage.other;
    pri_operand original, now;

    if (other == NULL || other->producer == NULL)
        return PARE_OK;
    /* read where it was made: what the sum reads may be a copy in another layout, made later */
    const int made = run->step_of[other->producer->id], from = PRI_OUT(other->producer_slot);
    if (made < 0 || made >= step)
        return PARE_OK;
    PRI_TRY(pri_engine_operand(run->engines[0], made, from, &original));
    PRI_TRY(pri_engine_operand(run->engines[1], made, from, &now));
    if (now.dtype != PRI_F32 || !pri_shape_equal(&now.shape, &out->shape) || now.shape.rank < 3)
        return PARE_OK;
    const int64_t channels = out->shape.dims[1];
    wanted->shortcut = now.data;
    wanted->shortcut_layout = now.layout;
    wanted->original_shortcut = original.data;
    wanted->original_layout = original.layout;
    PRI_TRY(reciprocal_scale(scale, run, &passage, channels));
    wanted->scale = *scale;
    return PARE_OK;
}

/* --- The pass --- */

static pare_status refit_step(pass *run, int step)
{
    pri_operand in[PRI_MAX_OPERANDS], out[PRI_MAX_OPERANDS], original;
    pri_call call;
    pri_product product;
    pri_wanted wanted = {0};
    float *scale = NULL;

    for (int k = 0; k < 2; k++)
        PRI_TRY(pri_engine_run(run->engines[k], step, step + 1));
    const pri_node *node = pri_engine_step_node(run->engines[1], step);
    if (node == NULL)
        return PARE_OK;
    PRI_TRY(pri_step_call(&call, in, out, run->engines[1], run->masked, step));
    if (!pri_is_fittable(&call, &product))
        return PARE_OK;
    bool *gone = pri_alloc(run->groups->ctx, (size_t)product.columns, sizeof *gone);
    if (gone == NULL)
        return PARE_ERROR_MEMORY;
    for (int g = 0; g < product.groups && !run->is_touched; g++)
        run->is_touched = mark_gone(gone, run, node, &product, g);
    pri_free(gone);
    if (!run->is_touched || product.columns > MOST_COLUMNS)
        return PARE_OK;
    PRI_TRY(pri_engine_operand(run->engines[0], step, PRI_OUT(0), &original));
    wanted.data = original.data;
    wanted.layout = original.layout;
    pare_status status = product.is_image
                             ? find_shortcut(&wanted, &scale, run,
                                             run->masked->graph->nodes[node->id], &out[0], step)
                             : PARE_OK;
    for (int g = 0; g < product.groups && status == PARE_OK; g++)
        status = fit_group(run, &call, &product, g, &wanted);
    pri_free(scale);
    PRI_TRY(status);
    pri_engine_refresh(run->engines[1]);
    return pri_engine_run(run->engines[1], step, step + 1);
}

static pare_status open_pass(pass *run, pare_model *original, const pare_data *data,
                             const pri_preprocess *preprocess)
{
    const int n_nodes = run->masked->graph->n_nodes;
    int64_t batch = data->count;

    run->step_of = pri_alloc(run->groups->ctx, (size_t)n_nodes + 1, sizeof(int));
    if (run->step_of == NULL)
        return PARE_ERROR_MEMORY;
    pri_engine_options options = {.no_fusion = true};
    PRI_TRY(pri_batch_within(&batch, run->masked, options, SLAB_BUDGET));
    options.batch = batch;
    PRI_TRY(pri_engine_new(&run->engines[0], original, &options));
    PRI_TRY(pri_engine_new(&run->engines[1], run->masked, &options));
    for (int k = 0; k < 2; k++)
        PRI_TRY(pri_fill_input(run->engines[k], data, preprocess, 0));
    for (int i = 0; i < n_nodes; i++)
        run->step_of[i] = -1;
    for (int s = 0; s < pri_engine_steps(run->engines[1]); s++) {
        const pri_node *node = pri_engine_step_node(run->engines[1], s);
        if (node != NULL)
            run->step_of[node->id] = s;
    }
    return PARE_OK;
}

pare_status pri_refit(pare_model *masked, pare_model *original, const pri_groups *groups,
                      const bool *removed, const pare_data *data, const pri_preprocess *preprocess,
                      pri_refit_kind kind)
{
    pass run = {.groups = groups, .removed = removed, .masked = masked, .kind = kind};
    pare_status status = open_pass(&run, original, data, preprocess);
    const int steps = status == PARE_OK ? pri_engine_steps(run.engines[0]) : 0;

    for (int s = 0; s < steps && status == PARE_OK; s++) {
        status = refit_step(&run, s);
        if (status == PARE_OK)
            status = pri_check_cancel(groups->ctx, "re-fitting layers");
        pri_progress(groups->ctx, &(pare_progress){"re-fit", "", s + 1, steps, "steps"});
    }
    pri_engine_free(run.engines[0]);
    pri_engine_free(run.engines[1]);
    pri_free(run.step_of);
    return status;
}
