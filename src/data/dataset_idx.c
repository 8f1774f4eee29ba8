/* SPDX-License-Identifier: Apache-2.0 */
/* dataset_idx.c - IDX (MNIST): a file of images and a file of labels, also gzip. */
#include <limits.h>
#include <string.h>
#include <zlib.h>

#include "base/file.h"
#include "data/dataset.h"

enum { MAX_BYTES = INT_MAX, MAX_IMAGE_SIDE = 4096, IMAGES_HEAD = 16, LABELS_HEAD = 8 };

static pare_status read_all(unsigned char **out, size_t *size, pare_context *ctx, gzFile file,
                            const char *path)
{
    for (size_t capacity = 1 << 20; capacity <= MAX_BYTES; capacity *= 2) {
        unsigned char *grown = pri_realloc(ctx, *out, capacity, 1);
        if (grown == NULL)
            return PARE_ERROR_MEMORY;
        *out = grown;
        const int got = gzread(file, *out + *size, (unsigned)(capacity - *size));
        if (got < 0)
            return pri_fail(ctx, PARE_ERROR_FORMAT, "'%s' is damaged (gzip)", path);
        *size += (size_t)got;
        if (*size == capacity)
            continue;
        int code = Z_OK;
        (void)gzerror(file, &code);
        if (code != Z_OK && code != Z_STREAM_END)
            return pri_fail(ctx, PARE_ERROR_FORMAT, "'%s' is truncated (gzip)", path);
        return PARE_OK;
    }
    return pri_fail(ctx, PARE_ERROR_FORMAT, "'%s' is larger than 1 GB", path);
}

pare_status pri_read_maybe_gzip(unsigned char **out, size_t *size, pare_context *ctx,
                                const char *path)
{
    *out = NULL;
    *size = 0;
    gzFile file = gzopen(path, "rb");
    if (file == NULL)
        return pri_fail(ctx, PARE_ERROR_FILE, "cannot open '%s'", path);
    const pare_status status = read_all(out, size, ctx, file, path);
    gzclose(file);
    if (status != PARE_OK) {
        pri_free(*out);
        *out = NULL;
    }
    return status;
}

static uint32_t big_endian(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

typedef struct idx_file {
    char *path;
    unsigned char *bytes;
    size_t size;
} idx_file;

static pare_status check(int64_t *count, const idx_file *images, const idx_file *labels,
                         pri_listing *out)
{
    const bool is_idx = images->size >= IMAGES_HEAD && labels->size >= LABELS_HEAD &&
                        big_endian(images->bytes) == 0x803 && big_endian(labels->bytes) == 0x801;
    const uint64_t n = is_idx ? big_endian(images->bytes + 4) : 0;
    const uint64_t h = is_idx ? big_endian(images->bytes + 8) : 0;
    const uint64_t w = is_idx ? big_endian(images->bytes + 12) : 0;

    if (n == 0 || h == 0 || w == 0 || h > MAX_IMAGE_SIDE || w > MAX_IMAGE_SIDE ||
        n * h * w + IMAGES_HEAD != images->size || n + LABELS_HEAD != labels->size)
        return pri_fail(out->ctx, PARE_ERROR_FORMAT,
                        "'%s' and '%s' are no fitting pair of IDX files", images->path,
                        labels->path);
    if (out->count > 0 && ((int64_t)h != out->height || (int64_t)w != out->width))
        return pri_fail(out->ctx, PARE_ERROR_FORMAT, "'%s' holds %dx%d images, others %dx%d",
                        images->path, (int)h, (int)w, (int)out->height, (int)out->width);
    *count = (int64_t)n;
    out->height = (int64_t)h;
    out->width = (int64_t)w;
    out->channels = 1;
    return PARE_OK;
}

static pare_status read_pair(pri_listing *out, idx_file *images, idx_file *labels, int part)
{
    int64_t count = 0;

    PRI_TRY(pri_read_maybe_gzip(&images->bytes, &images->size, out->ctx, images->path));
    PRI_TRY(pri_read_maybe_gzip(&labels->bytes, &labels->size, out->ctx, labels->path));
    PRI_TRY(check(&count, images, labels, out));
    unsigned char *pixels = images->bytes + IMAGES_HEAD;
    const int64_t area = out->height * out->width;
    images->bytes = NULL;
    PRI_TRY(pri_listing_keep(out, pixels - IMAGES_HEAD));
    for (int64_t n = 0; n < count; n++)
        PRI_TRY(pri_listing_add(out, &(pri_item){.pixels = pixels + n * area,
                                                 .label = labels->bytes[LABELS_HEAD + n],
                                                 .part = part}));
    return PARE_OK;
}

static bool is_images(const char *name)
{
    return strstr(name, "-images-idx3-ubyte") != NULL || strstr(name, "-images.idx3-ubyte") != NULL;
}

static bool recognises(const pri_source *source)
{
    for (int64_t i = 0; i < source->count; i++) {
        if (is_images(source->names[i]))
            return true;
    }
    return false;
}

/* "t10k-labels-idx1-ubyte.gz" for "t10k-images-idx3-ubyte.gz", with or without .gz. */
static pare_status find_labels(char **path, const pri_source *source, const char *images)
{
    const size_t length = (size_t)(strstr(images, "-images") - images);
    static const char start[] = "-labels";

    *path = NULL;
    for (int64_t i = 0; i < source->count && *path == NULL; i++) {
        const char *name = source->names[i];
        if (strncmp(name, images, length) != 0 || !pri_starts_with(name + length, start))
            continue;
        *path = pri_path_join(source->ctx, source->path, name);
        return *path != NULL ? PARE_OK : PARE_ERROR_MEMORY;
    }
    return pri_fail(source->ctx, PARE_ERROR_FORMAT, "'%s/%s' has no file of labels beside it",
                    source->path, images);
}

static pare_status list(pri_listing *out, const pri_source *source)
{
    for (int64_t i = 0; i < source->count; i++) {
        const int part = pri_part_of_name(source->names[i]);
        idx_file images = {0}, labels = {0};
        if (!is_images(source->names[i]) || (part & (source->wants | PRI_PART_NONE)) == 0)
            continue;
        images.path = pri_path_join(out->ctx, source->path, source->names[i]);
        pare_status status = PARE_ERROR_MEMORY;
        if (images.path != NULL)
            status = find_labels(&labels.path, source, source->names[i]);
        if (status == PARE_OK)
            status = read_pair(out, &images, &labels, part);
        status = pri_leave_out(out, status);
        pri_free(images.path);
        pri_free(images.bytes);
        pri_free(labels.path);
        pri_free(labels.bytes);
        PRI_TRY(status);
    }
    return PARE_OK;
}

const pri_dataset pri_dataset_idx = {
    .name = "IDX",
    .layout = "*-images-idx3-ubyte[.gz] and *-labels-idx1-ubyte[.gz]",
    .recognises = recognises,
    .list = list,
};
