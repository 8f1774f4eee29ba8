/* SPDX-License-Identifier: Apache-2.0 */
/* trainer.c - the training loop; trainer_open.c makes what it works with. */
#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "train/loss.h"
#include "train/insert_norm.h"

/* What passed since the last call goes to `part`. */
static void lap(pri_trainer *t, double *part)
{
    const double now = pri_clock_s();

    *part += now - t->lap_s;
    t->lap_s = now;
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
        const pri_loss loss = {.images = t->batch,
                               .classes = head->classes,
                               .positions = head->positions,
                               .logits = pri_engine_output(t->engine, k),
                               .teacher = teacher,
                               .labels = !head->is_mask && has_truth ? t->truth->labels : NULL,
                               .label_offset = head->offset,
                               .masks = head->is_mask && has_truth ? t->truth->masks : NULL,
                               .labels2 = !head->is_mask && has_truth ? t->truth->labels2 : NULL,
                               .masks2 = head->is_mask && has_truth ? t->truth->masks2 : NULL,
                               .weights = t->truth->weights,
                               .mix = t->objective.mix[head->is_mask],
                               .class_weights = t->objective.weights[head->is_mask],
                               .smoothing = o->label_smoothing,
                               .hard =
                                   has_truth ? weight * (teacher != NULL ? 1 - o->distill : 1) : 0,
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
    pri_update step = {.rate = (float)learning_rate(t),
                       .momentum = (float)o->momentum,
                       .beta2 = (float)o->beta2,
                       .epsilon = 1e-8f,
                       .scale = 1,
                       .step = t->position.epoch * t->steps + t->position.step + 1};
    if (o->clip_norm > 0 && norm > o->clip_norm)
        step.scale = (float)(o->clip_norm / norm);
    for (int i = 0; i < state->n_trained; i++) {
        const pri_state_part *part = &state->parts[i];
        float *const rows[PRI_OPTIMIZER_ROWS] = {
            t->moments + part->first,
            t->optimizer->rows > 1 ? t->moments + state->trained + part->first : NULL};
        step.decay = part->decays ? (float)o->weight_decay : 0;
        t->optimizer->step(part->value->constant->data, rows,
                           pri_engine_weight_gradient(t->engine, part->value), part->count, &step);
    }
    pri_average_step(&t->average, state, step.step - 1);
    pri_engine_refresh(t->engine);
    return true;
}

static pare_status run_step(pri_trainer *t, double *out)
{
    const pri_position *at = &t->position;
    const pare_train_options *o = &t->options;
    const int64_t size = t->train->height * t->train->width * t->train->channels;

    t->lap_s = pri_clock_s();
    PRI_TRY(pri_prefetch_next(t->prefetch, &t->truth, &t->order));
    const float *images = t->truth->images;
    memcpy(pri_engine_input(t->engine, 0), images, (size_t)(t->batch * size) * sizeof *images);
    lap(t, &t->times.data);
    pri_engine_set_step(t->engine, o->seed, (uint64_t)(at->epoch * t->steps + at->step));
    if (o->teacher != NULL) {
        PRI_TRY(pri_watcher_run(&t->teacher, t->train, t->order, t->batch, &o->augment,
                                t->epoch_seed, t->shares_images ? images : NULL));
        lap(t, &t->times.teacher);
    }
    PRI_TRY(pri_engine_forward(t->engine));
    lap(t, &t->times.forward);
    double loss = compute_loss(t);
    if (t->twin.n_pairs > 0) {
        PRI_TRY(pri_twin_compare(&loss, &t->twin, t->engine, t->teacher.engine, o->distill_inner,
                                 true));
    }
    if (!isfinite(loss))
        return pri_trainer_not_finite(t, "loss");
    PRI_TRY(pri_trainer_watch(t, loss));
    lap(t, &t->times.loss);
    pri_engine_zero_gradients(t->engine);
    PRI_TRY(pri_engine_backward(t->engine));
    lap(t, &t->times.backward);
    if (!update(t))
        return pri_trainer_not_finite(t, "gradient");
    lap(t, &t->times.update);
    t->position.loss_sum += loss;
    t->position.step++;
    *out = loss;
    return PARE_OK;
}

/* --- Epochs --- */

static void report_step(const pri_trainer *t, const pare_epoch *report)
{
    const double images_per_second = report->images_per_second;
    const pri_position *at = &t->position;
    const int64_t total = t->options.epochs * t->steps, done = at->epoch * t->steps + at->step;
    const double left =
        images_per_second > 0 ? (double)((total - done) * t->batch) / images_per_second : 0;
    char text[160];

    snprintf(text, sizeof text,
             "epoch %lld/%d loss %.3g lr %.2g %.0f img/s data wait %.0f %% ETA %lld:%02lld",
             (long long)at->epoch + 1, t->options.epochs, at->loss_sum / (double)at->step,
             report->learning_rate, images_per_second, 100 * report->data_wait,
             (long long)left / 60, (long long)left % 60);
    pri_progress(t->ctx, &(pare_progress){"train", text, done, total, "steps"});
}

static pare_status run_all_steps(pri_trainer *t, pare_epoch *report)
{
    pri_position *at = &t->position;
    const double before = at->seconds, start = pri_clock_s();
    const int64_t first = at->step;

    while (at->step < t->steps) {
        PRI_TRY(pri_check_cancel(t->ctx, "training"));
        report->learning_rate = learning_rate(t);
        double loss = 0;
        PRI_TRY(run_step(t, &loss));
        const double passed = pri_clock_s() - start;
        const double images = (double)((at->step - first) * t->batch);
        at->seconds = before + passed;
        at->images += t->batch;
        report->images_per_second = passed > 0 ? images / passed : 0;
        report->data_wait = passed > 0 ? pri_prefetch_waited_s(t->prefetch) / passed : 0;
        report_step(t, report);
        PRI_TRY(pri_trainer_tell_step(t, loss, report->learning_rate, report->images_per_second));
    }
    t->passed_s += pri_clock_s() - start;
    t->waited_s += pri_prefetch_waited_s(t->prefetch);
    return PARE_OK;
}

static pare_status run_steps(pri_trainer *t, pare_epoch *report)
{
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
    t->lap_s = pri_clock_s();
    PRI_TRY(pri_trainer_judge(t, &report));
    lap(t, &t->times.validation);
    report.loss = at->loss_sum / (double)t->steps;
    report.seconds = pri_clock_s() - start;
    at->epoch++;
    at->step = 0;
    at->loss_sum = 0;
    if (t->options.checkpoint != NULL)
        PRI_TRY(pri_checkpoint_write(t, identity));
    return pri_trainer_tell_epoch(t, &report);
}

/* All epochs are over, or validation has not become better for long. */
static bool is_over(const pri_trainer *t)
{
    const pri_position *at = &t->position;

    return at->epoch >= t->options.epochs ||
           (t->options.early_stop > 0 && at->epoch - at->best_epoch >= t->options.early_stop);
}

static pare_status run_epochs(pri_trainer *t)
{
    pri_identity identity = {0};
    pare_status status = PARE_OK;

    if (t->options.checkpoint != NULL) {
        pri_trainer_identify(&identity, t);
        PRI_TRY(pri_checkpoint_prepare(t));
    }
    if (t->options.resume && pri_file_exists(t->options.checkpoint)) {
        PRI_TRY(pri_checkpoint_read(t, &identity));
        pri_engine_refresh(t->engine);
    }
    if (t->options.noise_report != NULL) /* a path that cannot be written is told now */
        PRI_TRY(pri_noise_write(&t->noise, t->train, t->options.noise_report));
    if (t->options.tensorboard != NULL)
        PRI_TRY(pri_events_open(&t->events, t->ctx, t->options.tensorboard));
    while (!is_over(t) && status == PARE_OK)
        status = run_epoch(t, &identity);
    if (status == PARE_ERROR_CANCELLED && t->options.checkpoint != NULL) {
        const pare_status written = pri_checkpoint_write(t, &identity);
        if (written != PARE_OK)
            return written;
        pri_note(t->ctx, "the state is in '%s'; the same command%s goes on from there",
                 t->options.checkpoint, t->options.resume ? "" : " with --resume");
    }
    return status;
}

pare_status pare_train(pare_model *model, const pare_data *train, const pare_data *val,
                       const pare_train_options *options, pare_train_result *result)
{
    pri_trainer t = {.ctx = model->ctx, .model = model, .train = train, .val = val};
    if (options != NULL && options->insert_norm)
        return pri_train_with_norms(model, train, val, options, result);
    pare_status status = pri_trainer_open(&t, model, options);

    if (status == PARE_OK)
        status = run_epochs(&t);
    if (status == PARE_OK && t.options.noise_report != NULL)
        status = pri_noise_write(&t.noise, train, t.options.noise_report);
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
            .best_val_loss = at->best_epoch > 0 ? at->best_loss : NAN,
            .best_val_nll = at->best_nll,
            .best_val_accuracy = at->best_accuracy,
            .best_val_miou = at->best_miou,
            .data_wait = t.passed_s > 0 ? t.waited_s / t.passed_s : 0,
            .images_per_second = at->seconds > 0 ? (double)at->images / at->seconds : 0,
            .seconds = at->seconds,
            .times = t.times,
            .left_out = t.noise.dropped};
    }
    pri_trainer_close(&t);
    return status;
}
