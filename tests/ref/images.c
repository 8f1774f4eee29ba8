/* SPDX-License-Identifier: Apache-2.0 */
/* images.c - see images.h. */
#include "ref/images.h"

#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "base/file.h"
#include "data/data.h"

void test_files_init(test_files *files)
{
    files->ctx = test_context();
    snprintf(files->folder, sizeof files->folder, "%s", test_folder());
}

void test_files_clear(test_files *files)
{
    test_remove_folder(files->folder);
    pare_context_free(files->ctx);
}

const char *test_path(const test_files *files, const char *name)
{
    static char path[1024];

    snprintf(path, sizeof path, "%s/%s", files->folder, name);
    for (char *slash = path + strlen(files->folder) + 1; (slash = strchr(slash, '/')) != NULL;
         slash++) {
        *slash = '\0';
        test_ok(files->ctx, pri_make_directory(files->ctx, path));
        *slash = '/';
    }
    return path;
}

void test_write(const test_files *files, const char *name, const void *bytes, size_t size)
{
    test_ok(files->ctx, pri_file_write(files->ctx, test_path(files, name), bytes, size, true));
}

void test_write_text(const test_files *files, const char *name, const char *text)
{
    test_write(files, name, text, strlen(text));
}

static void pack_row(uint8_t *out, const uint8_t *samples, int count, int depth)
{
    memset(out, 0, 2 * (size_t)count);
    for (int i = 0; i < count; i++) {
        if (depth == 16)
            out[2 * i] = samples[i];
        else
            out[i * depth / 8] |= (uint8_t)(samples[i] << (8 - depth - i * depth % 8));
    }
}

void test_write_png(const test_files *files, const char *name, const test_png *p)
{
    const int n = p->width * (p->is_rgb ? 3 : 1);
    const int type = p->is_indexed ? PNG_COLOR_TYPE_PALETTE
                     : p->is_rgb   ? PNG_COLOR_TYPE_RGB
                                   : PNG_COLOR_TYPE_GRAY;
    FILE *file = fopen(test_path(files, name), "wb");
    uint8_t *rows = calloc((size_t)p->height, 2 * (size_t)n);
    png_bytep *row = calloc((size_t)p->height, sizeof *row);
    png_color colours[256];

    assert_true(file != NULL && rows != NULL && row != NULL);
    for (int i = 0; i < 256; i++)
        colours[i] = (png_color){(png_byte)(i * 7 + 31), (png_byte)(255 - i), (png_byte)(i * 3)};
    for (int y = 0; y < p->height; y++) {
        row[y] = rows + (size_t)y * 2 * (size_t)n;
        pack_row(row[y], p->samples + (size_t)y * (size_t)n, n, p->depth);
    }
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_init_io(png, file);
    png_set_IHDR(png, info, (png_uint_32)p->width, (png_uint_32)p->height, p->depth, type,
                 p->is_interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    if (p->is_indexed)
        png_set_PLTE(png, info, colours, 1 << p->depth);
    png_write_info(png, info);
    png_write_image(png, row);
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    assert_int_equal(fclose(file), 0);
    free(rows);
    free(row);
}

void test_write_jpeg(const test_files *files, const char *name, int height, int width, int channels,
                     const uint8_t *pixels)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    FILE *file = fopen(test_path(files, name), "wb");
    uint8_t *row = malloc((size_t)(width * channels));

    assert_true(file != NULL && row != NULL);
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_stdio_dest(&jpeg, file);
    jpeg.image_height = (JDIMENSION)height;
    jpeg.image_width = (JDIMENSION)width;
    jpeg.input_components = channels;
    jpeg.in_color_space = channels == 1 ? JCS_GRAYSCALE : channels == 3 ? JCS_RGB : JCS_CMYK;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 100, TRUE);
    jpeg_start_compress(&jpeg, TRUE);
    while (jpeg.next_scanline < jpeg.image_height) {
        memcpy(row, pixels + jpeg.next_scanline * (size_t)(width * channels),
               (size_t)(width * channels));
        jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    assert_int_equal(fclose(file), 0);
    free(row);
}

void test_write_flat(const test_files *files, const char *name, int height, int width, bool is_rgb,
                     uint8_t value)
{
    uint8_t *samples = malloc((size_t)(height * width * 3));

    assert_non_null(samples);
    memset(samples, value, (size_t)(height * width * 3));
    test_write_png(
        files, name,
        &(test_png){
            .height = height, .width = width, .depth = 8, .is_rgb = is_rgb, .samples = samples});
    free(samples);
}

pare_data *test_open_split(const test_files *files, const char *name, const char *split)
{
    pare_data *data = NULL;

    test_ok(files->ctx, pare_data_open(&data, files->ctx, test_path(files, name),
                                       &(pare_data_options){.split = split}));
    return data;
}

void test_refuse_set(const test_files *files, const char *name, const char *word)
{
    pare_data *data = NULL;

    if (pare_data_open(&data, files->ctx, test_path(files, name),
                       &(pare_data_options){.split = "train"}) == PARE_OK)
        fail_msg("'%s' was opened", name);
    assert_null(data);
    if (strstr(pare_context_message(files->ctx), word) == NULL)
        fail_msg("'%s' lacks '%s'", pare_context_message(files->ctx), word);
}

int test_first_pixel(const pare_data *data, int64_t n)
{
    return data->pixels[n * data->height * data->width * data->channels];
}

void test_write_numbered(const test_files *files, int count)
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

void test_put(uint8_t *at, int bytes, uint32_t value)
{
    for (int k = 0; k < bytes; k++)
        at[k] = (uint8_t)(value >> 8 * k);
}
