/* SPDX-License-Identifier: Apache-2.0 */
/* The smaller image formats: PPM, PGM, BMP and WebP. */
#include <string.h>

#include <webp/encode.h>

#include "base/random.h"
#include "data/image.h"
#include "ref/images.h"

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
    test_put(bmp + 10, 4, 54);
    test_put(bmp + 14, 4, 40);
    test_put(bmp + 18, 4, 1);
    test_put(bmp + 22, 4, 2);
    test_put(bmp + 26, 2, 1);
    test_put(bmp + 28, 2, 24);
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
    test_put(bmp + 10, 4, 62);
    test_put(bmp + 14, 4, 40);
    test_put(bmp + 18, 4, 2);
    test_put(bmp + 22, 4, 1);
    test_put(bmp + 26, 2, 1);
    test_put(bmp + 28, 2, 8);
    test_put(bmp + 46, 4, 2);
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
    test_put(bmp + 10, 4, 54);
    test_put(bmp + 14, 4, 40);
    test_put(bmp + 18, 4, 4);
    test_put(bmp + 22, 4, 4);
    test_put(bmp + 26, 2, 1);
    test_put(bmp + 28, 2, 24);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_formats_give_their_pixels),
        cmocka_unit_test(indexed_bitmaps_are_masks),
        cmocka_unit_test(damaged_headers_never_end_the_program),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
