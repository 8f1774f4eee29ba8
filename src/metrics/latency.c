/* SPDX-License-Identifier: Apache-2.0 */
/*
 * latency.c - time of a forward pass, two models taking turns.
 *
 * Turns, because clock frequency and neighbours change over seconds: what they do to one model they
 * do to the other. Median, because disturbances only ever make a run longer.
 */
#include <pare/evaluate.h>

#include "base/quantile.h"
#include "metrics/run.h"

enum { WARM_UP = 2, MAX_ROUNDS = 1000000 };

/* Running may use the block of an input for something else: they are filled anew for each turn. */
static pare_status run_rounds(double *times, pri_engine *const engines[2],
                              pare_model *const models[2], int rounds)
{
    pare_context *ctx = models[0]->ctx;

    for (int r = -WARM_UP; r < rounds; r++) {
        PRI_TRY(pri_check_cancel(ctx, "measuring latency"));
        for (int k = 0; k < 2; k++) {
            pri_fill_inputs(engines[k], models[k]);
            const double start = pri_clock_s();
            PRI_TRY(pri_engine_forward(engines[k]));
            if (r >= 0)
                times[k * rounds + r] = pri_clock_s() - start;
        }
        pri_progress(ctx, &(pare_progress){"latency", "", r < 0 ? 0 : r + 1, rounds, "rounds"});
    }
    return PARE_OK;
}

static pare_status make_engines(pri_engine *engines[2], pare_model *const models[2], int64_t batch)
{
    for (int k = 0; k < 2; k++)
        PRI_TRY(pri_batch_engine(&engines[k], models[k], (pri_engine_options){.batch = batch}));
    const int64_t a = pri_engine_batch(engines[0]), b = pri_engine_batch(engines[1]);
    if (a != b || a != batch)
        return pri_fail(models[0]->ctx, PARE_ERROR_SHAPE,
                        "latency at batch %lld was asked for, the models run at batch %lld and "
                        "%lld only",
                        (long long)batch, (long long)a, (long long)b);
    return PARE_OK;
}

static void summarise(pri_latency *out, double *times, int rounds)
{
    double *ratios = times + 2 * rounds;

    for (int r = 0; r < rounds; r++)
        ratios[r] = times[rounds + r] / times[r];
    for (int k = 0; k < 3; k++)
        pri_sort(times + k * rounds, rounds);
    for (int k = 0; k < 2; k++) {
        out->median[k] = pri_quantile(times + k * rounds, rounds, 0.5);
        out->low[k] = pri_quantile(times + k * rounds, rounds, 0.25);
        out->high[k] = pri_quantile(times + k * rounds, rounds, 0.75);
    }
    out->ratio_low = pri_quantile(ratios, rounds, 0.25);
    out->ratio_high = pri_quantile(ratios, rounds, 0.75);
}

pare_status pri_measure_latency(pri_latency *out, pare_model *a, pare_model *b, int64_t batch,
                                int rounds)
{
    pare_model *const models[2] = {a, b};
    pri_engine *engines[2] = {NULL, NULL};

    *out = (pri_latency){0};
    if (rounds < 1 || rounds > MAX_ROUNDS || batch < 1)
        return pri_fail(a->ctx, PARE_ERROR_ARGUMENT,
                        "latency wants a batch of at least 1 and 1 to %d rounds", MAX_ROUNDS);
    double *times = pri_alloc(a->ctx, 3 * (size_t)rounds, sizeof *times);
    pare_status status = times != NULL ? PARE_OK : PARE_ERROR_MEMORY;
    if (status == PARE_OK)
        status = make_engines(engines, models, batch);
    if (status == PARE_OK)
        status = run_rounds(times, engines, models, rounds);
    if (status == PARE_OK)
        summarise(out, times, rounds);
    for (int k = 0; k < 2; k++)
        pri_engine_free(engines[k]);
    pri_free(times);
    return status;
}

pare_status pare_measure_latency(double seconds[2], pare_model *a, pare_model *b, int64_t batch,
                                 int rounds)
{
    pri_latency latency;
    const pare_status status = pri_measure_latency(&latency, a, b, batch, rounds);

    for (int k = 0; k < 2; k++)
        seconds[k] = latency.median[k];
    return status;
}
