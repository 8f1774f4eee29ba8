/* SPDX-License-Identifier: Apache-2.0 */
/* test_train_checkpoint.c - interrupted runs, and checkpoints that must be refused. */
#include "train_nets.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <pare/pare.h>

#include "base/file.h"

static void cancel_at(void *user, const pare_progress *progress)
{
    if (strcmp(progress->stage, "train") == 0 && progress->done == 6)
        pare_context_cancel(user);
}

/* Ends a run by a cancel within an epoch and by a kill after one, and goes on. */
static void interrupt(pare_context *ctx, const pare_train_options *basic)
{
    char path[600], killed[640];
    const char *folder = test_folder();
    pare_train_options options = *basic;
    pare_status status;
    train_watch w = {.copy_from = path, .copy_to = killed};

    snprintf(path, sizeof path, "%s/run", folder);
    snprintf(killed, sizeof killed, "%s.killed", path);
    pare_model *whole = train_small_run(ctx, basic, NULL);
    options.checkpoint = path;
    options.resume = true; /* nothing there yet: starts */

    pare_context *first = test_context();
    pare_context_set_progress(first, cancel_at, first);
    pare_model *stopped = train_small_run(first, &options, &status);
    assert_int_equal(status, PARE_ERROR_CANCELLED);
    assert_non_null(strstr(pare_context_message(first), "goes on from there"));
    pare_model *resumed = train_small_run(ctx, &options, NULL);
    assert_same_weights(whole, resumed, true);
    assert_same_weights(whole, stopped, false);

    options.resume = false;
    options.on_epoch = train_on_epoch;
    options.user = &w;
    w.ctx = ctx;
    pare_model *kept = train_small_run(ctx, &options, NULL);
    options.checkpoint = killed;
    options.resume = true;
    w = (train_watch){0};
    pare_model *revived = train_small_run(ctx, &options, NULL);
    assert_int_equal(w.epochs, basic->epochs - 1);
    assert_same_weights(whole, revived, true);
    pare_model *const models[] = {whole, resumed, kept, revived, stopped};
    for (size_t i = 0; i < PRI_COUNT(models); i++)
        pare_model_free(models[i]);
    pare_context_free(first);
    test_remove_folder(folder);
}

static void an_interrupted_run_ends_like_an_undisturbed_one(void **state)
{
    pare_context *ctx = test_context();

    (void)state;
    interrupt(ctx, &train_basic);
    pare_context_free(ctx);
}

static void an_interrupted_run_with_blends_and_a_teacher_does_too(void **state)
{
    pare_context *ctx = test_context();
    pare_model *teacher = train_network(ctx, 8, false, false);
    pare_train_options options = train_basic;

    (void)state;
    options.augment = (pare_augment){.crop = 1, .rotate = 10, .mixup = 0.5f, .cutmix = 1};
    options.teacher = teacher;
    options.distill_inner = 0.5;
    interrupt(ctx, &options);
    pare_model_free(teacher);
    pare_context_free(ctx);
}

static void checkpoints_of_other_runs_and_damaged_ones_are_refused(void **state)
{
    char path[600];
    const char *folder = test_folder();
    pare_train_options options = train_basic;
    pri_bytes bytes = {0};

    (void)state;
    snprintf(path, sizeof path, "%s/run", folder);
    pare_context *ctx = test_context();
    options.checkpoint = path;
    options.epochs = 1;
    pare_model_free(train_small_run(ctx, &options, NULL));
    options.resume = true;
    options.learning_rate = 0.06;
    train_assert_refused(ctx, &options, PARE_ERROR_ARGUMENT, "other options");
    options.learning_rate = train_basic.learning_rate;
    options.augment.cutmix = 0.5f;
    train_assert_refused(ctx, &options, PARE_ERROR_ARGUMENT, "other options");
    options.augment = train_basic.augment;
    pare_model *teacher = train_network(ctx, 6, false, false);
    options.teacher = teacher;
    options.distill = 1e-300; /* the options differ as well, and are looked at first */
    train_assert_refused(ctx, &options, PARE_ERROR_ARGUMENT, "other options");
    options.teacher = NULL;
    options.distill = 0;
    test_ok(ctx, pri_file_read(&bytes, ctx, path));
    for (size_t at = 0; at < bytes.size_bytes; at += bytes.size_bytes / 37) {
        bytes.data[at] ^= 0x40;
        test_ok(ctx, pri_file_write(ctx, path, bytes.data, bytes.size_bytes, true));
        pare_status status;
        pare_model_free(train_small_run(ctx, &options, &status));
        assert_true(status == PARE_ERROR_FORMAT || status == PARE_ERROR_ARGUMENT);
        bytes.data[at] ^= 0x40;
    }
    test_ok(ctx, pri_file_write(ctx, path, bytes.data, bytes.size_bytes / 2, true));
    train_assert_refused(ctx, &options, PARE_ERROR_FORMAT, "damaged");
    test_ok(ctx, pri_file_write(ctx, path, bytes.data, 5, true));
    train_assert_refused(ctx, &options, PARE_ERROR_FORMAT, "not a checkpoint");
    pri_bytes_clear(&bytes);
    pare_model_free(teacher);
    pare_context_free(ctx);
    test_remove_folder(folder);
}

/* The checkpoint of a network that is shown its images otherwise, or is taught by one that is. */
static void what_images_become_belongs_to_a_run(void **state)
{
    char path[600];
    const char *folder = test_folder();
    pare_train_options options = train_basic;
    pare_context *ctx = test_context();
    pare_data *images = train_images(ctx, IMAGES, 1, false);
    pare_model *teacher = train_network(ctx, 6, false, false);

    (void)state;
    snprintf(path, sizeof path, "%s/run", folder);
    options.checkpoint = path;
    options.teacher = teacher;
    options.epochs = 1;
    pare_model *model = train_network(ctx, 6, false, false);
    test_ok(ctx, pare_train(model, images, NULL, &options, NULL));
    pare_model_free(model);
    options.resume = true;
    model = train_network(ctx, 6, false, false);
    test_ok(ctx, pare_model_set_preprocess(model, "cifar10"));
    assert_int_equal(pare_train(model, images, NULL, &options, NULL), PARE_ERROR_ARGUMENT);
    assert_non_null(strstr(pare_context_message(ctx), "another model, preprocessing"));
    pare_model_free(model);
    model = train_network(ctx, 6, false, false);
    test_ok(ctx, pare_model_set_preprocess(teacher, "cifar10"));
    assert_int_equal(pare_train(model, images, NULL, &options, NULL), PARE_ERROR_ARGUMENT);
    assert_non_null(strstr(pare_context_message(ctx), "another teacher"));
    pare_model_free(model);
    pare_model_free(teacher);
    pare_data_free(images);
    pare_context_free(ctx);
    test_remove_folder(folder);
}

static void files_of_another_kind_are_not_replaced(void **state)
{
    static const char text[] = "something dear";
    char path[600];
    const char *folder = test_folder();
    pare_train_options options = train_basic;
    pare_context *ctx = test_context();
    pri_bytes bytes = {0};

    (void)state;
    snprintf(path, sizeof path, "%s/run", folder);
    options.checkpoint = path;
    for (size_t size = 3; size < sizeof text; size += sizeof text - 4) { /* a short one too */
        test_ok(ctx, pri_file_write(ctx, path, text, size, true));
        train_assert_refused(ctx, &options, PARE_ERROR_EXISTS, "of another kind");
        test_ok(ctx, pri_file_read(&bytes, ctx, path));
        assert_int_equal(bytes.size_bytes, size);
        assert_memory_equal(bytes.data, text, size);
        pri_bytes_clear(&bytes);
    }
    pare_context_free(ctx);
    test_remove_folder(folder);
}

static void count_warnings(void *user, pare_log_level level, const char *text)
{
    int *counts = user;

    counts[0] += level == PARE_LOG_WARNING && strstr(text, "threads") != NULL;
    counts[1] += level == PARE_LOG_WARNING && strstr(text, "--algorithms") != NULL;
}

/* Threads and algorithms round differently: changing them is allowed, and told. */
static void what_rounds_otherwise_is_told(void **state)
{
    char path[600];
    const char *folder = test_folder();
    pare_train_options options = train_basic;
    pare_context *ctx = test_context();
    int counts[2] = {0};

    (void)state;
    snprintf(path, sizeof path, "%s/run", folder);
    options.checkpoint = path;
    pare_context_set_threads(ctx, 1);
    pare_model_free(train_small_run(ctx, &options, NULL));
    options.resume = true;
    pare_context_set_log(ctx, count_warnings, counts);
    pare_model_free(train_small_run(ctx, &options, NULL));
    assert_true(counts[0] == 0 && counts[1] == 0);
    pare_context_set_threads(ctx, 2);
    pare_model_free(train_small_run(ctx, &options, NULL));
    assert_true(counts[0] == 1 && counts[1] == 0);
    pare_context_set_threads(ctx, 1);
    pare_context_set_algorithms(ctx, PARE_ALGORITHMS_MEASURED);
    pare_model_free(train_small_run(ctx, &options, NULL));
    assert_true(counts[0] == 1 && counts[1] == 1);
    pare_context_free(ctx);
    test_remove_folder(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_interrupted_run_ends_like_an_undisturbed_one),
        cmocka_unit_test(an_interrupted_run_with_blends_and_a_teacher_does_too),
        cmocka_unit_test(checkpoints_of_other_runs_and_damaged_ones_are_refused),
        cmocka_unit_test(what_images_become_belongs_to_a_run),
        cmocka_unit_test(files_of_another_kind_are_not_replaced),
        cmocka_unit_test(what_rounds_otherwise_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
