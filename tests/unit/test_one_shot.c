/* SPDX-License-Identifier: Apache-2.0 */
/* test_one_shot.c - one pruning of a made model: draws, actions, repairs. */
#include "blobs.h"

#include <string.h>

#include "data/data.h"

/* What is reported of several draws is of the one that is kept, here the first of three. */
static void the_kept_draw_is_reported(void **state)
{
    int n_kept_first = 0;

    (void)state;
    for (uint64_t seed = 1; seed < 7; seed++) {
        pare_context *ctx = test_context();
        pare_data *data = test_blobs(ctx, 64, 1);
        pare_model *model = test_network(ctx, "lenet5"), *models[2] = {NULL, NULL};
        pare_prune_result results[2];
        for (int k = 0; k < 2; k++) {
            const pare_prune_options options = {.strategy = PARE_RANDOM,
                                                .target = {PARE_MACS, 0.5, true},
                                                .draws = k == 0 ? 1 : 3,
                                                .no_refit = true,
                                                .no_recalibrate = true,
                                                .seed = seed};
            test_ok(ctx, pare_prune(&models[k], model, data, &options, &results[k]));
        }
        if (test_output_error(ctx, models[0], models[1], data) == 0) {
            n_kept_first++;
            assert_int_equal(results[0].removed, results[1].removed);
            assert_true(results[0].oracle == results[1].oracle);
            for (int g = 0; g < results[0].n_groups; g++)
                assert_int_equal(results[0].groups[g].after, results[1].groups[g].after);
        }
        for (int k = 0; k < 2; k++) {
            pare_prune_result_clear(&results[k]);
            pare_model_free(models[k]);
        }
        pare_model_free(model);
        pare_data_free(data);
        pare_context_free(ctx);
    }
    assert_true(n_kept_first > 0);
}

static void masking_computes_what_deleting_does(void **state)
{
    pare_context *ctx = test_context();
    pare_data *data = test_blobs(ctx, 64, 1);
    pare_model *model = test_network(ctx, "resnet20"), *models[2] = {NULL, NULL};
    pare_prune_options options = {.strategy = PARE_MAGNITUDE, .target = {PARE_MACS, 0.5, true}};
    pare_prune_result results[2];

    (void)state;
    for (int k = 0; k < 2; k++) {
        options.action = k == 0 ? PARE_DELETE : PARE_MASK;
        test_ok(ctx, pare_prune(&models[k], model, NULL, &options, &results[k]));
    }
    assert_true(results[0].after.macs < results[1].after.macs);
    assert_int_equal(results[1].after.macs, results[1].before.macs);
    assert_int_equal(results[0].removed, results[1].removed);
    assert_true(test_output_error(ctx, models[0], models[1], data) < 1e-9);
    assert_true(test_output_error(ctx, models[0], model, data) > 1e-6);
    for (int k = 0; k < 2; k++) {
        pare_prune_result_clear(&results[k]);
        pare_model_free(models[k]);
    }
    pare_model_free(model);
    pare_data_free(data);
    pare_context_free(ctx);
}

/* Each repair brings the outputs nearer to the original's than the one before. */
static void repairs_bring_outputs_back(void **state)
{
    static const char *const names[] = {"resnet20", "lenet5"};
    static const pare_strategy strategies[] = {PARE_RANDOM, PARE_MAGNITUDE, PARE_FISHER, PARE_ML,
                                               PARE_LOCAL_ML};

    (void)state;
    for (size_t m = 0; m < PRI_COUNT(names); m++) {
        pare_context *ctx = test_context();
        pare_data *data = test_blobs(ctx, 192, 1), *fresh = test_blobs(ctx, 64, 2);
        pare_model *model = test_network(ctx, names[m]);
        for (size_t s = 0; s < PRI_COUNT(strategies); s++) {
            double errors[3];
            for (int repair = 0; repair < 3; repair++) {
                const pare_prune_options options = {.strategy = strategies[s],
                                                    .target = {PARE_MACS, 0.6, true},
                                                    .no_refit = repair < 2,
                                                    .no_fold = repair < 1,
                                                    .no_recalibrate = true,
                                                    .reconstruct = -1,
                                                    .seed = 1};
                pare_prune_result result;
                pare_model *pruned = NULL;
                test_ok(ctx, pare_prune(&pruned, model, data, &options, &result));
                errors[repair] = test_output_error(ctx, model, pruned, fresh);
                pare_prune_result_clear(&result);
                pare_model_free(pruned);
            }
            assert_true(errors[1] < errors[0]);
            assert_true(errors[2] < 0.5 * errors[0]);
            if (strategies[s] >= PARE_ML) /* what a cut costs after a re-fit is what they look at */
                assert_true(errors[2] < 0.5 * errors[1]);
        }
        pare_model_free(model);
        pare_data_free(data);
        pare_data_free(fresh);
        pare_context_free(ctx);
    }
}

static void strategies_without_images_say_what_they_need(void **state)
{
    pare_context *ctx = test_context();
    pare_model *model = test_network(ctx, "lenet5"), *pruned = NULL;
    pare_data *data = test_blobs(ctx, 16, 1);
    pare_prune_result result;

    (void)state;
    for (int s = PARE_TAYLOR; s <= PARE_LOCAL_ML; s++) {
        const pare_prune_options options = {.strategy = (pare_strategy)s,
                                            .target = {PARE_MACS, 0.5, true}};
        assert_int_equal(pare_prune(&pruned, model, NULL, &options, &result), PARE_ERROR_ARGUMENT);
        assert_non_null(strstr(pare_context_message(ctx), "--data"));
        assert_null(pruned);
    }
    pri_free(data->labels);
    data->labels = NULL;
    const pare_prune_options taylor = {.strategy = PARE_TAYLOR, .target = {PARE_MACS, 0.5, true}};
    assert_int_equal(pare_prune(&pruned, model, data, &taylor, &result), PARE_ERROR_DATA);
    const pare_prune_options draws = {
        .strategy = PARE_RANDOM, .target = {PARE_MACS, 0.5, true}, .draws = 2};
    assert_int_equal(pare_prune(&pruned, model, data, &draws, &result), PARE_ERROR_DATA);
    assert_non_null(strstr(pare_context_message(ctx), "draws"));
    const pare_prune_options ml = {.strategy = PARE_ML, .target = {PARE_MACS, 0.5, true}};
    test_ok(ctx, pare_prune(&pruned, model, data, &ml, &result)); /* needs no labels */
    pare_prune_result_clear(&result);
    pare_model_free(pruned);
    pare_model_free(model);
    pare_data_free(data);
    pare_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_kept_draw_is_reported),
        cmocka_unit_test(masking_computes_what_deleting_does),
        cmocka_unit_test(repairs_bring_outputs_back),
        cmocka_unit_test(strategies_without_images_say_what_they_need),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
