/* SPDX-License-Identifier: Apache-2.0 */
/* test_onnx_derived.c - weights that a file computes from constants are weights like any other. */
#include <string.h>

#include "build.h"
#include "groups/groups.h"
#include "onnx/onnx_io.h"
#include <pare/inspect.h>

static pare_model *reload(pare_context *ctx, const pri_graph *graph)
{
    unsigned char *bytes = NULL;
    pare_model *model = NULL;
    size_t size = 0;

    test_ok(ctx, pri_onnx_export_bytes(&bytes, &size, graph));
    test_ok(ctx, pare_model_parse(&model, ctx, bytes, size));
    pri_free(bytes);
    return model;
}

static int count_nodes(const pare_model *model, const char *op_type)
{
    int count = 0;

    for (int i = 0; i < model->graph->n_nodes; i++)
        count += !model->graph->nodes[i]->is_dead &&
                 strcmp(model->graph->nodes[i]->op_type, op_type) == 0;
    return count;
}

static pri_value *filled(pri_graph *graph, int rank, const int64_t *dims, float value)
{
    pri_value *shape = test_ints(graph, rank, dims);
    pri_value *out = test_op(graph, "ConstantOfShape", "", TEST_LIST(shape));
    pri_tensor *one = NULL;

    test_ok(graph->ctx, pri_tensor_new(&one, graph->ctx, PRI_F32, &(pri_shape){1, {1}}));
    *(float *)one->data = value;
    test_ok(graph->ctx, pri_node_set_tensor(graph, out->producer, "value", one));
    return out;
}

/* Three convolutions whose weights come from Mul(Reshape, Unsqueeze), Cast(Transpose(Identity)),
 * and a ConstantOfShape; the biases from Identity and ConstantOfShape. */
static pri_graph *computed_weights(pare_context *ctx)
{
    pri_graph *graph = test_graph(ctx, 17);
    pri_value *x = test_input(graph, "x", 4, (const int64_t[]){1, 3, 6, 6});
    pri_value *flat = test_weight(graph, 2, (const int64_t[]){6, 27}, 1, 0.3);
    pri_value *target = test_ints(graph, 4, (const int64_t[]){6, 3, 3, 3});
    pri_value *scale = test_weight(graph, 1, (const int64_t[]){6}, 2, 1);
    pri_value *axes = test_ints(graph, 3, (const int64_t[]){1, 2, 3});
    pri_value *w1 = test_op(graph, "Mul", "",
                            TEST_LIST(test_op(graph, "Reshape", "", TEST_LIST(flat, target)),
                                      test_op(graph, "Unsqueeze", "", TEST_LIST(scale, axes))));
    pri_value *b1 = test_op(graph, "Identity", "",
                            TEST_LIST(test_weight(graph, 1, (const int64_t[]){6}, 3, 0.2)));
    pri_value *h =
        test_op(graph, "Relu", "", TEST_LIST(test_op(graph, "Conv", "", TEST_LIST(x, w1, b1))));
    pri_value *raw = test_weight(graph, 4, (const int64_t[]){6, 5, 1, 1}, 4, 0.3);
    pri_value *turned = test_op(graph, "Transpose", "perm=[1,0,2,3]",
                                TEST_LIST(test_op(graph, "Identity", "", TEST_LIST(raw))));
    pri_value *w2 = test_op(graph, "Cast", "to=1", TEST_LIST(turned));
    pri_value *b2 = filled(graph, 1, (const int64_t[]){5}, 0.1f);
    h = test_op(graph, "Relu", "", TEST_LIST(test_op(graph, "Conv", "", TEST_LIST(h, w2, b2))));
    pri_value *w3 = filled(graph, 4, (const int64_t[]){2, 5, 1, 1}, 0.25f);
    test_output(graph, test_op(graph, "Conv", "", TEST_LIST(h, w3)));
    return graph;
}

static void test_uncut_is_unchanged(void **state)
{
    pare_context *ctx = test_context();
    pri_graph *graph = computed_weights(ctx);
    unsigned char *first = NULL, *second = NULL;
    size_t n_first = 0, n_second = 0;

    (void)state;
    test_ok(ctx, pri_onnx_export_bytes(&first, &n_first, graph));
    pare_model *model = reload(ctx, graph), *copy = NULL;
    test_ok(ctx, pare_model_clone(&copy, model));
    test_ok(ctx, pri_onnx_export_bytes(&second, &n_second, copy->graph));
    assert_int_equal(n_first, n_second);
    assert_memory_equal(first, second, n_first);
    pri_free(first);
    pri_free(second);
    pare_model_free(copy);
    pare_model_free(model);
    pri_graph_free(graph);
    pare_context_free(ctx);
}

/* All channels of both hidden layers are free; the parameters are those of the convolutions. */
static void test_is_prunable(void **state)
{
    pare_context *ctx = test_context();
    pri_graph *graph = computed_weights(ctx);
    pare_model *model = reload(ctx, graph);
    pare_inspection *in = NULL;
    pare_costs costs;

    (void)state;
    test_ok(ctx, pare_inspect(&in, model));
    assert_int_equal(in->channels, 6 + 5 + 2);
    assert_int_equal(in->prunable_channels, 6 + 5);
    assert_int_equal(in->parameters, 162 + 6 + 30 + 5 + 10);
    assert_int_equal(in->n_layers, 5);
    test_ok(ctx, pare_model_costs(model, &costs));
    assert_int_equal(costs.parameters, in->parameters);
    pare_inspection_free(in);
    pare_model_free(model);
    pri_graph_free(graph);
    pare_context_free(ctx);
}

/* Removes one unit of each of the first `n_groups` groups, and checks the oracle. */
static pare_model *cut_some(pare_context *ctx, const pare_model *model, int n_groups)
{
    pri_groups *groups = NULL;
    pare_model *cut = NULL, *masked = NULL;
    bool removed[64] = {false};
    double worst;

    test_ok(ctx, pri_groups_new(&groups, model));
    for (int g = 0; g < n_groups; g++) {
        assert_true(groups->groups[g].n_free > 0);
        removed[groups->groups[g].units[0]] = true;
    }
    test_ok(ctx, pare_model_clone(&cut, model));
    test_ok(ctx, pare_model_clone(&masked, model));
    test_ok(ctx, pri_groups_mask_consumers(groups, masked, removed));
    test_ok(ctx, pri_groups_cut(groups, cut, removed));
    test_ok(ctx, pri_groups_verify(masked, cut, 1, 1e-5, &worst));
    pri_groups_free(groups);
    pare_model *loaded = reload(ctx, cut->graph);
    test_ok(ctx, pri_groups_verify(masked, loaded, 2, 1e-5, &worst));
    pare_model_free(masked);
    pare_model_free(cut);
    return loaded;
}

static void test_cut_states_weights(void **state)
{
    pare_context *ctx = test_context();
    pri_graph *graph = computed_weights(ctx);
    pare_model *model = reload(ctx, graph);
    pare_model *cut = cut_some(ctx, model, 2);
    static const char *const gone[] = {"Mul",      "Reshape", "Unsqueeze",      "Transpose",
                                       "Identity", "Cast",    "ConstantOfShape"};

    (void)state;
    for (size_t i = 0; i < PRI_COUNT(gone); i++)
        assert_int_equal(count_nodes(cut, gone[i]), 0);
    assert_int_equal(cut->graph->n_nodes, 5);
    int initializers = 0;
    for (int i = 0; i < cut->graph->n_values; i++)
        initializers += cut->graph->values[i]->is_initializer;
    assert_int_equal(initializers, 5); /* and nothing of what computed them */
    pare_model_free(cut);
    pare_model_free(model);
    pri_graph_free(graph);
    pare_context_free(ctx);
}

/* Up to IR version 3 every initialiser is an input, with its shape. */
static void test_old_versions_list_weights(void **state)
{
    pare_context *ctx = test_context();
    pri_graph *graph = computed_weights(ctx);

    (void)state;
    graph->ir_version = 3;
    pare_model *model = reload(ctx, graph);
    pare_model *cut = cut_some(ctx, model, 2);
    int listed = 0;
    for (int i = 0; i < cut->graph->n_values; i++) {
        const pri_value *value = cut->graph->values[i];
        assert_true(!value->is_initializer || value->is_listed_input);
        listed += value->is_listed_input && value->is_initializer;
    }
    assert_int_equal(listed, 5);
    assert_int_equal(cut->graph->n_inputs, 1);
    pare_model_free(cut);
    pare_model_free(model);
    pri_graph_free(graph);
    pare_context_free(ctx);
}

/* Where only one layer is cut, what computes the other's weights stays. */
static void test_rest_stays_computed(void **state)
{
    pare_context *ctx = test_context();
    pri_graph *graph = computed_weights(ctx);
    pare_model *model = reload(ctx, graph);
    pare_model *cut = cut_some(ctx, model, 1);

    (void)state;
    assert_int_equal(count_nodes(cut, "Mul"), 0);
    assert_int_equal(count_nodes(cut, "Identity"), 0);
    assert_int_equal(count_nodes(cut, "Cast"), 0);
    assert_int_equal(count_nodes(cut, "ConstantOfShape"), 2);
    pare_model_free(cut);
    pare_model_free(model);
    pri_graph_free(graph);
    pare_context_free(ctx);
}

/* Exporters let equal parameters share one initialiser through Identity: they stay independent. */
static void test_shared_source(void **state)
{
    pare_context *ctx = test_context();
    pri_graph *graph = test_graph(ctx, 17);
    pri_value *x = test_input(graph, "x", 4, (const int64_t[]){1, 3, 4, 4});
    pri_value *bias = test_weight(graph, 1, (const int64_t[]){4}, 7, 0.5);
    pri_value *same = test_op(graph, "Identity", "", TEST_LIST(bias));
    pri_value *w1 = test_weight(graph, 4, (const int64_t[]){4, 3, 1, 1}, 1, 0.5);
    pri_value *w2 = test_weight(graph, 4, (const int64_t[]){4, 4, 1, 1}, 2, 0.5);
    pri_value *w3 = test_weight(graph, 4, (const int64_t[]){2, 4, 1, 1}, 3, 0.5);

    (void)state;
    pri_value *h = test_op(graph, "Conv", "", TEST_LIST(x, w1, bias));
    h = test_op(graph, "Conv", "", TEST_LIST(test_op(graph, "Relu", "", TEST_LIST(h)), w2, same));
    h = test_op(graph, "Conv", "", TEST_LIST(test_op(graph, "Relu", "", TEST_LIST(h)), w3));
    test_output(graph, h);
    pare_model *model = reload(ctx, graph);
    pare_model *cut = cut_some(ctx, model, 1);
    assert_int_equal(count_nodes(cut, "Identity"), 0);
    int layer = 0;
    for (int i = 0; i < cut->graph->n_nodes; i++) {
        const pri_node *node = cut->graph->nodes[i];
        if (strcmp(node->op_type, "Conv") != 0 || node->n_inputs < 3)
            continue;
        assert_int_equal(node->inputs[2]->constant->shape.dims[0], layer == 0 ? 3 : 4);
        layer++;
    }
    assert_int_equal(layer, 2);
    pare_model_free(cut);
    pare_model_free(model);
    pri_graph_free(graph);
    pare_context_free(ctx);
}

/* An embedding read as it is and, transposed, as the weights of the head: one weight. */
static void test_tied_source(void **state)
{
    enum { WORDS = 6, WIDTH = 4 };
    pare_context *ctx = test_context();
    pri_graph *graph = test_graph(ctx, 17);
    pri_value *x = test_input(graph, "x", 2, (const int64_t[]){1, WORDS});
    pri_value *w = test_weight(graph, 2, (const int64_t[]){WORDS, WIDTH}, 1, 0.5);
    pri_value *turned = test_op(graph, "Transpose", "perm=[1,0]", TEST_LIST(w));
    pri_value *h = test_op(graph, "MatMul", "", TEST_LIST(x, w));
    pare_costs costs;

    (void)state;
    test_output(graph, test_op(graph, "MatMul", "", TEST_LIST(h, turned)));
    pare_model *model = reload(ctx, graph);
    test_ok(ctx, pare_model_costs(model, &costs));
    assert_int_equal(costs.parameters, WORDS * WIDTH);
    assert_int_equal(count_nodes(model, "Transpose"), 1);
    for (int i = 0; i < model->graph->n_nodes; i++)
        assert_false(model->graph->nodes[i]->is_derived);
    pri_groups *groups = NULL;
    test_ok(ctx, pri_groups_new(&groups, model));
    if (groups->n_groups > 0 && groups->groups[0].n_free > 0)
        pare_model_free(cut_some(ctx, model, 1));
    pri_groups_free(groups);
    pare_model_free(model);
    pri_graph_free(graph);
    pare_context_free(ctx);
}

/* Models whose weights are all ConstantOfShape nodes. */
static void test_light_models(void **state)
{
    static const char *const names[] = {
        "models/light_bvlc_alexnet.onnx", "models/light_inception_v1.onnx",
        "models/light_resnet50.onnx", "models/light_densenet121.onnx"};

    (void)state;
    for (size_t i = 0; i < PRI_COUNT(names); i++) {
        const char *path = test_shared(names[i]);
        if (path == NULL)
            continue;
        pare_context *ctx = test_context();
        pare_model *model = NULL;
        pare_inspection *in = NULL;
        test_ok(ctx, pare_model_load(&model, ctx, path));
        test_ok(ctx, pare_inspect(&in, model));
        assert_true(in->parameters > 1000000);
        assert_true(in->prunable_channels > in->channels / 4);
        assert_true(in->prunable_parameters > in->parameters / 4);
        pare_inspection_free(in);
        pare_model_free(model);
        pare_context_free(ctx);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_uncut_is_unchanged),
                                       cmocka_unit_test(test_is_prunable),
                                       cmocka_unit_test(test_cut_states_weights),
                                       cmocka_unit_test(test_rest_stays_computed),
                                       cmocka_unit_test(test_old_versions_list_weights),
                                       cmocka_unit_test(test_shared_source),
                                       cmocka_unit_test(test_tied_source),
                                       cmocka_unit_test(test_light_models)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
