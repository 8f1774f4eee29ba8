/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recalibrate.c - running statistics of normalisations from images, weights unchanged.
 *
 * After pruning, the statistics describe a network that no longer exists. They are taken anew as
 * the plain mean of those of many batches, every layer seeing what training would see, and kept
 * only when that helps.
 */
#include <math.h>

#include <pare/evaluate.h>

#include "base/random.h"
#include "train/loss.h"
#include "train/trainer.h"

enum { MAX_BATCH = 128, BATCH_PIXELS = 1 << 21 };

/* Statistics want many positions, memory wants few images. */
static int64_t batch_for(const pare_data *data)
{
    const int64_t size = data->height * data->width * data->channels;
    const int64_t fits = pri_max_i64(BATCH_PIXELS / pri_max_i64(size, 1), 8);

    return pri_min_i64(pri_min_i64(fits, MAX_BATCH), data->count);
}

/* Mean over the images and heads of the divergence from the teacher. */
static pare_status divergence(double *out, const pri_view *teacher, const pare_model *model,
                              const pare_data *data)
{
    pare_context *ctx = model->ctx;
    const int64_t batch = batch_for(data);
    pri_view own_view = {0}, other_view = *teacher;
    pri_watcher own = {0}, other = {0};
    int map[2];
    int64_t *order = pri_alloc(ctx, (size_t)batch, sizeof *order);
    double *partial = pri_alloc(ctx, 2 * (size_t)batch, sizeof *partial);
    pare_status status = order != NULL && partial != NULL ? PARE_OK : PARE_ERROR_MEMORY;

    *out = 0;
    if (status != PARE_OK)
        goto done;
    PRI_CHECK(pri_view_open(&own_view, model, data, NULL), status, done);
    PRI_CHECK(pri_view_match(map, &own_view, &other_view), status, done);
    PRI_CHECK(pri_watcher_open(&own, &own_view, batch, NULL, 0, false), status, done);
    PRI_CHECK(pri_watcher_open(&other, &other_view, batch, NULL, 0, false), status, done);
    for (int64_t at = 0; at < data->count; at += batch) {
        const int64_t count = pri_min_i64(batch, data->count - at);
        for (int64_t i = 0; i < count; i++)
            order[i] = at + i;
        PRI_CHECK(pri_check_cancel(ctx, "recalibrating"), status, done);
        PRI_CHECK(pri_watcher_run(&own, data, order, count, NULL, 0, NULL), status, done);
        PRI_CHECK(pri_watcher_run(&other, data, order, count, NULL, 0, NULL), status, done);
        for (int k = 0; k < own_view.n_heads; k++) {
            if (map[k] < 0)
                continue;
            const pri_loss loss = {.images = count,
                                   .classes = own_view.heads[k].classes,
                                   .positions = own_view.heads[k].positions,
                                   .logits = own.logits[k],
                                   .teacher = other.logits[map[k]],
                                   .soft = 1,
                                   .temperature = 1,
                                   .partial = partial};
            *out += pri_loss_compute(&loss) * (double)count / (double)data->count;
        }
    }
done:
    pri_watcher_close(&own);
    pri_watcher_close(&other);
    pri_view_close(&own_view);
    pri_free(order);
    pri_free(partial);
    return status;
}

/* What must fall for a change to be kept. */
static pare_status measure(double *out, pare_model *model, const pri_view *teacher,
                           const pare_data *judge)
{
    pare_scores scores = {0};

    if (teacher != NULL)
        return divergence(out, teacher, model, judge);
    PRI_TRY(pare_evaluate(&scores, model, judge));
    *out = (scores.classes > 0 ? scores.nll : 0) + (scores.mask_classes > 0 ? scores.mask_nll : 0);
    pare_scores_clear(&scores);
    return PARE_OK;
}

/* Runs training-mode forward passes; batch k enters the mean with weight 1 / (k + 1). */
static pare_status estimate(pri_engine *engine, const pri_view *view, const pare_data *images)
{
    pare_context *ctx = images->ctx;
    const int64_t batch = pri_engine_batch(engine);
    const int64_t steps = pri_max_i64(1, images->count / batch);
    int64_t *all = pri_alloc(ctx, (size_t)images->count, sizeof *all);
    int64_t *order = pri_alloc(ctx, (size_t)batch, sizeof *order);
    pare_status status = all != NULL && order != NULL ? PARE_OK : PARE_ERROR_MEMORY;

    if (status == PARE_OK) /* files are often sorted by class, and batches should not be */
        pri_random_permutation(all, images->count, 0, PRI_STREAM_SHUFFLE);
    for (int64_t k = 0; k < steps && status == PARE_OK; k++) {
        for (int64_t i = 0; i < batch; i++)
            order[i] = all[(k * batch + i) % images->count];
        PRI_CHECK(pri_check_cancel(ctx, "recalibrating"), status, done);
        pri_engine_set_momentum(engine, (float)k / (float)(k + 1));
        PRI_CHECK(pri_data_batch(images, &view->preprocess, order, batch, NULL, 0,
                                 pri_engine_input(engine, 0), NULL, NULL),
                  status, done);
        PRI_CHECK(pri_engine_forward(engine), status, done);
        pri_progress(ctx, &(pare_progress){"recalibrate", "", k + 1, steps, "batches"});
    }
done:
    pri_free(all);
    pri_free(order);
    return status;
}

static int collect_statistics(const pare_model *model, pri_value **out)
{
    int count = 0;

    for (int i = 0; i < model->graph->n_values; i++) {
        if (pri_is_statistic(model->graph->values[i]))
            out[count++] = model->graph->values[i];
    }
    return count;
}

static bool are_finite(pri_value *const *values, int count)
{
    for (int i = 0; i < count; i++) {
        const float *data = values[i]->constant->data;
        for (int64_t k = 0; k < pri_tensor_count(values[i]->constant); k++) {
            if (!isfinite(data[k]))
                return false;
        }
    }
    return true;
}

static pare_status give_statistics(pare_model *model, pri_value *const *values, int count)
{
    for (int i = 0; i < count; i++) {
        pri_tensor *shared = NULL;
        PRI_TRY(pri_tensor_share(&shared, values[i]->constant));
        PRI_TRY(pri_graph_set_constant(model->graph->values[values[i]->id], shared));
    }
    return PARE_OK;
}

static pare_status try_statistics(pare_model *model, const pare_data *images,
                                  const pare_data *judge, const pri_view *teacher, bool *changed)
{
    pri_engine *engine = NULL;
    pare_model *tried = NULL;
    pri_view view = {0};
    double before, after;
    pare_status status = PARE_OK;

    pri_value **values = pri_alloc(model->ctx, (size_t)model->graph->n_values, sizeof *values);
    if (values == NULL)
        return PARE_ERROR_MEMORY;
    PRI_CHECK(pare_model_clone(&tried, model), status, done);
    const int count = collect_statistics(tried, values);
    if (count == 0)
        goto done;
    PRI_CHECK(measure(&before, model, teacher, judge), status, done);
    /* the engine runs a view of the clone with the same statistics tensors' names and ids */
    PRI_CHECK(pri_view_open(&view, tried, images, NULL), status, done);
    const pri_engine_options options = {.batch = batch_for(images), .training = true};
    PRI_CHECK(pri_batch_engine(&engine, view.model, options), status, done);
    PRI_CHECK(estimate(engine, &view, images), status, done);
    pri_engine_free(engine);
    engine = NULL;
    (void)collect_statistics(view.model, values);
    if (!are_finite(values, count))
        goto done;
    PRI_CHECK(give_statistics(tried, values, count), status, done);
    PRI_CHECK(measure(&after, tried, teacher, judge), status, done);
    if (!isfinite(after) || (isfinite(before) && after >= before))
        goto done;
    PRI_CHECK(give_statistics(model, values, count), status, done);
    *changed = true;
done:
    pri_engine_free(engine);
    pri_view_close(&view);
    pare_model_free(tried);
    pri_free(values);
    return status;
}

pare_status pare_recalibrate(pare_model *model, const pare_data *images, const pare_data *val,
                             const pare_model *teacher, bool *changed)
{
    const pare_data *judge = val != NULL ? val : images;
    pri_view view = {0};

    *changed = false;
    if (images->count == 0 || judge->count == 0)
        return pri_fail(model->ctx, PARE_ERROR_DATA, "there are no images to recalibrate on");
    PRI_TRY(pri_state_separate(model));
    if (teacher != NULL)
        PRI_TRY(
            pri_view_open(&view, teacher, judge, pare_model_metadata(model, PRI_PREPROCESS_KEY)));
    const pare_status status =
        try_statistics(model, images, judge, teacher != NULL ? &view : NULL, changed);
    pri_view_close(&view);
    return status;
}
