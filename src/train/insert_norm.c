/* SPDX-License-Identifier: Apache-2.0 */
/* insert_norm.c - see insert_norm.h. */
#include "train/insert_norm.h"

#include <math.h>
#include <string.h>

#include "base/random.h"
#include "train/heads.h"

enum { IMAGES = 512, BATCH = 32 };
static const float EPSILON = 1e-5f;

/* A convolution that gets a normalisation, and the moments of what it gives. */
typedef struct place {
    pri_node *node; /* of the model */
    pri_value *tap; /* its output in the view, of the same id */
    int64_t channels;
    double *sum, *square;
    double positions;
} place;

typedef struct places {
    place *list;
    pri_value **taps;
    int count;
} places;

static void clear_places(places *p)
{
    for (int i = 0; i < p->count; i++) {
        pri_free(p->list[i].sum);
        pri_free(p->list[i].square);
    }
    pri_free(p->list);
    pri_free(p->taps);
    *p = (places){0};
}

/* --- Finding --- */

static bool is_own_constant(const pri_value *value)
{
    return value != NULL && value->constant != NULL && value->constant->dtype == PRI_F32 &&
           value->n_uses == 1 && !value->is_output;
}

static bool is_normalised(const pri_value *value)
{
    for (int k = 0; k < value->n_uses; k++) {
        if (value->uses[k].node->op != NULL && value->uses[k].node->op->updates != 0)
            return true;
    }
    return false;
}

/* The product behind a node at the facts' shapes; false when it is no convolution that can be
 * normalised and folded. */
static bool describe(pri_product *out, const pare_model *model, const pri_node *node,
                     const pri_facts *facts)
{
    pri_operand in[PRI_MAX_OPERANDS], results[PRI_MAX_OPERANDS];
    pri_call call;

    if (node->is_dead || node->op == NULL || node->op->product == NULL ||
        node->op->bias_slot == 0 || node->n_outputs != 1 || node->n_inputs > PRI_MAX_OPERANDS ||
        node->outputs[0] == NULL || !facts->of[node->outputs[0]->id].known ||
        !facts->of[node->inputs[0]->id].known)
        return false;
    pri_call_of(&call, in, results, model, node, facts);
    if (!node->op->product(&call, out) || !out->is_image || out->positions < 2)
        return false;
    const pri_value *weight = node->inputs[out->weight_slot];
    return is_own_constant(weight) &&
           out->groups * out->outputs * out->columns == pri_tensor_count(weight->constant);
}

static bool is_candidate(const pri_node *node)
{
    const int bias = node->op->bias_slot;
    const bool has_bias = bias < node->n_inputs && node->inputs[bias] != NULL;

    return !node->outputs[0]->is_output && !is_normalised(node->outputs[0]) &&
           (!has_bias || is_own_constant(node->inputs[bias]));
}

/* Places of a model in the order of its nodes; `view` is a runnable copy with the same ids. */
static pare_status find_places(places *out, pare_model *model, const pri_view *view)
{
    pri_facts *facts = NULL;
    pri_product product;
    const int n_nodes = model->graph->n_nodes;
    pare_status status = pri_facts_infer(&facts, view->model, BATCH, true);

    *out = (places){0};
    if (status != PARE_OK)
        return status;
    out->list = pri_alloc(model->ctx, (size_t)n_nodes + 1, sizeof *out->list);
    out->taps = pri_alloc(model->ctx, (size_t)n_nodes + 1, sizeof *out->taps);
    if (out->list == NULL || out->taps == NULL)
        status = PARE_ERROR_MEMORY;
    for (int i = 0; i < n_nodes && status == PARE_OK; i++) {
        const pri_node *seen = view->model->graph->nodes[i];
        if (!describe(&product, view->model, seen, facts) || !is_candidate(seen) ||
            model->graph->nodes[i]->outputs[0]->is_output)
            continue;
        place *p = &out->list[out->count];
        const size_t channels = (size_t)(product.groups * product.outputs);
        p->node = model->graph->nodes[i];
        p->tap = out->taps[out->count] = seen->outputs[0];
        p->channels = (int64_t)channels;
        p->sum = pri_alloc(model->ctx, channels, sizeof *p->sum);
        p->square = pri_alloc(model->ctx, channels, sizeof *p->square);
        out->count++;
        if (p->sum == NULL || p->square == NULL)
            status = PARE_ERROR_MEMORY;
    }
    pri_facts_free(facts);
    return status;
}

/* --- Measuring --- */

static void add_moments(place *p, const pri_tap *tap)
{
    const pri_channels ch = pri_channels_of(&tap->shape, tap->layout);

    for (int64_t n = 0; n < ch.outer; n++) {
        for (int64_t i = 0; i < ch.inner; i++) {
            const float *x = tap->data + n * ch.channels * ch.inner + i * ch.inner_stride;
            for (int64_t c = 0; c < ch.channels; c++) {
                const double value = x[c * ch.channel_stride];
                p->sum[c] += value;
                p->square[c] += value * value;
            }
        }
    }
    p->positions += (double)(ch.outer * ch.inner);
}

static pare_status measure(places *found, pri_view *view, const pare_data *images)
{
    pare_context *ctx = images->ctx;
    pri_engine *engine = NULL;
    const pri_engine_options options = {
        .batch = BATCH, .taps = found->taps, .n_taps = found->count, .no_fusion = true};
    int64_t *all = pri_alloc(ctx, (size_t)images->count, sizeof *all), *order = NULL;
    pare_status status = all != NULL ? PARE_OK : PARE_ERROR_MEMORY;

    if (status != PARE_OK)
        goto done;
    PRI_CHECK(pri_batch_engine(&engine, view->model, options), status, done);
    const int64_t batch = pri_engine_batch(engine);
    order = pri_alloc(ctx, (size_t)batch, sizeof *order);
    if (order == NULL) {
        status = PARE_ERROR_MEMORY;
        goto done;
    }
    pri_random_permutation(all, images->count, 0, PRI_STREAM_SHUFFLE);
    const int64_t wanted = pri_min_i64(images->count, IMAGES);
    for (int64_t at = 0; at < wanted; at += batch) {
        for (int64_t i = 0; i < batch; i++)
            order[i] = all[(at + i) % images->count];
        PRI_CHECK(pri_check_cancel(ctx, "measuring layers"), status, done);
        PRI_CHECK(pri_data_batch(images, &view->preprocess, order, batch, NULL, 0,
                                 pri_engine_input(engine, 0), NULL, NULL),
                  status, done);
        PRI_CHECK(pri_engine_forward(engine), status, done);
        for (int k = 0; k < found->count; k++) {
            pri_tap tap;
            PRI_CHECK(pri_engine_tap(engine, k, &tap), status, done);
            add_moments(&found->list[k], &tap);
        }
    }
done:
    pri_engine_free(engine);
    pri_free(all);
    pri_free(order);
    return status;
}

/* --- Inserting --- */

static pri_value *add_row(pri_graph *graph, const float *row, int64_t count)
{
    const pri_shape shape = {1, {count}};
    pri_tensor *tensor = NULL;

    if (pri_tensor_new(&tensor, graph->ctx, PRI_F32, &shape) != PARE_OK)
        return NULL;
    memcpy(tensor->data, row, (size_t)count * sizeof *row);
    return pri_graph_add_constant(graph, "", tensor);
}

static pare_status insert(pri_node **out, pri_graph *graph, const place *p)
{
    const size_t channels = (size_t)p->channels;
    float *rows = pri_alloc(graph->ctx, 3 * channels, sizeof *rows);
    pri_value *inputs[5], *old = p->node->outputs[0];
    pare_status status = PARE_OK;

    if (rows == NULL)
        return PARE_ERROR_MEMORY;
    for (size_t c = 0; c < channels; c++) {
        const double mean = p->sum[c] / p->positions;
        const double variance = fmax(p->square[c] / p->positions - mean * mean, 0);
        rows[c] = (float)variance;
        rows[channels + c] = sqrtf(rows[c] + EPSILON);
        rows[2 * channels + c] = (float)mean;
    }
    inputs[1] = add_row(graph, rows + channels, p->channels);
    inputs[2] = add_row(graph, rows + 2 * channels, p->channels);
    inputs[3] = add_row(graph, rows + 2 * channels, p->channels);
    inputs[4] = add_row(graph, rows, p->channels);
    pri_free(rows);
    pri_value *value = pri_graph_add_value(graph, "");
    for (int k = 1; k < 5; k++)
        status = inputs[k] == NULL ? PARE_ERROR_MEMORY : status;
    if (status != PARE_OK || value == NULL)
        return PARE_ERROR_MEMORY;
    PRI_TRY(pri_graph_replace_uses(graph, old, value));
    inputs[0] = old;
    *out = pri_graph_add_node(graph, "BatchNormalization", "", 5, inputs, 1, &value);
    return *out != NULL ? pri_node_set_float(graph, *out, "epsilon", EPSILON) : PARE_ERROR_MEMORY;
}

pare_status pri_insert_norms(pri_inserted *out, pare_model *model, const pare_data *images)
{
    pri_view view = {0};
    places found = {0};
    pare_status status;

    *out = (pri_inserted){0};
    PRI_CHECK(pri_view_open(&view, model, images, NULL), status, done);
    PRI_CHECK(find_places(&found, model, &view), status, done);
    out->norms = pri_alloc(model->ctx, (size_t)found.count + 1, sizeof(pri_node *));
    if (out->norms == NULL)
        status = PARE_ERROR_MEMORY;
    if (status != PARE_OK || found.count == 0)
        goto done;
    PRI_CHECK(measure(&found, &view, images), status, done);
    for (int k = 0; k < found.count; k++) {
        PRI_CHECK(insert(&out->norms[k], model->graph, &found.list[k]), status, done);
        out->count++;
    }
    PRI_CHECK(pri_graph_sort(model->graph), status, done);
    status = pri_model_bind(model);
done:
    clear_places(&found);
    pri_view_close(&view);
    return status;
}

void pri_inserted_clear(pri_inserted *inserted)
{
    pri_free(inserted->norms);
    *inserted = (pri_inserted){0};
}

/* --- Folding --- */

/* The constant's own copy, to be changed. */
static pare_status own_copy(float **out, pri_value *value)
{
    const pri_tensor *old = value->constant;
    const int64_t count = pri_tensor_count(old);
    pri_tensor *tensor = NULL;

    PRI_TRY(pri_tensor_new(&tensor, old->ctx, PRI_F32, &old->shape));
    memcpy(tensor->data, old->data, (size_t)count * sizeof(float));
    *out = tensor->data;
    return pri_graph_set_constant(value, tensor);
}

/* W' and b' of the layer before a normalisation, whose product is p. */
static pare_status fold(pri_graph *graph, pri_node *norm, const pri_product *p)
{
    pri_node *layer = norm->inputs[0]->producer;
    const int slot = layer->op->bias_slot;
    const int64_t channels = p->groups * p->outputs;
    const float *row[5] = {NULL};
    float *w, *b;

    for (int k = 1; k < 5; k++)
        row[k] = norm->inputs[k]->constant->data;
    PRI_TRY(pri_graph_need_bias(graph, layer, slot, channels));
    PRI_TRY(own_copy(&w, layer->inputs[p->weight_slot]));
    PRI_TRY(own_copy(&b, layer->inputs[slot]));
    for (int64_t c = 0; c < channels; c++) {
        const double s = row[1][c] / sqrt((double)row[4][c] + EPSILON);
        b[c] = (float)((b[c] - (double)row[3][c]) * s + row[2][c]);
        for (int64_t k = 0; k < p->columns; k++) {
            float *one = w + pri_product_weight(p, (int)(c / p->outputs), c % p->outputs, k);
            *one = (float)(*one * s);
        }
    }
    PRI_TRY(pri_graph_replace_uses(graph, norm->outputs[0], layer->outputs[0]));
    pri_graph_remove_node(graph, norm);
    return PARE_OK;
}

pare_status pri_fold_norms(pri_inserted *inserted, pare_model *model, const pare_data *images)
{
    pri_view view = {0};
    pri_facts *facts = NULL;
    pare_status status;

    PRI_CHECK(pri_view_open(&view, model, images, NULL), status, done);
    PRI_CHECK(pri_facts_infer(&facts, view.model, BATCH, true), status, done);
    for (int k = 0; k < inserted->count; k++) {
        pri_product p;
        const int layer = inserted->norms[k]->inputs[0]->producer->id;
        if (!describe(&p, view.model, view.model->graph->nodes[layer], facts))
            status = pri_fail(model->ctx, PARE_ERROR_INTERNAL,
                              "a normalisation cannot be folded into the layer before it");
        else
            status = fold(model->graph, inserted->norms[k], &p);
        if (status != PARE_OK)
            goto done;
    }
    pri_graph_drop_dead(model->graph);
    inserted->count = 0;
done:
    pri_facts_free(facts);
    pri_view_close(&view);
    return status;
}

/* --- Training --- */

pare_status pri_train_with_norms(pare_model *model, const pare_data *train, const pare_data *val,
                                 const pare_train_options *options, pare_train_result *result)
{
    pare_train_options inner = *options;
    pri_inserted inserted = {0};
    pare_model *copy = NULL;
    pare_train_result own = {0};
    pare_status status;

    inner.insert_norm = false;
    PRI_CHECK(pare_model_clone(&copy, model), status, done);
    PRI_CHECK(pri_insert_norms(&inserted, copy, train), status, done);
    pri_log(model->ctx, inserted.count > 0 ? PARE_LOG_INFO : PARE_LOG_WARNING,
            "%d normalisations inserted for the training", inserted.count);
    status = pare_train(copy, train, val, &inner, &own);
    if (status == PARE_OK || (status == PARE_ERROR_NUMERIC && own.best_epoch > 0)) {
        const pare_status folded = pri_fold_norms(&inserted, copy, train);
        status = folded != PARE_OK ? folded : status;
        if (folded == PARE_OK) {
            pri_graph *graph = model->graph;
            model->graph = copy->graph;
            copy->graph = graph;
        }
    }
    if (result != NULL)
        *result = own;
done:
    pri_inserted_clear(&inserted);
    pare_model_free(copy);
    return status;
}
