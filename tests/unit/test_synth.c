/* SPDX-License-Identifier: Apache-2.0 */
/* Made images: what is promised of a set, of one image and of an interrupted run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "data/data.h"
#include "data/synth.h"
#include "ref/images.h"

enum { SIZE = 48, AREA = SIZE * SIZE };

static const pare_synth_options small = {.train = 23, .val = 10, .test = 11, .size = 24, .seed = 3};

static void sets_are_readable_and_labelled(void **state)
{
    static const char *const splits[] = {"train", "val", "test"};
    static const int64_t counts[] = {23, 10, 11};
    test_files files;

    (void)state;
    test_files_init(&files);
    test_ok(files.ctx, pare_synth(files.ctx, test_path(&files, "s"), &small, false));
    for (int k = 0; k < 3; k++) {
        pare_data *data = test_open_split(&files, "s", splits[k]);
        assert_int_equal(pare_data_count(data), counts[k]);
        assert_int_equal(pare_data_classes(data), 10);
        assert_int_equal(pare_data_mask_classes(data), 11);
        assert_int_equal(pare_data_channels(data), 3);
        assert_int_equal(pare_data_height(data), 24);
        assert_string_equal(pare_data_class_name(data, 5), "star");
        assert_string_equal(pare_data_mask_class_name(data, 0), "background");
        assert_string_equal(pare_data_mask_class_name(data, 6), "star");
        for (int64_t n = 0; n < counts[k]; n++) {
            const uint8_t *mask = pare_data_mask(data, n);
            int of_shape = 0;
            for (int i = 0; i < 24 * 24; i++) {
                assert_true(mask[i] == 0 || mask[i] == pare_data_label(data, n) + 1);
                of_shape += mask[i] != 0;
            }
            assert_true(of_shape > 24 && of_shape < 24 * 24 * 3 / 4);
        }
        pare_data_free(data);
    }
    test_files_clear(&files);
}

static void same_options_give_the_same_bytes(void **state)
{
    static const char *const names[] = {"train/images/00022.png", "val/masks/00009.png",
                                        "test/labels.tsv", "synth.txt"};
    pare_synth_options other = small;
    test_files files;

    (void)state;
    test_files_init(&files);
    other.seed = 4;
    test_ok(files.ctx, pare_synth(files.ctx, test_path(&files, "a"), &small, false));
    test_ok(files.ctx, pare_synth(files.ctx, test_path(&files, "b"), &small, false));
    test_ok(files.ctx, pare_synth(files.ctx, test_path(&files, "c"), &other, false));
    for (size_t i = 0; i < PRI_COUNT(names); i++) {
        pri_bytes bytes[3];
        for (int k = 0; k < 3; k++) {
            char name[64];
            snprintf(name, sizeof name, "%c/%s", 'a' + k, names[i]);
            test_ok(files.ctx, pri_file_read(&bytes[k], files.ctx, test_path(&files, name)));
        }
        assert_int_equal(bytes[0].size_bytes, bytes[1].size_bytes);
        assert_memory_equal(bytes[0].data, bytes[1].data, bytes[0].size_bytes);
        const bool same = bytes[0].size_bytes == bytes[2].size_bytes &&
                          memcmp(bytes[0].data, bytes[2].data, bytes[0].size_bytes) == 0;
        assert_true(same == (i == 2)); /* the list holds no pixels */
        for (int k = 0; k < 3; k++)
            pri_bytes_clear(&bytes[k]);
    }
    test_files_clear(&files);
}

static void existing_sets_are_kept_unless_told(void **state)
{
    pare_synth_options fewer = small;
    test_files files;

    (void)state;
    test_files_init(&files);
    fewer.train = 5;
    test_ok(files.ctx, pare_synth(files.ctx, test_path(&files, "s"), &small, false));
    assert_int_equal(pare_synth(files.ctx, test_path(&files, "s"), &fewer, false),
                     PARE_ERROR_EXISTS);
    test_ok(files.ctx, pare_synth(files.ctx, test_path(&files, "s"), &fewer, true));
    assert_false(pri_file_exists(test_path(&files, "s/train/images/00005.png")));
    assert_false(pri_file_exists(test_path(&files, "s/train/masks/00005.png")));
    pare_data *data = test_open_split(&files, "s", "train");
    assert_int_equal(pare_data_count(data), 5);
    pare_data_free(data);

    test_write_text(&files, "mine/notes.txt", "something else");
    assert_int_equal(pare_synth(files.ctx, test_path(&files, "mine"), &small, true),
                     PARE_ERROR_EXISTS);
    assert_false(pri_file_exists(test_path(&files, "mine/synth.txt")));
    test_files_clear(&files);
}

/* Stops a run through progress, as Ctrl-C would. */
static void cancel_at_once(void *user, const pare_progress *progress)
{
    if (strcmp(progress->detail, "val") == 0)
        pare_context_cancel(user);
}

static void interrupted_runs_are_known_and_done_again(void **state)
{
    test_files files;
    pare_data *data = NULL;

    (void)state;
    test_files_init(&files);
    pare_context *ctx = test_context();
    pare_context_set_progress(ctx, cancel_at_once, ctx);
    assert_int_equal(pare_synth(ctx, test_path(&files, "s"), &small, false), PARE_ERROR_CANCELLED);
    pare_context_free(ctx);
    assert_true(pri_file_exists(test_path(&files, "s/train/images/00022.png")));
    assert_int_equal(pare_data_open(&data, files.ctx, test_path(&files, "s"),
                                    &(pare_data_options){.split = "train"}),
                     PARE_ERROR_DATA);
    assert_non_null(strstr(pare_context_message(files.ctx), "interrupted"));
    test_ok(files.ctx, pare_synth(files.ctx, test_path(&files, "s"), &small, false));
    data = test_open_split(&files, "s", "test");
    assert_int_equal(pare_data_count(data), 11);
    pare_data_free(data);
    assert_int_equal(unlink(test_path(&files, "s/test/labels.tsv")), 0);
    assert_int_equal(pare_data_open(&data, files.ctx, test_path(&files, "s"),
                                    &(pare_data_options){.split = "train"}),
                     PARE_ERROR_DATA);
    test_files_clear(&files);
}

static void impossible_options_are_refused(void **state)
{
    const pare_synth_options cases[] = {{.train = -1},      {.val = -1},         {.test = 1 << 30},
                                        {.size = 15},       {.size = 513},       {.size = -1},
                                        {.difficulty = -1}, {.difficulty = 1.01}};
    test_files files;

    (void)state;
    test_files_init(&files);
    for (size_t i = 0; i < PRI_COUNT(cases); i++)
        assert_int_equal(pare_synth(files.ctx, test_path(&files, "s"), &cases[i], false),
                         PARE_ERROR_ARGUMENT);
    assert_false(pri_file_exists(test_path(&files, "s")));
    test_files_clear(&files);
}

/* Every shape is one piece of plane of its own size; no two are alike. */
static void shapes_differ(void **state)
{
    enum { GRID = 96 };
    static bool inside[PRI_SYNTH_BLOB + 1][GRID * GRID];

    (void)state;
    for (int kind = 0; kind <= PRI_SYNTH_BLOB; kind++) {
        int count = 0;
        for (int i = 0; i < GRID * GRID; i++) {
            inside[kind][i] =
                pri_synth_is_inside(kind, (i % GRID - 47.5) / 40.0, (i / GRID - 47.5) / 40.0);
            count += inside[kind][i];
        }
        assert_true(count > 800 && count < 5500);
        for (int other = 0; other < kind; other++) {
            int differ = 0;
            for (int i = 0; i < GRID * GRID; i++)
                differ += inside[kind][i] != inside[other][i];
            assert_true(differ > 300);
        }
    }
}

/* At the easiest nothing hides the shape: seen pixels are about the shape's area. Harder images
 * hide more, and never more than half. */
static void difficulty_hides_shapes(void **state)
{
    uint8_t *pixels = malloc(AREA * 3), *mask = malloc(AREA);
    float *work = malloc((size_t)pri_synth_work(SIZE) * sizeof *work);
    double seen[2] = {0, 0};

    (void)state;
    assert_true(pixels != NULL && mask != NULL && work != NULL);
    for (int hard = 0; hard < 2; hard++) {
        for (int n = 0; n < 200; n++) {
            const pri_synth_job job = {.seed = 1,
                                       .number = n,
                                       .size = SIZE,
                                       .difficulty = hard ? 1 : 0.01,
                                       .label = n % 10};
            int count = 0;
            double drawn = 0;
            pri_synth_draw(pixels, mask, work, &job);
            for (int i = 0; i < AREA; i++) {
                count += mask[i] != 0;
                drawn += (double)work[3 * AREA + i]; /* what the shape covers */
            }
            seen[hard] += count / drawn / 200;
            assert_true(count > 0.35 * drawn);
        }
    }
    assert_true(seen[0] > 0.97 && seen[0] < 1.03);
    assert_true(seen[1] < 0.9 && seen[1] > 0.6);
    free(pixels);
    free(mask);
    free(work);
}

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
    read = test_open_split(&files, "s", "test");
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_are_readable_and_labelled),
        cmocka_unit_test(same_options_give_the_same_bytes),
        cmocka_unit_test(existing_sets_are_kept_unless_told),
        cmocka_unit_test(interrupted_runs_are_known_and_done_again),
        cmocka_unit_test(impossible_options_are_refused),
        cmocka_unit_test(shapes_differ),
        cmocka_unit_test(difficulty_hides_shapes),
        cmocka_unit_test(drawn_images_are_those_of_synth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
