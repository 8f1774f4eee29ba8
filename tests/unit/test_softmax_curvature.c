/* SPDX-License-Identifier: Apache-2.0 */
/* test_softmax_curvature.c - what errors of class scores weigh, and where a network's scores come
 * from. */
#include "support.h"

#include <math.h>
#include <string.h>

#include <pare/pare.h>

#include "base/random.h"
#include "criteria/softmax_curvature.h"

enum { IMAGES = 2, CLASSES = 5, PLACES = 6, COUNT = IMAGES * CLASSES * PLACES };

static double log_sum(const float *z, const double *d, double step, int64_t stride)
{
    double sum = 0;

    for (int c = 0; c < CLASSES; c++)
        sum += exp(z[c * stride] + step * d[c]);
    return log(sum);
}

/* Mean divergence of softmax(z + step d) from softmax(z) over all places. */
static double divergence(const float *z, const double *d, double step)
{
    double total = 0;

    for (int n = 0; n < IMAGES * PLACES; n++) {
        const float *at = z + n / PLACES * CLASSES * PLACES + n % PLACES;
        const double before = log_sum(at, d, 0, PLACES), after = log_sum(at, d, step, PLACES);
        for (int c = 0; c < CLASSES; c++)
            total += exp(at[c * PLACES] - before) * (after - before - step * d[c]);
    }
    return total / (IMAGES * PLACES);
}

static void an_error_weighs_what_it_diverges(void **state)
{
    pare_context *ctx = *state;
    float z[COUNT], last[COUNT];
    double d[CLASSES], curvature[2][CLASSES * CLASSES], energy[2], form = 0;

    for (int i = 0; i < COUNT; i++)
        z[i] = (float)(2 * pri_random_normal(1, PRI_STREAM_TEST, (uint64_t)i));
    for (int c = 0; c < CLASSES; c++)
        d[c] = pri_random_normal(2, PRI_STREAM_TEST, (uint64_t)c);
    const pri_shape shape = {4, {IMAGES, CLASSES, 2, 3}};
    pri_layout_copy(last, PRI_CHANNELS_LAST, z, PRI_PLAIN, &shape, PRI_F32, false);
    const pri_tap taps[2] = {{.shape = shape, .layout = PRI_PLAIN, .data = z},
                             {.shape = shape, .layout = PRI_CHANNELS_LAST, .data = last}};
    for (int k = 0; k < 2; k++)
        test_ok(ctx, pri_softmax_curvature(curvature[k], &energy[k], ctx, &taps[k]));
    for (int a = 0; a < CLASSES; a++) {
        for (int b = 0; b < CLASSES; b++)
            form += d[a] * curvature[0][a * CLASSES + b] * d[b];
    }
    const double step = 1e-3;
    assert_true(form > 0.1);
    assert_true(fabs(divergence(z, d, step) / (0.5 * step * step * form) - 1) < 0.01);
    assert_true(energy[0] > 0.1 && fabs(energy[1] / energy[0] - 1) < 1e-12);
    for (int k = 0; k < CLASSES * CLASSES; k++)
        assert_true(fabs(curvature[0][k] - curvature[1][k]) < 1e-12);
}

static void one_score_is_a_sigmoid(void **state)
{
    pare_context *ctx = *state;
    const float z[2] = {0, 2};
    const pri_tap tap = {.shape = {2, {2, 1}}, .data = z};
    const double p = 1 / (1 + exp(-2.0));
    double curvature, energy;

    test_ok(ctx, pri_softmax_curvature(&curvature, &energy, ctx, &tap));
    assert_true(fabs(curvature - (0.25 + p * (1 - p)) / 2) < 1e-12);
    assert_true(fabs(energy - 4 * p * (1 - p) / 2) < 1e-12);
}

static void only_the_last_layer_gives_classes(void **state)
{
    pare_context *ctx = *state;
    pare_model *model = NULL;
    int layers = 0, giving = 0;

    test_ok(ctx, pare_model_new(&model, ctx, "resnet20", 4, 3, 16, 16, 1));
    for (int i = 0; i < model->graph->n_nodes; i++) {
        const pri_node *node = model->graph->nodes[i];
        if (node->op->product == NULL)
            continue;
        layers++;
        giving += pri_gives_classes(node);
        assert_int_equal(pri_gives_classes(node), strcmp(node->op_type, "Gemm") == 0);
    }
    assert_int_equal(giving, 1);
    assert_true(layers > 15);
    pare_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(an_error_weighs_what_it_diverges),
                                       cmocka_unit_test(one_score_is_a_sigmoid),
                                       cmocka_unit_test(only_the_last_layer_gives_classes)};

    return cmocka_run_group_tests(tests, test_setup, test_teardown);
}
