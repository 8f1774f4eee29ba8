/* SPDX-License-Identifier: Apache-2.0 */
/* dataset_strips.c - PNG strips: square images one below the other, and a byte a label. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "data/dataset.h"
#include "data/image.h"

static const int parts[] = {PRI_PART_TRAIN, PRI_PART_VAL, PRI_PART_TEST};

static const char *labels_name(char out[32], int part)
{
    snprintf(out, 32, "%s_labels.u8", pri_part_name(part));
    return out;
}

static bool recognises(const pri_source *source)
{
    char name[32];

    for (size_t k = 0; k < PRI_COUNT(parts); k++) {
        if (pri_source_has(source, labels_name(name, parts[k])))
            return true;
    }
    return false;
}

static pare_status add_strip(pri_listing *out, pri_image *strip, const char *path,
                             const pri_bytes *labels, int64_t *done, int part)
{
    const int64_t side = strip->width, count = strip->height / side;

    if (count == 0 || strip->height % side != 0 || (out->count > 0 && side != out->width))
        return pri_fail(out->ctx, PARE_ERROR_FORMAT, "'%s' is no strip of square images", path);
    if ((uint64_t)(*done + count) > labels->size_bytes)
        return pri_fail(out->ctx, PARE_ERROR_DATA, "there are fewer labels than images in '%s'",
                        path);
    PRI_TRY(pri_image_set_channels(strip, out->ctx, 3));
    uint8_t *pixels = strip->pixels;
    strip->pixels = NULL;
    PRI_TRY(pri_listing_keep(out, pixels));
    out->height = out->width = side;
    out->channels = 3;
    for (int64_t n = 0; n < count; n++)
        PRI_TRY(pri_listing_add(out, &(pri_item){.pixels = pixels + n * side * side * 3,
                                                 .label = labels->data[*done + n],
                                                 .part = part}));
    *done += count;
    return PARE_OK;
}

/* Labels are counted through all strips of a part, so a strip that does not decode is an error: the
 * labels of those behind it would be unknown. */
static pare_status read_strips(pri_listing *out, const pri_source *source, const pri_bytes *labels,
                               int part)
{
    char start[32];
    int64_t done = 0;

    snprintf(start, sizeof start, "%s_", pri_part_name(part));
    for (int64_t i = 0; i < source->count; i++) {
        if (!pri_starts_with(source->names[i], start) || !pri_ends_with(source->names[i], ".png"))
            continue;
        pri_image strip = {0};
        char *path = pri_path_join(out->ctx, source->path, source->names[i]);
        pare_status status = PARE_ERROR_MEMORY;
        if (path != NULL)
            status = pri_image_read(&strip, out->ctx, path);
        if (status == PARE_OK)
            status = add_strip(out, &strip, path, labels, &done, part);
        pri_image_clear(&strip);
        pri_free(path);
        PRI_TRY(status);
    }
    return PARE_OK;
}

static pare_status list(pri_listing *out, const pri_source *source)
{
    for (size_t k = 0; k < PRI_COUNT(parts); k++) {
        char name[32];
        pri_bytes labels = {0};
        if ((parts[k] & source->wants) == 0 || !pri_source_has(source, labels_name(name, parts[k])))
            continue;
        char *path = pri_path_join(out->ctx, source->path, name);
        pare_status status = PARE_ERROR_MEMORY;
        if (path != NULL)
            status = pri_file_read(&labels, out->ctx, path);
        if (status == PARE_OK)
            status = read_strips(out, source, &labels, parts[k]);
        pri_bytes_clear(&labels);
        pri_free(path);
        PRI_TRY(status);
    }
    return PARE_OK;
}

const pri_dataset pri_dataset_strips = {
    .name = "PNG strips",
    .layout = "SPLIT_00.png, ... and SPLIT_labels.u8",
    .recognises = recognises,
    .list = list,
};
