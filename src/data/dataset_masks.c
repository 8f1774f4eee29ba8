/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dataset_masks.c - images and masks of the same name in two folders: [SPLIT/]images and
 * [SPLIT/]masks (or image and label), or SPLIT and SPLITannot.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/dataset.h"

enum { NAME_BYTES = 256 };

static const int parts[] = {PRI_PART_TRAIN, PRI_PART_VAL, PRI_PART_TEST};

/* Two folders below the source. */
typedef struct pair {
    char images[NAME_BYTES], masks[NAME_BYTES];
} pair;

static bool set_pair(pair *out, const char *inside, const char *images, const char *masks)
{
    return snprintf(out->images, NAME_BYTES, "%s%s", inside, images) < NAME_BYTES &&
           snprintf(out->masks, NAME_BYTES, "%s%s", inside, masks) < NAME_BYTES;
}

/* Finds two folders by their usual names; `inside` is "" or ends with a slash. */
static bool find_named(pair *out, const pri_source *folder, const char *inside)
{
    static const char *const images[] = {"images", "image"};
    static const char *const masks[] = {"masks", "mask", "labels", "label"};

    for (size_t i = 0; i < PRI_COUNT(images); i++) {
        for (size_t k = 0; k < PRI_COUNT(masks); k++) {
            if (pri_source_has_folder(folder, images[i]) && pri_source_has_folder(folder, masks[k]))
                return set_pair(out, inside, images[i], masks[k]);
        }
    }
    return false;
}

static bool find_pair(pair *out, const pri_source *source, int part)
{
    const char *name = part != PRI_PART_NONE ? pri_part_folder(source, part) : NULL;
    char text[NAME_BYTES];
    pri_source inner;

    if (part == PRI_PART_NONE)
        return find_named(out, source, "");
    if (name == NULL)
        return false;
    snprintf(text, sizeof text, "%sannot", name);
    if (pri_source_has_folder(source, text))
        return set_pair(out, "", name, text);
    snprintf(text, sizeof text, "%s/", name);
    const bool found =
        pri_source_enter(&inner, source, name) == PARE_OK && find_named(out, &inner, text);
    pri_source_clear(&inner);
    return found;
}

static bool recognises(const pri_source *source)
{
    pair found;

    for (size_t k = 0; k < PRI_COUNT(parts); k++) {
        if (find_pair(&found, source, parts[k]))
            return true;
    }
    return find_pair(&found, source, PRI_PART_NONE);
}

static size_t stem_length(const char *name)
{
    const char *dot = strrchr(name, '.');

    return dot != NULL ? (size_t)(dot - name) : strlen(name);
}

/* Orders names without their endings; used to sort and to look up. */
static int by_stem(const void *a, const void *b)
{
    const char *x = *(char *const *)a, *y = *(char *const *)b;
    const size_t n = stem_length(x), m = stem_length(y);
    const int order = memcmp(x, y, n < m ? n : m);

    return order != 0 ? order : (n > m) - (n < m);
}

static pare_status add_image(pri_listing *out, const pri_source *images, const pri_source *masks,
                             char *name, int part)
{
    pri_item item = {.label = -1, .part = part};
    char **found = masks->count > 0 ? bsearch(&name, masks->names, (size_t)masks->count,
                                              sizeof *masks->names, by_stem)
                                    : NULL;

    if (found == NULL)
        return pri_leave_out(out, pri_fail(out->ctx, PARE_ERROR_DATA, "'%s/%s' has no mask in '%s'",
                                           images->path, name, masks->path));
    item.image = pri_path_join(out->ctx, images->path, name);
    item.mask = item.image != NULL ? pri_path_join(out->ctx, masks->path, *found) : NULL;
    if (item.mask == NULL) {
        pri_free(item.image);
        return PARE_ERROR_MEMORY;
    }
    return pri_listing_add(out, &item);
}

static pare_status add_pair(pri_listing *out, const pri_source *source, const pair *found, int part)
{
    pri_source images = {0}, masks = {0};
    pare_status status = pri_source_enter(&images, source, found->images);

    if (status == PARE_OK)
        status = pri_source_enter(&masks, source, found->masks);
    if (status == PARE_OK && masks.count > 0)
        qsort(masks.names, (size_t)masks.count, sizeof *masks.names, by_stem);
    for (int64_t i = 0; i < images.count && status == PARE_OK; i++) {
        if (pri_is_image_name(images.names[i]))
            status = add_image(out, &images, &masks, images.names[i], part);
    }
    pri_source_clear(&images);
    pri_source_clear(&masks);
    return status;
}

static pare_status list(pri_listing *out, const pri_source *source)
{
    bool has_parts = false;
    pair found;

    for (size_t k = 0; k < PRI_COUNT(parts); k++) {
        if (!find_pair(&found, source, parts[k]))
            continue;
        has_parts = true;
        if ((parts[k] & source->wants) != 0)
            PRI_TRY(add_pair(out, source, &found, parts[k]));
    }
    if (!has_parts && find_pair(&found, source, PRI_PART_NONE))
        return add_pair(out, source, &found, PRI_PART_NONE);
    return PARE_OK;
}

const pri_dataset pri_dataset_masks = {
    .name = "images and masks",
    .layout = "[SPLIT/]images and [SPLIT/]masks, SPLIT and SPLITannot, image and label",
    .recognises = recognises,
    .list = list,
};
