/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gathered_rows.h - what lies under the windows of a convolution, a row each: [row of the kernel]
 * [column][channel], 0 outside of the image. For gathered.c alone.
 */
#ifndef PRI_GATHERED_ROWS_H
#define PRI_GATHERED_ROWS_H

#include "kernels/dnn.h"

/* Of channels-last images; positions are outputs, image by image and row by row. */
typedef struct pri_windows {
    int64_t batch, height, width, channels;
    int64_t out_height, out_width, positions;
    int64_t kernel[2], stride[2], dilation[2], pad[2];
    int64_t row; /* numbers of a row */
} pri_windows;

pri_windows pri_windows_of(const pri_conv_problem *problem); /* two spatial axes, one group */
/* Whether rows are pixels, one after another. */
bool pri_windows_are_pixels(const pri_windows *w);
/* `count` rows from position `first` on. */
void pri_windows_gather(const pri_windows *w, float *rows, const float *images, int64_t first,
                        int64_t count);
/* Adds rows to where they were gathered from. */
void pri_windows_scatter(const pri_windows *w, float *images, const float *rows, int64_t first,
                         int64_t count);
void pri_windows_clear(const pri_windows *w, float *images, int64_t image);
/* row = factor times the weights [channel][row][column] of one output. */
void pri_windows_arrange(const pri_windows *w, float *row, const float *weights, float factor);

#endif
