/* SPDX-License-Identifier: Apache-2.0 */
/* test_prune.c - the main path on real models: score, prune, verify. */
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <pare/pare.h>

#include "engine/engine.h"
#include "groups/groups.h"

static const char *keep_path(char *to, size_t size, const char *name)
{
    const char *path = test_shared(name);

    if (path == NULL)
        return NULL;
    snprintf(to, size, "%s", path);
    return to;
}

static void evaluates_resnet20_as_published(void **state)
{
    char model_path[1024], data_path[1024];
    pare_model *model = NULL;
    pare_data *data = NULL;
    pare_scores scores;

    (void)state;
    if (keep_path(model_path, sizeof model_path, "models/resnet20_cifar10.onnx") == NULL ||
        keep_path(data_path, sizeof data_path, "data/cifar10") == NULL)
        skip();
    pare_context *ctx = test_context();
    test_ok(ctx, pare_model_load(&model, ctx, model_path));
    test_ok(ctx, pare_model_set_preprocess(model, "cifar10"));
    test_ok(ctx, pare_data_open(&data, ctx, data_path, &(pare_data_options){0}));
    test_ok(ctx, pare_evaluate(&scores, model, data));
    assert_int_equal(scores.count, 8000);
    assert_true(fabs(scores.accuracy - 0.9180) < 0.0003);
    pare_scores_clear(&scores);
    pare_data_free(data);
    pare_model_free(model);
    pare_context_free(ctx);
}

static void every_weight_strategy_passes_the_oracle(void **state)
{
    static const pare_strategy strategies[] = {PARE_RANDOM, PARE_MAGNITUDE, PARE_BN_SCALE};
    char path[1024];
    pare_model *model = NULL;

    (void)state;
    if (keep_path(path, sizeof path, "models/resnet20_cifar10.onnx") == NULL)
        skip();
    pare_context *ctx = test_context();
    test_ok(ctx, pare_model_load(&model, ctx, path));
    for (size_t i = 0; i < PRI_COUNT(strategies); i++) {
        for (uint64_t seed = 0; seed < 5; seed++) {
            const pare_prune_options options = {
                .strategy = strategies[i],
                .target = {PARE_MACS, 0.8 - 0.1 * (double)seed, true},
                .no_fold = true,
                .no_refit = true,
                .per_layer = seed % 2 == 1,
                .seed = seed};
            pare_prune_result result = {0};
            pare_model *pruned = NULL;
            test_ok(ctx, pare_prune(&pruned, model, NULL, &options, &result));
            const double kept = (double)result.after.macs / (double)result.before.macs;
            assert_true(kept <= options.target.value && kept > 0.985 * options.target.value);
            assert_true(result.oracle < 1e-4);
            pare_prune_result_clear(&result);
            pare_model_free(pruned);
        }
    }
    pare_model_free(model);
    pare_context_free(ctx);
}

/* What stock tools make of a model must not depend on pare's fusion or layouts. */
static void fused_and_plain_engines_agree(void **state)
{
    static const char *const names[] = {"models/resnet20_cifar10.onnx", "models/mnist_cntk.onnx",
                                        "models/samplenet_cifar10.onnx"};

    (void)state;
    for (size_t i = 0; i < PRI_COUNT(names); i++) {
        const char *path = test_shared(names[i]);
        pare_model *model = NULL;
        pri_engine *engines[2] = {NULL, NULL};
        if (path == NULL)
            skip();
        pare_context *ctx = test_context();
        test_ok(ctx, pare_model_load(&model, ctx, path));
        for (int k = 0; k < 2; k++) {
            const pri_engine_options options = {.no_fusion = k == 1, .plain = k == 1};
            test_ok(ctx, pri_engine_new(&engines[k], model, &options));
            const pri_shape shape = pri_engine_input_shape(engines[k], 0);
            float *x = pri_engine_input(engines[k], 0);
            for (int64_t j = 0; j < pri_shape_count(&shape); j++)
                x[j] = sinf((float)j * 0.37f);
            test_ok(ctx, pri_engine_forward(engines[k]));
        }
        const pri_shape shape = pri_engine_output_shape(engines[0], 0);
        for (int64_t j = 0; j < pri_shape_count(&shape); j++)
            assert_true(fabsf(pri_engine_output(engines[0], 0)[j] -
                              pri_engine_output(engines[1], 0)[j]) < 1e-3f);
        pri_engine_free(engines[0]);
        pri_engine_free(engines[1]);
        pare_model_free(model);
        pare_context_free(ctx);
    }
}

static void an_impossible_target_is_refused(void **state)
{
    const pare_prune_options options = {.strategy = PARE_MAGNITUDE,
                                        .target = {PARE_MACS, 1e-6, true},
                                        .no_fold = true,
                                        .no_refit = true};
    const char *path = test_shared("models/resnet20_cifar10.onnx");
    pare_prune_result result = {0};
    pare_model *model = NULL, *pruned = NULL;

    (void)state;
    if (path == NULL)
        skip();
    pare_context *ctx = test_context();
    test_ok(ctx, pare_model_load(&model, ctx, path));
    assert_int_equal(pare_prune(&pruned, model, NULL, &options, &result), PARE_ERROR_TARGET);
    assert_null(pruned);
    assert_non_null(strstr(pare_context_message(ctx), "least"));
    pare_model_free(model);
    pare_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(evaluates_resnet20_as_published),
        cmocka_unit_test(every_weight_strategy_passes_the_oracle),
        cmocka_unit_test(fused_and_plain_engines_agree),
        cmocka_unit_test(an_impossible_target_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
