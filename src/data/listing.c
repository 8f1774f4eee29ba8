/* SPDX-License-Identifier: Apache-2.0 */
/* listing.c - the list of a set's images, and the folders it is made from. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "data/dataset.h"
#include "data/synth.h"

enum { MAX_NAMES_BYTES = 1 << 22 };

/* --- Listing --- */

void pri_listing_clear(pri_listing *listing)
{
    for (int64_t i = 0; i < listing->count; i++) {
        pri_free(listing->items[i].image);
        pri_free(listing->items[i].mask);
    }
    for (int64_t i = 0; i < listing->n_blocks; i++)
        pri_free(listing->blocks[i]);
    pri_free(listing->items);
    pri_free(listing->blocks);
    pri_names_clear(&listing->classes);
    pri_names_clear(&listing->mask_classes);
    pri_names_clear(&listing->problems);
    pri_free(listing->reasons);
    *listing = (pri_listing){0};
}

pare_status pri_listing_add(pri_listing *listing, const pri_item *item)
{
    if (listing->count == listing->capacity) {
        const int64_t capacity = listing->capacity > 0 ? 2 * listing->capacity : 256;
        pri_item *grown =
            pri_realloc(listing->ctx, listing->items, (size_t)capacity, sizeof *grown);
        if (grown == NULL) {
            pri_free(item->image);
            pri_free(item->mask);
            return PARE_ERROR_MEMORY;
        }
        listing->items = grown;
        listing->capacity = capacity;
    }
    listing->items[listing->count++] = *item;
    return PARE_OK;
}

pare_status pri_listing_keep(pri_listing *listing, unsigned char *block)
{
    unsigned char **grown =
        pri_realloc(listing->ctx, listing->blocks, (size_t)listing->n_blocks + 1, sizeof *grown);
    if (grown == NULL) {
        pri_free(block);
        return PARE_ERROR_MEMORY;
    }
    listing->blocks = grown;
    listing->blocks[listing->n_blocks++] = block;
    return PARE_OK;
}

pare_status pri_leave_out(pri_listing *listing, pare_status why)
{
    if (why == PARE_OK || why == PARE_ERROR_MEMORY || why == PARE_ERROR_CANCELLED)
        return why;
    const char *reason = pare_context_message(listing->ctx);
    pare_status *grown = pri_realloc(listing->ctx, listing->reasons,
                                     (size_t)listing->problems.count + 1, sizeof *grown);

    if (grown == NULL)
        return PARE_ERROR_MEMORY;
    grown[listing->problems.count] = why;
    listing->reasons = grown;
    pri_log(listing->ctx, PARE_LOG_DEBUG, "left out: %s", reason);
    return pri_names_set(&listing->problems, listing->ctx, listing->problems.count, reason);
}

/* A list may come from anywhere: it names files inside its folder and no others. */
static bool is_inside(const char *path)
{
    if (path[0] == '\0' || path[0] == '/')
        return false;
    for (const char *at = path; at != NULL; at = strchr(at, '/')) {
        at += at != path;
        if (strncmp(at, "..", 2) == 0 && (at[2] == '/' || at[2] == '\0'))
            return false;
    }
    return true;
}

pare_status pri_listing_add_files(pri_listing *listing, const char *folder, const char *image,
                                  const char *mask, int32_t label, int part)
{
    pri_item item = {.label = label, .part = part};

    if (!is_inside(image) || (mask != NULL && !is_inside(mask)))
        return pri_fail(listing->ctx, PARE_ERROR_FORMAT, "'%s' lies outside '%s'",
                        is_inside(image) ? mask : image, folder);
    item.image = pri_path_join(listing->ctx, folder, image);
    if (item.image != NULL && mask != NULL)
        item.mask = pri_path_join(listing->ctx, folder, mask);
    if (item.image == NULL || (mask != NULL && item.mask == NULL)) {
        pri_free(item.image);
        return PARE_ERROR_MEMORY;
    }
    return pri_listing_add(listing, &item);
}

/* --- Names of classes --- */

pare_status pri_names_set(pri_names *names, pare_context *ctx, int64_t k, const char *name)
{
    if (k >= names->count) {
        char **grown = pri_realloc(ctx, names->of, (size_t)k + 1, sizeof *grown);
        if (grown == NULL)
            return PARE_ERROR_MEMORY;
        for (int64_t i = names->count; i <= k; i++)
            grown[i] = NULL;
        names->of = grown;
        names->count = k + 1;
    }
    if (names->of[k] == NULL)
        names->of[k] = pri_strdup(ctx, name);
    return names->of[k] != NULL ? PARE_OK : PARE_ERROR_MEMORY;
}

void pri_names_clear(pri_names *names)
{
    pri_names_free(names->of, names->count);
    *names = (pri_names){0};
}

pare_status pri_text_file_read(pri_bytes *out, pare_context *ctx, const char *path,
                               int64_t max_bytes)
{
    *out = (pri_bytes){0};
    if (pri_file_size(path) > max_bytes)
        return pri_fail(ctx, PARE_ERROR_FORMAT, "'%s' is larger than %lld MB", path,
                        (long long)(max_bytes >> 20));
    PRI_TRY(pri_file_read(out, ctx, path));
    if (memchr(out->data, '\0', out->size_bytes) == NULL)
        return PARE_OK;
    pri_bytes_clear(out);
    return pri_fail(ctx, PARE_ERROR_FORMAT, "'%s' is no text", path);
}

/* The lines of a file of the folder; nothing when there is no such file. */
static pare_status read_lines(pri_names *out, const pri_source *source, const char *file)
{
    pri_bytes bytes = {0};
    int64_t k = 0;

    if (!pri_source_has(source, file))
        return PARE_OK;
    char *path = pri_path_join(source->ctx, source->path, file);
    pare_status status = PARE_ERROR_MEMORY;
    if (path != NULL)
        status = pri_text_file_read(&bytes, source->ctx, path, MAX_NAMES_BYTES);
    pri_free(path);
    PRI_TRY(status);
    for (char *line = (char *)bytes.data;
         *line != '\0' && status == PARE_OK && k <= PRI_MAX_LABEL;) {
        const size_t length = strcspn(line, "\r\n");
        char *next = line + length + strspn(line + length, "\r\n");
        line[length] = '\0';
        if (length > 0)
            status = pri_names_set(out, source->ctx, k++, line);
        line = next;
    }
    pri_bytes_clear(&bytes);
    return status;
}

pare_status pri_names_read(pri_names *names, const pri_source *source, const char *file)
{
    return read_lines(names, source, file);
}

/* Cuts "R G B NAME" or "NAME R G B" to the name; false when the line is neither. */
static bool take_colour(uint8_t rgb[3], char *line)
{
    static const char gaps[] = " \t,;";
    char *fields[5] = {NULL}, *at = line;
    int n = 0;

    for (at += strspn(at, gaps); *at != '\0' && n < 5; at += strspn(at, gaps)) {
        fields[n++] = at;
        at += strcspn(at, gaps);
    }
    if (n != 4)
        return false;
    const int first = fields[0][0] >= '0' && fields[0][0] <= '9' ? 0 : 1;
    for (int c = 0; c < 3; c++) {
        char *end;
        const long value = strtol(fields[first + c], &end, 10);
        if (end == fields[first + c] || strchr(gaps, *end) == NULL || value < 0 || value > 255)
            return false;
        rgb[c] = (uint8_t)value;
    }
    const char *name = fields[first == 0 ? 3 : 0];
    const size_t length = strcspn(name, gaps);
    memmove(line, name, length);
    line[length] = '\0';
    return true;
}

pare_status pri_mask_names_read(pri_listing *listing, const pri_source *source, const char *file)
{
    pri_names *names = &listing->mask_classes;
    const int64_t before = names->count;
    uint8_t rgb[3];
    int64_t with_colour = 0;

    PRI_TRY(read_lines(names, source, file));
    for (int64_t k = before; k < names->count; k++) {
        if (!take_colour(rgb, names->of[k]))
            continue;
        if (k - before < PRI_MAX_COLOURS - 1)
            memcpy(listing->colours.rgb[k - before], rgb, 3);
        with_colour++;
    }
    if (with_colour == 0)
        return PARE_OK;
    if (with_colour != names->count - before || with_colour > PRI_MAX_COLOURS - 1)
        return pri_fail(source->ctx, PARE_ERROR_FORMAT,
                        "'%s/%s' states colours for %lld of %lld classes; all lines of at most %d "
                        "read 'R G B NAME' or 'NAME R G B'",
                        source->path, file, (long long)with_colour,
                        (long long)(names->count - before), PRI_MAX_COLOURS - 1);
    listing->colours.count = (int)with_colour;
    return PARE_OK;
}

/* --- Folders --- */

/* Takes `path` over. */
static pare_status open_path(pri_source *out, pare_context *ctx, char *path, int wants)
{
    *out = (pri_source){.ctx = ctx, .path = path, .wants = wants};
    if (path == NULL)
        return PARE_ERROR_MEMORY;
    out->is_file = pri_starts_with(path, PRI_SYNTH_SCHEME); /* drawn, not read */
    if (out->is_file)
        return PARE_OK;
    if (!pri_file_exists(path))
        return pri_fail(ctx, PARE_ERROR_FILE, "there is no '%s'", path);
    out->is_file = !pri_is_directory(path);
    return out->is_file ? PARE_OK : pri_list_directory(&out->names, &out->count, ctx, path);
}

pare_status pri_source_open(pri_source *out, pare_context *ctx, const char *path, int wants)
{
    return open_path(out, ctx, pri_strdup(ctx, path), wants);
}

pare_status pri_source_enter(pri_source *out, const pri_source *source, const char *name)
{
    return open_path(out, source->ctx, pri_path_join(source->ctx, source->path, name),
                     source->wants);
}

void pri_source_clear(pri_source *source)
{
    pri_names_free(source->names, source->count);
    pri_free(source->path);
    *source = (pri_source){0};
}

bool pri_source_has(const pri_source *source, const char *name)
{
    for (int64_t i = 0; i < source->count; i++) {
        if (strcmp(source->names[i], name) == 0)
            return true;
    }
    return false;
}

bool pri_source_has_folder(const pri_source *source, const char *name)
{
    if (!pri_source_has(source, name))
        return false;
    char *path = pri_path_join(source->ctx, source->path, name);
    const bool is_folder = path != NULL && pri_is_directory(path);
    pri_free(path);
    return is_folder;
}

static const struct {
    int part;
    const char *name;
} part_names[] = {{PRI_PART_TRAIN, "train"}, {PRI_PART_TRAIN, "training"}, {PRI_PART_VAL, "val"},
                  {PRI_PART_VAL, "valid"},   {PRI_PART_VAL, "validation"}, {PRI_PART_TEST, "test"},
                  {PRI_PART_TEST, "testing"}};

const char *pri_part_folder(const pri_source *source, int part)
{
    for (size_t i = 0; i < PRI_COUNT(part_names); i++) {
        if (part_names[i].part == part && pri_source_has_folder(source, part_names[i].name))
            return part_names[i].name;
    }
    return NULL;
}

bool pri_has_parts(const pri_source *source)
{
    return pri_part_folder(source, PRI_PART_TRAIN) != NULL ||
           pri_part_folder(source, PRI_PART_VAL) != NULL ||
           pri_part_folder(source, PRI_PART_TEST) != NULL;
}

const char *pri_part_name(int part)
{
    for (size_t i = 0; i < PRI_COUNT(part_names); i++) {
        if (part_names[i].part == part)
            return part_names[i].name;
    }
    return "all";
}

static int part_of_letters(const char *letters, size_t length)
{
    for (size_t i = 0; i < PRI_COUNT(part_names); i++) {
        if (strlen(part_names[i].name) == length &&
            strncasecmp(letters, part_names[i].name, length) == 0)
            return part_names[i].part;
    }
    /* what VOC trains on for its test server */
    return length == 8 && strncasecmp(letters, "trainval", length) == 0 ? PRI_PART_TRAIN : 0;
}

int pri_part_of_word(const char *word)
{
    return part_of_letters(word, strlen(word));
}

static bool is_array_letter(char c)
{
    return c != '\0' && strchr("xyXY", c) != NULL;
}

/* A run of letters, also with the x or y of arrays at an end: "Xtrain", "testy". */
static int part_of_run(const char *letters, size_t length)
{
    int part = part_of_letters(letters, length);

    if (part == 0 && length > 1 && is_array_letter(letters[0]))
        part = part_of_letters(letters + 1, length - 1);
    if (part == 0 && length > 1 && is_array_letter(letters[length - 1]))
        part = part_of_letters(letters, length - 1);
    return part;
}

int pri_part_of_name(const char *name)
{
    int parts = 0;

    if (pri_starts_with(name, "t10k"))
        return PRI_PART_TEST;
    if (pri_starts_with(name, "data_batch"))
        return PRI_PART_TRAIN;
    while (*name != '\0') {
        size_t length = 0;
        while (isalpha((unsigned char)name[length]))
            length++;
        parts |= part_of_run(name, length);
        name += length + (name[length] != '\0');
    }
    const bool is_one = parts != 0 && (parts & (parts - 1)) == 0;
    return is_one ? parts : PRI_PART_NONE;
}

/* --- Names of files --- */

bool pri_starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

bool pri_ends_with(const char *text, const char *end)
{
    const size_t a = strlen(text), b = strlen(end);

    return a >= b && strcasecmp(text + a - b, end) == 0;
}

bool pri_is_image_name(const char *path)
{
    const char *name = pri_name_of(path);
    static const char *const endings[] = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".ppm", ".pgm"};

    for (size_t i = 0; i < PRI_COUNT(endings); i++) {
        if (name[0] != '.' && pri_ends_with(name, endings[i]))
            return true;
    }
    return false;
}
