/* SPDX-License-Identifier: Apache-2.0 */
/* Every format of image sets, on small data made here: content, splits, damage. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "data/dataset.h"
#include "ref/images.h"

/* Opening must fail with one of two statuses and leave nothing behind. */
static void refuse(const test_files *files, const char *name, const char *word)
{
    pare_data *data = NULL;
    const pare_status status =
        pare_data_open(&data, files->ctx, test_path(files, name), &(pare_data_options){0});

    if (status == PARE_OK)
        fail_msg("'%s' was opened", name);
    assert_null(data);
    if (strstr(pare_context_message(files->ctx), word) == NULL)
        fail_msg("'%s' lacks '%s'", pare_context_message(files->ctx), word);
}

/* --- CIFAR --- */

enum { RECORD = 3073 };

static void write_cifar(const test_files *files, const char *name, int count, int first)
{
    uint8_t *bytes = calloc((size_t)count, RECORD);

    assert_non_null(bytes);
    for (int n = 0; n < count; n++) {
        bytes[n * RECORD] = (uint8_t)((first + n) % 10);
        for (int c = 0; c < 3; c++)
            memset(bytes + n * RECORD + 1 + 1024 * c, 10 * c + first + n, 1024);
    }
    test_write(files, name, bytes, (size_t)count * RECORD);
    free(bytes);
}

static void reads_cifar_batches(void **state)
{
    test_files files;

    (void)state;
    test_files_init(&files);
    write_cifar(&files, "c/data_batch_1.bin", 3, 0);
    write_cifar(&files, "c/data_batch_2.bin", 2, 3);
    write_cifar(&files, "c/test_batch.bin", 4, 6);
    test_write_text(&files, "c/batches.meta.txt", "airplane\nautomobile\r\n\nbird\n");
    pare_data *train = test_open_split(&files, "c", "train");
    pare_data *test = test_open_split(&files, "c", "test");
    assert_int_equal(pare_data_count(train), 5);
    assert_int_equal(pare_data_count(test), 4);
    assert_int_equal(pare_data_classes(train), 5);
    assert_int_equal(pare_data_label(train, 4), 4);
    assert_int_equal(pare_data_label(train, 5), -1);
    assert_int_equal(pare_data_mask_classes(train), 0);
    assert_null(pare_data_mask(train, 0));
    assert_string_equal(pare_data_class_name(train, 2), "bird");
    assert_null(pare_data_class_name(train, 3));
    assert_null(pare_data_class_name(train, 99));
    const uint8_t *pixel = train->pixels + 4 * 3072 + 3 * 77;
    assert_true(pixel[0] == 4 && pixel[1] == 14 && pixel[2] == 24);
    pare_data_free(train);
    pare_data_free(test);
    train = test_open_split(&files, "c/data_batch_1.bin", "train");
    assert_int_equal(pare_data_count(train), 3);
    pare_data_free(train);
    test_files_clear(&files);
}

static void refuses_damaged_cifar(void **state)
{
    uint8_t bytes[RECORD] = {11};
    pare_data *data;
    test_files files;

    (void)state;
    test_files_init(&files);
    test_write(&files, "empty.bin", "", 0);
    test_write(&files, "short.bin", bytes, RECORD - 1);
    test_write(&files, "class.bin", bytes, RECORD);
    refuse(&files, "empty.bin", "multiple of 3073");
    refuse(&files, "short.bin", "multiple of 3073");
    refuse(&files, "class.bin", "class 11");
    refuse(&files, "absent.bin", "there is no");
    write_cifar(&files, "c/data_batch_1.bin", 3, 0);
    test_write(&files, "c/data_batch_2.bin", bytes, RECORD);
    data = test_open_split(&files, "c", "train"); /* the damaged batch is left out */
    assert_int_equal(pare_data_count(data), 3);
    pare_data_free(data);
    test_files_clear(&files);
}

/* --- IDX --- */

static void big_endian(uint8_t *out, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(value >> (24 - 8 * i));
}

/* Images of 2 x 3 pixels n, labels n; the header may state another number of images. */
static void write_idx(const test_files *files, const char *prefix, uint32_t count, uint32_t stated,
                      uint32_t magic)
{
    uint8_t images[16 + 6 * 16] = {0}, labels[8 + 16] = {0};
    char name[64];

    big_endian(images, magic);
    big_endian(images + 4, stated);
    big_endian(images + 8, 2);
    big_endian(images + 12, 3);
    big_endian(labels, 0x801);
    big_endian(labels + 4, count);
    for (uint32_t n = 0; n < count; n++) {
        memset(images + 16 + 6 * n, (int)n, 6);
        labels[8 + n] = (uint8_t)n;
    }
    snprintf(name, sizeof name, "%s-images-idx3-ubyte", prefix);
    test_write(files, name, images, 16 + 6 * count);
    snprintf(name, sizeof name, "%s-labels-idx1-ubyte.gz", prefix);
    gzFile file = gzopen(test_path(files, name), "wb");
    assert_non_null(file);
    assert_int_equal(gzwrite(file, labels, 8 + count), 8 + count);
    assert_int_equal(gzclose(file), Z_OK);
}

static void reads_idx_plain_and_gzip(void **state)
{
    test_files files;

    (void)state;
    test_files_init(&files);
    write_idx(&files, "m/t10k", 4, 4, 0x803);
    write_idx(&files, "m/train", 7, 7, 0x803);
    pare_data *test = test_open_split(&files, "m", NULL);
    pare_data *train = test_open_split(&files, "m", "all");
    assert_int_equal(pare_data_count(test), 4);
    assert_int_equal(pare_data_count(train), 7);
    assert_int_equal(pare_data_channels(test), 1);
    assert_int_equal(pare_data_height(test), 2);
    assert_int_equal(pare_data_width(test), 3);
    assert_int_equal(pare_data_label(train, 6), 6);
    assert_int_equal(train->pixels[6 * 6], 6);
    pare_data_free(test);
    pare_data_free(train);
    test_files_clear(&files);
}

static void refuses_damaged_idx(void **state)
{
    test_files files;

    (void)state;
    test_files_init(&files);
    write_idx(&files, "a/t10k", 4, 5, 0x803);
    refuse(&files, "a", "no fitting pair");
    write_idx(&files, "b/t10k", 4, 0xffffffff, 0x803);
    refuse(&files, "b", "no fitting pair");
    write_idx(&files, "c/t10k", 4, 4, 0x802);
    refuse(&files, "c", "no fitting pair");
    write_idx(&files, "d/t10k", 4, 4, 0x803);
    test_write(&files, "d/t10k-labels-idx1-ubyte.gz", "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03k",
               11);
    refuse(&files, "d", "gzip");
    test_write(&files, "e/t10k-images-idx3-ubyte", "", 0);
    refuse(&files, "e", "no file of labels");
    test_write(&files, "e/t10k-labels-idx1-ubyte", "", 0);
    refuse(&files, "e", "no fitting pair");
    test_files_clear(&files);
}

/* --- Strips --- */

static void write_strip(const test_files *files, const char *name, int height, int first)
{
    uint8_t *samples = calloc((size_t)height * 4, 3);

    assert_non_null(samples);
    for (int i = 0; i < height * 4 * 3; i++)
        samples[i] = (uint8_t)(first + i / 48);
    test_write_png(
        files, name,
        &(test_png){.height = height, .width = 4, .depth = 8, .is_rgb = true, .samples = samples});
    free(samples);
}

static void reads_strips(void **state)
{
    test_files files;

    (void)state;
    test_files_init(&files);
    write_strip(&files, "s/test_00.png", 12, 0);
    write_strip(&files, "s/test_01.png", 8, 3);
    test_write(&files, "s/test_labels.u8", "\0\1\2\3\4\5\6", 7);
    test_write_text(&files, "s/classes.txt", "a\nb\nc\nd\ne\n");
    pare_data *data = test_open_split(&files, "s", NULL);
    assert_int_equal(pare_data_count(data), 5);
    assert_int_equal(pare_data_height(data), 4);
    for (int64_t n = 0; n < 5; n++) {
        assert_int_equal(pare_data_label(data, n), n);
        assert_int_equal(data->pixels[n * 48], n);
    }
    assert_string_equal(pare_data_class_name(data, 4), "e");
    pare_data_free(data);

    test_write(&files, "s/test_labels.u8", "\0\1\2\3", 4);
    refuse(&files, "s", "fewer labels");
    write_strip(&files, "s/test_01.png", 9, 3);
    refuse(&files, "s", "no strip");
    test_write(&files, "s/test_01.png", "", 0);
    refuse(&files, "s", "neither PNG nor JPEG");
    test_files_clear(&files);
}

/* --- Class folders --- */

static void reads_class_folders(void **state)
{
    const pare_data_options all = {.split = "all", .test_fraction = 1, .height = 6, .width = 6};
    pare_data *data = NULL;
    test_files files;

    (void)state;
    test_files_init(&files);
    test_write_flat(&files, "c/cat/1.png", 6, 6, false, 10);
    test_write_flat(&files, "c/cat/2.PNG", 6, 6, false, 11);
    test_write_flat(&files, "c/cat/3.png", 6, 6, false, 12);
    test_write_flat(&files, "c/ant/9.png", 6, 6, true, 20);
    test_write_text(&files, "c/cat/notes.txt", "not an image");
    test_write_text(&files, "c/zebra/notes.txt", "no class without images");
    test_write_text(&files, "c/cat/broken.jpg", "not an image");
    assert_int_equal(pare_data_open(&data, files.ctx, test_path(&files, "c"), &all),
                     PARE_ERROR_DATA); /* nothing is left for train */
    pare_data_options test = all;
    test.split = "test";
    test_ok(files.ctx, pare_data_open(&data, files.ctx, test_path(&files, "c"), &test));
    assert_int_equal(pare_data_count(data), 4);
    assert_int_equal(pare_data_classes(data), 2);
    assert_int_equal(pare_data_channels(data), 3); /* one file is colour */
    assert_string_equal(pare_data_class_name(data, 0), "ant");
    assert_string_equal(pare_data_class_name(data, 1), "cat");
    static const int values[] = {20, 10, 11, 12}; /* one of each class in turn */
    for (int64_t n = 0; n < 4; n++) {
        assert_int_equal(pare_data_label(data, n), n > 0);
        assert_int_equal(data->pixels[n * 108 + 50], values[n]);
    }
    pare_data_free(data);
    test_files_clear(&files);
}

static void class_numbers_agree_over_splits(void **state)
{
    test_files files;

    (void)state;
    test_files_init(&files);
    test_write_flat(&files, "c/training/a/1.png", 4, 4, false, 1);
    test_write_flat(&files, "c/training/b/1.png", 4, 4, false, 2);
    test_write_flat(&files, "c/valid/b/1.png", 4, 4, false, 3);
    test_write_flat(&files, "c/test/b/1.png", 4, 4, false, 4);
    test_write_flat(&files, "c/test/c/1.png", 4, 4, false, 5);
    pare_data *train = test_open_split(&files, "c", "train");
    pare_data *val = test_open_split(&files, "c", "val");
    pare_data *test = test_open_split(&files, "c", "test");
    pare_data *all = test_open_split(&files, "c", "all");
    assert_int_equal(pare_data_count(train), 2);
    assert_int_equal(pare_data_count(all), 3);
    assert_int_equal(pare_data_label(val, 0), 1);
    assert_int_equal(pare_data_label(test, 0), 1);
    assert_int_equal(pare_data_label(test, 1), 2);
    assert_int_equal(pare_data_channels(test), 1);
    pare_data_free(train);
    pare_data_free(val);
    pare_data_free(test);
    pare_data_free(all);
    test_files_clear(&files);
}

static void unreadable_folders_say_why(void **state)
{
    test_files files;

    (void)state;
    test_files_init(&files);
    test_write_text(&files, "none/readme.txt", "nothing here");
    refuse(&files, "none", "CIFAR-10 binary");
    test_write_text(&files, "bad/test/cat/1.jpg", "");
    test_write_text(&files, "bad/test/cat/2.png", "GIF89a");
    refuse(&files, "bad", "files left out: 2");
    refuse(&files, "bad", "neither PNG nor JPEG");
    test_files_clear(&files);
}

/* --- Masks --- */

static void write_mask(const test_files *files, const char *name, const char *values)
{
    uint8_t samples[16];

    for (int i = 0; i < 16; i++)
        samples[i] = values[i % (int)strlen(values)] == 'x'
                         ? 255
                         : (uint8_t)(values[i % (int)strlen(values)] - '0');
    test_write_png(files, name,
                   &(test_png){.height = 4, .width = 4, .depth = 8, .samples = samples});
}

static void reads_masks_in_every_layout(void **state)
{
    static const char *const layouts[][3] = {{"images", "masks", "all"},
                                             {"image", "label", "all"},
                                             {"test/images", "test/masks", "test"},
                                             {"test", "testannot", "test"}};
    test_files files;

    (void)state;
    for (size_t k = 0; k < PRI_COUNT(layouts); k++) {
        char name[64];
        pare_data *data = NULL;
        test_files_init(&files);
        for (int i = 0; i < 3; i++) {
            snprintf(name, sizeof name, "d/%s/i.%d.png", layouts[k][0], i);
            test_write_flat(&files, name, 4, 4, true, (uint8_t)i);
            snprintf(name, sizeof name, "d/%s/i.%d.png", layouts[k][1], i);
            write_mask(&files, name, i == 1 ? "0123" : "01");
        }
        test_write_text(&files, "d/classes.txt", "sky\nroad\n");
        snprintf(name, sizeof name, "d/%s/lonely.png", layouts[k][0]); /* left out */
        test_write_flat(&files, name, 4, 4, true, 9);
        test_ok(files.ctx, pare_data_open(&data, files.ctx, test_path(&files, "d"),
                                          &(pare_data_options){.test_fraction = 1}));
        assert_int_equal(pare_data_count(data), 3);
        assert_int_equal(pare_data_classes(data), 0);
        assert_int_equal(pare_data_label(data, 0), -1);
        assert_int_equal(pare_data_mask_classes(data), 4);
        assert_string_equal(pare_data_mask_class_name(data, 1), "road");
        assert_null(pare_data_class_name(data, 1));
        for (int i = 0; i < 16; i++)
            assert_int_equal(pare_data_mask(data, 1)[i], i % 4);
        pare_data_free(data);
        test_files_clear(&files);
    }
}

static void two_valued_masks_are_classes_0_and_1(void **state)
{
    test_files files;
    pare_data *data = NULL;

    (void)state;
    test_files_init(&files);
    test_write_flat(&files, "d/test/1.png", 4, 4, false, 1);
    write_mask(&files, "d/testannot/1.png", "0x");
    data = test_open_split(&files, "d", "test");
    assert_int_equal(pare_data_mask_classes(data), 2);
    assert_int_equal(pare_data_mask(data, 0)[0], 0);
    assert_int_equal(pare_data_mask(data, 0)[1], 1);
    pare_data_free(data);
    write_mask(&files, "d/testannot/1.png", "0x2"); /* 255 among classes is "ignore" */
    data = test_open_split(&files, "d", "test");
    assert_int_equal(pare_data_mask_classes(data), 3);
    assert_int_equal(pare_data_mask(data, 0)[1], PARE_IGNORE);
    pare_data_free(data);
    test_ok(files.ctx, pare_data_open(&data, files.ctx, test_path(&files, "d"),
                                      &(pare_data_options){.ignore_class = 3}));
    assert_int_equal(pare_data_mask_classes(data), 1);
    assert_int_equal(pare_data_mask(data, 0)[2], PARE_IGNORE);
    pare_data_free(data);
    test_files_clear(&files);
}

static void masks_of_another_size_or_damaged_are_left_out(void **state)
{
    test_files files;
    pare_data *data = NULL;

    (void)state;
    test_files_init(&files);
    test_write_flat(&files, "d/test/1.png", 4, 4, false, 1);
    test_write_flat(&files, "d/test/2.png", 4, 5, false, 2);
    test_write_flat(&files, "d/test/3.png", 4, 4, false, 3);
    write_mask(&files, "d/testannot/1.png", "01");
    write_mask(&files, "d/testannot/2.png", "01");
    test_write_text(&files, "d/testannot/3.png", "");
    data = test_open_split(&files, "d", "test");
    assert_int_equal(pare_data_count(data), 1);
    assert_int_equal(data->pixels[0], 1);
    pare_data_free(data);
    test_files_clear(&files);
}

/* --- labels.tsv --- */

static void reads_lists(void **state)
{
    test_files files;

    (void)state;
    test_files_init(&files);
    test_write_flat(&files, "d/test/x/1.png", 4, 4, true, 1);
    test_write_flat(&files, "d/test/2.png", 4, 4, true, 2);
    write_mask(&files, "d/test/m.png", "0123");
    test_write_text(&files, "d/test/labels.tsv",
                    "# made by hand\nx/1.png\t7\ta name\tm.png\r\n\n2.png\t3\nabsent.png\t4\n");
    pare_data *data = test_open_split(&files, "d", "test");
    assert_int_equal(pare_data_count(data), 2);
    assert_int_equal(pare_data_label(data, 0), 7);
    assert_int_equal(pare_data_label(data, 1), 3);
    assert_int_equal(pare_data_classes(data), 8);
    assert_string_equal(pare_data_class_name(data, 7), "a name");
    assert_null(pare_data_class_name(data, 3));
    assert_int_equal(pare_data_mask(data, 0)[3], 3);
    assert_int_equal(pare_data_mask(data, 1)[3], PARE_IGNORE); /* it has no mask */
    pare_data_free(data);
    test_files_clear(&files);
}

static void refuses_damaged_lists(void **state)
{
    static const struct {
        const char *text, *word;
    } cases[] = {{"1.png\n", "line 1"},
                 {"1.png\t0\n1.png\tcat\n", "line 2"},
                 {"1.png\t-1\n", "line 1"},
                 {"1.png\t99999999999999999999\n", "line 1"},
                 {"/etc/passwd\t0\n", "outside"},
                 {"../1.png\t0\n", "outside"},
                 {"a/../../1.png\t0\n", "outside"},
                 {"1.png\t0\ta\t../m.png\n", "outside"},
                 {"\t0\n", "outside"},
                 {"", "no test images"}};
    test_files files;

    (void)state;
    test_files_init(&files);
    test_write_flat(&files, "d/1.png", 4, 4, true, 1);
    for (size_t i = 0; i < PRI_COUNT(cases); i++) {
        test_write_text(&files, "d/labels.tsv", cases[i].text);
        refuse(&files, "d", cases[i].word);
    }
    test_write(&files, "d/labels.tsv", "1.png\0\t0\n", 9);
    refuse(&files, "d", "no text");
    test_files_clear(&files);
}

/* --- Memory --- */

/* Each allocation fails in turn: an error each time, and nothing leaks (sanitizers see to that). */
static void running_out_of_memory_is_an_error(void **state)
{
    static const char *const sets[] = {"c", "m", "s", "t", "l"};
    pare_data *data = NULL;
    test_files files;

    (void)state;
    test_files_init(&files);
    write_cifar(&files, "c/test_batch.bin", 2, 0);
    write_idx(&files, "m/t10k", 4, 4, 0x803);
    write_strip(&files, "s/test_00.png", 12, 0);
    test_write(&files, "s/test_labels.u8", "\0\1\2", 3);
    test_write_flat(&files, "t/test/1.png", 4, 4, false, 1);
    write_mask(&files, "t/testannot/1.png", "01");
    test_write_flat(&files, "l/test/a/1.png", 4, 4, true, 1);
    for (size_t k = 0; k < PRI_COUNT(sets); k++) {
        pare_status status = PARE_ERROR_MEMORY;
        for (int64_t n = 1; status != PARE_OK && n < 1000; n++) {
            pri_fail_allocation(files.ctx, n);
            status = pare_data_open(&data, files.ctx, test_path(&files, sets[k]),
                                    &(pare_data_options){.height = 3, .width = 3});
            pri_fail_allocation(files.ctx, 0);
            assert_true(status == PARE_OK || data == NULL);
        }
        test_ok(files.ctx, status);
        pare_data_free(data);
    }
    test_files_clear(&files);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_cifar_batches),
        cmocka_unit_test(refuses_damaged_cifar),
        cmocka_unit_test(reads_idx_plain_and_gzip),
        cmocka_unit_test(refuses_damaged_idx),
        cmocka_unit_test(reads_strips),
        cmocka_unit_test(reads_class_folders),
        cmocka_unit_test(class_numbers_agree_over_splits),
        cmocka_unit_test(unreadable_folders_say_why),
        cmocka_unit_test(reads_masks_in_every_layout),
        cmocka_unit_test(two_valued_masks_are_classes_0_and_1),
        cmocka_unit_test(masks_of_another_size_or_damaged_are_left_out),
        cmocka_unit_test(reads_lists),
        cmocka_unit_test(refuses_damaged_lists),
        cmocka_unit_test(running_out_of_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
