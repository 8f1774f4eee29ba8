/* SPDX-License-Identifier: Apache-2.0 */
/* pare_data_check finds what is planted and nothing else; previews are whole files. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/random.h"
#include "data/check.h"
#include "data/image.h"
#include "data/preview.h"
#include "ref/images.h"

enum { H = 24, W = 28 };

/* A smooth random image: noise on a 4x4 grid, enlarged; `change` is added to one pixel. */
static void write_image(const test_files *files, const char *name, uint64_t number, int change)
{
    uint8_t samples[H * W];

    for (int p = 0; p < H * W; p++) {
        const uint64_t cell = (uint64_t)(p / W / 3 * 10 + p % W / 3);
        samples[p] = (uint8_t)(20 + pri_random_below(200, number, PRI_STREAM_TEST, cell));
    }
    samples[5] = (uint8_t)(samples[5] + change);
    test_write_png(files, name,
                   &(test_png){.height = H, .width = W, .depth = 8, .samples = samples});
}

static void write_mask(const test_files *files, const char *name, uint8_t first, uint8_t rest)
{
    uint8_t samples[H * W];

    memset(samples, rest, sizeof samples);
    samples[0] = first;
    test_write_png(files, name,
                   &(test_png){.height = H, .width = W, .depth = 8, .samples = samples});
}

static bool has_finding(const pare_data_report *r, pare_data_fault fault, const char *file,
                        const char *detail)
{
    for (int64_t i = 0; i < r->n_findings; i++) {
        if (r->findings[i].fault == fault && strstr(r->findings[i].file, file) != NULL &&
            strstr(r->findings[i].detail, detail) != NULL)
            return true;
    }
    return false;
}

static void clean_sets_are_clean(void **state)
{
    pare_data_report r;
    char name[64];
    test_files files;

    (void)state;
    test_files_init(&files);
    for (int n = 0; n < 24; n++) {
        snprintf(name, sizeof name, "d/%s/c%d/%d.png", n < 18 ? "train" : "test", n % 3, n);
        write_image(&files, name, (uint64_t)n, 0);
    }
    test_ok(files.ctx, pare_data_check(&r, files.ctx, test_path(&files, "d"), NULL));
    assert_int_equal(r.n_findings, 0);
    assert_int_equal(r.images, 24);
    assert_int_equal(r.train, 18);
    assert_int_equal(r.test, 6);
    assert_int_equal(r.n_classes, 3);
    assert_int_equal(r.classes[1].train, 6);
    assert_string_equal(r.classes[1].name, "c1");
    assert_int_equal(r.most_width, W);
    pare_data_report_clear(&r);
    pare_data_report_clear(&r);
    test_files_clear(&files);
}

static void planted_faults_are_found(void **state)
{
    pare_data_report r;
    char name[64];
    test_files files;

    (void)state;
    test_files_init(&files);
    for (int n = 0; n < 34; n++) {
        snprintf(name, sizeof name, "d/train/big/%02d.png", n);
        write_image(&files, name, (uint64_t)n, 0);
    }
    write_image(&files, "d/train/small/a.png", 100, 0);
    write_image(&files, "d/train/small/copy.png", 100, 0);
    write_image(&files, "d/train/small/other.png", 3, 0); /* of class big, too */
    write_image(&files, "d/train/big/near.png", 4, 1);    /* one gray level in one pixel */
    write_image(&files, "d/test/big/leak.png", 5, 0);
    write_image(&files, "d/test/big/nearleak.png", 6, 1);
    write_image(&files, "d/test/never/trained.png", 101, 0);
    test_write_flat(&files, "d/train/big/flat.png", H, W, false, 7);
    test_write_flat(&files, "d/train/big/flat2.png", H, W, false, 7);
    test_write_text(&files, "d/train/big/text.png", "no image");
    test_write_flat(&files, "d/train/big/size.png", 9, 9, false, 7);
    test_ok(files.ctx, pare_data_check(&r, files.ctx, test_path(&files, "d"), NULL));
    assert_true(has_finding(&r, PARE_FAULT_DUPLICATE, "small/copy.png", "small/a.png"));
    assert_true(has_finding(&r, PARE_FAULT_CONTRADICTION, "03.png", "other.png"));
    assert_true(has_finding(&r, PARE_FAULT_LEAK, "leak.png", "05.png"));
    assert_true(has_finding(&r, PARE_FAULT_NEAR_DUPLICATE, "near.png", "04.png"));
    assert_true(has_finding(&r, PARE_FAULT_NEAR_LEAK, "nearleak.png", "06.png"));
    assert_true(has_finding(&r, PARE_FAULT_CONSTANT, "flat.png", "alike"));
    assert_true(has_finding(&r, PARE_FAULT_UNREADABLE, "text.png", "neither PNG"));
    assert_true(has_finding(&r, PARE_FAULT_SIZE, "size.png", "9x9"));
    assert_true(has_finding(&r, PARE_FAULT_LABEL, "", "never in train"));
    assert_true(has_finding(&r, PARE_FAULT_IMBALANCE, "", "has 3"));
    assert_int_equal(r.counts[PARE_FAULT_DUPLICATE], 2); /* copy, 03 */
    assert_int_equal(r.counts[PARE_FAULT_LEAK], 1);
    assert_int_equal(r.counts[PARE_FAULT_NEAR_DUPLICATE], 1);
    assert_int_equal(r.counts[PARE_FAULT_NEAR_LEAK], 1);
    assert_int_equal(r.counts[PARE_FAULT_CONSTANT], 3);
    assert_int_equal(r.counts[PARE_FAULT_UNREADABLE], 1);
    for (int64_t i = 1; i < r.n_findings; i++)
        assert_true(r.findings[i - 1].fault <= r.findings[i].fault);
    pare_data_report_clear(&r);
    test_ok(files.ctx, pare_data_check(&r, files.ctx, test_path(&files, "d"),
                                       &(pare_data_check_options){.near = -1}));
    assert_int_equal(r.counts[PARE_FAULT_NEAR_DUPLICATE], 0);
    assert_int_equal(r.comparisons, 0);
    pare_data_report_clear(&r);
    test_files_clear(&files);
}

/* All pairs within the distance are found, by as many comparisons as there are pairs that share a
 * band at most. */
static void bands_miss_no_pair(void **state)
{
    enum { N = 300 };
    pri_look *looks = calloc(N, sizeof *looks);
    const pri_item item = {.part = PRI_PART_TRAIN};
    pare_context *ctx = test_context();

    (void)state;
    for (int distance = 1; distance <= 7; distance++) {
        pare_data_report r = {0};
        int64_t wanted = 0;
        for (int i = 0; i < N; i++) {
            uint64_t hash = pri_random_bits(1, PRI_STREAM_TEST, (uint64_t)(i / 3));
            for (int k = 0; k < i % 3 * 2; k++) /* up to four bits off */
                hash ^= UINT64_C(1)
                        << pri_random_below(64, 2, PRI_STREAM_TEST, (uint64_t)(8 * i + k));
            looks[i] = (pri_look){.item = &item,
                                  .number = i,
                                  .is_readable = true,
                                  .likeness = hash,
                                  .pixels = (uint64_t)i,
                                  .near = -1};
        }
        for (int i = 0; i < N; i++) {
            bool has_near = false;
            for (int k = 0; k < i; k++) {
                uint64_t x = looks[i].likeness ^ looks[k].likeness;
                int bits = 0;
                for (; x != 0; bits++)
                    x &= x - 1;
                has_near = has_near || bits <= distance;
            }
            wanted += has_near;
        }
        test_ok(ctx, pri_check_alike(&r, ctx, looks, N, distance));
        assert_int_equal(r.counts[PARE_FAULT_NEAR_DUPLICATE], wanted);
        assert_true((wanted > 50 || distance < 2) && r.comparisons < N * N / 8);
        pare_data_report_clear(&r);
    }
    free(looks);
    pare_context_free(ctx);
}

static void two_sets_are_compared(void **state)
{
    pare_data_report r;
    char name[64], other[600];
    test_files files;

    (void)state;
    test_files_init(&files);
    for (int n = 0; n < 6; n++) {
        snprintf(name, sizeof name, "a/c%d/%d.png", n % 2, n);
        write_image(&files, name, (uint64_t)n, 0);
        snprintf(name, sizeof name, "b/c%d/x%d.png", n % 2, n);
        write_image(&files, name, (uint64_t)n + 5, 0); /* 5 is in both */
    }
    write_image(&files, "b/c0/twice.png", 8, 0); /* of no interest */
    snprintf(other, sizeof other, "%s", test_path(&files, "b"));
    test_ok(files.ctx, pare_data_check(&r, files.ctx, test_path(&files, "a"),
                                       &(pare_data_check_options){.against = other}));
    assert_int_equal(r.images, 6);
    assert_int_equal(r.compared, 7);
    assert_int_equal(r.n_findings, 1);
    assert_true(has_finding(&r, PARE_FAULT_LEAK, "a/c1/5.png", "b/c0/x0.png"));
    pare_data_report_clear(&r);
    assert_int_equal(pare_data_check(&r, files.ctx, test_path(&files, "absent"), NULL),
                     PARE_ERROR_FILE);
    assert_int_equal(pare_data_check(&r, files.ctx, test_path(&files, "a"),
                                     &(pare_data_check_options){.near = 8}),
                     PARE_ERROR_ARGUMENT);
    test_files_clear(&files);
}

static void masks_are_held_against_their_names(void **state)
{
    pare_data_report r;
    char name[64];
    test_files files;

    (void)state;
    test_files_init(&files);
    for (int n = 0; n < 4; n++) {
        snprintf(name, sizeof name, "d/images/%d.png", n);
        write_image(&files, name, (uint64_t)n, 0);
        snprintf(name, sizeof name, "d/masks/%d.png", n);
        write_mask(&files, name, n == 1 ? 3 : 1, n == 2 ? 255 : 0);
    }
    write_mask(&files, "d/masks/3.png", 255, 255);
    test_write_text(&files, "d/classes.txt", "ground\nhouse\n");
    test_ok(files.ctx, pare_data_check(&r, files.ctx, test_path(&files, "d"), NULL));
    assert_int_equal(r.n_findings, 2);
    assert_true(has_finding(&r, PARE_FAULT_MASK, "images/1.png", "class 3"));
    assert_true(has_finding(&r, PARE_FAULT_MASK, "images/3.png", "ignored"));
    pare_data_report_clear(&r);
    test_files_clear(&files);
}

/* --- Previews --- */

static void sheets_show_images_and_masks(void **state)
{
    pare_data *data = NULL;
    pri_bytes page;
    pri_image sheet;
    char path[600];
    uint8_t colour[3];
    test_files files;

    (void)state;
    test_files_init(&files);
    test_ok(files.ctx, pare_data_open(&data, files.ctx, "synth:train=0,test=6,size=20", NULL));
    snprintf(path, sizeof path, "%s", test_path(&files, "s.png"));
    const pare_preview_options options = {.count = 4, .seed = 1};
    test_ok(files.ctx, pare_data_preview(data, path, &options, false));
    test_ok(files.ctx, pri_image_read(&sheet, files.ctx, path));
    assert_int_equal(sheet.height, 120 + 8); /* 20 pixels enlarged six times, and gaps */
    assert_int_equal(sheet.width, 4 * (241 + 4) + 4);
    int64_t changed = 0;
    for (int y = 4; y < 124; y++) /* the second of each pair differs where the mask is not 0 */
        changed += memcmp(sheet.pixels + (y * sheet.width + 4) * 3,
                          sheet.pixels + (y * sheet.width + 4 + 121) * 3, 360) != 0;
    assert_in_range(changed, 6, 119);
    pri_image_clear(&sheet);
    assert_int_equal(pare_data_preview(data, path, &options, false), PARE_ERROR_EXISTS);
    snprintf(path, sizeof path, "%s", test_path(&files, "s.html"));
    test_ok(files.ctx,
            pare_data_preview(data, path, &(pare_preview_options){.augment = {.mixup = 1}}, false));
    test_ok(files.ctx, pri_file_read(&page, files.ctx, path));
    int figures = 0;
    for (const char *at = (char *)page.data; (at = strstr(at, "<figure>")) != NULL; at++)
        figures++;
    assert_int_equal(figures, 6);
    assert_non_null(strstr((char *)page.data, "0 disc"));
    assert_non_null(strstr((char *)page.data, " %, "));
    assert_non_null(strstr((char *)page.data, "</html>"));
    pri_bytes_clear(&page);
    assert_int_equal(pare_data_preview(data, "s.gif", NULL, false), PARE_ERROR_ARGUMENT);
    assert_int_equal(pare_data_preview(data, "s.png", &(pare_preview_options){.count = -1}, false),
                     PARE_ERROR_ARGUMENT);
    pri_class_colour(colour, 3);
    assert_memory_equal(colour, "\x80\x80\0", 3);
    pare_data_free(data);
    test_files_clear(&files);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clean_sets_are_clean),
        cmocka_unit_test(planted_faults_are_found),
        cmocka_unit_test(bands_miss_no_pair),
        cmocka_unit_test(two_sets_are_compared),
        cmocka_unit_test(masks_are_held_against_their_names),
        cmocka_unit_test(sheets_show_images_and_masks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
