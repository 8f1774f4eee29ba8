/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_images.c - libFuzzer entry for the image codecs; the first byte chooses image or mask.
 *
 * clang -fsanitize=fuzzer,address,undefined, linked with the static library of an asan build.
 */
#include <stddef.h>
#include <stdint.h>

#include "data/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    pare_context *ctx = NULL;
    pri_image image = {0};

    if (size == 0 || pare_context_new(&ctx) != PARE_OK)
        return 0;
    const pare_status status = bytes[0] % 2 == 0
                                   ? pri_image_decode(&image, ctx, bytes + 1, size - 1, "fuzz")
                                   : pri_png_decode(&image, ctx, bytes + 1, size - 1, true, "fuzz");
    if ((status == PARE_OK) != (image.pixels != NULL))
        __builtin_trap();
    pri_image_clear(&image);
    pare_context_free(ctx);
    return 0;
}
