/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image_png.c - PNG through libpng.
 *
 * libpng leaves by longjmp. Everything that lives across it is in a png_job of the caller of the
 * function that calls setjmp, so no local variable is in doubt.
 */
#include <limits.h>
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include "data/data.h"
#include "data/image.h"

typedef struct png_job {
    pare_context *ctx;
    const char *name;
    const unsigned char *at; /* unread bytes */
    size_t left, size;
    bool as_values;
    png_structp png;
    png_infop info;
    png_bytep *rows;
    pri_image *image;
    pare_status status;
    char message[160];
} png_job;

static void on_error(png_structp png, png_const_charp text)
{
    png_job *job = png_get_error_ptr(png);

    snprintf(job->message, sizeof job->message, "%s", text);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

static void read_bytes(png_structp png, png_bytep out, size_t size)
{
    png_job *job = png_get_io_ptr(png);

    if (size > job->left)
        png_error(png, "the file is truncated");
    memcpy(out, job->at, size);
    job->at += size;
    job->left -= size;
}

/* Asks for 8-bit gray or RGB without alpha, or for stored values a byte each. */
static void set_transforms(png_job *job)
{
    const int type = png_get_color_type(job->png, job->info);
    const int depth = png_get_bit_depth(job->png, job->info);

    if (job->as_values) {
        if (type != PNG_COLOR_TYPE_PALETTE && (type & PNG_COLOR_MASK_COLOR) != 0)
            png_error(job->png, "a mask is gray or indexed, this is a colour image; "
                                "classes.txt can state its colours");
        if (depth == 16)
            png_error(job->png, "a mask has at most 8 bits a pixel, this has 16");
        png_set_packing(job->png);
    } else {
        if (depth == 16)
            png_set_scale_16(job->png);
        if (type == PNG_COLOR_TYPE_PALETTE)
            png_set_palette_to_rgb(job->png);
        else if (depth < 8)
            png_set_expand_gray_1_2_4_to_8(job->png);
    }
    if ((type & PNG_COLOR_MASK_ALPHA) != 0 || (type == PNG_COLOR_TYPE_PALETTE && !job->as_values))
        png_set_strip_alpha(job->png);
    (void)png_set_interlace_handling(job->png);
    png_read_update_info(job->png, job->info);
}

/* Deflate makes at most 1032 bytes of one: a header that promises more is a lie. */
static bool is_plausible(const png_job *job)
{
    const uint64_t width = png_get_image_width(job->png, job->info);
    const uint64_t height = png_get_image_height(job->png, job->info);
    const uint64_t row =
        (width * png_get_bit_depth(job->png, job->info) * png_get_channels(job->png, job->info) +
         7) /
        8;

    return width * height <= PRI_MAX_PIXELS && height * row <= 1032 * (uint64_t)job->size;
}

static void decode(png_job *job)
{
    png_set_user_limits(job->png, PRI_MAX_SIDE, PRI_MAX_SIDE * 64);
    png_set_read_fn(job->png, job, read_bytes);
    png_read_info(job->png, job->info);
    if (!is_plausible(job))
        png_error(job->png, "the header states a size the file cannot hold");
    set_transforms(job);
    pri_image *image = job->image;
    image->height = png_get_image_height(job->png, job->info);
    image->width = png_get_image_width(job->png, job->info);
    image->channels = png_get_channels(job->png, job->info);
    const size_t row = (size_t)image->width * (size_t)image->channels;
    if ((image->channels != 1 && image->channels != 3) ||
        png_get_rowbytes(job->png, job->info) != row)
        png_error(job->png, "unexpected pixel format");
    image->pixels = pri_alloc(job->ctx, (size_t)image->height, row);
    job->rows = pri_alloc(job->ctx, (size_t)image->height, sizeof *job->rows);
    if (image->pixels == NULL || job->rows == NULL) {
        job->status = PARE_ERROR_MEMORY;
        return;
    }
    for (int64_t y = 0; y < image->height; y++)
        job->rows[y] = image->pixels + (size_t)y * row;
    png_read_image(job->png, job->rows);
    png_read_end(job->png, NULL);
}

static void decode_guarded(png_job *job)
{
    if (setjmp(png_jmpbuf(job->png)) == 0)
        decode(job);
    else if (job->status == PARE_OK)
        job->status = pri_fail(job->ctx, PARE_ERROR_FORMAT, "cannot decode '%s': %s", job->name,
                               job->message);
}

pare_status pri_png_decode(pri_image *out, pare_context *ctx, const unsigned char *bytes,
                           size_t size_bytes, bool as_values, const char *name)
{
    png_job job = {.ctx = ctx,
                   .name = name,
                   .at = bytes,
                   .left = size_bytes,
                   .size = size_bytes,
                   .as_values = as_values,
                   .image = out};

    *out = (pri_image){0};
    job.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &job, on_error, on_warning);
    if (job.png != NULL)
        job.info = png_create_info_struct(job.png);
    if (job.info != NULL)
        decode_guarded(&job);
    else
        job.status = pri_fail(ctx, PARE_ERROR_MEMORY, "out of memory: decoding '%s'", name);
    png_destroy_read_struct(&job.png, &job.info, NULL);
    pri_free(job.rows);
    if (job.status != PARE_OK)
        pri_image_clear(out);
    return job.status;
}

pare_status pri_png_encode(unsigned char **out, size_t *size_bytes, pare_context *ctx,
                           const pri_image *image, const uint8_t *palette, int n_colours)
{
    png_image png;
    png_alloc_size_t size = 0;

    memset(&png, 0, sizeof png);
    png.version = PNG_IMAGE_VERSION;
    png.height = (png_uint_32)image->height;
    png.width = (png_uint_32)image->width;
    png.format = palette != NULL ? PNG_FORMAT_RGB_COLORMAP : PNG_FORMAT_RGB;
    png.colormap_entries = (png_uint_32)(palette != NULL ? n_colours : 0);
    *size_bytes = PNG_IMAGE_PNG_SIZE_MAX(png);
    *out = pri_alloc(ctx, *size_bytes, 1);
    if (*out == NULL)
        return PARE_ERROR_MEMORY;
    size = *size_bytes;
    if (!png_image_write_to_memory(&png, *out, &size, 0, image->pixels, 0, palette)) {
        pri_free(*out);
        *out = NULL;
        return pri_fail(ctx, PARE_ERROR_INTERNAL, "cannot encode a PNG: %s", png.message);
    }
    *size_bytes = size;
    return PARE_OK;
}
