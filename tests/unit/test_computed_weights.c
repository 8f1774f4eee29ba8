/* SPDX-License-Identifier: Apache-2.0 */
/* test_computed_weights.c - weights behind other operators can be pruned, and compute what they
 * did. */
#include "build.h"

#include <math.h>
#include <string.h>

#include "engine/engine.h"
#include "groups/groups.h"
#include "onnx/onnx_io.h"

enum { IN = 3, OUT = 8, SIZE = 5 };

static pri_value *typed(pri_graph *graph, pri_dtype dtype, int rank, const int64_t *dims)
{
    const pri_shape shape = pri_shape_of(rank, dims);
    pri_tensor *tensor = NULL;

    test_ok(graph->ctx, pri_tensor_new(&tensor, graph->ctx, dtype, &shape));
    for (int64_t i = 0; i < pri_tensor_count(tensor); i++) {
        if (dtype == PRI_I8)
            ((int8_t *)tensor->data)[i] = (int8_t)(i * 37 % 101 - 50);
        else
            ((uint16_t *)tensor->data)[i] = pri_f32_to_f16((float)(i * 37 % 101 - 50) / 64);
    }
    pri_value *value = pri_graph_add_constant(graph, "", tensor);
    assert_non_null(value);
    return value;
}

static pri_value *scales(pri_graph *graph)
{
    float values[OUT];

    for (int i = 0; i < OUT; i++)
        values[i] = 0.01f * (float)(i + 1);
    return test_floats(graph, OUT, values);
}

/* The weight [OUT][IN][1][1] as a file may state it. */
static pri_value *stated_weight(pri_graph *graph, int kind)
{
    const int64_t dims[4] = {OUT, IN, 1, 1}, swapped[4] = {IN, OUT, 1, 1};
    pri_value *value;

    switch (kind) {
    case 0:
        value = typed(graph, PRI_I8, 4, dims);
        return test_op(graph, "DequantizeLinear", "axis=0", TEST_LIST(value, scales(graph)));
    case 1:
        value = test_op(graph, "Identity", "", TEST_LIST(test_weight(graph, 4, dims, 1, 0.5)));
        return test_op(graph, "Identity", "", TEST_LIST(value));
    case 2:
        value = test_weight(graph, 4, swapped, 1, 0.5);
        return test_op(graph, "Transpose", "perm=[1,0,2,3]", TEST_LIST(value));
    case 3: return test_op(graph, "Cast", "to=1", TEST_LIST(typed(graph, PRI_F16, 4, dims)));
    default:
        value = typed(graph, PRI_I8, 4, swapped);
        value = test_op(graph, "DequantizeLinear", "",
                        TEST_LIST(value, test_floats(graph, 1, (const float[]){0.02f})));
        return test_op(graph, "Transpose", "perm=[1,0,2,3]", TEST_LIST(value));
    }
}

static pri_graph *make_graph(pare_context *ctx, int kind)
{
    const int64_t image[4] = {1, IN, SIZE, SIZE}, head[4] = {2, OUT, 1, 1};
    pri_graph *graph = test_graph(ctx, 13);
    pri_value *x = test_input(graph, "x", 4, image), *weight = stated_weight(graph, kind);

    x = test_op(graph, "Conv", "", TEST_LIST(x, weight));
    x = test_op(graph, "Relu", "", TEST_LIST(x));
    test_output(graph,
                test_op(graph, "Conv", "", TEST_LIST(x, test_weight(graph, 4, head, 2, 0.5))));
    return graph;
}

static float *run(pare_context *ctx, pare_model *model)
{
    static float result[2 * SIZE * SIZE];
    pri_engine *engine = NULL;

    test_ok(ctx, pri_engine_new(&engine, model, &(const pri_engine_options){0}));
    for (int i = 0; i < IN * SIZE * SIZE; i++)
        ((float *)pri_engine_input(engine, 0))[i] = sinf((float)i);
    test_ok(ctx, pri_engine_forward(engine));
    memcpy(result, pri_engine_output(engine, 0), sizeof result);
    pri_engine_free(engine);
    return result;
}

static void check_cut(pare_context *ctx, pare_model *model)
{
    pri_groups *groups = NULL;
    pare_model *masked = NULL, *cut = NULL;
    bool removed[64] = {false};
    double worst = 1;

    test_ok(ctx, pri_groups_new(&groups, model));
    assert_int_equal(groups->groups[0].n_free, OUT);
    removed[groups->groups[0].units[1]] = removed[groups->groups[0].units[5]] = true;
    test_ok(ctx, pare_model_clone(&masked, model));
    test_ok(ctx, pare_model_clone(&cut, model));
    test_ok(ctx, pri_groups_mask_consumers(groups, masked, removed));
    test_ok(ctx, pri_groups_cut(groups, cut, removed));
    test_ok(ctx, pri_groups_verify(masked, cut, 1, 1e-5, &worst));
    pri_groups_free(groups);
    pare_model_free(masked);
    pare_model_free(cut);
}

static void computed_weights_are_pruned(void **state)
{
    (void)state;
    pare_context *ctx = test_context();
    for (int kind = 0; kind < 5; kind++) {
        pare_model *before = test_model(make_graph(ctx, kind)), *after = NULL;
        unsigned char *bytes = NULL;
        float expected[2 * SIZE * SIZE];
        size_t size;
        memcpy(expected, run(ctx, before), sizeof expected);
        test_ok(ctx, pri_onnx_export_bytes(&bytes, &size, before->graph));
        test_ok(ctx, pare_model_parse(&after, ctx, bytes, size));
        pri_free(bytes);
        const float *found = run(ctx, after);
        for (int i = 0; i < 2 * SIZE * SIZE; i++)
            assert_true(fabsf(found[i] - expected[i]) < 1e-5f);
        check_cut(ctx, after);
        pare_model_free(before);
        pare_model_free(after);
    }
    pare_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(computed_weights_are_pruned),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
