/* SPDX-License-Identifier: Apache-2.0 */
/* surgeon_local.c - how the outputs of a layer count by themselves: as what reads them sees them.
 */
#include <math.h>

#include "criteria/fisher.h"
#include "criteria/gram.h"
#include "criteria/softmax_curvature.h"
#include "criteria/surgeon_sites.h"
#include "engine/engine.h"

/* curvature = diag(scale of the normalisation behind the layer), where there is one. */
static pare_status set_scale(pri_surgeon *s, pri_surgeon_site *at)
{
    const pri_passage passage = pri_passage_of(at->consumer->node);
    const int64_t o = at->outputs, all = o * at->n_layers;
    float *scale = pri_alloc(s->groups->ctx, 2 * (size_t)all, sizeof *scale);

    if (scale == NULL)
        return PARE_ERROR_MEMORY;
    bool failed = false;
    if (pri_passage_scale(scale, scale + all, s->asked->masked, &passage, s->groups->facts)) {
        at->curvature = pri_alloc(s->groups->ctx, (size_t)all, (size_t)o * sizeof(double));
        for (int64_t c = 0; c < all && at->curvature != NULL; c++)
            at->curvature[c * o + c % o] = fabs(scale[c]);
        failed = at->curvature == NULL;
    }
    pri_free(scale);
    return failed ? PARE_ERROR_MEMORY : PARE_OK;
}

/* Variance over images and positions, summed over channels. What is constant does not count: an
 * intercept makes up for it. */
static double variance_of(const pri_tap *tap)
{
    const pri_channels ch = pri_channels_of(&tap->shape, tap->layout);
    double total = 0;

    for (int64_t c = 0; c < ch.channels; c++) {
        double sum = 0, squares = 0;
        for (int64_t n = 0; n < ch.outer; n++) {
            const float *x = tap->data + n * ch.channels * ch.inner + c * ch.channel_stride;
            for (int64_t i = 0; i < ch.inner; i++) {
                const double v = x[i * ch.inner_stride];
                sum += v;
                squares += v * v;
            }
        }
        const double rows = (double)(ch.outer * ch.inner);
        total += fmax(squares / rows - sum / rows * (sum / rows), 0);
    }
    return total;
}

/* The weight of class scores' errors, and what they are relative to. */
static pare_status set_classes(const pri_surgeon *s, pri_surgeon_site *at, const pri_tap *tap)
{
    const int64_t o = at->outputs;

    pri_free(at->curvature);
    at->curvature = pri_alloc(s->groups->ctx, (size_t)o, (size_t)o * sizeof(double));
    if (at->curvature == NULL)
        return PARE_ERROR_MEMORY;
    PRI_TRY(pri_softmax_curvature(at->curvature, &at->energy, s->groups->ctx, tap));
    return pri_site_factor(s, at, 1);
}

static pare_status set_energy(const pri_surgeon *s, pri_surgeon_site *at, const pri_tap *tap)
{
    const pri_shape *shape = &tap->shape;

    if (shape->rank >= 2 && at->n_layers == 1 && shape->dims[1] == at->outputs &&
        pri_gives_classes(s->asked->masked->graph->nodes[at->consumer->node->id]))
        return set_classes(s, at, tap);
    if (at->is_image && shape->rank >= 3)
        at->energy = variance_of(tap);
    return PARE_OK;
}

/* How much the sums vary that layers' outputs go into. */
static pare_status measure_sums(pri_surgeon *s, pri_value *const *sums)
{
    const pri_scoring *a = s->asked;
    pri_engine_options options = {.taps = sums, .n_taps = s->n_sites, .no_fusion = true};
    pri_engine *engine = NULL;
    int64_t batch = pri_min_i64(a->data->count, PRI_FISHER_BATCH);

    PRI_TRY(pri_batch_within(&batch, a->masked, options, PRI_SURGEON_BYTES));
    options.batch = batch;
    PRI_TRY(pri_engine_new(&engine, a->masked, &options));
    pare_status status = pri_fill_input(engine, a->data, a->preprocess, 0);
    if (status == PARE_OK)
        status = pri_engine_forward(engine);
    for (int i = 0; i < s->n_sites && status == PARE_OK; i++) {
        pri_tap tap;
        status = pri_engine_tap(engine, i, &tap);
        if (status == PARE_OK)
            status = set_energy(s, &s->sites[i], &tap);
    }
    pri_engine_free(engine);
    return status;
}

pare_status pri_sites_measure_local(pri_surgeon *s)
{
    pri_graph *graph = s->asked->masked->graph;
    pri_value **sums = pri_alloc(s->groups->ctx, (size_t)s->n_sites + 1, sizeof *sums);
    pare_status status = sums != NULL ? PARE_OK : PARE_ERROR_MEMORY;

    for (int i = 0; i < s->n_sites && status == PARE_OK; i++) {
        const pri_node *layer = s->sites[i].consumer->node;
        const pri_passage passage = pri_passage_of(layer);
        const pri_node *last = passage.sum != NULL      ? passage.sum
                               : passage.affine != NULL ? passage.affine
                                                        : layer;
        sums[i] = graph->nodes[last->id]->outputs[0];
        status = set_scale(s, &s->sites[i]);
    }
    if (status == PARE_OK)
        status = measure_sums(s, sums);
    pri_free(sums);
    return status;
}
