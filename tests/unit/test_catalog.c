/* SPDX-License-Identifier: Apache-2.0 */
/* test_catalog.c - every network that can be made: runs, has the published size, can be pruned. */
#include "support.h"

#include <math.h>
#include <string.h>

#include <pare/pare.h>

#include "engine/engine.h"
#include "onnx/onnx_io.h"

/* Sizes of the literature with 10 classes: Han et al. 2015 (LeNets), He et al. 2016 (0.27 M,
 * 0.85 M), torchvision's resnet18, mobilenet_v2 and vgg16_bn with one dense layer of 10 outputs. */
static const struct {
    const char *name;
    int64_t channels, size;
    double least, most; /* parameters */
    int outputs;
} nets[] = {
    {"lenet5", 1, 28, 431080, 431080, 1},     {"lenet-300-100", 1, 28, 266610, 266610, 1},
    {"vgg16-bn", 3, 32, 14.70e6, 14.75e6, 1}, {"resnet20", 3, 32, 0.268e6, 0.275e6, 1},
    {"resnet56", 3, 32, 0.848e6, 0.861e6, 1}, {"resnet18", 3, 32, 11.16e6, 11.19e6, 1},
    {"mobilenetv2", 3, 32, 2.2e6, 2.3e6, 1},  {"unet", 3, 32, 1.9e6, 2.0e6, 1},
    {"duo", 3, 48, 150e3, 300e3, 2},
};

static pare_model *make(pare_context *ctx, size_t k, uint64_t seed)
{
    pare_model *model = NULL;

    test_ok(ctx, pare_model_new(&model, ctx, nets[k].name, 10, nets[k].channels, nets[k].size,
                                nets[k].size, seed));
    return model;
}

static void every_architecture_is_tested_here(void **state)
{
    (void)state;
    for (size_t k = 0; k < PRI_COUNT(nets); k++) {
        assert_string_equal(pare_architecture_name((int)k), nets[k].name);
        assert_true(strlen(pare_architecture_summary((int)k)) > 10);
    }
    assert_null(pare_architecture_name((int)PRI_COUNT(nets)));
    assert_null(pare_architecture_summary((int)PRI_COUNT(nets)));
    assert_null(pare_architecture_name(-1));
}

static void check_output(pare_context *ctx, pri_engine *engine, const pare_model *model, int k)
{
    const pri_shape shape = pri_engine_output_shape(engine, k);
    const float *y = pri_engine_output(engine, k);
    int64_t dims[PARE_MAX_RANK];
    const int rank = pare_model_output_shape(model, k, dims);
    double low = INFINITY, high = -INFINITY;

    (void)ctx;
    assert_int_equal(shape.rank, rank);
    assert_int_equal(dims[0], -1);
    assert_int_equal(shape.dims[0], 3);
    for (int a = 1; a < rank; a++)
        assert_int_equal(shape.dims[a], dims[a]);
    for (int64_t i = 0; i < pri_shape_count(&shape); i++) {
        assert_true(isfinite(y[i]));
        low = fmin(low, y[i]);
        high = fmax(high, y[i]);
    }
    assert_true(high > low);
    if (strcmp(pare_model_output_name(model, k), "scores") == 0) {
        assert_int_equal(rank, 2);
        assert_int_equal(dims[1], 10);
    } else {
        assert_string_equal(pare_model_output_name(model, k), "mask");
        assert_int_equal(rank, 4);
        assert_true(dims[1] == 10 || dims[1] == 11);
        assert_true(dims[2] == dims[3]);
    }
}

static void runs_and_has_the_published_size(void **state)
{
    (void)state;
    for (size_t k = 0; k < PRI_COUNT(nets); k++) {
        pare_context *ctx = test_context();
        pare_model *model = make(ctx, k, 1);
        pri_engine *engine = NULL;
        pare_costs costs;
        int n_outputs = 0;
        test_ok(ctx, pare_model_costs(model, &costs));
        assert_true((double)costs.parameters >= nets[k].least);
        assert_true((double)costs.parameters <= nets[k].most);
        assert_string_equal(pare_model_input_name(model, 0), "image");
        test_ok(ctx, pri_engine_new(&engine, model, &(pri_engine_options){.batch = 3}));
        const pri_shape shape = pri_engine_input_shape(engine, 0);
        float *x = pri_engine_input(engine, 0);
        for (int64_t i = 0; i < pri_shape_count(&shape); i++)
            x[i] = sinf((float)i * 0.37f);
        test_ok(ctx, pri_engine_forward(engine));
        for (; pare_model_output_name(model, n_outputs) != NULL; n_outputs++)
            check_output(ctx, engine, model, n_outputs);
        assert_int_equal(n_outputs, nets[k].outputs);
        pri_engine_free(engine);
        pare_model_free(model);
        pare_context_free(ctx);
    }
}

static void the_small_two_headed_network_is_cheap(void **state)
{
    pare_context *ctx = test_context();
    pare_model *model = make(ctx, PRI_COUNT(nets) - 1, 0);
    pare_costs costs;

    (void)state;
    test_ok(ctx, pare_model_costs(model, &costs));
    assert_true(costs.macs > 3000000 && costs.macs < 8000000);
    pare_model_free(model);
    pare_context_free(ctx);
}

static void export_bytes(unsigned char **bytes, size_t *size, pare_context *ctx, size_t k,
                         uint64_t seed)
{
    pare_model *model = make(ctx, k, seed);

    test_ok(ctx, pri_onnx_export_bytes(bytes, size, model->graph));
    pare_model_free(model);
}

static void the_same_seed_gives_the_same_bytes(void **state)
{
    (void)state;
    for (size_t k = 0; k < PRI_COUNT(nets); k++) {
        pare_context *ctx = test_context();
        unsigned char *bytes[3];
        size_t sizes[3];
        for (uint64_t i = 0; i < 3; i++)
            export_bytes(&bytes[i], &sizes[i], ctx, k, i < 2 ? 7 : 8);
        assert_int_equal(sizes[0], sizes[1]);
        assert_memory_equal(bytes[0], bytes[1], sizes[0]);
        assert_int_equal(sizes[0], sizes[2]);
        assert_memory_not_equal(bytes[0], bytes[2], sizes[0]);
        for (int i = 0; i < 3; i++)
            pri_free(bytes[i]);
        pare_context_free(ctx);
    }
}

/* The variance of a layer's first weights is 2 / fan-in (He et al. 2015). */
static void weights_have_the_variance_that_keeps_signals(void **state)
{
    pare_context *ctx = test_context();
    pare_model *model = make(ctx, 5, 3);
    const pri_value *weight = pri_graph_find_value(model->graph, "layer2.0.conv2.weight");
    double sum = 0, squares = 0;

    (void)state;
    assert_non_null(weight);
    const float *data = weight->constant->data;
    const double n = (double)pri_tensor_count(weight->constant);
    for (int64_t i = 0; i < (int64_t)n; i++) {
        sum += data[i];
        squares += (double)data[i] * data[i];
    }
    const double expected = 2.0 / (128 * 9);
    assert_true(fabs(sum / n) < 4 * sqrt(expected / n));
    assert_true(fabs(squares / n / expected - 1) < 4 * sqrt(2 / n));
    pare_model_free(model);
    pare_context_free(ctx);
}

static void every_architecture_can_be_halved(void **state)
{
    const pare_prune_options options = {.strategy = PARE_MAGNITUDE,
                                        .target = {PARE_MACS, 0.5, true},
                                        .no_fold = true,
                                        .no_refit = true};

    (void)state;
    for (size_t k = 0; k < PRI_COUNT(nets); k++) {
        pare_context *ctx = test_context();
        pare_model *model = make(ctx, k, 2), *pruned = NULL;
        pare_prune_result result = {0};
        test_ok(ctx, pare_prune(&pruned, model, NULL, &options, &result));
        assert_true(result.after.macs * 2 <= result.before.macs);
        assert_true((double)result.after.macs > 0.48 * (double)result.before.macs);
        assert_true(result.oracle < 1e-4);
        pare_prune_result_clear(&result);
        pare_model_free(pruned);
        pare_model_free(model);
        pare_context_free(ctx);
    }
}

static void impossible_wishes_are_refused(void **state)
{
    static const struct {
        const char *name;
        int64_t classes, channels, height, width;
        const char *message;
    } wishes[] = {
        {"resnet21", 10, 3, 32, 32, "resnet20, resnet56"},
        {"", 10, 3, 32, 32, "known are lenet5"},
        {"resnet20", 0, 3, 32, 32, "number of classes"},
        {"resnet20", -5, 3, 32, 32, "number of classes"},
        {"resnet20", INT64_MAX, 3, 32, 32, "number of classes"},
        {"resnet20", 10, 0, 32, 32, "input channels"},
        {"resnet20", 10, 3, 1, 1, "at least 8x8"},
        {"resnet20", 10, 3, INT64_MAX, 32, "input height"},
        {"resnet20", 10, 3, 32, -1, "input width"},
        {"unet", 10, 3, 40, 32, "multiples of 16"},
        {"duo", 10, 3, 48, 49, "multiples of 16"},
        {"lenet5", 10, 1, 15, 28, "at least 16x16"},
    };
    pare_context *ctx = test_context();

    (void)state;
    for (size_t i = 0; i < PRI_COUNT(wishes); i++) {
        pare_model *model = NULL;
        assert_int_equal(pare_model_new(&model, ctx, wishes[i].name, wishes[i].classes,
                                        wishes[i].channels, wishes[i].height, wishes[i].width, 0),
                         PARE_ERROR_ARGUMENT);
        assert_null(model);
        if (strstr(pare_context_message(ctx), wishes[i].message) == NULL)
            fail_msg("'%s' does not say '%s'", pare_context_message(ctx), wishes[i].message);
    }
    pare_context_free(ctx);
}

/* The least sizes of the table must hold: nothing may shrink to nothing. */
static void the_smallest_images_fit(void **state)
{
    static const int64_t sizes[] = {16, 2, 8, 8, 8, 16, 16, 16, 16};

    (void)state;
    for (size_t k = 0; k < PRI_COUNT(nets); k++) {
        pare_context *ctx = test_context();
        pare_model *model = NULL;
        pri_engine *engine = NULL;
        test_ok(ctx, pare_model_new(&model, ctx, nets[k].name, 2, 1, sizes[k], sizes[k], 0));
        test_ok(ctx, pri_engine_new(&engine, model, &(pri_engine_options){.batch = 3}));
        test_ok(ctx, pri_engine_forward(engine));
        pri_engine_free(engine);
        pare_model_free(model);
        pare_context_free(ctx);
    }
}

/* Every allocation fails in turn: a clear status, nothing leaks (seen by the sanitizer). */
static void running_out_of_memory_is_an_error(void **state)
{
    pare_context *ctx = test_context();
    pare_status status = PARE_ERROR_MEMORY;
    int64_t n = 0;

    (void)state;
    while (status != PARE_OK) {
        pare_model *model = NULL;
        pri_fail_allocation(ctx, ++n);
        status = pare_model_new(&model, ctx, "duo", 3, 3, 16, 16, 0);
        pri_fail_allocation(ctx, 0);
        assert_true(status == PARE_OK ? model != NULL
                                      : model == NULL && status == PARE_ERROR_MEMORY);
        pare_model_free(model);
    }
    assert_true(n > 20);
    pare_context_free(ctx);
}

/* --- Lists --- */

static void every_operator_is_listed_whole(void **state)
{
    pare_operator op;
    int n = 0;

    (void)state;
    for (; pare_operator_at(&op, n); n++) {
        assert_true(op.name[0] != '\0' && op.summary[0] != '\0');
        assert_non_null(op.domain);
        assert_true(op.min_opset >= 1 && op.min_opset <= op.max_opset);
        assert_true(strlen(pare_coupling_summary(op.coupling)) > 10);
        if (strcmp(op.name, "Conv") == 0)
            assert_true(op.coupling == PARE_COUPLING_LAYER && op.has_gradient);
        if (strcmp(op.name, "Add") == 0)
            assert_string_equal(pare_coupling_name(op.coupling), "ties");
        if (strcmp(op.name, "Transpose") == 0)
            assert_string_equal(pare_coupling_name(op.coupling), "moves");
    }
    assert_true(n > 40);
    assert_false(pare_operator_at(&op, -1));
}

static void every_list_is_filled(void **state)
{
    static const pare_list lists[] = {PARE_LIST_ARCHITECTURES, PARE_LIST_STRATEGIES,
                                      PARE_LIST_PREPROCESSING, PARE_LIST_FORMATS};
    pare_entry entry;
    pare_strategy strategy;

    (void)state;
    for (size_t k = 0; k < PRI_COUNT(lists); k++) {
        int n = 0;
        for (; pare_entry_at(&entry, lists[k], n); n++) {
            assert_true(entry.name[0] != '\0' && entry.summary[0] != '\0');
            if (lists[k] == PARE_LIST_STRATEGIES)
                assert_true(pare_strategy_parse(&strategy, entry.name) && (int)strategy == n);
        }
        assert_true(n >= 4);
        assert_false(pare_entry_at(&entry, lists[k], -1));
    }
}

/* What `pare list preprocessing` names, a model takes (but for the pattern at the end). */
static void listed_preprocessing_is_understood(void **state)
{
    pare_context *ctx = test_context();
    pare_model *model = make(ctx, 0, 0);
    pare_entry entry;

    (void)state;
    for (int i = 0; pare_entry_at(&entry, PARE_LIST_PREPROCESSING, i); i++) {
        if (strchr(entry.name, '=') == NULL)
            test_ok(ctx, pare_model_set_preprocess(model, entry.name));
    }
    pare_model_free(model);
    pare_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_architecture_is_tested_here),
        cmocka_unit_test(runs_and_has_the_published_size),
        cmocka_unit_test(the_small_two_headed_network_is_cheap),
        cmocka_unit_test(the_same_seed_gives_the_same_bytes),
        cmocka_unit_test(weights_have_the_variance_that_keeps_signals),
        cmocka_unit_test(every_architecture_can_be_halved),
        cmocka_unit_test(impossible_wishes_are_refused),
        cmocka_unit_test(the_smallest_images_fit),
        cmocka_unit_test(running_out_of_memory_is_an_error),
        cmocka_unit_test(every_operator_is_listed_whole),
        cmocka_unit_test(every_list_is_filled),
        cmocka_unit_test(listed_preprocessing_is_understood),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
