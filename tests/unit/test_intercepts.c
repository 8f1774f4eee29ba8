/* SPDX-License-Identifier: Apache-2.0 */
/* test_intercepts.c - biases for layers that had none, to keep the mean of what pruning takes away.
 */
#include "train_nets.h"

#include <math.h>
#include <string.h>

#include "engine/engine.h"
#include "prune/intercepts.h"

static const pri_node *node_of(const pare_model *model, const char *name)
{
    for (int i = 0; i < model->graph->n_nodes; i++) {
        if (strcmp(model->graph->nodes[i]->name, name) == 0)
            return model->graph->nodes[i];
    }
    fail_msg("there is no node %s", name);
    return NULL;
}

static bool has_bias(const pare_model *model, const char *output)
{
    const pri_node *node = node_of(model, output);

    return node->n_inputs > 2 && node->inputs[2] != NULL;
}

/* conv, Relu, conv, Relu, mean, Gemm: no bias anywhere. */
static pare_model *biasless(pare_context *ctx)
{
    pri_value *x;
    pri_graph *graph = train_graph(ctx, &x);

    x = train_convolution(graph, x, "first", 3, 8);
    x = train_node(graph, "Relu", 1, &x, "first_relu");
    x = train_convolution(graph, x, "second", 8, 8);
    x = train_node(graph, "Relu", 1, &x, "second_relu");
    x = train_node(graph, "GlobalAveragePool", 1, &x, "mean");
    x = train_node(graph, "Flatten", 1, &x, "flat");
    pri_value *inputs[] = {x,
                           train_weight(graph, "head", 2, (const int64_t[]){8, CLASSES}, 0, 0.5)};
    return train_finish(graph, train_node(graph, "Gemm", 2, inputs, "scores"), 2, CLASSES);
}

static void biases_come_where_there_is_no_place_and_go_when_unused(void **state)
{
    pare_context *ctx = *state;
    pare_model *model = biasless(ctx), *same = NULL;

    test_ok(ctx, pare_model_clone(&same, model));
    test_ok(ctx, pri_add_intercepts(same));
    assert_true(has_bias(same, "first_y") && has_bias(same, "second_y") &&
                has_bias(same, "scores"));
    float *bias = node_of(same, "second_y")->inputs[2]->constant->data;
    bias[3] = 1;
    test_ok(ctx, pri_drop_intercepts(same, model));
    assert_false(has_bias(same, "first_y") || has_bias(same, "scores"));
    assert_int_equal(node_of(same, "first_y")->n_inputs, 2);
    assert_true(has_bias(same, "second_y"));
    pare_model_free(same);
    /* a normalisation behind a convolution is place enough */
    same = train_network(ctx, 8, false, false);
    test_ok(ctx, pri_add_intercepts(same));
    assert_false(has_bias(same, "conv1_y"));
    pare_model_free(same);
    pare_model_free(model);
}

/* Mean squared difference of outputs. */
static double error_of(pare_context *ctx, pare_model *a, pare_model *b, const pare_data *data)
{
    pare_model *const models[] = {a, b};
    float scores[2][IMAGES * CLASSES];
    pri_preprocess preprocess;
    int64_t order[IMAGES];
    double sum = 0;

    for (int i = 0; i < IMAGES; i++)
        order[i] = i;
    for (int k = 0; k < 2; k++) {
        pri_engine *engine = NULL;
        test_ok(ctx, pri_preprocess_of(&preprocess, models[k]));
        test_ok(ctx, pri_engine_new(&engine, models[k], &(pri_engine_options){.batch = IMAGES}));
        pri_data_batch(data, &preprocess, order, IMAGES, NULL, 0, pri_engine_input(engine, 0), NULL,
                       NULL);
        test_ok(ctx, pri_engine_forward(engine));
        memcpy(scores[k], pri_engine_output(engine, 0), sizeof scores[k]);
        pri_engine_free(engine);
    }
    for (int i = 0; i < IMAGES * CLASSES; i++)
        sum += pow(scores[0][i] - scores[1][i], 2);
    return sum / (IMAGES * CLASSES);
}

static void folding_keeps_means_without_a_bias_of_their_own(void **state)
{
    pare_context *ctx = *state;
    pare_model *model = biasless(ctx);
    pare_data *data = train_images(ctx, IMAGES, 5, false);
    double errors[2];

    for (int folds = 0; folds < 2; folds++) {
        const pare_prune_options options = {.strategy = PARE_RANDOM,
                                            .target = {PARE_CHANNELS, 0.7, true},
                                            .no_refit = true,
                                            .no_fold = folds == 0,
                                            .no_recalibrate = true,
                                            .seed = 3};
        pare_prune_result result = {0};
        pare_model *pruned = NULL;
        test_ok(ctx, pare_prune(&pruned, model, data, &options, &result));
        assert_int_equal(has_bias(pruned, "scores"), folds);
        assert_false(has_bias(pruned, "first_y")); /* nothing before it went */
        assert_true(result.oracle < 1e-4);
        errors[folds] = error_of(ctx, model, pruned, data);
        pare_prune_result_clear(&result);
        pare_model_free(pruned);
    }
    assert_true(errors[1] < 0.5 * errors[0]);
    pare_data_free(data);
    pare_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(biases_come_where_there_is_no_place_and_go_when_unused),
        cmocka_unit_test(folding_keeps_means_without_a_bias_of_their_own)};

    return cmocka_run_group_tests(tests, test_setup, test_teardown);
}
