/* SPDX-License-Identifier: Apache-2.0 */
/* trainer_open.c - engines, teacher, weights and buffers of a training run. */
#include "train/trainer.h"

#include <math.h>

static pare_status open_teacher_view(pri_trainer *t)
{
    if (t->options.teacher == NULL)
        return PARE_OK;
    PRI_TRY(pri_view_open(&t->teacher_view, t->options.teacher, t->train,
                          pare_model_metadata(t->model, PRI_PREPROCESS_KEY)));
    PRI_TRY(pri_view_match(t->teacher_head, &t->view, &t->teacher_view));
    t->shares_images = pri_preprocess_is_same(&t->view.preprocess, &t->teacher_view.preprocess);
    if (t->options.distill_inner > 0)
        PRI_TRY(pri_twin_find(&t->twin, t->view.model, t->teacher_view.model, true));
    if (t->options.distill_inner > 0 && t->twin.n_pairs == 0)
        pri_log(t->ctx, PARE_LOG_WARNING,
                "model and teacher share no output and no residual sum: inner values are not "
                "compared");
    return PARE_OK;
}

/* Both networks, at the same batch where inner values are compared. */
static pare_status open_engines(pri_trainer *t)
{
    pri_value *taps[PRI_TWIN_PAIRS];
    const pri_engine_options options = {.batch = t->options.batch,
                                        .training = !t->options.freeze_norm,
                                        .backward = true,
                                        .weight_gradients = true,
                                        .bf16 = t->is_bf16,
                                        .bf16_activations = t->is_bf16,
                                        .taps = taps,
                                        .n_taps = t->twin.n_pairs};

    pri_twin_taps(&t->twin, taps, true);
    PRI_TRY(pri_batch_engine(&t->engine, t->view.model, options));
    t->batch = pri_engine_batch(t->engine);
    t->steps = pri_max_i64(1, t->train->count / t->batch);
    if (t->options.teacher == NULL)
        return PARE_OK;
    pri_twin_taps(&t->twin, taps, false);
    PRI_TRY(pri_watcher_open(&t->teacher, &t->teacher_view, t->batch, taps, t->twin.n_pairs,
                             t->is_bf16));
    if (t->twin.n_pairs > 0 && pri_engine_batch(t->teacher.engine) != t->batch)
        return pri_fail(
            t->ctx, PARE_ERROR_SHAPE,
            "the teacher runs at a batch of %lld, the model at %lld: inner values cannot "
            "be compared",
            (long long)pri_engine_batch(t->teacher.engine), (long long)t->batch);
    return PARE_OK;
}

static pare_status make_buffers(pri_trainer *t)
{
    int64_t scratch = 1;

    for (int k = 0; k < t->view.n_heads; k++)
        scratch = pri_max_i64(scratch, pri_loss_scratch(t->batch, t->view.heads[k].classes));
    t->moments =
        pri_alloc(t->ctx, (size_t)(t->state.trained * t->optimizer->rows), sizeof *t->moments);
    t->good = pri_alloc(t->ctx, (size_t)t->state.total, sizeof *t->good);
    t->permutation = pri_alloc(t->ctx, (size_t)t->train->count, sizeof *t->permutation);
    t->partial = pri_alloc(t->ctx, (size_t)scratch, sizeof *t->partial);
    if (t->moments == NULL || t->good == NULL || t->permutation == NULL || t->partial == NULL)
        return PARE_ERROR_MEMORY;
    pri_state_read(&t->state, t->good);
    if (t->options.noise_report != NULL || t->options.trim > 0)
        PRI_TRY(pri_noise_open(&t->noise, &t->view, t->train));
    return pri_average_open(&t->average, t->ctx, &t->state, t->options.average);
}

/* Which channels of inner values go together, and their scale, from the first images. */
static pare_status measure_twin(pri_trainer *t)
{
    if (t->twin.n_pairs == 0)
        return PARE_OK;
    int64_t *order = pri_alloc(t->ctx, (size_t)t->batch, sizeof *order);
    if (order == NULL)
        return PARE_ERROR_MEMORY;
    for (int64_t i = 0; i < t->batch; i++)
        order[i] = i % t->train->count;
    pare_status status = pri_watcher_run(&t->teacher, t->train, order, t->batch, NULL, 0, NULL);
    if (status == PARE_OK)
        status = pri_data_batch(t->train, &t->view.preprocess, order, t->batch, NULL, 0,
                                pri_engine_input(t->engine, 0), NULL, NULL);
    pri_free(order);
    PRI_TRY(status);
    pri_engine_set_momentum(t->engine, 1); /* a look that leaves running statistics alone */
    PRI_TRY(pri_engine_forward(t->engine));
    pri_engine_set_momentum(t->engine, -1);
    return pri_twin_measure(&t->twin, t->engine, t->teacher.engine);
}

/* Validation images go through the engines of the training images and judge the same heads. */
static pare_status check_validation(const pri_trainer *t)
{
    const pare_data *train = t->train, *val = t->val;
    bool is_judged = false;

    if (val->height != train->height || val->width != train->width ||
        val->channels != train->channels)
        return pri_fail(t->ctx, PARE_ERROR_SHAPE,
                        "validation images are %lldx%lldx%lld, training images %lldx%lldx%lld",
                        (long long)val->channels, (long long)val->height, (long long)val->width,
                        (long long)train->channels, (long long)train->height,
                        (long long)train->width);
    for (int k = 0; k < t->view.n_heads; k++) {
        const pri_head *head = &t->view.heads[k];
        const bool has_truth = head->is_mask ? val->masks != NULL : val->labels != NULL;
        is_judged = is_judged || has_truth;
        if (has_truth)
            PRI_TRY(pri_view_check(&t->view, head, val));
    }
    return is_judged ? PARE_OK
                     : pri_fail(t->ctx, PARE_ERROR_DATA,
                                "the validation images have neither the labels nor the masks this "
                                "model's outputs need");
}

pare_status pri_trainer_open(pri_trainer *t, pare_model *model, const pare_train_options *options)
{
    PRI_TRY(pri_trainer_fill_options(t, options));
    if (t->train->count == 0 || (t->val != NULL && t->val->count == 0))
        return pri_fail(t->ctx, PARE_ERROR_DATA, "there are no images to train on");
    PRI_TRY(pri_state_separate(model));
    PRI_TRY(pri_view_open(&t->view, model, t->train, NULL));
    PRI_TRY(pri_objective_open(&t->objective, &t->view, &t->options));
    PRI_TRY(pri_view_select(&t->view, t->train, t->options.teacher != NULL));
    if (t->val != NULL)
        PRI_TRY(check_validation(t));
    PRI_TRY(pri_objective_weigh(&t->objective, &t->view, t->train, t->options.class_weights));
    PRI_TRY(open_teacher_view(t));
    PRI_TRY(open_engines(t));
    PRI_TRY(pri_state_collect(&t->state, t->view.model, t->engine));
    pri_engine_refresh(t->engine); /* weights moved when they became the clone's own */
    t->position = (pri_position){.best_loss = INFINITY,
                                 .best_nll = NAN,
                                 .best_accuracy = NAN,
                                 .best_miou = NAN,
                                 .first_loss = -1};
    PRI_TRY(make_buffers(t));
    return measure_twin(t);
}

void pri_trainer_close(pri_trainer *t)
{
    pri_twin_clear(&t->twin);
    pri_watcher_close(&t->teacher);
    pri_view_close(&t->teacher_view);
    pri_engine_free(t->engine);
    pri_state_clear(&t->state);
    pri_view_close(&t->view);
    pri_objective_close(&t->objective);
    pri_average_close(&t->average);
    pri_noise_close(&t->noise);
    pri_events_close(&t->events);
    pri_free(t->moments);
    pri_free(t->good);
    pri_free(t->permutation);
    pri_free(t->partial);
}
