/* SPDX-License-Identifier: Apache-2.0 */
/* test_groups.c - what is tied, pinned and repaired, on networks made for one question each. */
#include "build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"
#include "groups/groups.h"

enum { C = 8, SIZE = 6 };

/* A network that begins with a convolution giving C channels: `x` is what it gives. */
typedef struct network {
    pare_context *ctx;
    pri_graph *graph;
    pri_value *x;
    pare_model *model;
    pri_groups *groups;
} network;

static pri_value *conv(pri_graph *graph, pri_value *x, int64_t in, int64_t out, uint64_t seed)
{
    const int64_t dims[4] = {out, in, 3, 3};

    return test_op(graph, "Conv", "pads=[1,1,1,1]",
                   TEST_LIST(x, test_weight(graph, 4, dims, seed, 0.3)));
}

static network begin(int opset)
{
    const int64_t dims[4] = {PRI_DYNAMIC, 2, SIZE, SIZE};
    network n = {.ctx = test_context()};

    n.graph = test_graph(n.ctx, opset);
    n.x = conv(n.graph, test_input(n.graph, "input", 4, dims), 2, C, 1);
    return n;
}

/* Ends with a convolution from `channels` to 2 outputs. */
static void end(network *n, pri_value *y, int64_t channels)
{
    test_output(n->graph, conv(n->graph, y, channels, 2, 9));
    n->model = test_model(n->graph);
    test_ok(n->ctx, pri_groups_new(&n->groups, n->model));
}

static void finish(network *n)
{
    pri_groups_free(n->groups);
    pare_model_free(n->model);
    pare_context_free(n->ctx);
}

static const pri_unit *unit_of(const network *n, int64_t channel)
{
    const int axis = pri_groups_axis(n->groups, n->x, 1);

    assert_true(axis >= 0);
    return &n->groups->units[pri_groups_unit(n->groups, axis, channel)];
}

static bool is_pinned(const network *n, int64_t channel)
{
    return unit_of(n, channel)->pin >= 0;
}

static const char *reason(const network *n, int64_t channel)
{
    const int pin = unit_of(n, channel)->pin;

    return pin >= 0 ? pri_groups_reason(n->groups, &n->groups->pins[pin]) : "";
}

static bool are_tied(const network *n, int64_t a, int64_t b)
{
    return unit_of(n, a) == unit_of(n, b);
}

/* Cuts these channels of x; the oracle must agree. The cut model is the caller's. */
static pare_model *cut(network *n, int count, const int64_t *channels)
{
    bool *removed = calloc((size_t)n->groups->n_units, sizeof *removed);
    pare_model *masked = NULL, *small = NULL;
    double worst;

    assert_non_null(removed);
    for (int k = 0; k < count; k++) {
        assert_false(is_pinned(n, channels[k]));
        removed[unit_of(n, channels[k]) - n->groups->units] = true;
    }
    test_ok(n->ctx, pare_model_clone(&masked, n->model));
    test_ok(n->ctx, pare_model_clone(&small, n->model));
    test_ok(n->ctx, pri_groups_mask_consumers(n->groups, masked, removed));
    test_ok(n->ctx, pri_groups_cut(n->groups, small, removed));
    test_ok(n->ctx, pri_groups_verify(masked, small, 3, 1e-4, &worst));
    pare_model_free(masked);
    free(removed);
    return small;
}

static pri_value *number(network *n, int64_t value)
{
    return test_ints(n->graph, 1, &value);
}

static pri_value *slice(network *n, int64_t from, int64_t to, int64_t step)
{
    return test_op(n->graph, "Slice", "",
                   TEST_LIST(n->x, number(n, from), number(n, to), number(n, 1), number(n, step)));
}

/* --- Movement --- */

static void a_channel_taken_alone_stays(void **state)
{
    network n = begin(13);

    (void)state;
    end(&n, slice(&n, 3, 4, 1), 1);
    assert_true(is_pinned(&n, 3));
    assert_false(is_pinned(&n, 2));
    pare_model_free(cut(&n, 2, (const int64_t[]){0, 7}));
    finish(&n);
}

static void a_scalar_index_keeps_its_channel(void **state)
{
    network n = begin(13);
    pri_value *index = number(&n, 5);

    (void)state;
    index->constant->shape.rank = 0;
    pri_value *y = test_op(n.graph, "Gather", "axis=1", TEST_LIST(n.x, index));
    y = test_op(n.graph, "Unsqueeze", "", TEST_LIST(y, number(&n, 1)));
    end(&n, y, 1);
    assert_true(is_pinned(&n, 5));
    pare_model_free(cut(&n, 1, (const int64_t[]){0}));
    finish(&n);
}

/* An axis of one element is not followed, but what it becomes in a concatenation is. */
static void a_concatenated_tensor_of_one_channel_stays(void **state)
{
    network n = begin(13);

    (void)state;
    pri_value *one = conv(n.graph, n.x, C, 1, 2);
    pri_value *y = test_op(n.graph, "Concat", "axis=1", TEST_LIST(one, n.x));
    end(&n, y, C + 1);
    const int axis = pri_groups_axis(n.groups, y, 1);
    assert_true(n.groups->units[pri_groups_unit(n.groups, axis, 0)].pin >= 0);
    assert_true(n.groups->units[pri_groups_unit(n.groups, axis, 1)].pin < 0);
    pare_model_free(cut(&n, 3, (const int64_t[]){0, 4, 5}));
    finish(&n);
}

static void channels_taken_in_steps_stay(void **state)
{
    network n = begin(13);

    (void)state;
    end(&n, slice(&n, 0, C, 2), C / 2);
    assert_true(is_pinned(&n, 0) && is_pinned(&n, 1));
    assert_non_null(strstr(reason(&n, 0), "in steps"));
    finish(&n);
}

static void constant_indices_follow_a_cut(void **state)
{
    const int64_t order[6] = {7, 2, 2, -8, 5, 3};
    network n = begin(13);

    (void)state;
    end(&n, test_op(n.graph, "Gather", "axis=1", TEST_LIST(n.x, test_ints(n.graph, 6, order))), 6);
    pare_model *small = cut(&n, 3, (const int64_t[]){1, 2, 7});
    const pri_node *gather = small->graph->nodes[1];
    assert_string_equal(gather->op_type, "Gather");
    const pri_tensor *index = gather->inputs[1]->constant;
    assert_int_equal(pri_tensor_count(index), 3); /* channels 0, 5, 3 of 0, 3, 4, 5, 6 */
    assert_int_equal(pri_tensor_get_i64(index, 0), 0);
    assert_int_equal(pri_tensor_get_i64(index, 1), 3);
    assert_int_equal(pri_tensor_get_i64(index, 2), 1);
    pare_model_free(small);
    finish(&n);
}

static void indices_computed_at_run_time_keep_channels(void **state)
{
    network n = begin(13);

    (void)state;
    pri_value *index = test_op(n.graph, "GlobalMaxPool", "", TEST_LIST(n.x));
    index = test_op(n.graph, "HardSigmoid", "", TEST_LIST(index));
    index = test_op(n.graph, "Cast", "to=7", TEST_LIST(index));
    index = test_op(n.graph, "Reshape", "", TEST_LIST(index, number(&n, -1)));
    pri_value *y = test_op(n.graph, "Gather", "axis=1", TEST_LIST(n.x, index));
    end(&n, y, C);
    assert_true(is_pinned(&n, 0) && is_pinned(&n, C - 1));
    finish(&n);
}

static void stated_sizes_of_expand_follow_a_cut(void **state)
{
    const int64_t dims[4] = {1, C, SIZE, SIZE};
    network n = begin(13);

    (void)state;
    pri_value *y = test_op(n.graph, "GlobalAveragePool", "", TEST_LIST(n.x));
    y = test_op(n.graph, "Expand", "", TEST_LIST(y, test_ints(n.graph, 4, dims)));
    end(&n, test_op(n.graph, "Add", "", TEST_LIST(y, n.x)), C);
    pare_model_free(cut(&n, 2, (const int64_t[]){1, 6}));
    finish(&n);
}

static void equal_parts_become_unequal(void **state)
{
    network n = begin(18);
    pri_value *parts[2] = {pri_graph_add_value(n.graph, ""), pri_graph_add_value(n.graph, "")};

    (void)state;
    (void)test_node(n.graph, "Split", "axis=1 num_outputs=2", 1, &n.x, 2, parts);
    pri_value *y = test_op(n.graph, "Concat", "axis=1", TEST_LIST(parts[1], parts[0], parts[1]));
    end(&n, y, 3 * C / 2);
    pare_model *small = cut(&n, 3, (const int64_t[]){0, 1, 7});
    const pri_node *split = small->graph->nodes[1];
    assert_null(pri_node_attr(split, "num_outputs"));
    assert_int_equal(pri_tensor_get_i64(split->inputs[1]->constant, 0), 2);
    assert_int_equal(pri_tensor_get_i64(split->inputs[1]->constant, 1), 3);
    pare_model_free(small);
    finish(&n);
}

/* A reshape whose sizes come from the batch must not learn the batch of the analysis. */
static void a_computed_reshape_keeps_its_batch_open(void **state)
{
    const int64_t zero = 0, sizes[3] = {C, SIZE, SIZE};
    const pri_engine_options options = {.batch = 3};
    network n = begin(13);
    pri_engine *engine = NULL;

    (void)state;
    pri_value *batch = test_op(n.graph, "Shape", "", TEST_LIST(n.x));
    batch = test_op(n.graph, "Gather", "", TEST_LIST(batch, test_ints(n.graph, 1, &zero)));
    pri_value *shape =
        test_op(n.graph, "Concat", "axis=0", TEST_LIST(batch, test_ints(n.graph, 3, sizes)));
    end(&n, test_op(n.graph, "Reshape", "", TEST_LIST(n.x, shape)), C);
    pare_model *small = cut(&n, 2, (const int64_t[]){1, 6});
    test_ok(n.ctx, pri_engine_new(&engine, small, &options));
    const pri_shape out = pri_engine_output_shape(engine, 0);
    assert_int_equal(out.dims[0], 3);
    pri_engine_free(engine);
    pare_model_free(small);
    finish(&n);
}

/* Labels survive along rows there, but the operator cannot leave out rows of a block. */
static void channels_that_become_rows_stay(void **state)
{
    network n = begin(13);

    (void)state;
    pri_value *four = conv(n.graph, n.x, C, 4, 2);
    end(&n, test_op(n.graph, "DepthToSpace", "blocksize=2", TEST_LIST(four)), 1);
    const int axis = pri_groups_axis(n.groups, four, 1);
    assert_true(n.groups->units[pri_groups_unit(n.groups, axis, 0)].pin >= 0);
    pare_model_free(cut(&n, 1, (const int64_t[]){0}));
    finish(&n);
}

static void blocks_of_channels_go_together(void **state)
{
    network n = begin(13);

    (void)state;
    end(&n, test_op(n.graph, "DepthToSpace", "blocksize=2", TEST_LIST(n.x)), 2);
    assert_true(are_tied(&n, 0, 2) && are_tied(&n, 0, 6) && !are_tied(&n, 0, 1));
    pare_model_free(cut(&n, 1, (const int64_t[]){1}));
    finish(&n);
}

/* --- Sums over channels --- */

static void a_mean_over_channels_keeps_them(void **state)
{
    network n = begin(13);

    (void)state;
    pri_value *mean = test_op(n.graph, "ReduceMean", "axes=[1]", TEST_LIST(n.x));
    end(&n, test_op(n.graph, "Mul", "", TEST_LIST(n.x, mean)), C);
    assert_non_null(strstr(reason(&n, 2), "depends on all of these channels"));
    finish(&n);
}

static void a_mean_over_positions_does_not(void **state)
{
    network n = begin(13);

    (void)state;
    pri_value *mean = test_op(n.graph, "ReduceMean", "axes=[2,3]", TEST_LIST(n.x));
    end(&n, test_op(n.graph, "Mul", "", TEST_LIST(n.x, mean)), C);
    pare_model_free(cut(&n, 2, (const int64_t[]){2, 3}));
    finish(&n);
}

static void a_product_of_two_activations_keeps_what_it_sums(void **state)
{
    const int64_t flat[3] = {0, C, -1};
    network n = begin(13);

    (void)state;
    pri_value *a = test_op(n.graph, "Reshape", "", TEST_LIST(n.x, test_ints(n.graph, 3, flat)));
    pri_value *b = test_op(n.graph, "Transpose", "perm=[0,2,1]", TEST_LIST(a));
    pri_value *y = test_op(n.graph, "MatMul", "", TEST_LIST(b, a));
    y = test_op(n.graph, "Unsqueeze", "", TEST_LIST(y, number(&n, 1)));
    end(&n, y, 1);
    assert_non_null(strstr(reason(&n, 0), "two activations"));
    finish(&n);
}

static void weights_computed_in_the_graph_keep_channels(void **state)
{
    const int64_t dims[4] = {C, 4, 1, 1};
    network n = begin(13);

    (void)state;
    pri_value *w = test_weight(n.graph, 4, dims, 5, 0.3);
    w = test_op(n.graph, "Transpose", "perm=[1,0,2,3]", TEST_LIST(w));
    end(&n, test_op(n.graph, "Conv", "", TEST_LIST(n.x, w)), 4);
    assert_non_null(strstr(reason(&n, 0), "computed from other constants"));
    finish(&n);
}

/* --- Groups of convolutions --- */

static network grouped(int64_t groups, int64_t out)
{
    const int64_t dims[4] = {out, C / groups, 3, 3};
    char text[64];
    network n = begin(13);

    snprintf(text, sizeof text, "pads=[1,1,1,1] group=%lld", (long long)groups);
    pri_value *w = test_weight(n.graph, 4, dims, 3, 0.3);
    end(&n, test_op(n.graph, "Conv", text, TEST_LIST(n.x, w)), out);
    return n;
}

static void few_groups_lose_the_same_positions(void **state)
{
    network n = grouped(2, 6);

    (void)state;
    assert_true(are_tied(&n, 0, 4) && !are_tied(&n, 0, 1));
    pare_model *small = cut(&n, 2, (const int64_t[]){0, 3});
    assert_int_equal(pri_node_attr_int(small->graph->nodes[1], "group", 1), 2);
    pare_model_free(small);
    finish(&n);
}

static void many_groups_are_lost_whole(void **state)
{
    network n = grouped(4, 8);

    (void)state;
    assert_true(are_tied(&n, 0, 1) && !are_tied(&n, 0, 2));
    pare_model *small = cut(&n, 1, (const int64_t[]){2});
    assert_int_equal(pri_node_attr_int(small->graph->nodes[1], "group", 1), 3);
    pare_model_free(small);
    finish(&n);
}

static void a_depthwise_multiplier_goes_with_its_channel(void **state)
{
    network n = grouped(C, 3 * C);

    (void)state;
    pare_model *small = cut(&n, 3, (const int64_t[]){0, 1, 7});
    assert_int_equal(pri_node_attr_int(small->graph->nodes[1], "group", 1), C - 3);
    assert_int_equal(small->graph->nodes[1]->inputs[1]->constant->shape.dims[0], 3 * (C - 3));
    pare_model_free(small);
    finish(&n);
}

/* --- The oracle --- */

static void the_oracle_notices_one_weight(void **state)
{
    network n = begin(13);
    bool removed[64] = {false};
    double worst;

    (void)state;
    end(&n, n.x, C);
    pare_model *masked = NULL, *small = cut(&n, 1, (const int64_t[]){4});
    removed[unit_of(&n, 4) - n.groups->units] = true;
    test_ok(n.ctx, pare_model_clone(&masked, n.model));
    test_ok(n.ctx, pri_groups_mask_consumers(n.groups, masked, removed));
    pri_tensor *weight = small->graph->nodes[1]->inputs[1]->constant;
    test_ok(n.ctx, pri_tensor_own(weight));
    ((float *)weight->data)[5] += 0.01f;
    assert_int_equal(pri_groups_verify(masked, small, 3, 1e-4, &worst), PARE_ERROR_VERIFY);
    assert_int_equal(pri_groups_verify(n.model, masked, 3, 1e-4, &worst), PARE_ERROR_VERIFY);
    pare_model_free(masked);
    pare_model_free(small);
    finish(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_channel_taken_alone_stays),
        cmocka_unit_test(a_scalar_index_keeps_its_channel),
        cmocka_unit_test(a_concatenated_tensor_of_one_channel_stays),
        cmocka_unit_test(channels_taken_in_steps_stay),
        cmocka_unit_test(constant_indices_follow_a_cut),
        cmocka_unit_test(indices_computed_at_run_time_keep_channels),
        cmocka_unit_test(stated_sizes_of_expand_follow_a_cut),
        cmocka_unit_test(equal_parts_become_unequal),
        cmocka_unit_test(a_computed_reshape_keeps_its_batch_open),
        cmocka_unit_test(channels_that_become_rows_stay),
        cmocka_unit_test(blocks_of_channels_go_together),
        cmocka_unit_test(a_mean_over_channels_keeps_them),
        cmocka_unit_test(a_mean_over_positions_does_not),
        cmocka_unit_test(a_product_of_two_activations_keeps_what_it_sums),
        cmocka_unit_test(weights_computed_in_the_graph_keep_channels),
        cmocka_unit_test(few_groups_lose_the_same_positions),
        cmocka_unit_test(many_groups_are_lost_whole),
        cmocka_unit_test(a_depthwise_multiplier_goes_with_its_channel),
        cmocka_unit_test(the_oracle_notices_one_weight),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
