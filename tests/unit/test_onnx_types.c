/* SPDX-License-Identifier: Apache-2.0 */
/* test_onnx_types.c - float16, bfloat16 and float64 models: run in float32, written as they were.
 */
#include <string.h>

#include "build.h"
#include "engine/engine.h"
#include "groups/groups.h"
#include "onnx/onnx_io.h"

typedef struct file {
    unsigned char *bytes;
    size_t size;
} file;

static file export_model(const pri_graph *graph)
{
    file f = {0};

    test_ok(graph->ctx, pri_onnx_export_bytes(&f.bytes, &f.size, graph));
    return f;
}

static pare_model *parse(pare_context *ctx, const file *f)
{
    pare_model *model = NULL;

    test_ok(ctx, pare_model_parse(&model, ctx, f->bytes, f->size));
    return model;
}

/* x -> Conv 3x3 (3 to 4) -> Relu -> Conv 1x1 (4 to 2) -> y with all floats of one type in the file.
 */
static pri_graph *two_layers(pare_context *ctx, pri_dtype dtype)
{
    pri_graph *graph = test_graph(ctx, 17);
    pri_value *x = test_input(graph, "x", 4, (const int64_t[]){1, 3, 6, 6});
    pri_value *w1 = test_weight(graph, 4, (const int64_t[]){4, 3, 3, 3}, 1, 0.3);
    pri_value *b1 = test_weight(graph, 1, (const int64_t[]){4}, 2, 0.3);
    pri_value *w2 = test_weight(graph, 4, (const int64_t[]){2, 4, 1, 1}, 3, 0.3);
    pri_value *h = test_op(graph, "Conv", "pads=[1,1,1,1]", TEST_LIST(x, w1, b1));
    pri_value *y =
        test_op(graph, "Conv", "", TEST_LIST(test_op(graph, "Relu", "", TEST_LIST(h)), w2));

    test_output(graph, y);
    x->dtype = w1->dtype = b1->dtype = w2->dtype = y->dtype = dtype;
    return graph;
}

static const pri_dtype types[] = {PRI_F16, PRI_BF16, PRI_F64, PRI_F32};

/* Values of the type, so that nothing is lost on the way to float32. */
static pri_value *weight_of(const pare_model *model, int node)
{
    return model->graph->nodes[node]->inputs[1];
}

static void test_unchanged_is_identical(void **state)
{
    (void)state;
    for (size_t t = 0; t < PRI_COUNT(types); t++) {
        pare_context *ctx = test_context();
        pri_graph *graph = two_layers(ctx, types[t]);
        file first = export_model(graph);
        pare_model *model = parse(ctx, &first);
        file second = export_model(model->graph);

        assert_int_equal(first.size, second.size);
        assert_memory_equal(first.bytes, second.bytes, first.size);
        assert_int_equal(weight_of(model, 0)->dtype, types[t]);
        assert_int_equal(weight_of(model, 0)->constant->dtype, PRI_F32);
        pri_free(first.bytes);
        pri_free(second.bytes);
        pare_model_free(model);
        pri_graph_free(graph);
        pare_context_free(ctx);
    }
}

static void run(float *y, int64_t count, pare_model *model)
{
    pri_engine *engine = NULL;

    test_ok(model->ctx, pri_engine_new(&engine, model, &(pri_engine_options){0}));
    float *x = pri_engine_input(engine, 0);
    for (int i = 0; i < 108; i++)
        x[i] = (float)(i % 7) / 8 - 0.25f;
    test_ok(model->ctx, pri_engine_forward(engine));
    const pri_shape shape = pri_engine_output_shape(engine, 0);
    assert_int_equal(pri_shape_count(&shape), count);
    assert_int_equal(pri_engine_output_dtype(engine, 0), PRI_F32);
    memcpy(y, pri_engine_output(engine, 0), (size_t)count * sizeof *y);
    pri_engine_free(engine);
}

/* The float32 model with the same (rounded) weights gives the same outputs. */
static void test_runs_in_float(void **state)
{
    (void)state;
    for (size_t t = 0; t + 1 < PRI_COUNT(types); t++) {
        pare_context *ctx = test_context();
        pri_graph *graph = two_layers(ctx, types[t]);
        float y[72], expected[72];
        file f = export_model(graph);
        pare_model *model = parse(ctx, &f), *plain = NULL;

        run(y, 72, model);
        test_ok(ctx, pri_model_from_graph(&plain, two_layers(ctx, PRI_F32)));
        for (int n = 0; n < 3; n += 2) {
            pri_tensor *rounded = NULL;
            test_ok(ctx, pri_tensor_share(&rounded, weight_of(model, n)->constant));
            test_ok(ctx, pri_graph_set_constant(weight_of(plain, n), rounded));
        }
        pri_tensor *bias = NULL;
        test_ok(ctx, pri_tensor_share(&bias, model->graph->nodes[0]->inputs[2]->constant));
        test_ok(ctx, pri_graph_set_constant(plain->graph->nodes[0]->inputs[2], bias));
        run(expected, 72, plain);
        assert_memory_equal(y, expected, sizeof y);
        pri_free(f.bytes);
        pare_model_free(model);
        pare_model_free(plain);
        pri_graph_free(graph);
        pare_context_free(ctx);
    }
}

/* A cut model keeps the types, and the values that stay. */
static void test_cut_keeps_types(void **state)
{
    (void)state;
    for (size_t t = 0; t + 1 < PRI_COUNT(types); t++) {
        pare_context *ctx = test_context();
        pri_graph *graph = two_layers(ctx, types[t]);
        file f = export_model(graph);
        pare_model *model = parse(ctx, &f), *cut = NULL;
        pri_groups *groups = NULL;
        bool removed[64] = {false};

        test_ok(ctx, pri_groups_new(&groups, model));
        for (int u = 0; u < groups->n_units; u++) {
            if (groups->units[u].pin < 0 && !removed[0]) {
                removed[u] = true;
                break;
            }
        }
        test_ok(ctx, pare_model_clone(&cut, model));
        test_ok(ctx, pri_groups_cut(groups, cut, removed));
        file g = export_model(cut->graph);
        pare_model *again = parse(ctx, &g);
        const pri_value *w = weight_of(again, 0), *old = weight_of(model, 0);
        assert_int_equal(w->dtype, types[t]);
        assert_int_equal(w->constant->shape.dims[0], 3);
        assert_int_equal(weight_of(again, 2)->dtype, types[t]);
        assert_int_equal(weight_of(again, 2)->constant->shape.dims[1], 3);
        assert_int_equal(again->graph->inputs[0]->dtype, types[t]);
        /* the first unit went: what follows is unchanged */
        assert_memory_equal(w->constant->data, (const float *)old->constant->data + 27,
                            81 * sizeof(float));
        pri_free(f.bytes);
        pri_free(g.bytes);
        pri_groups_free(groups);
        pare_model_free(cut);
        pare_model_free(again);
        pare_model_free(model);
        pri_graph_free(graph);
        pare_context_free(ctx);
    }
}

/* float64 has more digits than float32: weights that are not touched keep them all. */
static void test_double_keeps_digits(void **state)
{
    pare_context *ctx = test_context();
    pri_graph *graph = two_layers(ctx, PRI_F64);
    file f = export_model(graph);
    const double fine = 0.1;
    unsigned char *place = NULL;

    (void)state;
    /* the last element of the last initialiser is followed by no other: replace it in the bytes */
    const float last = ((const float *)graph->nodes[2]->inputs[1]->constant->data)[7];
    const double stored = last;
    for (size_t i = 0; i + sizeof stored <= f.size; i++) {
        if (memcmp(f.bytes + i, &stored, sizeof stored) == 0)
            place = f.bytes + i;
    }
    assert_non_null(place);
    memcpy(place, &fine, sizeof fine);
    pare_model *model = parse(ctx, &f);
    const pri_value *w1 = weight_of(model, 0);
    test_ok(ctx, pri_tensor_own(w1->constant));
    ((float *)w1->constant->data)[0] = 0.3f;
    model->graph->nodes[0]->inputs[1]->is_changed = true;
    file g = export_model(model->graph);
    bool has_fine = false, has_changed = false;
    const double changed = (double)0.3f;
    for (size_t i = 0; i + sizeof fine <= g.size; i++) {
        has_fine = has_fine || memcmp(g.bytes + i, &fine, sizeof fine) == 0;
        has_changed = has_changed || memcmp(g.bytes + i, &changed, sizeof changed) == 0;
    }
    assert_true(has_fine);
    assert_true(has_changed);
    pri_free(f.bytes);
    pri_free(g.bytes);
    pare_model_free(model);
    pri_graph_free(graph);
    pare_context_free(ctx);
}

/* Casts to other floats change nothing inside; constants of nodes are converted too. */
static void test_casts_run(void **state)
{
    pare_context *ctx = test_context();
    pri_graph *graph = test_graph(ctx, 17);
    pri_value *x = test_input(graph, "x", 2, (const int64_t[]){1, 4});
    pri_tensor *one = NULL;

    (void)state;
    pri_value *h = test_op(graph, "Cast", "to=10", TEST_LIST(x));
    pri_value *shape = test_ints(graph, 1, (const int64_t[]){4});
    pri_value *half = test_op(graph, "ConstantOfShape", "", TEST_LIST(shape));
    test_ok(ctx, pri_tensor_new(&one, ctx, PRI_F32, &(pri_shape){.rank = 1, .dims = {1}}));
    *(float *)one->data = 0.5f;
    test_ok(ctx, pri_node_set_tensor(graph, half->producer, "value", one));
    half->producer->attrs[0].dtype = PRI_F16;
    pri_value *sum = test_op(graph, "Add", "", TEST_LIST(h, half));
    test_output(graph, test_op(graph, "Cast", "to=11", TEST_LIST(sum)));
    graph->outputs[0]->dtype = PRI_F64;
    file f = export_model(graph);
    pare_model *model = parse(ctx, &f);
    pri_engine *engine = NULL;
    test_ok(ctx, pri_engine_new(&engine, model, &(pri_engine_options){0}));
    float *in = pri_engine_input(engine, 0);
    for (int i = 0; i < 4; i++)
        in[i] = (float)i;
    test_ok(ctx, pri_engine_forward(engine));
    for (int i = 0; i < 4; i++)
        assert_float_equal(pri_engine_output(engine, 0)[i], (float)i + 0.5f, 0);
    file g = export_model(model->graph);
    assert_int_equal(f.size, g.size);
    assert_memory_equal(f.bytes, g.bytes, f.size);
    pri_engine_free(engine);
    pri_free(f.bytes);
    pri_free(g.bytes);
    pare_model_free(model);
    pri_graph_free(graph);
    pare_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unchanged_is_identical), cmocka_unit_test(test_runs_in_float),
        cmocka_unit_test(test_cut_keeps_types), cmocka_unit_test(test_double_keeps_digits),
        cmocka_unit_test(test_casts_run)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
