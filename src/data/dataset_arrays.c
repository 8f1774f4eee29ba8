/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dataset_arrays.c - NumPy arrays: FILE.npz, FILE.npy, or a folder of them.
 *
 * The names of arrays say what they are (images, labels, masks; x, y) and of which split
 * (train_images, x_test). Images are N x H x W, with 1 or 3 channels first or last. Numbers with a
 * fraction become 8-bit pixels: 0 to 1 is the whole range, otherwise 0 to 255. An image that holds
 * NaN or infinity is left out.
 */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "data/archive.h"
#include "data/dataset.h"

enum { MAX_ARRAYS = 64, NAME_BYTES = 64, MAX_IMAGE_SIDE = 16384 };
static const int64_t max_file_bytes = INT64_C(1) << 33;

typedef enum role { ROLE_NONE, ROLE_IMAGES, ROLE_LABELS, ROLE_MASKS } role;

typedef struct entry {
    char name[NAME_BYTES]; /* in lower case, without ending */
    role role;
    int part;
    pri_array array;
} entry;

typedef struct bundle {
    pri_listing *out;
    const char *path;
    entry entries[MAX_ARRAYS];
    int count;
} bundle;

static bool is_array_name(const char *name)
{
    return pri_ends_with(name, ".npy") || pri_ends_with(name, ".npz");
}

static bool recognises(const pri_source *source)
{
    bool is = source->is_file && is_array_name(source->path);

    for (int64_t i = 0; i < source->count && !is; i++)
        is = is_array_name(source->names[i]);
    return is;
}

/* --- Names --- */

static bool has_letter(const char *name, char letter)
{
    const size_t n = strlen(name);

    return (name[0] == letter && (n == 1 || name[1] == '_')) ||
           (n > 2 && name[n - 2] == '_' && name[n - 1] == letter);
}

static role role_of(const char *name)
{
    if (strstr(name, "mask") != NULL || strstr(name, "seg") != NULL)
        return ROLE_MASKS;
    if (strstr(name, "label") != NULL || strstr(name, "target") != NULL || has_letter(name, 'y') ||
        strcmp(name, "arr_1") == 0)
        return ROLE_LABELS;
    if (strstr(name, "image") != NULL || strstr(name, "data") != NULL || has_letter(name, 'x') ||
        strcmp(name, "arr_0") == 0)
        return ROLE_IMAGES;
    return ROLE_NONE;
}

/* The name of a file or member in lower case, without folder and ending. */
static pare_status read_name(char out[NAME_BYTES], const bundle *b, const char *name)
{
    const char *base = pri_name_of(name);
    const size_t length = strcspn(base, ".");

    if (b->count == MAX_ARRAYS || length >= NAME_BYTES)
        return pri_fail(b->out->ctx, PARE_ERROR_FORMAT,
                        "'%s' holds more than %d arrays, or one with a very long name", b->path,
                        MAX_ARRAYS);
    for (size_t i = 0; i < length; i++)
        out[i] = (char)tolower((unsigned char)base[i]);
    out[length] = '\0';
    return PARE_OK;
}

/* Takes bytes (.npy) over; those of an array that is nothing to a set are freed. */
static pare_status add_array(bundle *b, unsigned char *bytes, size_t size, const char *name)
{
    entry e = {0};
    const pare_status status = read_name(e.name, b, name);

    e.role = role_of(e.name);
    if (status != PARE_OK || e.role == ROLE_NONE) {
        pri_free(bytes);
        return status;
    }
    e.part = pri_part_of_name(e.name);
    PRI_TRY(pri_listing_keep(b->out, bytes));
    b->entries[b->count] = e;
    return pri_array_parse(&b->entries[b->count++].array, b->out->ctx, bytes, size, name);
}

/* --- Files --- */

static pare_status add_members(bundle *b, const pri_bytes *file, const char *path)
{
    pri_member *members = NULL;
    int64_t count = 0;
    pare_status status =
        pri_members_list(&members, &count, b->out->ctx, file->data, file->size_bytes, path);

    for (int64_t i = 0; i < count && status == PARE_OK; i++) {
        unsigned char *bytes = NULL;
        if (!pri_ends_with(members[i].name, ".npy"))
            continue;
        status = pri_member_read(&bytes, b->out->ctx, file->data, file->size_bytes, &members[i]);
        if (status == PARE_OK)
            status = add_array(b, bytes, (size_t)members[i].size, members[i].name);
        if (status != PARE_OK)
            pri_note(b->out->ctx, "in '%s'", path);
    }
    pri_members_free(members, count);
    return status;
}

static pare_status add_file(bundle *b, const char *path)
{
    pri_bytes file;

    if (pri_file_size(path) > max_file_bytes)
        return pri_fail(b->out->ctx, PARE_ERROR_UNSUPPORTED, "'%s' is larger than 8 GB", path);
    PRI_TRY(pri_file_read(&file, b->out->ctx, path));
    if (pri_ends_with(path, ".npy"))
        return add_array(b, file.data, file.size_bytes, path);
    const pare_status status = add_members(b, &file, path);
    pri_bytes_clear(&file);
    return status;
}

static pare_status add_files(bundle *b, const pri_source *source)
{
    if (source->is_file)
        return add_file(b, source->path);
    for (int64_t i = 0; i < source->count; i++) {
        if (!is_array_name(source->names[i]))
            continue;
        char *path = pri_path_join(b->out->ctx, source->path, source->names[i]);
        const pare_status status = path != NULL ? add_file(b, path) : PARE_ERROR_MEMORY;
        pri_free(path);
        PRI_TRY(status);
    }
    return PARE_OK;
}

static const entry *find_entry(const bundle *b, role wanted, int part)
{
    for (int i = 0; i < b->count; i++) {
        if (b->entries[i].role == wanted && b->entries[i].part == part)
            return &b->entries[i];
    }
    return NULL;
}

/* --- Images --- */

static bool is_channels(int64_t dim)
{
    return dim == 1 || dim == 3;
}

/* Sizes of N x H x W, N x H x W x C or N x C x H x W. */
static pare_status read_layout(bundle *b, const entry *e)
{
    const pri_shape *shape = &e->array.shape;
    pri_listing *out = b->out;
    const bool is_last = shape->rank == 4 && is_channels(shape->dims[3]);
    const bool is_first = shape->rank == 4 && !is_last && is_channels(shape->dims[1]);
    const int64_t *sides = shape->dims + (is_first ? 2 : 1);

    if ((shape->rank != 3 && !is_last && !is_first) || e->array.count == 0 ||
        sides[0] > MAX_IMAGE_SIDE || sides[1] > MAX_IMAGE_SIDE)
        return pri_fail(out->ctx, PARE_ERROR_SHAPE,
                        "array '%s' of '%s' is no set of images: pare reads N x H x W, and N x H x "
                        "W x C or N x C x H x W with 1 or 3 channels",
                        e->name, b->path);
    const int64_t channels = shape->rank == 3 ? 1 : shape->dims[is_first ? 1 : 3];
    if (out->count > 0 && (out->height != sides[0] || out->width != sides[1] ||
                           out->channels != channels || out->is_planar != is_first))
        return pri_fail(out->ctx, PARE_ERROR_SHAPE,
                        "array '%s' of '%s' has another layout than the one before it", e->name,
                        b->path);
    out->height = sides[0];
    out->width = sides[1];
    out->channels = (int)channels;
    out->is_planar = is_first;
    return PARE_OK;
}

/* Smallest and largest of the finite numbers. */
static void find_range(double *least, double *most, const pri_array *a)
{
    *least = INFINITY;
    *most = -INFINITY;
    for (int64_t i = 0; i < a->count; i++) {
        const double x = pri_array_at(a, i);
        if (isfinite(x)) {
            *least = fmin(*least, x);
            *most = fmax(*most, x);
        }
    }
}

/* A block of 8-bit pixels, the file's own where it holds such. */
static pare_status make_pixels(const uint8_t **out, bundle *b, const entry *e)
{
    const pri_array *a = &e->array;
    double least, most;

    *out = a->data;
    if (a->width == 1 && a->kind == 'u')
        return PARE_OK;
    find_range(&least, &most, a);
    if (!(least >= 0 && most <= 255))
        return pri_fail(
            b->out->ctx, PARE_ERROR_DATA,
            "array '%s' of '%s' holds values from %g to %g; pare reads pixels from 0 to "
            "1 or from 0 to 255 and normalises them itself (--preprocess)",
            e->name, b->path, least, most);
    const double scale = most <= 1 && (a->kind == 'f' || a->kind == 'b') ? 255 : 1;
    uint8_t *pixels = pri_alloc(b->out->ctx, (size_t)a->count, 1);
    if (pixels == NULL)
        return PARE_ERROR_MEMORY;
    PRI_TRY(pri_listing_keep(b->out, pixels));
    for (int64_t i = 0; i < a->count; i++) {
        const double x = pri_array_at(a, i);
        pixels[i] = isfinite(x) ? (uint8_t)(x * scale + 0.5) : 0;
    }
    *out = pixels;
    return PARE_OK;
}

static bool is_finite_image(const pri_array *a, int64_t number, int64_t size)
{
    for (int64_t i = number * size; i < (number + 1) * size && a->kind == 'f'; i++) {
        if (!isfinite(pri_array_at(a, i)))
            return false;
    }
    return true;
}

/* --- Labels and masks --- */

static pare_status check_labels(const bundle *b, const entry *e, int64_t images)
{
    const pri_array *a = &e->array;

    if (a->shape.dims[0] != images || a->count != images || a->shape.rank < 1 || a->kind == 'f')
        return pri_fail(b->out->ctx, PARE_ERROR_SHAPE,
                        "array '%s' of '%s' is no list of %lld whole class numbers", e->name,
                        b->path, (long long)images);
    for (int64_t i = 0; i < images; i++) {
        const double label = pri_array_at(a, i);
        if (!(label >= 0 && label <= PRI_MAX_LABEL))
            return pri_fail(b->out->ctx, PARE_ERROR_DATA,
                            "label %lld of array '%s' of '%s' is %.0f; classes are 0 to %d",
                            (long long)i, e->name, b->path, label, PRI_MAX_LABEL);
    }
    return PARE_OK;
}

/* Masks as bytes; values are 0 to 255, and -1 for PARE_IGNORE. */
static pare_status make_masks(const uint8_t **out, const bundle *b, const entry *e, int64_t images)
{
    const pri_array *a = &e->array;
    const pri_shape *shape = &a->shape;
    const int64_t area = b->out->height * b->out->width;
    const bool is_flat =
        shape->rank == 3 || (shape->rank == 4 && (shape->dims[1] == 1 || shape->dims[3] == 1));

    if (!is_flat || shape->dims[0] != images || a->count != images * area || a->kind == 'f')
        return pri_fail(b->out->ctx, PARE_ERROR_SHAPE,
                        "array '%s' of '%s' is no set of %lld whole-numbered masks of %lldx%lld",
                        e->name, b->path, (long long)images, (long long)b->out->height,
                        (long long)b->out->width);
    *out = a->data;
    if (a->width == 1 && a->kind != 'i')
        return PARE_OK;
    uint8_t *masks = pri_alloc(b->out->ctx, (size_t)a->count, 1);
    if (masks == NULL)
        return PARE_ERROR_MEMORY;
    PRI_TRY(pri_listing_keep(b->out, masks));
    for (int64_t i = 0; i < a->count; i++) {
        const double value = pri_array_at(a, i);
        if (!(value >= -1 && value <= 255))
            return pri_fail(b->out->ctx, PARE_ERROR_DATA,
                            "mask %lld of array '%s' of '%s' holds %.0f; classes are 0 to 254, "
                            "255 or -1 is not counted",
                            (long long)(i / area), e->name, b->path, value);
        masks[i] = (uint8_t)(value >= 0 ? value : PARE_IGNORE);
    }
    *out = masks;
    return PARE_OK;
}

static pare_status add_part(bundle *b, const entry *images)
{
    const entry *labels = find_entry(b, ROLE_LABELS, images->part);
    const entry *masks = find_entry(b, ROLE_MASKS, images->part);
    const uint8_t *pixels = NULL, *mask_pixels = NULL;
    const int64_t count = images->array.shape.dims[0];

    PRI_TRY(read_layout(b, images));
    PRI_TRY(make_pixels(&pixels, b, images));
    if (labels != NULL)
        PRI_TRY(check_labels(b, labels, count));
    if (masks != NULL)
        PRI_TRY(make_masks(&mask_pixels, b, masks, count));
    const int64_t area = b->out->height * b->out->width, size = area * b->out->channels;
    for (int64_t n = 0; n < count; n++) {
        pri_item item = {.pixels = pixels + n * size, .label = -1, .part = images->part};
        if (!is_finite_image(&images->array, n, size)) {
            PRI_TRY(pri_leave_out(b->out, pri_fail(b->out->ctx, PARE_ERROR_NUMERIC,
                                                   "'%s' %s[%lld] holds NaN or infinity", b->path,
                                                   images->name, (long long)n)));
            continue;
        }
        if (labels != NULL)
            item.label = (int32_t)pri_array_at(&labels->array, n);
        if (mask_pixels != NULL)
            item.mask_pixels = mask_pixels + n * area;
        PRI_TRY(pri_listing_add(b->out, &item));
    }
    return PARE_OK;
}

static pare_status list(pri_listing *out, const pri_source *source)
{
    bool has_images = false;
    bundle *b = pri_alloc(out->ctx, 1, sizeof *b);

    if (b == NULL)
        return PARE_ERROR_MEMORY;
    b->out = out;
    b->path = source->path;
    pare_status status = add_files(b, source);
    for (int i = 0; i < b->count && status == PARE_OK; i++) {
        const entry *e = &b->entries[i];
        if (e->role != ROLE_IMAGES)
            continue;
        has_images = true;
        if ((e->part & (source->wants | PRI_PART_NONE)) != 0)
            status = add_part(b, e);
    }
    if (status == PARE_OK && !has_images)
        status = pri_fail(out->ctx, PARE_ERROR_DATA,
                          "'%s' holds no array named images or x (with labels, y, masks beside it)",
                          source->path);
    pri_free(b);
    return status;
}

const pri_dataset pri_dataset_arrays = {
    .name = "arrays",
    .layout = "FILE.npz, or images.npy, labels.npy, masks.npy, also train_images.npy or x_train",
    .recognises = recognises,
    .list = list,
};
