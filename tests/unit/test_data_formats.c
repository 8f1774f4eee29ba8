/* SPDX-License-Identifier: Apache-2.0 */
/* Manifests, lists, arrays, colour masks, drawn images, and the smaller image formats. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <webp/encode.h>

#include "base/random.h"
#include "data/archive.h"
#include "data/dataset.h"
#include "ref/images.h"

static pare_data *open_split(const test_files *files, const char *name, const char *split)
{
    pare_data *data = NULL;

    test_ok(files->ctx, pare_data_open(&data, files->ctx, test_path(files, name),
                                       &(pare_data_options){.split = split}));
    return data;
}

/* Opening must fail and say `word`. */
static void refuse(const test_files *files, const char *name, const char *word)
{
    pare_data *data = NULL;

    if (pare_data_open(&data, files->ctx, test_path(files, name),
                       &(pare_data_options){.split = "train"}) == PARE_OK)
        fail_msg("'%s' was opened", name);
    assert_null(data);
    if (strstr(pare_context_message(files->ctx), word) == NULL)
        fail_msg("'%s' lacks '%s'", pare_context_message(files->ctx), word);
}

static int first_pixel(const pare_data *data, int64_t n)
{
    return data->pixels[n * data->height * data->width * data->channels];
}

/* Gray images 4x5 named m/0.png, ... of value 10 * n, and masks k/0.png, ... of value n. */
static void write_images(const test_files *files, int count)
{
    char name[64];

    for (int n = 0; n < count; n++) {
        uint8_t mask[20];
        snprintf(name, sizeof name, "m/i%d.png", n);
        test_write_flat(files, name, 4, 5, false, (uint8_t)(10 * n));
        memset(mask, n, sizeof mask);
        snprintf(name, sizeof name, "m/k%d.png", n);
        test_write_png(
            files, name,
            &(test_png){.height = 4, .width = 5, .depth = 8, .is_indexed = true, .samples = mask});
    }
}

/* --- Manifests --- */

static void manifests_find_columns_by_name(void **state)
{
    test_files files;

    (void)state;
    test_files_init(&files);
    write_images(&files, 4);
    test_write_text(&files, "m/manifest.csv",
                    "\xef\xbb\xbfid,Label,image,subset,note\r\n"
                    "1,\"cat, small\",i0.png,train,\"a \"\"quoted\"\"\nnote\"\r\n"
                    "2,dog,\"i1.png\",train,\r\n"
                    "\r\n"
                    "3,\"cat, small\",i2.png,test,x\r\n"
                    "4,bird,i3.png,test,\"\"");
    pare_data *train = open_split(&files, "m", "train"), *test = open_split(&files, "m", "test");
    assert_int_equal(pare_data_count(train), 2);
    assert_int_equal(pare_data_label(train, 0), 1); /* bird, cat, dog */
    assert_int_equal(pare_data_label(train, 1), 2);
    assert_string_equal(pare_data_class_name(train, 1), "cat, small");
    assert_int_equal(pare_data_count(test), 2);
    assert_int_equal(pare_data_label(test, 0), 1);
    assert_int_equal(first_pixel(test, 1), 30);
    pare_data_free(train);
    train = open_split(&files, "m/manifest.csv", "train");
    assert_int_equal(first_pixel(train, 1), 10);
    pare_data_free(train);
    pare_data_free(test);
    test_files_clear(&files);
}

static void manifests_without_header_are_guessed(void **state)
{
    test_files files;

    (void)state;
    test_files_init(&files);
    write_images(&files, 3);
    test_write_text(&files, "m/train.csv", "i0.png;7;k0.png\ni1.png;3;k1.png\n");
    test_write_text(&files, "m/test.tsv", "i2.png\tk2.png\n");
    pare_data *data = open_split(&files, "m", "train");
    assert_int_equal(pare_data_count(data), 2);
    assert_int_equal(pare_data_label(data, 0), 7);
    assert_int_equal(pare_data_mask(data, 1)[3], 1);
    pare_data_free(data);
    data = open_split(&files, "m", "test");
    assert_int_equal(pare_data_classes(data), 0);
    assert_int_equal(pare_data_mask(data, 0)[0], 2);
    pare_data_free(data);
    test_files_clear(&files);
}

static void bad_manifests_are_refused(void **state)
{
    static const struct {
        const char *text, *word;
    } cases[] = {
        {"image,label\n\"i0.png,1\n", "quote"},      {"image,label\n\"i0.png\"x,1\n", "quote"},
        {"picture,label\nfoo,1\n", "header"},        {"image,label\n../i0.png,1\n", "outside"},
        {"image,label\n/etc/i0.png,1\n", "outside"}, {"image,label\n,1\n", "names no image"},
        {"image,label\nnone.png,1\n", "left out"},   {"", "no train images"}};
    test_files files;

    (void)state;
    test_files_init(&files);
    write_images(&files, 1);
    for (size_t i = 0; i < PRI_COUNT(cases); i++) {
        test_write_text(&files, "m/train.csv", cases[i].text);
        refuse(&files, "m", cases[i].word);
    }
    test_write(&files, "m/train.csv", "i0.png,\0", 8);
    refuse(&files, "m", "no text");
    test_files_clear(&files);
}

/* A test image must never be trained on because its split is spelt another way. */
static void splits_are_words_in_any_case(void **state)
{
    static const struct {
        const char *name;
        int part;
    } names[] = {{"latest.csv", PRI_PART_NONE},       {"Test.csv", PRI_PART_TEST},
                 {"x_TRAIN.npy", PRI_PART_TRAIN},     {"evaluated.npy", PRI_PART_NONE},
                 {"val2017.txt", PRI_PART_VAL},       {"ytest.npy", PRI_PART_TEST},
                 {"train_test.csv", PRI_PART_NONE},   {"t10k-images-idx3-ubyte", PRI_PART_TEST},
                 {"data_batch_1.bin", PRI_PART_TRAIN}, {"trainval.txt", PRI_PART_TRAIN}};
    test_files files;

    (void)state;
    for (size_t i = 0; i < PRI_COUNT(names); i++)
        assert_int_equal(pri_part_of_name(names[i].name), names[i].part);
    test_files_init(&files);
    write_images(&files, 4);
    test_write_text(&files, "m/latest.csv",
                    "image,label,split\ni0.png,0,Train\ni1.png,0,TEST\ni2.png,0,train\n"
                    "i3.png,0,Validation\n");
    pare_data *train = open_split(&files, "m/latest.csv", "train");
    pare_data *test = open_split(&files, "m/latest.csv", "test");
    assert_int_equal(pare_data_count(train), 2);
    assert_int_equal(first_pixel(train, 1), 20);
    assert_int_equal(pare_data_count(test), 1);
    assert_int_equal(first_pixel(test, 0), 10);
    pare_data_free(train);
    pare_data_free(test);
    test_write_text(&files, "m/latest.csv", "image,label,split\ni0.png,0,contest\n");
    refuse(&files, "m/latest.csv", "'contest' is no split");
    test_files_clear(&files);
}

/* --- Lists --- */

static void lists_name_masks_or_classes(void **state)
{
    test_files files;

    (void)state;
    test_files_init(&files);
    write_images(&files, 3);
    test_write_text(&files, "m/train.txt", "# two images\ni0.png k0.png\n  i2.png\tk2.png \r\n");
    test_write_text(&files, "m/test.txt", "i1.png 5\n");
    pare_data *data = open_split(&files, "m", "train");
    assert_int_equal(pare_data_count(data), 2);
    assert_int_equal(pare_data_mask(data, 1)[0], 2);
    pare_data_free(data);
    data = open_split(&files, "m/test.txt", "test");
    assert_int_equal(pare_data_label(data, 0), 5);
    pare_data_free(data);
    test_write_text(&files, "m/train.txt", "i0.png k0.png\ni1.png\n");
    refuse(&files, "m", "line 2");
    test_write_text(&files, "m/train.txt", "i0.png k0.png\ni1.png ../k1.png\n");
    refuse(&files, "m", "outside");
    test_files_clear(&files);
}

static void reads_the_folders_of_pascal_voc(void **state)
{
    const uint8_t gray[20] = {0}, mask[20] = {3, 255};
    test_files files;

    (void)state;
    test_files_init(&files);
    test_write_jpeg(&files, "v/JPEGImages/a.jpg", 4, 5, 1, gray);
    test_write_png(
        &files, "v/SegmentationClass/a.png",
        &(test_png){.height = 4, .width = 5, .depth = 8, .is_indexed = true, .samples = mask});
    test_write_text(&files, "v/ImageSets/Segmentation/train.txt", "a\n");
    pare_data *data = open_split(&files, "v", "train");
    assert_int_equal(pare_data_count(data), 1);
    assert_int_equal(pare_data_mask_classes(data), 4);
    assert_int_equal(pare_data_mask(data, 0)[1], PARE_IGNORE);
    pare_data_free(data);
    test_files_clear(&files);
}

/* --- Colour masks --- */

static void colours_become_classes(void **state)
{
    static const char *const tables[] = {"sky 128 0 0\ncar\t0,255,0\n",
                                         "128 0 0 sky\n0 255 0 car\n"};
    uint8_t rgb[20 * 3];
    test_files files;

    (void)state;
    test_files_init(&files);
    for (int p = 0; p < 20; p++)
        memcpy(rgb + 3 * p, p < 8 ? "\x80\0\0" : p < 16 ? "\0\xff\0" : "\1\2\3", 3);
    test_write_flat(&files, "d/images/a.png", 4, 5, true, 9);
    test_write_png(
        &files, "d/masks/a.png",
        &(test_png){.height = 4, .width = 5, .depth = 8, .is_rgb = true, .samples = rgb});
    pare_data *none = NULL;
    assert_int_equal(pare_data_open(&none, files.ctx, test_path(&files, "d"),
                                    &(pare_data_options){.test_fraction = 1}),
                     PARE_ERROR_DATA);
    assert_non_null(strstr(pare_context_message(files.ctx), "classes.txt"));
    for (int k = 0; k < 2; k++) {
        pare_data *data = NULL;
        test_write_text(&files, "d/classes.txt", tables[k]);
        test_ok(files.ctx, pare_data_open(&data, files.ctx, test_path(&files, "d"),
                                          &(pare_data_options){.test_fraction = 1}));
        assert_int_equal(pare_data_mask_classes(data), 2);
        assert_string_equal(pare_data_mask_class_name(data, 1), "car");
        for (int p = 0; p < 20; p++)
            assert_int_equal(pare_data_mask(data, 0)[p], p < 8 ? 0 : p < 16 ? 1 : PARE_IGNORE);
        pare_data_free(data);
    }
    test_write_text(&files, "d/classes.txt", "sky 128 0 0\ncar\n");
    refuse(&files, "d", "colours for 1 of 2");
    test_files_clear(&files);
}

/* Colours that are not in the table are ignored and reported, also where all others are class 0. */
static void unknown_colours_are_no_class(void **state)
{
    static const uint8_t sky[3] = {128, 128, 128};
    uint8_t samples[60];
    pare_data_report report;
    test_files files;

    (void)state;
    test_files_init(&files);
    test_write_flat(&files, "d/images/a.png", 4, 5, true, 1);
    for (int p = 0; p < 20; p++) {
        for (int c = 0; c < 3; c++)
            samples[3 * p + c] = p < 5 ? 7 : sky[c];
    }
    test_write_png(&files, "d/masks/a.png",
                   &(test_png){.height = 4, .width = 5, .depth = 8, .is_rgb = true, .samples = samples});
    test_write_text(&files, "d/classes.txt", "sky 128 128 128\ncar 64 0 128\n");
    pare_data *data = NULL;
    test_ok(files.ctx, pare_data_open(&data, files.ctx, test_path(&files, "d"),
                                      &(pare_data_options){.test_fraction = 1}));
    for (int p = 0; p < 20; p++)
        assert_int_equal(pare_data_mask(data, 0)[p], p < 5 ? PARE_IGNORE : 0);
    pare_data_free(data);
    test_ok(files.ctx, pare_data_check(&report, files.ctx, test_path(&files, "d"), NULL));
    assert_int_equal(report.counts[PARE_FAULT_MASK], 1);
    pare_data_report_clear(&report);
    test_files_clear(&files);
}

/* --- Arrays --- */

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
    pare_data *data = open_split(&files, "a", "train");
    assert_int_equal(pare_data_count(data), 3);
    assert_int_equal(pare_data_label(data, 0), 2);
    assert_memory_equal(data->pixels, pixels, 180);
    assert_memory_equal(data->masks, masks, 60);
    pare_data_free(data);
    write_npy(&files, "a/train_images.npy", "|u1", "False", "(3, 3, 4, 5)", pixels,
              180); /* planar */
    data = open_split(&files, "a", "train");
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
    pare_data *data = open_split(&files, ".", "train");
    assert_int_equal(pare_data_count(data), 2);
    assert_int_equal(pare_data_label(data, 1), 2);
    assert_int_equal(data->pixels[7], 255);
    assert_int_equal(data->pixels[1], 23);
    pare_data_free(data);
    for (int i = 0; i < 12; i++)
        halves[i] = pri_f32_to_f16((float)i);
    write_npy(&files, "x_train.npy", "<f2", "False", "(3, 2, 2)", halves, sizeof halves);
    data = open_split(&files, ".", "train");
    assert_int_equal(pare_data_count(data), 3);
    assert_int_equal(data->pixels[11], 11);
    pare_data_free(data);
    values[5] = -1;
    write_npy(&files, "x_train.npy", "<f4", "False", "(3, 2, 2)", values, sizeof values);
    refuse(&files, ".", "from -1");
    test_files_clear(&files);
}

static void put(uint8_t *at, int bytes, uint32_t value)
{
    for (int k = 0; k < bytes; k++)
        at[k] = (uint8_t)(value >> 8 * k);
}

/* A zip of one stored member of `size` bytes; returns its length. */
static size_t make_zip(uint8_t *zip, const char *name, const uint8_t *bytes, size_t size)
{
    const size_t length = strlen(name), at = 30 + length + size;

    memset(zip, 0, at + 46 + length + 22);
    memcpy(zip, "PK\3\4", 4);
    put(zip + 26, 2, (uint32_t)length);
    memcpy(zip + 30, name, length);
    memcpy(zip + 30 + length, bytes, size);
    memcpy(zip + at, "PK\1\2", 4);
    put(zip + at + 20, 4, (uint32_t)size);
    put(zip + at + 24, 4, (uint32_t)size);
    put(zip + at + 28, 2, (uint32_t)length);
    memcpy(zip + at + 46, name, length);
    uint8_t *end = zip + at + 46 + length;
    memcpy(end, "PK\5\6", 4);
    put(end + 10, 2, 1);
    put(end + 16, 4, (uint32_t)at);
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
    pare_data *data = open_split(&files, "a.npz", "train");
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
        refuse(&files, "a", cases[i].word);
    }
    write_npy(&files, "a/train_x.npy", "|u1", "False", "(2, 3, 4)", bytes, 24);
    write_npy(&files, "a/train_y.npy", "|u1", "False", "(3,)", bytes, 3);
    refuse(&files, "a", "no list of 2");
    test_files_clear(&files);
}

/* --- Drawn images --- */

static void drawn_images_are_those_of_synth(void **state)
{
    pare_data *drawn = NULL, *read = NULL;
    test_files files;

    (void)state;
    test_files_init(&files);
    test_ok(files.ctx, pare_synth(files.ctx, test_path(&files, "s"),
                                  &(pare_synth_options){
                                      .train = 2, .val = 1, .test = 12, .size = 20, .seed = 3},
                                  false));
    read = open_split(&files, "s", "test");
    test_ok(files.ctx,
            pare_data_open(&drawn, files.ctx, "synth:test=12,train=0,size=20,seed=3", NULL));
    assert_int_equal(pare_data_count(drawn), 12);
    assert_memory_equal(drawn->pixels, read->pixels, 12 * 400 * 3);
    assert_memory_equal(drawn->masks, read->masks, 12 * 400);
    assert_int_equal(pare_data_label(drawn, 11), pare_data_label(read, 11));
    assert_string_equal(pare_data_class_name(drawn, 0), pare_data_class_name(read, 0));
    pare_data_free(drawn);
    pare_data_free(read);
    assert_int_equal(pare_data_open(&drawn, files.ctx, "synth:size=2", NULL), PARE_ERROR_ARGUMENT);
    assert_int_equal(pare_data_open(&drawn, files.ctx, "synth:colour=2", NULL),
                     PARE_ERROR_ARGUMENT);
    test_files_clear(&files);
}

/* --- Images --- */

static void decode(const test_files *files, pri_image *image, const void *bytes, size_t size)
{
    test_ok(files->ctx, pri_image_decode(image, files->ctx, bytes, size, "image"));
}

static void small_formats_give_their_pixels(void **state)
{
    static const char ppm[] = "P6 # comment\n2 1\n255\nabcdef", pgm[] = "P5\n3 1 4\n\0\2\4";
    uint8_t bmp[54 + 8 + 4] = "BM", rgb[12] = {1, 2, 3, 250, 0, 9, 7, 7, 7, 40, 50, 60},
                         *webp = NULL;
    test_files files;
    pri_image image;

    (void)state;
    test_files_init(&files);
    decode(&files, &image, ppm, sizeof ppm - 1);
    assert_int_equal(image.width, 2);
    assert_int_equal(image.channels, 3);
    assert_memory_equal(image.pixels, "abcdef", 6);
    pri_image_clear(&image);
    decode(&files, &image, pgm, sizeof pgm - 1);
    assert_memory_equal(image.pixels, "\0\x80\xff", 3); /* 4 is white */
    pri_image_clear(&image);
    put(bmp + 10, 4, 54);
    put(bmp + 14, 4, 40);
    put(bmp + 18, 4, 1);
    put(bmp + 22, 4, 2);
    put(bmp + 26, 2, 1);
    put(bmp + 28, 2, 24);
    memcpy(bmp + 54, "cba\0fed", 8); /* blue, green, red, and from the bottom up */
    decode(&files, &image, bmp, sizeof bmp);
    assert_memory_equal(image.pixels, "defabc", 6);
    pri_image_clear(&image);
    const size_t size = WebPEncodeLosslessRGB(rgb, 2, 2, 6, &webp);
    assert_true(size > 0);
    decode(&files, &image, webp, size);
    assert_memory_equal(image.pixels, rgb, 12);
    pri_image_clear(&image);
    for (size_t cut = 0; cut < size; cut++)
        assert_int_not_equal(pri_image_decode(&image, files.ctx, webp, cut, "cut"), PARE_OK);
    for (size_t cut = 0; cut < sizeof ppm - 1; cut++)
        assert_int_not_equal(pri_image_decode(&image, files.ctx, (const uint8_t *)ppm, cut, "cut"),
                             PARE_OK);
    for (size_t cut = 0; cut < 62; cut++)
        assert_int_not_equal(pri_image_decode(&image, files.ctx, bmp, cut, "cut"), PARE_OK);
    WebPFree(webp);
    test_files_clear(&files);
}

/* An 8-bit BMP with 2 colours; pixel values as a mask, an index without colour refused. */
static void indexed_bitmaps_are_masks(void **state)
{
    uint8_t bmp[54 + 8 + 4] = "BM";
    test_files files;
    pri_image mask;

    (void)state;
    test_files_init(&files);
    put(bmp + 10, 4, 62);
    put(bmp + 14, 4, 40);
    put(bmp + 18, 4, 2);
    put(bmp + 22, 4, 1);
    put(bmp + 26, 2, 1);
    put(bmp + 28, 2, 8);
    put(bmp + 46, 4, 2);
    memcpy(bmp + 54, "\0\0\xff\0\xff\0\0", 8);
    memcpy(bmp + 62, "\1\0", 2);
    test_write(&files, "m.bmp", bmp, sizeof bmp);
    test_ok(files.ctx, pri_mask_read(&mask, files.ctx, test_path(&files, "m.bmp")));
    assert_memory_equal(mask.pixels, "\1\0", 2);
    pri_image_clear(&mask);
    decode(&files, &mask, bmp, sizeof bmp);
    assert_memory_equal(mask.pixels, "\0\0\xff\xff\0\0", 6);
    pri_image_clear(&mask);
    bmp[62] = 2;
    assert_int_equal(pri_image_decode(&mask, files.ctx, bmp, sizeof bmp, "m"), PARE_ERROR_FORMAT);
    test_files_clear(&files);
}

static void damaged_headers_never_end_the_program(void **state)
{
    static const char ppm[] = "P6\n4 4\n255\n................................................";
    uint8_t bmp[200] = "BM", bytes[200];
    test_files files;

    (void)state;
    test_files_init(&files);
    put(bmp + 10, 4, 54);
    put(bmp + 14, 4, 40);
    put(bmp + 18, 4, 4);
    put(bmp + 22, 4, 4);
    put(bmp + 26, 2, 1);
    put(bmp + 28, 2, 24);
    for (uint64_t i = 0; i < 40000; i++) {
        const bool is_bmp = i % 2 == 0;
        const size_t size = is_bmp ? sizeof bmp : sizeof ppm - 1;
        pri_image image;
        memcpy(bytes, is_bmp ? (const void *)bmp : ppm, size);
        for (uint64_t k = 0; k < 3; k++)
            bytes[2 + pri_random_below(60, k, PRI_STREAM_TEST, i)] =
                (uint8_t)pri_random_bits(9 + k, PRI_STREAM_TEST, i);
        if (pri_image_decode(&image, files.ctx, bytes, size, "damaged") == PARE_OK)
            pri_image_clear(&image);
    }
    test_files_clear(&files);
}

/* --- Sets that are not held --- */

static void large_sets_are_decoded_when_used(void **state)
{
    pare_data *held = NULL, *part = NULL, *sample = NULL, *sample_held = NULL;
    const pri_preprocess plain = {.scale = 1, .std = {1, 1, 1, 1}};
    const int64_t order[6] = {5, 0, 3, 1, 4, 2};
    float a[6 * 20], b[6 * 20];
    test_files files;

    (void)state;
    test_files_init(&files);
    write_images(&files, 6);
    test_write_text(&files, "m/test.csv",
                    "i0.png,0\ni1.png,1\ni2.png,2\ni3.png,3\ni4.png,4\ni5.png,5\n");
    test_ok(files.ctx, pare_data_open(&held, files.ctx, test_path(&files, "m"), NULL));
    pare_data_options options = {.memory = 3 * 20 * 2};
    test_ok(files.ctx, pare_data_open(&part, files.ctx, test_path(&files, "m"), &options));
    assert_null(part->pixels);
    pri_data_batch(held, &plain, order, 6, NULL, 0, a, NULL, NULL);
    pri_data_batch(part, &plain, order, 6, NULL, 0, b, NULL, NULL);
    assert_memory_equal(a, b, sizeof a);
    assert_true(a[0] == 50);
    test_ok(files.ctx, pare_data_sample(&sample, part, 4, 1));
    test_ok(files.ctx, pare_data_sample(&sample_held, held, 4, 1));
    pare_data_free(part);
    pri_data_batch(sample_held, &plain, (const int64_t[]){0, 1, 2, 3}, 4, NULL, 0, a, NULL, NULL);
    pri_data_batch(sample, &plain, (const int64_t[]){0, 1, 2, 3}, 4, NULL, 0, b, NULL, NULL);
    assert_memory_equal(a, b, 4 * 20 * sizeof *a);
    remove(test_path(&files, "m/i5.png"));
    test_ok(files.ctx, pare_data_open(&part, files.ctx, test_path(&files, "m"), &options));
    remove(test_path(&files, "m/i4.png"));
    assert_int_not_equal(pri_data_batch(part, &plain, order + 1, 5, NULL, 0, b, NULL, NULL),
                         PARE_OK);
    assert_non_null(strstr(pare_context_message(files.ctx), "i4.png"));
    pare_data_free(part);
    pare_data_free(sample);
    pare_data_free(sample_held);
    pare_data_free(held);
    test_files_clear(&files);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(manifests_find_columns_by_name),
        cmocka_unit_test(manifests_without_header_are_guessed),
        cmocka_unit_test(bad_manifests_are_refused),
        cmocka_unit_test(splits_are_words_in_any_case),
        cmocka_unit_test(lists_name_masks_or_classes),
        cmocka_unit_test(reads_the_folders_of_pascal_voc),
        cmocka_unit_test(colours_become_classes),
        cmocka_unit_test(unknown_colours_are_no_class),
        cmocka_unit_test(reads_folders_of_arrays),
        cmocka_unit_test(headers_may_end_anywhere),
        cmocka_unit_test(floats_become_bytes_and_nan_is_left_out),
        cmocka_unit_test(reads_npz_and_survives_damage),
        cmocka_unit_test(arrays_that_do_not_fit_are_refused),
        cmocka_unit_test(drawn_images_are_those_of_synth),
        cmocka_unit_test(small_formats_give_their_pixels),
        cmocka_unit_test(indexed_bitmaps_are_masks),
        cmocka_unit_test(damaged_headers_never_end_the_program),
        cmocka_unit_test(large_sets_are_decoded_when_used),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
