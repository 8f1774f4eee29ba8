/* SPDX-License-Identifier: Apache-2.0 */
/* verify.c - the oracle: a cut model must compute what the masked one computes. */
#include <math.h>
#include <string.h>

#include "base/random.h"
#include "engine/engine.h"
#include "groups/groups.h"

static void fill_inputs(pri_engine *engine, const pri_graph *graph, uint64_t seed)
{
    for (int k = 0; k < graph->n_inputs; k++) {
        const pri_shape shape = pri_engine_input_shape(engine, k);
        float *data = pri_engine_input(engine, k);
        const int64_t count = pri_shape_count(&shape);
        if (pri_dtype_run(graph->inputs[k]->dtype) != PRI_F32)
            continue; /* the slab starts zeroed: index inputs read 0 */
        for (int64_t i = 0; i < count; i++)
            data[i] = (float)pri_random_normal(seed + (uint64_t)k, PRI_STREAM_ORACLE, (uint64_t)i);
    }
}

typedef struct comparison {
    pare_context *ctx;
    double tolerance, worst; /* of a range */
    int64_t count;           /* elements compared */
} comparison;

static pare_status compare_floats(comparison *c, const char *name, const float *x, const float *y,
                                  int64_t count)
{
    double low = INFINITY, high = -INFINITY, largest = 0;

    for (int64_t i = 0; i < count; i++) {
        const double difference = fabs((double)x[i] - (double)y[i]);
        if (!(difference <= largest))
            largest = difference;
        low = fmin(low, x[i]);
        high = fmax(high, x[i]);
    }
    const double range = fmax(high - low, fmax(fabs(low), fabs(high)));
    const double relative = range > 0 ? largest / range : largest;
    c->count += count;
    if (!(relative <= c->worst))
        c->worst = relative;
    return relative <= c->tolerance
               ? PARE_OK
               : pri_fail(c->ctx, PARE_ERROR_VERIFY,
                          "the pruned model differs from the masked one: output '%s' by %.3g of "
                          "its range",
                          name, relative);
}

/* A choice between nearly equal numbers may turn out otherwise: one in a hundred, and one of few
 * where the numbers before it are known to agree. */
static pare_status compare_integers(comparison *c, const char *name, const void *x, const void *y,
                                    size_t bytes, int64_t count, bool is_before_equal)
{
    int64_t different = 0;

    for (int64_t i = 0; i < count; i++)
        different += memcmp((const char *)x + (size_t)i * bytes,
                            (const char *)y + (size_t)i * bytes, bytes) != 0;
    c->count += count;
    return different <= count / 100 + is_before_equal
               ? PARE_OK
               : pri_fail(c->ctx, PARE_ERROR_VERIFY,
                          "the pruned model differs from the masked one: output '%s' in %lld of "
                          "%lld elements",
                          name, (long long)different, (long long)count);
}

/* --- Two models side by side --- */

typedef struct side {
    pare_model *model;
    pri_engine *engine;
    pri_value **taps;
    int *tap_of; /* by output: the float value before one that is not float, -1 for none */
    int n_taps;
} side;

/* The nearest computed float value that an output depends on, along the first computed input of
 * each node; NULL when there is none. */
static pri_value *float_before(const pri_value *value, const pri_facts *facts)
{
    for (const pri_node *node = value->producer; node != NULL; node = value->producer) {
        const pri_value *next = NULL;
        for (int k = 0; k < node->n_inputs; k++) {
            pri_value *in = node->inputs[k];
            if (in == NULL || in->producer == NULL || facts->of[in->id].constant != NULL)
                continue;
            if (facts->of[in->id].dtype == PRI_F32)
                return in;
            next = next != NULL ? next : in;
        }
        if (next == NULL)
            return NULL;
        value = next;
    }
    return NULL;
}

static pare_status find_taps(side *s)
{
    const pri_graph *graph = s->model->graph;
    pri_facts *facts = NULL;

    s->taps = pri_alloc(graph->ctx, (size_t)graph->n_outputs, sizeof(pri_value *));
    s->tap_of = pri_alloc(graph->ctx, (size_t)graph->n_outputs, sizeof *s->tap_of);
    if (s->taps == NULL || s->tap_of == NULL)
        return PARE_ERROR_MEMORY;
    PRI_TRY(pri_facts_infer(&facts, s->model, 0, true));
    for (int k = 0; k < graph->n_outputs; k++) {
        const pri_fact *fact = &facts->of[graph->outputs[k]->id];
        pri_value *before = fact->dtype != PRI_F32 ? float_before(graph->outputs[k], facts) : NULL;
        s->tap_of[k] = before != NULL ? s->n_taps : -1;
        if (before != NULL)
            s->taps[s->n_taps++] = before;
    }
    pri_facts_free(facts);
    return PARE_OK;
}

static pare_status run(side *s, uint64_t seed)
{
    PRI_TRY(find_taps(s));
    const pri_engine_options options = {
        .taps = s->taps, .n_taps = s->n_taps, .plain = s->n_taps > 0, .by_rule = true};
    PRI_TRY(pri_engine_new(&s->engine, s->model, &options));
    fill_inputs(s->engine, s->model->graph, seed);
    return pri_engine_forward(s->engine);
}

static void clear(side *s)
{
    pri_engine_free(s->engine);
    pri_free(s->taps);
    pri_free(s->tap_of);
}

/* Whether what stands before output k has one shape in both, so that it was compared. */
static pare_status compare_before(comparison *c, bool *is_equal, const side *a, const side *b,
                                  int k)
{
    pri_tap x, y;

    *is_equal = false;
    if (a->tap_of[k] < 0 || b->tap_of[k] < 0)
        return PARE_OK;
    PRI_TRY(pri_engine_tap(a->engine, a->tap_of[k], &x));
    PRI_TRY(pri_engine_tap(b->engine, b->tap_of[k], &y));
    if (!pri_shape_equal(&x.shape, &y.shape) || pri_shape_count(&x.shape) == 0)
        return PARE_OK;
    *is_equal = true;
    return compare_floats(c, a->model->graph->outputs[k]->name, x.data, y.data,
                          pri_shape_count(&x.shape));
}

static pare_status compare_output(comparison *c, const side *a, const side *b, int k)
{
    const char *name = a->model->graph->outputs[k]->name;
    const pri_shape shape = pri_engine_output_shape(a->engine, k);
    const pri_shape other = pri_engine_output_shape(b->engine, k);
    const pri_dtype dtype = pri_engine_output_dtype(a->engine, k);
    const float *x = pri_engine_output(a->engine, k), *y = pri_engine_output(b->engine, k);
    bool is_before_equal;

    if (!pri_shape_equal(&shape, &other) || dtype != pri_engine_output_dtype(b->engine, k))
        return pri_fail(c->ctx, PARE_ERROR_VERIFY, "output '%s' changed its shape", name);
    if (dtype == PRI_F32)
        return compare_floats(c, name, x, y, pri_shape_count(&shape));
    PRI_TRY(compare_before(c, &is_before_equal, a, b, k));
    return compare_integers(c, name, x, y, pri_dtype_bytes(dtype), pri_shape_count(&shape),
                            is_before_equal);
}

pare_status pri_groups_verify(pare_model *masked, pare_model *cut, uint64_t seed, double tolerance,
                              double *worst)
{
    comparison c = {.ctx = masked->ctx, .tolerance = tolerance};
    side a = {.model = masked}, b = {.model = cut};
    pare_status status = PARE_OK;

    PRI_CHECK(run(&a, seed), status, done);
    PRI_CHECK(run(&b, seed), status, done);
    for (int k = 0; k < masked->graph->n_outputs && status == PARE_OK; k++)
        status = compare_output(&c, &a, &b, k);
    if (status == PARE_OK && c.count == 0)
        status = pri_fail(c.ctx, PARE_ERROR_VERIFY,
                          "no output has elements that the pruned model could be compared by");
done:
    *worst = c.worst;
    clear(&a);
    clear(&b);
    return status;
}
