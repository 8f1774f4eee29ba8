/* SPDX-License-Identifier: Apache-2.0 */
/* test_train_gradients.c - gradients of whole networks in training mode. */
#include "train_nets.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <pare/pare.h>

#include "base/random.h"
#include "engine/engine.h"

/* --- Gradients of whole networks --- */

/* conv - bn - relu - sum with the first conv - bn - relu, at 5 or 19 channels: what engines fuse,
 * run in place and hand over in training. */
static pare_model *residual_network(pare_context *ctx, int64_t channels)
{
    pri_value *x;
    pri_graph *graph = train_graph(ctx, &x);

    pri_value *first = train_convolution(graph, x, "conv1", 3, channels);
    pri_value *y = train_normalise(graph, first, "conv1", channels, NULL, NULL);
    pri_value *branch = train_convolution(graph, y, "conv2", channels, channels);
    branch = train_normalise(graph, branch, "conv2", channels, NULL, NULL);
    pri_value *const sum[] = {branch, y};
    x = train_node(graph, "Add", 2, sum, "sum");
    x = train_node(graph, "Relu", 1, &x, "sum_relu");
    pri_value *const again[] = {x, first};
    x = train_node(graph, "Add", 2, again, "sum_again");
    x = train_convolution(graph, x, "conv3", channels, 2);
    return train_finish(graph, x, 4, 2);
}

/* Loss: sum of the outputs times fixed random numbers. */
static double run_network(pare_context *ctx, pri_engine *engine, bool backward)
{
    const pri_shape in = pri_engine_input_shape(engine, 0),
                    out = pri_engine_output_shape(engine, 0);
    float *x = pri_engine_input(engine, 0);
    double loss = 0;

    for (int64_t i = 0; i < pri_shape_count(&in); i++)
        x[i] = (float)pri_random_normal(7, PRI_STREAM_TEST, (uint64_t)i) + 0.3f;
    test_ok(ctx, pri_engine_forward(engine));
    for (int64_t i = 0; i < pri_shape_count(&out); i++) {
        const float factor = (float)pri_random_normal(8, PRI_STREAM_TEST, (uint64_t)i);
        loss += (double)factor * pri_engine_output(engine, 0)[i];
        pri_engine_output_gradient(engine, 0)[i] = factor;
    }
    if (backward) {
        pri_engine_zero_gradients(engine);
        test_ok(ctx, pri_engine_backward(engine));
    }
    return loss;
}

/* What only an operator without a backward reads has no gradient, rather than what was in memory.
 */
static void gradients_do_not_pass_what_has_no_backward(void **state)
{
    const pri_engine_options options = {
        .batch = 3, .training = true, .backward = true, .weight_gradients = true};
    pare_context *ctx = test_context();
    pri_engine *engine = NULL;
    pri_value *x;
    pri_graph *graph = train_graph(ctx, &x);

    (void)state;
    x = train_convolution(graph, x, "conv1", 3, 4);
    pri_value *steps = train_convolution(graph, x, "conv2", 4, 4);
    steps = train_node(graph, "LeakyRelu", 1, &steps, "leaky");
    pri_value *scale = train_weight(graph, "scale", 0, NULL, 0.1, 0);
    steps = train_node(graph, "QuantizeLinear", 2, (pri_value *[]){steps, scale}, "quantised");
    steps = train_node(graph, "DequantizeLinear", 2, (pri_value *[]){steps, scale}, "rounded");
    pri_value *const sum[] = {steps, x};
    x = train_node(graph, "Add", 2, sum, "sum");
    x = train_convolution(graph, x, "conv3", 4, 2);
    pare_model *model = train_finish(graph, x, 4, 2);
    test_ok(ctx, pri_engine_new(&engine, model, &options));
    for (int run = 0; run < 3; run++)
        run_network(ctx, engine, true);
    for (int i = 0; i < model->graph->n_values; i++) {
        const pri_value *value = model->graph->values[i];
        const float *gradient =
            value->constant != NULL ? pri_engine_weight_gradient(engine, value) : NULL;
        for (int64_t k = 0; gradient != NULL && k < pri_tensor_count(value->constant); k++)
            assert_int_equal(gradient[k] == 0, strstr(value->name, "conv2") != NULL);
    }
    pri_engine_free(engine);
    pare_model_free(model);
    pare_context_free(ctx);
}

static void training_gradients_agree_with_finite_differences(void **state)
{
    (void)state;
    for (int variant = 0; variant < 4; variant++) {
        const pri_engine_options options = {.batch = 3,
                                            .training = true,
                                            .backward = true,
                                            .weight_gradients = true,
                                            .no_fusion = variant % 2 == 1,
                                            .plain = variant >= 2};
        pare_context *ctx = test_context();
        pare_model *model = residual_network(ctx, variant == 0 ? 19 : 5);
        pri_engine *engine = NULL;
        int checked = 0;
        test_ok(ctx, pri_engine_new(&engine, model, &options));
        run_network(ctx, engine, true);
        for (int i = 0; i < model->graph->n_values; i++) {
            pri_value *value = model->graph->values[i];
            const float *gradient =
                value->constant != NULL ? pri_engine_weight_gradient(engine, value) : NULL;
            assert_true(!pri_is_statistic(value) || gradient == NULL);
            for (int64_t k = 0; gradient != NULL && k < pri_tensor_count(value->constant); k += 7) {
                float *w = (float *)value->constant->data + k;
                const float at = *w, h = 5e-4f;
                double loss[3];
                for (int side = 0; side < 3; side++) {
                    *w = at + (float)(side - 1) * h;
                    pri_engine_refresh(engine);
                    loss[side] = run_network(ctx, engine, false);
                }
                *w = at;
                /* where a Relu bends between them, the two sides differ and both are right */
                const double left = (loss[1] - loss[0]) / h, right = (loss[2] - loss[1]) / h;
                const double slope = (left + right) / 2;
                const double room = 0.01 * fabs(slope) + 0.1;
                assert_true(gradient[k] > fmin(left, right) - room &&
                            gradient[k] < fmax(left, right) + room);
                checked += fabs(slope) > 5;
            }
        }
        assert_true(checked > 20);
        pri_engine_free(engine);
        pare_model_free(model);
        pare_context_free(ctx);
    }
}

/* Layouts, fusion and threads change the order of sums, and no more. */
static void engines_of_every_kind_give_the_same_gradients(void **state)
{
    pare_context *ctx = test_context();
    pare_model *models[3];
    pri_engine *engines[3];

    (void)state;
    for (int k = 0; k < 3; k++) {
        const pri_engine_options options = {.batch = 5,
                                            .training = true,
                                            .backward = true,
                                            .weight_gradients = true,
                                            .no_fusion = k == 1,
                                            .plain = k == 2};
        models[k] = residual_network(ctx, 19);
        test_ok(ctx, pri_engine_new(&engines[k], models[k], &options));
        run_network(ctx, engines[k], true);
    }
    for (int i = 0; i < models[0]->graph->n_values; i++) {
        const pri_value *value = models[0]->graph->values[i];
        const float *gradient =
            value->constant != NULL ? pri_engine_weight_gradient(engines[0], value) : NULL;
        for (int k = 1; k < 3 && value->constant != NULL; k++) {
            const pri_value *other = models[k]->graph->values[i];
            const float *a = gradient != NULL ? gradient : value->constant->data;
            const float *b = gradient != NULL ? pri_engine_weight_gradient(engines[k], other)
                                              : other->constant->data;
            for (int64_t e = 0; e < pri_tensor_count(value->constant); e++)
                assert_true(fabsf(a[e] - b[e]) < 1e-3f + 1e-4f * fabsf(a[e]));
        }
    }
    for (int k = 0; k < 3; k++) {
        pri_engine_free(engines[k]);
        pare_model_free(models[k]);
    }
    pare_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_do_not_pass_what_has_no_backward),
        cmocka_unit_test(training_gradients_agree_with_finite_differences),
        cmocka_unit_test(engines_of_every_kind_give_the_same_gradients),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
