/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store.h - the images of a set that is too large to be held decoded.
 *
 * The first images are held as pixels, as many as the budget allows; the others are decoded each
 * time they are asked for. Epochs go through all images in random order, so an image seen just now
 * is the last one wanted again, and a cache of recent images would hit no more often than this
 * fixed one. Nothing changes after opening: any number of threads may read without locks.
 */
#ifndef PRI_STORE_H
#define PRI_STORE_H

#include "data/data.h"
#include "data/image.h"

/* What an image becomes: zeros leave it as it is. */
typedef struct pri_frame {
    int64_t height, width;
    int64_t crop; /* percent, see pri_centre_box */
    int channels;
} pri_frame;

typedef struct pri_store {
    int references;
    char **paths; /* owned */
    int64_t count, capacity, resident;
    uint8_t *pixels; /* resident x height x width x channels */
    pri_frame frame; /* all sizes set */
} pri_store;

/* Channels, crop and size in place; the mask (NULL, or without pixels: none) moves along. */
pare_status pri_image_fit(pri_image *image, pri_image *mask, pare_context *ctx,
                          const pri_frame *frame);

/* Room for `capacity` images, `resident` of them as pixels. */
pare_status pri_store_new(pri_store **out, pare_context *ctx, int64_t capacity, int64_t resident,
                          const pri_frame *frame);
pri_store *pri_store_share(pri_store *store); /* the store itself, with one more reference */
void pri_store_release(pri_store *store);     /* NULL is fine */
/* Pixels of image k: in the store, or decoded into *room (which is cleared first and belongs to the
 * caller). NULL after a message in `ctx`, which may be another thread's than the set's. */
const uint8_t *pri_store_image(const pri_store *store, int64_t k, pri_image *room,
                               pare_context *ctx);

/* Pixels of an image, in memory or decoded into *room (the caller's, cleared first); NULL after a
 * message in `ctx`, which may be another thread's than the set's. */
const uint8_t *pri_data_image(const pare_data *data, int64_t index, pri_image *room,
                              pare_context *ctx);

#endif
