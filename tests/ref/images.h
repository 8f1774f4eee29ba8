/* SPDX-License-Identifier: Apache-2.0 */
/* images.h - writes small image files for tests. */
#ifndef TEST_IMAGES_H
#define TEST_IMAGES_H

#include <pare/data.h>

#include "support.h"

/* A folder of a test, and paths in it. */
typedef struct test_files {
    pare_context *ctx;
    char folder[512];
} test_files;

void test_files_init(test_files *files);
void test_files_clear(test_files *files);
/* folder/name; makes the folders on the way; borrowed until the next call. */
const char *test_path(const test_files *files, const char *name);
void test_write(const test_files *files, const char *name, const void *bytes, size_t size);
void test_write_text(const test_files *files, const char *name, const char *text);

typedef struct test_png {
    int height, width;
    int depth;       /* bits a sample */
    bool is_indexed; /* palette of random colours; else gray, or RGB with is_rgb */
    bool is_rgb, is_interlaced;
    const uint8_t *samples; /* one byte a sample, unpacked; high byte for 16 bits */
} test_png;
void test_write_png(const test_files *files, const char *name, const test_png *png);
/* channels: 1 gray, 3 RGB, 4 CMYK as Photoshop writes it (pixels inverted). */
void test_write_jpeg(const test_files *files, const char *name, int height, int width, int channels,
                     const uint8_t *pixels);
/* A gray or RGB image of one value. */
void test_write_flat(const test_files *files, const char *name, int height, int width, bool is_rgb,
                     uint8_t value);
/* Gray images 4x5 named m/i0.png, ... of value 10 * n, and masks m/k0.png, ... of value n. */
void test_write_numbered(const test_files *files, int count);
/* Writes a number, the lowest byte first. */
void test_put(uint8_t *at, int bytes, uint32_t value);

/* Opens a split of a set. */
pare_data *test_open_split(const test_files *files, const char *name, const char *split);
/* Opening must fail and say `word`. */
void test_refuse_set(const test_files *files, const char *name, const char *word);
/* The first value of image n. */
int test_first_pixel(const pare_data *data, int64_t n);

#endif
