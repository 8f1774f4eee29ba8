/* SPDX-License-Identifier: Apache-2.0 */
/* dataset_cifar.c - CIFAR-10 binary: one label byte and 3072 planar bytes an image. */
#include "base/file.h"
#include "data/dataset.h"

enum { SIDE = 32, PIXELS = 3 * SIDE * SIDE, RECORD = 1 + PIXELS, CLASSES = 10 };

static int part_of_batch(const char *name)
{
    const bool is_batch = pri_ends_with(name, ".bin") && (pri_starts_with(name, "data_batch") ||
                                                          pri_starts_with(name, "test_batch"));
    return is_batch ? pri_part_of_name(name) : PRI_PART_NONE;
}

static bool recognises(const pri_source *source)
{
    for (int64_t i = 0; i < source->count; i++) {
        if (part_of_batch(source->names[i]) != PRI_PART_NONE)
            return true;
    }
    return source->is_file; /* other formats of one file come first */
}

static pare_status check(const pri_bytes *bytes, pare_context *ctx, const char *path)
{
    if (bytes->size_bytes == 0 || bytes->size_bytes % RECORD != 0)
        return pri_fail(ctx, PARE_ERROR_FORMAT,
                        "'%s' is in no format of images that pare knows (see 'pare list formats'); "
                        "a CIFAR-10 binary has a multiple of %d bytes, not %zu",
                        path, RECORD, bytes->size_bytes);
    for (size_t at = 0; at < bytes->size_bytes; at += RECORD) {
        if (bytes->data[at] >= CLASSES)
            return pri_fail(ctx, PARE_ERROR_FORMAT,
                            "'%s' is no CIFAR-10 binary: image %zu has class %d", path, at / RECORD,
                            bytes->data[at]);
    }
    return PARE_OK;
}

static pare_status read_batch(pri_listing *out, const char *path, int part)
{
    pri_bytes bytes;

    PRI_TRY(pri_file_read(&bytes, out->ctx, path));
    pare_status status = check(&bytes, out->ctx, path);
    if (status != PARE_OK) {
        pri_bytes_clear(&bytes);
        return status;
    }
    PRI_TRY(pri_listing_keep(out, bytes.data));
    for (size_t at = 0; at < bytes.size_bytes && status == PARE_OK; at += RECORD)
        status = pri_listing_add(
            out, &(pri_item){.pixels = bytes.data + at + 1, .label = bytes.data[at], .part = part});
    return status;
}

static pare_status list(pri_listing *out, const pri_source *source)
{
    out->height = out->width = SIDE;
    out->channels = 3;
    out->is_planar = true;
    if (source->is_file)
        return read_batch(out, source->path, pri_part_of_name(pri_name_of(source->path)));
    for (int64_t i = 0; i < source->count; i++) {
        const int part = part_of_batch(source->names[i]);
        if ((part & source->wants) == 0 || part == PRI_PART_NONE)
            continue;
        char *path = pri_path_join(out->ctx, source->path, source->names[i]);
        pare_status status = PARE_ERROR_MEMORY;
        if (path != NULL)
            status = pri_leave_out(out, read_batch(out, path, part));
        pri_free(path);
        PRI_TRY(status);
    }
    return pri_names_read(&out->classes, source, "batches.meta.txt");
}

const pri_dataset pri_dataset_cifar = {
    .name = "CIFAR-10 binary",
    .layout = "FILE.bin, or data_batch_*.bin and test_batch.bin",
    .recognises = recognises,
    .list = list,
};
