/* SPDX-License-Identifier: Apache-2.0 */
/*
 * depthwise_rows.h - what depthwise.c does with rows of images. Shared by the depthwise*.c files
 * alone.
 */
#ifndef PRI_DEPTHWISE_ROWS_H
#define PRI_DEPTHWISE_ROWS_H

#include "kernels/dnn.h"
#include "kernels/lanes.h"

enum { PRI_DEPTHWISE_TAPS = 7, PRI_DEPTHWISE_STRIDE = 2 };

/* Taps along one axis: result j reads step * j + offset[t], by weight kernel[t]. Offsets ascend. */
typedef struct pri_depthwise_taps {
    int count, step;
    bool is_dense; /* offsets are neighbours */
    int64_t offset[PRI_DEPTHWISE_TAPS];
    int kernel[PRI_DEPTHWISE_TAPS];
} pri_depthwise_taps;

/* Rows that will be read next, to be fetched meanwhile. */
typedef struct pri_depthwise_ahead {
    const void *rows[PRI_DEPTHWISE_STRIDE];
    int count;
} pri_depthwise_ahead;

/* Results of one row: j < count, `apart` pixels from one to the next. */
typedef struct pri_depthwise_line {
    const void *rows[PRI_DEPTHWISE_TAPS];     /* that are read */
    const float *weights[PRI_DEPTHWISE_TAPS]; /* of each row: [tap][filled] */
    int n_rows;
    pri_depthwise_ahead ahead;
    const pri_depthwise_taps *taps;
    int64_t width; /* pixels of a row that is read */
    pri_dtype from_type, to_type;
    int64_t channels, filled;
    void *to;
    int64_t count, apart;
    const float *bias; /* filled */
    pri_post_kind post;
    float alpha, beta;
    bool claims; /* fetches what will be written next, between these results too */
} pri_depthwise_line;

/* Gradients of weights of one row of outputs. */
typedef struct pri_depthwise_pair {
    const void *rows[PRI_DEPTHWISE_TAPS]; /* inputs under row ky of the kernel, first <= ky < end */
    int first, end;
    const void *outputs; /* gradients of the row */
    pri_depthwise_ahead ahead, outputs_ahead;
    const pri_depthwise_taps *taps;
    int64_t width, count; /* pixels of a row of inputs, of outputs */
    pri_dtype from_type, to_type;
    int64_t channels, filled;
} pri_depthwise_pair;

typedef struct pri_depthwise_rows {
    void (*run)(const pri_depthwise_line *line);
} pri_depthwise_rows;
PRI_DECLARE_TABLE(pri_depthwise_rows);

typedef struct pri_depthwise_sums {
    /* sums[ky * kernel + kx][filled] += sum over the row's pixels of input times gradient. */
    void (*weights)(float *sums, const pri_depthwise_pair *pair);
    /* sums[filled] += sum over the row's pixels of the gradient. */
    void (*bias)(float *sums, const pri_depthwise_pair *pair);
} pri_depthwise_sums;
PRI_DECLARE_TABLE(pri_depthwise_sums);

#endif
