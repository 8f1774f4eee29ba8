/* SPDX-License-Identifier: Apache-2.0 */
/* test_twin.c - inner values of two networks compared, and training that uses them. */
#include "support.h"

#include <math.h>
#include <string.h>

#include <pare/pare.h>

#include "base/random.h"
#include "data/data.h"
#include "engine/twin.h"

enum { SIZE = 16, IMAGES = 32, SUMS = 9 };

static pare_model *resnet(pare_context *ctx, uint64_t seed)
{
    pare_model *model = NULL;

    test_ok(ctx, pare_model_new(&model, ctx, "resnet20", 4, 3, SIZE, SIZE, seed));
    return model;
}

static pare_data *images(pare_context *ctx)
{
    pare_data *data = pri_alloc(ctx, 1, sizeof *data);

    assert_non_null(data);
    *data = (pare_data){.ctx = ctx, .count = IMAGES, .channels = 3, .height = SIZE, .width = SIZE};
    data->pixels = pri_alloc(ctx, IMAGES, 3 * SIZE * SIZE);
    assert_non_null(data->pixels);
    for (int64_t i = 0; i < IMAGES * 3 * SIZE * SIZE; i++)
        data->pixels[i] = (uint8_t)pri_random_below(256, 1, PRI_STREAM_TEST, (uint64_t)i);
    return data;
}

/* Adds noise to all convolutions' weights. */
static void disturb(pare_model *model, double deviation)
{
    uint64_t n = 0;

    for (int v = 0; v < model->graph->n_values; v++) {
        pri_value *value = model->graph->values[v];
        if (value->constant == NULL || value->constant->shape.rank != 4)
            continue;
        test_ok(model->ctx, pri_tensor_own(value->constant));
        float *w = value->constant->data;
        for (int64_t i = 0; i < pri_tensor_count(value->constant); i++)
            w[i] += (float)(deviation * pri_random_normal(9, PRI_STREAM_TEST, n++));
    }
}

typedef struct pair_of_engines {
    pare_model *own, *other;
    pri_engine *engine, *teacher;
    pri_twin twin;
} pair_of_engines;

/* An engine's input does not outlive a run. */
static void fill(pri_engine *engine)
{
    const pri_shape shape = pri_engine_input_shape(engine, 0);
    float *x = pri_engine_input(engine, 0);

    for (int64_t i = 0; i < pri_shape_count(&shape); i++)
        x[i] = (float)pri_random_normal(3, PRI_STREAM_TEST, (uint64_t)i);
}

static void open_pair(pair_of_engines *p, pare_context *ctx, bool outputs)
{
    pri_value *taps[PRI_TWIN_PAIRS];

    p->other = resnet(ctx, 1);
    test_ok(ctx, pare_model_clone(&p->own, p->other));
    disturb(p->own, 0.05);
    test_ok(ctx, pri_twin_find(&p->twin, p->own, p->other, outputs));
    pri_engine_options options = {.batch = 2, .taps = taps, .n_taps = p->twin.n_pairs};
    pri_twin_taps(&p->twin, taps, false);
    test_ok(ctx, pri_engine_new(&p->teacher, p->other, &options));
    pri_twin_taps(&p->twin, taps, true);
    options.backward = options.weight_gradients = true;
    test_ok(ctx, pri_engine_new(&p->engine, p->own, &options));
    fill(p->teacher);
    test_ok(ctx, pri_engine_forward(p->teacher));
    fill(p->engine);
    test_ok(ctx, pri_engine_forward(p->engine));
    test_ok(ctx, pri_twin_measure(&p->twin, p->engine, p->teacher));
}

static void close_pair(pair_of_engines *p)
{
    pri_twin_clear(&p->twin);
    pri_engine_free(p->engine);
    pri_engine_free(p->teacher);
    pare_model_free(p->own);
    pare_model_free(p->other);
}

static double loss_of(pair_of_engines *p, bool writes)
{
    double loss = 0;

    fill(p->engine);
    test_ok(p->own->ctx, pri_engine_forward(p->engine));
    test_ok(p->own->ctx, pri_twin_compare(&loss, &p->twin, p->engine, p->teacher, 3, writes));
    return loss;
}

static void sums_and_outputs_are_paired_by_name_and_shape(void **state)
{
    pare_context *ctx = *state;
    pair_of_engines p = {0};
    double weight = 0;

    open_pair(&p, ctx, true);
    assert_int_equal(p.twin.n_outputs, 1);
    assert_int_equal(p.twin.n_pairs, 1 + SUMS);
    for (int k = 1; k < p.twin.n_pairs; k++)
        weight += p.twin.pairs[k].weight;
    assert_true(fabs(weight - 1) < 1e-12);
    close_pair(&p);
}

static void gradients_are_those_of_the_loss(void **state)
{
    pare_context *ctx = *state;
    pair_of_engines p = {0};

    open_pair(&p, ctx, false);
    assert_int_equal(p.twin.n_outputs, 0);
    const double loss = loss_of(&p, true);
    assert_true(loss > 1e-3);
    pri_engine_zero_gradients(p.engine);
    test_ok(ctx, pri_engine_backward(p.engine));
    /* along the gradient of the first convolution's weights */
    const pri_value *w = NULL;
    for (int n = 0; n < p.own->graph->n_nodes && w == NULL; n++) {
        if (strcmp(p.own->graph->nodes[n]->op_type, "Conv") == 0)
            w = p.own->graph->nodes[n]->inputs[1];
    }
    const float *g = pri_engine_weight_gradient(p.engine, w);
    const int64_t count = pri_tensor_count(w->constant);
    float *at = w->constant->data;
    double squares = 0;
    for (int64_t i = 0; i < count; i++)
        squares += (double)g[i] * g[i];
    assert_true(squares > 0);
    const double h = 2e-3 * loss / squares;
    for (int64_t i = 0; i < count; i++)
        at[i] += (float)(h * g[i]);
    pri_engine_refresh(p.engine);
    const double above = loss_of(&p, false);
    for (int64_t i = 0; i < count; i++)
        at[i] -= (float)(2 * h * g[i]);
    pri_engine_refresh(p.engine);
    const double below = loss_of(&p, false);
    assert_true(fabs((above - below) / (2 * h) / squares - 1) < 0.02);
    close_pair(&p);
}

/* Rows of the first convolution's weights, which no repair touched, tell which channels are left.
 */
static int64_t channel_in(const pare_model *original, const pare_model *pruned, int64_t channel)
{
    const pri_tensor *w[2] = {NULL, NULL};
    const pare_model *const models[] = {original, pruned};

    for (int k = 0; k < 2; k++) {
        for (int n = models[k]->graph->n_nodes - 1; n >= 0; n--) {
            if (strcmp(models[k]->graph->nodes[n]->op_type, "Conv") == 0)
                w[k] = models[k]->graph->nodes[n]->inputs[1]->constant;
        }
    }
    const size_t row = (size_t)pri_shape_span(&w[0]->shape, 1, 4) * sizeof(float);
    for (int64_t c = 0; c < w[0]->shape.dims[0]; c++) {
        if (memcmp((const char *)w[0]->data + (size_t)c * row,
                   (const char *)w[1]->data + (size_t)channel * row, row) == 0)
            return c;
    }
    return -1;
}

static void channels_that_are_left_find_their_own(void **state)
{
    pare_context *ctx = *state;
    const pare_prune_options options = {.strategy = PARE_RANDOM,
                                        .target = {PARE_CHANNELS, 0.8, true},
                                        .no_refit = true,
                                        .no_fold = true,
                                        .seed = 4};
    pair_of_engines p = {.other = resnet(ctx, 1)};
    pare_prune_result result = {0};
    pri_value *taps[PRI_TWIN_PAIRS];
    int n_checked = 0;

    test_ok(ctx, pare_prune(&p.own, p.other, NULL, &options, &result));
    pare_prune_result_clear(&result);
    test_ok(ctx, pri_twin_find(&p.twin, p.own, p.other, true));
    assert_int_equal(p.twin.n_pairs, 1 + SUMS);
    pri_engine_options engine = {.batch = 8, .taps = taps, .n_taps = p.twin.n_pairs};
    pri_twin_taps(&p.twin, taps, false);
    test_ok(ctx, pri_engine_new(&p.teacher, p.other, &engine));
    pri_twin_taps(&p.twin, taps, true);
    test_ok(ctx, pri_engine_new(&p.engine, p.own, &engine));
    fill(p.engine);
    fill(p.teacher);
    test_ok(ctx, pri_engine_forward(p.engine));
    test_ok(ctx, pri_engine_forward(p.teacher));
    test_ok(ctx, pri_twin_measure(&p.twin, p.engine, p.teacher));
    const pri_twin_pair *first = &p.twin.pairs[1];
    pri_tap tap;
    test_ok(ctx, pri_engine_tap(p.engine, 1, &tap));
    assert_non_null(first->kept);
    assert_true(first->weight > 0);
    for (int64_t c = 0; c < tap.shape.dims[1]; c++, n_checked++)
        assert_int_equal(first->kept[c], channel_in(p.other, p.own, c));
    assert_in_range(n_checked, 2, 15);
    close_pair(&p);
}

static double distance(pare_context *ctx, pare_model *own, pare_model *other, const pare_data *data)
{
    pri_value *taps[PRI_TWIN_PAIRS];
    pri_engine *engines[2];
    pri_preprocess preprocess;
    pri_twin twin;
    int64_t order[IMAGES];
    double loss = 0;

    for (int i = 0; i < IMAGES; i++)
        order[i] = i;
    test_ok(ctx, pri_preprocess_of(&preprocess, other));
    test_ok(ctx, pri_twin_find(&twin, own, other, false));
    for (int k = 0; k < 2; k++) {
        pri_twin_taps(&twin, taps, k == 0);
        const pri_engine_options options = {.batch = IMAGES, .taps = taps, .n_taps = twin.n_pairs};
        test_ok(ctx, pri_engine_new(&engines[k], k == 0 ? own : other, &options));
        pri_data_batch(data, &preprocess, order, IMAGES, NULL, 0, pri_engine_input(engines[k], 0),
                       NULL, NULL);
        test_ok(ctx, pri_engine_forward(engines[k]));
    }
    test_ok(ctx, pri_twin_measure(&twin, engines[0], engines[1]));
    test_ok(ctx, pri_twin_compare(&loss, &twin, engines[0], engines[1], 1, false));
    pri_twin_clear(&twin);
    pri_engine_free(engines[0]);
    pri_engine_free(engines[1]);
    return loss;
}

/* Running statistics of all normalisations, one after the other. */
static int64_t statistics(const pare_model *model, float *out)
{
    int64_t n = 0;

    for (int i = 0; i < model->graph->n_nodes; i++) {
        const pri_node *node = model->graph->nodes[i];
        for (int k = 3; k < 5 && strcmp(node->op_type, "BatchNormalization") == 0; k++) {
            const pri_tensor *tensor = node->inputs[k]->constant;
            memcpy(out + n, tensor->data, (size_t)pri_tensor_count(tensor) * sizeof *out);
            n += pri_tensor_count(tensor);
        }
    }
    return n;
}

static void inner_values_teach_and_frozen_statistics_stay(void **state)
{
    pare_context *ctx = *state;
    pare_model *teacher = resnet(ctx, 1), *student = NULL;
    pare_data *data = images(ctx);
    static float rows[2][4096];
    pare_train_options options = {.epochs = 8,
                                  .batch = 16,
                                  .learning_rate = 0.0001,
                                  .weight_decay = -1,
                                  .teacher = teacher,
                                  .distill = 1e-9,
                                  .distill_inner = 1,
                                  .freeze_norm = true};

    test_ok(ctx, pare_model_clone(&student, teacher));
    disturb(student, 0.05);
    const int64_t count = statistics(student, rows[0]);
    assert_in_range(count, 1, 4096);
    const double before = distance(ctx, student, teacher, data);
    test_ok(ctx, pare_train(student, data, NULL, &options, NULL));
    const double after = distance(ctx, student, teacher, data);
    assert_true(after < 0.5 * before);
    assert_int_equal(statistics(student, rows[1]), count);
    assert_memory_equal(rows[0], rows[1], (size_t)count * sizeof(float));
    options.freeze_norm = false;
    options.epochs = 1;
    test_ok(ctx, pare_train(student, data, NULL, &options, NULL));
    (void)statistics(student, rows[1]);
    assert_memory_not_equal(rows[0], rows[1], (size_t)count * sizeof(float));
    options.distill_inner = (double)NAN;
    assert_int_equal(pare_train(student, data, NULL, &options, NULL), PARE_ERROR_ARGUMENT);
    pare_data_free(data);
    pare_model_free(student);
    pare_model_free(teacher);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_and_outputs_are_paired_by_name_and_shape),
        cmocka_unit_test(gradients_are_those_of_the_loss),
        cmocka_unit_test(channels_that_are_left_find_their_own),
        cmocka_unit_test(inner_values_teach_and_frozen_statistics_stay)};

    return cmocka_run_group_tests(tests, test_setup, test_teardown);
}
