/* SPDX-License-Identifier: Apache-2.0 */
/* test_train_recalibrate.c - running statistics taken anew. */
#include "train_nets.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <pare/pare.h>

/* --- Recalibration --- */

static void spoil(pare_model *model)
{
    for (int i = 0; i < model->graph->n_values; i++) {
        pri_value *value = model->graph->values[i];
        if (!pri_is_statistic(value))
            continue;
        test_ok(model->ctx, pri_tensor_own(value->constant));
        for (int64_t k = 0; k < pri_tensor_count(value->constant); k++)
            ((float *)value->constant->data)[k] = 3 + (float)(k % 3);
    }
}

static void recalibration_restores_spoiled_statistics(void **state)
{
    pare_context *ctx = test_context();
    const pare_train_options options = {.epochs = 20, .batch = 16, .learning_rate = 0.1};
    pare_model *model = train_small_run(ctx, &options, NULL), *good = NULL, *copy = NULL;
    pare_data *images = train_images(ctx, IMAGES, 1, false);
    pare_scores scores;
    bool changed;

    (void)state;
    test_ok(ctx, pare_model_clone(&good, model));
    for (int with_teacher = 0; with_teacher < 2; with_teacher++) {
        spoil(model);
        test_ok(ctx, pare_model_clone(&copy, model));
        test_ok(ctx, pare_evaluate(&scores, model, images));
        assert_true(scores.accuracy < 0.8);
        pare_scores_clear(&scores);
        test_ok(ctx, pare_recalibrate(model, images, images, with_teacher ? good : NULL, &changed));
        assert_true(changed);
        test_ok(ctx, pare_evaluate(&scores, model, images));
        assert_true(scores.accuracy > 0.95);
        pare_scores_clear(&scores);
        assert_same_weights(model, copy, false); /* and the clone is as spoiled as before */
        pare_model_free(copy);
    }
    pare_model_free(good);
    pare_model_free(model);
    pare_data_free(images);
    pare_context_free(ctx);
}

static void recalibration_that_harms_is_not_kept(void **state)
{
    pare_context *ctx = test_context();
    const pare_train_options options = {.epochs = 20, .batch = 16, .learning_rate = 0.1};
    pare_model *model = train_small_run(ctx, &options, NULL), *before = NULL;
    pare_data *images = train_images(ctx, 16, 1, false), *val = train_images(ctx, 32, 2, false);
    bool changed = true;

    (void)state;
    memset(images->pixels, 9, 16 * SIZE * SIZE * 3); /* nothing like the images it works on */
    test_ok(ctx, pare_model_clone(&before, model));
    test_ok(ctx, pare_recalibrate(model, images, val, NULL, &changed));
    assert_false(changed);
    assert_same_weights(model, before, true);
    pare_model_free(before);
    pare_model_free(model);
    pare_data_free(images);
    pare_data_free(val);
    pare_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recalibration_restores_spoiled_statistics),
        cmocka_unit_test(recalibration_that_harms_is_not_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
