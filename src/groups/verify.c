/* SPDX-License-Identifier: Apache-2.0 */
/* verify.c - the oracle: a cut model must compute what the masked one computes. */
#include <math.h>

#include "base/random.h"
#include "engine/engine.h"
#include "groups/groups.h"

static void fill_inputs(pri_engine *engine, const pri_graph *graph, uint64_t seed)
{
    for (int k = 0; k < graph->n_inputs; k++) {
        const pri_shape shape = pri_engine_input_shape(engine, k);
        float *data = pri_engine_input(engine, k);
        const int64_t count = pri_shape_count(&shape);
        if (pri_dtype_run(graph->inputs[k]->dtype) != PRI_F32)
            continue; /* the slab starts zeroed: index inputs read 0 */
        for (int64_t i = 0; i < count; i++)
            data[i] = (float)pri_random_normal(seed + (uint64_t)k, PRI_STREAM_ORACLE, (uint64_t)i);
    }
}

static pare_status compare_outputs(pri_engine *a, pri_engine *b, const pri_graph *graph,
                                   double tolerance, double *worst)
{
    for (int k = 0; k < graph->n_outputs; k++) {
        const pri_shape shape = pri_engine_output_shape(a, k);
        const pri_shape other = pri_engine_output_shape(b, k);
        const float *x = pri_engine_output(a, k), *y = pri_engine_output(b, k);
        double low = INFINITY, high = -INFINITY, largest = 0;
        if (!pri_shape_equal(&shape, &other))
            return pri_fail(graph->ctx, PARE_ERROR_VERIFY, "output '%s' changed its shape",
                            graph->outputs[k]->name);
        if (pri_engine_output_dtype(a, k) != PRI_F32)
            continue;
        for (int64_t i = 0; i < pri_shape_count(&shape); i++) {
            const double difference = fabs((double)x[i] - (double)y[i]);
            if (!(difference <= largest))
                largest = difference;
            low = fmin(low, x[i]);
            high = fmax(high, x[i]);
        }
        const double range = fmax(high - low, fmax(fabs(low), fabs(high)));
        const double relative = range > 0 ? largest / range : largest;
        if (!(relative <= *worst))
            *worst = relative;
        if (!(relative <= tolerance))
            return pri_fail(graph->ctx, PARE_ERROR_VERIFY,
                            "the pruned model differs from the masked one: output '%s' by %.3g of "
                            "its range",
                            graph->outputs[k]->name, relative);
    }
    return PARE_OK;
}

pare_status pri_groups_verify(pare_model *masked, pare_model *cut, uint64_t seed, double tolerance,
                              double *worst)
{
    const pri_engine_options options = {0};
    pri_engine *a = NULL, *b = NULL;
    pare_status status = PARE_OK;

    *worst = 0;
    PRI_CHECK(pri_engine_new(&a, masked, &options), status, done);
    PRI_CHECK(pri_engine_new(&b, cut, &options), status, done);
    fill_inputs(a, masked->graph, seed);
    fill_inputs(b, cut->graph, seed);
    PRI_CHECK(pri_engine_forward(a), status, done);
    PRI_CHECK(pri_engine_forward(b), status, done);
    status = compare_outputs(a, b, masked->graph, tolerance, worst);
done:
    pri_engine_free(a);
    pri_engine_free(b);
    return status;
}
