/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image.h - one image: decoding files, channels, crop and size.
 *
 * Nothing outside the image_*.c files sees a codec. Files are hostile: no codec may end the
 * program, and the size a header states is checked, against the size of the file where the format
 * allows it, before memory is asked for.
 */
#ifndef PRI_IMAGE_H
#define PRI_IMAGE_H

#include "base/base.h"

enum { PRI_MAX_PIXELS = 1 << 26, PRI_MAX_SIDE = 1 << 16 }; /* of one decoded file */

typedef struct pri_image {
    uint8_t *pixels; /* height x width x channels; owned */
    int64_t height, width;
    int channels; /* 1 or 3 */
} pri_image;

/* Part of an image. */
typedef struct pri_box {
    int64_t y, x, height, width;
} pri_box;

/* Reads an image file (PNG, JPEG, WebP, BMP, PGM, PPM), whatever its name says. PARE_ERROR_FORMAT
 * when it does not decode. */
pare_status pri_image_read(pri_image *out, pare_context *ctx, const char *path);
/* Colours that stand for classes: class k is rgb[k]. */
enum { PRI_MAX_COLOURS = 256 };
typedef struct pri_colours {
    uint8_t rgb[PRI_MAX_COLOURS][3];
    int count; /* 0: no table */
} pri_colours;

/* Reads an indexed or gray PNG, BMP or PGM as values, one channel: the palette's index or the gray
 * level as it is stored (a 1-bit PNG gives 0 and 1). */
pare_status pri_mask_read(pri_image *out, pare_context *ctx, const char *path);
/* The same; with a table (not NULL, count > 0) a colour image gives the class of each colour and
 * PARE_IGNORE for colours that are not in it, whose pixels are added to *unknown. */
pare_status pri_mask_read_coloured(pri_image *out, int64_t *unknown, pare_context *ctx,
                                   const char *path, const pri_colours *colours);
/* The same two from memory; `name` is for messages. */
pare_status pri_mask_decode(pri_image *out, int64_t *unknown, pare_context *ctx,
                            const unsigned char *bytes, size_t size_bytes, const char *name,
                            const pri_colours *colours);
pare_status pri_image_decode(pri_image *out, pare_context *ctx, const unsigned char *bytes,
                             size_t size_bytes, const char *name);
void pri_image_clear(pri_image *image);

/* The codecs. */
pare_status pri_png_decode(pri_image *out, pare_context *ctx, const unsigned char *bytes,
                           size_t size_bytes, bool as_values, const char *name);
pare_status pri_jpeg_decode(pri_image *out, pare_context *ctx, const unsigned char *bytes,
                            size_t size_bytes, const char *name);
pare_status pri_webp_decode(pri_image *out, pare_context *ctx, const unsigned char *bytes,
                            size_t size_bytes, const char *name);
/* These two want at least two bytes, "P5" or "P6", "BM". */
pare_status pri_pnm_decode(pri_image *out, pare_context *ctx, const unsigned char *bytes,
                           size_t size_bytes, bool as_values, const char *name);
pare_status pri_bmp_decode(pri_image *out, pare_context *ctx, const unsigned char *bytes,
                           size_t size_bytes, bool as_values, const char *name);
/* Colour of a mask class: distinct for small numbers, 0 is black. */
void pri_class_colour(uint8_t rgb[3], int class);
/* Encodes 8-bit RGB, or, with a palette of n_colours x 3 bytes, one index a pixel. *out is the
 * caller's: pri_free. */
pare_status pri_png_encode(unsigned char **out, size_t *size_bytes, pare_context *ctx,
                           const pri_image *image, const uint8_t *palette, int n_colours);

/* Gray of a colour (ITU-R BT.601 luma), or gray three times; nothing when it is so already. */
pare_status pri_image_set_channels(pri_image *image, pare_context *ctx, int channels);
/* The square in the middle that keeps `percent` of the shorter side; 0: all. */
pri_box pri_centre_box(int64_t height, int64_t width, int64_t percent);
/* Scales a box to height x width: a triangle filter as wide as an output pixel when shrinking (an
 * area average without aliasing), bilinear when growing. */
pare_status pri_resize(uint8_t *out, int64_t height, int64_t width, pare_context *ctx,
                       const pri_image *image, const pri_box *box);
/* The same without new values: each output pixel takes the nearest one (one channel). */
void pri_resize_nearest(uint8_t *out, int64_t height, int64_t width, const pri_image *image,
                        const pri_box *box);

#endif
