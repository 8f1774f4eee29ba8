/* SPDX-License-Identifier: Apache-2.0 */
/* test_targets.c - what is to be kept: as text, met, aligned. */
#include "blobs.h"

#include <math.h>
#include <string.h>

#include "kernels/channel_step.h"
#include "model/model.h"
#include "onnx/onnx_io.h"

static void targets_are_read(void **state)
{
    static const struct {
        const char *text;
        pare_quantity quantity;
        double value;
        bool is_share;
    } good[] = {{"macs=50%", PARE_MACS, 0.5, true},
                {"params=0.3", PARE_PARAMETERS, 0.3, true},
                {"bytes=500k", PARE_BYTES, 5e5, false},
                {"macs=1.5M", PARE_MACS, 1.5e6, false},
                {"channels=60%", PARE_CHANNELS, 0.6, true}};
    static const char *const bad[] = {"macs",     "macs=",     "macs=abc", "macs=-3",
                                      "macs=0",   "macs=100%", "macs=5x",  "time=3",
                                      "macs=nan", "=3",        "macs=1"};
    pare_context *ctx = test_context();
    pare_target target;

    (void)state;
    for (size_t i = 0; i < PRI_COUNT(good); i++) {
        test_ok(ctx, pare_target_parse(&target, ctx, good[i].text));
        assert_int_equal(target.quantity, good[i].quantity);
        assert_true(fabs(target.value - good[i].value) < 1e-9 * good[i].value);
        assert_int_equal(target.is_share, good[i].is_share);
    }
    for (size_t i = 0; i < PRI_COUNT(bad); i++) {
        assert_int_equal(pare_target_parse(&target, ctx, bad[i]), PARE_ERROR_ARGUMENT);
        assert_non_null(strstr(pare_context_message(ctx), "="));
    }
    pare_context_free(ctx);
}

static void targets_are_met_within_a_percent(void **state)
{
    pare_context *ctx = test_context();
    pare_model *model = test_network(ctx, "resnet56");

    (void)state;
    for (int q = 0; q < 3; q++) {
        for (int way = 0; way < 3; way++) {
            const pare_prune_options options = {.strategy = PARE_MAGNITUDE,
                                                .target = {(pare_quantity)q, 0.45, true},
                                                .align = way == 2 ? PARE_ALIGN_AUTO : 1,
                                                .per_layer = way == 1};
            pare_prune_result result;
            pare_model *pruned = NULL;
            test_ok(ctx, pare_prune(&pruned, model, NULL, &options, &result));
            const double share = test_achieved(&result, (pare_quantity)q);
            assert_true(share > 0.445 && share < 0.4545);
            assert_true(result.oracle < 1e-4);
            pare_prune_result_clear(&result);
            pare_model_free(pruned);
        }
    }
    pare_model_free(model);
    pare_context_free(ctx);
}

/* Half of the bytes is half of the file also where a number takes two. */
static void bytes_of_half_floats_are_met(void **state)
{
    pare_context *ctx = test_context();
    pare_model *whole = test_network(ctx, "resnet56"), *model = NULL, *pruned = NULL;
    const pare_prune_options options = {.strategy = PARE_MAGNITUDE,
                                        .target = {PARE_BYTES, 0.5, true}};
    unsigned char *bytes = NULL;
    size_t size = 0;
    pare_prune_result result;

    (void)state;
    for (int i = 0; i < whole->graph->n_values; i++) {
        pri_value *value = whole->graph->values[i];
        if (value->dtype != PRI_F32 && (value->constant == NULL || value->dtype != PRI_UNDEFINED))
            continue;
        if (value->constant == NULL || value->constant->dtype == PRI_F32)
            value->dtype = PRI_F16;
    }
    test_ok(ctx, pri_onnx_export_bytes(&bytes, &size, whole->graph));
    test_ok(ctx, pare_model_parse(&model, ctx, bytes, size));
    test_ok(ctx, pare_prune(&pruned, model, NULL, &options, &result));
    const double share = test_achieved(&result, PARE_BYTES);
    assert_true(share > 0.49 && share < 0.51);
    pare_prune_result_clear(&result);
    pri_free(bytes);
    pare_model_free(pruned);
    pare_model_free(model);
    pare_model_free(whole);
    pare_context_free(ctx);
}

/* Costs are of one sample, whatever batch the model declares. */
static void a_fixed_batch_changes_no_target(void **state)
{
    static const int64_t dims[] = {8, 1, 16, 16};

    (void)state;
    for (int rounds = 0; rounds < 3; rounds++) { /* 0: pare_prune with an absolute number */
        pare_context *ctx = test_context();
        pare_model *model = test_network(ctx, "resnet20"), *pruned = NULL;
        pare_recipe recipe = {
            .prune = {.strategy = PARE_MAGNITUDE, .target = {PARE_MACS, 0.5, true}},
            .rounds = rounds};
        pare_recipe_result result = {0};
        pare_costs whole;
        test_ok(ctx, pare_model_set_input_shape(model, 0, 4, dims));
        test_ok(ctx, pare_model_costs(model, &whole));
        if (rounds == 0) {
            recipe.prune.target = (pare_target){PARE_MACS, 0.5 * (double)whole.macs, false};
            test_ok(ctx, pare_prune(&pruned, model, NULL, &recipe.prune, &result.pruning));
        } else {
            test_ok(ctx, pare_run_recipe(&pruned, model, NULL, NULL, &recipe, &result));
        }
        const double share = test_achieved(&result.pruning, PARE_MACS);
        assert_true(share > 0.495 && share < 0.505);
        pare_recipe_result_clear(&result);
        pare_model_free(pruned);
        pare_model_free(model);
        pare_context_free(ctx);
    }
}

static void aligned_counts_are_multiples(void **state)
{
    pare_context *ctx = test_context();
    pare_model *model = test_network(ctx, "resnet20"), *pruned = NULL;
    const pare_prune_options options = {
        .strategy = PARE_RANDOM, .target = {PARE_MACS, 0.5, true}, .align = 8, .seed = 5};
    pare_prune_result result;
    int cut = 0;

    (void)state;
    test_ok(ctx, pare_prune(&pruned, model, NULL, &options, &result));
    for (int g = 0; g < result.n_groups; g++) {
        assert_true(result.groups[g].after % 8 == 0 && result.groups[g].after > 0);
        cut += result.groups[g].after < result.groups[g].before;
    }
    assert_true(cut > 3);
    pare_prune_result_clear(&result);
    pare_model_free(pruned);
    pare_model_free(model);
    pare_context_free(ctx);
}

/* Wide groups end at multiples of the machine's step, narrower ones at multiples of 4, but for the
 * last step. */
static void auto_alignment_goes_by_the_width(void **state)
{
    pare_context *ctx = test_context();
    pare_model *model = test_network(ctx, "resnet56");
    const int step = pri_channel_step(ctx);

    (void)state;
    for (uint64_t seed = 0; seed < 4; seed++) {
        const pare_prune_options options = {.strategy = PARE_RANDOM,
                                            .target = {PARE_MACS, 0.8 - 0.1 * (double)seed, true},
                                            .align = PARE_ALIGN_AUTO,
                                            .seed = seed};
        pare_prune_result result;
        pare_model *pruned = NULL;
        int wide = 0, finer = 0;
        test_ok(ctx, pare_prune(&pruned, model, NULL, &options, &result));
        for (int g = 0; g < result.n_groups; g++) {
            const pare_pruned_group *group = &result.groups[g];
            assert_int_equal(group->after % 4, 0);
            if (group->after == group->before || group->before < 32)
                continue;
            wide++;
            finer += group->after % step != 0;
        }
        const double share = test_achieved(&result, PARE_MACS);
        assert_true(share > 0.985 * options.target.value && share <= options.target.value);
        assert_true(wide > 3 && finer <= 2);
        pare_prune_result_clear(&result);
        pare_model_free(pruned);
    }
    pare_model_free(model);
    pare_context_free(ctx);
}

/* What only single channels reach is reached by them, as far as without alignment. */
static void auto_alignment_reaches_what_single_channels_do(void **state)
{
    pare_context *ctx = test_context();
    pare_model *model = test_network(ctx, "resnet20");
    const int64_t aligns[] = {1, PARE_ALIGN_AUTO, 16};

    (void)state;
    for (size_t k = 0; k < PRI_COUNT(aligns); k++) {
        const pare_prune_options options = {
            .strategy = PARE_MAGNITUDE, .target = {PARE_MACS, 0.02, true}, .align = aligns[k]};
        pare_prune_result result;
        pare_model *pruned = NULL;
        const pare_status status = pare_prune(&pruned, model, NULL, &options, &result);
        assert_int_equal(status, aligns[k] == 16 ? PARE_ERROR_TARGET : PARE_OK);
        if (status == PARE_OK)
            assert_true(test_achieved(&result, PARE_MACS) <= 0.02);
        pare_prune_result_clear(&result);
        pare_model_free(pruned);
    }
    pare_model_free(model);
    pare_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_are_read),
        cmocka_unit_test(targets_are_met_within_a_percent),
        cmocka_unit_test(bytes_of_half_floats_are_met),
        cmocka_unit_test(a_fixed_batch_changes_no_target),
        cmocka_unit_test(aligned_counts_are_multiples),
        cmocka_unit_test(auto_alignment_goes_by_the_width),
        cmocka_unit_test(auto_alignment_reaches_what_single_channels_do),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
