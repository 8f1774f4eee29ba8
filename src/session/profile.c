/* SPDX-License-Identifier: Apache-2.0 */
/*
 * profile.c - time of every step of an engine.
 *
 * Steps are timed one by one within whole passes, so that each finds caches as it does in a run.
 * Medians over passes: disturbances only ever make a step longer.
 */
#include <pare/run.h>

#include <math.h>
#include <string.h>

#include "base/quantile.h"
#include "base/random.h"
#include "base/text.h"
#include "kernels/roofline.h"
#include "metrics/run.h"

enum { DEFAULT_ROUNDS = 20, MAX_ROUNDS = 100000, WARM_UP = 2 };

typedef struct job {
    pare_context *ctx;
    pare_model *model; /* a copy: training writes running statistics */
    pri_engine *engine;
    int rounds, n_steps;
    bool training;
    /* seconds, rounds numbers each: the whole pass, then every step; likewise backward */
    double *forward, *backward;
} job;

/* --- Passes --- */

static pare_status pass_forward(job *j, int round)
{
    const double begin = pri_work_clock_s(j->ctx);
    double last = begin;

    for (int s = 0; s < j->n_steps; s++) {
        PRI_TRY(pri_engine_run(j->engine, s, s + 1));
        const double now = pri_work_clock_s(j->ctx);
        if (round >= 0)
            j->forward[(s + 1) * j->rounds + round] = now - last;
        last = now;
    }
    if (round >= 0)
        j->forward[round] = last - begin;
    return PARE_OK;
}

static void fill_gradients(job *j)
{
    for (int k = 0; k < j->model->graph->n_outputs; k++) {
        const pri_shape shape = pri_engine_output_shape(j->engine, k);
        float *gradient = pri_engine_output_gradient(j->engine, k);
        for (int64_t i = 0; gradient != NULL && i < pri_shape_count(&shape); i++)
            gradient[i] = (float)pri_random_unit(2, PRI_STREAM_ORACLE, (uint64_t)i) - 0.5F;
    }
}

static pare_status pass_backward(job *j, int round)
{
    fill_gradients(j);
    pri_engine_zero_gradients(j->engine);
    const double begin = pri_work_clock_s(j->ctx);
    double last = begin;

    for (int s = 0; s < j->n_steps && round >= 0; s++)
        j->backward[(s + 1) * j->rounds + round] = 0;
    for (int s = j->n_steps - 1, ran = 0; s >= 0; s -= ran < 0) {
        PRI_TRY(pri_engine_run_again(j->engine, s, &ran));
        if (ran < 0)
            PRI_TRY(pri_engine_run_back(j->engine, s, s + 1));
        const double now = pri_work_clock_s(j->ctx);
        if (round >= 0)
            j->backward[((ran < 0 ? s : ran) + 1) * j->rounds + round] += now - last;
        last = now;
    }
    if (round >= 0)
        j->backward[round] = last - begin;
    return PARE_OK;
}

static pare_status measure(job *j)
{
    const size_t count = (size_t)(j->n_steps + 1) * (size_t)j->rounds;

    j->forward = pri_alloc(j->ctx, count, sizeof *j->forward);
    j->backward = pri_alloc(j->ctx, count, sizeof *j->backward);
    if (j->forward == NULL || j->backward == NULL)
        return PARE_ERROR_MEMORY;
    for (int r = -WARM_UP; r < j->rounds; r++) {
        PRI_TRY(pri_check_cancel(j->ctx, "measuring"));
        pri_fill_inputs(j->engine, j->model);
        if (j->training)
            pri_engine_refresh(j->engine); /* a training step finds changed weights */
        PRI_TRY(pass_forward(j, r));
        if (j->training)
            PRI_TRY(pass_backward(j, r));
        pri_progress(j->ctx, &(pare_progress){"bench", "", r < 0 ? 0 : r + 1, j->rounds, "rounds"});
    }
    for (int s = 0; s <= j->n_steps; s++) {
        pri_sort(j->forward + s * j->rounds, j->rounds);
        pri_sort(j->backward + s * j->rounds, j->rounds);
    }
    return PARE_OK;
}

/* --- Result --- */

static double quantile(const job *j, const double *times, int row, double q)
{
    return pri_quantile(times + row * j->rounds, j->rounds, q);
}

/* Name and operators of a step, each with a zero byte behind it. */
static void add_names(pri_text *text, const job *j, int step)
{
    const pri_node *node = pri_engine_step_node(j->engine, step), *fused;

    if (node == NULL) {
        pri_text_addf(text, "%c(layout)%c", '\0', '\0');
        return;
    }
    const char *made = node->outputs[0] != NULL ? node->outputs[0]->name : "";
    pri_text_addf(text, "%s%c%s", node->name[0] != '\0' ? node->name : made, '\0', node->op_type);
    for (int k = 0; (fused = pri_engine_step_fused(j->engine, step, k)) != NULL; k++)
        pri_text_addf(text, "+%s", fused->op_type);
    pri_text_addf(text, "%c", '\0');
}

/* What a step has to do; both passes in training. */
static void add_work(pare_profile *out, pare_profile_step *step, const job *j)
{
    const pri_step_work work = pri_engine_step_work(j->engine, out->n_steps);

    step->algorithm = work.algorithm != NULL ? work.algorithm : "";
    step->staged = work.forward.staged + work.back.staged;
    step->macs = work.forward.macs + work.back.macs;
    step->bytes = work.forward.bytes + work.back.bytes;
    if (out->macs_per_second > 0)
        step->limit = fmax((double)step->macs / out->macs_per_second,
                           (double)step->bytes / out->bytes_per_second);
    out->staged += step->staged;
    out->macs += step->macs;
    out->bytes += step->bytes;
    out->limit += step->limit;
    out->n_staged += step->staged > 0;
    out->n_layouts += pri_engine_step_node(j->engine, out->n_steps) == NULL;
}

static pare_status fill(pare_profile *out, const job *j)
{
    pri_text text;

    out->batch = pri_engine_batch(j->engine);
    out->rounds = j->rounds;
    out->activation_bytes = pri_engine_activation_bytes(j->engine);
    out->forward = quantile(j, j->forward, 0, 0.5);
    out->forward_low = quantile(j, j->forward, 0, 0.25);
    out->forward_high = quantile(j, j->forward, 0, 0.75);
    out->backward = quantile(j, j->backward, 0, 0.5);
    out->backward_low = quantile(j, j->backward, 0, 0.25);
    out->backward_high = quantile(j, j->backward, 0, 0.75);
    out->steps = pri_alloc(j->ctx, (size_t)j->n_steps + 1, sizeof *out->steps);
    if (out->steps == NULL)
        return PARE_ERROR_MEMORY;
    pri_text_init(&text, j->ctx);
    for (int s = 0; s < j->n_steps; s++)
        add_names(&text, j, s);
    out->text = pri_text_take(&text);
    if (out->text == NULL && j->n_steps > 0)
        return PARE_ERROR_MEMORY;
    const char *at = out->text;
    for (; out->n_steps < j->n_steps; out->n_steps++) {
        pare_profile_step *step = &out->steps[out->n_steps];
        step->name = at;
        step->op_type = at += strlen(at) + 1;
        at += strlen(at) + 1;
        step->forward = quantile(j, j->forward, out->n_steps + 1, 0.5);
        step->backward = quantile(j, j->backward, out->n_steps + 1, 0.5);
        add_work(out, step, j);
    }
    return PARE_OK;
}

static pare_status run(pare_profile *out, job *j, const pare_model *model,
                       const pare_profile_options *options)
{
    bool bf16 = false;

    if (options->batch < 0 || options->batch > INT32_MAX || options->rounds < 0 ||
        options->rounds > MAX_ROUNDS)
        return pri_fail(j->ctx, PARE_ERROR_ARGUMENT,
                        "timing wants a batch of at least 1 and 1 to %d rounds", MAX_ROUNDS);
    PRI_TRY(pri_precision_parse(&bf16, j->ctx, options->precision));
    PRI_TRY(pare_model_clone(&j->model, model));
    PRI_TRY(pri_batch_engine(&j->engine, j->model,
                             (pri_engine_options){.batch = options->batch,
                                                  .training = options->training,
                                                  .backward = options->training,
                                                  .weight_gradients = options->training,
                                                  .recompute = options->recompute,
                                                  .bf16 = bf16,
                                                  .bf16_activations = options->training}));
    j->n_steps = pri_engine_steps(j->engine);
    PRI_TRY(measure(j));
    if (options->limits) {
        pri_roofline limits;
        PRI_TRY(pri_measure_roofline(&limits, j->ctx, bf16));
        out->macs_per_second = limits.macs;
        out->bytes_per_second = limits.bytes;
    }
    return fill(out, j);
}

pare_status pare_profile_model(pare_profile *out, const pare_model *model,
                               const pare_profile_options *options)
{
    const pare_profile_options defaults = {0};

    if (options == NULL)
        options = &defaults;
    job j = {.ctx = model->ctx,
             .rounds = options->rounds > 0 ? options->rounds : DEFAULT_ROUNDS,
             .training = options->training};
    *out = (pare_profile){0};
    const pare_status status = run(out, &j, model, options);
    pri_free(j.forward);
    pri_free(j.backward);
    pri_engine_free(j.engine);
    pare_model_free(j.model);
    if (status != PARE_OK)
        pare_profile_clear(out);
    return status;
}

void pare_profile_clear(pare_profile *profile)
{
    pri_free(profile->steps);
    pri_free(profile->text);
    *profile = (pare_profile){0};
}
