/* SPDX-License-Identifier: Apache-2.0 */
/*
 * latency.c - time of a forward pass, two models taking turns.
 *
 * Turns, because clock frequency and neighbours change over seconds: what they do to one model they
 * do to the other. Median, because disturbances only ever make a run longer.
 */
#include <pare/evaluate.h>

#include <stdlib.h>

#include "metrics/run.h"

enum { WARM_UP = 2, MAX_ROUNDS = 1000000 };

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static pare_status run_rounds(double *times, pri_engine *const engines[2], pare_context *ctx,
                              int rounds)
{
    for (int r = -WARM_UP; r < rounds; r++) {
        PRI_TRY(pri_check_cancel(ctx, "measuring latency"));
        for (int k = 0; k < 2; k++) {
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
    for (int k = 0; k < 2; k++)
        pri_fill_inputs(engines[k], models[k]);
    return PARE_OK;
}

pare_status pare_measure_latency(double seconds[2], pare_model *a, pare_model *b, int64_t batch,
                                 int rounds)
{
    pare_model *const models[2] = {a, b};
    pri_engine *engines[2] = {NULL, NULL};

    seconds[0] = seconds[1] = 0;
    if (rounds < 1 || rounds > MAX_ROUNDS || batch < 1)
        return pri_fail(a->ctx, PARE_ERROR_ARGUMENT,
                        "latency wants a batch of at least 1 and 1 to %d rounds", MAX_ROUNDS);
    double *times = pri_alloc(a->ctx, 2 * (size_t)rounds, sizeof *times);
    pare_status status = times != NULL ? PARE_OK : PARE_ERROR_MEMORY;
    if (status == PARE_OK)
        status = make_engines(engines, models, batch);
    if (status == PARE_OK)
        status = run_rounds(times, engines, a->ctx, rounds);
    for (int k = 0; k < 2; k++) {
        if (status == PARE_OK) {
            qsort(times + k * rounds, (size_t)rounds, sizeof *times, by_value);
            seconds[k] =
                (times[k * rounds + rounds / 2] + times[k * rounds + (rounds - 1) / 2]) / 2;
        }
        pri_engine_free(engines[k]);
    }
    pri_free(times);
    return status;
}
