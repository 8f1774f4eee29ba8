/* SPDX-License-Identifier: Apache-2.0 */
/* Opening sets: splits, sizes, channels, limits; and the shared sets as they are. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/data.h"
#include "ref/images.h"

enum { N = 40 };

/* A list of N images of 6 x 8 without splits; image n has value n and class n. */
static void write_list(const test_files *files)
{
    char text[N * 32] = "", name[32];

    for (int n = 0; n < N; n++) {
        snprintf(name, sizeof name, "d/%02d.png", n);
        test_write_flat(files, name, 6, 8, false, (uint8_t)n);
        snprintf(text + strlen(text), 32, "%02d.png\t%d\n", n, n);
    }
    test_write_text(files, "d/labels.tsv", text);
}

static pare_data *open_as(const test_files *files, const pare_data_options *options)
{
    pare_data *data = NULL;

    test_ok(files->ctx, pare_data_open(&data, files->ctx, test_path(files, "d"), options));
    return data;
}

static void mark(bool seen[N], const pare_data *data)
{
    for (int64_t i = 0; i < pare_data_count(data); i++) {
        const int64_t n = pare_data_label(data, i);
        assert_false(seen[n]);
        assert_int_equal(data->pixels[i * data->height * data->width], n);
        seen[n] = true;
    }
}

static void splits_are_disjoint_and_whole(void **state)
{
    pare_data_options options = {.val_fraction = 0.25, .test_fraction = 0.3, .seed = 5};
    bool fit[N] = {false}, all_seen[N] = {false};
    test_files files;

    (void)state;
    test_files_init(&files);
    write_list(&files);
    options.split = "train";
    pare_data *train = open_as(&files, &options);
    options.split = "val";
    pare_data *val = open_as(&files, &options);
    options.split = "test";
    pare_data *test = open_as(&files, &options);
    options.split = "all";
    pare_data *all = open_as(&files, &options);
    assert_int_equal(pare_data_count(test), 12);
    assert_int_equal(pare_data_count(val), 7);
    assert_int_equal(pare_data_count(train), 21);
    mark(fit, train);
    mark(fit, val);
    mark(all_seen, all);
    assert_memory_equal(fit, all_seen, sizeof fit); /* train and val are all */
    mark(all_seen, test);
    for (int n = 0; n < N; n++)
        assert_true(all_seen[n]);
    options.split = "train";
    pare_data *again = open_as(&files, &options);
    assert_memory_equal(again->labels, train->labels, 21 * sizeof(int32_t));
    pare_data_free(again);
    options.seed = 6;
    again = open_as(&files, &options);
    assert_memory_not_equal(again->labels, train->labels, 21 * sizeof(int32_t));
    pare_data_free(again);
    options.seed = 5;
    options.limit = 4;
    again = open_as(&files, &options);
    assert_int_equal(pare_data_count(again), 4);
    assert_memory_equal(again->labels, train->labels, 4 * sizeof(int32_t));
    pare_data_free(again);
    pare_data_free(train);
    pare_data_free(val);
    pare_data_free(test);
    pare_data_free(all);
    test_files_clear(&files);
}

static void no_fraction_leaves_train_whole(void **state)
{
    test_files files;
    pare_data *data = NULL;

    (void)state;
    test_files_init(&files);
    write_list(&files);
    data = open_as(&files, &(pare_data_options){.split = "train"});
    assert_int_equal(pare_data_count(data), 32);
    pare_data_free(data);
    data = open_as(&files, &(pare_data_options){0});
    assert_int_equal(pare_data_count(data), 8);
    pare_data_free(data);
    test_ok(files.ctx, pare_data_open(&data, files.ctx, test_path(&files, "d"), NULL));
    assert_int_equal(pare_data_count(data), 8);
    pare_data_free(data);
    assert_int_equal(pare_data_open(&data, files.ctx, test_path(&files, "d"),
                                    &(pare_data_options){.split = "val"}),
                     PARE_ERROR_DATA);
    assert_non_null(strstr(pare_context_message(files.ctx), "val_fraction"));
    test_files_clear(&files);
}

static void impossible_options_are_refused(void **state)
{
    const pare_data_options cases[] = {
        {.split = "tset"},     {.channels = 2},       {.channels = 4},       {.height = -1},
        {.width = 1 << 20},    {.crop = 101},         {.crop = -1},          {.val_fraction = 1.5},
        {.val_fraction = NAN}, {.test_fraction = -1}, {.ignore_class = 257}, {.ignore_class = -1},
        {.limit = -1}};
    test_files files;
    pare_data *data = NULL;

    (void)state;
    test_files_init(&files);
    write_list(&files);
    for (size_t i = 0; i < PRI_COUNT(cases); i++) {
        assert_int_equal(pare_data_open(&data, files.ctx, test_path(&files, "d"), &cases[i]),
                         PARE_ERROR_ARGUMENT);
        assert_null(data);
    }
    test_files_clear(&files);
}

/* --- Size and channels --- */

static void images_are_cropped_and_scaled_with_their_masks(void **state)
{
    uint8_t samples[10 * 20], values[10 * 20];
    test_files files;

    (void)state;
    test_files_init(&files);
    for (int i = 0; i < 200; i++) {
        values[i] = (uint8_t)(i / 20 / 5 * 4 + i % 20 / 5); /* blocks of 5 x 5 */
        samples[i] = (uint8_t)(values[i] * 20);
    }
    test_write_png(&files, "d/test/1.png",
                   &(test_png){.height = 10, .width = 20, .depth = 8, .samples = samples});
    test_write_png(&files, "d/testannot/1.png",
                   &(test_png){.height = 10, .width = 20, .depth = 8, .samples = values});
    pare_data *data = open_as(&files, &(pare_data_options){.crop = 100});
    assert_int_equal(pare_data_height(data), 10);
    assert_int_equal(pare_data_width(data), 10);
    for (int y = 0; y < 10; y++) {
        assert_memory_equal(data->pixels + 10 * y, samples + 20 * y + 5, 10);
        assert_memory_equal(pare_data_mask(data, 0) + 10 * y, values + 20 * y + 5, 10);
    }
    pare_data_free(data);
    data = open_as(&files, &(pare_data_options){.height = 2, .width = 4});
    for (int i = 0; i < 8; i++)
        assert_int_equal(pare_data_mask(data, 0)[i], i);
    /* left and right balance; of the filter's rows 0.6 / 4.4 lie in the other row of blocks */
    assert_true(abs(data->pixels[1] - 31) <= 1 && abs(data->pixels[6] - 109) <= 1);
    pare_data_free(data);
    data = open_as(&files, &(pare_data_options){.height = 20, .width = 40, .channels = 3});
    assert_int_equal(pare_data_channels(data), 3);
    assert_int_equal(pare_data_mask(data, 0)[19 * 40 + 39], 7);
    assert_int_equal(data->pixels[3 * (19 * 40 + 39) + 1], 140);
    pare_data_free(data);
    test_files_clear(&files);
}

static void files_of_two_sizes_want_a_size(void **state)
{
    test_files files;
    pare_data *data = NULL;

    (void)state;
    test_files_init(&files);
    test_write_flat(&files, "d/test/a/1.png", 6, 6, false, 100);
    test_write_flat(&files, "d/test/a/2.png", 6, 7, true, 200);
    assert_int_equal(
        pare_data_open(&data, files.ctx, test_path(&files, "d"), &(pare_data_options){0}),
        PARE_ERROR_SHAPE);
    assert_non_null(strstr(pare_context_message(files.ctx), "2.png' is 6x7"));
    data = open_as(&files, &(pare_data_options){.height = 3, .width = 3});
    assert_int_equal(pare_data_channels(data), 3); /* the gray one has become colour */
    for (int i = 0; i < 54; i++)
        assert_int_equal(data->pixels[i], i < 27 ? 100 : 200);
    pare_data_free(data);
    data = open_as(&files, &(pare_data_options){.height = 3, .width = 3, .channels = 1});
    assert_int_equal(pare_data_channels(data), 1);
    for (int i = 0; i < 18; i++)
        assert_int_equal(data->pixels[i], i < 9 ? 100 : 200);
    pare_data_free(data);
    test_files_clear(&files);
}

static void slices_are_sets_of_their_own(void **state)
{
    test_files files;
    pare_data *part = NULL;

    (void)state;
    test_files_init(&files);
    write_list(&files);
    test_write_text(&files, "d/classes.txt", "zero\none\ntwo\n");
    pare_data *all = open_as(&files, &(pare_data_options){.test_fraction = 1});
    test_ok(files.ctx, pare_data_slice(&part, all, 30, 100));
    assert_int_equal(pare_data_count(part), 10);
    pare_data_free(part);
    test_ok(files.ctx, pare_data_slice(&part, all, 1, 2));
    pare_data_free(all);
    assert_int_equal(pare_data_count(part), 2);
    assert_int_equal(pare_data_label(part, 1), 2);
    assert_int_equal(part->pixels[48], 2);
    assert_int_equal(pare_data_classes(part), N);
    assert_string_equal(pare_data_class_name(part, 2), "two");
    pare_data *none = NULL;
    assert_int_equal(pare_data_slice(&none, part, 2, 1), PARE_ERROR_DATA);
    pare_data_free(part);
    pare_data_free(NULL);
    test_files_clear(&files);
}

static void samples_are_drawn_without_repetition(void **state)
{
    test_files files;
    pare_data *a = NULL, *b = NULL, *c = NULL, *none = NULL;
    bool seen[256] = {false};

    (void)state;
    test_files_init(&files);
    write_list(&files);
    pare_data *all = open_as(&files, &(pare_data_options){.test_fraction = 1});
    const int64_t count = pare_data_count(all), area = 48;
    test_ok(files.ctx, pare_data_sample(&a, all, 1000, 1));
    test_ok(files.ctx, pare_data_sample(&b, all, 1000, 1));
    test_ok(files.ctx, pare_data_sample(&c, all, 1000, 2));
    assert_int_equal(pare_data_count(a), count);
    assert_memory_equal(a->labels, b->labels, (size_t)count * sizeof *a->labels);
    assert_true(memcmp(a->pixels, c->pixels, (size_t)(count * area)) != 0);
    for (int64_t i = 0; i < count; i++) {
        assert_false(seen[a->pixels[i * area]]); /* each image has a gray level of its own */
        seen[a->pixels[i * area]] = true;
    }
    assert_int_equal(pare_data_sample(&none, all, 0, 1), PARE_ERROR_DATA);
    pare_data_free(a);
    pare_data_free(b);
    pare_data_free(c);
    pare_data_free(all);
    test_files_clear(&files);
}

/* --- The shared sets --- */

typedef struct shared_set {
    const char *name;
    pare_data_options options;
    int64_t count, classes, mask_classes, channels, height, width;
} shared_set;

static void shared_sets_are_as_documented(void **state)
{
    static const shared_set sets[] = {
        {"data/cifar10", {.split = "test"}, 8000, 10, 0, 3, 32, 32},
        {"data/mnist", {.split = "test"}, 10000, 10, 0, 1, 28, 28},
        {"data/mnist", {.split = "val", .val_fraction = 0.1}, 6000, 10, 0, 1, 28, 28},
        {"data/camvid", {.height = 36, .width = 48}, 233, 0, 12, 3, 36, 48},
        {"data/camvid",
         {.split = "train", .height = 36, .width = 48, .ignore_class = 12},
         123,
         0,
         11,
         3,
         36,
         48},
        {"data/membrane", {.test_fraction = 1}, 30, 0, 2, 1, 512, 512},
        {"data/imagenet_sample256",
         {.test_fraction = 1, .crop = 88, .height = 32, .width = 32},
         667,
         1000,
         0,
         3,
         32,
         32},
    };
    pare_context *ctx = test_context();

    (void)state;
    for (size_t i = 0; i < PRI_COUNT(sets); i++) {
        const shared_set *s = &sets[i];
        const char *path = test_shared(s->name);
        pare_data *data = NULL;
        if (path == NULL)
            continue;
        test_ok(ctx, pare_data_open(&data, ctx, path, &s->options));
        assert_int_equal(pare_data_count(data), s->count);
        assert_int_equal(pare_data_mask_classes(data), s->mask_classes);
        assert_int_equal(pare_data_channels(data), s->channels);
        assert_int_equal(pare_data_height(data), s->height);
        assert_int_equal(pare_data_width(data), s->width);
        assert_true(s->classes == 1000 ? pare_data_classes(data) <= 1000
                                       : pare_data_classes(data) == s->classes);
        if (s->count == 233)
            assert_string_equal(pare_data_mask_class_name(data, 8), "car");
        if (s->count == 8000)
            assert_string_equal(pare_data_class_name(data, 9), "truck");
        if (s->count == 667)
            assert_string_equal(pare_data_class_name(data, 3), "tiger_shark");
        pare_data_free(data);
    }
    pare_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits_are_disjoint_and_whole),
        cmocka_unit_test(no_fraction_leaves_train_whole),
        cmocka_unit_test(impossible_options_are_refused),
        cmocka_unit_test(images_are_cropped_and_scaled_with_their_masks),
        cmocka_unit_test(files_of_two_sizes_want_a_size),
        cmocka_unit_test(slices_are_sets_of_their_own),
        cmocka_unit_test(samples_are_drawn_without_repetition),
        cmocka_unit_test(shared_sets_are_as_documented),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
