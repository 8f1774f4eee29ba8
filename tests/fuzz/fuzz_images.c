/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_images.c - libFuzzer entry for the image codecs; the first byte chooses what is decoded: an
 * image, a mask, or a mask whose set has a table of colours.
 *
 * clang -fsanitize=fuzzer,address,undefined, linked with the static library of an asan build.
 */
#include <stddef.h>
#include <stdint.h>

#include "data/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const pri_colours colours = {.count = 3,
                                        .rgb = {{0, 0, 0}, {128, 0, 0}, {255, 255, 255}}};
    pare_context *ctx = NULL;
    pri_image image = {0};
    int64_t unknown = 0;

    if (size == 0 || pare_context_new(&ctx) != PARE_OK)
        return 0;
    const bool is_mask = bytes[0] % 3 != 0;
    const pare_status status = is_mask
                                   ? pri_mask_decode(&image, &unknown, ctx, bytes + 1, size - 1,
                                                     "fuzz", bytes[0] % 3 == 2 ? &colours : NULL)
                                   : pri_image_decode(&image, ctx, bytes + 1, size - 1, "fuzz");
    if ((status == PARE_OK) != (image.pixels != NULL) ||
        (status == PARE_OK && is_mask && image.channels != 1) ||
        (status == PARE_OK && unknown > image.height * image.width))
        __builtin_trap();
    pri_image_clear(&image);
    pare_context_free(ctx);
    return 0;
}
