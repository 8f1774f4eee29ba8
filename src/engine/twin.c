/* SPDX-License-Identifier: Apache-2.0 */
/* twin.c - see twin.h. */
#include "engine/twin.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

enum { CHUNKS = 64, MOST_ROWS = 2048 };
static const double LEAST_CORRELATION = 0.3; /* mean over a pair's channels */

/* --- Finding pairs --- */

/* Whether a value is the sum of a residual connection. */
static bool is_sum(const pri_value *value)
{
    return value->producer != NULL && value->producer->op != NULL && value->producer->op->is_sum &&
           value->constant == NULL && value->producer->inputs[0]->constant == NULL &&
           value->producer->inputs[1]->constant == NULL;
}

/* Equal shapes, or for sums all but the number of channels. */
static bool fits(const pri_fact *a, const pri_fact *b, bool is_output)
{
    if (!a->known || !b->known || a->dtype != PRI_F32 || b->dtype != PRI_F32 ||
        a->constant != NULL || a->shape.rank != b->shape.rank || a->shape.rank < 2)
        return false;
    if (is_output || a->shape.rank < 3)
        return pri_shape_equal(&a->shape, &b->shape);
    for (int k = 0; k < a->shape.rank; k++) {
        if (k == 1 ? a->shape.dims[k] > b->shape.dims[k] : a->shape.dims[k] != b->shape.dims[k])
            return false;
    }
    return true;
}

static void add_pairs(pri_twin *twin, pare_model *own, pare_model *other, pri_facts *const facts[2],
                      bool outputs)
{
    for (int v = 0; v < own->graph->n_values && twin->n_pairs < PRI_TWIN_PAIRS; v++) {
        pri_value *a = own->graph->values[v];
        pri_value *b = pri_graph_find_value(other->graph, a->name);
        if (b == NULL || a->is_output != outputs || (!outputs && !is_sum(a)) ||
            !fits(&facts[0]->of[a->id], &facts[1]->of[b->id], outputs))
            continue;
        twin->pairs[twin->n_pairs++] = (pri_twin_pair){.own = a, .other = b, .weight = 1};
    }
}

pare_status pri_twin_find(pri_twin *out, pare_model *own, pare_model *other, bool outputs)
{
    pri_facts *facts[2] = {NULL, NULL};

    *out = (pri_twin){.ctx = own->ctx};
    pare_status status = pri_facts_infer(&facts[0], own, 0, true);
    if (status == PARE_OK)
        status = pri_facts_infer(&facts[1], other, 0, true);
    if (status == PARE_OK && outputs)
        add_pairs(out, own, other, facts, true);
    out->n_outputs = out->n_pairs;
    if (status == PARE_OK)
        add_pairs(out, own, other, facts, false);
    for (int k = out->n_outputs; k < out->n_pairs; k++)
        out->pairs[k].weight = 1.0 / (out->n_pairs - out->n_outputs);
    pri_facts_free(facts[0]);
    pri_facts_free(facts[1]);
    return status;
}

void pri_twin_clear(pri_twin *twin)
{
    for (int k = 0; k < twin->n_pairs; k++)
        pri_free(twin->pairs[k].kept);
    *twin = (pri_twin){0};
}

void pri_twin_taps(const pri_twin *twin, pri_value **taps, bool own)
{
    for (int k = 0; k < twin->n_pairs; k++)
        taps[k] = own ? twin->pairs[k].own : twin->pairs[k].other;
}

/* --- Which channels go together --- */

/* Position p of a tap, channel 0; p counts images and places. */
static int64_t at_place(const pri_channels *ch, int64_t p)
{
    return p / ch->inner * ch->channels * ch->inner + p % ch->inner * ch->inner_stride;
}

/* `rows` places spread over a tap, channels with mean 0 and square sum 1 (or 0 where they are
 * constant). */
static void standardise(float *out, const pri_tap *tap, int64_t rows)
{
    const pri_channels ch = pri_channels_of(&tap->shape, tap->layout);
    const int64_t places = ch.outer * ch.inner;

    for (int64_t c = 0; c < ch.channels; c++) {
        double sum = 0, squares = 0;
        for (int64_t r = 0; r < rows; r++) {
            const double v = tap->data[at_place(&ch, r * places / rows) + c * ch.channel_stride];
            out[r * ch.channels + c] = (float)v;
            sum += v;
            squares += v * v;
        }
        const double mean = sum / (double)rows, left = squares - sum * mean;
        const double scale = left > 1e-12 * squares ? 1 / sqrt(left) : 0;
        for (int64_t r = 0; r < rows; r++)
            out[r * ch.channels + c] = (float)((out[r * ch.channels + c] - mean) * scale);
    }
}

/* Takes of n channels the m, in order, whose correlations add up to most. `best` is (m + 1) x (n +
 * 1). Returns their mean. */
static double align(int *kept, float *best, const float *correlation, int64_t m, int64_t n)
{
    const int64_t w = n + 1;

    memset(best, 0, (size_t)w * sizeof *best);
    for (int64_t i = 1; i <= m; i++) {
        best[i * w + i - 1] = -INFINITY; /* i channels do not fit into fewer */
        for (int64_t j = i; j <= n; j++)
            best[i * w + j] = fmaxf(best[i * w + j - 1],
                                    best[(i - 1) * w + j - 1] + correlation[(i - 1) * n + j - 1]);
    }
    for (int64_t i = m, j = n; i > 0; j--) {
        if (j > i && best[i * w + j] == best[i * w + j - 1])
            continue;
        kept[--i] = (int)(j - 1);
    }
    return best[m * w + n] / (double)m;
}

static pare_status match_channels(pri_twin_pair *pair, pare_context *ctx, const pri_tap *a,
                                  const pri_tap *b)
{
    const int64_t m = a->shape.dims[1], n = b->shape.dims[1];
    const int64_t rows = pri_min_i64(pri_shape_count(&a->shape) / m, MOST_ROWS);
    float *x = pri_alloc(ctx, (size_t)rows, (size_t)(m + n) * sizeof *x);
    float *correlation = pri_alloc(ctx, (size_t)m, (size_t)n * sizeof *correlation);
    float *best = pri_alloc(ctx, (size_t)m + 1, (size_t)(n + 1) * sizeof *best);
    const bool is_fine = x != NULL && correlation != NULL && best != NULL;

    pri_free(pair->kept);
    pair->kept = pri_alloc(ctx, (size_t)m, sizeof *pair->kept);
    if (is_fine && pair->kept != NULL) {
        float *y = x + rows * m;
        standardise(x, a, rows);
        standardise(y, b, rows);
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)m, (int)n, (int)rows, 1, x,
                    (int)m, y, (int)n, 0, correlation, (int)n);
        if (align(pair->kept, best, correlation, m, n) < LEAST_CORRELATION)
            pair->weight = 0;
    }
    pri_free(x);
    pri_free(correlation);
    pri_free(best);
    return is_fine && pair->kept != NULL ? PARE_OK : PARE_ERROR_MEMORY;
}

static int kept_channel(const pri_twin_pair *pair, int64_t channel)
{
    return pair->kept != NULL ? pair->kept[channel] : (int)channel;
}

pare_status pri_twin_measure(pri_twin *twin, const pri_engine *own, const pri_engine *other)
{
    for (int k = 0; k < twin->n_pairs; k++) {
        pri_twin_pair *pair = &twin->pairs[k];
        pri_tap a, b;
        double sum = 0;
        PRI_TRY(pri_engine_tap(own, k, &a));
        PRI_TRY(pri_engine_tap(other, k, &b));
        if (a.shape.dims[1] != b.shape.dims[1])
            PRI_TRY(match_channels(pair, twin->ctx, &a, &b));
        const pri_channels ch = pri_channels_of(&b.shape, b.layout);
        const int64_t places = ch.outer * ch.inner, channels = a.shape.dims[1];
        for (int64_t p = 0; p < places; p++) {
            for (int64_t c = 0; c < channels; c++) {
                const double v =
                    b.data[at_place(&ch, p) + kept_channel(pair, c) * ch.channel_stride];
                sum += v * v;
            }
        }
        pair->energy = fmax(sum / (double)(places * channels), 1e-12);
    }
    return PARE_OK;
}

/* --- Comparing --- */

typedef struct comparison {
    pri_tap own, other;
    pri_channels of_own, of_other;
    const int *kept; /* or NULL */
    float slope;
    float *gradient; /* or NULL */
} comparison;

/* Sum of squares of elements from .. to - 1, which lie the same way in both. */
static double compare_same(const comparison *c, int64_t from, int64_t to)
{
    double sum = 0;

    for (int64_t i = from; i < to; i++) {
        const float d = c->own.data[i] - c->other.data[i];
        sum += (double)d * d;
        if (c->gradient != NULL)
            c->gradient[i] += c->slope * d;
    }
    return sum;
}

/* The same of places from .. to - 1, channel by channel. */
static double compare_kept(const comparison *c, int64_t from, int64_t to)
{
    double sum = 0;

    for (int64_t p = from; p < to; p++) {
        const int64_t a = at_place(&c->of_own, p), b = at_place(&c->of_other, p);
        for (int64_t k = 0; k < c->of_own.channels; k++) {
            const int64_t i = a + k * c->of_own.channel_stride;
            const float d =
                c->own.data[i] - c->other.data[b + c->kept[k] * c->of_other.channel_stride];
            sum += (double)d * d;
            if (c->gradient != NULL)
                c->gradient[i] += c->slope * d;
        }
    }
    return sum;
}

static pare_status compare_pair(double *loss, const pri_twin *twin, int k, const pri_engine *own,
                                const pri_engine *other, double factor, bool writes)
{
    const pri_twin_pair *pair = &twin->pairs[k];
    double sums[CHUNKS] = {0}; /* added up in a fixed order, whatever the threads */
    comparison c = {.kept = pair->kept};

    PRI_TRY(pri_engine_tap(own, k, &c.own));
    PRI_TRY(pri_engine_tap(other, k, &c.other));
    if (c.own.layout != c.other.layout)
        return pri_fail(twin->ctx, PARE_ERROR_INTERNAL, "'%s' lies differently in two engines",
                        pair->own->name);
    c.of_own = pri_channels_of(&c.own.shape, c.own.layout);
    c.of_other = pri_channels_of(&c.other.shape, c.other.layout);
    const int64_t elements = pri_shape_count(&c.own.shape);
    const int64_t count = c.kept != NULL ? c.of_own.outer * c.of_own.inner : elements;
    const double scale = factor * pair->weight / (pair->energy * (double)elements);
    c.slope = (float)(2 * scale);
    c.gradient = writes ? pri_engine_tap_gradient(own, k) : NULL;
#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < CHUNKS; n++) {
        const int64_t from = count * n / CHUNKS, to = count * (n + 1) / CHUNKS;
        sums[n] = c.kept != NULL ? compare_kept(&c, from, to) : compare_same(&c, from, to);
    }
    for (int n = 0; n < CHUNKS; n++)
        *loss += scale * sums[n];
    return PARE_OK;
}

pare_status pri_twin_compare(double *loss, const pri_twin *twin, const pri_engine *own,
                             const pri_engine *other, double factor, bool writes)
{
    for (int k = 0; k < twin->n_pairs; k++) {
        if (twin->pairs[k].weight > 0)
            PRI_TRY(compare_pair(loss, twin, k, own, other, factor, writes));
    }
    return PARE_OK;
}
