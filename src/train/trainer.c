/* SPDX-License-Identifier: Apache-2.0 */
/* trainer.c - the training loop. */
#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <pare/evaluate.h>

#include "base/file.h"
#include "base/random.h"
#include "data/augment.h"
#include "train/loss.h"

/* --- Setting up --- */

static double or_default(double value, double fallback)
{
    return value == 0 ? fallback : value < 0 ? 0 : value;
}

static pare_status fill_options(pri_trainer *t, const pare_train_options *given)
{
    pare_train_options *o = &t->options;

    *o = given != NULL ? *given : (pare_train_options){0};
    const double numbers[] = {o->learning_rate, o->momentum,    o->weight_decay, o->warmup,
                              o->mask_weight,   o->clip_norm,   o->distill,      o->temperature};
    for (size_t i = 0; i < PRI_COUNT(numbers); i++) {
        if (!isfinite(numbers[i]))
            return pri_fail(t->ctx, PARE_ERROR_ARGUMENT, "a training option is not a finite number");
    }
    PRI_TRY(pri_augment_check(t->ctx, &o->augment));
    if (o->epochs < 0 || o->batch < 0 || o->learning_rate < 0 || o->warmup < 0 ||
        o->clip_norm < 0 || o->mask_weight < 0 || o->temperature < 0)
        return pri_fail(t->ctx, PARE_ERROR_ARGUMENT,
                        "epochs, batch, learning rate, warm-up, mask weight, clip norm and "
                        "temperature must not be negative");
    if (!(o->label_smoothing >= 0 && o->label_smoothing < 1) || o->distill < 0 || o->distill > 1 ||
        o->momentum >= 1)
        return pri_fail(t->ctx, PARE_ERROR_ARGUMENT,
                        "label smoothing, distillation share and momentum lie between 0 and 1");
    if (!pri_schedule_parse(&t->schedule, o->schedule != NULL ? o->schedule : "cosine"))
        return pri_fail(t->ctx, PARE_ERROR_ARGUMENT,
                        "there is no schedule '%s'; use cosine, step or constant", o->schedule);
    o->epochs = o->epochs == 0 ? 10 : o->epochs;
    o->batch = pri_min_i64(o->batch == 0 ? 64 : o->batch, t->train->count);
    o->learning_rate = or_default(o->learning_rate, 0.05);
    o->momentum = or_default(o->momentum, 0.9);
    o->weight_decay = or_default(o->weight_decay, 5e-4);
    o->mask_weight = or_default(o->mask_weight, 1);
    o->distill = o->teacher != NULL ? or_default(o->distill, 0.7) : 0;
    o->temperature = or_default(o->temperature, o->teacher != NULL ? 4 : 1);
    if (o->resume && o->checkpoint == NULL)
        return pri_fail(t->ctx, PARE_ERROR_ARGUMENT, "resuming needs the name of the checkpoint");
    return PARE_OK;
}

static pare_status open_teacher(pri_trainer *t)
{
    const pare_model *teacher = t->options.teacher;

    if (teacher == NULL)
        return PARE_OK;
    PRI_TRY(pri_view_open(&t->teacher_view, teacher, t->train,
                          pare_model_metadata(t->model, PRI_PREPROCESS_KEY)));
    PRI_TRY(pri_view_match(t->teacher_head, &t->view, &t->teacher_view));
    t->shares_images = pri_preprocess_is_same(&t->view.preprocess, &t->teacher_view.preprocess);
    return pri_watcher_open(&t->teacher, &t->teacher_view, t->batch);
}

static pare_status make_buffers(pri_trainer *t)
{
    const size_t batch = (size_t)t->batch;

    t->velocity = pri_alloc(t->ctx, (size_t)t->state.trained, sizeof *t->velocity);
    t->good = pri_alloc(t->ctx, (size_t)t->state.total, sizeof *t->good);
    t->permutation = pri_alloc(t->ctx, (size_t)t->train->count, sizeof *t->permutation);
    t->partial = pri_alloc(t->ctx, 2 * batch, sizeof *t->partial);
    if (t->velocity == NULL || t->good == NULL || t->permutation == NULL ||
        t->partial == NULL)
        return PARE_ERROR_MEMORY;
    pri_state_read(&t->state, t->good);
    return PARE_OK;
}

static pare_status open_trainer(pri_trainer *t, pare_model *model,
                                const pare_train_options *options)
{
    PRI_TRY(fill_options(t, options));
    if (t->train->count == 0 || (t->val != NULL && t->val->count == 0))
        return pri_fail(t->ctx, PARE_ERROR_DATA, "there are no images to train on");
    PRI_TRY(pri_state_separate(model));
    PRI_TRY(pri_view_open(&t->view, model, t->train, NULL));
    PRI_TRY(pri_view_select(&t->view, t->train, t->options.teacher != NULL));
    const pri_engine_options engine = {
        .batch = t->options.batch, .training = true, .backward = true, .weight_gradients = true};
    PRI_TRY(pri_batch_engine(&t->engine, t->view.model, engine));
    t->batch = pri_engine_batch(t->engine);
    t->steps = pri_max_i64(1, t->train->count / t->batch);
    PRI_TRY(pri_state_collect(&t->state, t->view.model, t->engine));
    pri_engine_refresh(t->engine); /* weights moved when they became the clone's own */
    PRI_TRY(open_teacher(t));
    t->position = (pri_position){
        .best_nll = INFINITY, .best_accuracy = NAN, .best_miou = NAN};
    return make_buffers(t);
}

static void close_trainer(pri_trainer *t)
{
    pri_watcher_close(&t->teacher);
    pri_view_close(&t->teacher_view);
    pri_engine_free(t->engine);
    pri_state_clear(&t->state);
    pri_view_close(&t->view);
    pri_free(t->velocity);
    pri_free(t->good);
    pri_free(t->permutation);
    pri_free(t->partial);
}

/* --- One step --- */

static double learning_rate(const pri_trainer *t)
{
    const int64_t done = t->position.epoch * t->steps + t->position.step;
    const int64_t warmup = (int64_t)(t->options.warmup * (double)t->steps);

    return t->options.learning_rate *
           pri_schedule_factor(t->schedule, done, t->options.epochs * t->steps, warmup);
}

/* Losses of all heads; gradients go to the engine's outputs. */
static double compute_loss(pri_trainer *t)
{
    const pare_train_options *o = &t->options;
    double total = 0;

    for (int k = 0; k < t->view.n_heads; k++) {
        const pri_head *head = &t->view.heads[k];
        const float *teacher = o->teacher != NULL && t->teacher_head[k] >= 0
                                   ? t->teacher.logits[t->teacher_head[k]]
                                   : NULL;
        const bool has_truth = head->is_mask ? t->train->masks != NULL : t->train->labels != NULL;
        const double weight = head->is_mask ? o->mask_weight : 1;
        const pri_loss loss = {
            .images = t->batch,
            .classes = head->classes,
            .positions = head->positions,
            .logits = pri_engine_output(t->engine, k),
            .teacher = teacher,
            .labels = !head->is_mask && has_truth ? t->truth->labels : NULL,
            .masks = head->is_mask && has_truth ? t->truth->masks : NULL,
            .labels2 = !head->is_mask && has_truth ? t->truth->labels2 : NULL,
            .masks2 = head->is_mask && has_truth ? t->truth->masks2 : NULL,
            .weights = t->truth->weights,
            .smoothing = o->label_smoothing,
            .hard = has_truth ? weight * (teacher != NULL ? 1 - o->distill : 1) : 0,
            .soft = weight * (has_truth ? o->distill : 1),
            .temperature = o->temperature,
            .partial = t->partial,
            .gradient = pri_engine_output_gradient(t->engine, k)};
        total += pri_loss_compute(&loss);
    }
    return total;
}

/* Returns false when the gradient is not finite; weights are then as they were. */
static bool update(pri_trainer *t)
{
    const pare_train_options *o = &t->options;
    const pri_state *state = &t->state;
    double squares = 0;

    for (int i = 0; i < state->n_trained; i++)
        squares += pri_sum_squares(pri_engine_weight_gradient(t->engine, state->parts[i].value),
                                   state->parts[i].count);
    const double norm = sqrt(squares);
    if (!isfinite(norm))
        return false;
    pri_sgd sgd = {.rate = (float)learning_rate(t), .momentum = (float)o->momentum, .scale = 1};
    if (o->clip_norm > 0 && norm > o->clip_norm)
        sgd.scale = (float)(o->clip_norm / norm);
    for (int i = 0; i < state->n_trained; i++) {
        const pri_state_part *part = &state->parts[i];
        sgd.decay = part->decays ? (float)o->weight_decay : 0;
        pri_sgd_step(part->value->constant->data, t->velocity + part->first,
                     pri_engine_weight_gradient(t->engine, part->value), part->count, &sgd);
    }
    pri_engine_refresh(t->engine);
    return true;
}

static pare_status fail_numeric(const pri_trainer *t, const char *what)
{
    return pri_fail(t->ctx, PARE_ERROR_NUMERIC,
                    "the %s is not finite in step %lld of epoch %lld; try a smaller learning rate",
                    what, (long long)t->position.step + 1, (long long)t->position.epoch + 1);
}

static pare_status run_step(pri_trainer *t)
{
    const pri_position *at = &t->position;
    const pare_train_options *o = &t->options;
    const int64_t size = t->train->height * t->train->width * t->train->channels;
    const int64_t *order;

    PRI_TRY(pri_prefetch_next(t->prefetch, &t->truth, &order));
    const float *images = t->truth->images;
    memcpy(pri_engine_input(t->engine, 0), images, (size_t)(t->batch * size) * sizeof *images);
    pri_engine_set_step(t->engine, o->seed, (uint64_t)(at->epoch * t->steps + at->step));
    if (o->teacher != NULL)
        PRI_TRY(pri_watcher_run(&t->teacher, t->train, order, t->batch, &o->augment,
                                t->epoch_seed, t->shares_images ? images : NULL));
    PRI_TRY(pri_engine_forward(t->engine));
    const double loss = compute_loss(t);
    if (!isfinite(loss))
        return fail_numeric(t, "loss");
    pri_engine_zero_gradients(t->engine);
    PRI_TRY(pri_engine_backward(t->engine));
    if (!update(t))
        return fail_numeric(t, "gradient");
    t->position.loss_sum += loss;
    t->position.step++;
    return PARE_OK;
}

/* --- Epochs --- */

static void report_step(const pri_trainer *t, const pare_epoch *report)
{
    const double images_per_second = report->images_per_second;
    const pri_position *at = &t->position;
    const int64_t total = t->options.epochs * t->steps, done = at->epoch * t->steps + at->step;
    const double left = images_per_second > 0
                            ? (double)((total - done) * t->batch) / images_per_second
                            : 0;
    char text[160];

    snprintf(text, sizeof text,
             "epoch %lld/%d loss %.3g lr %.2g %.0f img/s data wait %.0f %% ETA %lld:%02lld",
             (long long)at->epoch + 1, t->options.epochs, at->loss_sum / (double)at->step,
             report->learning_rate, images_per_second, 100 * report->data_wait,
             (long long)left / 60, (long long)left % 60);
    pri_progress(t->ctx, &(pare_progress){"train", text, done, total, "steps"});
}

static bool is_finite_row(const float *row, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(row[i]))
            return false;
    }
    return true;
}

/* Scores the epoch and keeps its weights when they are the ones to return so far. */
static pare_status judge(pri_trainer *t, pare_epoch *report)
{
    pri_position *at = &t->position;
    pare_scores scores = {0};

    report->val_nll = report->val_accuracy = report->val_miou = NAN;
    if (t->val != NULL) {
        PRI_TRY(pare_evaluate(&scores, t->view.model, t->val));
        report->val_nll = (scores.classes > 0 ? scores.nll : 0) +
                          (scores.mask_classes > 0 ? scores.mask_nll : 0);
        report->val_accuracy = scores.classes > 0 ? scores.accuracy : NAN;
        report->val_miou = scores.mask_classes > 0 ? scores.miou : NAN;
        pare_scores_clear(&scores);
        if (!isfinite(report->val_nll))
            return fail_numeric(t, "validation loss");
    }
    report->is_best = t->val == NULL || report->val_nll < at->best_nll;
    if (report->is_best) {
        at->best_epoch = at->epoch + 1;
        at->best_nll = report->val_nll;
        at->best_accuracy = report->val_accuracy;
        at->best_miou = report->val_miou;
    }
    if (report->is_best || t->options.keep_last) {
        pri_state_read(&t->state, t->good);
        if (!is_finite_row(t->good, t->state.total))
            return fail_numeric(t, "largest weight");
    }
    return PARE_OK;
}

static pare_status run_all_steps(pri_trainer *t, pare_epoch *report)
{
    pri_position *at = &t->position;
    const double before = at->seconds, start = pri_clock_s();
    const int64_t first = at->step;

    while (at->step < t->steps) {
        PRI_TRY(pri_check_cancel(t->ctx, "training"));
        report->learning_rate = learning_rate(t);
        PRI_TRY(run_step(t));
        const double passed = pri_clock_s() - start;
        const double images = (double)((at->step - first) * t->batch);
        at->seconds = before + passed;
        at->images += t->batch;
        report->images_per_second = passed > 0 ? images / passed : 0;
        report->data_wait = passed > 0 ? pri_prefetch_waited_s(t->prefetch) / passed : 0;
        report_step(t, report);
    }
    t->passed_s += pri_clock_s() - start;
    t->waited_s += pri_prefetch_waited_s(t->prefetch);
    return PARE_OK;
}

static pare_status run_steps(pri_trainer *t, pare_epoch *report)
{
    const uint64_t stream = PRI_STREAM_SHUFFLE + ((uint64_t)t->position.epoch << 32);

    pri_random_permutation(t->permutation, t->train->count, t->options.seed, stream);
    PRI_TRY(pri_trainer_feed(t));
    const pare_status status = run_all_steps(t, report);
    pri_prefetch_close(t->prefetch);
    t->prefetch = NULL;
    t->truth = NULL;
    return status;
}

static pare_status run_epoch(pri_trainer *t, const pri_identity *identity)
{
    pri_position *at = &t->position;
    pare_epoch report = {.epoch = (int)at->epoch + 1, .epochs = t->options.epochs};
    const double start = pri_clock_s();

    PRI_TRY(run_steps(t, &report));
    PRI_TRY(judge(t, &report));
    report.loss = at->loss_sum / (double)t->steps;
    report.seconds = pri_clock_s() - start;
    at->epoch++;
    at->step = 0;
    at->loss_sum = 0;
    if (t->options.checkpoint != NULL)
        PRI_TRY(pri_checkpoint_write(t, identity));
    if (t->options.on_epoch != NULL)
        t->options.on_epoch(t->options.user, &report);
    return PARE_OK;
}

static pare_status run_epochs(pri_trainer *t)
{
    pri_identity identity = {0};
    pare_status status = PARE_OK;

    if (t->options.checkpoint != NULL)
        pri_trainer_identify(&identity, t);
    if (t->options.resume && pri_file_exists(t->options.checkpoint)) {
        PRI_TRY(pri_checkpoint_read(t, &identity));
        pri_engine_refresh(t->engine);
    }
    while (t->position.epoch < t->options.epochs && status == PARE_OK)
        status = run_epoch(t, &identity);
    if (status == PARE_ERROR_CANCELLED && t->options.checkpoint != NULL) {
        const pare_status written = pri_checkpoint_write(t, &identity);
        if (written != PARE_OK)
            return written;
        pri_note(t->ctx, "the state is in '%s'; the same command with --resume goes on from there",
                 t->options.checkpoint);
    }
    return status;
}

pare_status pare_train(pare_model *model, const pare_data *train, const pare_data *val,
                       const pare_train_options *options, pare_train_result *result)
{
    pri_trainer t = {.ctx = model->ctx, .model = model, .train = train, .val = val};
    pare_status status = open_trainer(&t, model, options);

    if (status == PARE_OK)
        status = run_epochs(&t);
    const pri_position *at = &t.position;
    if (status == PARE_OK || (status == PARE_ERROR_NUMERIC && at->best_epoch > 0)) {
        pri_state_write(&t.state, t.good);
        const pare_status given = pri_state_give(&t.state, model);
        status = given != PARE_OK ? given : status;
    }
    if (result != NULL) {
        *result = (pare_train_result){
            .epochs = (int)at->epoch,
            .best_epoch = (int)(t.options.keep_last && at->epoch > 0 ? at->epoch : at->best_epoch),
            .best_val_nll = at->best_epoch > 0 ? at->best_nll : NAN,
            .best_val_accuracy = at->best_accuracy,
            .best_val_miou = at->best_miou,
            .data_wait = t.passed_s > 0 ? t.waited_s / t.passed_s : 0,
            .images_per_second = at->seconds > 0 ? (double)at->images / at->seconds : 0,
            .seconds = at->seconds};
    }
    close_trainer(&t);
    return status;
}
