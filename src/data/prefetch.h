/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prefetch.h - batches made by background threads while the engine computes.
 *
 * Batch b is the images order(b) of a set; a worker takes the next batch number and fills a slot of
 * a ring, so at most `slots` batches are ahead of the reader. What a batch holds is a function of
 * its number alone; threads only decide when it is ready. Workers have contexts of their own and
 * touch the set only to read.
 */
#ifndef PRI_PREFETCH_H
#define PRI_PREFETCH_H

#include "data/batch.h"

typedef struct pri_prefetch pri_prefetch;

typedef struct pri_prefetch_options {
    const pare_data *data;
    const pri_preprocess *preprocess;
    const pare_augment *augment; /* NULL: none; must outlive the loader, as all here */
    int64_t batch;
    int64_t first, count; /* batches first .. count-1 are made, in this order */
    /* Fills order with the images of batch b (called under a lock) and returns the seed of its
     * changes. */
    uint64_t (*plan)(void *user, int64_t b, int64_t *order);
    void *user;
    bool wants_truth; /* labels and masks too */
    int threads;      /* workers; 0: by how much there is to do, within the context's */
} pri_prefetch_options;

/* Starts the workers. */
pare_status pri_prefetch_open(pri_prefetch **out, pare_context *ctx,
                              const pri_prefetch_options *options);
/* The next batch, borrowed until the next call; `order` (may be NULL) its images. Waits for it;
 * PARE_ERROR_CANCELLED when the context is cancelled, another status when a worker failed. */
pare_status pri_prefetch_next(pri_prefetch *prefetch, const pri_batch **out, const int64_t **order);
/* Seconds pri_prefetch_next has waited so far. */
double pri_prefetch_waited_s(const pri_prefetch *prefetch);
/* Stops the workers, at the end of the image each is at, and waits for them. NULL is fine. */
void pri_prefetch_close(pri_prefetch *prefetch);

#endif
