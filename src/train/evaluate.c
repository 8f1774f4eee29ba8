/* SPDX-License-Identifier: Apache-2.0 */
/* evaluate.c - scores, the paired test, interleaved latency. */
#include <pare/evaluate.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/data.h"
#include "engine/engine.h"
#include "train/run.h"

pare_status pri_check_input(pare_model *model, const pare_data *data)
{
    const pri_graph *graph = model->graph;

    if (graph->n_inputs != 1 || graph->n_outputs < 1)
        return pri_fail(model->ctx, PARE_ERROR_UNSUPPORTED,
                        "the model has %d inputs; pare evaluates models with one image input",
                        graph->n_inputs);
    const pri_shape *shape = &graph->inputs[0]->shape;
    if (!graph->inputs[0]->has_shape || shape->rank != 4 || shape->dims[1] != data->channels ||
        (shape->dims[2] >= 0 && shape->dims[2] != data->height) ||
        (shape->dims[3] >= 0 && shape->dims[3] != data->width)) {
        char text[PRI_SHAPE_TEXT];
        return pri_fail(model->ctx, PARE_ERROR_SHAPE,
                        "the model wants %s, the images are %lldx%lldx%lld",
                        pri_shape_text(text, shape), (long long)data->channels,
                        (long long)data->height, (long long)data->width);
    }
    return PARE_OK;
}

pare_status pri_batch_engine(pri_engine **out, pare_model *model, pri_engine_options options)
{
    pare_status status = pri_engine_new(out, model, &options);

    if (status == PARE_OK || status == PARE_ERROR_MEMORY)
        return status;
    const pri_shape *shape = &model->graph->inputs[0]->shape;
    if (shape->rank == 0 || shape->dims[0] <= 0 || options.batch == shape->dims[0])
        return status;
    options.batch = shape->dims[0]; /* the graph states its batch somewhere inside */
    pri_forget(model->ctx);
    return pri_engine_new(out, model, &options);
}

typedef struct tally {
    int64_t classes, right, in_top5;
    double nll;
    int64_t *confusion; /* truth x predicted */
} tally;

static void score_row(tally *t, const float *logits, int64_t classes, int32_t label, int32_t *best)
{
    double largest = logits[0], sum = 0;
    int64_t above = 0;

    *best = 0;
    for (int64_t c = 1; c < classes; c++) {
        if (logits[c] > largest) {
            largest = logits[c];
            *best = (int32_t)c;
        }
    }
    for (int64_t c = 0; c < classes; c++) {
        sum += exp(logits[c] - largest);
        above += logits[c] > logits[label];
    }
    t->nll += log(sum) + largest - logits[label];
    t->right += *best == label;
    t->in_top5 += above < 5;
    t->confusion[label * classes + *best]++;
}

static void finish(pare_scores *out, const tally *t)
{
    int64_t present = 0;

    out->accuracy = (double)t->right / (double)out->count;
    out->top5 = (double)t->in_top5 / (double)out->count;
    out->nll = t->nll / (double)out->count;
    for (int64_t c = 0; c < t->classes; c++) {
        double truth = 0, said = 0;
        const double both = (double)t->confusion[c * t->classes + c];
        for (int64_t k = 0; k < t->classes; k++) {
            truth += (double)t->confusion[c * t->classes + k];
            said += (double)t->confusion[k * t->classes + c];
        }
        if (truth == 0)
            continue;
        const double precision = said > 0 ? both / said : 0, recall = both / truth;
        present++;
        out->precision_macro += precision;
        out->recall_macro += recall;
        out->f1_macro += precision + recall > 0 ? 2 * precision * recall / (precision + recall) : 0;
    }
    out->precision_macro /= (double)pri_max_i64(present, 1);
    out->recall_macro /= (double)pri_max_i64(present, 1);
    out->f1_macro /= (double)pri_max_i64(present, 1);
}

static pare_status run_all(pare_scores *out, tally *t, pri_engine *engine, pare_context *ctx,
                           const pare_data *data, const pri_preprocess *preprocess)
{
    const int64_t batch = pri_engine_batch(engine);
    int64_t *order = pri_alloc(ctx, (size_t)batch, sizeof *order);
    pare_status status = order != NULL ? PARE_OK : PARE_ERROR_MEMORY;

    for (int64_t at = 0; at < data->count && status == PARE_OK; at += batch) {
        for (int64_t i = 0; i < batch; i++)
            order[i] = pri_min_i64(at + i, data->count - 1);
        status = pri_check_cancel(ctx, "evaluating");
        if (status != PARE_OK)
            break;
        pri_data_batch(data, preprocess, order, batch, NULL, 0, pri_engine_input(engine, 0), NULL,
                       NULL);
        status = pri_engine_forward(engine);
        const float *logits = pri_engine_output(engine, 0);
        for (int64_t i = 0; i < batch && at + i < data->count && status == PARE_OK; i++)
            score_row(t, logits + i * t->classes, t->classes, data->labels[at + i],
                      &out->predicted[at + i]);
        pri_progress(ctx, &(pare_progress){"evaluate", "", pri_min_i64(at + batch, data->count),
                                           data->count, "images"});
    }
    pri_free(order);
    return status;
}

pare_status pare_evaluate(pare_scores *out, pare_model *model, const pare_data *data)
{
    pare_context *ctx = model->ctx;
    pri_engine *engine = NULL;
    pri_preprocess preprocess;
    tally t = {0};

    memset(out, 0, sizeof *out);
    PRI_TRY(pri_check_input(model, data));
    PRI_TRY(pri_preprocess_parse(&preprocess, ctx, pare_model_metadata(model, PRI_PREPROCESS_KEY)));
    PRI_TRY(pri_batch_engine(&engine, model,
                             (pri_engine_options){.batch = pri_min_i64(100, data->count)}));
    const pri_shape shape = pri_engine_output_shape(engine, 0);
    pare_status status = PARE_OK;
    t.classes = pri_shape_count(&shape) / pri_engine_batch(engine);
    if (data->classes > t.classes || pri_engine_output_dtype(engine, 0) != PRI_F32)
        status = pri_fail(ctx, PARE_ERROR_DATA,
                          "labels go up to %lld, the model has %lld outputs",
                          (long long)data->classes - 1, (long long)t.classes);
    if (status == PARE_OK) {
        out->count = data->count;
        out->classes = t.classes;
        out->predicted = pri_alloc(ctx, (size_t)data->count, sizeof(int32_t));
        t.confusion = pri_alloc(ctx, (size_t)(t.classes * t.classes), sizeof(int64_t));
        status = out->predicted != NULL && t.confusion != NULL
                     ? run_all(out, &t, engine, ctx, data, &preprocess)
                     : PARE_ERROR_MEMORY;
    }
    if (status == PARE_OK)
        finish(out, &t);
    else
        pare_scores_clear(out);
    pri_free(t.confusion);
    pri_engine_free(engine);
    return status;
}

void pare_scores_clear(pare_scores *scores)
{
    pri_free(scores->predicted);
    memset(scores, 0, sizeof *scores);
}

double pare_mcnemar(const pare_scores *a, const pare_scores *b, const pare_data *data)
{
    int64_t only_a = 0, only_b = 0;

    for (int64_t i = 0; i < data->count && i < a->count && i < b->count; i++) {
        const bool right_a = a->predicted[i] == data->labels[i];
        const bool right_b = b->predicted[i] == data->labels[i];
        only_a += right_a && !right_b;
        only_b += right_b && !right_a;
    }
    const int64_t n = only_a + only_b, k = pri_min_i64(only_a, only_b);
    double p = 0;
    for (int64_t i = 0; i <= k; i++)
        p += exp(lgamma((double)n + 1) - lgamma((double)i + 1) - lgamma((double)(n - i) + 1) -
                 (double)n * log(2));
    return fmin(1, 2 * p);
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

pare_status pare_measure_latency(double seconds[2], pare_model *a, pare_model *b, int64_t batch,
                                 int rounds)
{
    pare_model *models[2] = {a, b};
    pri_engine *engines[2] = {NULL, NULL};
    double *times = pri_alloc(a->ctx, 2 * (size_t)rounds, sizeof *times);
    pare_status status = times != NULL ? PARE_OK : PARE_ERROR_MEMORY;

    for (int k = 0; k < 2 && status == PARE_OK; k++)
        status = pri_batch_engine(&engines[k], models[k], (pri_engine_options){.batch = batch});
    for (int r = -2; r < rounds && status == PARE_OK; r++) {
        for (int k = 0; k < 2 && status == PARE_OK; k++) {
            const double start = pri_clock_s();
            status = pri_engine_forward(engines[k]);
            if (r >= 0)
                times[k * rounds + r] = pri_clock_s() - start;
        }
    }
    for (int k = 0; k < 2; k++) {
        if (status == PARE_OK) {
            qsort(times + k * rounds, (size_t)rounds, sizeof *times, by_value);
            seconds[k] = times[k * rounds + rounds / 2];
        }
        pri_engine_free(engines[k]);
    }
    pri_free(times);
    return status;
}
