/* SPDX-License-Identifier: Apache-2.0 */
/* reconstruct.c - see reconstruct.h. */
#include "prune/reconstruct.h"

#include <math.h>
#include <string.h>

#include "base/random.h"
#include "criteria/fisher.h"
#include "criteria/gram.h"
#include "engine/engine.h"

static const double PEAK_RATE = 5e-4, BETA1 = 0.9, BETA2 = 0.999, EPSILON = 1e-8;
enum { MOST_TAPS = 256 };

/* One value compared in both models. */
typedef struct pair {
    pri_value *own, *original;
    double weight, energy; /* of the original: mean square over a batch */
} pair;

typedef struct state {
    pare_model *model, *original;
    const pare_data *data;
    const pri_preprocess *preprocess;
    pri_engine *engine, *teacher;
    pair pairs[MOST_TAPS];
    int n_pairs;
    pri_value **weights;
    int n_weights;
    float *moments;   /* two an element, in the order of weights */
    float *best;      /* one an element */
    int64_t n_elements, *order;
    int64_t n_train, step;
    uint64_t seed;
} state;

/* Whether a value is worth comparing: the sum of a residual connection. */
static bool is_sum(const pri_value *value)
{
    return value->producer != NULL && value->producer->op != NULL &&
           value->producer->op->is_sum && value->constant == NULL &&
           value->producer->inputs[0]->constant == NULL &&
           value->producer->inputs[1]->constant == NULL;
}

static pare_status find_pairs(state *s)
{
    pri_facts *facts[2] = {NULL, NULL};
    pare_status status = pri_facts_infer(&facts[0], s->model, 0, true);

    if (status == PARE_OK)
        status = pri_facts_infer(&facts[1], s->original, 0, true);
    const int n_values = s->model->graph->n_values;
    for (int k = 0; status == PARE_OK && k < 2 * n_values; k++) { /* outputs, then sums */
        pri_value *own = s->model->graph->values[k % n_values];
        pri_value *other = pri_graph_find_value(s->original->graph, own->name);
        if (other == NULL || s->n_pairs == MOST_TAPS ||
            !(k < n_values ? own->is_output : !own->is_output && is_sum(own)))
            continue;
        const pri_fact *a = &facts[0]->of[own->id], *b = &facts[1]->of[other->id];
        if (!a->known || !b->known || a->dtype != PRI_F32 || b->dtype != PRI_F32 ||
            a->constant != NULL || !pri_shape_equal(&a->shape, &b->shape) || a->shape.rank < 2)
            continue;
        s->pairs[s->n_pairs++] = (pair){own, other, own->is_output ? 1.0 : 0.0, 0};
    }
    pri_facts_free(facts[0]);
    pri_facts_free(facts[1]);
    int sums = 0;
    for (int i = 0; i < s->n_pairs; i++)
        sums += !s->pairs[i].own->is_output;
    for (int i = 0; i < s->n_pairs; i++) {
        if (!s->pairs[i].own->is_output)
            s->pairs[i].weight = 1.0 / sums;
    }
    return status;
}

static pare_status open_engines(state *s)
{
    pri_value *taps[2][MOST_TAPS];
    pri_engine_options options = {.n_taps = s->n_pairs};

    for (int i = 0; i < s->n_pairs; i++) {
        taps[0][i] = s->pairs[i].own;
        taps[1][i] = s->pairs[i].original;
    }
    options.taps = taps[0];
    options.backward = options.weight_gradients = true;
    int64_t batch = pri_max_i64(1, pri_min_i64(s->data->count / 8, PRI_FISHER_BATCH));
    PRI_TRY(pri_batch_within(&batch, s->model, options, PRI_FISHER_BYTES));
    options.batch = batch;
    PRI_TRY(pri_engine_new(&s->engine, s->model, &options));
    options.taps = taps[1];
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
        bool is_trained = value->constant != NULL &&
                          pri_engine_weight_gradient(s->engine, value) != NULL;
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

/* Relative squared difference of one pair over a batch; its gradient is written where wanted. */
static pare_status compare(double *loss, const state *s, int k, bool writes)
{
    const pair *p = &s->pairs[k];
    pri_tap a, b;

    PRI_TRY(pri_engine_tap(s->engine, k, &a));
    PRI_TRY(pri_engine_tap(s->teacher, k, &b));
    const int64_t count = pri_shape_count(&a.shape);
    const double factor = p->weight / (p->energy * (double)count);
    double sum = 0;
    if (a.layout != b.layout)
        return pri_fail(s->model->ctx, PARE_ERROR_INTERNAL, "'%s' lies differently in two engines",
                        p->own->name);
    float *gradient = NULL;
    if (writes)
        memcpy(&gradient, &a.gradient, sizeof gradient);
#pragma omp parallel for reduction(+ : sum) schedule(static)
    for (int64_t i = 0; i < count; i++) {
        const float d = a.data[i] - b.data[i];
        sum += (double)d * d;
        if (gradient != NULL)
            gradient[i] = (float)(2 * factor) * d;
    }
    *loss += factor * sum;
    return PARE_OK;
}

/* Both see the same changed images; what the original makes of them is a fair target, whatever they
 * show. */
static pare_status forward(state *s, const int64_t *order, uint64_t seed)
{
    const pare_augment augment = {.flip = true, .crop = (int)(s->data->height / 12)};
    const int64_t batch = pri_engine_batch(s->engine);
    const pri_shape shape = pri_engine_input_shape(s->engine, 0);
    float *input = pri_engine_input(s->engine, 0);

    PRI_TRY(
        pri_data_batch(s->data, s->preprocess, order, batch, &augment, seed, input, NULL, NULL));
    memcpy(pri_engine_input(s->teacher, 0), input,
           (size_t)pri_shape_count(&shape) * sizeof *input);
    PRI_TRY(pri_engine_forward(s->teacher));
    return pri_engine_forward(s->engine);
}

/* Mean squares of the original's values. */
static pare_status measure_energies(state *s)
{
    PRI_TRY(forward(s, s->order, s->seed));
    for (int k = 0; k < s->n_pairs; k++) {
        pri_tap tap;
        double sum = 0;
        PRI_TRY(pri_engine_tap(s->teacher, k, &tap));
        const int64_t count = pri_shape_count(&tap.shape);
        for (int64_t i = 0; i < count; i++)
            sum += (double)tap.data[i] * tap.data[i];
        s->pairs[k].energy = fmax(sum / (double)count, 1e-12);
    }
    return PARE_OK;
}

static pare_status held_out_loss(double *loss, state *s)
{
    const int64_t batch = pri_engine_batch(s->engine);
    int64_t n = 0;

    *loss = 0;
    for (int64_t at = s->n_train; at + batch <= s->data->count; at += batch, n++) {
        PRI_TRY(forward(s, s->order + at, s->seed));
        for (int k = 0; k < s->n_pairs; k++)
            PRI_TRY(compare(loss, s, k, false));
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
    PRI_TRY(forward(s, order, s->seed + 1 + (uint64_t)s->step));
    pri_engine_zero_gradients(s->engine);
    for (int k = 0; k < s->n_pairs; k++)
        PRI_TRY(compare(loss, s, k, true));
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
    pare_status status = order != NULL && shuffled != NULL ? held_out_loss(&best, s)
                                                           : PARE_ERROR_MEMORY;

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
                            const pri_preprocess *preprocess, int passes, uint64_t seed)
{
    state s = {.model = model, .original = original, .data = data, .preprocess = preprocess, .seed = seed};
    pare_status status = find_pairs(&s);

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
            status = measure_energies(&s);
        if (status == PARE_OK)
            status = run(&s, passes, seed);
    }
    pri_engine_free(s.engine);
    pri_engine_free(s.teacher);
    pri_free(s.weights);
    pri_free(s.moments);
    pri_free(s.best);
    pri_free(s.order);
    return status;
}
