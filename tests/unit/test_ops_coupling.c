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
    pri_graph *graph = test_graph(ctx, it->opset);
    pri_value *x = test_input(graph, "x", 4, image);

    x = test_op(graph, "Conv", "pads=[1,1,1,1]", TEST_LIST(x, test_weight(graph, 4, stem, 1, 0.5)));
    x = add_operator(graph, it, x);
    if (it->is_last)
        x = test_op(graph, "Transpose", "perm=[0,3,1,2]", TEST_LIST(x));
    x = test_op(graph, "ReduceSum", "keepdims=0", TEST_LIST(x, test_ints(graph, 2, area)));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(channels_pass_operators),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
