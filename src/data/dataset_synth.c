/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dataset_synth.c - "synth:train=400,size=32": the images of `pare synth`, drawn in memory.
 *
 * The same options give the images `pare synth` writes.
 */
#include <stdlib.h>
#include <string.h>

#include "data/dataset.h"
#include "data/synth.h"

enum { MIN_SIDE = 16, MAX_SIDE = 512 };

static const int parts[3] = {PRI_PART_TRAIN, PRI_PART_VAL, PRI_PART_TEST};
static const double max_bytes = 2e9; /* of one split */

typedef struct recipe {
    double counts[3], size, difficulty, seed;
} recipe;

static bool recognises(const pri_source *source)
{
    return pri_starts_with(source->path, PRI_SYNTH_SCHEME);
}

/* "key=number" items between commas. */
static bool read_recipe(recipe *out, const char *text)
{
    const struct {
        const char *key;
        double *value;
    } keys[] = {{"train", &out->counts[0]},       {"val", &out->counts[1]},
                {"test", &out->counts[2]},        {"size", &out->size},
                {"difficulty", &out->difficulty}, {"seed", &out->seed}};

    *out = (recipe){.counts = {4000, 500, 1000}, .size = 48, .difficulty = 0.5};
    while (*text != '\0') {
        const size_t length = strcspn(text, "=");
        double *value = NULL;
        for (size_t i = 0; i < PRI_COUNT(keys); i++) {
            if (strlen(keys[i].key) == length && strncmp(keys[i].key, text, length) == 0)
                value = keys[i].value;
        }
        if (value == NULL || text[length] != '=')
            return false;
        char *end;
        *value = strtod(text + length + 1, &end);
        if (end == text + length + 1 || (*end != '\0' && *end != ','))
            return false;
        text = end + (*end == ',');
    }
    const double pixels = out->size * out->size * 4;
    bool is_good = out->size >= MIN_SIDE && out->size <= MAX_SIDE && out->difficulty >= 0 &&
                   out->difficulty <= 1 && out->seed >= 0 && out->seed < 1e15;
    for (int k = 0; k < 3; k++)
        is_good = is_good && out->counts[k] >= 0 && out->counts[k] * pixels <= max_bytes;
    return is_good;
}

typedef struct drawing {
    uint8_t *pixels, *masks;
    float *work; /* of all images: any number of threads may draw */
    int64_t count, size;
} drawing;

static pare_status draw(drawing *d, pri_listing *out, const recipe *r, int split)
{
    const int64_t area = d->size * d->size, work = pri_synth_work(d->size), at_once = 64;

    d->work = pri_alloc(out->ctx, (size_t)(at_once * work), sizeof *d->work);
    if (d->work == NULL)
        return PARE_ERROR_MEMORY;
    for (int64_t from = 0; from < d->count; from += at_once) {
        PRI_TRY(pri_check_cancel(out->ctx, "drawing images"));
#pragma omp parallel for schedule(dynamic)
        for (int64_t i = from; i < pri_min_i64(from + at_once, d->count); i++) {
            const pri_synth_job job = {.seed = (uint64_t)r->seed,
                                       .split = split,
                                       .number = i,
                                       .size = d->size,
                                       .difficulty = r->difficulty > 0 ? r->difficulty : 0.5,
                                       .label = (int)(i % PRI_SYNTH_CLASSES)};
            pri_synth_draw(d->pixels + i * area * 3, d->masks + i * area,
                           d->work + (i - from) * work, &job);
        }
    }
    for (int64_t i = 0; i < d->count; i++)
        PRI_TRY(pri_listing_add(out, &(pri_item){.pixels = d->pixels + i * area * 3,
                                                 .mask_pixels = d->masks + i * area,
                                                 .label = (int32_t)(i % PRI_SYNTH_CLASSES),
                                                 .part = parts[split]}));
    return PARE_OK;
}

static pare_status add_split(pri_listing *out, const recipe *r, int split)
{
    drawing d = {.count = (int64_t)r->counts[split], .size = out->height};
    const size_t area = (size_t)(d.size * d.size);

    d.pixels = pri_alloc(out->ctx, (size_t)d.count, 3 * area);
    if (d.pixels == NULL)
        return PARE_ERROR_MEMORY;
    PRI_TRY(pri_listing_keep(out, d.pixels));
    d.masks = pri_alloc(out->ctx, (size_t)d.count, area);
    if (d.masks == NULL)
        return PARE_ERROR_MEMORY;
    PRI_TRY(pri_listing_keep(out, d.masks));
    const pare_status status = draw(&d, out, r, split);
    pri_free(d.work);
    return status;
}

static pare_status list(pri_listing *out, const pri_source *source)
{
    recipe r;

    if (!read_recipe(&r, source->path + strlen(PRI_SYNTH_SCHEME)))
        return pri_fail(out->ctx, PARE_ERROR_ARGUMENT,
                        "cannot read '%s'; say synth:train=4000,val=500,test=1000,size=48,"
                        "difficulty=0.5,seed=0, any of them (size %d to %d)",
                        source->path, MIN_SIDE, MAX_SIDE);
    out->height = out->width = (int64_t)r.size;
    out->channels = 3;
    for (int k = 0; k < 3; k++) {
        if ((parts[k] & source->wants) != 0)
            PRI_TRY(add_split(out, &r, k));
    }
    PRI_TRY(pri_names_set(&out->mask_classes, out->ctx, 0, "background"));
    for (int k = 0; k < PRI_SYNTH_CLASSES; k++) {
        PRI_TRY(pri_names_set(&out->classes, out->ctx, k, pri_synth_name(k)));
        PRI_TRY(pri_names_set(&out->mask_classes, out->ctx, k + 1, pri_synth_name(k)));
    }
    return PARE_OK;
}

const pri_dataset pri_dataset_synth = {
    .name = "drawn images",
    .layout = "synth:train=N,val=N,test=N,size=S,difficulty=D,seed=K instead of a path",
    .recognises = recognises,
    .list = list,
};
