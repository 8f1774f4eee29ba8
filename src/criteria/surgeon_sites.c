/* SPDX-License-Identifier: Apache-2.0 */
/* surgeon_sites.c - see surgeon_sites.h. */
#include "criteria/surgeon_sites.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <string.h>

#include "criteria/fisher.h"
#include "criteria/gram.h"
#include "engine/engine.h"

enum { MOST_ROWS = 65536, MOST_IMAGES = 512, PROJECTIONS = 2 };
static const double CURVATURE_DAMPING =
    1e-4; /* of the mean of its diagonal: few images span little */

void pri_surgeon_close(pri_surgeon *s)
{
    for (int i = 0; i < s->n_layers && s->layers != NULL; i++)
        pri_surgeon_layer_clear(&s->layers[i]);
    for (int i = 0; i < s->n_sites; i++)
        pri_free(s->sites[i].curvature);
    pri_free(s->sites);
    pri_free(s->layers);
    memset(s, 0, sizeof *s);
}

/* The product of a consumer at the analysed shapes; false when it is none that can be priced. */
static bool product_of(pri_product *product, const pri_groups *groups, const pri_consumer *consumer)
{
    pri_operand in[PRI_MAX_OPERANDS], out[PRI_MAX_OPERANDS];
    pri_call call;
    const pri_node *node = consumer->node;

    if (node->op->product == NULL || node->op->columns == NULL)
        return false;
    pri_call_of(&call, in, out, groups->model, node, groups->facts);
    return node->op->product(&call, product) && product->weight_slot == consumer->weight_slot &&
           node->inputs[product->weight_slot]->constant != NULL &&
           node->inputs[product->weight_slot]->constant->dtype == PRI_F32;
}

static pare_status find_sites(pri_surgeon *s)
{
    const pri_groups *groups = s->groups;
    pri_product p;

    s->sites = pri_alloc(groups->ctx, (size_t)groups->n_consumers + 1, sizeof *s->sites);
    if (s->sites == NULL)
        return PARE_ERROR_MEMORY;
    for (int c = 0; c < groups->n_consumers; c++) {
        const pri_consumer *consumer = &groups->consumers[c];
        const int record =
            pri_groups_axis(groups, consumer->node->inputs[consumer->slot], consumer->axis);
        if (record < 0 || !product_of(&p, groups, consumer) ||
            groups->axes[record].size * p.block != p.columns * p.groups)
            continue;
        s->sites[s->n_sites++] = (pri_surgeon_site){.consumer = consumer,
                                                    .record = record,
                                                    .first = s->n_layers,
                                                    .n_layers = p.groups,
                                                    .is_image = p.is_image,
                                                    .outputs = p.outputs};
        s->n_layers += p.groups;
    }
    s->layers = pri_alloc(groups->ctx, (size_t)s->n_layers + 1, sizeof *s->layers);
    return s->layers != NULL ? PARE_OK : PARE_ERROR_MEMORY;
}

/* --- Curvature of the outputs: E sum over positions of g g' --- */

static pare_status add_curvature(pare_context *ctx, const pri_tap *tap, const pri_surgeon_site *at,
                                 int64_t batch, int64_t images)
{
    const int64_t o = at->outputs, per_image = pri_shape_count(&tap->shape) / batch;
    const pri_channels ch =
        at->is_image ? pri_channels_of(&tap->shape, tap->layout)
                     : (pri_channels){.channels = o, .inner = per_image / o, .channel_stride = 1};
    const bool is_last = ch.channel_stride == 1;
    float *sum = pri_alloc(ctx, (size_t)o, (size_t)o * sizeof *sum);

    if (sum == NULL)
        return PARE_ERROR_MEMORY;
    for (int g = 0; g < at->n_layers; g++) {
        double *to = at->curvature + (int64_t)g * o * o;
        memset(sum, 0, (size_t)(o * o) * sizeof *sum);
        for (int64_t n = 0; n < images; n++) {
            const float *rows = tap->gradient + n * per_image + g * o * ch.channel_stride;
            cblas_ssyrk(CblasRowMajor, CblasUpper, is_last ? CblasTrans : CblasNoTrans, (int)o,
                        (int)ch.inner, 1, rows, is_last ? (int)ch.channels : (int)ch.inner, 1, sum,
                        (int)o);
        }
        for (int64_t i = 0; i < o * o; i++)
            to[i] += sum[i];
    }
    pri_free(sum);
    return PARE_OK;
}

static pare_status run_gradients(pri_surgeon *s, pri_engine *engine, const pare_model *model,
                                 int64_t count)
{
    const pri_scoring *a = s->asked;
    const int64_t batch = pri_engine_batch(engine);

    for (int64_t at = 0; at < count; at += batch) {
        const int64_t images = pri_min_i64(batch, count - at);
        PRI_TRY(pri_check_cancel(s->groups->ctx, "measuring sensitivities"));
        PRI_TRY(pri_fill_input(engine, a->data, a->preprocess, at));
        for (int draw = 0; draw < PROJECTIONS; draw++) {
            PRI_TRY(pri_engine_forward(engine));
            PRI_TRY(pri_seed_gradients(engine, model, a->fisher, a->data, at, images, a->seed,
                                       (uint64_t)draw));
            PRI_TRY(pri_engine_backward(engine));
            for (int i = 0; i < s->n_sites; i++) {
                pri_tap tap;
                PRI_TRY(pri_engine_tap(engine, i, &tap));
                PRI_TRY(add_curvature(s->groups->ctx, &tap, &s->sites[i], batch, images));
            }
        }
        pri_progress(s->groups->ctx,
                     &(pare_progress){"curvature", "", at + images, count, "images"});
    }
    return PARE_OK;
}

pare_status pri_site_factor(const pri_surgeon *s, const pri_surgeon_site *at, double count)
{
    const int64_t o = at->outputs;

    for (int g = 0; g < at->n_layers; g++) {
        double *m = at->curvature + g * o * o, mean = 0;
        for (int64_t k = 0; k < o; k++)
            mean += m[k * o + k] / (double)o;
        for (int64_t r = 0; r < o; r++) {
            for (int64_t c = r; c < o; c++)
                m[c * o + r] = m[r * o + c] /= count;
            m[r * o + r] += CURVATURE_DAMPING * mean / count + 1e-300;
        }
        if (LAPACKE_dpotrf(LAPACK_ROW_MAJOR, 'L', (int)o, m, (int)o) != 0)
            return pri_fail(s->groups->ctx, PARE_ERROR_NUMERIC,
                            "the curvature of a layer's outputs cannot be factored");
        for (int64_t r = 0; r < o; r++)
            memset(m + r * o + r + 1, 0, (size_t)(o - r - 1) * sizeof *m);
    }
    return PARE_OK;
}

static pare_status measure_curvature(pri_surgeon *s)
{
    const pri_scoring *a = s->asked;
    const int64_t count = pri_min_i64(a->data->count, MOST_IMAGES);
    pri_value **taps = pri_alloc(s->groups->ctx, (size_t)s->n_sites + 1, sizeof *taps);
    pare_model *copy = NULL;
    pri_engine *engine = NULL;
    pare_status status = taps != NULL ? pare_model_clone(&copy, a->masked) : PARE_ERROR_MEMORY;

    if (status == PARE_OK)
        status = pri_model_expose_logits(copy);
    for (int i = 0; i < s->n_sites && status == PARE_OK; i++) {
        pri_surgeon_site *at = &s->sites[i];
        taps[i] = copy->graph->nodes[at->consumer->node->id]->outputs[0];
        at->curvature = pri_alloc(s->groups->ctx, (size_t)(at->n_layers * at->outputs),
                                  (size_t)at->outputs * sizeof(double));
        status = at->curvature != NULL ? PARE_OK : PARE_ERROR_MEMORY;
    }
    pri_engine_options options = {.batch = pri_min_i64(count, PRI_FISHER_BATCH),
                                  .backward = true,
                                  .taps = taps,
                                  .n_taps = s->n_sites};
    if (status == PARE_OK)
        status = pri_batch_within(&options.batch, copy, options, PRI_FISHER_BYTES);
    if (status == PARE_OK)
        status = pri_engine_new(&engine, copy, &options);
    if (status == PARE_OK)
        status = run_gradients(s, engine, copy, count);
    for (int i = 0; i < s->n_sites && status == PARE_OK; i++)
        status = pri_site_factor(s, &s->sites[i], (double)(count * PROJECTIONS));
    pri_engine_free(engine);
    pare_model_free(copy);
    pri_free(taps);
    return status;
}

/* --- Moments of the inputs --- */

/* W[k][o] of one group, dense, and the units its columns belong to. */
static pare_status gather(int **unit_of, float **dense, const pri_surgeon *s,
                          const pri_surgeon_site *at, int group, const pri_call *call,
                          const pri_product *p)
{
    const float *weights = call->in[p->weight_slot].constant->data;
    const int64_t per_group = p->columns / p->block;

    *unit_of = pri_alloc(s->groups->ctx, (size_t)p->columns, sizeof(int));
    *dense = pri_alloc(s->groups->ctx, (size_t)p->columns, (size_t)p->outputs * sizeof(float));
    if (*unit_of == NULL || *dense == NULL)
        return PARE_ERROR_MEMORY;
    for (int64_t k = 0; k < p->columns; k++) {
        (*unit_of)[k] = pri_groups_unit(s->groups, at->record, group * per_group + k / p->block);
        for (int64_t o = 0; o < p->outputs; o++)
            (*dense)[k * p->outputs + o] = weights[pri_product_weight(p, group, o, k)];
    }
    return PARE_OK;
}

/* Second moments of each column alone, where all of them would take too much memory. */
static pare_status set_wide_layer(pri_surgeon_layer *layer, int group, const pri_call *call,
                                  const pri_product *p, const float *dense, const double *root)
{
    int64_t rows = 0;
    double *squares = pri_alloc(call->ctx, (size_t)p->columns, sizeof *squares);
    pare_status status = squares != NULL
                             ? pri_column_squares(squares, &rows, call, p, group, MOST_ROWS)
                             : PARE_ERROR_MEMORY;

    if (status == PARE_OK)
        status = pri_surgeon_layer_set_diagonal(layer, squares, rows, dense, root);
    pri_free(squares);
    return status;
}

static pare_status set_layer(pri_surgeon *s, const pri_surgeon_site *at, int group,
                             const pri_call *call, const pri_product *p)
{
    pare_context *ctx = s->groups->ctx;
    pri_surgeon_layer *layer = &s->layers[at->first + group];
    const double *root =
        at->curvature != NULL ? at->curvature + group * at->outputs * at->outputs : NULL;
    int *unit_of = NULL;
    float *dense = NULL;
    pri_gram gram = {0};
    pare_status status = gather(&unit_of, &dense, s, at, group, call, p);

    if (status == PARE_OK)
        status = pri_surgeon_layer_new(layer, ctx, p->columns, p->outputs, unit_of);
    if (status == PARE_OK && layer->is_diagonal)
        status = set_wide_layer(layer, group, call, p, dense, root);
    else if (status == PARE_OK)
        status = pri_gram_make(&gram, call, p, group, NULL, MOST_ROWS);
    if (status == PARE_OK && !layer->is_diagonal)
        status = pri_surgeon_layer_set(layer, gram.gram, gram.rows, dense, root,
                                       pri_ridge(gram.rows, p->columns));
    if (status == PARE_ERROR_NUMERIC)
        status = pri_fail(ctx, status, "the inputs of '%s' have no usable second moments",
                          call->node->name);
    if (status == PARE_OK && !s->by_outputs) {
        const double energy = at->energy > 0 ? at->energy : layer->energy;
        layer->scale = 1 / (energy > 0 ? energy : 1);
    }
    pri_gram_clear(&gram);
    pri_free(unit_of);
    pri_free(dense);
    return status;
}

static pare_status measure_inputs(pri_surgeon *s)
{
    const pri_scoring *a = s->asked;
    pri_engine *engine = NULL;
    pri_operand in[PRI_MAX_OPERANDS], out[PRI_MAX_OPERANDS];
    pri_call call;
    pri_product product;
    int64_t batch = pri_min_i64(a->data->count, MOST_IMAGES);

    pri_engine_options options = {.no_fusion = true};

    PRI_TRY(pri_batch_within(&batch, a->masked, options, PRI_SURGEON_BYTES));
    options.batch = batch;
    PRI_TRY(pri_engine_new(&engine, a->masked, &options));
    pare_status status = pri_fill_input(engine, a->data, a->preprocess, 0);
    const int steps = status == PARE_OK ? pri_engine_steps(engine) : 0;
    for (int k = 0; k < steps && status == PARE_OK; k++) {
        status = pri_engine_run(engine, k, k + 1);
        const pri_node *node = pri_engine_step_node(engine, k);
        for (int i = 0; i < s->n_sites && node != NULL && status == PARE_OK; i++) {
            if (s->sites[i].consumer->node->id != node->id)
                continue;
            status = pri_step_call(&call, in, out, engine, a->masked, k);
            if (status != PARE_OK || !node->op->product(&call, &product))
                break;
            for (int g = 0; g < s->sites[i].n_layers && status == PARE_OK; g++)
                status = set_layer(s, &s->sites[i], g, &call, &product);
        }
        if (status == PARE_OK)
            status = pri_check_cancel(s->groups->ctx, "measuring layers");
        pri_progress(s->groups->ctx, &(pare_progress){"layers", "", k + 1, steps, "steps"});
    }
    pri_engine_free(engine);
    return status;
}

pare_status pri_surgeon_open(pri_surgeon *surgeon, const pri_scoring *scoring, bool by_outputs)
{
    *surgeon = (pri_surgeon){.asked = scoring, .groups = scoring->groups, .by_outputs = by_outputs};
    PRI_TRY(find_sites(surgeon));
    PRI_TRY(by_outputs ? measure_curvature(surgeon) : pri_sites_measure_local(surgeon));
    return measure_inputs(surgeon);
}
