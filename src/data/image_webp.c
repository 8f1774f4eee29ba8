/* SPDX-License-Identifier: Apache-2.0 */
/* image_webp.c - still WebP images through libwebp; alpha is left out. */
#include <webp/decode.h>

#include "data/image.h"

pare_status pri_webp_decode(pri_image *out, pare_context *ctx, const unsigned char *bytes,
                            size_t size_bytes, const char *name)
{
    WebPBitstreamFeatures features;

    *out = (pri_image){0};
    if (WebPGetFeatures(bytes, size_bytes, &features) != VP8_STATUS_OK)
        return pri_fail(ctx, PARE_ERROR_FORMAT, "cannot decode '%s': damaged WebP", name);
    if (features.has_animation)
        return pri_fail(ctx, PARE_ERROR_FORMAT, "cannot decode '%s': an animated WebP", name);
    const int64_t height = features.height, width = features.width;
    if (height <= 0 || width <= 0 || height * width > PRI_MAX_PIXELS)
        return pri_fail(ctx, PARE_ERROR_FORMAT, "cannot decode '%s': %lldx%lld pixels", name,
                        (long long)height, (long long)width);
    const size_t row = 3 * (size_t)width, total = row * (size_t)height;
    out->pixels = pri_alloc(ctx, (size_t)height, row);
    if (out->pixels == NULL)
        return PARE_ERROR_MEMORY;
    out->height = height;
    out->width = width;
    out->channels = 3;
    if (WebPDecodeRGBInto(bytes, size_bytes, out->pixels, total, (int)row) != NULL)
        return PARE_OK;
    pri_image_clear(out);
    return pri_fail(ctx, PARE_ERROR_FORMAT, "cannot decode '%s': truncated or damaged WebP", name);
}
