/* SPDX-License-Identifier: Apache-2.0 */
/* test_hints.c - recovery in which the original teaches and labels are not needed. */
#include "train_nets.h"

#include <pare/pare.h>

static double accuracy_of(pare_context *ctx, pare_model *model, const pare_data *data)
{
    pare_scores scores = {0};

    test_ok(ctx, pare_evaluate(&scores, model, data));
    const double accuracy = scores.accuracy;
    pare_scores_clear(&scores);
    return accuracy;
}

/* Accuracy after random pruning to half of the channels and `epochs` of recovery. */
static double recovered(pare_context *ctx, pare_model *original, const pare_data *unlabelled,
                        const pare_data *test, int epochs)
{
    pare_recipe recipe = {.prune = {.strategy = PARE_RANDOM,
                                    .target = {PARE_CHANNELS, 0.5, true},
                                    .no_refit = true,
                                    .no_fold = true,
                                    .no_recalibrate = true,
                                    .seed = 2},
                          .epochs = epochs,
                          .hints = true,
                          .train = {.batch = 16, .learning_rate = 0.01}};
    pare_recipe_result result = {0};
    pare_model *pruned = NULL;

    test_ok(ctx, pare_run_recipe(&pruned, original, unlabelled, NULL, &recipe, &result));
    const double accuracy = accuracy_of(ctx, pruned, test);
    pare_recipe_result_clear(&result);
    pare_model_free(pruned);
    return accuracy;
}

static void hints_bring_a_pruned_network_back_without_labels(void **state)
{
    pare_context *ctx = test_context();
    pare_data *data = train_images(ctx, IMAGES, 1, false),
              *test = train_images(ctx, IMAGES, 2, false);
    pare_model *original = train_network(ctx, 16, false, false);
    pare_train_options options = train_basic;

    (void)state;
    options.epochs = 12;
    test_ok(ctx, pare_train(original, data, NULL, &options, NULL));
    pri_free(data->labels);
    data->labels = NULL;
    data->classes = 0;
    const double before = accuracy_of(ctx, original, test);
    const double cut = recovered(ctx, original, data, test, 0);
    const double taught = recovered(ctx, original, data, test, 40);
    assert_true(before > 0.9);
    assert_true(cut < before - 0.2);
    assert_true(taught > before - 0.1);
    pare_data_free(data);
    pare_data_free(test);
    pare_model_free(original);
    pare_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hints_bring_a_pruned_network_back_without_labels)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
