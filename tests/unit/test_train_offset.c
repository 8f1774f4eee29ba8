/* SPDX-License-Identifier: Apache-2.0 */
/* test_train_offset.c - networks whose output 0 is a class the data does not have, and validation
 * images that do not fit. */
#include "train_nets.h"

#include <math.h>

/* Three classes; the images of the fourth have no label. */
static pare_data *three_classes(pare_context *ctx, uint64_t seed)
{
    pare_data *data = train_images(ctx, IMAGES, seed, false);

    for (int64_t i = 0; i < data->count; i++)
        data->labels[i] = data->labels[i] == 3 ? -1 : data->labels[i];
    data->classes = 3;
    return data;
}

static void labels_are_those_of_outputs_behind_the_background(void **state)
{
    pare_context *ctx = *state;
    pare_data *train = three_classes(ctx, 1), *val = three_classes(ctx, 2);

    for (int way = 0; way < 2; way++) { /* plain cross-entropy; weighted classes */
        pare_model *model = train_network(ctx, 12, false, false);
        pare_train_options options = train_basic;
        pare_train_result result = {0};
        pare_scores scores = {0};
        options.epochs = 12;
        options.class_weights = way == 1 ? "auto" : NULL;
        test_ok(ctx, pare_model_set_metadata(model, PRI_CLASS_OFFSET_KEY, "1"));
        test_ok(ctx, pare_train(model, train, val, &options, &result));
        assert_true(result.best_val_accuracy > 0.9);
        test_ok(ctx, pare_evaluate(&scores, model, val));
        assert_true(scores.accuracy > 0.9);
        pare_scores_clear(&scores);
        pare_model_free(model);
    }
    pare_data_free(train);
    pare_data_free(val);
}

static void labels_past_the_last_output_are_refused(void **state)
{
    pare_context *ctx = *state;
    pare_data *data = train_images(ctx, IMAGES, 1, false);
    pare_model *model = train_network(ctx, 12, false, false);

    test_ok(ctx, pare_model_set_metadata(model, PRI_CLASS_OFFSET_KEY, "1"));
    assert_int_equal(pare_train(model, data, NULL, &train_basic, NULL), PARE_ERROR_DATA);
    pare_model_free(model);
    pare_data_free(data);
}

static void validation_images_must_fit(void **state)
{
    pare_context *ctx = *state;
    pare_data *data = train_images(ctx, IMAGES, 1, false), *val = train_images(ctx, 8, 2, false);
    pare_model *model = train_network(ctx, 12, false, false);

    val->height /= 2;
    assert_int_equal(pare_train(model, data, val, &train_basic, NULL), PARE_ERROR_SHAPE);
    val->height *= 2;
    pri_free(val->labels);
    val->labels = NULL;
    val->classes = 0;
    assert_int_equal(pare_train(model, data, val, &train_basic, NULL), PARE_ERROR_DATA);
    pare_model_free(model);
    pare_data_free(data);
    pare_data_free(val);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(labels_are_those_of_outputs_behind_the_background),
        cmocka_unit_test(labels_past_the_last_output_are_refused),
        cmocka_unit_test(validation_images_must_fit)};

    return cmocka_run_group_tests(tests, test_setup, test_teardown);
}
