/* SPDX-License-Identifier: Apache-2.0 */
/* test_train_noise.c - labels that training does not believe. */
#include "train_nets.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/random.h"
#include "train/noise.h"

static const pri_view with_classes = {.n_heads = 1, .heads = {{.classes = 3}}};

static void a_note_follows_the_formula(void **state)
{
    const float logits[] = {2, 5, 1, /* next image */ 0, 0, 4};
    const int32_t labels[] = {0, -1};
    const int64_t order[] = {1, 0};
    pare_context *ctx = test_context();
    pare_data *data = train_images(ctx, 2, 1, false);
    pri_noise noise;

    (void)state;
    test_ok(ctx, pri_noise_open(&noise, &with_classes, data));
    for (int k = 0; k < 2; k++)
        pri_noise_note(&noise, logits, 3, labels, order, 2);
    assert_true(noise.samples[1].margin == -6 && noise.samples[1].seen == 2);
    assert_int_equal(noise.samples[1].said, 1);
    assert_true(fabs(noise.samples[1].loss[1] - (log(exp(2) + exp(5) + exp(1)) - 2)) < 1e-5);
    assert_int_equal(noise.samples[0].seen, 0); /* no label, no note */
    pri_noise_close(&noise);
    int32_t *kept = data->labels;
    data->labels = NULL;
    assert_int_equal(pri_noise_open(&noise, &with_classes, data), PARE_ERROR_DATA);
    data->labels = kept;
    assert_int_equal(pri_noise_open(&noise, &(pri_view){0}, data), PARE_ERROR_DATA);
    pare_data_free(data);
    pare_context_free(ctx);
}

static void trimming_takes_the_worst_and_only_doubtful_ones(void **state)
{
    pare_context *ctx = test_context();
    pare_data *data = train_images(ctx, 10, 1, false);
    int64_t order[10];
    pri_noise noise;

    (void)state;
    test_ok(ctx, pri_noise_open(&noise, &with_classes, data));
    for (int i = 0; i < 10; i++) {
        noise.samples[i] = (pri_sample){.margin = i - 2.5, .seen = 2, .said = 9};
        order[i] = 9 - i;
    }
    test_ok(ctx, pri_noise_trim(&noise, ctx, 0.2));
    assert_int_equal(noise.dropped, 2);
    assert_int_equal(pri_noise_filter(&noise, order, 10), 8);
    assert_true(order[0] == 9 && order[7] == 2);
    noise.samples[0].is_dropped = noise.samples[1].is_dropped = 0;
    noise.dropped = 0;
    test_ok(ctx, pri_noise_trim(&noise, ctx, 0.5)); /* five may go, three are doubtful */
    assert_int_equal(noise.dropped, 3);
    for (int i = 0; i < 3; i++)
        noise.samples[i].is_dropped = 0;
    noise.dropped = 0;
    noise.samples[1].said = data->labels[1]; /* learnt since */
    test_ok(ctx, pri_noise_trim(&noise, ctx, 0.5));
    assert_true(noise.dropped == 2 && !noise.samples[1].is_dropped);
    pri_noise_close(&noise);
    pare_data_free(data);
    pare_context_free(ctx);
}

/* Reads the report; counts its lines and those about images that are multiples of ten. */
static void read_report(pare_context *ctx, const char *path, int *listed, int *planted,
                        int *dropped)
{
    pri_bytes file = {0};
    double last = -INFINITY;

    *listed = *planted = *dropped = 0;
    test_ok(ctx, pri_file_read(&file, ctx, path));
    char *line = strchr((char *)file.data, '\n');
    assert_non_null(line);
    assert_memory_equal(file.data, "image\tlabel\t", 12);
    for (line++; *line != '\0'; line = strchr(line, '\n') + 1) {
        long image, label, said, seen;
        double margin, loss;
        char gone[8];
        assert_int_equal(sscanf(line, "%ld\t%ld\t%ld\t%lf\t%lf\t%ld\t%7s", &image, &label, &said,
                                &margin, &loss, &seen, gone),
                         7);
        assert_true(margin >= last && label != said + 100 && loss >= 0 && seen > 0);
        last = margin;
        ++*listed;
        *planted += image % 10 == 0;
        *dropped += strcmp(gone, "yes") == 0;
    }
    pri_bytes_clear(&file);
}

/* One label in ten is wrong: these are found, little else is, and training without them goes on. */
static void planted_wrong_labels_are_found(void **state)
{
    enum { COUNT = 200 };
    const char *folder = test_folder();
    char path[600];
    pare_context *ctx = test_context();
    pare_data *train = train_images(ctx, COUNT, 1, false), *val = train_images(ctx, 40, 2, false);
    pare_train_options options = {
        .epochs = 8, .batch = 20, .learning_rate = 0.05, .noise_report = path};
    pare_train_result result;
    int listed, planted, dropped;

    (void)state;
    snprintf(path, sizeof path, "%s/doubtful.tsv", folder);
    for (int i = 0; i < COUNT; i += 10)
        train->labels[i] =
            (int32_t)((train->labels[i] + 1 +
                       pri_random_below(CLASSES - 1, 1, PRI_STREAM_TEST, (uint64_t)i)) %
                      CLASSES);
    pare_model *model = train_network(ctx, 8, false, false);
    test_ok(ctx, pare_train(model, train, val, &options, &result));
    read_report(ctx, path, &listed, &planted, &dropped);
    assert_true(planted >= 18 && listed - planted <= 4);
    assert_true(dropped == 0 && result.left_out == 0);
    pare_model_free(model);

    options.trim = 0.08;
    model = train_network(ctx, 8, false, false);
    test_ok(ctx, pare_train(model, train, val, &options, &result));
    read_report(ctx, path, &listed, &planted, &dropped);
    assert_true(planted >= 18 && dropped == result.left_out);
    assert_true(result.left_out > 12 && result.left_out <= 16);
    assert_true(result.best_val_accuracy > 0.9);
    pare_model_free(model);
    pare_data_free(train);
    pare_data_free(val);
    pare_context_free(ctx);
    test_remove_folder(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_note_follows_the_formula),
        cmocka_unit_test(trimming_takes_the_worst_and_only_doubtful_ones),
        cmocka_unit_test(planted_wrong_labels_are_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
