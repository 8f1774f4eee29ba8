/* SPDX-License-Identifier: Apache-2.0 */
/*
 * batch.h - one image of a batch at a time, by any thread: what pri_data_batch and the prefetching
 * loader are made of.
 */
#ifndef PRI_BATCH_H
#define PRI_BATCH_H

#include "data/augment.h"
#include "data/data.h"
#include "data/image.h"

/* Where a batch is written; all but the images may be NULL. */
typedef struct pri_batch {
    float *images;
    int32_t *labels, *labels2; /* labels2: of the image that was blended in, -1 without */
    float *weights;            /* share of `labels` and `masks`; the rest is labels2 and masks2 */
    uint8_t *masks, *masks2;   /* masks2: as masks where pixels are not blended */
} pri_batch;

typedef struct pri_batch_job {
    const pare_data *data;
    const pri_preprocess *preprocess;
    const pare_augment *augment; /* or NULL */
    uint64_t seed;
} pri_batch_job;

/* Working memory of one thread for one job, allocated when it is needed; starts as zeros. */
typedef struct pri_room {
    pare_context *ctx; /* of this thread: messages of a failure are here */
    pri_image decoded;
    pri_canvas canvas;
    float *other; /* an image to blend in */
    uint8_t *other_mask;
} pri_room;

void pri_room_clear(pri_room *room);

/* Writes image `number` of the set as image `at` of the batch. */
pare_status pri_batch_write(const pri_batch *out, int64_t at, const pri_batch_job *job,
                            int64_t number, pri_room *room);

/* --- Steps of it --- */

/* The image alone, with its own changes; `mask` may be NULL. */
pare_status pri_batch_write_one(float *out, uint8_t *mask, const pri_batch_job *job, int64_t number,
                                pri_room *room);
/* Makes the room's context and, where the job needs them, its buffers. */
pare_status pri_room_open(pri_room *room, const pri_batch_job *job);
/* Blends another image of the set into image `at`, as mixup and cutmix say. */
pare_status pri_batch_mix(const pri_batch *out, int64_t at, const pri_batch_job *job,
                          int64_t number, pri_room *room);

#endif
