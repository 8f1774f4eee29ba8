/* SPDX-License-Identifier: Apache-2.0 */
/* test_inspect.c - what pare says of a model agrees with what it does to it. */
#include "support.h"

#include <string.h>

#include <pare/pare.h>

#include "model/model.h"

static pare_model *make(pare_context *ctx, const char *name)
{
    pare_model *model = NULL;

    test_ok(ctx, pare_model_new(&model, ctx, name, 10, 3, 32, 32, 1));
    return model;
}

static int find(const pare_inspection *in, const char *name)
{
    for (int i = 0; i < in->n_layers; i++) {
        if (strcmp(in->layers[i].name, name) == 0)
            return i;
    }
    fail_msg("there is no row '%s'", name);
    return -1;
}

static bool holds(const int *list, int n, int wanted)
{
    for (int i = 0; i < n; i++) {
        if (list[i] == wanted)
            return true;
    }
    return false;
}

static void totals_are_the_model_s_costs(void **state)
{
    (void)state;
    for (int k = 0; pare_architecture_name(k) != NULL; k++) {
        pare_context *ctx = test_context();
        pare_model *model = make(ctx, pare_architecture_name(k));
        pare_inspection *in = NULL;
        pare_costs costs;
        test_ok(ctx, pare_model_costs(model, &costs));
        test_ok(ctx, pare_inspect(&in, model));
        assert_int_equal(in->parameters, costs.parameters);
        assert_int_equal(in->macs, costs.macs);
        assert_int_equal(in->channels, costs.channels);
        assert_int_equal(in->n_unknown, 0);
        assert_string_equal(in->problem, "");
        assert_true(in->prunable_channels < in->channels);
        pare_inspection_free(in);
        pare_model_free(model);
        pare_context_free(ctx);
    }
}

static void residual_layers_share_a_group(void **state)
{
    pare_context *ctx = test_context();
    pare_model *model = make(ctx, "resnet20");
    pare_inspection *in = NULL;

    (void)state;
    test_ok(ctx, pare_inspect(&in, model));
    pare_model_free(model); /* the rows stand alone */
    const pare_layer *stem = &in->layers[find(in, "conv1")];
    assert_true(stem->makes_channels);
    assert_int_equal(stem->channels, 16);
    assert_int_equal(stem->prunable, 16);
    assert_int_equal(stem->n_groups, 1);
    assert_string_equal(stem->reason, "");
    const pare_group *group = &in->groups[stem->groups[0]];
    assert_string_equal(group->name, "conv1");
    assert_int_equal(group->n_makers, 4);
    assert_true(holds(group->makers, group->n_makers, find(in, "layer1.2.conv2")));
    assert_false(holds(group->makers, group->n_makers, find(in, "layer1.2.conv1")));
    assert_int_equal(group->n_readers, 5);
    assert_true(holds(group->readers, group->n_readers, find(in, "layer2.0.downsample.0")));
    const pare_layer *last = &in->layers[find(in, "fc")];
    assert_int_equal(last->prunable, 0);
    assert_non_null(strstr(last->reason, "'scores'"));
    assert_int_equal(in->n_reasons, 1);
    assert_int_equal(in->reasons[0].units, 10);
    assert_int_equal(in->reasons[0].places, 1);
    pare_inspection_free(in);
    pare_context_free(ctx);
}

static void edges_run_forward_and_reach_the_ends(void **state)
{
    pare_context *ctx = test_context();
    pare_model *model = make(ctx, "duo");
    pare_inspection *in = NULL;
    int n_inputs = 0, n_outputs = 0;

    (void)state;
    test_ok(ctx, pare_inspect(&in, model));
    for (int i = 0; i < in->n_edges; i++) {
        const pare_edge *edge = &in->edges[i];
        n_inputs += edge->from < 0;
        n_outputs += edge->to < 0;
        assert_true(edge->to < 0 || edge->from < edge->to);
        assert_true(edge->from < in->n_layers && edge->to < in->n_layers);
    }
    assert_int_equal(n_inputs, 1);
    assert_int_equal(n_outputs, 2);
    pare_inspection_free(in);
    pare_model_free(model);
    pare_context_free(ctx);
}

/* The share said to be prunable is what pruning reaches, and no more. */
static void the_prunable_share_is_what_pruning_reaches(void **state)
{
    static const char *const names[] = {"resnet20", "unet", "lenet5"};

    (void)state;
    for (size_t k = 0; k < PRI_COUNT(names); k++) {
        pare_context *ctx = test_context();
        pare_model *model = make(ctx, names[k]), *pruned = NULL;
        pare_inspection *in = NULL;
        pare_prune_result result = {0};
        test_ok(ctx, pare_inspect(&in, model));
        const double least = 1 - (double)in->prunable_macs / (double)in->macs;
        assert_true(least > 0 && least < 0.1);
        pare_prune_options options = {.strategy = PARE_MAGNITUDE,
                                      .target = {PARE_MACS, least * 1.001, true},
                                      .no_fold = true,
                                      .no_refit = true};
        test_ok(ctx, pare_prune(&pruned, model, NULL, &options, &result));
        pare_prune_result_clear(&result);
        pare_model_free(pruned);
        options.target.value = least * 0.99;
        assert_int_equal(pare_prune(&pruned, model, NULL, &options, &result), PARE_ERROR_TARGET);
        pare_inspection_free(in);
        pare_model_free(model);
        pare_context_free(ctx);
    }
}

/* --- What pare does not know --- */

static pri_value *add_conv(pri_graph *graph, const char *name, pri_value *x)
{
    const int64_t dims[4] = {4, 4, 1, 1};
    const pri_shape shape = pri_shape_of(4, dims);
    pri_tensor *tensor = NULL;

    test_ok(graph->ctx, pri_tensor_new(&tensor, graph->ctx, PRI_F32, &shape));
    pri_value *inputs[2] = {x, pri_graph_add_constant(graph, "", tensor)};
    pri_value *output = pri_graph_add_value(graph, "");
    assert_non_null(pri_graph_add_node(graph, "Conv", name, 2, inputs, 1, &output));
    return output;
}

/* conv a - Mystery - conv b - output; `open` leaves the image's width open. */
static pare_model *make_mysterious(pare_context *ctx, bool open)
{
    const int64_t dims[4] = {1, 4, 8, open ? PRI_DYNAMIC : 8};
    const pri_shape shape = pri_shape_of(4, dims);
    pare_model *model = NULL;
    pri_graph *graph = NULL;

    test_ok(ctx, pri_graph_new(&graph, ctx));
    pri_value *x = pri_graph_add_value(graph, "x");
    test_ok(ctx, pri_graph_add_input(graph, x, PRI_F32, &shape));
    x = add_conv(graph, "a", x);
    pri_value *strange = pri_graph_add_value(graph, "strange");
    assert_non_null(pri_graph_add_node(graph, "Mystery", "m", 1, &x, 1, &strange));
    x = add_conv(graph, "b", strange);
    test_ok(ctx, pri_graph_add_output(graph, x, PRI_F32, NULL));
    test_ok(ctx, pri_model_from_graph(&model, graph));
    return model;
}

static void an_unknown_operator_is_shown_and_blocks(void **state)
{
    pare_context *ctx = test_context();
    pare_model *model = make_mysterious(ctx, false);
    pare_inspection *in = NULL;

    (void)state;
    test_ok(ctx, pare_inspect(&in, model));
    assert_int_equal(in->n_layers, 3);
    const pare_layer *a = &in->layers[0], *m = &in->layers[1], *b = &in->layers[2];
    assert_int_equal(a->rank, 4);
    assert_int_equal(a->dims[1], 4);
    assert_int_equal(a->macs, 4 * 4 * 64);
    assert_int_equal(a->prunable, 0);
    assert_non_null(strstr(a->reason, "Mystery"));
    assert_string_equal(a->problem, "");
    assert_int_equal(m->rank, -1);
    assert_int_equal(m->macs, -1);
    assert_int_equal(strncmp(m->problem, "operator Mystery is not supported", 33), 0);
    assert_false(m->is_downstream);
    assert_int_equal(b->rank, -1);
    assert_int_equal(b->macs, -1);
    assert_int_equal(b->parameters, 16);
    assert_true(b->is_downstream);
    assert_int_equal(in->n_unknown, 2);
    assert_int_equal(in->prunable_macs, 0);
    assert_non_null(strstr(in->problem, "Mystery"));
    pare_inspection_free(in);
    pare_model_free(model);
    pare_context_free(ctx);
}

static void an_open_dimension_is_named(void **state)
{
    const int64_t dims[4] = {1, 4, 8, 8};
    pare_context *ctx = test_context();
    pare_model *model = make_mysterious(ctx, true);
    pare_inspection *in = NULL;

    (void)state;
    test_ok(ctx, pare_inspect(&in, model));
    assert_int_equal(in->layers[0].rank, -1);
    assert_non_null(
        strstr(in->problem, "the size of input 'x' is open; state it with --input 'x:"));
    pare_inspection_free(in);
    test_ok(ctx, pare_model_set_input_shape(model, 0, 4, dims));
    test_ok(ctx, pare_inspect(&in, model));
    assert_int_equal(in->layers[0].rank, 4);
    pare_inspection_free(in);
    pare_model_free(model);
    pare_context_free(ctx);
}

/* Detectors, segmentation, sub-graphs, recurrent nets: whatever loads can be looked at. */
static void real_models_can_be_inspected(void **state)
{
    static const char *const names[] = {
        "models/silero_vad_16k_op15.onnx", "models/deeplabv3_mnv2dm05_voc_257.onnx",
        "models/fastestdet.onnx",          "models/yolox_nano.onnx",
        "models/yunet_n_dynamic.onnx",     "models/ppocr_mobile_v2_cls.onnx",
        "models/light_inception_v1.onnx",  "models/resnet20_cifar10.onnx"};

    (void)state;
    for (size_t k = 0; k < PRI_COUNT(names); k++) {
        const char *path = test_shared(names[k]);
        pare_context *ctx = NULL;
        pare_model *model = NULL;
        pare_inspection *in = NULL;
        pare_costs costs;
        if (path == NULL)
            skip();
        ctx = test_context();
        test_ok(ctx, pare_model_load(&model, ctx, path));
        test_ok(ctx, pare_inspect(&in, model));
        test_ok(ctx, pare_model_costs(model, &costs));
        assert_true(in->n_layers > 0);
        assert_int_equal(in->macs, costs.macs);
        pare_inspection_free(in);
        pare_model_free(model);
        pare_context_free(ctx);
    }
}

static void running_out_of_memory_is_an_error(void **state)
{
    pare_context *ctx = test_context();
    pare_model *model = make(ctx, "resnet20");
    pare_status status = PARE_ERROR_MEMORY;
    int64_t n = 0;

    (void)state;
    for (; status != PARE_OK; n++) {
        pare_inspection *in = NULL;
        pri_fail_allocation(ctx, n + 1);
        status = pare_inspect(&in, model);
        pri_fail_allocation(ctx, 0);
        assert_true(status == PARE_OK ? in != NULL : in == NULL && status == PARE_ERROR_MEMORY);
        pare_inspection_free(in);
    }
    assert_true(n > 20);
    pare_inspection_free(NULL);
    pare_model_free(model);
    pare_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(totals_are_the_model_s_costs),
        cmocka_unit_test(residual_layers_share_a_group),
        cmocka_unit_test(edges_run_forward_and_reach_the_ends),
        cmocka_unit_test(the_prunable_share_is_what_pruning_reaches),
        cmocka_unit_test(an_unknown_operator_is_shown_and_blocks),
        cmocka_unit_test(an_open_dimension_is_named),
        cmocka_unit_test(real_models_can_be_inspected),
        cmocka_unit_test(running_out_of_memory_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
