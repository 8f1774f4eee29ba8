/* SPDX-License-Identifier: Apache-2.0 */
/* readers.c - CIFAR binary, IDX and strips of PNG images. */
#include <limits.h>
#include <png.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "base/file.h"
#include "data/data.h"

enum { CIFAR_IMAGE = 3 * 32 * 32, MAX_BYTES = INT_MAX };

pare_status pri_read_maybe_gzip(unsigned char **out, size_t *size, pare_context *ctx,
                                const char *path)
{
    size_t capacity = 1 << 20;
    gzFile file = gzopen(path, "rb");

    *out = NULL;
    *size = 0;
    if (file == NULL)
        return pri_fail(ctx, PARE_ERROR_FILE, "cannot open '%s'", path);
    for (;;) {
        unsigned char *grown = pri_realloc(ctx, *out, capacity, 1);
        if (grown == NULL)
            break;
        *out = grown;
        const int got = gzread(file, *out + *size, (unsigned)(capacity - *size));
        if (got < 0) {
            pri_fail(ctx, PARE_ERROR_FORMAT, "'%s' is damaged (gzip)", path);
            break;
        }
        *size += (size_t)got;
        if (*size < capacity) {
            gzclose(file);
            return PARE_OK;
        }
        capacity *= 2;
        if (capacity > MAX_BYTES) {
            pri_fail(ctx, PARE_ERROR_FORMAT, "'%s' is larger than 2 GB", path);
            break;
        }
    }
    gzclose(file);
    pri_free(*out);
    *out = NULL;
    return PARE_ERROR_FORMAT;
}

pare_status pri_png_read(uint8_t **pixels, int64_t *height, int64_t *width, int channels,
                         pare_context *ctx, const char *path)
{
    png_image image;

    *pixels = NULL;
    memset(&image, 0, sizeof image);
    image.version = PNG_IMAGE_VERSION;
    if (!png_image_begin_read_from_file(&image, path))
        return pri_fail(ctx, PARE_ERROR_FORMAT, "cannot read '%s': %s", path, image.message);
    image.format = channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
    *height = image.height;
    *width = image.width;
    if ((uint64_t)*height * (uint64_t)*width > MAX_BYTES / 4) {
        png_image_free(&image);
        return pri_fail(ctx, PARE_ERROR_FORMAT, "'%s' is too large", path);
    }
    *pixels = pri_alloc(ctx, PNG_IMAGE_SIZE(image), 1);
    if (*pixels == NULL) {
        png_image_free(&image);
        return PARE_ERROR_MEMORY;
    }
    if (!png_image_finish_read(&image, NULL, *pixels, 0, NULL)) {
        pri_free(*pixels);
        *pixels = NULL;
        return pri_fail(ctx, PARE_ERROR_FORMAT, "cannot decode '%s': %s", path, image.message);
    }
    return PARE_OK;
}

/* --- CIFAR-10 binary: one label byte and 3072 planar bytes an image --- */

static pare_status read_cifar(pare_data *data, const char *path)
{
    pri_bytes bytes;

    PRI_TRY(pri_file_read(&bytes, data->ctx, path));
    const int64_t count = (int64_t)(bytes.size_bytes / (CIFAR_IMAGE + 1));
    pare_status status = PARE_OK;
    if (count == 0 || bytes.size_bytes % (CIFAR_IMAGE + 1) != 0)
        status = pri_fail(data->ctx, PARE_ERROR_FORMAT,
                          "'%s' is no CIFAR-10 binary: its size is no multiple of %d", path,
                          CIFAR_IMAGE + 1);
    data->channels = 3;
    data->height = data->width = 32;
    for (int64_t n = 0; n < count && status == PARE_OK; n++) {
        const unsigned char *image = bytes.data + n * (CIFAR_IMAGE + 1);
        status = pri_data_append(data, image + 1, true, image, 1);
    }
    pri_bytes_clear(&bytes);
    return status;
}

/* --- IDX --- */

static uint32_t big_endian(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static pare_status read_idx(pare_data *data, const char *images_path, const char *labels_path)
{
    unsigned char *images = NULL, *labels = NULL;
    size_t n_images = 0, n_labels = 0;
    pare_status status = pri_read_maybe_gzip(&images, &n_images, data->ctx, images_path);

    if (status == PARE_OK)
        status = pri_read_maybe_gzip(&labels, &n_labels, data->ctx, labels_path);
    if (status == PARE_OK) {
        const bool is_idx = n_images >= 16 && n_labels >= 8 && big_endian(images) == 0x803 &&
                            big_endian(labels) == 0x801;
        const uint64_t count = is_idx ? big_endian(images + 4) : 0;
        const uint64_t h = is_idx ? big_endian(images + 8) : 0;
        const uint64_t w = is_idx ? big_endian(images + 12) : 0;
        if (count == 0 || h == 0 || w == 0 || h > 4096 || w > 4096 ||
            count * h * w + 16 != n_images || count + 8 != n_labels) {
            status = pri_fail(data->ctx, PARE_ERROR_FORMAT,
                              "'%s' and '%s' are no fitting pair of IDX files", images_path,
                              labels_path);
        } else {
            data->channels = 1;
            data->height = (int64_t)h;
            data->width = (int64_t)w;
            status = pri_data_append(data, images + 16, false, labels + 8, (int64_t)count);
        }
    }
    pri_free(images);
    pri_free(labels);
    return status;
}

/* --- PNG strips --- */

static pare_status read_strip(pare_data *data, const char *path, const pri_bytes *labels)
{
    uint8_t *pixels;
    int64_t height, width;

    PRI_TRY(pri_png_read(&pixels, &height, &width, 3, data->ctx, path));
    const int64_t count = width > 0 ? height / width : 0;
    pare_status status = PARE_OK;
    if (count == 0 || height % width != 0 || (data->count > 0 && width != data->width))
        status = pri_fail(data->ctx, PARE_ERROR_FORMAT, "'%s' is no strip of square images", path);
    else if ((uint64_t)(data->count + count) > labels->size_bytes)
        status = pri_fail(data->ctx, PARE_ERROR_DATA, "there are fewer labels than images in '%s'",
                          path);
    data->channels = 3;
    data->height = data->width = width;
    if (status == PARE_OK)
        status = pri_data_append(data, pixels, false, labels->data + data->count, count);
    pri_free(pixels);
    return status;
}

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static bool ends_with(const char *text, const char *end)
{
    const size_t a = strlen(text), b = strlen(end);

    return a >= b && strcmp(text + a - b, end) == 0;
}

typedef struct folder {
    const char *path;
    char **names;
    int64_t count;
} folder;

static pare_status read_strips(pare_data *data, const folder *f, const char *split)
{
    char name[64];
    pri_bytes labels;

    snprintf(name, sizeof name, "%s_labels.u8", split);
    char *path = pri_path_join(data->ctx, f->path, name);
    if (path == NULL)
        return PARE_ERROR_MEMORY;
    pare_status status = pri_file_read(&labels, data->ctx, path);
    pri_free(path);
    PRI_TRY(status);
    for (int64_t i = 0; i < f->count && status == PARE_OK; i++) {
        if (!starts_with(f->names[i], split) || !ends_with(f->names[i], ".png"))
            continue;
        path = pri_path_join(data->ctx, f->path, f->names[i]);
        status = path != NULL ? read_strip(data, path, &labels) : PARE_ERROR_MEMORY;
        pri_free(path);
    }
    pri_bytes_clear(&labels);
    return status;
}

static pare_status read_folder(pare_data *data, const folder *f, const char *split)
{
    const bool is_test = strcmp(split, "test") == 0;
    const char *images = NULL, *labels = NULL;
    char strip_labels[64];
    pare_status status = PARE_OK;

    snprintf(strip_labels, sizeof strip_labels, "%s_labels.u8", split);
    for (int64_t i = 0; i < f->count && status == PARE_OK; i++) {
        const char *name = f->names[i];
        if (strcmp(name, strip_labels) == 0)
            return read_strips(data, f, split);
        if (starts_with(name, is_test ? "t10k-images" : "train-images"))
            images = name;
        if (starts_with(name, is_test ? "t10k-labels" : "train-labels"))
            labels = name;
        if (ends_with(name, ".bin") && starts_with(name, is_test ? "test" : "data_batch")) {
            char *path = pri_path_join(data->ctx, f->path, name);
            status = path != NULL ? read_cifar(data, path) : PARE_ERROR_MEMORY;
            pri_free(path);
        }
    }
    if (status == PARE_OK && images != NULL && labels != NULL) {
        char *a = pri_path_join(data->ctx, f->path, images);
        char *b = pri_path_join(data->ctx, f->path, labels);
        status = a != NULL && b != NULL ? read_idx(data, a, b) : PARE_ERROR_MEMORY;
        pri_free(a);
        pri_free(b);
    }
    return status;
}

pare_status pare_data_open(pare_data **out, pare_context *ctx, const char *path,
                           const pare_data_options *options)
{
    const char *split = options->split != NULL ? options->split : "test";
    pare_status status;

    *out = NULL;
    if (strcmp(split, "train") != 0 && strcmp(split, "test") != 0)
        return pri_fail(ctx, PARE_ERROR_ARGUMENT, "the split is 'train' or 'test', not '%s'", split);
    pare_data *data = pri_alloc(ctx, 1, sizeof *data);
    if (data == NULL)
        return PARE_ERROR_MEMORY;
    data->ctx = ctx;
    if (pri_is_directory(path)) {
        folder f = {.path = path};
        status = pri_list_directory(&f.names, &f.count, ctx, path);
        if (status == PARE_OK) {
            status = read_folder(data, &f, split);
            pri_names_free(f.names, f.count);
        }
    } else {
        status = read_cifar(data, path);
    }
    if (status == PARE_OK && data->count == 0)
        status = pri_fail(ctx, PARE_ERROR_DATA,
                          "'%s' holds no %s images pare can read (CIFAR binary, IDX, PNG strips)",
                          path, split);
    if (status != PARE_OK) {
        pare_data_free(data);
        return status;
    }
    *out = data;
    return PARE_OK;
}
