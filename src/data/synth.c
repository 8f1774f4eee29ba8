/* SPDX-License-Identifier: Apache-2.0 */
/*
 * synth.c - pare_synth: writes a set of made images.
 *
 * The recipe is written first, every image next, and the lists last and together. A folder with a
 * recipe but without all lists is therefore an interrupted run, which no reader takes for a set and
 * the next run does anew. Images themselves are written in place: one by one they need no safety,
 * and waiting for the disk thousands of times would take longer than drawing.
 */
#include "data/synth.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <pare/data.h>

#include "base/file.h"
#include "base/text.h"
#include "data/image.h"

enum { CHUNK = 64, MIN_SIZE = 16, MAX_SIZE = 512, MAX_IMAGES = 1000000, N_SPLITS = 3 };

static const char *const split_names[N_SPLITS] = {"train", "val", "test"};
static const char list_name[] = "labels.tsv";

/* Colours of masks for people who look at them: black, then ten that differ. */
static const uint8_t palette[(PRI_SYNTH_CLASSES + 1) * 3] = {
    0,  0,   0,  230, 25, 75,  60,  180, 75, 255, 225, 25,  0,  130, 200, 245, 130,
    48, 145, 30, 180, 70, 240, 240, 240, 50, 230, 210, 245, 60, 250, 190, 190};

/* One image being drawn. */
typedef struct frame {
    uint8_t *pixels, *mask;
    float *work;
} frame;

typedef struct writer {
    pare_context *ctx;
    const char *directory;
    pare_synth_options options;
    int64_t counts[N_SPLITS];
    frame *frames; /* CHUNK */
    int64_t done, total;
} writer;

static char *path_of(pare_context *ctx, const char *directory, const char *format, ...)
    PARE_PRINTF(3, 4);

static char *path_of(pare_context *ctx, const char *directory, const char *format, ...)
{
    char name[64];
    va_list args;

    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    return pri_path_join(ctx, directory, name);
}

bool pri_synth_is_complete(pare_context *ctx, const char *directory)
{
    bool is_complete = true;

    for (int k = 0; k < N_SPLITS && is_complete; k++) {
        char *path = path_of(ctx, directory, "%s/%s", split_names[k], list_name);
        is_complete = path != NULL && pri_file_exists(path);
        pri_free(path);
    }
    return is_complete;
}

/* --- Before drawing --- */

static pare_status check_options(pare_context *ctx, const pare_synth_options *o)
{
    if (o->train < 0 || o->val < 0 || o->test < 0 || o->train > MAX_IMAGES || o->val > MAX_IMAGES ||
        o->test > MAX_IMAGES)
        return pri_fail(ctx, PARE_ERROR_ARGUMENT, "a split has at most %d images", MAX_IMAGES);
    if (o->size != 0 && (o->size < MIN_SIZE || o->size > MAX_SIZE))
        return pri_fail(ctx, PARE_ERROR_ARGUMENT, "the size is %d to %d, not %lld", MIN_SIZE,
                        MAX_SIZE, (long long)o->size);
    if (!(o->difficulty >= 0 && o->difficulty <= 1))
        return pri_fail(ctx, PARE_ERROR_ARGUMENT, "the difficulty is 0 to 1, not %g",
                        o->difficulty);
    return PARE_OK;
}

/* Deletes the images of an earlier set in one folder: NNNNN.png and nothing else. */
static pare_status remove_images(pare_context *ctx, const char *directory, const char *split,
                                 const char *kind)
{
    char *folder = path_of(ctx, directory, "%s/%s", split, kind);
    char **names = NULL;
    int64_t count = 0;
    pare_status status = folder != NULL ? PARE_OK : PARE_ERROR_MEMORY;

    if (status == PARE_OK && pri_is_directory(folder))
        status = pri_list_directory(&names, &count, ctx, folder);
    for (int64_t i = 0; i < count && status == PARE_OK; i++) {
        const size_t digits = strspn(names[i], "0123456789");
        if (digits < 5 || strcmp(names[i] + digits, ".png") != 0)
            continue;
        char *path = pri_path_join(ctx, folder, names[i]);
        if (path == NULL)
            status = PARE_ERROR_MEMORY;
        else if (unlink(path) != 0)
            status =
                pri_fail(ctx, PARE_ERROR_FILE, "cannot remove '%s': %s", path, strerror(errno));
        pri_free(path);
    }
    pri_names_free(names, count);
    pri_free(folder);
    return status;
}

/* Lists go first: from here on the folder counts as unfinished. */
static pare_status remove_old(pare_context *ctx, const char *directory)
{
    for (int k = 0; k < N_SPLITS; k++) {
        char *path = path_of(ctx, directory, "%s/%s", split_names[k], list_name);
        pare_status status = path != NULL ? PARE_OK : PARE_ERROR_MEMORY;
        if (path != NULL && unlink(path) != 0 && errno != ENOENT)
            status =
                pri_fail(ctx, PARE_ERROR_FILE, "cannot remove '%s': %s", path, strerror(errno));
        pri_free(path);
        PRI_TRY(status);
    }
    for (int k = 0; k < N_SPLITS; k++) {
        PRI_TRY(remove_images(ctx, directory, split_names[k], "images"));
        PRI_TRY(remove_images(ctx, directory, split_names[k], "masks"));
    }
    return PARE_OK;
}

/* An empty folder and an unfinished set may be written to, a finished one with `replace`; a folder
 * with anything else never. */
static pare_status claim(pare_context *ctx, const char *directory, bool replace)
{
    char **names = NULL;
    int64_t count = 0;

    PRI_TRY(pri_make_directory(ctx, directory));
    PRI_TRY(pri_list_directory(&names, &count, ctx, directory));
    bool is_ours = false;
    for (int64_t i = 0; i < count; i++)
        is_ours = is_ours || strcmp(names[i], PRI_SYNTH_RECIPE) == 0;
    pri_names_free(names, count);
    if (count > 0 && !is_ours)
        return pri_fail(ctx, PARE_ERROR_EXISTS,
                        "'%s' is not empty and no set of 'pare synth'; choose another folder",
                        directory);
    if (is_ours && !replace && pri_synth_is_complete(ctx, directory))
        return pri_fail(ctx, PARE_ERROR_EXISTS,
                        "'%s' holds a finished set; use --force to replace it", directory);
    return is_ours ? remove_old(ctx, directory) : PARE_OK;
}

static pare_status write_text(const writer *w, const char *name, pri_text *text)
{
    char *path = pri_path_join(w->ctx, w->directory, name);
    pare_status status = path != NULL ? pri_text_status(text) : PARE_ERROR_MEMORY;

    if (status == PARE_OK)
        status = pri_file_write(w->ctx, path, pri_text_get(text), text->length, true);
    pri_free(path);
    pri_text_clear(text);
    return status;
}

static pare_status write_recipe(const writer *w)
{
    pri_text text, names;

    pri_text_init(&text, w->ctx);
    pri_text_addf(&text, "pare synth %s\nsize %lld\ndifficulty %.17g\nseed %llu\n", pare_version(),
                  (long long)w->options.size, w->options.difficulty,
                  (unsigned long long)w->options.seed);
    for (int k = 0; k < N_SPLITS; k++)
        pri_text_addf(&text, "%s %lld\n", split_names[k], (long long)w->counts[k]);
    PRI_TRY(write_text(w, PRI_SYNTH_RECIPE, &text));
    pri_text_init(&names, w->ctx);
    pri_text_add(&names, "background\n");
    for (int c = 0; c < PRI_SYNTH_CLASSES; c++)
        pri_text_addf(&names, "%s\n", pri_synth_name(c));
    return write_text(w, "mask_classes.txt", &names);
}

/* --- Drawing --- */

static pare_status make_folders(const writer *w, const char *split)
{
    static const char *const inner[] = {"", "/images", "/masks"};

    for (size_t i = 0; i < PRI_COUNT(inner); i++) {
        char *path = path_of(w->ctx, w->directory, "%s%s", split, inner[i]);
        const pare_status status =
            path != NULL ? pri_make_directory(w->ctx, path) : PARE_ERROR_MEMORY;
        pri_free(path);
        PRI_TRY(status);
    }
    return PARE_OK;
}

static pare_status write_file(const writer *w, const char *split, const char *kind, int64_t number,
                              const unsigned char *bytes, size_t size)
{
    char *path = path_of(w->ctx, w->directory, "%s/%s/%05lld.png", split, kind, (long long)number);
    FILE *file = path != NULL ? fopen(path, "wb") : NULL;
    pare_status status = PARE_ERROR_MEMORY;

    if (path != NULL) {
        const bool is_written = file != NULL && fwrite(bytes, 1, size, file) == size;
        const bool is_closed = file != NULL && fclose(file) == 0;
        status = PARE_OK;
        if (!is_written || !is_closed)
            status =
                pri_fail(w->ctx, PARE_ERROR_FILE, "cannot write '%s': %s", path, strerror(errno));
    }
    pri_free(path);
    return status;
}

static void draw_frame(frame *f, const writer *w, int split, int64_t number)
{
    const pri_synth_job job = {.seed = w->options.seed,
                               .split = split,
                               .number = number,
                               .size = w->options.size,
                               .difficulty = w->options.difficulty,
                               .label = (int)(number % PRI_SYNTH_CLASSES)};

    pri_synth_draw(f->pixels, f->mask, f->work, &job);
}

/* PNG encoders report into the context, which belongs to one thread: drawing is parallel, this not.
 */
static pare_status write_frame(frame *f, const writer *w, int split, int64_t number)
{
    const int64_t size = w->options.size;
    const pri_image image = {f->pixels, size, size, 3}, mask = {f->mask, size, size, 1};
    unsigned char *png = NULL;
    size_t bytes = 0;

    PRI_TRY(pri_png_encode(&png, &bytes, w->ctx, &image, NULL, 0));
    pare_status status = write_file(w, split_names[split], "images", number, png, bytes);
    pri_free(png);
    PRI_TRY(status);
    PRI_TRY(pri_png_encode(&png, &bytes, w->ctx, &mask, palette, PRI_SYNTH_CLASSES + 1));
    status = write_file(w, split_names[split], "masks", number, png, bytes);
    pri_free(png);
    return status;
}

static pare_status write_split(writer *w, int split)
{
    PRI_TRY(make_folders(w, split_names[split]));
    for (int64_t from = 0; from < w->counts[split]; from += CHUNK) {
        const int64_t n = pri_min_i64(CHUNK, w->counts[split] - from);
#pragma omp parallel for schedule(dynamic)
        for (int64_t i = 0; i < n; i++)
            draw_frame(&w->frames[i], w, split, from + i);
        for (int64_t i = 0; i < n; i++)
            PRI_TRY(write_frame(&w->frames[i], w, split, from + i));
        w->done += n;
        pri_progress(w->ctx,
                     &(pare_progress){"synth", split_names[split], w->done, w->total, "images"});
        PRI_TRY(pri_check_cancel(w->ctx, "making images"));
    }
    return PARE_OK;
}

static pare_status write_list(const writer *w, int split)
{
    char name[32];
    pri_text text;

    pri_text_init(&text, w->ctx);
    for (int64_t i = 0; i < w->counts[split]; i++) {
        const int label = (int)(i % PRI_SYNTH_CLASSES);
        pri_text_addf(&text, "images/%05lld.png\t%d\t%s\tmasks/%05lld.png\n", (long long)i, label,
                      pri_synth_name(label), (long long)i);
    }
    snprintf(name, sizeof name, "%s/%s", split_names[split], list_name);
    return write_text(w, name, &text);
}

static pare_status make_frames(writer *w)
{
    const int64_t area = w->options.size * w->options.size;

    w->frames = pri_alloc(w->ctx, CHUNK, sizeof *w->frames);
    for (int i = 0; w->frames != NULL && i < CHUNK; i++) {
        frame *f = &w->frames[i];
        f->pixels = pri_alloc(w->ctx, (size_t)area, 3);
        f->mask = pri_alloc(w->ctx, (size_t)area, 1);
        f->work = pri_alloc(w->ctx, (size_t)pri_synth_work(w->options.size), sizeof *f->work);
        if (f->pixels == NULL || f->mask == NULL || f->work == NULL)
            return PARE_ERROR_MEMORY;
    }
    return w->frames != NULL ? PARE_OK : PARE_ERROR_MEMORY;
}

static void free_frames(writer *w)
{
    for (int i = 0; w->frames != NULL && i < CHUNK; i++) {
        pri_free(w->frames[i].pixels);
        pri_free(w->frames[i].mask);
        pri_free(w->frames[i].work);
    }
    pri_free(w->frames);
}

pare_status pare_synth(pare_context *ctx, const char *directory, const pare_synth_options *options,
                       bool replace)
{
    writer w = {.ctx = ctx, .directory = directory};
    pare_synth_options *o = &w.options;

    if (options != NULL)
        *o = *options;
    PRI_TRY(check_options(ctx, o));
    o->size = o->size > 0 ? o->size : 48;
    o->difficulty = o->difficulty > 0 ? o->difficulty : 0.5;
    w.counts[0] = o->train > 0 ? o->train : 4000;
    w.counts[1] = o->val > 0 ? o->val : 500;
    w.counts[2] = o->test > 0 ? o->test : 1000;
    w.total = w.counts[0] + w.counts[1] + w.counts[2];
    PRI_TRY(claim(ctx, directory, replace));
    pare_status status = write_recipe(&w);
    if (status == PARE_OK)
        status = make_frames(&w);
    for (int k = 0; k < N_SPLITS && status == PARE_OK; k++)
        status = write_split(&w, k);
    for (int k = 0; k < N_SPLITS && status == PARE_OK; k++)
        status = write_list(&w, k);
    free_frames(&w);
    return status;
}
