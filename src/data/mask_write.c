/* SPDX-License-Identifier: Apache-2.0 */
/* mask_write.c - pare_mask_write: a mask as an indexed PNG. */
#include "base/file.h"
#include "data/data.h"
#include "data/image.h"

enum { COLOURS = 256 };

/* The colours of PASCAL VOC: bits 3k, 3k + 1, 3k + 2 of the class are bit 7 - k of red, green and
 * blue, so that neighbouring classes differ most. */
static void make_palette(uint8_t palette[3 * COLOURS])
{
    for (int k = 0; k < COLOURS; k++) {
        for (int channel = 0; channel < 3; channel++) {
            unsigned value = 0;
            for (int bit = 0; 3 * bit + channel < 8; bit++)
                value |= ((unsigned)k >> (3 * bit + channel) & 1) << (7 - bit);
            palette[3 * k + channel] = (uint8_t)value;
        }
    }
}

pare_status pare_mask_write(pare_context *ctx, const char *path, const uint8_t *mask,
                            int64_t height, int64_t width, bool replace)
{
    uint8_t palette[3 * COLOURS];
    unsigned char *png = NULL;
    size_t size = 0;

    if (height < 1 || width < 1 || height > PRI_MAX_SIDE || width > PRI_MAX_SIDE)
        return pri_fail(ctx, PARE_ERROR_ARGUMENT, "a mask of %lldx%lld pixels cannot be written",
                        (long long)height, (long long)width);
    make_palette(palette);
    const pri_image image = {.pixels = (uint8_t *)(uintptr_t)mask, .height = height,
                             .width = width, .channels = 1};
    PRI_TRY(pri_png_encode(&png, &size, ctx, &image, palette, COLOURS));
    const pare_status status = pri_file_write(ctx, path, png, size, replace);
    pri_free(png);
    return status;
}
