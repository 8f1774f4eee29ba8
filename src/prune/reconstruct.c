/* SPDX-License-Identifier: Apache-2.0 */
/* reconstruct.c - see reconstruct.h. */
#include "prune/reconstruct.h"

#include <math.h>
#include <string.h>

#include "base/random.h"
#include "criteria/fisher.h"
#include "criteria/gram.h"
#include "engine/twin.h"
#include "train/optimizer.h"
#include "train/schedule.h"
#include "train/state.h"

enum { BATCH = 32 };
static const double PEAK_RATE = 1e-3;

typedef struct state {
    pare_model *model, *original;
    pare_data *train, *held_out;
    const pri_preprocess *preprocess;
    pri_engine *engine, *teacher;
    pri_twin twin;
    pri_state weights;
    float *moments; /* two rows of weights.trained */
    float *best;    /* a row of weights.total */
    int64_t *order, step;
    bool bf16;
    uint64_t seed;
} state;

static pare_status open_engines(state *s, int64_t count)
{
    pri_value *taps[PRI_TWIN_PAIRS];
    pri_engine_options options = {.taps = taps, .n_taps = s->twin.n_pairs, .bf16 = s->bf16};

    pri_twin_taps(&s->twin, taps, true);
    options.backward = options.weight_gradients = true;
    int64_t batch = pri_max_i64(1, pri_min_i64(count / 8, BATCH));
    PRI_TRY(pri_batch_within(&batch, s->model, options, PRI_FISHER_BYTES));
    options.batch = batch;
    PRI_TRY(pri_engine_new(&s->engine, s->model, &options));
    pri_twin_taps(&s->twin, taps, false);
    options.backward = options.weight_gradients = false;
    return pri_engine_new(&s->teacher, s->original, &options);
}

/* The first images train, the others tell when it is enough; calibration images come in random
 * order. */
static pare_status split(state *s, const pare_data *data, int64_t n_train)
{
    PRI_TRY(pare_data_slice(&s->train, data, 0, n_train));
    PRI_TRY(pare_data_slice(&s->held_out, data, n_train, data->count - n_train));
    s->order = pri_alloc(s->model->ctx, (size_t)data->count, sizeof *s->order);
    return s->order != NULL ? PARE_OK : PARE_ERROR_MEMORY;
}

static pare_status collect_weights(state *s)
{
    pare_context *ctx = s->model->ctx;

    PRI_TRY(pri_state_collect(&s->weights, s->model, s->engine));
    for (int i = 0; i < s->weights.n_trained; i++)
        s->weights.parts[i].value->is_changed = true;
    pri_engine_refresh(s->engine); /* weights moved when they became the model's own */
    s->moments = pri_alloc(ctx, (size_t)s->weights.trained, 2 * sizeof(float));
    s->best = pri_alloc(ctx, (size_t)s->weights.total, sizeof(float));
    return s->moments != NULL && s->best != NULL ? PARE_OK : PARE_ERROR_MEMORY;
}

/* Both see the same images, changed or not: what the original makes of them is a fair target,
 * whatever they show, so that blends of two (mixup, Zhang et al. 2018) need no labels. */
static pare_status forward(state *s, const pare_data *data, const int64_t *order,
                           const pare_augment *augment, uint64_t seed)
{
    const pri_shape shape = pri_engine_input_shape(s->engine, 0);
    float *input = pri_engine_input(s->engine, 0);

    PRI_TRY(pri_data_batch(data, s->preprocess, order, pri_engine_batch(s->engine), augment, seed,
                           input, NULL, NULL));
    memcpy(pri_engine_input(s->teacher, 0), input, (size_t)pri_shape_count(&shape) * sizeof *input);
    PRI_TRY(pri_engine_forward(s->teacher));
    return pri_engine_forward(s->engine);
}

static pare_status held_out_loss(double *loss, state *s)
{
    const int64_t batch = pri_engine_batch(s->engine), steps = s->held_out->count / batch;

    *loss = 0;
    for (int64_t i = 0; i < s->held_out->count; i++)
        s->order[i] = i;
    for (int64_t k = 0; k < steps; k++) {
        PRI_TRY(forward(s, s->held_out, s->order + k * batch, NULL, 0));
        PRI_TRY(pri_twin_compare(loss, &s->twin, s->engine, s->teacher, 1, false));
    }
    *loss /= (double)steps;
    return PARE_OK;
}

static void update(state *s, double rate)
{
    const pri_update step = {.rate = (float)rate,
                             .momentum = 0.9f,
                             .beta2 = 0.999f,
                             .epsilon = 1e-8f,
                             .scale = 1,
                             .step = s->step};
    const pri_optimizer *adam = pri_optimizer_find("adamw");

    for (int i = 0; i < s->weights.n_trained; i++) {
        const pri_state_part *part = &s->weights.parts[i];
        float *const rows[] = {s->moments + part->first,
                               s->moments + s->weights.trained + part->first};
        adam->step(part->value->constant->data, rows,
                   pri_engine_weight_gradient(s->engine, part->value), part->count, &step);
    }
    pri_engine_refresh(s->engine);
}

static pare_status train_batch(state *s, const int64_t *order, double rate)
{
    const pare_augment augment = {.flip = true, .crop = (int)(s->train->height / 12), .mixup = 1};
    double loss = 0;

    PRI_TRY(forward(s, s->train, order, &augment, s->seed + 1 + (uint64_t)s->step));
    pri_engine_zero_gradients(s->engine);
    PRI_TRY(pri_twin_compare(&loss, &s->twin, s->engine, s->teacher, 1, true));
    PRI_TRY(pri_engine_backward(s->engine));
    s->step++;
    if (isfinite(loss)) /* the best weights are taken in the end */
        update(s, rate);
    return PARE_OK;
}

static pare_status pass(state *s, int number, int passes)
{
    const int64_t batch = pri_engine_batch(s->engine), steps = s->train->count / batch;
    const pri_schedule *cosine = pri_schedule_find("cosine");

    pri_random_permutation(s->order, s->train->count, s->seed + (uint64_t)number,
                           PRI_STREAM_SHUFFLE);
    for (int64_t b = 0; b < steps; b++) {
        const double share = pri_schedule_factor(cosine, s->step, passes * steps, 0);
        PRI_TRY(train_batch(s, s->order + b * batch, PEAK_RATE * share));
        PRI_TRY(pri_check_cancel(s->model->ctx, "reconstructing"));
        pri_progress(s->model->ctx,
                     &(pare_progress){"reconstruct", "", s->step, passes * steps, "batches"});
    }
    return PARE_OK;
}

static pare_status run(state *s, int passes)
{
    double first, best, loss;

    PRI_TRY(held_out_loss(&first, s));
    best = first;
    pri_state_read(&s->weights, s->best);
    for (int p = 0; p < passes; p++) {
        PRI_TRY(pass(s, p, passes));
        PRI_TRY(held_out_loss(&loss, s));
        if (loss >= best || !isfinite(loss))
            continue;
        best = loss;
        pri_state_read(&s->weights, s->best);
    }
    pri_state_write(&s->weights, s->best);
    pri_log(s->model->ctx, PARE_LOG_DEBUG, "reconstruction: held-out error %.4g, before %.4g", best,
            first);
    return PARE_OK;
}

static pare_status start(state *s, const pare_data *data, int passes)
{
    PRI_TRY(pri_twin_find(&s->twin, s->model, s->original, true));
    PRI_TRY(open_engines(s, data->count));
    const int64_t batch = pri_engine_batch(s->engine);
    const int64_t n_train = data->count * 7 / 8 / batch * batch;
    if (n_train < batch || n_train + batch > data->count) {
        pri_log(s->model->ctx, PARE_LOG_WARNING, "too few images to reconstruct with (%lld)",
                (long long)data->count);
        return PARE_OK;
    }
    PRI_TRY(split(s, data, n_train));
    const pare_status status = collect_weights(s);
    if (status == PARE_ERROR_UNSUPPORTED) { /* no gradient reaches a weight: nothing to fit */
        pri_forget(s->model->ctx);
        return PARE_OK;
    }
    PRI_TRY(status);
    for (int64_t i = 0; i < batch; i++)
        s->order[i] = i;
    PRI_TRY(forward(s, s->train, s->order, NULL, 0));
    PRI_TRY(pri_twin_measure(&s->twin, s->engine, s->teacher));
    return run(s, passes);
}

pare_status pri_reconstruct(pare_model *model, pare_model *original, const pare_data *data,
                            const pri_preprocess *preprocess, int passes, bool bf16, uint64_t seed)
{
    state s = {
        .model = model, .original = original, .preprocess = preprocess, .bf16 = bf16, .seed = seed};
    const pare_status status = start(&s, data, passes);

    pri_twin_clear(&s.twin);
    pri_engine_free(s.engine);
    pri_engine_free(s.teacher);
    pri_state_clear(&s.weights);
    pare_data_free(s.train);
    pare_data_free(s.held_out);
    pri_free(s.moments);
    pri_free(s.best);
    pri_free(s.order);
    return status;
}
