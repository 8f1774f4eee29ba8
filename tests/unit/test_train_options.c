/* SPDX-License-Identifier: Apache-2.0 */
/* test_train_options.c - optimisers, losses, averages and stopping in whole runs. */
#include "train_nets.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Everything a checkpoint has to hold at once. */
static pare_train_options everything(void)
{
    return (pare_train_options){.epochs = 4,
                                .batch = 16,
                                .optimizer = "adamw",
                                .schedule = "one-cycle",
                                .loss = "ce+0.5*dice",
                                .class_weights = "auto",
                                .average = 0.9,
                                .trim = 0.1,
                                .trim_after = 2,
                                .clip_norm = 2,
                                .learning_rate = 0.01,
                                .augment = {.crop = 1},
                                .seed = 5};
}

static void cancel_at(void *user, const pare_progress *progress)
{
    if (strcmp(progress->stage, "train") == 0 && progress->done == 11)
        pare_context_cancel(user);
}

/* Images whose labels are wrong in one of eight, so that some are left out. */
static pare_model *train_noisy(pare_context *ctx, const pare_train_options *options,
                               pare_status *status, pare_train_result *result)
{
    pare_model *model = train_network(ctx, 6, false, false);
    pare_data *train = train_images(ctx, IMAGES, 1, false), *val = train_images(ctx, 32, 2, false);

    for (int i = 0; i < IMAGES; i += 8)
        train->labels[i] = (train->labels[i] + 1) % CLASSES;
    *status = pare_train(model, train, val, options, result);
    pare_data_free(train);
    pare_data_free(val);
    return model;
}

static void every_state_survives_an_interruption(void **state)
{
    const char *folder = test_folder();
    pare_train_options options = everything();
    pare_train_result result;
    pare_status status;
    char path[600];

    (void)state;
    snprintf(path, sizeof path, "%s/run", folder);
    pare_context *ctx = test_context(), *first = test_context();
    pare_model *whole = train_noisy(ctx, &options, &status, &result);
    test_ok(ctx, status);
    assert_true(result.left_out > 0 && result.left_out <= IMAGES / 10);
    options.checkpoint = path;
    options.resume = true;
    pare_context_set_progress(first, cancel_at, first);
    pare_model *stopped = train_noisy(first, &options, &status, NULL);
    assert_int_equal(status, PARE_ERROR_CANCELLED);
    options.average = 0.8;
    pare_model *other = train_noisy(ctx, &options, &status, NULL);
    assert_int_equal(status, PARE_ERROR_ARGUMENT);
    options.average = 0.9;
    options.optimizer = "sgd";
    pare_model *another = train_noisy(ctx, &options, &status, NULL);
    assert_int_equal(status, PARE_ERROR_ARGUMENT);
    options.optimizer = "adamw";
    pare_model *resumed = train_noisy(ctx, &options, &status, NULL);
    test_ok(ctx, status);
    assert_same_weights(whole, resumed, true);
    assert_same_weights(whole, stopped, false);
    pare_model *const models[] = {whole, stopped, other, another, resumed};
    for (size_t i = 0; i < PRI_COUNT(models); i++)
        pare_model_free(models[i]);
    pare_context_free(first);
    pare_context_free(ctx);
    test_remove_folder(folder);
}

static void each_optimizer_loss_and_schedule_learns(void **state)
{
    static const struct {
        const char *optimizer, *schedule, *loss;
        double rate, average;
    } table[] = {{"sgd", "cosine", "focal", 0.1, 0},        {"adamw", "cosine", "ce", 0.01, 0},
                 {"adamw", "one-cycle", "bce", 0.02, 0},    {"sgd", "one-cycle", "mse", 0.1, 0.9},
                 {"sgd", "constant", "ce+dice", 0.1, 0.95}, {"sgd", "step", "dice", 0.2, 0}};
    pare_context *ctx = test_context();
    pare_data *train = train_images(ctx, IMAGES, 1, false), *val = train_images(ctx, 32, 2, false);

    (void)state;
    for (size_t k = 0; k < PRI_COUNT(table); k++) {
        const pare_train_options options = {.epochs = 20,
                                            .batch = 16,
                                            .optimizer = table[k].optimizer,
                                            .schedule = table[k].schedule,
                                            .loss = table[k].loss,
                                            .learning_rate = table[k].rate,
                                            .average = table[k].average};
        pare_model *model = train_network(ctx, 8, false, false);
        pare_train_result result;
        pare_scores scores;
        test_ok(ctx, pare_train(model, train, val, &options, &result));
        test_ok(ctx, pare_evaluate(&scores, model, val));
        if (scores.accuracy < 0.9)
            fail_msg("%s with %s: accuracy %g", table[k].optimizer, table[k].loss, scores.accuracy);
        assert_true(result.best_val_accuracy == scores.accuracy);
        pare_scores_clear(&scores);
        pare_model_free(model);
    }
    pare_data_free(train);
    pare_data_free(val);
    pare_context_free(ctx);
}

/* A network that is nothing but an average of its weights moves less than the weights do. */
static void the_average_is_what_is_kept(void **state)
{
    pare_train_options options = {
        .epochs = 2, .batch = 16, .learning_rate = 0.1, .schedule = "constant", .seed = 3};
    pare_context *ctx = test_context();
    pare_model *raw = train_small_run(ctx, &options, NULL);
    pare_model *start = train_network(ctx, 6, false, false);
    double moved[2] = {0, 0};

    (void)state;
    options.average = 0.99;
    pare_model *mean = train_small_run(ctx, &options, NULL);
    for (int i = 0; i < start->graph->n_values; i++) {
        const pri_tensor *a = start->graph->values[i]->constant;
        if (a == NULL || a->dtype != PRI_F32)
            continue;
        const float *const from = a->data;
        for (int64_t k = 0; k < pri_tensor_count(a); k++) {
            moved[0] += fabs(((float *)raw->graph->values[i]->constant->data)[k] - from[k]);
            moved[1] += fabs(((float *)mean->graph->values[i]->constant->data)[k] - from[k]);
        }
    }
    assert_true(moved[1] > 0.05 * moved[0] && moved[1] < 0.95 * moved[0]);
    pare_model_free(raw);
    pare_model_free(mean);
    pare_model_free(start);
    pare_context_free(ctx);
}

static void training_stops_when_nothing_gets_better(void **state)
{
    pare_context *ctx = test_context();
    pare_train_options options = {.epochs = 40,
                                  .batch = 16,
                                  .learning_rate = 1e-12,
                                  .schedule = "constant",
                                  .momentum = -1,
                                  .early_stop = 2,
                                  .freeze_norm = true};
    pare_model *model = train_network(ctx, 6, false, false);
    pare_data *train = train_images(ctx, IMAGES, 1, false), *val = train_images(ctx, 32, 2, false);
    pare_train_result result;

    (void)state;
    test_ok(ctx, pare_train(model, train, val, &options, &result));
    assert_true(result.epochs == result.best_epoch + 2 && result.epochs < 40);
    assert_int_equal(pare_train(model, train, NULL, &options, NULL), PARE_ERROR_ARGUMENT);
    pare_data_free(train);
    pare_data_free(val);
    pare_model_free(model);
    pare_context_free(ctx);
}

/* One channel, with or without Sigmoid behind it, says where the shape is. */
static void a_head_of_one_output_learns_masks(void **state)
{
    static const char *const losses[] = {NULL, "bce+dice", "dice"};
    pare_context *ctx = test_context();

    (void)state;
    for (int k = 0; k < 3; k++) {
        pri_value *x;
        pri_graph *graph = train_graph(ctx, &x);
        pare_data *data = train_images(ctx, IMAGES, 1, true);
        pare_train_result result;
        x = train_convolution(graph, x, "conv1", 3, 8);
        x = train_normalise(graph, x, "conv1", 8, NULL, NULL);
        x = train_convolution(graph, x, "conv2", 8, 1);
        if (k != 1)
            x = train_node(graph, "Sigmoid", 1, &x, "probability");
        pare_model *model = train_finish(graph, x, 4, 1);
        const pare_train_options options = {
            .epochs = 20, .batch = 16, .learning_rate = 0.1, .loss = losses[k]};
        test_ok(ctx, pare_train(model, data, data, &options, &result));
        assert_true(result.best_val_miou > 0.8 && isnan(result.best_val_accuracy));
        assert_true(isnan(result.best_val_nll) && result.best_val_loss < 0.5);
        const pare_train_options refused = {.epochs = 1, .loss = "ce+dice"};
        assert_int_equal(pare_train(model, data, data, &refused, NULL), PARE_ERROR_ARGUMENT);
        data->masks[7] = 2;
        data->mask_classes = 3;
        assert_int_equal(pare_train(model, data, data, &options, NULL), PARE_ERROR_DATA);
        pare_model_free(model);
        pare_data_free(data);
    }
    pare_context_free(ctx);
}

static void weights_of_classes_are_counted_or_read(void **state)
{
    pare_train_options options = {.epochs = 1, .batch = 16, .class_weights = "1, 2\n3 4"};
    pare_context *ctx = test_context();
    pare_model *model = train_small_run(ctx, &options, NULL);

    (void)state;
    pare_model_free(model);
    options.class_weights = "1,2,3";
    train_assert_refused(ctx, &options, PARE_ERROR_ARGUMENT, "class weights");
    options.class_weights = "1,2,3,x";
    train_assert_refused(ctx, &options, PARE_ERROR_ARGUMENT, "class weights");
    options.class_weights = NULL;
    options.optimizer = "adam";
    train_assert_refused(ctx, &options, PARE_ERROR_ARGUMENT, "sgd adamw");
    options.optimizer = NULL;
    options.loss = "hinge";
    train_assert_refused(ctx, &options, PARE_ERROR_ARGUMENT, "ce, focal, bce, mse and dice");
    options.loss = NULL;
    options.average = 1;
    train_assert_refused(ctx, &options, PARE_ERROR_ARGUMENT, "average");
    pare_context_free(ctx);
}

/* A loss that is finite and far beyond where it began. */
static void a_loss_that_explodes_stops_with_the_best_weights(void **state)
{
    pare_train_options options = {.epochs = 30,
                                  .batch = 16,
                                  .learning_rate = 3,
                                  .loss = "mse",
                                  .schedule = "one-cycle",
                                  .momentum = 0.99,
                                  .weight_decay = -1};
    pare_context *ctx = test_context();
    pare_data *train = train_images(ctx, IMAGES, 1, false), *val = train_images(ctx, 32, 2, false);
    pare_model *model = train_network(ctx, 6, false, false);
    const char *folder = test_folder();
    pare_train_result result, again;
    pare_scores scores;
    char path[600];

    (void)state;
    snprintf(path, sizeof path, "%s/run", folder);
    options.freeze_norm = true;
    options.checkpoint = path;
    pare_model *other = train_network(ctx, 6, false, false);
    assert_int_equal(pare_train(model, train, val, &options, &result), PARE_ERROR_NUMERIC);
    assert_non_null(strstr(pare_context_message(ctx), "smaller learning rate"));
    assert_true(result.best_epoch >= 1 && result.epochs < 30);
    test_ok(ctx, pare_evaluate(&scores, model, val));
    assert_true(scores.accuracy == result.best_val_accuracy);
    options.resume =
        true; /* the checkpoint is that of the last good epoch, and leads there again */
    assert_int_equal(pare_train(other, train, val, &options, &again), PARE_ERROR_NUMERIC);
    assert_true(again.best_epoch == result.best_epoch && again.epochs == result.epochs);
    assert_same_weights(model, other, true);
    pare_scores_clear(&scores);
    pare_model_free(model);
    pare_model_free(other);
    test_remove_folder(folder);
    pare_data_free(train);
    pare_data_free(val);
    pare_context_free(ctx);
}

/* A student that is its teacher's equal differs from it on no image, however it is changed. */
static void a_teacher_sees_the_images_of_its_student(void **state)
{
    const char *const scales[] = {"scale=255", "scale=510"}; /* the second: made anew for it */
    pare_context *ctx = test_context();
    train_watch w = {0};
    pare_train_options options = {
        .epochs = 1,
        .batch = 16,
        .learning_rate = 1e-9,
        .augment = {.flip = true, .crop = 1, .noise = 0.1f, .rotate = 20, .mixup = 1, .cutmix = 1},
        .distill = 1,
        .distill_inner = 1,
        .freeze_norm = true,
        .seed = 3,
        .on_epoch = train_on_epoch,
        .user = &w};

    (void)state;
    for (int k = 0; k < 2; k++) {
        pare_model *teacher = train_network(ctx, 6, false, false);
        pri_tensor *first = pri_graph_find_value(teacher->graph, "conv1")->constant;
        for (int64_t i = 0; i < pri_tensor_count(first) && k > 0; i++)
            ((float *)first->data)[i] *= 2;
        test_ok(ctx, pare_model_set_preprocess(teacher, scales[k]));
        options.teacher = teacher;
        w.epochs = 0;
        pare_model_free(train_small_run(ctx, &options, NULL));
        assert_true(fabs(w.first_loss) < 1e-6); /* the divergence rounds to either side */
        pare_model_free(teacher);
    }
    pare_context_free(ctx);
}

static void doubtful_labels_are_not_looked_for_in_blends(void **state)
{
    pare_context *ctx = test_context();
    pare_train_options options = {.epochs = 3, .trim = 0.1, .augment = {.mixup = 0.2f}};

    (void)state;
    train_assert_refused(ctx, &options, PARE_ERROR_ARGUMENT, "blended");
    options = (pare_train_options){.epochs = 3, .noise_report = "x", .augment = {.cutmix = 1}};
    train_assert_refused(ctx, &options, PARE_ERROR_ARGUMENT, "blended");
    pare_context_free(ctx);
}

static void trimming_needs_epochs_after_it(void **state)
{
    pare_context *ctx = test_context();
    pare_train_options options = {.epochs = 2, .trim = 0.1};

    (void)state;
    train_assert_refused(ctx, &options, PARE_ERROR_ARGUMENT, "left out after epoch 2");
    options.trim_after = 1;
    pare_model_free(train_small_run(ctx, &options, NULL));
    pare_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_state_survives_an_interruption),
        cmocka_unit_test(each_optimizer_loss_and_schedule_learns),
        cmocka_unit_test(the_average_is_what_is_kept),
        cmocka_unit_test(training_stops_when_nothing_gets_better),
        cmocka_unit_test(a_head_of_one_output_learns_masks),
        cmocka_unit_test(weights_of_classes_are_counted_or_read),
        cmocka_unit_test(a_loss_that_explodes_stops_with_the_best_weights),
        cmocka_unit_test(a_teacher_sees_the_images_of_its_student),
        cmocka_unit_test(doubtful_labels_are_not_looked_for_in_blends),
        cmocka_unit_test(trimming_needs_epochs_after_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
