/* SPDX-License-Identifier: Apache-2.0 */
/* store.c - see store.h. */
#include "data/store.h"

#include "base/file.h"

static pare_status scale(pri_image *image, pare_context *ctx, const pri_box *box, int64_t height,
                         int64_t width, bool is_mask)
{
    pri_image scaled = {.height = height, .width = width, .channels = image->channels};

    scaled.pixels = pri_alloc(ctx, (size_t)(height * width), (size_t)image->channels);
    if (scaled.pixels == NULL)
        return PARE_ERROR_MEMORY;
    pare_status status = PARE_OK;
    if (is_mask)
        pri_resize_nearest(scaled.pixels, height, width, image, box);
    else
        status = pri_resize(scaled.pixels, height, width, ctx, image, box);
    pri_image_clear(image);
    *image = scaled;
    return status;
}

pare_status pri_image_fit(pri_image *image, pri_image *mask, pare_context *ctx,
                          const pri_frame *frame)
{
    const pri_box box = pri_centre_box(image->height, image->width, frame->crop);
    const int64_t height = frame->height > 0 ? frame->height : box.height;
    const int64_t width = frame->width > 0 ? frame->width : box.width;

    if (frame->channels > 0)
        PRI_TRY(pri_image_set_channels(image, ctx, frame->channels));
    if (height == image->height && width == image->width && box.height == height &&
        box.width == width)
        return PARE_OK;
    PRI_TRY(scale(image, ctx, &box, height, width, false));
    return mask != NULL && mask->pixels != NULL ? scale(mask, ctx, &box, height, width, true)
                                                : PARE_OK;
}

pare_status pri_store_new(pri_store **out, pare_context *ctx, int64_t capacity, int64_t resident,
                          const pri_frame *frame)
{
    pri_store *store = pri_alloc(ctx, 1, sizeof *store);

    *out = store;
    if (store == NULL)
        return PARE_ERROR_MEMORY;
    *store =
        (pri_store){.references = 1, .capacity = capacity, .resident = resident, .frame = *frame};
    store->paths = pri_alloc(ctx, (size_t)capacity, sizeof *store->paths);
    store->pixels =
        pri_alloc(ctx, (size_t)resident, (size_t)(frame->height * frame->width * frame->channels));
    if (store->paths != NULL && store->pixels != NULL)
        return PARE_OK;
    pri_store_release(store);
    *out = NULL;
    return PARE_ERROR_MEMORY;
}

pri_store *pri_store_share(pri_store *store)
{
    store->references++;
    return store;
}

void pri_store_release(pri_store *store)
{
    if (store == NULL || --store->references > 0)
        return;
    if (store->paths != NULL)
        pri_names_free(store->paths, store->count);
    pri_free(store->pixels);
    pri_free(store);
}

const uint8_t *pri_store_image(const pri_store *store, int64_t k, pri_image *room,
                               pare_context *ctx)
{
    const pri_frame *f = &store->frame;

    pri_image_clear(room);
    if (k < store->resident)
        return store->pixels + k * f->height * f->width * f->channels;
    pare_status status = pri_image_read(room, ctx, store->paths[k]);
    if (status == PARE_OK)
        status = pri_image_fit(room, NULL, ctx, f);
    return status == PARE_OK ? room->pixels : NULL;
}
