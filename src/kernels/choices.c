/* SPDX-License-Identifier: Apache-2.0 */
/* choices.c - see choices.h. */
#include "kernels/choices.h"

#include <string.h>

#include "base/file.h"
#include "base/text.h"

/* A file beyond these is none that pare wrote. */
enum { MAX_CHOICES = 20000, MAX_BYTES = 16 << 20 };
enum { WAIT_S = 10 }; /* for the lock: other processes measure shape by shape */

typedef struct choice {
    char key[PRI_CHOICE_KEY], word[PRI_CHOICE_WORD], note[PRI_CHOICE_NOTE];
} choice;

struct pri_choices {
    char *path, *lock_path;
    choice *list;
    size_t count, capacity;
    int lock; /* -1: not locked */
    bool is_unwritable;
};

pare_status pri_choices_new(pri_choices **out, pare_context *ctx, const char *path)
{
    pri_choices *c = pri_alloc(ctx, 1, sizeof *c);
    const size_t size = strlen(path) + sizeof ".lock";

    *out = NULL;
    if (c == NULL)
        return PARE_ERROR_MEMORY;
    c->lock = -1;
    c->path = pri_strdup(ctx, path);
    c->lock_path = pri_alloc(ctx, size, 1);
    if (c->path == NULL || c->lock_path == NULL) {
        pri_choices_free(c);
        return PARE_ERROR_MEMORY;
    }
    memcpy(c->lock_path, path, strlen(path));
    memcpy(c->lock_path + strlen(path), ".lock", sizeof ".lock");
    *out = c;
    return PARE_OK;
}

void pri_choices_free(pri_choices *c)
{
    if (c == NULL)
        return;
    pri_choices_unlock(c);
    pri_free(c->path);
    pri_free(c->lock_path);
    pri_free(c->list);
    pri_free(c);
}

const char *pri_choices_path(const pri_choices *c)
{
    return c->path;
}

static const choice *find(const pri_choices *c, const char *key)
{
    for (size_t i = 0; i < c->count; i++) {
        if (strcmp(c->list[i].key, key) == 0)
            return &c->list[i];
    }
    return NULL;
}

const char *pri_choices_find(const pri_choices *c, const char *key)
{
    const choice *found = find(c, key);

    return found != NULL ? found->word : NULL;
}

/* --- Reading --- */

static bool is_plain_text(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text < ' ' || *text > '~')
            return false;
    }
    return true;
}

static bool is_word(const char *text)
{
    const size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789");

    return length > 0 && length < PRI_CHOICE_WORD && text[length] == '\0';
}

/* One line without its end, which is overwritten; false when it is no choice. */
static bool parse(choice *out, char *line)
{
    static const char between[] = " = ", before_note[] = " # ";
    char *equals = strstr(line, between);

    if (!is_plain_text(line) || line[0] == '#' || equals == NULL || equals == line ||
        equals - line >= PRI_CHOICE_KEY)
        return false;
    *equals = '\0';
    char *word = equals + strlen(between);
    char *note = strstr(word, before_note);
    if (note != NULL) {
        *note = '\0';
        note += strlen(before_note);
    }
    *out = (choice){0};
    if (!is_word(word))
        return false;
    memcpy(out->key, line, strlen(line));
    memcpy(out->word, word, strlen(word));
    if (note != NULL)
        memcpy(out->note, note,
               strlen(note) < PRI_CHOICE_NOTE ? strlen(note) : PRI_CHOICE_NOTE - 1);
    return true;
}

static bool append(pri_choices *c, pare_context *ctx, const choice *added)
{
    if (c->count == MAX_CHOICES)
        return false;
    if (c->count == c->capacity) {
        const size_t capacity = c->capacity > 0 ? 2 * c->capacity : 64;
        choice *grown = pri_realloc(ctx, c->list, capacity, sizeof *grown);
        if (grown == NULL)
            return false;
        c->list = grown;
        c->capacity = capacity;
    }
    c->list[c->count++] = *added;
    return true;
}

void pri_choices_read(pri_choices *c, pare_context *ctx)
{
    const int64_t size = pri_file_size(c->path);
    pri_bytes bytes;

    if (size < 0 || size > MAX_BYTES)
        return;
    if (pri_file_read(&bytes, ctx, c->path) != PARE_OK) {
        pri_forget(ctx);
        return;
    }
    char *line = (char *)bytes.data, *end = line + bytes.size_bytes;
    while (line < end) {
        choice read;
        char *stop = memchr(line, '\n', (size_t)(end - line));
        if (stop == NULL)
            stop = end;
        *stop = '\0';
        const bool is_whole = strlen(line) == (size_t)(stop - line);
        if (is_whole && parse(&read, line) && find(c, read.key) == NULL && !append(c, ctx, &read))
            break;
        line = stop + 1;
    }
    pri_bytes_clear(&bytes);
}

/* --- Writing --- */

/* The folder of the file and the one above it: what lies higher is the system's. */
static bool make_folders(pare_context *ctx, const char *path)
{
    char *folder = pri_folder_of(ctx, path);
    char *above = folder != NULL ? pri_folder_of(ctx, folder) : NULL;
    const bool made = above != NULL && pri_make_directory(ctx, above) == PARE_OK &&
                      pri_make_directory(ctx, folder) == PARE_OK;

    pri_free(folder);
    pri_free(above);
    return made;
}

bool pri_choices_lock(pri_choices *c, pare_context *ctx)
{
    if (c->is_unwritable)
        return false;
    if (make_folders(ctx, c->path))
        c->lock = pri_file_lock(c->lock_path, WAIT_S);
    else
        pri_forget(ctx);
    c->is_unwritable = c->lock < 0;
    return c->lock >= 0;
}

void pri_choices_unlock(pri_choices *c)
{
    pri_file_unlock(c->lock);
    c->lock = -1;
}

static pare_status write_all(const pri_choices *c, pare_context *ctx)
{
    pri_text text;

    pri_text_init(&text, ctx);
    pri_text_add(
        &text,
        "# The fastest algorithm of each convolution, and the step in which channels cost time, "
        "measured by pare.\n# Results are "
        "the same from run to run as long as this file stays; without it times "
        "are measured anew.\n");
    for (size_t i = 0; i < c->count; i++) {
        const choice *at = &c->list[i];
        pri_text_addf(&text, "%s = %s%s%s\n", at->key, at->word, at->note[0] != '\0' ? " # " : "",
                      at->note);
    }
    pri_file_remove_rests(ctx, c->path); /* nobody else writes while it is locked */
    pare_status status = pri_text_status(&text);
    if (status == PARE_OK)
        status =
            pri_file_write(ctx, c->path, pri_text_get(&text), strlen(pri_text_get(&text)), true);
    pri_text_clear(&text);
    return status;
}

bool pri_choices_add(pri_choices *c, pare_context *ctx, const char *key, const char *word,
                     const char *note)
{
    choice added = {0};

    if (strlen(key) < PRI_CHOICE_KEY && is_word(word) && strlen(note) < PRI_CHOICE_NOTE &&
        is_plain_text(note)) {
        memcpy(added.key, key, strlen(key));
        memcpy(added.word, word, strlen(word));
        memcpy(added.note, note, strlen(note));
        if (append(c, ctx, &added)) {
            if (write_all(c, ctx) == PARE_OK)
                return true;
            c->count--;
        }
    }
    pri_forget(ctx);
    c->is_unwritable = true;
    return false;
}
