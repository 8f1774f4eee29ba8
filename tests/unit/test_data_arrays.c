/* SPDX-License-Identifier: Apache-2.0 */
/* Sets in NumPy arrays and archives of them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "data/archive.h"
#include "data/data.h"
#include "ref/images.h"

/* A .npy file: header and data. */
static size_t make_npy(uint8_t *out, const char *type, const char *order, const char *shape,
                       const void *data, size_t size)
{
    char header[128];

    memset(header, ' ', sizeof header);
    const int length =
        snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': %s, 'shape': %s, }", type,
                 order, shape);
    header[length] = ' ';
    header[117] = '\n';
    memcpy(out, "\x93NUMPY\1\0\x76\0", 10);
    memcpy(out + 10, header, 118);
    memcpy(out + 128, data, size);
    return 128 + size;
}

static void write_npy(const test_files *files, const char *name, const char *type,
                      const char *order, const char *shape, const void *data, size_t size)
{
    uint8_t *bytes = malloc(size + 128);

    assert_non_null(bytes);
    test_write(files, name, bytes, make_npy(bytes, type, order, shape, data, size));
    free(bytes);
}

static void reads_folders_of_arrays(void **state)
{
    uint8_t pixels[3 * 4 * 5 * 3], masks[3 * 4 * 5];
    const int64_t labels[3] = {2, 0, 1};
    test_files files;

    (void)state;
    test_files_init(&files);
    for (int i = 0; i < 180; i++)
        pixels[i] = (uint8_t)i;
    for (int i = 0; i < 60; i++)
        masks[i] = (uint8_t)(i / 20);
    write_npy(&files, "a/train_images.npy", "|u1", "False", "(3, 4, 5, 3)", pixels, 180);
    write_npy(&files, "a/train_labels.npy", "<i8", "False", "(3,)", labels, sizeof labels);
    write_npy(&files, "a/train_masks.npy", "|u1", "False", "(3, 4, 5)", masks, 60);
    pare_data *data = test_open_split(&files, "a", "train");
    assert_int_equal(pare_data_count(data), 3);
    assert_int_equal(pare_data_label(data, 0), 2);
    assert_memory_equal(data->pixels, pixels, 180);
    assert_memory_equal(data->masks, masks, 60);
    pare_data_free(data);
    write_npy(&files, "a/train_images.npy", "|u1", "False", "(3, 3, 4, 5)", pixels,
              180); /* planar */
    data = test_open_split(&files, "a", "train");
    assert_int_equal(data->pixels[1], 20);
    assert_int_equal(data->pixels[3], 1);
    pare_data_free(data);
    test_files_clear(&files);
}

/* Headers that end inside the type; the sanitizers see a byte too much. */
static void headers_may_end_anywhere(void **state)
{
    static const char whole[] = "{'fortran_order': False, 'shape': (1,), 'descr': '<f4'";
    pare_context *ctx = test_context();
    pri_array array;

    (void)state;
    for (size_t length = 0; length < sizeof whole; length++) {
        uint8_t file[10 + sizeof whole] = "\x93NUMPY\1";
        file[8] = (uint8_t)length;
        memcpy(file + 10, whole, length);
        if (length < sizeof whole - 1)
            assert_int_not_equal(pri_array_parse(&array, ctx, file, 10 + length, "a"), PARE_OK);
        memset(file + 10 + length - (length > 0), 0, 1); /* and a zero byte at the end */
        assert_int_not_equal(pri_array_parse(&array, ctx, file, 10 + length, "a"), PARE_OK);
    }
    pare_context_free(ctx);
}

static void floats_become_bytes_and_nan_is_left_out(void **state)
{
    float values[3 * 4];
    uint16_t halves[3 * 4];
    const int32_t labels[3] = {0, 1, 2};
    test_files files;

    (void)state;
    test_files_init(&files);
    for (int i = 0; i < 12; i++)
        values[i] = (float)i / 11;
    values[5] = NAN;
    write_npy(&files, "x_train.npy", "<f4", "False", "(3, 2, 2)", values, sizeof values);
    write_npy(&files, "y_train.npy", "<i4", "False", "(3,)", labels, sizeof labels);
    pare_data *data = test_open_split(&files, ".", "train");
    assert_int_equal(pare_data_count(data), 2);
    assert_int_equal(pare_data_label(data, 1), 2);
    assert_int_equal(data->pixels[7], 255);
    assert_int_equal(data->pixels[1], 23);
    pare_data_free(data);
    for (int i = 0; i < 12; i++)
        halves[i] = pri_f32_to_f16((float)i);
    write_npy(&files, "x_train.npy", "<f2", "False", "(3, 2, 2)", halves, sizeof halves);
    data = test_open_split(&files, ".", "train");
    assert_int_equal(pare_data_count(data), 3);
    assert_int_equal(data->pixels[11], 11);
    pare_data_free(data);
    values[5] = -1;
    write_npy(&files, "x_train.npy", "<f4", "False", "(3, 2, 2)", values, sizeof values);
    test_refuse_set(&files, ".", "from -1");
    test_files_clear(&files);
}

/* A zip of one stored member of `size` bytes; returns its length. */
static size_t make_zip(uint8_t *zip, const char *name, const uint8_t *bytes, size_t size)
{
    const size_t length = strlen(name), at = 30 + length + size;

    memset(zip, 0, at + 46 + length + 22);
    memcpy(zip, "PK\3\4", 4);
    test_put(zip + 26, 2, (uint32_t)length);
    memcpy(zip + 30, name, length);
    memcpy(zip + 30 + length, bytes, size);
    memcpy(zip + at, "PK\1\2", 4);
    test_put(zip + at + 20, 4, (uint32_t)size);
    test_put(zip + at + 24, 4, (uint32_t)size);
    test_put(zip + at + 28, 2, (uint32_t)length);
    memcpy(zip + at + 46, name, length);
    uint8_t *end = zip + at + 46 + length;
    memcpy(end, "PK\5\6", 4);
    test_put(end + 10, 2, 1);
    test_put(end + 16, 4, (uint32_t)at);
    return at + 46 + length + 22;
}

/* All arrays of a zip, as far as they can be read. */
static void read_members(pare_context *ctx, const uint8_t *zip, size_t size)
{
    pri_member *members = NULL;
    int64_t count = 0;

    (void)pri_members_list(&members, &count, ctx, zip, size, "zip");
    for (int64_t i = 0; i < count; i++) {
        unsigned char *bytes = NULL;
        pri_array array;
        if (pri_member_read(&bytes, ctx, zip, size, &members[i]) == PARE_OK &&
            pri_array_parse(&array, ctx, bytes, (size_t)members[i].size, "array") == PARE_OK &&
            array.count > 0)
            (void)pri_array_at(&array, array.count - 1);
        pri_free(bytes);
    }
    pri_members_free(members, count);
}

static void reads_npz_and_survives_damage(void **state)
{
    const uint8_t pixels[24] = {1, 2, 3};
    uint8_t npy[256], zip[1024], damaged[1024];
    test_files files;

    (void)state;
    test_files_init(&files);
    const size_t n = make_npy(npy, "|u1", "False", "(2, 3, 4)", pixels, 24);
    const size_t size = make_zip(zip, "train_images.npy", npy, n);
    test_write(&files, "a.npz", zip, size);
    pare_data *data = test_open_split(&files, "a.npz", "train");
    assert_int_equal(pare_data_count(data), 2);
    assert_int_equal(pare_data_height(data), 3);
    assert_memory_equal(data->pixels, pixels, 24);
    pare_data_free(data);
    for (size_t i = 0; i < 5000; i++) { /* nothing but a refusal or an array may come of it */
        const size_t at = (size_t)pri_random_below((int64_t)size, 1, PRI_STREAM_TEST, i);
        memcpy(damaged, zip, size);
        damaged[at] = (uint8_t)pri_random_below(256, 2, PRI_STREAM_TEST, i);
        read_members(files.ctx, damaged, i % 2 == 0 ? size : at);
    }
    test_files_clear(&files);
}

static void arrays_that_do_not_fit_are_refused(void **state)
{
    static const struct {
        const char *type, *order, *shape, *word;
        size_t size;
    } cases[] = {{"|u1", "True", "(2, 3, 4)", "Fortran", 24},
                 {">f4", "False", "(2, 3, 1)", "big-endian", 24},
                 {"<c8", "False", "(1, 3, 1)", "type", 24},
                 {"<U6", "False", "(1,)", "type", 24},
                 {"|u1", "False", "(2, 3, 5)", "truncated", 24},
                 {"|u1", "False", "(9223372036854775807, 3, 4)", "shape", 24},
                 {"|u1", "False", "(4, 6)", "no set of images", 24},
                 {"|u1", "False", "(1, 2, 3, 4)", "no set of images", 24},
                 {"|u1", "False", "(0, 3, 4)", "no set of images", 0}};
    const uint8_t bytes[24] = {0};
    test_files files;

    (void)state;
    test_files_init(&files);
    for (size_t i = 0; i < PRI_COUNT(cases); i++) {
        write_npy(&files, "a/train_x.npy", cases[i].type, cases[i].order, cases[i].shape, bytes,
                  cases[i].size);
        test_refuse_set(&files, "a", cases[i].word);
    }
    write_npy(&files, "a/train_x.npy", "|u1", "False", "(2, 3, 4)", bytes, 24);
    write_npy(&files, "a/train_y.npy", "|u1", "False", "(3,)", bytes, 3);
    test_refuse_set(&files, "a", "no list of 2");
    test_files_clear(&files);
}

/* 255 and -1 are pixels that do not count; what is neither a class nor that is no slip to pass
 * over. */
static void values_of_masks_are_classes(void **state)
{
    static const struct {
        int16_t value;
        const char *word;
    } cases[] = {{254, NULL}, {255, NULL}, {-1, NULL}, {256, "holds 256"}, {-2, "holds -2"}};
    uint8_t pixels[2 * 2 * 2 * 3] = {0};
    test_files files;

    (void)state;
    test_files_init(&files);
    write_npy(&files, "m/train_images.npy", "|u1", "False", "(2, 2, 2, 3)", pixels, sizeof pixels);
    for (size_t i = 0; i < PRI_COUNT(cases); i++) {
        const int16_t masks[8] = {0, 1, 2, 3, 0, cases[i].value, 0, 0};
        write_npy(&files, "m/train_masks.npy", "<i2", "False", "(2, 2, 2)", masks, sizeof masks);
        if (cases[i].word != NULL) {
            test_refuse_set(&files, "m", cases[i].word);
            continue;
        }
        pare_data *data = test_open_split(&files, "m", "train");
        assert_int_equal(data->masks[5], cases[i].value == 254 ? 254 : PARE_IGNORE);
        pare_data_free(data);
    }
    test_files_clear(&files);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_masks_are_classes),
        cmocka_unit_test(reads_folders_of_arrays),
        cmocka_unit_test(headers_may_end_anywhere),
        cmocka_unit_test(floats_become_bytes_and_nan_is_left_out),
        cmocka_unit_test(reads_npz_and_survives_damage),
        cmocka_unit_test(arrays_that_do_not_fit_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
