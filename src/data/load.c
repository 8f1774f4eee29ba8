/* SPDX-License-Identifier: Apache-2.0 */
/* load.c - decodes the chosen images of a listing into a set of one size. */
#include <string.h>

#include "data/dataset.h"
#include "data/image.h"

typedef struct loader {
    pare_data *data; /* height, width: of the first image; 0 until then */
    pri_listing *listing;
    const pare_data_options *options;
    int64_t capacity; /* images there is room for */
    bool has_labels, has_masks;
} loader;

/* An image of a block as one of its own. */
static pare_status copy_packed(pri_image *out, const pri_listing *listing, const uint8_t *pixels)
{
    const int64_t area = listing->height * listing->width, channels = listing->channels;

    *out = (pri_image){
        .height = listing->height, .width = listing->width, .channels = listing->channels};
    out->pixels = pri_alloc(listing->ctx, (size_t)area, (size_t)channels);
    if (out->pixels == NULL)
        return PARE_ERROR_MEMORY;
    if (!listing->is_planar) {
        memcpy(out->pixels, pixels, (size_t)(area * channels));
        return PARE_OK;
    }
    for (int64_t c = 0; c < channels; c++) {
        for (int64_t p = 0; p < area; p++)
            out->pixels[p * channels + c] = pixels[c * area + p];
    }
    return PARE_OK;
}

/* Decodes an item; `mask` stays empty when it has none. */
static pare_status decode(pri_image *image, pri_image *mask, const pri_listing *listing,
                          const pri_item *item)
{
    PRI_TRY(item->image != NULL ? pri_image_read(image, listing->ctx, item->image)
                                : copy_packed(image, listing, item->pixels));
    if (item->mask == NULL)
        return PARE_OK;
    PRI_TRY(pri_mask_read(mask, listing->ctx, item->mask));
    if (mask->height != image->height || mask->width != image->width)
        return pri_fail(listing->ctx, PARE_ERROR_DATA,
                        "mask '%s' is %lldx%lld, its image %lldx%lld", item->mask,
                        (long long)mask->height, (long long)mask->width, (long long)image->height,
                        (long long)image->width);
    return PARE_OK;
}

/* Room for all images, at three channels as long as a colour image may come. */
static pare_status allocate(loader *l)
{
    pare_data *data = l->data;
    const int64_t area = data->height * data->width;
    const int64_t channels = l->options->channels == 1 ? 1 : 3;

    data->pixels = pri_alloc(data->ctx, (size_t)l->capacity, (size_t)(area * channels));
    if (l->has_labels)
        data->labels = pri_alloc(data->ctx, (size_t)l->capacity, sizeof *data->labels);
    if (l->has_masks)
        data->masks = pri_alloc(data->ctx, (size_t)l->capacity, (size_t)area);
    if (data->pixels == NULL || (l->has_labels && data->labels == NULL) ||
        (l->has_masks && data->masks == NULL))
        return PARE_ERROR_MEMORY;
    return PARE_OK;
}

/* The gray images so far become colour: from the last to the first, since they grow in place. */
static void widen(pare_data *data)
{
    for (int64_t i = data->count * data->height * data->width - 1; i >= 0; i--)
        memset(data->pixels + 3 * i, data->pixels[i], 3);
    data->channels = 3;
}

static pare_status fit_channels(loader *l, pri_image *image)
{
    pare_data *data = l->data;

    if (l->options->channels == 0 && data->channels == 1 && image->channels == 3)
        widen(data);
    return pri_image_set_channels(image, data->ctx, (int)data->channels);
}

/* The size of the set: as asked for, otherwise that of the first image. */
static pare_status fit_size(loader *l, const pri_image *image, const pri_box *box, const char *path)
{
    pare_data *data = l->data;
    const pare_data_options *o = l->options;
    const int64_t height = o->height > 0 ? o->height : box->height;
    const int64_t width = o->width > 0 ? o->width : box->width;

    if (data->pixels == NULL) {
        data->height = height;
        data->width = width;
        data->channels = o->channels > 0 ? o->channels : image->channels;
        return allocate(l);
    }
    if (height != data->height || width != data->width)
        return pri_fail(data->ctx, PARE_ERROR_SHAPE,
                        "'%s' is %lldx%lld, images before it %lldx%lld; state a height and a width "
                        "to resize them",
                        path, (long long)height, (long long)width, (long long)data->height,
                        (long long)data->width);
    return PARE_OK;
}

static pare_status store(loader *l, pri_image *image, const pri_image *mask, const pri_item *item)
{
    pare_data *data = l->data;
    const pri_box box = pri_centre_box(image->height, image->width, l->options->crop);

    PRI_TRY(fit_size(l, image, &box, item->image));
    PRI_TRY(fit_channels(l, image));
    const int64_t area = data->height * data->width;
    PRI_TRY(pri_resize(data->pixels + data->count * area * data->channels, data->height,
                       data->width, data->ctx, image, &box));
    if (l->has_labels)
        data->labels[data->count] = item->label;
    if (mask->pixels != NULL)
        pri_resize_nearest(data->masks + data->count * area, data->height, data->width, mask, &box);
    else if (l->has_masks)
        memset(data->masks + data->count * area, PARE_IGNORE, (size_t)area);
    data->count++;
    return PARE_OK;
}

static pare_status load_item(loader *l, const pri_item *item)
{
    pri_image image = {0}, mask = {0};
    bool is_decoded = false;
    pare_status status = decode(&image, &mask, l->listing, item);

    is_decoded = status == PARE_OK;
    if (is_decoded)
        status = store(l, &image, &mask, item);
    pri_image_clear(&image);
    pri_image_clear(&mask);
    return is_decoded ? status : pri_leave_out(l->listing, status);
}

/* --- What the masks say --- */

/* Two-valued masks are often written as 0 and 255: where nothing else occurs, 255 is class 1. */
static void settle_masks(pare_data *data, int ignore_class)
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
    if (has_255 && largest == 0)
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

/* Copies the names of the classes that occur. */
static pare_status set_names(char ***out, pare_context *ctx, const pri_names *names,
                             int64_t classes)
{
    if (classes == 0 || names->count == 0)
        return PARE_OK;
    *out = pri_alloc(ctx, (size_t)classes, sizeof **out);
    if (*out == NULL)
        return PARE_ERROR_MEMORY;
    for (int64_t k = 0; k < classes && k < names->count; k++) {
        if (names->of[k] == NULL)
            continue;
        (*out)[k] = pri_strdup(ctx, names->of[k]);
        if ((*out)[k] == NULL)
            return PARE_ERROR_MEMORY;
    }
    return PARE_OK;
}

static pare_status finish(loader *l)
{
    pare_data *data = l->data;

    for (int64_t i = 0; l->has_labels && i < data->count; i++)
        data->classes = pri_max_i64(data->classes, data->labels[i] + 1);
    if (l->has_masks && data->count > 0)
        settle_masks(data, l->options->ignore_class);
    PRI_TRY(set_names(&data->class_names, data->ctx, &l->listing->classes, data->classes));
    return set_names(&data->mask_class_names, data->ctx, &l->listing->mask_classes,
                     data->mask_classes);
}

/* Gives back what was reserved for colour, or for files that were left out. */
static pare_status shrink(pare_data *data)
{
    const int64_t size = data->height * data->width * data->channels;

    if (data->count == 0)
        return PARE_OK;
    uint8_t *pixels = pri_realloc(data->ctx, data->pixels, (size_t)data->count, (size_t)size);
    if (pixels == NULL)
        return PARE_ERROR_MEMORY;
    data->pixels = pixels;
    return PARE_OK;
}

pare_status pri_load(pare_data *data, pri_listing *listing, const int64_t *chosen, int64_t n_chosen,
                     const pare_data_options *options)
{
    const int64_t limit = options->limit > 0 ? options->limit : INT64_MAX;
    loader l = {.data = data,
                .listing = listing,
                .options = options,
                .capacity = pri_min_i64(n_chosen, limit)};

    for (int64_t i = 0; i < n_chosen; i++) {
        l.has_labels = l.has_labels || listing->items[chosen[i]].label >= 0;
        l.has_masks = l.has_masks || listing->items[chosen[i]].mask != NULL;
    }
    for (int64_t i = 0; i < n_chosen && data->count < limit; i++) {
        PRI_TRY(pri_check_cancel(data->ctx, "reading images"));
        PRI_TRY(load_item(&l, &listing->items[chosen[i]]));
        if (i % 64 == 63 || i + 1 == n_chosen)
            pri_progress(data->ctx, &(pare_progress){"read", "", i + 1, n_chosen, "images"});
    }
    PRI_TRY(finish(&l));
    return shrink(data);
}
