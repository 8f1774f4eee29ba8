/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check.c - pare_data_check: looks at every image of a set once.
 *
 * Decoding and hashing is done by all threads, a chunk at a time; what is found is written down in
 * the order of the set.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/check.h"
#include "data/store.h"

enum { CHUNK = 64, GRID_ROWS = 8, GRID_COLUMNS = 9, DEFAULT_NEAR = 3, MOST_NEAR = 7 };
enum { ALL_PARTS = PRI_PART_TRAIN | PRI_PART_VAL | PRI_PART_TEST, TEXT_BYTES = 1536 };

static const struct {
    const char *name;
    bool is_note;
} faults[PARE_FAULTS] = {
    [PARE_FAULT_UNREADABLE] = {"unreadable", false},
    [PARE_FAULT_NOT_FINITE] = {"not-finite", false},
    [PARE_FAULT_LABEL] = {"label", false},
    [PARE_FAULT_MASK] = {"mask", false},
    [PARE_FAULT_CONSTANT] = {"constant", false},
    [PARE_FAULT_DUPLICATE] = {"duplicate", false},
    [PARE_FAULT_CONTRADICTION] = {"contradiction", false},
    [PARE_FAULT_LEAK] = {"leak", false},
    [PARE_FAULT_SIZE] = {"size", true},
    [PARE_FAULT_NEAR_DUPLICATE] = {"near-duplicate", true},
    [PARE_FAULT_NEAR_LEAK] = {"near-leak", true},
    [PARE_FAULT_IMBALANCE] = {"imbalance", true},
};

const char *pare_data_fault_name(pare_data_fault fault)
{
    return (unsigned)fault < PARE_FAULTS ? faults[fault].name : "unknown";
}

bool pare_data_fault_is_note(pare_data_fault fault)
{
    return (unsigned)fault < PARE_FAULTS && faults[fault].is_note;
}

/* --- Findings --- */

int pri_look_group(const pri_look *look)
{
    return look->is_against ? -1 : look->item->part;
}

void pri_look_name(char *out, size_t size, const pri_look *look)
{
    if (look->item->image != NULL)
        snprintf(out, size, "%s", look->item->image);
    else
        snprintf(out, size, "%s%s image %lld", look->is_against ? "other set, " : "",
                 pri_part_name(look->item->part), (long long)look->number);
}

pare_status pri_finding_add(pare_data_report *out, pare_context *ctx, pare_data_fault fault,
                            const pri_look *look, const char *format, ...)
{
    char name[PRI_LOOK_NAME] = "", text[TEXT_BYTES];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (look != NULL)
        pri_look_name(name, sizeof name, look);
    if ((out->n_findings & (out->n_findings - 1)) == 0) { /* grows at powers of two */
        const int64_t room = out->n_findings > 0 ? 2 * out->n_findings : 1;
        pare_data_finding *grown =
            pri_realloc(ctx, out->findings, (size_t)room, sizeof *out->findings);
        if (grown == NULL)
            return PARE_ERROR_MEMORY;
        out->findings = grown;
    }
    pare_data_finding *finding = &out->findings[out->n_findings++];
    *finding = (pare_data_finding){fault, pri_strdup(ctx, name), pri_strdup(ctx, text)};
    out->counts[fault]++;
    return finding->file != NULL && finding->detail != NULL ? PARE_OK : PARE_ERROR_MEMORY;
}

void pare_data_report_clear(pare_data_report *report)
{
    for (int64_t i = 0; i < report->n_findings; i++) {
        pri_free(report->findings[i].file);
        pri_free(report->findings[i].detail);
    }
    for (int64_t k = 0; k < report->n_classes; k++)
        pri_free(report->classes[k].name);
    pri_free(report->findings);
    pri_free(report->classes);
    *report = (pare_data_report){0};
}

/* --- Looking --- */

typedef struct look_job {
    pare_context *ctx;
    pare_status status;
} look_job;

typedef struct check {
    pare_context *ctx;
    pare_data_report *out;
    pri_listing listings[2]; /* the set, the other set */
    pri_look *looks;
    int64_t count, own; /* looks in all, and of the set itself (first) */
    look_job jobs[CHUNK];
} check;

static uint64_t hash_pixels(const pri_image *image)
{
    const uint64_t prime = UINT64_C(0x9e3779b97f4a7c15);
    const int64_t size = image->height * image->width * image->channels;
    uint64_t hash = (uint64_t)image->height * prime ^ (uint64_t)image->width;

    for (int64_t i = 0; i < size; i += 8) {
        uint64_t word = 0;
        memcpy(&word, image->pixels + i, (size_t)pri_min_i64(8, size - i));
        hash = (hash ^ word) * prime;
        hash ^= hash >> 29;
    }
    return hash;
}

/* Bit: whether the right one of two neighbours on a 9x8 grid is the brighter. */
static pare_status hash_likeness(uint64_t *out, pri_image *image, pare_context *ctx)
{
    uint8_t grid[GRID_ROWS * GRID_COLUMNS];
    const pri_box all = {0, 0, image->height, image->width};

    *out = 0;
    PRI_TRY(pri_image_set_channels(image, ctx, 1));
    PRI_TRY(pri_resize(grid, GRID_ROWS, GRID_COLUMNS, ctx, image, &all));
    for (int y = 0; y < GRID_ROWS; y++) {
        for (int x = 0; x + 1 < GRID_COLUMNS; x++)
            *out = *out << 1 | (grid[y * GRID_COLUMNS + x] < grid[y * GRID_COLUMNS + x + 1]);
    }
    return PARE_OK;
}

static bool is_constant(const pri_image *image)
{
    const int64_t size = image->height * image->width * image->channels;

    for (int64_t i = image->channels; i < size; i++) {
        if (image->pixels[i] != image->pixels[i - image->channels])
            return false;
    }
    return true;
}

static void look_at_mask(pri_look *look, const pri_image *mask)
{
    look->mask_most = -1;
    for (int64_t p = 0; p < mask->height * mask->width && mask->pixels != NULL; p++) {
        if (mask->pixels[p] != PARE_IGNORE && mask->pixels[p] > look->mask_most)
            look->mask_most = mask->pixels[p];
    }
}

static void look_at(pri_look *look, look_job *job, const pri_listing *listing)
{
    pri_image image = {0}, mask = {0};

    job->status = pri_item_decode(&image, &mask, &look->unknown, job->ctx, listing, look->item);
    look->near = -1;
    if (job->status == PARE_OK) {
        look->height = image.height;
        look->width = image.width;
        look->is_constant = is_constant(&image);
        look->pixels = hash_pixels(&image);
        look_at_mask(look, &mask);
        job->status = hash_likeness(&look->likeness, &image, job->ctx);
    }
    look->is_readable = job->status == PARE_OK;
    pri_image_clear(&image);
    pri_image_clear(&mask);
}

static pare_status look_at_all(check *c)
{
    for (int64_t from = 0; from < c->count; from += CHUNK) {
        const int64_t n = pri_min_i64(CHUNK, c->count - from);
        PRI_TRY(pri_check_cancel(c->ctx, "checking images"));
#pragma omp parallel for schedule(dynamic)
        for (int64_t i = 0; i < n; i++)
            look_at(&c->looks[from + i], &c->jobs[i], &c->listings[c->looks[from + i].is_against]);
        for (int64_t i = 0; i < n; i++) {
            const look_job *job = &c->jobs[i];
            if (job->status == PARE_ERROR_MEMORY)
                return pri_fail(c->ctx, job->status, "%s", pare_context_message(job->ctx));
            if (job->status != PARE_OK)
                PRI_TRY(pri_finding_add(c->out, c->ctx, PARE_FAULT_UNREADABLE, &c->looks[from + i],
                                        "%s", pare_context_message(job->ctx)));
        }
        pri_progress(c->ctx, &(pare_progress){"check", "", from + n, c->count, "images"});
    }
    return PARE_OK;
}

/* --- All --- */

static pare_status list_set(check *c, int k, const char *path)
{
    pri_source source;
    pri_listing *listing = &c->listings[k];

    listing->ctx = c->ctx;
    pare_status status = pri_source_open(&source, c->ctx, path, ALL_PARTS);
    if (status == PARE_OK)
        status = pri_source_list(listing, &source);
    pri_source_clear(&source);
    for (int64_t i = 0; i < listing->problems.count && k == 0 && status == PARE_OK; i++)
        status = pri_finding_add(c->out, c->ctx,
                                 listing->reasons[i] == PARE_ERROR_NUMERIC ? PARE_FAULT_NOT_FINITE
                                                                           : PARE_FAULT_UNREADABLE,
                                 NULL, "%s", listing->problems.of[i]);
    return status;
}

static void add_looks(check *c, int k)
{
    int64_t numbers[2 * PRI_PART_TEST] = {0};

    for (int64_t i = 0; i < c->listings[k].count; i++) {
        const pri_item *item = &c->listings[k].items[i];
        c->looks[c->count++] = (pri_look){
            .item = item, .number = numbers[item->part]++, .is_against = k == 1, .near = -1};
    }
}

static pare_status open_check(check *c, const char *path, const char *against)
{
    PRI_TRY(list_set(c, 0, path));
    if (against != NULL)
        PRI_TRY(list_set(c, 1, against));
    c->looks =
        pri_alloc(c->ctx, (size_t)(c->listings[0].count + c->listings[1].count), sizeof *c->looks);
    if (c->looks == NULL)
        return PARE_ERROR_MEMORY;
    add_looks(c, 0);
    c->own = c->count;
    add_looks(c, 1);
    for (int i = 0; i < CHUNK; i++) {
        if (pare_context_new(&c->jobs[i].ctx) != PARE_OK)
            return pri_fail(c->ctx, PARE_ERROR_MEMORY, "out of memory: checking images");
    }
    return PARE_OK;
}

static int by_fault(const void *a, const void *b)
{
    const pare_data_finding *x = a, *y = b;

    if (x->fault != y->fault)
        return x->fault < y->fault ? -1 : 1;
    const int order = strcmp(x->file, y->file);
    return order != 0 ? order : strcmp(x->detail, y->detail);
}

static pare_status run(check *c, int near)
{
    pare_data_report *out = c->out;

    out->images = c->own;
    out->compared = c->count - c->own;
    if (c->own == 0) /* why they were left out is among the findings already */
        return out->n_findings > 0 ? PARE_OK
                                   : pri_fail(c->ctx, PARE_ERROR_DATA, "the set has no images");
    PRI_TRY(look_at_all(c));
    const pri_rules rules = {c->ctx, out, &c->listings[0], c->looks, c->own};
    PRI_TRY(pri_check_each(&rules));
    PRI_TRY(pri_check_sizes(&rules));
    PRI_TRY(pri_check_classes(&rules));
    PRI_TRY(pri_check_equal(out, c->ctx, c->looks, c->count));
    if (near >= 0)
        PRI_TRY(pri_check_alike(out, c->ctx, c->looks, c->count, near));
    if (out->n_findings > 0)
        qsort(out->findings, (size_t)out->n_findings, sizeof *out->findings, by_fault);
    return PARE_OK;
}

pare_status pare_data_check(pare_data_report *out, pare_context *ctx, const char *path,
                            const pare_data_check_options *options)
{
    const pare_data_check_options o =
        options != NULL ? *options : (pare_data_check_options){.against = NULL};
    check c = {.ctx = ctx, .out = out};

    *out = (pare_data_report){0};
    if (o.near > MOST_NEAR)
        return pri_fail(ctx, PARE_ERROR_ARGUMENT,
                        "hashes of images that look alike differ in at "
                        "most %d bits, not %d",
                        MOST_NEAR, o.near);
    pare_status status = open_check(&c, path, o.against);
    if (status == PARE_OK)
        status = run(&c, o.near == 0 ? DEFAULT_NEAR : o.near);
    for (int i = 0; i < CHUNK; i++)
        pare_context_free(c.jobs[i].ctx);
    pri_free(c.looks);
    pri_listing_clear(&c.listings[0]);
    pri_listing_clear(&c.listings[1]);
    if (status != PARE_OK)
        pare_data_report_clear(out);
    return status;
}
