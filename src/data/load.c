/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load.c - decodes the chosen images of a listing into a set of one size.
 *
 * Images are decoded by all threads, a chunk at a time, each with a context of its own (a context
 * belongs to one thread), and stored in order. A set above the budget keeps the first images and
 * the paths of all (store.h); every image is decoded once here all the same, so that files that
 * cannot be used are known.
 */
#include <string.h>

#include "data/dataset.h"
#include "data/image.h"
#include "data/store.h"

enum { CHUNK = 64 };
static const int64_t default_budget = INT64_C(1) << 30;

typedef struct decoded {
    pare_context *ctx;
    const pri_item *item;
    pri_image image, mask;
    pare_status status;
} decoded;

typedef struct loader {
    pare_data *data; /* height, width: of the first image; 0 until then */
    pri_listing *listing;
    const pare_data_options *options;
    pri_frame frame;  /* what is asked for */
    int64_t capacity; /* images there is room for */
    bool has_labels, has_masks, are_files;
    bool is_started; /* the size is known, memory is there */
    decoded jobs[CHUNK];
} loader;

/* --- Decoding --- */

/* An image (or mask) of a block as one of its own. */
static pare_status copy_packed(pri_image *out, pare_context *ctx, const pri_listing *listing,
                               const uint8_t *pixels, int channels)
{
    const int64_t area = listing->height * listing->width;

    *out = (pri_image){.height = listing->height, .width = listing->width, .channels = channels};
    out->pixels = pri_alloc(ctx, (size_t)area, (size_t)channels);
    if (out->pixels == NULL)
        return PARE_ERROR_MEMORY;
    if (!listing->is_planar || channels == 1) {
        memcpy(out->pixels, pixels, (size_t)(area * channels));
        return PARE_OK;
    }
    for (int64_t c = 0; c < channels; c++) {
        for (int64_t p = 0; p < area; p++)
            out->pixels[p * channels + c] = pixels[c * area + p];
    }
    return PARE_OK;
}

pare_status pri_item_decode(pri_image *image, pri_image *mask, int64_t *unknown, pare_context *ctx,
                            const pri_listing *listing, const pri_item *item)
{
    PRI_TRY(item->image != NULL
                ? pri_image_read(image, ctx, item->image)
                : copy_packed(image, ctx, listing, item->pixels, listing->channels));
    if (item->mask_pixels != NULL)
        return copy_packed(mask, ctx, listing, item->mask_pixels, 1);
    if (item->mask == NULL)
        return PARE_OK;
    PRI_TRY(pri_mask_read_coloured(mask, unknown, ctx, item->mask, &listing->colours));
    if (mask->height != image->height || mask->width != image->width)
        return pri_fail(ctx, PARE_ERROR_DATA, "mask '%s' is %lldx%lld, its image %lldx%lld",
                        item->mask, (long long)mask->height, (long long)mask->width,
                        (long long)image->height, (long long)image->width);
    return PARE_OK;
}

static void decode_job(decoded *job, const loader *l)
{
    int64_t unknown = 0;

    job->image = job->mask = (pri_image){0};
    job->status =
        pri_item_decode(&job->image, &job->mask, &unknown, job->ctx, l->listing, job->item);
    if (job->status == PARE_OK)
        job->status = pri_image_fit(&job->image, &job->mask, job->ctx, &l->frame);
}

/* --- Storing --- */

/* Room for all images, at three channels as long as a colour image may come. */
static pare_status allocate(loader *l)
{
    pare_data *data = l->data;
    const int64_t area = data->height * data->width;
    const int64_t size = area * (l->options->channels == 1 ? 1 : 3);
    const int64_t budget = l->options->memory > 0 ? l->options->memory : default_budget;

    if (l->are_files && l->capacity > budget / size) {
        pri_frame frame = l->frame;
        frame.height = data->height;
        frame.width = data->width;
        frame.channels = 3;
        PRI_TRY(pri_store_new(&data->store, data->ctx, l->capacity, budget / size, &frame));
        data->store->frame.channels = (int)data->channels;
    } else {
        data->pixels = pri_alloc(data->ctx, (size_t)l->capacity, (size_t)size);
    }
    if (l->has_labels)
        data->labels = pri_alloc(data->ctx, (size_t)l->capacity, sizeof *data->labels);
    if (l->has_masks)
        data->masks = pri_alloc(data->ctx, (size_t)l->capacity, (size_t)area);
    if ((data->store == NULL && data->pixels == NULL) || (l->has_labels && data->labels == NULL) ||
        (l->has_masks && data->masks == NULL))
        return PARE_ERROR_MEMORY;
    l->is_started = true;
    return PARE_OK;
}

/* The gray images so far become colour: from the last to the first, since they grow in place. */
static void widen(pare_data *data)
{
    const int64_t held =
        data->store != NULL ? pri_min_i64(data->count, data->store->resident) : data->count;
    uint8_t *pixels = data->store != NULL ? data->store->pixels : data->pixels;

    for (int64_t i = held * data->height * data->width - 1; i >= 0; i--)
        memset(pixels + 3 * i, pixels[i], 3);
    data->channels = 3;
    if (data->store != NULL)
        data->store->frame.channels = 3;
}

/* The size of the set: as asked for, otherwise that of the first image. */
static pare_status fit_size(loader *l, const pri_image *image, const char *path)
{
    pare_data *data = l->data;

    if (!l->is_started) {
        data->height = image->height;
        data->width = image->width;
        data->channels = image->channels;
        return allocate(l);
    }
    if (image->height != data->height || image->width != data->width)
        return pri_fail(data->ctx, PARE_ERROR_SHAPE,
                        "'%s' is %lldx%lld, images before it %lldx%lld; state a height and a width "
                        "(--size HxW) to resize them",
                        path, (long long)image->height, (long long)image->width,
                        (long long)data->height, (long long)data->width);
    return PARE_OK;
}

/* Copies the pixels of an item, those beyond the budget as a path. */
static pare_status keep(loader *l, pri_image *image, const pri_item *item)
{
    pare_data *data = l->data;
    const int64_t size = data->height * data->width * data->channels;
    pri_store *store = data->store;

    if (store == NULL) {
        memcpy(data->pixels + data->count * size, image->pixels, (size_t)size);
        return PARE_OK;
    }
    if (data->count < store->resident)
        memcpy(store->pixels + data->count * size, image->pixels, (size_t)size);
    store->paths[data->count] = pri_strdup(data->ctx, item->image);
    store->count = data->count + 1;
    return store->paths[data->count] != NULL ? PARE_OK : PARE_ERROR_MEMORY;
}

static pare_status store(loader *l, pri_image *image, const pri_image *mask, const pri_item *item)
{
    pare_data *data = l->data;

    PRI_TRY(fit_size(l, image, item->image != NULL ? item->image : "an image"));
    if (l->options->channels == 0 && data->channels == 1 && image->channels == 3)
        widen(data);
    PRI_TRY(pri_image_set_channels(image, data->ctx, (int)data->channels));
    PRI_TRY(keep(l, image, item));
    const int64_t area = data->height * data->width;
    if (l->has_labels)
        data->labels[data->count] = item->label;
    if (mask->pixels != NULL)
        memcpy(data->masks + data->count * area, mask->pixels, (size_t)area);
    else if (l->has_masks)
        memset(data->masks + data->count * area, PARE_IGNORE, (size_t)area);
    data->count++;
    return PARE_OK;
}

static pare_status store_job(loader *l, decoded *job)
{
    if (job->status == PARE_OK)
        return store(l, &job->image, &job->mask, job->item);
    return pri_leave_out(l->listing,
                         pri_fail(l->data->ctx, job->status, "%s", pare_context_message(job->ctx)));
}

static pare_status load_chunk(loader *l, const int64_t *chosen, int64_t count)
{
    pare_status status = PARE_OK;

    for (int64_t i = 0; i < count; i++)
        l->jobs[i].item = &l->listing->items[chosen[i]];
#pragma omp parallel for schedule(dynamic)
    for (int64_t i = 0; i < count; i++)
        decode_job(&l->jobs[i], l);
    for (int64_t i = 0; i < count; i++) {
        if (status == PARE_OK)
            status = store_job(l, &l->jobs[i]);
        pri_image_clear(&l->jobs[i].image);
        pri_image_clear(&l->jobs[i].mask);
    }
    return status;
}

/* --- What the masks say --- */

/* Two-valued masks are often written as 0 and 255: where nothing else occurs, 255 is class 1. Where
 * a table of colours says what is a class, 255 is a colour that is not in it. */
static void settle_masks(pare_data *data, int ignore_class, bool has_colours)
{
    const int64_t size = data->count * data->height * data->width;
    int64_t largest = 0;
    bool has_255 = false;

    for (int64_t i = 0; i < size; i++) {
        has_255 = has_255 || data->masks[i] == 255;
        largest = data->masks[i] != 255 ? pri_max_i64(largest, data->masks[i]) : largest;
    }
    uint8_t becomes[256];
    for (int v = 0; v < 256; v++)
        becomes[v] = (uint8_t)v;
    if (has_255 && largest == 0 && !has_colours)
        becomes[255] = 1;
    for (int v = 0; v < 256; v++) {
        if (ignore_class > 0 && becomes[v] == ignore_class - 1)
            becomes[v] = PARE_IGNORE;
    }
    data->mask_classes = 1;
    for (int64_t i = 0; i < size; i++) {
        data->masks[i] = becomes[data->masks[i]];
        if (data->masks[i] != PARE_IGNORE)
            data->mask_classes = pri_max_i64(data->mask_classes, data->masks[i] + 1);
    }
}

static pare_status finish(loader *l)
{
    pare_data *data = l->data;

    for (int64_t i = 0; l->has_labels && i < data->count; i++)
        data->classes = pri_max_i64(data->classes, data->labels[i] + 1);
    if (l->has_masks && data->count > 0)
        settle_masks(data, l->options->ignore_class, l->listing->colours.count > 0);
    const pri_names *classes = &l->listing->classes, *mask_classes = &l->listing->mask_classes;
    PRI_TRY(
        pri_names_copy(&data->class_names, data->classes, data->ctx, classes->of, classes->count));
    return pri_names_copy(&data->mask_class_names, data->mask_classes, data->ctx, mask_classes->of,
                          mask_classes->count);
}

/* Gives back what was reserved for colour, or for files that were left out. */
static pare_status shrink(pare_data *data)
{
    const int64_t size = data->height * data->width * data->channels;

    if (data->count == 0 || data->store != NULL)
        return PARE_OK;
    uint8_t *pixels = pri_realloc(data->ctx, data->pixels, (size_t)data->count, (size_t)size);
    if (pixels == NULL)
        return PARE_ERROR_MEMORY;
    data->pixels = pixels;
    return PARE_OK;
}

static void survey(loader *l, const int64_t *chosen, int64_t n_chosen)
{
    l->are_files = true;
    for (int64_t i = 0; i < n_chosen; i++) {
        const pri_item *item = &l->listing->items[chosen[i]];
        l->has_labels = l->has_labels || item->label >= 0;
        l->has_masks = l->has_masks || item->mask != NULL || item->mask_pixels != NULL;
        l->are_files = l->are_files && item->image != NULL;
    }
}

static pare_status load_all(loader *l, const int64_t *chosen, int64_t n_chosen)
{
    pare_data *data = l->data;

    for (int64_t at = 0; at < n_chosen && data->count < l->capacity;) {
        const int64_t count =
            pri_min_i64(CHUNK, pri_min_i64(n_chosen - at, l->capacity - data->count));
        PRI_TRY(pri_check_cancel(data->ctx, "reading images"));
        PRI_TRY(load_chunk(l, chosen + at, count));
        at += count;
        pri_progress(data->ctx, &(pare_progress){"read", "", at, n_chosen, "images"});
    }
    if (data->store != NULL)
        pri_log(data->ctx, PARE_LOG_INFO,
                "%lld of %lld images stay in memory, the others are decoded when they are used",
                (long long)pri_min_i64(data->count, data->store->resident), (long long)data->count);
    PRI_TRY(finish(l));
    return shrink(data);
}

pare_status pri_load(pare_data *data, pri_listing *listing, const int64_t *chosen, int64_t n_chosen,
                     const pare_data_options *options)
{
    const int64_t limit = options->limit > 0 ? options->limit : INT64_MAX;
    pare_status status = PARE_OK;
    loader l = {.data = data,
                .listing = listing,
                .options = options,
                .frame = {options->height, options->width, options->crop, (int)options->channels},
                .capacity = pri_min_i64(n_chosen, limit)};

    survey(&l, chosen, n_chosen);
    for (int i = 0; i < CHUNK && status == PARE_OK; i++) {
        status = pare_context_new(&l.jobs[i].ctx);
        if (status != PARE_OK)
            status = pri_fail(data->ctx, status, "out of memory: reading images");
    }
    if (status == PARE_OK)
        status = load_all(&l, chosen, n_chosen);
    for (int i = 0; i < CHUNK; i++)
        pare_context_free(l.jobs[i].ctx);
    return status;
}
