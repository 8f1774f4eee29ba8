/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dataset_lists.c - plain lists: SPLIT.txt with "IMAGE MASK" or "IMAGE CLASS" a line, and the
 * layout of Pascal VOC, whose lists in ImageSets/Segmentation name images without folder and
 * ending.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/dataset.h"

enum { MAX_BYTES = 1 << 28, PATH_BYTES = 512 };

static const struct {
    int part;
    const char *file;
} lists[] = {{PRI_PART_TRAIN, "train.txt"}, {PRI_PART_VAL, "val.txt"}, {PRI_PART_TEST, "test.txt"}};
static const char voc_lists[] = "ImageSets/Segmentation", gaps[] = " \t\r";

/* Cuts the first two words out of a line; false when there are not exactly two. */
static bool split_pair(char *line, char **first, char **second)
{
    *first = line + strspn(line, gaps);
    char *at = *first + strcspn(*first, gaps);
    *second = at + strspn(at, gaps);
    *at = '\0';
    at = *second + strcspn(*second, gaps);
    const bool is_last = at[strspn(at, gaps)] == '\0';
    *at = '\0';
    return is_last && **first != '\0' && **second != '\0';
}

/* A label, or -1. */
static long read_label(const char *text)
{
    char *end;
    const long label = strtol(text, &end, 10);

    return end != text && *end == '\0' && label >= 0 && label <= PRI_MAX_LABEL ? label : -1;
}

static bool is_pair(const char *first, const char *second)
{
    return pri_is_image_name(first) && (pri_is_image_name(second) || read_label(second) >= 0);
}

static char *next_line(char *line)
{
    const size_t length = strcspn(line, "\n");
    char *next = line + length + (line[length] != '\0');

    line[length] = '\0';
    return next;
}

/* Whether the first line of a list is a pair. */
static bool begins_with_pair(pare_context *ctx, const char *path)
{
    pri_bytes bytes;
    char *first, *second;

    if (pri_is_directory(path) || pri_text_file_read(&bytes, ctx, path, MAX_BYTES) != PARE_OK) {
        pri_forget(ctx);
        return false;
    }
    char *line = (char *)bytes.data;
    for (char *next; *line != '\0'; line = next) {
        next = next_line(line);
        if (line[strspn(line, gaps)] != '\0' && line[0] != '#')
            break;
    }
    const bool is = split_pair(line, &first, &second) && is_pair(first, second);
    pri_bytes_clear(&bytes);
    return is;
}

static bool is_voc(const pri_source *source)
{
    char *path = pri_path_join(source->ctx, source->path, voc_lists);
    const bool is = path != NULL && pri_is_directory(path) &&
                    pri_source_has_folder(source, "JPEGImages") &&
                    pri_source_has_folder(source, "SegmentationClass");

    pri_free(path);
    return is;
}

static bool recognises(const pri_source *source)
{
    bool is = source->is_file && pri_ends_with(source->path, ".txt");

    for (size_t k = 0; k < PRI_COUNT(lists) && !source->is_file && !is; k++) {
        if (!pri_source_has(source, lists[k].file))
            continue;
        char *path = pri_path_join(source->ctx, source->path, lists[k].file);
        is = path != NULL && begins_with_pair(source->ctx, path);
        pri_free(path);
    }
    return is || (!source->is_file && is_voc(source));
}

/* --- Listing --- */

typedef struct list_job {
    pri_listing *out;
    const char *folder, *path;
    bool is_voc;
    int part;
} list_job;

static pare_status add_line(const list_job *job, char *line, int64_t number)
{
    char *first, *second, image[PATH_BYTES], mask[PATH_BYTES];
    const bool has_two = split_pair(line, &first, &second);
    pare_status status = PARE_ERROR_FORMAT;

    if (*first == '\0' || *first == '#')
        return PARE_OK;
    if (job->is_voc && *second == '\0' &&
        snprintf(image, PATH_BYTES, "JPEGImages/%s.jpg", first) < PATH_BYTES &&
        snprintf(mask, PATH_BYTES, "SegmentationClass/%s.png", first) < PATH_BYTES) {
        status = pri_listing_add_files(job->out, job->folder, image, mask, -1, job->part);
    } else if (!job->is_voc && has_two && is_pair(first, second)) {
        const long label = pri_is_image_name(second) ? -1 : read_label(second);
        status = pri_listing_add_files(job->out, job->folder, first, label < 0 ? second : NULL,
                                       (int32_t)label, job->part);
    } else {
        status = pri_fail(job->out->ctx, PARE_ERROR_FORMAT, "'%s' line %lld: expected %s",
                          job->path, (long long)number,
                          job->is_voc ? "the name of an image"
                                      : "an image and a mask or a class number up to 65535");
    }
    return status;
}

static pare_status read_list(const list_job *job)
{
    pri_bytes bytes;
    pare_status status = PARE_OK;

    PRI_TRY(pri_text_file_read(&bytes, job->out->ctx, job->path, MAX_BYTES));
    char *line = (char *)bytes.data, *next;
    for (int64_t number = 1; *line != '\0' && status == PARE_OK; number++, line = next) {
        next = next_line(line);
        status = add_line(job, line, number);
    }
    pri_bytes_clear(&bytes);
    return status;
}

/* A list given itself names files beside it. */
static pare_status read_file(pri_listing *out, const pri_source *source)
{
    char *folder = pri_folder_of(out->ctx, source->path);

    if (folder == NULL)
        return PARE_ERROR_MEMORY;
    const list_job job = {.out = out,
                          .folder = folder,
                          .path = source->path,
                          .part = pri_part_of_name(pri_name_of(source->path))};
    const pare_status status = read_list(&job);
    pri_free(folder);
    return status;
}

static pare_status list(pri_listing *out, const pri_source *source)
{
    const bool voc = !source->is_file && is_voc(source);

    if (source->is_file)
        return read_file(out, source);
    for (size_t k = 0; k < PRI_COUNT(lists); k++) {
        char name[PATH_BYTES];
        snprintf(name, sizeof name, "%s%s%s", voc ? voc_lists : "", voc ? "/" : "", lists[k].file);
        char *path = pri_path_join(out->ctx, source->path, name);
        if (path == NULL)
            return PARE_ERROR_MEMORY;
        pare_status status = PARE_OK;
        const list_job job = {out, source->path, path, voc, lists[k].part};
        if ((lists[k].part & source->wants) != 0 && pri_file_exists(path))
            status = read_list(&job);
        pri_free(path);
        PRI_TRY(status);
    }
    return PARE_OK;
}

const pri_dataset pri_dataset_lists = {
    .name = "lists",
    .layout = "SPLIT.txt or FILE.txt: image and mask, or image and class number; Pascal VOC",
    .recognises = recognises,
    .list = list,
};
