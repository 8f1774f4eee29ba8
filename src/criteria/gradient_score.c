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

#include "criteria/criteria.h"
#include "criteria/fisher.h"
#include "criteria/gram.h"
#include "engine/engine.h"

enum { PROJECTIONS = 2 };

typedef struct edges {
    pare_model *copy;
    pri_engine *engine;
    pri_value **taps;
    int *record; /* axis record of the value read, by edge */
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
        if (edge == NULL || pri_graph_add_node(graph, "Identity", "", 1, &from, 1, &edge) == NULL)
            return PARE_ERROR_MEMORY;
        PRI_TRY(pri_graph_set_input(graph, node, consumer->slot, edge));
        e->taps[e->n] = edge;
        e->record[e->n++] = record;
    }
    PRI_TRY(pri_graph_sort(graph));
    return pri_model_bind(e->copy);
}

static pare_status open_edges(edges *e, const pri_scoring *scoring)
{
    const pri_groups *groups = scoring->groups;
    const size_t room = (size_t)groups->n_consumers + 1;

    memset(e, 0, sizeof *e);
    PRI_TRY(pare_model_clone(&e->copy, scoring->masked));
    e->taps = pri_alloc(groups->ctx, room, sizeof(pri_value *));
    e->record = pri_alloc(groups->ctx, room, sizeof(int));
    if (e->taps == NULL || e->record == NULL)
        return PARE_ERROR_MEMORY;
    PRI_TRY(insert_identities(e, groups));
    PRI_TRY(pri_model_expose_logits(e->copy));
    pri_engine_options options = {.backward = true, .taps = e->taps, .n_taps = e->n};
    options.batch = pri_min_i64(PRI_FISHER_BATCH, scoring->data->count);
    PRI_TRY(pri_batch_within(&options.batch, e->copy, options, PRI_FISHER_BYTES));
    return pri_engine_new(&e->engine, e->copy, &options);
}

/* Adds a g of one edge to sums[image][unit]. */
static pare_status add_edge(double *sums, const edges *e, int k, const pri_groups *groups)
{
    const pri_axis_use *use = &groups->axes[e->record[k]];
    const int64_t images = pri_engine_batch(e->engine);
    int64_t strides[PRI_MAX_RANK];
    pri_tap tap;

    PRI_TRY(pri_engine_tap(e->engine, k, &tap));
    pri_layout_strides(strides, &tap.shape, tap.layout);
    if (use->axis == 0 || tap.shape.dims[0] % images != 0)
        return pri_fail(
            groups->ctx, PARE_ERROR_UNSUPPORTED,
            "'%s' does not keep images apart along its first axis, so its channels have no "
            "sensitivity; use ml, local-ml or magnitude",
            use->value->name);
    const int64_t channels = tap.shape.dims[use->axis], stride = strides[use->axis];
    const int64_t per_image = pri_shape_count(&tap.shape) / images;
#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < images; n++) {
        double *of_image = sums + n * groups->n_units;
        const float *a = tap.data + n * per_image, *g = tap.gradient + n * per_image;
        for (int64_t i = 0; i < per_image; i++)
            of_image[groups->parent[use->first + i / stride % channels]] += (double)a[i] * g[i];
    }
    return PARE_OK;
}

static void add_scores(double *scores, const double *sums, int64_t count, int n_units,
                       bool is_taylor)
{
    for (int64_t n = 0; n < count; n++) {
        for (int u = 0; u < n_units; u++) {
            const double s = sums[n * n_units + u];
            scores[u] += is_taylor ? fabs(s) : s * s;
        }
    }
}

static pare_status run_batches(double *scores, double *sums, edges *e, const pri_scoring *scoring,
                               bool is_taylor)
{
    const pri_groups *groups = scoring->groups;
    const pare_data *data = scoring->data;
    const pare_fisher kind = is_taylor ? PARE_FISHER_EMPIRICAL : scoring->fisher;
    const int64_t batch = pri_engine_batch(e->engine);

    for (int64_t at = 0; at < data->count; at += batch) {
        const int64_t count = pri_min_i64(batch, data->count - at);
        PRI_TRY(pri_check_cancel(groups->ctx, "measuring sensitivities"));
        PRI_TRY(pri_fill_input(e->engine, data, scoring->preprocess, at));
        for (int draw = 0; draw < (kind == PARE_FISHER_EMPIRICAL ? 1 : PROJECTIONS); draw++) {
            PRI_TRY(pri_engine_forward(e->engine));
            PRI_TRY(pri_seed_gradients(e->engine, e->copy, kind, data, at, count, scoring->seed,
                                       (uint64_t)draw));
            PRI_TRY(pri_engine_backward(e->engine));
            memset(sums, 0, (size_t)batch * (size_t)groups->n_units * sizeof *sums);
            for (int k = 0; k < e->n; k++)
                PRI_TRY(add_edge(sums, e, k, groups));
            add_scores(scores, sums, count, groups->n_units, is_taylor);
        }
        pri_progress(groups->ctx,
                     &(pare_progress){"sensitivity", "", at + count, data->count, "images"});
    }
    return PARE_OK;
}

pare_status pri_score_gradient(double *scores, const pri_scoring *scoring, bool is_taylor)
{
    const pri_groups *groups = scoring->groups;
    edges e;
    double *sums = NULL;
    pare_status status = open_edges(&e, scoring);

    memset(scores, 0, (size_t)groups->n_units * sizeof *scores);
    if (status == PARE_OK) {
        sums = pri_alloc(groups->ctx, (size_t)pri_engine_batch(e.engine),
                         (size_t)groups->n_units * sizeof *sums);
        status =
            sums != NULL ? run_batches(scores, sums, &e, scoring, is_taylor) : PARE_ERROR_MEMORY;
    }
    pri_free(sums);
    close_edges(&e);
    return status;
}
