/* SPDX-License-Identifier: Apache-2.0 */
/* test_fusion.c - what convolutions take over in inference, and that it changes no number. */
#include "build.h"

#include <math.h>
#include <string.h>

#include "base/text.h"
#include "base/vector_math.h"
#include "engine/engine.h"

/* What follows the convolution of a graph x -> Conv -> c -> ... */
typedef enum shape_of_graph {
    SWISH,            /* c * Sigmoid(c) */
    SWISH_SWAPPED,    /* Sigmoid(c) * c */
    SWISH_AFTER_NORM, /* normalised and summed first */
    SIGMOID_READ,     /* the Sigmoid is an output too */
    VALUE_READ,       /* c is an output too */
    OTHER_GATE,       /* c * Sigmoid(x) */
    TANH_GATE         /* c * Tanh(c) */
} shape_of_graph;

static pare_model *build(pare_context *ctx, shape_of_graph kind)
{
    const int64_t dims[] = {2, 24, 6, 6}, weights[] = {24, 24, 3, 3};
    const float ones[24] = {1, 2, 1, 0.5f, 1, 1, 1, 1, 1, 1, 1, 1,
                            1, 1, 1, 1,    1, 1, 1, 1, 1, 1, 1, 3};
    pri_graph *graph = test_graph(ctx, 15);
    pri_value *x = test_input(graph, "x", 4, dims);
    pri_value *w = test_weight(graph, 4, weights, 1, 0.1);
    pri_value *c = test_op(graph, "Conv", "pads=[1,1,1,1]", TEST_LIST(x, w));

    if (kind == SWISH_AFTER_NORM) {
        pri_value *scale = test_floats(graph, 24, ones);
        c = test_op(graph, "BatchNormalization", "", TEST_LIST(c, scale, scale, scale, scale));
        c = test_op(graph, "Add", "", TEST_LIST(x, c));
    }
    pri_value *s = test_op(graph, kind == TANH_GATE ? "Tanh" : "Sigmoid", "",
                           TEST_LIST(kind == OTHER_GATE ? x : c));
    pri_value *y = test_op(graph, "Mul", "", 2,
                           kind == SWISH_SWAPPED ? (pri_value *[]){s, c} : (pri_value *[]){c, s});
    test_output(graph, y);
    if (kind == SIGMOID_READ)
        test_output(graph, s);
    if (kind == VALUE_READ)
        test_output(graph, c);
    return test_model(graph);
}

/* The operators of the first step with a node, and the first output in y. */
static void run(pare_context *ctx, pare_model *model, bool no_fusion, pri_text *names, float *y)
{
    const pri_engine_options options = {.no_fusion = no_fusion};
    pri_engine *engine = NULL;
    int step = 0;

    test_ok(ctx, pri_engine_new(&engine, model, &options));
    float *x = pri_engine_input(engine, 0);
    for (int i = 0; i < 2 * 24 * 36; i++)
        x[i] = 3 * sinf((float)i * 0.37f);
    test_ok(ctx, pri_engine_forward(engine));
    memcpy(y, pri_engine_output(engine, 0), sizeof(float) * 2 * 24 * 36);
    while (pri_engine_step_node(engine, step) == NULL ||
           strcmp(pri_engine_step_node(engine, step)->op_type, "Conv") != 0)
        step++;
    pri_text_add(names, "Conv");
    const pri_node *fused;
    for (int k = 0; (fused = pri_engine_step_fused(engine, step, k)) != NULL; k++)
        pri_text_addf(names, " %s", fused->op_type);
    pri_engine_free(engine);
}

static void swish_is_found_in_any_spelling_and_only_there(void **state)
{
    static const char *const expected[] = {[SWISH] = "Conv Sigmoid Mul",
                                           [SWISH_SWAPPED] = "Conv Sigmoid Mul",
                                           [SWISH_AFTER_NORM] =
                                               "Conv BatchNormalization Add Sigmoid Mul",
                                           [SIGMOID_READ] = "Conv",
                                           [VALUE_READ] = "Conv",
                                           [OTHER_GATE] = "Conv",
                                           [TANH_GATE] = "Conv"};
    static float fused[2 * 24 * 36], plain[2 * 24 * 36];

    (void)state;
    for (int kind = SWISH; kind <= TANH_GATE; kind++) {
        pare_context *ctx = test_context();
        pare_model *model = build(ctx, (shape_of_graph)kind);
        pri_text names = {.ctx = ctx}, alone = {.ctx = ctx};
        run(ctx, model, false, &names, fused);
        run(ctx, model, true, &alone, plain);
        assert_string_equal(pri_text_get(&names), expected[kind]);
        assert_string_equal(pri_text_get(&alone), "Conv");
        for (int i = 0; i < 2 * 24 * 36; i++)
            assert_true(fabsf(fused[i] - plain[i]) <= 1e-5f * (1 + fabsf(plain[i])));
        pri_text_clear(&names);
        pri_text_clear(&alone);
        pare_model_free(model);
        pare_context_free(ctx);
    }
}

/* Largest error in units of the last place of a float over the range. */
static double worst(float (*own)(float), double (*exact)(double), float from, float to)
{
    double most = 0;

    for (int i = 0; i <= 200000; i++) {
        const float x = from + (to - from) * (float)i / 200000;
        const double y = exact(x);
        const double unit = nextafterf(fabsf((float)y), INFINITY) - fabsf((float)y);
        most = fmax(most, fabs(own(x) - y) / unit);
    }
    return most;
}

/* A normalisation of 24 channels with fewer shifts: it must not be taken over unseen. */
static void what_does_not_fit_is_not_fused(void **state)
{
    const int64_t dims[] = {2, 24, 6, 6}, weights[] = {24, 24, 3, 3};
    const float ones[24] = {1};
    pare_context *ctx = test_context();
    pri_graph *graph = test_graph(ctx, 15);
    pri_value *x = test_input(graph, "x", 4, dims);
    pri_value *w = test_weight(graph, 4, weights, 1, 0.1);
    pri_value *scale = test_floats(graph, 24, ones), *few = test_floats(graph, 3, ones);
    pri_value *c = test_op(graph, "Conv", "pads=[1,1,1,1]", TEST_LIST(x, w));
    pri_engine *engine = NULL;

    (void)state;
    c = test_op(graph, "BatchNormalization", "", TEST_LIST(c, scale, few, scale, scale));
    test_output(graph, test_op(graph, "Relu", "", TEST_LIST(c)));
    pare_model *model = test_model(graph);
    assert_int_equal(pri_engine_new(&engine, model, &(pri_engine_options){.batch = 2}),
                     PARE_ERROR_SHAPE);
    assert_non_null(strstr(pare_context_message(ctx), "input 2 does not fit 24 channels"));
    pare_model_free(model);
    pare_context_free(ctx);
}

static void exponentials_are_those_of_the_library(void **state)
{
    (void)state;
    assert_true(worst(pri_exp, exp, -103, 88.7f) < 2.5);
    assert_true(worst(pri_tanh, tanh, -12, 12) < 3.5);
    assert_true(worst(pri_logarithm, log, 1e-3f, 3) < 2.5);
    assert_true(worst(pri_logarithm, log, 1, 1e6f) < 2.5);
    assert_true(pri_logarithm(1) == 0 && fabsf(pri_logarithm(1e-37f) - logf(1e-37f)) < 1e-5f);
    assert_true(isnan(pri_logarithm(INFINITY)) && isnan(pri_logarithm(NAN)));
    assert_true(pri_exp(-INFINITY) == 0 && isinf(pri_exp(INFINITY)) && isinf(pri_exp(89)));
    assert_true(pri_exp(0) == 1 && isnan(pri_exp(NAN)) && isnan(pri_tanh(NAN)));
    assert_true(pri_tanh(INFINITY) == 1 && pri_tanh(-INFINITY) == -1 && pri_tanh(0) == 0);
    assert_true(pri_sigmoid(-INFINITY) == 0 && pri_sigmoid(INFINITY) == 1);
    assert_true(pri_sigmoid(0) == 0.5f && isnan(pri_sigmoid(NAN)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(swish_is_found_in_any_spelling_and_only_there),
        cmocka_unit_test(what_does_not_fit_is_not_fused),
        cmocka_unit_test(exponentials_are_those_of_the_library),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
