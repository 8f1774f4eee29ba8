/* SPDX-License-Identifier: Apache-2.0 */
/* Codecs and scaling: what is written comes back, and no damaged file does more than fail. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/random.h"
#include "data/image.h"
#include "ref/images.h"

enum { H = 13, W = 21 };

static void fill_random(uint8_t *out, int count, int bound)
{
    for (int i = 0; i < count; i++)
        out[i] = (uint8_t)pri_random_below(bound, 1, PRI_STREAM_TEST, (uint64_t)i);
}

static void masks_give_stored_values(void **state)
{
    uint8_t samples[H * W];
    test_files files;

    (void)state;
    test_files_init(&files);
    for (int depth = 1; depth <= 8; depth *= 2) {
        for (int variant = 0; variant < 4; variant++) {
            pri_image mask;
            fill_random(samples, H * W, 1 << depth);
            test_write_png(&files, "m.png",
                           &(test_png){.height = H,
                                       .width = W,
                                       .depth = depth,
                                       .is_indexed = variant % 2 == 1,
                                       .is_interlaced = variant >= 2,
                                       .samples = samples});
            test_ok(files.ctx, pri_mask_read(&mask, files.ctx, test_path(&files, "m.png")));
            assert_int_equal(mask.height, H);
            assert_int_equal(mask.width, W);
            assert_memory_equal(mask.pixels, samples, H * W);
            pri_image_clear(&mask);
        }
    }
    test_files_clear(&files);
}

static void masks_refuse_colours_and_16_bits(void **state)
{
    uint8_t samples[H * W * 3] = {0};
    pri_image mask;
    test_files files;

    (void)state;
    test_files_init(&files);
    test_write_png(
        &files, "c.png",
        &(test_png){.height = H, .width = W, .depth = 8, .is_rgb = true, .samples = samples});
    assert_int_equal(pri_mask_read(&mask, files.ctx, test_path(&files, "c.png")),
                     PARE_ERROR_FORMAT);
    assert_non_null(strstr(pare_context_message(files.ctx), "colour"));
    test_write_png(&files, "d.png",
                   &(test_png){.height = H, .width = W, .depth = 16, .samples = samples});
    assert_int_equal(pri_mask_read(&mask, files.ctx, test_path(&files, "d.png")),
                     PARE_ERROR_FORMAT);
    assert_null(mask.pixels);
    test_files_clear(&files);
}

static void png_images_come_back(void **state)
{
    uint8_t samples[H * W * 3];
    pri_image image;
    test_files files;

    (void)state;
    test_files_init(&files);
    fill_random(samples, H * W * 3, 256);
    for (int depth = 8; depth <= 16; depth += 8) {
        for (int rgb = 0; rgb < 2; rgb++) {
            test_write_png(&files, "i.png",
                           &(test_png){.height = H,
                                       .width = W,
                                       .depth = depth,
                                       .is_rgb = rgb,
                                       .is_interlaced = rgb,
                                       .samples = samples});
            test_ok(files.ctx, pri_image_read(&image, files.ctx, test_path(&files, "i.png")));
            assert_int_equal(image.channels, rgb ? 3 : 1);
            for (int i = 0; i < H * W * image.channels; i++)
                assert_true(abs(image.pixels[i] - samples[i]) <= depth / 16);
            pri_image_clear(&image);
        }
    }
    fill_random(samples, H * W, 4);
    test_write_png(
        &files, "p.png",
        &(test_png){.height = H, .width = W, .depth = 2, .is_indexed = true, .samples = samples});
    test_ok(files.ctx, pri_image_read(&image, files.ctx, test_path(&files, "p.png")));
    assert_int_equal(image.channels, 3);
    for (int i = 0; i < H * W; i++)
        assert_int_equal(image.pixels[3 * i + 1], 255 - samples[i]);
    pri_image_clear(&image);
    test_files_clear(&files);
}

static void jpeg_images_come_back(void **state)
{
    static const uint8_t rgb[3] = {200, 100, 50};
    uint8_t pixels[H * W * 4];
    pri_image image;
    test_files files;

    (void)state;
    test_files_init(&files);
    for (int channels = 1; channels <= 4; channels++) {
        if (channels == 2)
            continue;
        for (int i = 0; i < H * W; i++) {
            memcpy(pixels + i * channels, rgb, (size_t)(channels < 3 ? channels : 3));
            if (channels == 4)
                pixels[i * 4 + 3] = 255; /* no black */
        }
        test_write_jpeg(&files, "i.jpg", H, W, channels, pixels);
        test_ok(files.ctx, pri_image_read(&image, files.ctx, test_path(&files, "i.jpg")));
        assert_int_equal(image.channels, channels == 1 ? 1 : 3);
        assert_int_equal(image.height, H);
        assert_int_equal(image.width, W);
        for (int i = 0; i < H * W * image.channels; i++)
            assert_true(abs(image.pixels[i] - rgb[i % image.channels]) <= 2);
        pri_image_clear(&image);
    }
    test_files_clear(&files);
}

/* Cuts a file at every length, and changes bytes at random: an error or an image, never more. */
static void survive_damage(const test_files *files, const char *name)
{
    pri_bytes good;
    pri_image image;

    test_ok(files->ctx, pri_file_read(&good, files->ctx, test_path(files, name)));
    for (size_t size = 0; size + 2 < good.size_bytes; size++) {
        unsigned char *cut = malloc(size + 1); /* of its own, so that sanitizers see each byte */
        assert_non_null(cut);
        memcpy(cut, good.data, size);
        assert_int_equal(pri_image_decode(&image, files->ctx, cut, size, "cut"), PARE_ERROR_FORMAT);
        assert_null(image.pixels);
        assert_non_null(strstr(pare_context_message(files->ctx), "'cut'"));
        free(cut);
    }
    for (uint64_t round = 0; round < 2000; round++) {
        unsigned char *bad = malloc(good.size_bytes);
        assert_non_null(bad);
        memcpy(bad, good.data, good.size_bytes);
        for (uint64_t k = 0; k < 3; k++)
            bad[pri_random_below((int64_t)good.size_bytes, round, PRI_STREAM_TEST, 2 * k)] =
                (unsigned char)pri_random_bits(round, PRI_STREAM_TEST, 2 * k + 1);
        const pare_status status =
            pri_image_decode(&image, files->ctx, bad, good.size_bytes, "bad");
        assert_true(status == PARE_OK || (status == PARE_ERROR_FORMAT && image.pixels == NULL));
        pri_image_clear(&image);
        free(bad);
    }
    pri_bytes_clear(&good);
}

static void damaged_files_are_errors(void **state)
{
    uint8_t samples[H * W * 3];
    test_files files;

    (void)state;
    test_files_init(&files);
    fill_random(samples, H * W * 3, 256);
    test_write_png(
        &files, "a.png",
        &(test_png){.height = H, .width = W, .depth = 8, .is_rgb = true, .samples = samples});
    test_write_jpeg(&files, "a.jpg", H, W, 3, samples);
    survive_damage(&files, "a.png");
    survive_damage(&files, "a.jpg");
    test_files_clear(&files);
}

static uint32_t crc(const unsigned char *bytes, size_t size)
{
    uint32_t c = 0xffffffff;

    for (size_t i = 0; i < size; i++) {
        c ^= bytes[i];
        for (int k = 0; k < 8; k++)
            c = (c & 1) != 0 ? 0xedb88320 ^ (c >> 1) : c >> 1;
    }
    return ~c;
}

/* Headers that state far more than the file can hold are refused before memory is asked for. */
static void hostile_sizes_are_refused(void **state)
{
    uint8_t samples[H * W * 3] = {0};
    pri_bytes file;
    pri_image image;
    test_files files;

    (void)state;
    test_files_init(&files);
    test_write_png(&files, "a.png",
                   &(test_png){.height = H, .width = W, .depth = 8, .samples = samples});
    test_ok(files.ctx, pri_file_read(&file, files.ctx, test_path(&files, "a.png")));
    file.data[18] = file.data[22] = 0x1f; /* width and height near 8000: 64 million pixels */
    const uint32_t sum = crc(file.data + 12, 17);
    for (int i = 0; i < 4; i++)
        file.data[29 + i] = (unsigned char)(sum >> (24 - 8 * i));
    test_write(&files, "huge.png", file.data, file.size_bytes);
    pri_bytes_clear(&file);
    const int64_t before = pri_count_allocations(files.ctx);
    assert_int_equal(pri_image_read(&image, files.ctx, test_path(&files, "huge.png")),
                     PARE_ERROR_FORMAT);
    assert_int_equal(pri_count_allocations(files.ctx), before + 1); /* the file itself */
    assert_non_null(strstr(pare_context_message(files.ctx), "cannot hold"));

    test_write_jpeg(&files, "a.jpg", H, W, 3, samples);
    test_ok(files.ctx, pri_file_read(&file, files.ctx, test_path(&files, "a.jpg")));
    for (size_t i = 0; i + 9 < file.size_bytes; i++) {
        if (file.data[i] == 0xff && file.data[i + 1] == 0xc0)
            file.data[i + 5] = file.data[i + 7] = 0x1f; /* height and width near 8000 */
    }
    test_write(&files, "huge.jpg", file.data, file.size_bytes);
    pri_bytes_clear(&file);
    assert_int_equal(pri_image_read(&image, files.ctx, test_path(&files, "huge.jpg")),
                     PARE_ERROR_FORMAT);
    assert_non_null(strstr(pare_context_message(files.ctx), "pixels in"));
    test_files_clear(&files);
}

/* --- Scaling --- */

static void scaling_keeps_flat_and_linear_images(void **state)
{
    enum { FROM = 16, TO = 37, LESS = 5 };
    uint8_t pixels[FROM * FROM], out[TO * TO];
    const pri_image image = {pixels, FROM, FROM, 1};
    const pri_box all = {0, 0, FROM, FROM};
    pare_context *ctx = test_context();

    (void)state;
    memset(pixels, 255, sizeof pixels);
    test_ok(ctx, pri_resize(out, TO, LESS, ctx, &image, &all));
    for (int i = 0; i < TO * LESS; i++)
        assert_int_equal(out[i], 255);
    for (int i = 0; i < FROM * FROM; i++)
        pixels[i] = (uint8_t)(i % FROM * 16);
    test_ok(ctx, pri_resize(out, TO, TO, ctx, &image, &all));
    for (int x = 2; x < TO - 2; x++) {
        const double exact = 16 * ((x + 0.5) * FROM / TO - 0.5);
        assert_true(fabs(out[TO + x] - exact) <= 0.51);
    }
    pare_context_free(ctx);
}

static void shrinking_averages(void **state)
{
    enum { FROM = 64, TO = 8 };
    uint8_t pixels[FROM * FROM], out[TO * TO];
    const pri_image image = {pixels, FROM, FROM, 1};
    pare_context *ctx = test_context();

    (void)state;
    for (int i = 0; i < FROM * FROM; i++)
        pixels[i] =
            (i + i / FROM) % 2 == 0 ? 0 : 200; /* a checkerboard, which sampling would keep */
    test_ok(ctx, pri_resize(out, TO, TO, ctx, &image, &(pri_box){0, 0, FROM, FROM}));
    for (int i = 0; i < TO * TO; i++)
        assert_true(abs(out[i] - 100) <= 1);
    pare_context_free(ctx);
}

static void nearest_makes_no_new_values(void **state)
{
    uint8_t pixels[H * W], out[50 * 60];
    const pri_image image = {pixels, H, W, 1};

    (void)state;
    fill_random(pixels, H * W, 256);
    pri_resize_nearest(out, H, W, &image, &(pri_box){0, 0, H, W});
    assert_memory_equal(out, pixels, H * W);
    pri_resize_nearest(out, 2 * H, 2 * W, &image, &(pri_box){0, 0, H, W});
    for (int i = 0; i < 2 * H * 2 * W; i++)
        assert_int_equal(out[i], pixels[i / (2 * W) / 2 * W + i % (2 * W) / 2]);
    pri_resize_nearest(out, 3, 3, &image, &(pri_box){2, 5, 3, 3});
    for (int i = 0; i < 9; i++)
        assert_int_equal(out[i], pixels[(2 + i / 3) * W + 5 + i % 3]);
}

static void centre_box_keeps_its_share(void **state)
{
    const pri_box all = pri_centre_box(30, 50, 0), half = pri_centre_box(30, 50, 50);

    (void)state;
    assert_true(all.height == 30 && all.width == 50 && all.y == 0 && all.x == 0);
    assert_true(half.height == 15 && half.width == 15 && half.y == 7 && half.x == 17);
    assert_int_equal(pri_centre_box(1, 1, 1).height, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(masks_give_stored_values),
        cmocka_unit_test(masks_refuse_colours_and_16_bits),
        cmocka_unit_test(png_images_come_back),
        cmocka_unit_test(jpeg_images_come_back),
        cmocka_unit_test(damaged_files_are_errors),
        cmocka_unit_test(hostile_sizes_are_refused),
        cmocka_unit_test(scaling_keeps_flat_and_linear_images),
        cmocka_unit_test(shrinking_averages),
        cmocka_unit_test(nearest_makes_no_new_values),
        cmocka_unit_test(centre_box_keeps_its_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
