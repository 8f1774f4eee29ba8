/* SPDX-License-Identifier: Apache-2.0 */
/*
 * obs_score.c - structured optimal brain surgeon, layer by layer.
 *
 * Removing the input channel with columns q of a layer with Hessian H and weights W, all others
 * free to adapt, costs tr(W_q' (inv(H)_qq)^-1 W_q) of squared output error.
 */
#include <lapacke.h>
#include <math.h>
#include <string.h>

#include "criteria/criteria.h"
#include "criteria/gram.h"

/* Upper triangle of gram without the constant row, with a ridge, as a full double matrix. */
static double *hessian(pare_context *ctx, const pri_gram *gram)
{
    const int64_t k = gram->size - 1;
    double *h = pri_alloc(ctx, (size_t)k, (size_t)k * sizeof *h);
    double trace = 0;

    if (h == NULL)
        return NULL;
    for (int64_t i = 0; i < k; i++)
        trace += gram->gram[i * gram->size + i] / (double)k;
    for (int64_t i = 0; i < k; i++) {
        for (int64_t j = i; j < k; j++)
            h[i * k + j] = h[j * k + i] = gram->gram[i * gram->size + j];
        h[i * k + i] += 1e-3 * trace + 1e-12;
    }
    return h;
}

/* tr(W_q' inv(block) W_q); block (b x b) is overwritten. */
static double block_cost(double *block, double *rows, int64_t b, int64_t outputs)
{
    double cost = 0;

    memcpy(rows + b * outputs, rows, (size_t)(b * outputs) * sizeof *rows);
    if (LAPACKE_dposv(LAPACK_ROW_MAJOR, 'U', (int)b, (int)outputs, block, (int)b, rows,
                      (int)outputs) != 0)
        return 0;
    for (int64_t i = 0; i < b * outputs; i++)
        cost += rows[i] * rows[b * outputs + i];
    return cost;
}

static pare_status score_layer(double *scores, const pri_groups *groups, const pri_call *call,
                               const pri_product *p, int record)
{
    const float *w = call->in[p->weight_slot].constant->data;
    const pri_axis_use *use = &groups->axes[record];
    const int64_t k = p->columns, b = p->block;
    pri_gram gram;
    double energy = 0;

    PRI_TRY(pri_gram_make(&gram, call, p, NULL, PRI_PLAIN, 65536));
    double *h = hessian(groups->ctx, &gram);
    double *block = pri_alloc(groups->ctx, (size_t)(b * b), sizeof *block);
    double *rows = pri_alloc(groups->ctx, (size_t)(2 * b * p->outputs), sizeof *rows);
    if (h == NULL || block == NULL || rows == NULL || use->size * b != k) {
        pri_free(h);
        pri_free(block);
        pri_free(rows);
        pri_gram_clear(&gram);
        return use->size * b != k ? PARE_OK : PARE_ERROR_MEMORY;
    }
    for (int64_t o = 0; o < p->outputs; o++) {
        for (int64_t i = 0; i < k; i++) {
            double row = 0;
            for (int64_t j = 0; j < k; j++)
                row += h[i * k + j] * w[o * p->output_stride + j * p->column_stride];
            energy += row * w[o * p->output_stride + i * p->column_stride];
        }
    }
    if (LAPACKE_dpotrf(LAPACK_ROW_MAJOR, 'U', (int)k, h, (int)k) == 0 &&
        LAPACKE_dpotri(LAPACK_ROW_MAJOR, 'U', (int)k, h, (int)k) == 0 && energy > 0) {
        for (int64_t c = 0; c < use->size; c++) {
            for (int64_t i = 0; i < b; i++) {
                for (int64_t j = 0; j < b; j++) {
                    const int64_t x = c * b + i, y = c * b + j;
                    block[i * b + j] = x <= y ? h[x * k + y] : h[y * k + x];
                }
                for (int64_t o = 0; o < p->outputs; o++)
                    rows[i * p->outputs + o] =
                        w[o * p->output_stride + (c * b + i) * p->column_stride];
            }
            scores[groups->parent[use->first + c]] +=
                block_cost(block, rows, b, p->outputs) / energy;
        }
    }
    pri_free(h);
    pri_free(block);
    pri_free(rows);
    pri_gram_clear(&gram);
    return PARE_OK;
}

/* The followed axis a node's product sums over, or -1. */
static int consumed_record(const pri_groups *groups, const pri_node *node)
{
    for (int c = 0; c < groups->n_consumers; c++) {
        const pri_consumer *consumer = &groups->consumers[c];
        if (consumer->node->id == node->id)
            return pri_groups_axis(groups, node->inputs[consumer->slot], consumer->axis);
    }
    return -1;
}

pare_status pri_score_obs(double *scores, const pri_groups *groups, const pare_data *data,
                          const pri_preprocess *preprocess)
{
    const pri_engine_options options = {.batch = pri_min_i64(data->count, 256), .no_fusion = true};
    pare_model *copy = NULL;
    pri_engine *engine = NULL;
    int64_t order[256];

    memset(scores, 0, (size_t)groups->n_units * sizeof *scores);
    PRI_TRY(pare_model_clone(&copy, groups->model));
    pare_status status = pri_engine_new(&engine, copy, &options);
    if (status == PARE_OK) {
        for (int64_t i = 0; i < options.batch; i++)
            order[i] = i;
        pri_data_batch(data, preprocess, order, options.batch, NULL, 0, pri_engine_input(engine, 0), NULL,
                       NULL);
    }
    const int steps = status == PARE_OK ? pri_engine_steps(engine) : 0;
    for (int s = 0; s < steps && status == PARE_OK; s++) {
        pri_operand in[PRI_MAX_OPERANDS], out[PRI_MAX_OPERANDS];
        pri_call call;
        pri_product product;
        status = pri_engine_run(engine, s, s + 1);
        const pri_node *node = pri_engine_step_node(engine, s);
        if (status != PARE_OK || node == NULL)
            continue;
        const int record = consumed_record(groups, node);
        if (record < 0)
            continue;
        status = pri_step_call(&call, in, out, engine, copy, s);
        if (status == PARE_OK && pri_is_fittable(&call, &product))
            status = score_layer(scores, groups, &call, &product, record);
        if (status == PARE_OK)
            status = pri_check_cancel(groups->ctx, "measuring layers");
        pri_progress(groups->ctx, &(pare_progress){"layers", "", s + 1, steps, "steps"});
    }
    pri_engine_free(engine);
    pare_model_free(copy);
    return status;
}
