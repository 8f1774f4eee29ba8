/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image_bmp.c - uncompressed Windows bitmaps of 1, 4, 8, 24 or 32 bits.
 *
 * Rows are padded to four bytes and stored from the bottom up unless the height is negative. A
 * palette of grays only gives one channel.
 */
#include <string.h>

#include "data/image.h"

enum { FILE_HEADER = 14, INFO_HEADER = 40, BITFIELDS = 3 };

typedef struct bmp_file {
    const unsigned char *bytes;
    uint64_t size;
    int64_t height, width, row; /* row: bytes of a stored line */
    int bits;
    bool is_upright;  /* the first line is the top one */
    uint64_t pixels;  /* offset of the first line */
    uint64_t palette; /* offset of blue, green, red, 0 */
    int64_t colours;
} bmp_file;

/* Blue, green and red where a 24-bit file has them too. */
static bool has_plain_masks(const bmp_file *f)
{
    return f->size >= FILE_HEADER + INFO_HEADER + 12 && f->bits == 32 &&
           pri_little(f->bytes + 54, 4) == 0xff0000 && pri_little(f->bytes + 58, 4) == 0xff00 &&
           pri_little(f->bytes + 62, 4) == 0xff;
}

static bool read_header(bmp_file *f, const unsigned char *bytes, size_t size)
{
    *f = (bmp_file){.bytes = bytes, .size = size};
    if (size < FILE_HEADER + INFO_HEADER)
        return false;
    const uint64_t header = pri_little(bytes + 14, 4);
    const uint64_t compression = pri_little(bytes + 30, 4);
    f->pixels = pri_little(bytes + 10, 4);
    f->width = (int32_t)pri_little(bytes + 18, 4);
    f->height = (int32_t)pri_little(bytes + 22, 4);
    f->bits = (int)pri_little(bytes + 28, 2);
    f->is_upright = f->height < 0;
    f->height = f->is_upright ? -f->height : f->height;
    f->palette = FILE_HEADER + header;
    f->colours = pri_little(bytes + 46, 4);
    if (f->bits <= 8 && (f->colours == 0 || f->colours > 256))
        f->colours = INT64_C(1) << (f->bits > 0 ? f->bits : 1);
    if (header < INFO_HEADER || header > 1024 || pri_little(bytes + 26, 2) != 1 ||
        (compression != 0 && !(compression == BITFIELDS && has_plain_masks(f))))
        return false;
    return f->width > 0 && f->height > 0 && f->width <= PRI_MAX_SIDE &&
           f->height <= PRI_MAX_PIXELS / f->width;
}

/* Whether lines and palette lie within the file. */
static bool fits(bmp_file *f)
{
    f->row = (f->width * f->bits + 31) / 32 * 4;
    if (f->bits <= 8 && f->palette + 4 * (uint64_t)f->colours > f->size)
        return false;
    return f->pixels >= FILE_HEADER + INFO_HEADER && f->pixels <= f->size &&
           (uint64_t)(f->row * f->height) <= f->size - f->pixels;
}

static bool is_gray(const bmp_file *f)
{
    for (int64_t k = 0; k < f->colours && f->bits <= 8; k++) {
        const unsigned char *c = f->bytes + f->palette + 4 * k;
        if (c[0] != c[1] || c[1] != c[2])
            return false;
    }
    return f->bits <= 8;
}

static int64_t index_at(const bmp_file *f, const unsigned char *line, int64_t x)
{
    const int64_t bit = x * f->bits;

    return line[bit / 8] >> (8 - f->bits - bit % 8) & ((1 << f->bits) - 1);
}

/* False when an index has no colour. */
static bool unpack_line(uint8_t *out, const bmp_file *f, const unsigned char *line, int channels,
                        bool as_values)
{
    for (int64_t x = 0; x < f->width; x++, out += channels) {
        const unsigned char *colour = line + x * (f->bits / 8);
        if (f->bits <= 8) {
            const int64_t index = index_at(f, line, x);
            if (index >= f->colours)
                return false;
            colour = f->bytes + f->palette + 4 * index;
            if (channels == 1)
                out[0] = as_values ? (uint8_t)index : colour[0];
        }
        for (int c = 0; c < 3 && channels == 3; c++)
            out[c] = colour[2 - c];
    }
    return true;
}

pare_status pri_bmp_decode(pri_image *out, pare_context *ctx, const unsigned char *bytes,
                           size_t size_bytes, bool as_values, const char *name)
{
    bmp_file f;
    bool is_whole = true;

    *out = (pri_image){0};
    if (!read_header(&f, bytes, size_bytes))
        return pri_fail(ctx, PARE_ERROR_FORMAT,
                        "cannot decode '%s': no uncompressed BMP with a header pare knows", name);
    if (f.bits != 1 && f.bits != 4 && f.bits != 8 && (as_values || (f.bits != 24 && f.bits != 32)))
        return pri_fail(ctx, PARE_ERROR_FORMAT, "cannot decode '%s': a %s of %d bits a pixel", name,
                        as_values ? "mask" : "BMP", f.bits);
    if (!fits(&f))
        return pri_fail(ctx, PARE_ERROR_FORMAT, "cannot decode '%s': the file is truncated", name);
    out->channels = as_values || is_gray(&f) ? 1 : 3;
    out->height = f.height;
    out->width = f.width;
    const int64_t row = f.width * out->channels;
    out->pixels = pri_alloc(ctx, (size_t)f.height, (size_t)row);
    if (out->pixels == NULL)
        return PARE_ERROR_MEMORY;
    for (int64_t y = 0; y < f.height && is_whole; y++) {
        const int64_t from = f.is_upright ? y : f.height - 1 - y;
        is_whole = unpack_line(out->pixels + y * row, &f, bytes + f.pixels + from * f.row,
                               out->channels, as_values);
    }
    if (is_whole)
        return PARE_OK;
    pri_image_clear(out);
    return pri_fail(ctx, PARE_ERROR_FORMAT, "cannot decode '%s': a pixel has no colour", name);
}
