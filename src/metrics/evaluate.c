/* SPDX-License-Identifier: Apache-2.0 */
/*
 * evaluate.c - scores of a model on images, one batch in memory at a time.
 *
 * Images of a batch are scored in parallel into counts of their own, which are added up in order:
 * the sums do not depend on the number of threads.
 */
#include <pare/evaluate.h>

#include <math.h>
#include <string.h>

#include "metrics/score_heads.h"
#include "data/prefetch.h"
#include "metrics/run.h"

/* At most so many images at once, and no more than have their activations in the processor's cache:
 * MobileNetV2 takes a third longer for an image in batches of 32 than of 2. */
enum { BATCH_IMAGES = 100, BATCH_BYTES = 16 << 20 };

/* What one image of a batch adds to the mask scores. */
typedef struct image_score {
    pri_class_counts counts;
    double nll;
} image_score;

typedef struct evaluation {
    pare_context *ctx;
    pare_model *model; /* a copy at the size of the images */
    const pare_data *data;
    pri_engine *engine;
    pri_preprocess preprocess;
    int64_t batch;
    pri_prefetch *prefetch;
    pri_score_head class_head, mask_head;
    int64_t offset;           /* output of label 0 */
    pri_class_counts classes; /* by label */
    pri_class_counts pixels;
    int64_t labelled, in_top5;
    double nll, mask_nll;
    image_score *images; /* batch, with a mask head */
} evaluation;

/* --- Setting up --- */

/* Every label must be the number of an output; an ignored pixel needs none. */
static pare_status check_labels(const evaluation *e)
{
    const pare_data *d = e->data;
    const int64_t area = d->height * d->width;

    for (int64_t i = 0; i < d->count && e->class_head.output >= 0; i++) {
        if (d->labels[i] >= e->classes.classes)
            return pri_fail(e->ctx, PARE_ERROR_DATA,
                            "image %lld has label %d, the model has outputs for 0 to %lld",
                            (long long)i, (int)d->labels[i], (long long)e->classes.classes - 1);
    }
    for (int64_t p = 0; p < d->count * area && e->mask_head.output >= 0; p++) {
        if (d->masks[p] != PARE_IGNORE && d->masks[p] >= e->mask_head.classes)
            return pri_fail(e->ctx, PARE_ERROR_DATA,
                            "the mask of image %lld has class %d, the model has outputs for 0 to "
                            "%lld",
                            (long long)(p / area), (int)d->masks[p],
                            (long long)e->mask_head.classes - 1);
    }
    return PARE_OK;
}

/* Keeps the heads that the set has truths for. */
static pare_status choose_heads(evaluation *e)
{
    const pare_data *d = e->data;

    pri_find_heads(&e->class_head, &e->mask_head, e->model, e->engine, e->preprocess.is_nhwc);
    const bool has_class = e->class_head.output >= 0, has_mask = e->mask_head.output >= 0;
    if (d->labels == NULL)
        e->class_head.output = -1;
    if (d->masks == NULL)
        e->mask_head.output = -1;
    if (e->class_head.output < 0 && e->mask_head.output < 0)
        return pri_fail(e->ctx, PARE_ERROR_DATA,
                        "nothing can be scored: the model has %s, the images have %s",
                        has_class && has_mask ? "a class head and a mask head"
                        : has_class           ? "a class head"
                        : has_mask            ? "a mask head"
                                              : "neither a class head (N x K) nor a mask head "
                                                "(N x K x H x W)",
                        d->labels != NULL && d->masks != NULL ? "labels and masks"
                        : d->labels != NULL                   ? "labels"
                        : d->masks != NULL                    ? "masks"
                                                              : "neither labels nor masks");
    if (e->mask_head.output >= 0 &&
        (e->mask_head.height != d->height || e->mask_head.width != d->width))
        return pri_fail(e->ctx, PARE_ERROR_SHAPE,
                        "the mask head gives %lldx%lld pixels, the masks have %lldx%lld",
                        (long long)e->mask_head.height, (long long)e->mask_head.width,
                        (long long)d->height, (long long)d->width);
    return PARE_OK;
}

static pare_status allocate(evaluation *e, pare_scores *out)
{
    const int64_t labels = e->class_head.classes - e->offset;

    if (e->class_head.output >= 0) {
        PRI_TRY(pri_class_counts_init(&e->classes, e->ctx, labels));
        out->predicted = pri_alloc(e->ctx, (size_t)e->data->count, sizeof *out->predicted);
        if (out->predicted == NULL)
            return PARE_ERROR_MEMORY;
    }
    if (e->mask_head.output < 0)
        return PARE_OK;
    PRI_TRY(pri_class_counts_init(&e->pixels, e->ctx, e->mask_head.classes));
    e->images = pri_alloc(e->ctx, (size_t)e->batch, sizeof *e->images);
    out->pixel_accuracy_of = pri_alloc(e->ctx, (size_t)e->data->count, sizeof(double));
    if (e->images == NULL || out->pixel_accuracy_of == NULL)
        return PARE_ERROR_MEMORY;
    for (int64_t i = 0; i < e->batch; i++)
        PRI_TRY(pri_class_counts_init(&e->images[i].counts, e->ctx, e->mask_head.classes));
    return PARE_OK;
}

static pare_status set_up(evaluation *e, pare_scores *out, pare_model *model)
{
    const pare_data *d = e->data;

    if (d->count < 1)
        return pri_fail(e->ctx, PARE_ERROR_DATA, "the set has no images");
    PRI_TRY(pri_close_shape(&e->model, model, d));
    PRI_TRY(pri_preprocess_of(&e->preprocess, model));
    pri_engine_options options = {.batch = pri_min_i64(BATCH_IMAGES, d->count)};
    PRI_TRY(pri_batch_within(&options.batch, e->model, options, BATCH_BYTES));
    PRI_TRY(pri_batch_engine(&e->engine, e->model, options));
    e->batch = pri_engine_batch(e->engine);
    PRI_TRY(choose_heads(e));
    if (e->class_head.output >= 0)
        PRI_TRY(pri_class_offset(&e->offset, e->model, e->class_head.classes));
    if (e->class_head.output >= 0 && e->class_head.classes == 1001 && d->classes <= 1000 &&
        pare_model_metadata(e->model, PRI_CLASS_OFFSET_KEY) == NULL)
        pri_log(e->ctx, PARE_LOG_WARNING,
                "the model has 1001 outputs and the labels end at %lld; if output 0 is a "
                "background class, set the class offset to 1",
                (long long)d->classes - 1);
    PRI_TRY(allocate(e, out));
    return check_labels(e);
}

/* --- Running --- */

static pare_status not_finite(const evaluation *e, int64_t image)
{
    return pri_fail(e->ctx, PARE_ERROR_NUMERIC, "the model's output for image %lld is not finite",
                    (long long)image);
}

static pare_status score_classes(evaluation *e, pare_scores *out, int64_t from, int64_t n)
{
    const float *rows = pri_engine_output(e->engine, e->class_head.output);

    for (int64_t i = 0; i < n; i++) {
        const int32_t label = e->data->labels[from + i];
        const pri_row_score score = pri_score_row(rows + i * e->class_head.classes, &e->class_head,
                                                  pri_max_i64(label, 0) + e->offset);
        const int64_t said = score.predicted - e->offset;
        out->predicted[from + i] = said >= 0 ? (int32_t)said : -1;
        if (label < 0)
            continue;
        if (!isfinite(score.nll))
            return not_finite(e, from + i);
        e->labelled++;
        e->in_top5 += score.rank < 5;
        e->nll += score.nll;
        e->classes.truth[label]++;
        if (said >= 0)
            e->classes.said[said]++;
        e->classes.both[label] += said == label;
    }
    return PARE_OK;
}

static pare_status score_masks(evaluation *e, pare_scores *out, int64_t from, int64_t n)
{
    const float *outputs = pri_engine_output(e->engine, e->mask_head.output);
    const int64_t area = e->mask_head.height * e->mask_head.width, k = e->mask_head.classes;

#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < n; i++) {
        image_score *image = &e->images[i];
        memset(image->counts.truth, 0, 3 * (size_t)k * sizeof(int64_t));
        pri_score_mask(&image->counts, &image->nll, outputs + i * area * k, &e->mask_head,
                       e->data->masks + (from + i) * area);
    }
    for (int64_t i = 0; i < n; i++) {
        const image_score *image = &e->images[i];
        int64_t counted = 0, right = 0;
        if (!isfinite(image->nll))
            return not_finite(e, from + i);
        e->mask_nll += image->nll;
        for (int64_t c = 0; c < 3 * k; c++)
            e->pixels.truth[c] += image->counts.truth[c]; /* said and both lie behind */
        for (int64_t c = 0; c < k; c++) {
            counted += image->counts.truth[c];
            right += image->counts.both[c];
        }
        out->pixel_accuracy_of[from + i] = counted > 0 ? (double)right / (double)counted : 0;
    }
    return PARE_OK;
}

/* The images in order; the last batch is filled up with the last one. */
static uint64_t plan_batch(void *user, int64_t k, int64_t *order)
{
    const evaluation *e = user;

    for (int64_t i = 0; i < e->batch; i++)
        order[i] = pri_min_i64(k * e->batch + i, e->data->count - 1);
    return 0;
}

static pare_status run_all(evaluation *e, pare_scores *out)
{
    const int64_t count = e->data->count;
    const int64_t size = e->data->height * e->data->width * e->data->channels;
    const pri_prefetch_options options = {.data = e->data,
                                          .preprocess = &e->preprocess,
                                          .batch = e->batch,
                                          .count = (count + e->batch - 1) / e->batch,
                                          .plan = plan_batch,
                                          .user = e};

    PRI_TRY(pri_prefetch_open(&e->prefetch, e->ctx, &options));
    for (int64_t at = 0; at < count; at += e->batch) {
        const int64_t n = pri_min_i64(e->batch, count - at);
        const pri_batch *batch;
        PRI_TRY(pri_check_cancel(e->ctx, "evaluating"));
        PRI_TRY(pri_prefetch_next(e->prefetch, &batch, NULL));
        memcpy(pri_engine_input(e->engine, 0), batch->images,
               (size_t)(e->batch * size) * sizeof *batch->images);
        PRI_TRY(pri_engine_forward(e->engine));
        if (e->class_head.output >= 0)
            PRI_TRY(score_classes(e, out, at, n));
        if (e->mask_head.output >= 0)
            PRI_TRY(score_masks(e, out, at, n));
        pri_progress(e->ctx, &(pare_progress){"evaluate", "", at + n, count, "images"});
    }
    return PARE_OK;
}

static pare_status sum_up(const evaluation *e, pare_scores *out)
{
    pri_class_means means;
    int64_t pixels = 0;

    out->count = e->data->count;
    if (e->class_head.output >= 0) {
        const double n = (double)pri_max_i64(e->labelled, 1);
        PRI_TRY(pri_class_scores(&out->per_class, &means, e->ctx, &e->classes));
        out->classes = e->classes.classes;
        out->accuracy = means.accuracy;
        out->top5 = (double)e->in_top5 / n;
        out->nll = e->nll / n;
        out->precision_macro = means.precision;
        out->recall_macro = means.recall;
        out->f1_macro = means.f1;
    }
    if (e->mask_head.output >= 0) {
        for (int64_t c = 0; c < e->pixels.classes; c++)
            pixels += e->pixels.truth[c];
        PRI_TRY(pri_class_scores(&out->per_mask_class, &means, e->ctx, &e->pixels));
        out->mask_classes = e->pixels.classes;
        out->miou = means.iou;
        out->pixel_accuracy = means.accuracy;
        out->dice = means.f1;
        out->class_average_accuracy = means.recall;
        out->mask_nll = e->mask_nll / (double)pri_max_i64(pixels, 1);
    }
    return PARE_OK;
}

static void clear(evaluation *e)
{
    for (int64_t i = 0; i < e->batch && e->images != NULL; i++)
        pri_class_counts_clear(&e->images[i].counts);
    pri_free(e->images);
    pri_prefetch_close(e->prefetch);
    pri_class_counts_clear(&e->classes);
    pri_class_counts_clear(&e->pixels);
    pri_engine_free(e->engine);
    pare_model_free(e->model);
}

pare_status pare_evaluate(pare_scores *out, pare_model *model, const pare_data *data)
{
    evaluation e = {.ctx = model->ctx, .data = data};

    memset(out, 0, sizeof *out);
    pare_status status = set_up(&e, out, model);
    if (status == PARE_OK)
        status = run_all(&e, out);
    if (status == PARE_OK)
        status = sum_up(&e, out);
    if (status != PARE_OK)
        pare_scores_clear(out);
    clear(&e);
    return status;
}

void pare_scores_clear(pare_scores *scores)
{
    pri_free(scores->per_class);
    pri_free(scores->predicted);
    pri_free(scores->per_mask_class);
    pri_free(scores->pixel_accuracy_of);
    memset(scores, 0, sizeof *scores);
}
