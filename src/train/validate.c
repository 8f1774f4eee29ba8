/* SPDX-License-Identifier: Apache-2.0 */
/* validate.c - see validate.h. */
#include "train/validate.h"

#include <math.h>

#include "metrics/classes.h"

enum { MAX_BATCH = 100, BATCH_PIXELS = 1 << 20 };

typedef struct job {
    pri_view *view;
    const pri_objective *objective;
    const pare_data *data;
    int64_t batch;
    pri_watcher watcher;
    pri_class_counts counts[2];
    int64_t *order;
    double *scratch;
} job;

static pare_status open_job(job *j)
{
    pare_context *ctx = j->view->model->ctx;
    int64_t scratch = 1;

    PRI_TRY(pri_watcher_open(&j->watcher, j->view, j->batch, NULL, 0, false));
    for (int k = 0; k < j->view->n_heads; k++) {
        const pri_head *head = &j->view->heads[k];
        const int64_t classes = pri_max_i64(head->classes, 2);
        PRI_TRY(pri_class_counts_init(&j->counts[k], ctx, classes));
        scratch = pri_max_i64(scratch, pri_loss_scratch(j->batch, head->classes));
    }
    j->order = pri_alloc(ctx, (size_t)j->batch, sizeof *j->order);
    j->scratch = pri_alloc(ctx, (size_t)scratch, sizeof *j->scratch);
    return j->order != NULL && j->scratch != NULL ? PARE_OK : PARE_ERROR_MEMORY;
}

static void close_job(job *j)
{
    pri_watcher_close(&j->watcher);
    pri_class_counts_clear(&j->counts[0]);
    pri_class_counts_clear(&j->counts[1]);
    pri_free(j->order);
    pri_free(j->scratch);
}

static int64_t said_at(const pri_head *head, const float *z)
{
    int64_t best = 0;

    if (head->classes == 1)
        return *z > 0;
    for (int64_t k = 1; k < head->classes; k++) {
        if (z[k * head->positions] > z[best * head->positions])
            best = k;
    }
    return best;
}

/* Truths of the images from `at` on against what head k says of them. */
static void count(job *j, int k, int64_t at, int64_t n)
{
    const pri_head *head = &j->view->heads[k];
    pri_class_counts *counts = &j->counts[k];

    for (int64_t i = 0; i < n * head->positions; i++) {
        const int64_t image = i / head->positions, p = i % head->positions;
        const int64_t label =
            head->is_mask ? j->data->masks[at * head->positions + i] : j->data->labels[at + image];
        const int64_t truth = label + head->offset;
        if (label < 0 || truth >= counts->classes || (head->is_mask && label == PARE_IGNORE))
            continue;
        const int64_t said =
            said_at(head, j->watcher.logits[k] + image * head->classes * head->positions + p);
        counts->truth[truth]++;
        counts->said[said]++;
        counts->both[truth] += said == truth;
    }
}

static pare_status run_batch(job *j, double *loss, int64_t at, int64_t n, double mask_weight)
{
    const int64_t area = j->data->height * j->data->width;

    for (int64_t i = 0; i < n; i++)
        j->order[i] = at + i;
    PRI_TRY(pri_watcher_run(&j->watcher, j->data, j->order, n, NULL, 0, NULL));
    for (int k = 0; k < j->view->n_heads; k++) {
        const pri_head *head = &j->view->heads[k];
        if (head->is_mask ? j->data->masks == NULL : j->data->labels == NULL)
            continue;
        const pri_loss one = {.images = n,
                              .classes = head->classes,
                              .positions = head->positions,
                              .logits = j->watcher.logits[k],
                              .labels = head->is_mask ? NULL : j->data->labels + at,
                              .label_offset = head->offset,
                              .masks = head->is_mask ? j->data->masks + at * area : NULL,
                              .mix = j->objective->mix[head->is_mask],
                              .class_weights = j->objective->weights[head->is_mask],
                              .hard = head->is_mask ? mask_weight : 1,
                              .temperature = 1,
                              .partial = j->scratch};
        *loss += pri_loss_compute(&one) * (double)n / (double)j->data->count;
        count(j, k, at, n);
    }
    return PARE_OK;
}

static pare_status sum_up(pri_validation *out, const job *j)
{
    for (int k = 0; k < j->view->n_heads; k++) {
        const pri_head *head = &j->view->heads[k];
        const bool has_truth = head->is_mask ? j->data->masks != NULL : j->data->labels != NULL;
        pare_class_scores *rows = NULL;
        pri_class_means means;
        if (!has_truth || head->labels > j->counts[k].classes)
            continue;
        PRI_TRY(pri_class_scores(&rows, &means, j->view->model->ctx, &j->counts[k]));
        pri_free(rows);
        if (head->is_mask)
            out->miou = means.iou;
        else
            out->accuracy = means.accuracy;
    }
    return PARE_OK;
}

pare_status pri_validate(pri_validation *out, pri_view *view, const pri_objective *objective,
                         const pare_data *data, double mask_weight)
{
    const int64_t fits = BATCH_PIXELS / (data->height * data->width);
    job j = {.view = view,
             .objective = objective,
             .data = data,
             .batch = pri_min_i64(pri_max_i64(1, pri_min_i64(fits, MAX_BATCH)), data->count)};

    *out = (pri_validation){.accuracy = NAN, .miou = NAN};
    pare_status status = open_job(&j);
    for (int64_t at = 0; at < data->count && status == PARE_OK; at += j.batch) {
        status = pri_check_cancel(view->model->ctx, "validating");
        if (status == PARE_OK)
            status =
                run_batch(&j, &out->loss, at, pri_min_i64(j.batch, data->count - at), mask_weight);
    }
    if (status == PARE_OK)
        status = sum_up(out, &j);
    close_job(&j);
    return status;
}
