/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_onnx_corpus.c - files that broke something once, and files a few bytes long that ask for
 * gigabytes. The fuzzer's function does the work; it traps where something does not hold.
 */
#include <string.h>

#include "base/file.h"
#include "build.h"
#include "groups/groups.h"
#include "onnx/onnx_io.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void test_corpus(void **state)
{
    pare_context *ctx = test_context();
    char **names = NULL;
    int64_t count = 0;

    (void)state;
    test_ok(ctx, pri_list_directory(&names, &count, ctx, TEST_CORPUS));
    assert_true(count > 10);
    for (int64_t i = 0; i < count; i++) {
        char *path = pri_path_join(ctx, TEST_CORPUS, names[i]);
        pri_bytes bytes = {0};
        test_ok(ctx, pri_file_read(&bytes, ctx, path));
        (void)LLVMFuzzerTestOneInput(bytes.data, bytes.size_bytes);
        /* and cut short */
        (void)LLVMFuzzerTestOneInput(bytes.data, bytes.size_bytes / 2);
        pri_bytes_clear(&bytes);
        pri_free(path);
    }
    pri_names_free(names, count);
    pare_context_free(ctx);
}

/* --- Hostile sizes --- */

static void ask_constant_of_shape(pri_graph *graph)
{
    pri_value *shape = test_ints(graph, 3, (const int64_t[]){4096, 4096, 4096});

    test_output(graph, test_op(graph, "ConstantOfShape", "", TEST_LIST(shape)));
}

static void ask_expand(pri_graph *graph)
{
    pri_value *shape = test_ints(graph, 3, (const int64_t[]){1 << 20, 1 << 12, 2});
    pri_value *one = test_floats(graph, 2, (const float[]){1, 2});

    test_output(graph, test_op(graph, "Expand", "", TEST_LIST(one, shape)));
}

static void ask_tile(pri_graph *graph)
{
    pri_value *times = test_ints(graph, 1, (const int64_t[]){INT64_MAX / 3});
    pri_value *one = test_floats(graph, 2, (const float[]){1, 2});

    test_output(graph, test_op(graph, "Tile", "", TEST_LIST(one, times)));
}

static void ask_range(pri_graph *graph)
{
    pri_value *ends[3];

    for (int k = 0; k < 3; k++)
        ends[k] = test_weight(graph, 0, NULL, 1, 0);
    *(float *)ends[1]->constant->data = 9e8f;
    *(float *)ends[2]->constant->data = 1;
    test_output(graph, test_op(graph, "Range", "", 3, ends));
}

static void ask_pad(pri_graph *graph)
{
    pri_value *pads = test_ints(graph, 4, (const int64_t[]){1 << 20, 0, 0, 1 << 20});
    pri_value *one = test_weight(graph, 2, (const int64_t[]){1, 2}, 1, 1);

    test_output(graph, test_op(graph, "Pad", "", TEST_LIST(one, pads)));
}

static void ask_resize(pri_graph *graph)
{
    pri_value *one = test_weight(graph, 4, (const int64_t[]){1, 1, 2, 2}, 1, 1);
    pri_value *scales = test_floats(graph, 4, (const float[]){1, 1, 1e5f, 1e5f});
    pri_value *in[] = {one, NULL, scales};

    test_output(graph, test_op(graph, "Resize", "mode=linear", 3, in));
}

/* An input so large that no run could hold it, into a layer with weights. */
static void ask_input(pri_graph *graph)
{
    pri_value *x = test_input(graph, "x", 4, (const int64_t[]){1, 3, 1 << 18, 1 << 18});
    pri_value *w = test_weight(graph, 4, (const int64_t[]){8, 3, 1, 1}, 1, 1);
    pri_value *h = test_op(graph, "Conv", "", TEST_LIST(x, w));
    pri_value *flat = test_op(graph, "Flatten", "", TEST_LIST(h));

    test_output(graph, test_op(graph, "Relu", "", TEST_LIST(flat)));
}

/* Many moderate constants that together are too much. */
static void ask_often(pri_graph *graph)
{
    pri_value *shape = test_ints(graph, 2, (const int64_t[]){1024, 200});

    for (int i = 0; i < 4000; i++)
        test_output(graph, test_op(graph, "ConstantOfShape", "", TEST_LIST(shape)));
}

static void test_hostile_sizes(void **state)
{
    static void (*const asks[])(pri_graph *) = {ask_constant_of_shape,
                                                ask_expand,
                                                ask_tile,
                                                ask_range,
                                                ask_pad,
                                                ask_resize,
                                                ask_input,
                                                ask_often};
    enum { LIMIT = 8 << 20, ROOM = 16 << 20 };

    (void)state;
    for (size_t i = 0; i < PRI_COUNT(asks); i++) {
        pare_context *ctx = test_context();
        pri_graph *graph = test_graph(ctx, 17);
        unsigned char *bytes = NULL;
        size_t size = 0;
        pare_model *model = NULL;
        pri_facts *facts = NULL;
        pri_groups *groups = NULL;
        pare_costs costs;
        asks[i](graph);
        test_ok(ctx, pri_onnx_export_bytes(&bytes, &size, graph));
        pri_set_growth_limit(ctx, LIMIT);
        test_ok(ctx, pare_model_parse(&model, ctx, bytes, size));
        test_ok(ctx, pare_model_costs(model, &costs));
        test_ok(ctx, pri_groups_new(&groups, model));
        if (asks[i] != ask_input) {
            const pare_status status = pri_facts_infer(&facts, model, 0, false);
            assert_true(status == PARE_ERROR_UNSUPPORTED || status == PARE_ERROR_SHAPE);
            assert_true(strlen(pare_context_message(ctx)) > 20);
        }
        assert_true(pri_largest_allocation(ctx) < ROOM);
        pri_groups_free(groups);
        pri_facts_free(facts);
        pare_model_free(model);
        pri_graph_free(graph);
        pri_free(bytes);
        pare_context_free(ctx);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_corpus),
                                       cmocka_unit_test(test_hostile_sizes)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
