/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dataset_classes.c - class folders: [SPLIT/]CLASS/IMAGE.
 *
 * Classes are numbered by the byte order of their names over all splits, so splits agree. Images
 * are listed one of each class in turn: the first images of a set, which limits and calibration
 * take, then stand for all classes.
 */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/dataset.h"

static const int parts[] = {PRI_PART_TRAIN, PRI_PART_VAL, PRI_PART_TEST};

static bool holds_images(const pri_source *source, const char *folder)
{
    pri_source inner;

    if (folder[0] == '.' || !pri_source_has_folder(source, folder))
        return false;
    bool holds = false;
    if (pri_source_enter(&inner, source, folder) == PARE_OK) {
        for (int64_t i = 0; i < inner.count && !holds; i++)
            holds = pri_is_image_name(inner.names[i]);
    }
    pri_source_clear(&inner);
    return holds;
}

static bool holds_classes(const pri_source *source)
{
    for (int64_t i = 0; i < source->count; i++) {
        if (holds_images(source, source->names[i]))
            return true;
    }
    return false;
}

static bool recognises(const pri_source *source)
{
    bool holds = false;

    if (!pri_has_parts(source))
        return holds_classes(source);
    for (size_t k = 0; k < PRI_COUNT(parts) && !holds; k++) {
        const char *name = pri_part_folder(source, parts[k]);
        pri_source inner;
        if (name == NULL)
            continue;
        holds = pri_source_enter(&inner, source, name) == PARE_OK && holds_classes(&inner);
        pri_source_clear(&inner);
    }
    return holds;
}

/* Collects the names of the class folders, twice where two splits have them. */
static pare_status add_classes(pri_names *names, const pri_source *source)
{
    for (int64_t i = 0; i < source->count; i++) {
        if (!holds_images(source, source->names[i]))
            continue;
        PRI_TRY(pri_names_set(names, source->ctx, names->count, source->names[i]));
        if (names->count > PRI_MAX_LABEL)
            return pri_fail(source->ctx, PARE_ERROR_DATA, "'%s' has more than %d class folders",
                            source->path, PRI_MAX_LABEL);
    }
    return PARE_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort_and_unite(pri_names *names)
{
    int64_t kept = 0;

    if (names->count > 0)
        qsort(names->of, (size_t)names->count, sizeof *names->of, by_name);
    for (int64_t i = 0; i < names->count; i++) {
        if (kept > 0 && strcmp(names->of[kept - 1], names->of[i]) == 0)
            pri_free(names->of[i]);
        else
            names->of[kept++] = names->of[i];
    }
    names->count = kept;
}

static pare_status add_images(pri_listing *out, const pri_source *folder, int32_t label, int part)
{
    int64_t rank = 0;

    for (int64_t i = 0; i < folder->count; i++) {
        if (!pri_is_image_name(folder->names[i]))
            continue;
        char *path = pri_path_join(out->ctx, folder->path, folder->names[i]);
        if (path == NULL)
            return PARE_ERROR_MEMORY;
        PRI_TRY(pri_listing_add(
            out, &(pri_item){.image = path, .label = label, .part = part, .rank = rank++}));
    }
    return PARE_OK;
}

static pare_status add_part(pri_listing *out, const pri_source *source, int part)
{
    for (int64_t k = 0; k < out->classes.count; k++) {
        pri_source folder;
        if (!holds_images(source, out->classes.of[k]))
            continue;
        pare_status status = pri_source_enter(&folder, source, out->classes.of[k]);
        if (status == PARE_OK)
            status = add_images(out, &folder, (int32_t)k, part);
        pri_source_clear(&folder);
        PRI_TRY(status);
    }
    return PARE_OK;
}

static int by_part_rank_and_label(const void *a, const void *b)
{
    const pri_item *x = a, *y = b;

    if (x->part != y->part)
        return x->part < y->part ? -1 : 1;
    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    return (x->label > y->label) - (x->label < y->label);
}

/* Goes through the splits: first to collect the classes, then the images. */
static pare_status visit_parts(pri_listing *out, const pri_source *source, bool images)
{
    for (size_t k = 0; k < PRI_COUNT(parts); k++) {
        const char *name = pri_part_folder(source, parts[k]);
        pri_source inner;
        if (name == NULL || (images && (parts[k] & source->wants) == 0))
            continue;
        pare_status status = pri_source_enter(&inner, source, name);
        if (status == PARE_OK)
            status = images ? add_part(out, &inner, parts[k]) : add_classes(&out->classes, &inner);
        pri_source_clear(&inner);
        PRI_TRY(status);
    }
    return PARE_OK;
}

static pare_status list(pri_listing *out, const pri_source *source)
{
    const bool has_parts = pri_has_parts(source);

    PRI_TRY(has_parts ? visit_parts(out, source, false) : add_classes(&out->classes, source));
    sort_and_unite(&out->classes);
    PRI_TRY(has_parts ? visit_parts(out, source, true) : add_part(out, source, PRI_PART_NONE));
    if (out->count > 0)
        qsort(out->items, (size_t)out->count, sizeof *out->items, by_part_rank_and_label);
    return PARE_OK;
}

const pri_dataset pri_dataset_classes = {
    .name = "class folders",
    .layout = "[SPLIT/]CLASS/IMAGE.(jpg|png)",
    .recognises = recognises,
    .list = list,
};
