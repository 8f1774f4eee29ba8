/* SPDX-License-Identifier: Apache-2.0 */
/*
 * split.c - which images belong to a split.
 *
 * Splits the data does not have are made by a seeded permutation, so that they do not depend on how
 * many images are asked for or in which order splits are opened.
 */
#include <math.h>

#include "base/random.h"
#include "data/dataset.h"

/* Streams of the two splits, which must not be alike. */
static const uint64_t test_stream = PRI_STREAM_SPLIT,
                      val_stream = PRI_STREAM_SPLIT + (UINT64_C(1) << 32);

static int64_t count_part(const pri_listing *listing, int part)
{
    int64_t n = 0;

    for (int64_t i = 0; i < listing->count; i++)
        n += listing->items[i].part == part;
    return n;
}

/* Moves a seeded choice of `fraction` of the images of part `from` to part `to`. */
static pare_status move_share(pri_listing *listing, int from, int to, double fraction,
                              uint64_t seed, uint64_t stream)
{
    const int64_t n = count_part(listing, from), moved = llround(fraction * (double)n);
    int64_t *members = pri_alloc(listing->ctx, (size_t)n, sizeof *members);
    int64_t *order = pri_alloc(listing->ctx, (size_t)n, sizeof *order);
    const pare_status status = members != NULL && order != NULL ? PARE_OK : PARE_ERROR_MEMORY;

    if (status == PARE_OK) {
        int64_t k = 0;
        for (int64_t i = 0; i < listing->count; i++) {
            if (listing->items[i].part == from)
                members[k++] = i;
        }
        pri_random_permutation(order, n, seed, stream);
        for (int64_t i = 0; i < moved; i++)
            listing->items[members[order[i]]].part = to;
    }
    pri_free(members);
    pri_free(order);
    return status;
}

static pare_status make_splits(pri_listing *listing, const pare_data_options *options)
{
    const int64_t undecided = count_part(listing, PRI_PART_NONE);
    const double share = options->test_fraction > 0 ? options->test_fraction : 0.2;

    if (undecided > 0) {
        PRI_TRY(
            move_share(listing, PRI_PART_NONE, PRI_PART_TEST, share, options->seed, test_stream));
        for (int64_t i = 0; i < listing->count; i++) {
            if (listing->items[i].part == PRI_PART_NONE)
                listing->items[i].part = PRI_PART_TRAIN;
        }
        pri_log(listing->ctx, PARE_LOG_INFO,
                "the data has no splits: %lld of its %lld images are 'test' (seed %llu)",
                (long long)count_part(listing, PRI_PART_TEST), (long long)undecided,
                (unsigned long long)options->seed);
    }
    if (options->val_fraction > 0 && count_part(listing, PRI_PART_VAL) == 0)
        return move_share(listing, PRI_PART_TRAIN, PRI_PART_VAL, options->val_fraction,
                          options->seed, val_stream);
    return PARE_OK;
}

pare_status pri_choose(int64_t *chosen, int64_t *n_chosen, pri_listing *listing, int wanted,
                       const pare_data_options *options)
{
    PRI_TRY(make_splits(listing, options));
    *n_chosen = 0;
    for (int64_t i = 0; i < listing->count; i++) {
        if ((listing->items[i].part & wanted) != 0)
            chosen[(*n_chosen)++] = i;
    }
    return PARE_OK;
}
