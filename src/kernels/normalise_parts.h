/* SPDX-License-Identifier: Apache-2.0 */
/*
 * normalise_parts.h - what normalise.c and normalise_sums.c share.
 *
 * Channels-last: numbers of one channel lie C apart, and C is small in the layers that cost most.
 * The numbers of each channel are therefore repeated to a period of at least PRI_NORM_PERIOD
 * elements, so that loops run along memory without a remainder for every position. Plain: a row of
 * positions has one channel.
 */
#ifndef PRI_NORMALISE_PARTS_H
#define PRI_NORMALISE_PARTS_H

#include "kernels/narrow.h"
#include "kernels/normalise.h"

enum { PRI_NORM_PERIOD = 512, PRI_NORM_BLOCKS = 16, PRI_NORM_STRETCH = 64, PRI_NORM_NUMBERS = 5 };

static inline bool pri_norm_is_interleaved(const pri_channels *ch)
{
    return ch->channel_stride == 1 && ch->channels > 1;
}

static inline int64_t pri_norm_period(const pri_channels *ch)
{
    return (PRI_NORM_PERIOD + ch->channels - 1) / ch->channels * ch->channels;
}

static inline size_t pri_norm_round_up(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

/* Scratch: repeated numbers, then of each block two periods of float sums and 2 C doubles. */
static inline size_t pri_norm_numbers_bytes(const pri_channels *ch)
{
    return pri_norm_round_up(PRI_NORM_NUMBERS * (size_t)pri_norm_period(ch) * sizeof(float));
}

static inline size_t pri_norm_block_bytes(const pri_channels *ch)
{
    return pri_norm_round_up(2 * (size_t)pri_norm_period(ch) * sizeof(float)) +
           pri_norm_round_up(2 * (size_t)ch->channels * sizeof(double));
}

/* values[C] over a period, as number `index` of scratch. */
const float *pri_norm_repeat(const pri_channels *ch, const float *values, int index, void *scratch);

/* One period's worth of numbers: element i of a stretch uses number i. */
typedef struct pri_norm_params {
    const float *mean, *scale, *shift, *slope, *tilt;
    pri_norm_bounds bounds;
    bool add;
    pri_dtype x_type, y_type; /* of x and d; of y and g */
    const void *y;            /* way back: tells what was cut off; NULL: x does */
    pri_norm_tensor residual; /* data NULL: none; on the way back its gradient */
    bool residual_add;
    bool in_place; /* sums leave what y did not cut off in g, which is the residual's gradient */
} pri_norm_params;

pri_norm_params pri_norm_params_of(const pri_norm_back *back);
/* The same for elements `by` further on. */
pri_norm_params pri_norm_moved(const pri_norm_params *p, int64_t by);
/* Gradients at .. at+n-1, at most PRI_NARROW_PIECE, of what y did not cut off: in room or, where
 * they take the place of g, there. */
const float *pri_norm_uncut(const pri_norm_params *p, const void *g, int64_t at, int64_t n,
                            float *room);

/* Loops are written once, for constant types and cases; PRI_BY_TYPES chooses among the four. */
#define PRI_INLINE static inline __attribute__((always_inline))
#define PRI_BY_TYPES(loop, first, second, ...)                                                     \
    do {                                                                                           \
        if ((first) && (second))                                                                   \
            loop(__VA_ARGS__, true, true);                                                         \
        else if (first)                                                                            \
            loop(__VA_ARGS__, true, false);                                                        \
        else if (second)                                                                           \
            loop(__VA_ARGS__, false, true);                                                        \
        else                                                                                       \
            loop(__VA_ARGS__, false, false);                                                       \
    } while (0)

/* Whether kernels/vectors/normalise_vector.h serves a tensor: the processor can, it is
 * channels-last, and one type for all that is read and written. */
bool pri_norm_by_vector(const pri_channels *ch, const pri_norm_params *p);
/* Elements of a row there, a multiple of C; at most PRI_NORM_PERIOD unless C is more. */
int64_t pri_norm_width(const pri_channels *ch);

#endif
