/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dataset_csv.c - a CSV or TSV manifest: a row an image, with its label, its mask or both.
 *
 * A first row without an image name is a header; columns are then found by name. Without one they
 * are image, label or mask[, mask]. Labels are numbers, or names that are numbered in byte order
 * over all files of the folder, so that splits agree. Fields may be quoted ("" is a quote).
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "data/dataset.h"

enum { MAX_BYTES = 1 << 28, MAX_FIELDS = 64 };
enum { COLUMN_IMAGE, COLUMN_LABEL, COLUMN_MASK, COLUMN_SPLIT, COLUMN_NAME, N_COLUMNS };

static const struct {
    const char *name;
    int column;
} known[] = {
    {"path", COLUMN_IMAGE},        {"image", COLUMN_IMAGE},     {"file", COLUMN_IMAGE},
    {"filename", COLUMN_IMAGE},    {"file_name", COLUMN_IMAGE}, {"image_path", COLUMN_IMAGE},
    {"label", COLUMN_LABEL},       {"class", COLUMN_LABEL},     {"target", COLUMN_LABEL},
    {"class_id", COLUMN_LABEL},    {"mask", COLUMN_MASK},       {"mask_path", COLUMN_MASK},
    {"segmentation", COLUMN_MASK}, {"split", COLUMN_SPLIT},     {"subset", COLUMN_SPLIT},
    {"name", COLUMN_NAME},         {"class_name", COLUMN_NAME}};

static const struct {
    const char *stem;
    int part;
} stems[] = {{"manifest", PRI_PART_NONE}, {"labels", PRI_PART_NONE}, {"train", PRI_PART_TRAIN},
             {"val", PRI_PART_VAL},       {"valid", PRI_PART_VAL},   {"test", PRI_PART_TEST}};

typedef struct row {
    char *image, *label, *mask, *name; /* in the text of a file, or NULL */
    int part;
} row;

typedef struct manifest {
    pri_listing *out;
    const char *folder;
    row *rows;
    int64_t count, capacity;
} manifest;

static bool is_manifest_name(const char *name)
{
    return pri_ends_with(name, ".csv") || pri_ends_with(name, ".tsv");
}

/* The split of a file of the folder that is a manifest by its name, 0 when it is none. */
static int part_of_file(const char *name)
{
    for (size_t i = 0; i < PRI_COUNT(stems); i++) {
        const size_t length = strlen(stems[i].stem);
        if (strncmp(name, stems[i].stem, length) == 0 && strlen(name) == length + 4 &&
            is_manifest_name(name))
            return stems[i].part;
    }
    return 0;
}

static bool recognises(const pri_source *source)
{
    bool is = source->is_file && is_manifest_name(source->path);

    for (int64_t i = 0; i < source->count && !is; i++)
        is = part_of_file(source->names[i]) != 0;
    return is;
}

/* --- Rows --- */

/* Takes a field off *at, in place, and moves *at behind it: to a delimiter, a line's end or the
 * text's. NULL: a quote is not closed, or something follows it. */
static char *take_field(char **at, char delimiter)
{
    char *from = *at, *to = from, *field = from;

    if (*from != '"') {
        while (*from != '\0' && *from != '\n' && *from != delimiter)
            from++;
        *at = from;
        return field;
    }
    for (from++; *from != '\0' && !(*from == '"' && from[1] != '"'); from++) {
        from += *from == '"';
        *to++ = *from;
    }
    if (*from != '"')
        return NULL;
    from++;
    from += *from == '\r';
    if (*from != '\0' && *from != '\n' && *from != delimiter)
        return NULL;
    *to = '\0';
    *at = from;
    return field;
}

/* Cuts a row into fields and moves *at to the next; returns their number, -1 for a bad row. */
static int take_row(char *fields[MAX_FIELDS], char **at, char delimiter)
{
    int n = 0;

    while (n < MAX_FIELDS) {
        fields[n] = take_field(at, delimiter);
        if (fields[n++] == NULL)
            return -1;
        const char stop = **at;
        char *end = *at;
        *at += stop != '\0';
        *end = '\0';
        if (end > fields[n - 1] && end[-1] == '\r')
            end[-1] = '\0';
        if (stop != delimiter)
            return n;
    }
    return -1;
}

/* Columns of a header (-1: absent); false when no column holds images. */
static bool read_header(int columns[N_COLUMNS], char *const *fields, int n)
{
    for (int k = 0; k < N_COLUMNS; k++)
        columns[k] = -1;
    for (int i = 0; i < n; i++) {
        for (size_t k = 0; k < PRI_COUNT(known); k++) {
            if (strcasecmp(fields[i], known[k].name) == 0 && columns[known[k].column] < 0)
                columns[known[k].column] = i;
        }
    }
    return columns[COLUMN_IMAGE] >= 0;
}

static void guess_columns(int columns[N_COLUMNS], char *const *fields, int n)
{
    const bool has_label = n > 1 && !pri_is_image_name(fields[1]);

    columns[COLUMN_IMAGE] = 0;
    columns[COLUMN_LABEL] = has_label ? 1 : -1;
    columns[COLUMN_MASK] =
        n > 1 + has_label && pri_is_image_name(fields[1 + has_label]) ? 1 + has_label : -1;
    columns[COLUMN_SPLIT] = columns[COLUMN_NAME] = -1;
}

static bool has_image(char *const *fields, int n)
{
    for (int i = 0; i < n; i++) {
        if (pri_is_image_name(fields[i]))
            return true;
    }
    return false;
}

static char *field_at(char *const *fields, int n, int column)
{
    return column >= 0 && column < n && fields[column][0] != '\0' ? fields[column] : NULL;
}

static pare_status add_row(manifest *m, const row *r)
{
    if (m->count == m->capacity) {
        const int64_t capacity = m->capacity > 0 ? 2 * m->capacity : 256;
        row *grown = pri_realloc(m->out->ctx, m->rows, (size_t)capacity, sizeof *grown);
        if (grown == NULL)
            return PARE_ERROR_MEMORY;
        m->rows = grown;
        m->capacity = capacity;
    }
    m->rows[m->count++] = *r;
    return PARE_OK;
}

static char find_delimiter(const char *text, const char *path)
{
    const size_t line = strcspn(text, "\n");

    if (pri_ends_with(path, ".tsv"))
        return '\t';
    return memchr(text, ',', line) == NULL && memchr(text, ';', line) != NULL ? ';' : ',';
}

/* Rows of one file; `text` must live as long as they do. */
static pare_status read_rows(manifest *m, char *text, const char *path, int part)
{
    const char delimiter = find_delimiter(text, path);
    int columns[N_COLUMNS] = {0};
    bool has_columns = false;
    char *fields[MAX_FIELDS];

    for (int64_t number = 1; *text != '\0'; number++) {
        const int n = take_row(fields, &text, delimiter);
        if (n < 0)
            return pri_fail(m->out->ctx, PARE_ERROR_FORMAT,
                            "'%s' row %lld: a quote is not closed, or more than %d fields", path,
                            (long long)number, MAX_FIELDS - 1);
        if (n == 1 && fields[0][0] == '\0')
            continue;
        if (!has_columns) {
            const bool is_header = !has_image(fields, n);
            has_columns = true;
            if (!is_header)
                guess_columns(columns, fields, n);
            else if (!read_header(columns, fields, n))
                return pri_fail(m->out->ctx, PARE_ERROR_FORMAT,
                                "'%s' has a header without a column 'path', 'image' or 'file'",
                                path);
            if (is_header)
                continue;
        }
        row r = {.image = field_at(fields, n, columns[COLUMN_IMAGE]),
                 .label = field_at(fields, n, columns[COLUMN_LABEL]),
                 .mask = field_at(fields, n, columns[COLUMN_MASK]),
                 .name = field_at(fields, n, columns[COLUMN_NAME]),
                 .part = part};
        const char *split = field_at(fields, n, columns[COLUMN_SPLIT]);
        if (split != NULL && part == PRI_PART_NONE)
            r.part = pri_part_of_word(split);
        if (r.part == 0)
            return pri_fail(m->out->ctx, PARE_ERROR_FORMAT,
                            "'%s' row %lld: '%s' is no split; say train, val or test", path,
                            (long long)number, split);
        if (r.image == NULL)
            return pri_fail(m->out->ctx, PARE_ERROR_FORMAT, "'%s' row %lld names no image", path,
                            (long long)number);
        PRI_TRY(add_row(m, &r));
    }
    return PARE_OK;
}

static pare_status read_file(manifest *m, const char *path, int part)
{
    static const unsigned char mark[3] = {0xef, 0xbb, 0xbf}; /* what Excel writes first */
    pri_bytes bytes;

    PRI_TRY(pri_text_file_read(&bytes, m->out->ctx, path, MAX_BYTES));
    PRI_TRY(pri_listing_keep(m->out, bytes.data));
    char *text = (char *)bytes.data;
    text += bytes.size_bytes >= 3 && memcmp(text, mark, 3) == 0 ? 3 : 0;
    return read_rows(m, text, path, part);
}

/* --- Labels --- */

static long number_of(const char *text)
{
    char *end;
    const long value = strtol(text, &end, 10);

    return end != text && *end == '\0' && value >= 0 && value <= PRI_MAX_LABEL ? value : -1;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names of all labels, each once, in byte order, as the classes. */
static pare_status collect_names(const manifest *m)
{
    char **texts = pri_alloc(m->out->ctx, (size_t)m->count, sizeof *texts);
    int64_t n = 0;
    pare_status status = texts != NULL ? PARE_OK : PARE_ERROR_MEMORY;

    for (int64_t i = 0; i < m->count && texts != NULL; i++) {
        if (m->rows[i].label != NULL)
            texts[n++] = m->rows[i].label;
    }
    if (n > 0)
        qsort(texts, (size_t)n, sizeof *texts, by_text);
    for (int64_t i = 0; i < n && status == PARE_OK; i++) {
        if (i > 0 && strcmp(texts[i], texts[i - 1]) == 0)
            continue;
        status =
            m->out->classes.count > PRI_MAX_LABEL
                ? pri_fail(m->out->ctx, PARE_ERROR_FORMAT, "'%s' names more than %d classes",
                           m->folder, PRI_MAX_LABEL)
                : pri_names_set(&m->out->classes, m->out->ctx, m->out->classes.count, texts[i]);
    }
    pri_free(texts);
    return status;
}

static bool is_numeric(const char *text)
{
    char *end;

    strtod(text, &end);
    return end != text && *end == '\0';
}

/* Whether labels are class numbers, not names. A number that is none among class numbers is a
 * mistake: taken for a name it would give every class another number. */
static pare_status are_class_numbers(bool *out, const manifest *m)
{
    const row *odd = NULL;
    bool has_name = false, has_number = false;

    for (int64_t i = 0; i < m->count; i++) {
        const row *r = &m->rows[i];
        if (r->label == NULL)
            continue;
        const bool is_number = number_of(r->label) >= 0;
        odd = !is_number && odd == NULL ? r : odd;
        has_number = has_number || is_number;
        has_name = has_name || !is_numeric(r->label);
    }
    *out = odd == NULL;
    if (odd == NULL || !has_number || has_name)
        return PARE_OK;
    return pri_fail(m->out->ctx, PARE_ERROR_DATA,
                    "the label of '%s' in '%s' is '%s'; classes are whole numbers from 0 to %d, or "
                    "names; leave it empty where there is none",
                    odd->image, m->folder, odd->label, PRI_MAX_LABEL);
}

static pare_status add_items(manifest *m, int wants)
{
    pri_names *classes = &m->out->classes;
    bool are_numbers;

    PRI_TRY(are_class_numbers(&are_numbers, m));
    if (!are_numbers)
        PRI_TRY(collect_names(m));
    for (int64_t i = 0; i < m->count; i++) {
        const row *r = &m->rows[i];
        long label = -1;
        if (r->label != NULL && are_numbers)
            label = number_of(r->label);
        if (r->label != NULL && !are_numbers)
            label = (long)((char **)bsearch(&r->label, classes->of, (size_t)classes->count,
                                            sizeof *classes->of, by_text) -
                           classes->of);
        if (label >= 0 && are_numbers && r->name != NULL)
            PRI_TRY(pri_names_set(classes, m->out->ctx, label, r->name));
        if ((r->part & (wants | PRI_PART_NONE)) != 0)
            PRI_TRY(pri_listing_add_files(m->out, m->folder, r->image, r->mask, (int32_t)label,
                                          r->part));
    }
    return PARE_OK;
}

/* --- Listing --- */

/* One manifest, given itself: its images lie beside it. *folder is the caller's. */
static pare_status read_single(manifest *m, char **folder, const pri_source *source)
{
    *folder = pri_folder_of(m->out->ctx, source->path);
    if (*folder == NULL)
        return PARE_ERROR_MEMORY;
    m->folder = *folder;
    return read_file(m, source->path, pri_part_of_name(pri_name_of(source->path)));
}

static pare_status read_folder(manifest *m, const pri_source *source)
{
    for (int64_t i = 0; i < source->count; i++) {
        const int part = part_of_file(source->names[i]);
        if (part == 0)
            continue;
        char *path = pri_path_join(m->out->ctx, source->path, source->names[i]);
        const pare_status status = path != NULL ? read_file(m, path, part) : PARE_ERROR_MEMORY;
        pri_free(path);
        PRI_TRY(status);
    }
    return PARE_OK;
}

static pare_status list(pri_listing *out, const pri_source *source)
{
    manifest m = {.out = out, .folder = source->path};
    char *folder = NULL;
    pare_status status =
        source->is_file ? read_single(&m, &folder, source) : read_folder(&m, source);

    if (status == PARE_OK)
        status = add_items(&m, source->wants);
    pri_free(m.rows);
    pri_free(folder);
    return status;
}

const pri_dataset pri_dataset_csv = {
    .name = "manifest",
    .layout = "FILE.csv, FILE.tsv, or manifest, labels, train, val, test.csv: image, label, mask",
    .recognises = recognises,
    .list = list,
};
