/* SPDX-License-Identifier: Apache-2.0 */
/* reconstruct.c - see reconstruct.h. */
#include "prune/reconstruct.h"

#include <math.h>
#include <string.h>

#include "base/random.h"
#include "criteria/fisher.h"
#include "criteria/gram.h"
#include "engine/twin.h"

enum { BATCH = 32 };
static const double PEAK_RATE = 1e-3, BETA1 = 0.9, BETA2 = 0.999, EPSILON = 1e-8;

typedef struct state {
    pare_model *model, *original;
    const pare_data *data;
    const pri_preprocess *preprocess;
    pri_engine *engine, *teacher;
    pri_twin twin;
    pri_value **weights;
    int n_weights;
    float *moments; /* two an element, in the order of weights */
    float *best;    /* one an element */
    int64_t n_elements, *order;
    int64_t n_train, step;
    bool bf16;
    uint64_t seed;
} state;

static pare_status open_engines(state *s)
{
    pri_value *taps[PRI_TWIN_PAIRS];
    pri_engine_options options = {.taps = taps, .n_taps = s->twin.n_pairs, .bf16 = s->bf16};

    pri_twin_taps(&s->twin, taps, true);
    options.backward = options.weight_gradients = true;
    int64_t batch = pri_max_i64(1, pri_min_i64(s->data->count / 8, BATCH));
    PRI_TRY(pri_batch_within(&batch, s->model, options, PRI_FISHER_BYTES));
    options.batch = batch;
    PRI_TRY(pri_engine_new(&s->engine, s->model, &options));
    pri_twin_taps(&s->twin, taps, false);
    options.backward = options.weight_gradients = false;
    return pri_engine_new(&s->teacher, s->original, &options);
}

/* Weights that a gradient reaches, but running statistics of normalisations. */
static pare_status list_weights(state *s)
{
    const pri_graph *graph = s->model->graph;

    s->weights = pri_alloc(graph->ctx, (size_t)graph->n_values, sizeof *s->weights);
    if (s->weights == NULL)
        return PARE_ERROR_MEMORY;
    for (int v = 0; v < graph->n_values; v++) {
        pri_value *value = graph->values[v];
        bool is_trained =
            value->constant != NULL && pri_engine_weight_gradient(s->engine, value) != NULL;
        for (int u = 0; u < value->n_uses && is_trained; u++)
            is_trained = value->uses[u].slot < 3 ||
                         strcmp(value->uses[u].node->op_type, "BatchNormalization") != 0;
        if (!is_trained)
            continue;
        PRI_TRY(pri_tensor_own(value->constant));
        value->is_changed = true;
        s->weights[s->n_weights++] = value;
        s->n_elements += pri_tensor_count(value->constant);
    }
    pri_engine_refresh(s->engine);
    s->moments = pri_alloc(graph->ctx, (size_t)s->n_elements, 2 * sizeof(float));
    s->best = pri_alloc(graph->ctx, (size_t)s->n_elements, sizeof(float));
    return s->moments != NULL && s->best != NULL ? PARE_OK : PARE_ERROR_MEMORY;
}

static void copy_weights(state *s, bool to_best)
{
    float *at = s->best;

    for (int i = 0; i < s->n_weights; i++) {
        pri_tensor *tensor = s->weights[i]->constant;
        const int64_t count = pri_tensor_count(tensor);
        if (to_best)
            memcpy(at, tensor->data, (size_t)count * sizeof *at);
        else
            memcpy(tensor->data, at, (size_t)count * sizeof *at);
        at += count;
    }
}

/* Blends every image with the next one of the batch, each in a proportion of its own, at least half
 * its own (mixup, Zhang et al. 2018, without labels: what the original makes of a blend is known).
 */
static void blend(float *input, float *copy, int64_t batch, int64_t size, uint64_t seed)
{
    memcpy(copy, input, (size_t)(batch * size) * sizeof *copy);
#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < batch; n++) {
        const float own = (float)(1 - 0.5 * pri_random_unit(seed, PRI_STREAM_BLEND, (uint64_t)n));
        const float *next = copy + (n + 1) % batch * size;
        for (int64_t i = 0; i < size; i++)
            input[n * size + i] = own * copy[n * size + i] + (1 - own) * next[i];
    }
}

/* Both see the same changed images; what the original makes of them is a fair target, whatever they
 * show. */
static pare_status forward(state *s, const int64_t *order, uint64_t seed, bool blends)
{
    const pare_augment augment = {.flip = true, .crop = (int)(s->data->height / 12)};
    const int64_t batch = pri_engine_batch(s->engine);
    const pri_shape shape = pri_engine_input_shape(s->engine, 0);
    const int64_t size = pri_shape_count(&shape) / batch;
    float *input = pri_engine_input(s->engine, 0), *other = pri_engine_input(s->teacher, 0);

    PRI_TRY(
        pri_data_batch(s->data, s->preprocess, order, batch, &augment, seed, input, NULL, NULL));
    if (blends)
        blend(input, other, batch, size, seed);
    memcpy(other, input, (size_t)(batch * size) * sizeof *input);
    PRI_TRY(pri_engine_forward(s->teacher));
    return pri_engine_forward(s->engine);
}

static pare_status held_out_loss(double *loss, state *s)
{
    const int64_t batch = pri_engine_batch(s->engine);
    int64_t n = 0;

    *loss = 0;
    for (int64_t at = s->n_train; at + batch <= s->data->count; at += batch, n++) {
        PRI_TRY(forward(s, s->order + at, s->seed, false));
        PRI_TRY(pri_twin_compare(loss, &s->twin, s->engine, s->teacher, 1, false));
    }
    *loss /= (double)pri_max_i64(n, 1);
    return PARE_OK;
}

static void adam(state *s, double rate)
{
    const double c1 = 1 - pow(BETA1, (double)s->step), c2 = 1 - pow(BETA2, (double)s->step);
    float *moments = s->moments;

    for (int i = 0; i < s->n_weights; i++) {
        float *w = s->weights[i]->constant->data;
        const float *g = pri_engine_weight_gradient(s->engine, s->weights[i]);
        const int64_t count = pri_tensor_count(s->weights[i]->constant);
        for (int64_t k = 0; k < count; k++) {
            float *m = moments + 2 * k;
            m[0] += (float)(1 - BETA1) * (g[k] - m[0]);
            m[1] += (float)(1 - BETA2) * (g[k] * g[k] - m[1]);
            w[k] -= (float)(rate * (m[0] / c1) / (sqrt(m[1] / c2) + EPSILON));
        }
        moments += 2 * count;
    }
}

static pare_status train_batch(double *loss, state *s, const int64_t *order, double rate)
{
    *loss = 0;
    PRI_TRY(forward(s, order, s->seed + 1 + (uint64_t)s->step, true));
    pri_engine_zero_gradients(s->engine);
    PRI_TRY(pri_twin_compare(loss, &s->twin, s->engine, s->teacher, 1, true));
    PRI_TRY(pri_engine_backward(s->engine));
    if (!isfinite(*loss))
        return PARE_OK; /* the best weights are taken in the end */
    s->step++;
    adam(s, rate);
    pri_engine_refresh(s->engine);
    return PARE_OK;
}

static pare_status run(state *s, int passes, uint64_t seed)
{
    const int64_t batch = pri_engine_batch(s->engine), steps = s->n_train / batch;
    int64_t *order = pri_alloc(s->model->ctx, (size_t)s->n_train + 1, sizeof *order);
    int64_t *shuffled = pri_alloc(s->model->ctx, (size_t)s->n_train + 1, sizeof *shuffled);
    double best = INFINITY, loss = 0, first = 0;
    pare_status status =
        order != NULL && shuffled != NULL ? held_out_loss(&best, s) : PARE_ERROR_MEMORY;

    first = best;
    copy_weights(s, true);
    for (int p = 0; p < passes && status == PARE_OK; p++) {
        pri_random_permutation(order, s->n_train, seed + (uint64_t)p, PRI_STREAM_SHUFFLE);
        for (int64_t i = 0; i < s->n_train; i++)
            shuffled[i] = s->order[order[i]];
        for (int64_t b = 0; b < steps && status == PARE_OK; b++) {
            const double at = (double)(p * steps + b) / (double)(passes * steps);
            status = train_batch(&loss, s, shuffled + b * batch,
                                 PEAK_RATE * 0.5 * (1 + cos(3.14159265358979 * at)));
            if (status == PARE_OK)
                status = pri_check_cancel(s->model->ctx, "reconstructing");
            pri_progress(s->model->ctx, &(pare_progress){"reconstruct", "", p * steps + b + 1,
                                                         passes * steps, "batches"});
        }
        if (status == PARE_OK)
            status = held_out_loss(&loss, s);
        if (status == PARE_OK && loss < best) {
            best = loss;
            copy_weights(s, true);
        }
    }
    copy_weights(s, false);
    pri_log(s->model->ctx, PARE_LOG_DEBUG, "reconstruction: held-out error %.4g, before %.4g", best,
            first);
    pri_free(order);
    pri_free(shuffled);
    return status;
}

pare_status pri_reconstruct(pare_model *model, pare_model *original, const pare_data *data,
                            const pri_preprocess *preprocess, int passes, bool bf16, uint64_t seed)
{
    state s = {
        .model = model, .original = original, .data = data, .preprocess = preprocess, .bf16 = bf16, .seed = seed};
    pare_status status = pri_twin_find(&s.twin, model, original, true);

    if (status == PARE_OK)
        status = open_engines(&s);
    const int64_t batch = status == PARE_OK ? pri_engine_batch(s.engine) : 1;
    s.n_train = data->count * 7 / 8 / batch * batch;
    s.order = pri_alloc(model->ctx, (size_t)data->count + 1, sizeof *s.order);
    if (status == PARE_OK && s.order == NULL)
        status = PARE_ERROR_MEMORY;
    const bool is_enough = s.n_train >= batch && s.n_train + batch <= data->count;
    if (status == PARE_OK && !is_enough)
        pri_log(model->ctx, PARE_LOG_WARNING, "too few images to reconstruct with (%lld)",
                (long long)data->count);
    if (status == PARE_OK && is_enough) {
        pri_random_permutation(s.order, data->count, seed, PRI_STREAM_SPLIT);
        status = list_weights(&s);
        if (status == PARE_OK)
            status = forward(&s, s.order, seed, false);
        if (status == PARE_OK)
            status = pri_twin_measure(&s.twin, s.engine, s.teacher);
        if (status == PARE_OK)
            status = run(&s, passes, seed);
    }
    pri_twin_clear(&s.twin);
    pri_engine_free(s.engine);
    pri_engine_free(s.teacher);
    pri_free(s.weights);
    pri_free(s.moments);
    pri_free(s.best);
    pri_free(s.order);
    return status;
}
