/* SPDX-License-Identifier: Apache-2.0 */
/* mask_write.c - pare_mask_write: a mask as an indexed PNG. */
#include "base/file.h"
#include "data/data.h"
#include "data/image.h"

enum { COLOURS = 256 };

/* The colour map of Pascal VOC: the bits of the class, three at a time, from the top of each
 * channel, so that neighbouring classes differ most. */
void pri_class_colour(uint8_t rgb[3], int class)
{
    rgb[0] = rgb[1] = rgb[2] = 0;
    for (int bit = 7; class > 0 && bit >= 0; bit--, class >>= 3) {
        for (int c = 0; c < 3; c++)
            rgb[c] = (uint8_t)(rgb[c] | (class >> c & 1) << bit);
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
    for (int k = 0; k < COLOURS; k++)
        pri_class_colour(palette + 3 * k, k);
    const pri_image image = {
        .pixels = (uint8_t *)(uintptr_t)mask, .height = height, .width = width, .channels = 1};
    PRI_TRY(pri_png_encode(&png, &size, ctx, &image, palette, COLOURS));
    const pare_status status = pri_file_write(ctx, path, png, size, replace);
    pri_free(png);
    return status;
}
