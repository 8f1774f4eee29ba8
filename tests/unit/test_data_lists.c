/* SPDX-License-Identifier: Apache-2.0 */
/* Manifests, lists, Pascal VOC, and masks by colour. */
#include <string.h>

#include "data/dataset.h"
#include "ref/images.h"

/* --- Manifests --- */

static void manifests_find_columns_by_name(void **state)
{
    test_files files;

    (void)state;
    test_files_init(&files);
    test_write_numbered(&files, 4);
    test_write_text(&files, "m/manifest.csv",
                    "\xef\xbb\xbfid,Label,image,subset,note\r\n"
                    "1,\"cat, small\",i0.png,train,\"a \"\"quoted\"\"\nnote\"\r\n"
                    "2,dog,\"i1.png\",train,\r\n"
                    "\r\n"
                    "3,\"cat, small\",i2.png,test,x\r\n"
                    "4,bird,i3.png,test,\"\"");
    pare_data *train = test_open_split(&files, "m", "train");
    pare_data *test = test_open_split(&files, "m", "test");
    assert_int_equal(pare_data_count(train), 2);
    assert_int_equal(pare_data_label(train, 0), 1); /* bird, cat, dog */
    assert_int_equal(pare_data_label(train, 1), 2);
    assert_string_equal(pare_data_class_name(train, 1), "cat, small");
    assert_int_equal(pare_data_count(test), 2);
    assert_int_equal(pare_data_label(test, 0), 1);
    assert_int_equal(test_first_pixel(test, 1), 30);
    pare_data_free(train);
    train = test_open_split(&files, "m/manifest.csv", "train");
    assert_int_equal(test_first_pixel(train, 1), 10);
    pare_data_free(train);
    pare_data_free(test);
    test_files_clear(&files);
}

static void manifests_without_header_are_guessed(void **state)
{
    test_files files;

    (void)state;
    test_files_init(&files);
    test_write_numbered(&files, 3);
    test_write_text(&files, "m/train.csv", "i0.png;7;k0.png\ni1.png;3;k1.png\n");
    test_write_text(&files, "m/test.tsv", "i2.png\tk2.png\n");
    pare_data *data = test_open_split(&files, "m", "train");
    assert_int_equal(pare_data_count(data), 2);
    assert_int_equal(pare_data_label(data, 0), 7);
    assert_int_equal(pare_data_mask(data, 1)[3], 1);
    pare_data_free(data);
    data = test_open_split(&files, "m", "test");
    assert_int_equal(pare_data_classes(data), 0);
    assert_int_equal(pare_data_mask(data, 0)[0], 2);
    pare_data_free(data);
    test_files_clear(&files);
}

static void bad_manifests_are_refused(void **state)
{
    static const struct {
        const char *text, *word;
    } cases[] = {{"image,label\n\"i0.png,1\n", "quote"},
                 {"image,label\n\"i0.png\"x,1\n", "quote"},
                 {"picture,label\nfoo,1\n", "header"},
                 {"image,label\n../i0.png,1\n", "outside"},
                 {"image,label\n/etc/i0.png,1\n", "outside"},
                 {"image,label\n,1\n", "names no image"},
                 {"image,label\nnone.png,1\n", "left out"},
                 {"", "no train images"},
                 {"image,label\ni0.png,-1\ni0.png,2\n", "'-1'"},
                 {"image,label\ni0.png,3\ni0.png,1.5\n", "'1.5'"}};
    test_files files;

    (void)state;
    test_files_init(&files);
    test_write_numbered(&files, 1);
    for (size_t i = 0; i < PRI_COUNT(cases); i++) {
        test_write_text(&files, "m/train.csv", cases[i].text);
        test_refuse_set(&files, "m", cases[i].word);
    }
    test_write(&files, "m/train.csv", "i0.png,\0", 8);
    test_refuse_set(&files, "m", "no text");
    test_files_clear(&files);
}

/* A test image must never be trained on because its split is spelt another way. */
/* Names may look like numbers where all labels are names. */
static void labels_are_numbers_or_names(void **state)
{
    static const char *const texts[] = {"image,label\ni0.png,1.5\ni1.png,0.5\n",
                                        "image,label\ni0.png,10\ni1.png,\n",
                                        "image,label\ni0.png,7\ni1.png,-\n"};
    static const int labels[][2] = {{1, 0}, {10, -1}, {1, 0}};
    test_files files;

    (void)state;
    test_files_init(&files);
    test_write_numbered(&files, 2);
    for (size_t i = 0; i < PRI_COUNT(texts); i++) {
        test_write_text(&files, "m/train.csv", texts[i]);
        pare_data *data = test_open_split(&files, "m", "train");
        assert_int_equal(pare_data_label(data, 0), labels[i][0]);
        assert_int_equal(pare_data_label(data, 1), labels[i][1]);
        pare_data_free(data);
    }
    test_files_clear(&files);
}

static void splits_are_words_in_any_case(void **state)
{
    static const struct {
        const char *name;
        int part;
    } names[] = {{"latest.csv", PRI_PART_NONE},        {"Test.csv", PRI_PART_TEST},
                 {"x_TRAIN.npy", PRI_PART_TRAIN},      {"evaluated.npy", PRI_PART_NONE},
                 {"val2017.txt", PRI_PART_VAL},        {"ytest.npy", PRI_PART_TEST},
                 {"train_test.csv", PRI_PART_NONE},    {"t10k-images-idx3-ubyte", PRI_PART_TEST},
                 {"data_batch_1.bin", PRI_PART_TRAIN}, {"trainval.txt", PRI_PART_TRAIN}};
    test_files files;

    (void)state;
    for (size_t i = 0; i < PRI_COUNT(names); i++)
        assert_int_equal(pri_part_of_name(names[i].name), names[i].part);
    test_files_init(&files);
    test_write_numbered(&files, 4);
    test_write_text(&files, "m/latest.csv",
                    "image,label,split\ni0.png,0,Train\ni1.png,0,TEST\ni2.png,0,train\n"
                    "i3.png,0,Validation\n");
    pare_data *train = test_open_split(&files, "m/latest.csv", "train");
    pare_data *test = test_open_split(&files, "m/latest.csv", "test");
    assert_int_equal(pare_data_count(train), 2);
    assert_int_equal(test_first_pixel(train, 1), 20);
    assert_int_equal(pare_data_count(test), 1);
    assert_int_equal(test_first_pixel(test, 0), 10);
    pare_data_free(train);
    pare_data_free(test);
    test_write_text(&files, "m/latest.csv", "image,label,split\ni0.png,0,contest\n");
    test_refuse_set(&files, "m/latest.csv", "'contest' is no split");
    test_files_clear(&files);
}

/* --- Lists --- */

static void lists_name_masks_or_classes(void **state)
{
    test_files files;

    (void)state;
    test_files_init(&files);
    test_write_numbered(&files, 3);
    test_write_text(&files, "m/train.txt", "# two images\ni0.png k0.png\n  i2.png\tk2.png \r\n");
    test_write_text(&files, "m/test.txt", "i1.png 5\n");
    pare_data *data = test_open_split(&files, "m", "train");
    assert_int_equal(pare_data_count(data), 2);
    assert_int_equal(pare_data_mask(data, 1)[0], 2);
    pare_data_free(data);
    data = test_open_split(&files, "m/test.txt", "test");
    assert_int_equal(pare_data_label(data, 0), 5);
    pare_data_free(data);
    test_write_text(&files, "m/train.txt", "i0.png k0.png\ni1.png\n");
    test_refuse_set(&files, "m", "line 2");
    test_write_text(&files, "m/train.txt", "i0.png k0.png\ni1.png ../k1.png\n");
    test_refuse_set(&files, "m", "outside");
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
    pare_data *data = test_open_split(&files, "v", "train");
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
    test_refuse_set(&files, "d", "colours for 1 of 2");
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
    test_write_png(
        &files, "d/masks/a.png",
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(manifests_find_columns_by_name),
        cmocka_unit_test(manifests_without_header_are_guessed),
        cmocka_unit_test(bad_manifests_are_refused),
        cmocka_unit_test(labels_are_numbers_or_names),
        cmocka_unit_test(splits_are_words_in_any_case),
        cmocka_unit_test(lists_name_masks_or_classes),
        cmocka_unit_test(reads_the_folders_of_pascal_voc),
        cmocka_unit_test(colours_become_classes),
        cmocka_unit_test(unknown_colours_are_no_class),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
