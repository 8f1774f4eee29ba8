/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gradient_score.c - Taylor and group Fisher from activations and gradients.
 *
 * Removing a unit means that its consumers read zero, so its sensitivity is the sum of
 * activation times gradient over the edges into its consumers. An Identity put before
 * each consumer in a copy of the model makes these edges values that can be tapped.
 */
#include <math.h>
#include <string.h>

#include "base/random.h"
#include "criteria/criteria.h"
#include "engine/engine.h"

enum { BATCH = 64, PROJECTIONS = 2 };

typedef struct edges {
    pare_model *copy;
    pri_engine *engine;
    pri_value **taps;
    int *record;  /* axis record of the value read, by edge */
    int n;
} edges;

static void close_edges(edges *e)
{
    pri_engine_free(e->engine);
    pare_model_free(e->copy);
    pri_free(e->taps);
    pri_free(e->record);
}

static pare_status insert_identities(edges *e, const pri_groups *groups)
{
    pri_graph *graph = e->copy->graph;

    for (int c = 0; c < groups->n_consumers; c++) {
        const pri_consumer *consumer = &groups->consumers[c];
        const pri_value *read = consumer->node->inputs[consumer->slot];
        const int record = pri_groups_axis(groups, read, consumer->axis);
        if (record < 0)
            continue;
        pri_node *node = graph->nodes[consumer->node->id];
        pri_value *from = node->inputs[consumer->slot];
        pri_value *edge = pri_graph_add_value(graph, "");
        if (edge == NULL ||
            pri_graph_add_node(graph, "Identity", "", 1, &from, 1, &edge) == NULL)
            return PARE_ERROR_MEMORY;
        PRI_TRY(pri_graph_set_input(graph, node, consumer->slot, edge));
        e->taps[e->n] = edge;
        e->record[e->n++] = record;
    }
    PRI_TRY(pri_graph_sort(graph));
    return pri_model_bind(e->copy);
}

static pare_status open_edges(edges *e, const pri_groups *groups, int64_t batch)
{
    const size_t room = (size_t)groups->n_consumers + 1;

    memset(e, 0, sizeof *e);
    PRI_TRY(pare_model_clone(&e->copy, groups->model));
    e->taps = pri_alloc(groups->ctx, room, sizeof(pri_value *));
    e->record = pri_alloc(groups->ctx, room, sizeof(int));
    if (e->taps == NULL || e->record == NULL)
        return PARE_ERROR_MEMORY;
    PRI_TRY(insert_identities(e, groups));
    const pri_engine_options options = {
        .batch = batch, .backward = true, .taps = e->taps, .n_taps = e->n};
    return pri_engine_new(&e->engine, e->copy, &options);
}

/* Adds a g of one edge to sums[image][unit]. */
static pare_status add_edge(double *sums, const edges *e, int k, const pri_groups *groups)
{
    const pri_axis_use *use = &groups->axes[e->record[k]];
    int64_t strides[PRI_MAX_RANK];
    pri_tap tap;

    PRI_TRY(pri_engine_tap(e->engine, k, &tap));
    pri_layout_strides(strides, &tap.shape, tap.layout);
    const int64_t images = tap.shape.dims[0], channels = tap.shape.dims[use->axis];
    const int64_t per_image = pri_shape_span(&tap.shape, 1, tap.shape.rank);
    const int64_t stride = strides[use->axis];
#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < images; n++) {
        double *of_image = sums + n * groups->n_units;
        const float *a = tap.data + n * per_image, *g = tap.gradient + n * per_image;
        for (int64_t i = 0; i < per_image; i++)
            of_image[groups->parent[use->first + i / stride % channels]] += (double)a[i] * g[i];
    }
    return PARE_OK;
}

/* Writes the gradient to send back: a random projection, or that of the log-likelihood. */
static void seed_gradient(pri_engine *engine, const pare_data *data, const int64_t *order,
                          int64_t count, bool gauss_newton, uint64_t seed, uint64_t draw)
{
    const pri_shape shape = pri_engine_output_shape(engine, 0);
    const int64_t classes = pri_shape_count(&shape) / pri_engine_batch(engine);
    const float *logits = pri_engine_output(engine, 0);
    float *g = pri_engine_output_gradient(engine, 0);

    memset(g, 0, (size_t)pri_shape_count(&shape) * sizeof *g);
    for (int64_t n = 0; n < count; n++) {
        float *row = g + n * classes;
        double mean = 0, sum = 0, largest = -INFINITY;
        for (int64_t c = 0; c < classes; c++)
            largest = fmax(largest, logits[n * classes + c]);
        for (int64_t c = 0; c < classes; c++)
            sum += exp(logits[n * classes + c] - largest);
        for (int64_t c = 0; c < classes; c++) {
            if (gauss_newton)
                row[c] = (float)pri_random_normal(seed + draw, PRI_STREAM_PROJECTION,
                                                  (uint64_t)(order[n] * classes + c));
            else
                row[c] = (float)(exp(logits[n * classes + c] - largest) / sum) -
                         (float)(data->labels[order[n]] == c);
            mean += row[c] / (double)classes;
        }
        for (int64_t c = 0; c < classes && gauss_newton; c++)
            row[c] -= (float)mean; /* a shift of all logits changes no probability */
    }
}

static pare_status run_batches(double *scores, double *sums, edges *e, const pri_groups *groups,
                               const pare_data *data, const pri_preprocess *preprocess,
                               bool gauss_newton, uint64_t seed)
{
    const int64_t batch = pri_engine_batch(e->engine);
    int64_t order[BATCH];

    for (int64_t at = 0; at < data->count; at += batch) {
        const int64_t count = pri_min_i64(batch, data->count - at);
        PRI_TRY(pri_check_cancel(groups->ctx, "measuring sensitivities"));
        for (int64_t i = 0; i < batch; i++)
            order[i] = pri_min_i64(at + i, data->count - 1);
        pri_data_batch(data, preprocess, order, batch, NULL, 0, pri_engine_input(e->engine, 0),
                       NULL, NULL);
        for (int draw = 0; draw < (gauss_newton ? PROJECTIONS : 1); draw++) {
            PRI_TRY(pri_engine_forward(e->engine));
            seed_gradient(e->engine, data, order, count, gauss_newton, seed, (uint64_t)draw);
            PRI_TRY(pri_engine_backward(e->engine));
            memset(sums, 0, (size_t)batch * (size_t)groups->n_units * sizeof *sums);
            for (int k = 0; k < e->n; k++)
                PRI_TRY(add_edge(sums, e, k, groups));
            for (int64_t n = 0; n < count; n++) {
                for (int u = 0; u < groups->n_units; u++) {
                    const double s = sums[n * groups->n_units + u];
                    scores[u] += gauss_newton ? s * s : fabs(s);
                }
            }
        }
        pri_progress(groups->ctx, &(pare_progress){"sensitivity", "", at + count, data->count,
                                                   "images"});
    }
    return PARE_OK;
}

pare_status pri_score_gradient(double *scores, const pri_groups *groups, const pare_data *data,
                               const pri_preprocess *preprocess, bool gauss_newton, uint64_t seed)
{
    const pri_shape *input = &groups->model->graph->inputs[0]->shape;
    const int64_t batch = input->dims[0] > 0 ? pri_min_i64(BATCH, input->dims[0])
                                             : pri_min_i64(BATCH, data->count);
    edges e;
    double *sums = NULL;
    pare_status status = open_edges(&e, groups, batch);

    memset(scores, 0, (size_t)groups->n_units * sizeof *scores);
    if (status == PARE_OK) {
        sums = pri_alloc(groups->ctx, (size_t)batch * (size_t)groups->n_units, sizeof *sums);
        status = sums != NULL ? run_batches(scores, sums, &e, groups, data, preprocess,
                                            gauss_newton, seed)
                              : PARE_ERROR_MEMORY;
    }
    pri_free(sums);
    close_edges(&e);
    return status;
}
