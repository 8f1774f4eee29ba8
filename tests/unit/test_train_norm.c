/* SPDX-License-Identifier: Apache-2.0 */
/* test_train_norm.c - normalisation put into networks for training, and folded back. */
#include "train_nets.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/engine.h"
#include "train/insert_norm.h"

/* conv - relu, twice, the second in two groups with a bias, and a third conv as output. */
static pare_model *bare_network(pare_context *ctx)
{
    pri_value *x;
    pri_graph *graph = train_graph(ctx, &x);

    x = train_convolution(graph, x, "conv1", 3, 8);
    x = train_node(graph, "Relu", 1, &x, "relu1");
    pri_value *inputs[] = {x,
                           train_weight(graph, "conv2", 4, (const int64_t[]){8, 4, 3, 3}, 0, 0.3),
                           train_weight(graph, "bias2", 1, (const int64_t[]){8}, 0.5, 1)};
    x = train_node(graph, "Conv", 3, inputs, "conv2_y");
    test_ok(ctx, pri_node_set_int(graph, x->producer, "group", 2));
    test_ok(ctx, pri_node_set_ints(graph, x->producer, "pads", (const int64_t[]){1, 1, 1, 1}, 4));
    x = train_node(graph, "Relu", 1, &x, "relu2");
    return train_finish(graph, train_convolution(graph, x, "conv3", 8, 4), 4, 4);
}

static void run(pare_context *ctx, pare_model *model, const pare_data *data, float *out)
{
    const pri_engine_options options = {.batch = 16};
    const pri_preprocess unit = {.scale = 255, .std = {1, 1, 1, 1}};
    pri_engine *engine = NULL;
    int64_t order[16];

    for (int i = 0; i < 16; i++)
        order[i] = i;
    test_ok(ctx, pri_engine_new(&engine, model, &options));
    pri_data_batch(data, &unit, order, 16, NULL, 0, pri_engine_input(engine, 0), NULL, NULL);
    test_ok(ctx, pri_engine_forward(engine));
    const pri_shape shape = pri_engine_output_shape(engine, 0);
    memcpy(out, pri_engine_output(engine, 0), (size_t)pri_shape_count(&shape) * sizeof *out);
    pri_engine_free(engine);
}

static int count_nodes(const pare_model *model, const char *op_type)
{
    int count = 0;

    for (int i = 0; i < model->graph->n_nodes; i++)
        count += !model->graph->nodes[i]->is_dead &&
                 strcmp(model->graph->nodes[i]->op_type, op_type) == 0;
    return count;
}

static void inserting_and_folding_leave_the_function(void **state)
{
    enum { COUNT = 16 * 4 * SIZE * SIZE };
    static float before[COUNT], with[COUNT], after[COUNT];
    pare_context *ctx = test_context();
    pare_model *model = bare_network(ctx);
    pare_data *data = train_images(ctx, IMAGES, 1, false);
    pri_inserted inserted;
    float largest = 0;

    (void)state;
    run(ctx, model, data, before);
    test_ok(ctx, pri_insert_norms(&inserted, model, data));
    assert_int_equal(inserted.count, 2); /* the output stays as it is */
    assert_int_equal(count_nodes(model, "BatchNormalization"), 2);
    run(ctx, model, data, with);
    test_ok(ctx, pri_fold_norms(&inserted, model, data));
    assert_int_equal(count_nodes(model, "BatchNormalization"), 0);
    run(ctx, model, data, after);
    for (int i = 0; i < COUNT; i++) {
        largest = fmaxf(largest, fabsf(before[i]));
        assert_true(fabsf(before[i] - with[i]) < 1e-5f && fabsf(before[i] - after[i]) < 1e-5f);
    }
    assert_true(largest > 0.3f);
    pri_inserted_clear(&inserted);
    pare_data_free(data);
    pare_model_free(model);
    pare_context_free(ctx);
}

static void training_with_them_gives_a_plain_model(void **state)
{
    const pare_train_options options = {
        .epochs = 30, .batch = 16, .learning_rate = 0.1, .insert_norm = true};
    pare_context *ctx = test_context();
    pri_value *x;
    pri_graph *graph = train_graph(ctx, &x);
    pare_data *data = train_images(ctx, IMAGES, 1, false);
    pare_train_result result;
    pare_scores scores;

    (void)state;
    x = train_convolution(graph, x, "conv1", 3, 8);
    x = train_node(graph, "Relu", 1, &x, "relu1");
    x = train_convolution(graph, x, "conv2", 8, 8);
    x = train_node(graph, "Relu", 1, &x, "relu2");
    x = train_node(graph, "GlobalAveragePool", 1, &x, "pooled");
    x = train_node(graph, "Flatten", 1, &x, "flat");
    pri_value *const inputs[] = {
        x, train_weight(graph, "fc", 2, (const int64_t[]){8, CLASSES}, 0, 0.3)};
    pare_model *model =
        train_finish(graph, train_node(graph, "Gemm", 2, inputs, "logits"), 2, CLASSES);
    test_ok(ctx, pare_train(model, data, data, &options, &result));
    assert_int_equal(count_nodes(model, "BatchNormalization"), 0);
    assert_int_equal(count_nodes(model, "Conv"), 2);
    test_ok(ctx, pare_evaluate(&scores, model, data));
    if (scores.accuracy < 0.9)
        fail_msg("accuracy %g", scores.accuracy);
    assert_true(fabs(scores.nll - result.best_val_nll) <
                1e-4); /* what was validated is what is there */
    pare_scores_clear(&scores);
    pare_data_free(data);
    pare_model_free(model);
    pare_context_free(ctx);
}

static void cancel_at(void *user, const pare_progress *progress)
{
    if (strcmp(progress->stage, "train") == 0 && progress->done == 6)
        pare_context_cancel(user);
}

/* What is inserted is the same each time, so that a checkpoint fits; a model whose training was
 * interrupted is as it was. */
static void an_interrupted_training_with_them_goes_on(void **state)
{
    const char *folder = test_folder();
    pare_train_options options = {
        .epochs = 3, .batch = 16, .learning_rate = 0.05, .insert_norm = true};
    pare_context *ctx = test_context(), *first = test_context();
    pare_model *whole = bare_network(ctx), *stopped = bare_network(first);
    pare_model *resumed = bare_network(ctx), *fresh = bare_network(ctx);
    pare_data *data = train_images(ctx, IMAGES, 1, true);
    char path[600];

    (void)state;
    snprintf(path, sizeof path, "%s/run", folder);
    test_ok(ctx, pare_train(whole, data, NULL, &options, NULL));
    options.checkpoint = path;
    options.resume = true;
    pare_context_set_progress(first, cancel_at, first);
    pare_data *same = train_images(first, IMAGES, 1, true);
    assert_int_equal(pare_train(stopped, same, NULL, &options, NULL), PARE_ERROR_CANCELLED);
    assert_same_weights(stopped, fresh, true);
    test_ok(ctx, pare_train(resumed, data, NULL, &options, NULL));
    assert_same_weights(resumed, whole, true);
    assert_int_equal(count_nodes(resumed, "BatchNormalization"), 0);
    pare_model *const models[] = {whole, stopped, resumed, fresh};
    for (size_t i = 0; i < PRI_COUNT(models); i++)
        pare_model_free(models[i]);
    pare_data_free(data);
    pare_data_free(same);
    pare_context_free(first);
    pare_context_free(ctx);
    test_remove_folder(folder);
}

/* Memory that runs out at any place is reported and leaks nothing. */
static void short_memory_is_reported(void **state)
{
    pare_context *ctx = test_context();
    pare_data *data = train_images(ctx, 8, 1, false);
    pare_status status = PARE_ERROR_MEMORY;
    int64_t nth = 1;

    (void)state;
    for (; status != PARE_OK; nth += 3) {
        pare_model *model = bare_network(ctx);
        pri_inserted inserted = {0};
        pri_fail_allocation(ctx, nth);
        status = pri_insert_norms(&inserted, model, data);
        if (status == PARE_OK)
            status = pri_fold_norms(&inserted, model, data);
        pri_fail_allocation(ctx, 0);
        assert_true(status == PARE_OK || status == PARE_ERROR_MEMORY);
        pri_inserted_clear(&inserted);
        pare_model_free(model);
    }
    assert_true(nth > 50);
    pare_data_free(data);
    pare_context_free(ctx);
}

/* A real network whose normalisations were folded, saved and loaded again. */
static void a_folded_resnet_stays_what_it_is(void **state)
{
    const char *path = test_shared("models/resnet20_cifar10_bnfolded.onnx");
    static float before[160], with[160], after[160];
    pri_inserted inserted;
    float largest = 0;

    (void)state;
    if (path == NULL)
        skip();
    pare_context *ctx = test_context();
    pare_model *model = NULL, *copy = NULL;
    test_ok(ctx, pare_model_load(&model, ctx, path));
    pare_data *small = train_images(ctx, 16, 1, false);
    pare_data data = *small;
    data.height = data.width = 32; /* 16 times the pixels: a picture repeated */
    data.pixels = pri_alloc(ctx, 16 * 32 * 32, 3);
    for (int i = 0; i < 16 * 32 * 32 * 3; i++)
        data.pixels[i] = small->pixels[(i / 3072 * 192) + i % 192];
    run(ctx, model, &data, before);
    test_ok(ctx, pare_model_clone(&copy, model));
    test_ok(ctx, pri_insert_norms(&inserted, copy, &data));
    assert_int_equal(inserted.count, 19);
    run(ctx, copy, &data, with);
    test_ok(ctx, pri_fold_norms(&inserted, copy, &data));
    run(ctx, copy, &data, after);
    for (int i = 0; i < 160; i++)
        largest = fmaxf(largest, fabsf(before[i]));
    for (int i = 0; i < 160; i++) {
        assert_true(fabsf(before[i] - with[i]) < 1e-5f * largest);
        assert_true(fabsf(before[i] - after[i]) < 1e-5f * largest);
    }
    pri_inserted_clear(&inserted);
    pri_free(data.pixels);
    pare_data_free(small);
    pare_model_free(copy);
    pare_model_free(model);
    pare_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inserting_and_folding_leave_the_function),
        cmocka_unit_test(training_with_them_gives_a_plain_model),
        cmocka_unit_test(an_interrupted_training_with_them_goes_on),
        cmocka_unit_test(short_memory_is_reported),
        cmocka_unit_test(a_folded_resnet_stays_what_it_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
