/* SPDX-License-Identifier: Apache-2.0 */
/* test_fusion_training.c - Clip that a normalisation does by the way in training changes no number.
 */
#include "build.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "engine/engine.h"

enum { BATCH = 3, CHANNELS = 19, SIDE = 5, POSITIONS = SIDE * SIDE, WEIGHTS = 4 };
enum { COUNT = BATCH * CHANNELS * POSITIONS };

typedef struct clip_case {
    float low, high;
    bool is_cut;  /* both at once: bounds are in order */
    bool is_open; /* no lower bound is stated, which is -INFINITY */
} clip_case;

static const clip_case cases[] = {{0, 6, true, false},         {-1, 1, true, false},
                                  {-INFINITY, 3, true, false}, {-INFINITY, 3, true, true},
                                  {1, -1, false, false},       {2, 2, false, false}};

typedef struct network {
    pare_model *model;
    pri_value *x, *normalised, *weights[WEIGHTS]; /* of the convolutions, gamma, beta */
} network;

static pri_value *clip(pri_graph *graph, pri_value *x, const clip_case *it)
{
    char text[64];

    if (graph->opset >= 11) {
        pri_value *low = it->is_open ? NULL : test_floats(graph, 1, &it->low);
        pri_value *high = test_floats(graph, 1, &it->high);
        return test_op(graph, "Clip", "", TEST_LIST(x, low, high));
    }
    if (it->is_open)
        snprintf(text, sizeof text, "max=%ff", (double)it->high);
    else /* no text for an infinity: further down than any number here */
        snprintf(text, sizeof text, "min=%ff max=%ff", fmax((double)it->low, -1e30),
                 (double)it->high);
    return test_op(graph, "Clip", text, TEST_LIST(x));
}

/* Convolution - normalisation - Clip - convolution, at numbers beyond both bounds. */
static network build(pare_context *ctx, const clip_case *it, int opset)
{
    const int64_t dims[] = {BATCH, CHANNELS, SIDE, SIDE};
    const int64_t kernel[] = {CHANNELS, CHANNELS, 3, 3}, each[] = {CHANNELS};
    pri_graph *graph = test_graph(ctx, opset);
    network net = {.x = test_input(graph, "x", 4, dims)};

    net.weights[0] = test_weight(graph, 4, kernel, 1, 0.1);
    net.weights[1] = test_weight(graph, 1, each, 2, 1);
    net.weights[2] = test_weight(graph, 1, each, 3, 1);
    net.weights[3] = test_weight(graph, 4, kernel, 4, 0.1);
    for (int c = 0; c < CHANNELS; c++) {
        ((float *)net.weights[1]->constant->data)[c] += 3;
        ((float *)net.weights[2]->constant->data)[c] += 1;
    }
    pri_value *mean = test_weight(graph, 1, each, 5, 0.5);
    pri_value *variance = test_weight(graph, 1, each, 6, 0);
    pri_value *y = test_op(graph, "Conv", "pads=[1,1,1,1]", TEST_LIST(net.x, net.weights[0]));
    net.normalised = test_op(graph, "BatchNormalization", "",
                             TEST_LIST(y, net.weights[1], net.weights[2], mean, variance));
    y = clip(graph, net.normalised, it);
    y = test_op(graph, "Conv", "pads=[1,1,1,1]", TEST_LIST(y, net.weights[3]));
    test_output(graph, y);
    net.model = test_model(graph);
    return net;
}

typedef struct run {
    network net;
    pri_engine *engine;
    const float *gradient; /* of the input */
} run;

static run start(pare_context *ctx, const clip_case *it, int opset, pri_engine_options options)
{
    run r = {.net = build(ctx, it, opset)};
    pri_value *const taps[] = {r.net.x, r.net.normalised};
    pri_tap tap;

    options.training = options.backward = options.weight_gradients = true;
    options.taps = taps; /* n_taps of them */
    test_ok(ctx, pri_engine_new(&r.engine, r.net.model, &options));
    for (uint64_t i = 0; i < COUNT; i++)
        ((float *)pri_engine_input(r.engine, 0))[i] =
            (float)pri_random_normal(7, PRI_STREAM_TEST, i);
    for (int step = 0; step < 2; step++) { /* the second on statistics that moved */
        test_ok(ctx, pri_engine_forward(r.engine));
        for (uint64_t i = 0; i < COUNT; i++)
            pri_engine_output_gradient(r.engine, 0)[i] =
                (float)pri_random_normal(8, PRI_STREAM_TEST, i);
        test_ok(ctx, pri_engine_backward(r.engine));
    }
    test_ok(ctx, pri_engine_tap(r.engine, 0, &tap));
    r.gradient = tap.gradient;
    return r;
}

static void end(run *r)
{
    pri_engine_free(r->engine);
    pare_model_free(r->net.model);
}

static bool is_fused(const run *r)
{
    for (int s = 0; s < pri_engine_steps(r->engine); s++) {
        const pri_node *node = pri_engine_step_node(r->engine, s);
        if (node == NULL || strcmp(node->op_type, "BatchNormalization") != 0)
            continue;
        const pri_node *fused = pri_engine_step_fused(r->engine, s, 0);
        return fused != NULL && strcmp(fused->op_type, "Clip") == 0;
    }
    fail();
    return false;
}

static void assert_close(const float *a, const float *b, int64_t count)
{
    double largest = 0;

    for (int64_t i = 0; i < count; i++)
        largest = fmax(largest, fabs((double)b[i]));
    for (int64_t i = 0; i < count; i++)
        assert_true(fabs((double)a[i] - (double)b[i]) <= 1e-5 * largest);
}

static void assert_same_run(const run *a, const run *b)
{
    assert_close(pri_engine_output(a->engine, 0), pri_engine_output(b->engine, 0), COUNT);
    assert_close(a->gradient, b->gradient, COUNT);
    for (int k = 0; k < WEIGHTS; k++)
        assert_close(pri_engine_weight_gradient(a->engine, a->net.weights[k]),
                     pri_engine_weight_gradient(b->engine, b->net.weights[k]),
                     pri_tensor_count(a->net.weights[k]->constant));
}

static void clip_behind_a_normalisation_changes_nothing(void **state)
{
    for (size_t k = 0; k < PRI_COUNT(cases) * 4; k++) {
        const clip_case *it = &cases[k / 4];
        const bool plain = k % 2 == 1;
        const int opset = k / 2 % 2 == 0 ? 13 : 7;
        run own = start(*state, it, opset, (pri_engine_options){.n_taps = 1, .plain = plain});
        run apart = start(*state, it, opset,
                          (pri_engine_options){.n_taps = 1, .plain = plain, .no_fusion = true});
        assert_int_equal(is_fused(&own), it->is_cut);
        assert_false(is_fused(&apart));
        assert_same_run(&own, &apart);
        end(&own);
        end(&apart);
    }
}

/* The definition, by numbers that nobody else may see: what is tapped is not fused. */
static void what_is_cut_off_gets_no_gradient(void **state)
{
    for (size_t k = 0; k < PRI_COUNT(cases); k++) {
        const clip_case *it = &cases[k];
        run r = start(*state, it, 13, (pri_engine_options){.n_taps = 2});
        int inside = 0, below = 0, above = 0;
        pri_tap tap;
        assert_false(is_fused(&r));
        test_ok(*state, pri_engine_tap(r.engine, 1, &tap));
        for (int64_t i = 0; i < COUNT; i++) {
            const float z = tap.data[i];
            const bool is_inside = z > it->low && z < it->high;
            assert_int_equal(tap.gradient[i] != 0, is_inside);
            inside += is_inside;
            below += z < it->low;
            above += z > it->high;
        }
        assert_true(above > COUNT / 50); /* the bounds are met at all */
        assert_true((inside > COUNT / 50) == it->is_cut);
        assert_true((below > COUNT / 50) == isfinite(it->low));
        end(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clip_behind_a_normalisation_changes_nothing),
        cmocka_unit_test(what_is_cut_off_gets_no_gradient),
    };

    return cmocka_run_group_tests(tests, test_setup, test_teardown);
}
