/* SPDX-License-Identifier: Apache-2.0 */
/* image.c - finds the codec of a file; channels, crop and size of an image. */
#include "data/image.h"

#include <math.h>
#include <string.h>

#include <pare/data.h>

#include "base/file.h"

/* --- Codecs --- */

typedef enum codec { CODEC_NONE, CODEC_PNG, CODEC_JPEG, CODEC_WEBP, CODEC_BMP, CODEC_PNM } codec;

static codec find_codec(const unsigned char *bytes, size_t size)
{
    static const struct {
        codec is;
        size_t at, length;
        const char *magic;
    } table[] = {{CODEC_PNG, 0, 4, "\x89PNG"}, {CODEC_JPEG, 0, 3, "\xff\xd8\xff"},
                 {CODEC_WEBP, 8, 4, "WEBP"},   {CODEC_BMP, 0, 2, "BM"},
                 {CODEC_PNM, 0, 2, "P5"},      {CODEC_PNM, 0, 2, "P6"}};

    for (size_t i = 0; i < PRI_COUNT(table); i++) {
        if (size >= 8 && size >= table[i].at + table[i].length &&
            memcmp(bytes + table[i].at, table[i].magic, table[i].length) == 0)
            return table[i].is;
    }
    return CODEC_NONE;
}

pare_status pri_image_decode(pri_image *out, pare_context *ctx, const unsigned char *bytes,
                             size_t size_bytes, const char *name)
{
    *out = (pri_image){0};
    switch (find_codec(bytes, size_bytes)) {
    case CODEC_PNG: return pri_png_decode(out, ctx, bytes, size_bytes, false, name);
    case CODEC_JPEG: return pri_jpeg_decode(out, ctx, bytes, size_bytes, name);
    case CODEC_WEBP: return pri_webp_decode(out, ctx, bytes, size_bytes, name);
    case CODEC_BMP: return pri_bmp_decode(out, ctx, bytes, size_bytes, false, name);
    case CODEC_PNM: return pri_pnm_decode(out, ctx, bytes, size_bytes, false, name);
    case CODEC_NONE: break;
    }
    return pri_fail(ctx, PARE_ERROR_FORMAT,
                    "cannot decode '%s': it is neither PNG nor JPEG, WebP, BMP, PGM or PPM", name);
}

/* A mask whose values are stored. */
static pare_status decode_values(pri_image *out, pare_context *ctx, const unsigned char *bytes,
                                 size_t size_bytes, const char *name)
{
    switch (find_codec(bytes, size_bytes)) {
    case CODEC_BMP: return pri_bmp_decode(out, ctx, bytes, size_bytes, true, name);
    case CODEC_PNM: return pri_pnm_decode(out, ctx, bytes, size_bytes, true, name);
    default: return pri_png_decode(out, ctx, bytes, size_bytes, true, name);
    }
}

pare_status pri_image_read(pri_image *out, pare_context *ctx, const char *path)
{
    pri_bytes bytes;

    *out = (pri_image){0};
    PRI_TRY(pri_file_read(&bytes, ctx, path));
    const pare_status status = pri_image_decode(out, ctx, bytes.data, bytes.size_bytes, path);
    pri_bytes_clear(&bytes);
    return status;
}

/* --- Masks --- */

static int class_of(const pri_colours *colours, const uint8_t *rgb)
{
    for (int k = 0; k < colours->count; k++) {
        if (memcmp(colours->rgb[k], rgb, 3) == 0)
            return k;
    }
    return PARE_IGNORE;
}

/* Colours to classes, in place; neighbours are mostly alike, so the last one is kept. */
static void map_colours(pri_image *mask, int64_t *unknown, const pri_colours *colours)
{
    uint8_t last[3] = {0};
    int class = -1;

    for (int64_t p = 0; p < mask->height * mask->width; p++) {
        const uint8_t *rgb = mask->pixels + 3 * p;
        if (class < 0 || memcmp(last, rgb, 3) != 0) {
            memcpy(last, rgb, 3);
            class = class_of(colours, rgb);
        }
        mask->pixels[p] = (uint8_t) class;
        *unknown += class == PARE_IGNORE;
    }
    mask->channels = 1;
}

pare_status pri_mask_decode(pri_image *out, int64_t *unknown, pare_context *ctx,
                            const unsigned char *bytes, size_t size_bytes, const char *name,
                            const pri_colours *colours)
{
    *out = (pri_image){0};
    pare_status status = decode_values(out, ctx, bytes, size_bytes, name);
    if (status == PARE_ERROR_FORMAT && colours != NULL && colours->count > 0) {
        pri_forget(ctx);
        status = pri_image_decode(out, ctx, bytes, size_bytes, name);
        if (status == PARE_OK && out->channels == 3)
            map_colours(out, unknown, colours);
    }
    return status;
}

pare_status pri_mask_read_coloured(pri_image *out, int64_t *unknown, pare_context *ctx,
                                   const char *path, const pri_colours *colours)
{
    pri_bytes bytes;

    *out = (pri_image){0};
    PRI_TRY(pri_file_read(&bytes, ctx, path));
    const pare_status status =
        pri_mask_decode(out, unknown, ctx, bytes.data, bytes.size_bytes, path, colours);
    pri_bytes_clear(&bytes);
    return status;
}

pare_status pri_mask_read(pri_image *out, pare_context *ctx, const char *path)
{
    int64_t unknown = 0;

    return pri_mask_read_coloured(out, &unknown, ctx, path, NULL);
}

void pri_image_clear(pri_image *image)
{
    pri_free(image->pixels);
    *image = (pri_image){0};
}

pare_status pri_image_set_channels(pri_image *image, pare_context *ctx, int channels)
{
    const int64_t area = image->height * image->width;

    if (image->channels == channels)
        return PARE_OK;
    uint8_t *pixels = pri_alloc(ctx, (size_t)area, (size_t)channels);
    if (pixels == NULL)
        return PARE_ERROR_MEMORY;
    if (channels == 1) {
        for (int64_t p = 0; p < area; p++) {
            const uint8_t *rgb = image->pixels + 3 * p;
            pixels[p] = (uint8_t)((299 * rgb[0] + 587 * rgb[1] + 114 * rgb[2] + 500) / 1000);
        }
    } else {
        for (int64_t p = 0; p < area; p++)
            memset(pixels + 3 * p, image->pixels[p], 3);
    }
    pri_free(image->pixels);
    image->pixels = pixels;
    image->channels = channels;
    return PARE_OK;
}

pri_box pri_centre_box(int64_t height, int64_t width, int64_t percent)
{
    if (percent == 0)
        return (pri_box){0, 0, height, width};
    const int64_t shorter = pri_min_i64(height, width);
    const int64_t side = pri_max_i64(1, (shorter * percent + 50) / 100);
    return (pri_box){(height - side) / 2, (width - side) / 2, side, side};
}

/* --- Scaling --- */

/* For each of `to` outputs, the first of `taps` inputs and their weights. */
typedef struct filter {
    int64_t taps;
    int64_t *first; /* to */
    float *weights; /* to x taps; they sum to 1 */
} filter;

static void filter_clear(filter *f)
{
    pri_free(f->first);
    pri_free(f->weights);
}

/* Output o covers the input round (o + 1/2) from/to; weights fall linearly to 0 at one output
 * pixel's distance (at one input pixel's when growing). Inputs beyond the border are left out. */
static pare_status filter_init(filter *f, pare_context *ctx, int64_t from, int64_t to)
{
    const double ratio = (double)from / (double)to, reach = fmax(ratio, 1);

    f->taps = pri_min_i64(from, (int64_t)ceil(2 * reach) + 2);
    f->first = pri_alloc(ctx, (size_t)to, sizeof *f->first);
    f->weights = pri_alloc(ctx, (size_t)(to * f->taps), sizeof *f->weights);
    if (f->first == NULL || f->weights == NULL)
        return PARE_ERROR_MEMORY;
    for (int64_t o = 0; o < to; o++) {
        const double centre = ((double)o + 0.5) * ratio;
        float *weights = f->weights + o * f->taps;
        double sum = 0;
        f->first[o] = pri_min_i64(pri_max_i64((int64_t)floor(centre - reach), 0), from - f->taps);
        for (int64_t t = 0; t < f->taps; t++) {
            const double distance = fabs((double)(f->first[o] + t) + 0.5 - centre) / reach;
            weights[t] = (float)fmax(0, 1 - distance);
            sum += weights[t];
        }
        for (int64_t t = 0; t < f->taps; t++)
            weights[t] = (float)(weights[t] / sum);
    }
    return PARE_OK;
}

/* One row of the box to `width` pixels of floats. */
static void scale_row(float *out, int64_t width, const uint8_t *row, int channels, const filter *f)
{
    for (int64_t x = 0; x < width; x++) {
        const float *weights = f->weights + x * f->taps;
        const uint8_t *in = row + f->first[x] * channels;
        for (int c = 0; c < channels; c++) {
            float sum = 0;
            for (int64_t t = 0; t < f->taps; t++)
                sum += weights[t] * (float)in[t * channels + c];
            out[x * channels + c] = sum;
        }
    }
}

static void mix_rows(uint8_t *out, float *sum, int64_t size, const float *rows,
                     const float *weights, int64_t taps)
{
    memset(sum, 0, (size_t)size * sizeof *sum);
    for (int64_t t = 0; t < taps; t++) {
        for (int64_t i = 0; i < size; i++)
            sum[i] += weights[t] * rows[t * size + i];
    }
    for (int64_t i = 0; i < size; i++)
        out[i] = (uint8_t)(sum[i] + 0.5f); /* a mean of bytes: between 0 and 255 up to rounding */
}

static const uint8_t *box_row(const pri_image *image, const pri_box *box, int64_t y)
{
    return image->pixels + ((box->y + y) * image->width + box->x) * image->channels;
}

pare_status pri_resize(uint8_t *out, int64_t height, int64_t width, pare_context *ctx,
                       const pri_image *image, const pri_box *box)
{
    const int64_t size = width * image->channels;
    filter across = {0}, down = {0};
    float *rows = NULL, *sum = NULL;
    pare_status status = PARE_OK;

    if (box->height == height && box->width == width) {
        for (int64_t y = 0; y < height; y++)
            memcpy(out + y * size, box_row(image, box, y), (size_t)size);
        return PARE_OK;
    }
    PRI_CHECK(filter_init(&across, ctx, box->width, width), status, done);
    PRI_CHECK(filter_init(&down, ctx, box->height, height), status, done);
    rows = pri_alloc(ctx, (size_t)box->height, (size_t)size * sizeof *rows);
    sum = pri_alloc(ctx, (size_t)size, sizeof *sum);
    if (rows == NULL || sum == NULL) {
        status = PARE_ERROR_MEMORY;
        goto done;
    }
    for (int64_t y = 0; y < box->height; y++)
        scale_row(rows + y * size, width, box_row(image, box, y), image->channels, &across);
    for (int64_t y = 0; y < height; y++)
        mix_rows(out + y * size, sum, size, rows + down.first[y] * size,
                 down.weights + y * down.taps, down.taps);
done:
    filter_clear(&across);
    filter_clear(&down);
    pri_free(rows);
    pri_free(sum);
    return status;
}

void pri_resize_nearest(uint8_t *out, int64_t height, int64_t width, const pri_image *image,
                        const pri_box *box)
{
    for (int64_t y = 0; y < height; y++) {
        const uint8_t *row = box_row(image, box, (2 * y + 1) * box->height / (2 * height));
        for (int64_t x = 0; x < width; x++)
            out[y * width + x] = row[(2 * x + 1) * box->width / (2 * width)];
    }
}
