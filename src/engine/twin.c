/* SPDX-License-Identifier: Apache-2.0 */
/* twin.c - see twin.h. */
#include "engine/twin.h"

#include <math.h>

enum { CHUNKS = 64 };

/* Whether a value is the sum of a residual connection. */
static bool is_sum(const pri_value *value)
{
    return value->producer != NULL && value->producer->op != NULL && value->producer->op->is_sum &&
           value->constant == NULL && value->producer->inputs[0]->constant == NULL &&
           value->producer->inputs[1]->constant == NULL;
}

static bool fits(const pri_fact *a, const pri_fact *b)
{
    return a->known && b->known && a->dtype == PRI_F32 && b->dtype == PRI_F32 &&
           a->constant == NULL && pri_shape_equal(&a->shape, &b->shape) && a->shape.rank >= 2;
}

static void add_pairs(pri_twin *twin, pare_model *own, pare_model *other, pri_facts *const facts[2],
                      bool outputs)
{
    for (int v = 0; v < own->graph->n_values && twin->n_pairs < PRI_TWIN_PAIRS; v++) {
        pri_value *a = own->graph->values[v];
        pri_value *b = pri_graph_find_value(other->graph, a->name);
        if (b == NULL || a->is_output != outputs || (!outputs && !is_sum(a)) ||
            !fits(&facts[0]->of[a->id], &facts[1]->of[b->id]))
            continue;
        twin->pairs[twin->n_pairs++] = (pri_twin_pair){.own = a, .other = b, .weight = 1};
    }
}

pare_status pri_twin_find(pri_twin *out, pare_model *own, pare_model *other, bool outputs)
{
    pri_facts *facts[2] = {NULL, NULL};

    *out = (pri_twin){.ctx = own->ctx};
    pare_status status = pri_facts_infer(&facts[0], own, 0, true);
    if (status == PARE_OK)
        status = pri_facts_infer(&facts[1], other, 0, true);
    if (status == PARE_OK && outputs)
        add_pairs(out, own, other, facts, true);
    out->n_outputs = out->n_pairs;
    if (status == PARE_OK)
        add_pairs(out, own, other, facts, false);
    for (int k = out->n_outputs; k < out->n_pairs; k++)
        out->pairs[k].weight = 1.0 / (out->n_pairs - out->n_outputs);
    pri_facts_free(facts[0]);
    pri_facts_free(facts[1]);
    return status;
}

void pri_twin_taps(const pri_twin *twin, pri_value **taps, bool own)
{
    for (int k = 0; k < twin->n_pairs; k++)
        taps[k] = own ? twin->pairs[k].own : twin->pairs[k].other;
}

pare_status pri_twin_measure(pri_twin *twin, const pri_engine *other)
{
    for (int k = 0; k < twin->n_pairs; k++) {
        pri_tap tap;
        double sum = 0;
        PRI_TRY(pri_engine_tap(other, k, &tap));
        const int64_t count = pri_shape_count(&tap.shape);
        for (int64_t i = 0; i < count; i++)
            sum += (double)tap.data[i] * tap.data[i];
        twin->pairs[k].energy = fmax(sum / (double)count, 1e-12);
    }
    return PARE_OK;
}

static pare_status compare_pair(double *loss, const pri_twin *twin, int k, const pri_engine *own,
                                const pri_engine *other, double factor, bool writes)
{
    const pri_twin_pair *pair = &twin->pairs[k];
    double sums[CHUNKS] = {0}; /* added up in a fixed order, whatever the threads */
    pri_tap a, b;

    PRI_TRY(pri_engine_tap(own, k, &a));
    PRI_TRY(pri_engine_tap(other, k, &b));
    if (a.layout != b.layout)
        return pri_fail(twin->ctx, PARE_ERROR_INTERNAL, "'%s' lies differently in two engines",
                        pair->own->name);
    const int64_t count = pri_shape_count(&a.shape);
    const double scale = factor * pair->weight / (pair->energy * (double)count);
    const float slope = (float)(2 * scale);
    float *gradient = writes ? pri_engine_tap_gradient(own, k) : NULL;
#pragma omp parallel for schedule(static)
    for (int64_t c = 0; c < CHUNKS; c++) {
        for (int64_t i = count * c / CHUNKS; i < count * (c + 1) / CHUNKS; i++) {
            const float d = a.data[i] - b.data[i];
            sums[c] += (double)d * d;
            if (gradient != NULL)
                gradient[i] += slope * d;
        }
    }
    for (int c = 0; c < CHUNKS; c++)
        *loss += scale * sums[c];
    return PARE_OK;
}

pare_status pri_twin_compare(double *loss, const pri_twin *twin, const pri_engine *own,
                             const pri_engine *other, double factor, bool writes)
{
    for (int k = 0; k < twin->n_pairs; k++)
        PRI_TRY(compare_pair(loss, twin, k, own, other, factor, writes));
    return PARE_OK;
}
