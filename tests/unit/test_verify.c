/* SPDX-License-Identifier: Apache-2.0 */
/* test_verify.c - the oracle on outputs that are not float, and on nothing. */
#include "build.h"

#include <string.h>

#include "groups/groups.h"

enum { SIZE = 6, CHANNELS = 8 };

/* Two layers; what is given are classes by ArgMax, through `after`, or a slice of no elements. */
static pare_model *make_model(pare_context *ctx, const char *after)
{
    const int64_t image[4] = {1, 3, SIZE, SIZE}, stem[4] = {CHANNELS, 3, 3, 3};
    const int64_t head[4] = {4, CHANNELS, 1, 1}, none[1] = {0};
    pri_graph *graph = test_graph(ctx, 13);
    pri_value *x = test_input(graph, "x", 4, image);

    x = test_op(graph, "Conv", "", TEST_LIST(x, test_weight(graph, 4, stem, 1, 0.5)));
    x = test_op(graph, "Conv", "", TEST_LIST(x, test_weight(graph, 4, head, 2, 0.5)));
    if (strcmp(after, "Slice") == 0) {
        pri_value *zero = test_ints(graph, 1, none);
        x = test_op(graph, "Slice", "", TEST_LIST(x, zero, zero));
    } else {
        x = test_op(graph, "ArgMax", "axis=1", TEST_LIST(x));
        x = test_op(graph, after, strcmp(after, "Cast") == 0 ? "to=6" : "", TEST_LIST(x));
    }
    test_output(graph, x);
    return test_model(graph);
}

/* Status of the oracle with a channel cut and `change` added to a weight behind it. */
static pare_status verify(pare_context *ctx, pare_model *model, float change)
{
    bool removed[64] = {false};
    pri_groups *groups = NULL;
    pare_model *masked = NULL, *small = NULL;
    double worst;

    test_ok(ctx, pri_groups_new(&groups, model));
    assert_true(groups->groups[0].n_free > 1);
    removed[groups->groups[0].units[1]] = true;
    test_ok(ctx, pare_model_clone(&masked, model));
    test_ok(ctx, pare_model_clone(&small, model));
    test_ok(ctx, pri_groups_mask_consumers(groups, masked, removed));
    test_ok(ctx, pri_groups_cut(groups, small, removed));
    pri_tensor *weight = small->graph->nodes[1]->inputs[1]->constant;
    test_ok(ctx, pri_tensor_own(weight));
    ((float *)weight->data)[2] += change;
    const pare_status status = pri_groups_verify(masked, small, 1, 1e-4, &worst);
    pri_groups_free(groups);
    pare_model_free(masked);
    pare_model_free(small);
    return status;
}

static void classes_are_compared(void **state)
{
    static const char *const after[] = {"Identity", "Cast"};

    (void)state;
    for (size_t i = 0; i < PRI_COUNT(after); i++) {
        pare_context *ctx = test_context();
        pare_model *model = make_model(ctx, after[i]);
        test_ok(ctx, verify(ctx, model, 0));
        assert_int_equal(verify(ctx, model, 0.01f), PARE_ERROR_VERIFY);
        assert_int_equal(verify(ctx, model, 100), PARE_ERROR_VERIFY);
        pare_model_free(model);
        pare_context_free(ctx);
    }
}

static void nothing_is_no_agreement(void **state)
{
    (void)state;
    pare_context *ctx = test_context();
    pare_model *model = make_model(ctx, "Slice");
    assert_int_equal(verify(ctx, model, 0), PARE_ERROR_VERIFY);
    assert_non_null(strstr(pare_context_message(ctx), "no output"));
    pare_model_free(model);
    pare_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_are_compared),
        cmocka_unit_test(nothing_is_no_agreement),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
