/* SPDX-License-Identifier: Apache-2.0 */
/* test_onnx_shapes.c - open dimensions: names that several inputs share, sizes stated in words. */
#include <string.h>

#include "build.h"
#include "engine/engine.h"
#include "onnx/onnx_io.h"

typedef struct stated {
    const char *text;
    pare_status status;
    const char *says; /* in the message */
} stated;

/* a: [batch, 3, height, width], b: [2, batch, width]; gives a + 1 and b + 1. */
static pare_model *named(pare_context *ctx)
{
    static const char *const of_a[] = {"batch", NULL, "height", "width"};
    static const char *const of_b[] = {NULL, "batch", "width"};
    pri_graph *graph = test_graph(ctx, 17);
    pri_value *a = test_input(graph, "a", 4, (const int64_t[]){-1, 3, -1, -1});
    pri_value *b = test_input(graph, "ns:b", 3, (const int64_t[]){2, -1, -1});
    pare_model *model = NULL;

    for (int k = 0; k < 4; k++)
        a->symbols[k] = of_a[k];
    for (int k = 0; k < 3; k++)
        b->symbols[k] = of_b[k];
    test_output(graph, test_op(graph, "Relu", "", TEST_LIST(a)));
    test_output(graph, test_op(graph, "Relu", "", TEST_LIST(b)));
    unsigned char *bytes = NULL;
    size_t size = 0;
    test_ok(ctx, pri_onnx_export_bytes(&bytes, &size, graph));
    test_ok(ctx, pare_model_parse(&model, ctx, bytes, size));
    pri_free(bytes);
    pri_graph_free(graph);
    return model;
}

/* Names survive the file, and name what is open in the message. */
static void test_names_are_read(void **state)
{
    pare_context *ctx = test_context();
    pare_model *model = named(ctx);
    pri_facts *facts = NULL;

    (void)state;
    assert_string_equal(pare_model_input_symbol(model, 0, 2), "height");
    assert_null(pare_model_input_symbol(model, 0, 1));
    assert_string_equal(pare_model_input_symbol(model, 1, 1), "batch");
    assert_null(pare_model_input_symbol(model, 7, 1));
    assert_int_equal(pri_facts_infer(&facts, model, 0, false), PARE_ERROR_SHAPE);
    assert_non_null(strstr(pare_context_message(ctx), "--input 'a:1x3x<height>x<width>'"));
    pare_model_free(model);
    pare_context_free(ctx);
}

/* One stated input fixes what the other shares with it; the batch follows its name, not its place.
 */
static void test_sizes_carry_over(void **state)
{
    pare_context *ctx = test_context();
    pare_model *model = named(ctx), *copy = NULL;
    pri_facts *facts = NULL;
    int64_t dims[PARE_MAX_RANK];

    (void)state;
    test_ok(ctx, pare_model_set_inputs(model, "a:5x3x8x6"));
    assert_int_equal(pare_model_input_shape(model, 1, dims), 3);
    assert_int_equal(dims[0], 2);
    assert_int_equal(dims[1], 5);
    assert_int_equal(dims[2], 6);
    test_ok(ctx, pri_facts_infer(&facts, model, 0, false));
    pri_facts_free(facts);
    /* an engine of another batch */
    test_ok(ctx, pare_model_clone(&copy, model));
    test_ok(ctx, pri_facts_infer(&facts, copy, 7, false));
    const pri_graph *graph = copy->graph;
    assert_int_equal(facts->of[graph->inputs[0]->id].shape.dims[0], 7);
    assert_int_equal(facts->of[graph->inputs[1]->id].shape.dims[0], 2);
    assert_int_equal(facts->of[graph->inputs[1]->id].shape.dims[1], 7);
    pri_facts_free(facts);
    /* reopened: the names are still there */
    test_ok(ctx, pare_model_set_input_shape(model, 0, 4, (const int64_t[]){-1, 3, 8, 8}));
    test_ok(ctx, pri_facts_infer(&facts, model, 3, false));
    assert_int_equal(facts->of[model->graph->inputs[1]->id].shape.dims[1], 3);
    pri_facts_free(facts);
    pare_model_free(copy);
    pare_model_free(model);
    pare_context_free(ctx);
}

static void test_stated_in_words(void **state)
{
    static const stated cases[] = {
        {"1x3x8x8", PARE_OK, ""},
        {"a:2x3x8x8,ns:b:2x2x8", PARE_OK, ""},
        {"ns:b:2x4x9", PARE_OK, ""},
        {"", PARE_OK, ""},
        {"a:2x3x8x8,ns:b:2x4x8", PARE_ERROR_SHAPE, "'batch' has to be one size"},
        {"ns:b:2x2x9,a:2x3x8x8", PARE_ERROR_SHAPE, "'width' has to be one size"},
        {"c:1x3x8x8", PARE_ERROR_SHAPE, "no input 'c'; it has 'a' and others"},
        {"a:1x3x8", PARE_ERROR_SHAPE, "has 4 dimensions, not 3"},
        {"a:1x3x8xwide", PARE_ERROR_ARGUMENT, "is no shape"},
        {"1x3x8x8x", PARE_ERROR_ARGUMENT, "is no shape"},
        {"1x3x99999999999x8", PARE_ERROR_ARGUMENT, "is no shape"},
        {"1x1x1x1x1x1x1x1x1", PARE_ERROR_ARGUMENT, "is no shape"},
        {":1x3x8x8", PARE_ERROR_SHAPE, "no input ''"},
    };

    (void)state;
    for (size_t i = 0; i < PRI_COUNT(cases); i++) {
        pare_context *ctx = test_context();
        pare_model *model = named(ctx);
        assert_int_equal(pare_model_set_inputs(model, cases[i].text), cases[i].status);
        if (cases[i].status != PARE_OK)
            assert_non_null(strstr(pare_context_message(ctx), cases[i].says));
        pare_model_free(model);
        pare_context_free(ctx);
    }
}

/* Sizes that are declared, not stated, can contradict each other too. */
static void test_contradiction(void **state)
{
    pare_context *ctx = test_context();
    pare_model *model = named(ctx);
    pri_facts *facts = NULL;

    (void)state;
    test_ok(ctx, pare_model_set_inputs(model, "a:5x3x8x6"));
    model->graph->inputs[1]->shape.dims[2] = 11;
    assert_int_equal(pri_facts_infer(&facts, model, 0, false), PARE_ERROR_SHAPE);
    assert_non_null(strstr(pare_context_message(ctx), "'width' is 6 in input 'a' and 11"));
    pare_model_free(model);
    pare_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_are_read), cmocka_unit_test(test_sizes_carry_over),
        cmocka_unit_test(test_stated_in_words), cmocka_unit_test(test_contradiction)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
