/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_ops_coupling.c - how many units can go of eight channels that pass an operator.
 *
 * Random networks show that what is cut is right; this shows that something can be cut.
 */
#include "build.h"

#include <string.h>

#include "groups/groups.h"

enum { CHANNELS = 8, SIZE = 6 };

typedef struct coupling_case {
    const char *op;
    int opset;
    const char *attributes;
    int n_floats;        /* inputs of eight numbers behind the first */
    const int64_t *ints; /* or one integer input */
    int n_ints;
    int free_units;
    bool is_last; /* the channels are the last axis behind it */
} coupling_case;

static const int64_t pads[] = {0, 0, 1, 1, 0, 0, 1, 1}, one[] = {1}, three[] = {3};

static const coupling_case cases[] = {
    {"GroupNormalization", 21, "num_groups=4", 2, NULL, 0, 4, false},
    {"GroupNormalization", 21, "num_groups=8", 2, NULL, 0, 8, false},
    {"InstanceNormalization", 13, "", 2, NULL, 0, 8, false},
    {"LpPool", 13, "kernel_shape=[3,3] pads=[1,1,1,1]", 0, NULL, 0, 8, false},
    {"LpNormalization", 13, "axis=3", 0, NULL, 0, 8, false},
    {"LpNormalization", 13, "axis=1", 0, NULL, 0, 0, false},
    {"Pad", 13, "mode=reflect", 0, pads, 8, 8, false},
    {"Pad", 10, "pads=[0,0,1,1,0,0,1,1] value=3f", 0, NULL, 0, 8, false},
    {"Pad", 10, "pads=[0,0,1,1,0,0,1,1] value=255f", 0, NULL, 0, 8, false},
    {"CumSum", 13, "", 0, three, 1, 8, false},
    {"CumSum", 13, "", 0, one, 1, 0, false},
    {"Trilu", 14, "", 0, NULL, 0, 8, false},
    {"TopK", 13, "axis=3", 0, three, 1, 8, false},
    {"TopK", 13, "axis=1", 0, three, 1, 0, false},
    {"Hardmax", 13, "axis=1", 0, NULL, 0, 0, false},
    {"Atan", 13, "", 0, NULL, 0, 8, false},
    {"Einsum", 13, "equation=bchw->bchw", 0, NULL, 0, 8, false},
    {"Einsum", 13, "equation=bchw->bhwc", 0, NULL, 0, 8, true},
};

static pri_value *add_operator(pri_graph *graph, const coupling_case *it, pri_value *x)
{
    const float numbers[CHANNELS] = {1, 2, 3, 4, 5, 6, 7, 8};
    pri_value *in[4] = {x};
    int n = 1;

    for (int k = 0; k < it->n_floats; k++)
        in[n++] = test_floats(graph, CHANNELS, numbers);
    if (it->ints != NULL)
        in[n++] = test_ints(graph, it->n_ints, it->ints);
    return test_op(graph, it->op, it->attributes, n, in);
}

/* The channels are read by their sum over all else and a product. */
static pare_model *make_model(pare_context *ctx, const coupling_case *it)
{
    const int64_t image[4] = {1, 3, SIZE, SIZE}, stem[4] = {CHANNELS, 3, 3, 3};
    const int64_t area[2] = {2, 3};
    const bool states_axes = it->opset < 13;
    pri_graph *graph = test_graph(ctx, it->opset);
    pri_value *x = test_input(graph, "x", 4, image);

    x = test_op(graph, "Conv", "pads=[1,1,1,1]", TEST_LIST(x, test_weight(graph, 4, stem, 1, 0.5)));
    x = add_operator(graph, it, x);
    if (it->is_last)
        x = test_op(graph, "Transpose", "perm=[0,3,1,2]", TEST_LIST(x));
    pri_value *summed[2] = {x, states_axes ? NULL : test_ints(graph, 2, area)};
    x = test_op(graph, "ReduceSum", states_axes ? "axes=[2,3] keepdims=0" : "keepdims=0",
                states_axes ? 1 : 2, summed);
    const int64_t head[2] = {strcmp(it->op, "TopK") == 0 && it->free_units == 0 ? 3 : CHANNELS, 2};
    test_output(graph,
                test_op(graph, "MatMul", "", TEST_LIST(x, test_weight(graph, 2, head, 2, 0.5))));
    return test_model(graph);
}

static int count_free(pare_context *ctx, const pare_model *model)
{
    pri_groups *groups = NULL;
    int most = 0;

    test_ok(ctx, pri_groups_new(&groups, model));
    for (int g = 0; g < groups->n_groups; g++)
        most = groups->groups[g].n_free > most ? groups->groups[g].n_free : most;
    pri_groups_free(groups);
    return most;
}

static void channels_pass_operators(void **state)
{
    (void)state;
    pare_context *ctx = test_context();
    for (size_t i = 0; i < PRI_COUNT(cases); i++) {
        pare_model *model = make_model(ctx, &cases[i]);
        const int found = count_free(ctx, model);
        if (found != cases[i].free_units)
            fail_msg("%s (%s): %d units are free, expected %d", cases[i].op, cases[i].attributes,
                     found, cases[i].free_units);
        pare_model_free(model);
    }
    pare_context_free(ctx);
}

/* Two channels are cropped before and one behind: 0 and 3 go, of which the first is of the crop. */
static void crops_follow_a_cut(void **state)
{
    const int64_t image[4] = {1, 3, SIZE, SIZE}, stem[4] = {CHANNELS, 3, 1, 1};
    const int64_t head[4] = {2, CHANNELS - 3, 1, 1};
    bool removed[64] = {false};
    pri_groups *groups = NULL;
    pare_model *masked = NULL, *small = NULL;
    double worst;

    (void)state;
    pare_context *ctx = test_context();
    pri_graph *graph = test_graph(ctx, 13);
    pri_value *x = test_input(graph, "x", 4, image);
    pri_value *crop = test_ints(graph, 8, (const int64_t[]){0, -2, 0, 0, 0, -1, 0, 0});
    x = test_op(graph, "Conv", "", TEST_LIST(x, test_weight(graph, 4, stem, 1, 0.5)));
    pri_value *y = test_op(graph, "Pad", "", TEST_LIST(x, crop));
    test_output(graph,
                test_op(graph, "Conv", "", TEST_LIST(y, test_weight(graph, 4, head, 2, 0.5))));
    pare_model *model = test_model(graph);
    test_ok(ctx, pri_groups_new(&groups, model));
    const int axis = pri_groups_axis(groups, x, 1);
    removed[pri_groups_unit(groups, axis, 0)] = removed[pri_groups_unit(groups, axis, 3)] = true;
    test_ok(ctx, pare_model_clone(&masked, model));
    test_ok(ctx, pare_model_clone(&small, model));
    test_ok(ctx, pri_groups_mask_consumers(groups, masked, removed));
    test_ok(ctx, pri_groups_cut(groups, small, removed));
    test_ok(ctx, pri_groups_verify(masked, small, 1, 1e-5, &worst));
    const int64_t *pads_now = small->graph->nodes[1]->inputs[1]->constant->data;
    assert_int_equal(pads_now[1], -1);
    assert_int_equal(pads_now[5], -1);
    pri_groups_free(groups);
    pare_model_free(masked);
    pare_model_free(small);
    pare_model_free(model);
    pare_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(channels_pass_operators),
        cmocka_unit_test(crops_follow_a_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
