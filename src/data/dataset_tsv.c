/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dataset_tsv.c - labels.tsv: IMAGE, class number[, class name[, MASK]] a line, in the folder or in
 * each split's folder. What `pare synth` writes is of this kind.
 */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/dataset.h"
#include "data/synth.h"

enum { MAX_BYTES = 1 << 28, FIELDS = 4 };

static const int parts[] = {PRI_PART_TRAIN, PRI_PART_VAL, PRI_PART_TEST};
static const char file_name[] = "labels.tsv";

/* Whether source/folder/labels.tsv is there. */
static bool has_list(const pri_source *source, const char *folder)
{
    char *inner = pri_path_join(source->ctx, source->path, folder);
    char *path = inner != NULL ? pri_path_join(source->ctx, inner, file_name) : NULL;
    const bool is_there = path != NULL && pri_file_exists(path);

    pri_free(inner);
    pri_free(path);
    return is_there;
}

static bool recognises(const pri_source *source)
{
    if (pri_source_has(source, file_name) || pri_source_has(source, PRI_SYNTH_RECIPE))
        return true;
    for (size_t k = 0; k < PRI_COUNT(parts); k++) {
        const char *folder = pri_part_folder(source, parts[k]);
        if (folder != NULL && has_list(source, folder))
            return true;
    }
    return false;
}

/* Cuts a line at its tabs; returns how many fields it has. */
static int split_line(char *fields[FIELDS], char *line)
{
    int n = 0;

    for (char *at = line; at != NULL && n < FIELDS;) {
        char *tab = strchr(at, '\t');
        fields[n++] = at;
        if (tab != NULL)
            *tab = '\0';
        at = tab != NULL ? tab + 1 : NULL;
    }
    return n;
}

static pare_status add_line(pri_listing *out, const pri_source *folder, char *line, int64_t number,
                            int part)
{
    char *fields[FIELDS] = {NULL}, *end = NULL;
    const int n = split_line(fields, line);
    const long label = n >= 2 ? strtol(fields[1], &end, 10) : -1;
    const bool has_mask = n == FIELDS && fields[3][0] != '\0';

    if (n < 2 || end == fields[1] || *end != '\0' || label < 0 || label > PRI_MAX_LABEL)
        return pri_fail(out->ctx, PARE_ERROR_FORMAT,
                        "'%s/%s' line %lld: expected an image and a class number up to %d, "
                        "separated by tabs",
                        folder->path, file_name, (long long)number, PRI_MAX_LABEL);
    if (n >= 3 && fields[2][0] != '\0')
        PRI_TRY(pri_names_set(&out->classes, out->ctx, label, fields[2]));
    const pare_status status = pri_listing_add_files(
        out, folder->path, fields[0], has_mask ? fields[3] : NULL, (int32_t)label, part);
    if (status == PARE_ERROR_FORMAT)
        pri_note(out->ctx, "in line %lld of '%s/%s'", (long long)number, folder->path, file_name);
    return status;
}

static pare_status add_lines(pri_listing *out, const pri_source *folder, pri_bytes *bytes, int part)
{
    char *line = (char *)bytes->data;
    const char *end = line + bytes->size_bytes;

    for (int64_t number = 1; line < end; number++) {
        const size_t length = strcspn(line, "\n");
        char *next = line + length + (line + length < end);
        line[length] = '\0';
        if (length > 0 && line[length - 1] == '\r')
            line[length - 1] = '\0';
        if (line[0] != '\0' && line[0] != '#')
            PRI_TRY(add_line(out, folder, line, number, part));
        line = next;
    }
    return PARE_OK;
}

static pare_status read_list(pri_listing *out, const pri_source *folder, int part)
{
    pri_bytes bytes = {0};
    char *path = pri_path_join(out->ctx, folder->path, file_name);
    pare_status status = PARE_ERROR_MEMORY;

    if (path != NULL)
        status = pri_text_file_read(&bytes, out->ctx, path, MAX_BYTES);
    if (status == PARE_OK)
        status = add_lines(out, folder, &bytes, part);
    pri_bytes_clear(&bytes);
    pri_free(path);
    return status;
}

static pare_status list(pri_listing *out, const pri_source *source)
{
    if (pri_source_has(source, PRI_SYNTH_RECIPE) && !pri_synth_is_complete(out->ctx, source->path))
        return pri_fail(out->ctx, PARE_ERROR_DATA,
                        "'%s' is unfinished: 'pare synth' was interrupted; run it again",
                        source->path);
    if (pri_source_has(source, file_name))
        return read_list(out, source, PRI_PART_NONE);
    for (size_t k = 0; k < PRI_COUNT(parts); k++) {
        const char *name = pri_part_folder(source, parts[k]);
        pri_source folder;
        if ((parts[k] & source->wants) == 0 || name == NULL || !has_list(source, name))
            continue;
        pare_status status = pri_source_enter(&folder, source, name);
        if (status == PARE_OK)
            status = read_list(out, &folder, parts[k]);
        pri_source_clear(&folder);
        PRI_TRY(status);
    }
    return PARE_OK;
}

const pri_dataset pri_dataset_tsv = {
    .name = "labels.tsv",
    .layout = "[SPLIT/]labels.tsv: image, class number[, name[, mask]]",
    .recognises = recognises,
    .list = list,
};
