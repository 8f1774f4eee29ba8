/* SPDX-License-Identifier: Apache-2.0 */
/* naive_conv.h - convolutions of tests, and what they and their derivatives are by definition. */
#ifndef TEST_NAIVE_CONV_H
#define TEST_NAIVE_CONV_H

#include "kernels/dnn.h"

/*
 * Two spatial axes, one group, channels-last; any kernel, stride, dilation and padding. Activations
 * are [image][row][column][channel], weights [out][in][row][column]. What is fused behind a
 * convolution is left to the caller. Results are overwritten, and sums are in double.
 */

/* `kernel` x `kernel` weights, padded so that outputs are as large as inputs, of float32: what a
 * test does not mean to be so, it changes. */
pri_conv_problem naive_conv_problem(int64_t batch, int64_t in_channels, int64_t out_channels,
                                    int64_t height, int64_t width, int64_t kernel);
/* Size and padding of a spatial axis, and what comes out; false when nothing does. */
bool naive_conv_resize(pri_conv_problem *p, int axis, int64_t in, int64_t begin, int64_t end);

/* y = sum over the window of w x. */
void naive_conv_forward(double *y, const pri_conv_problem *p, const float *x, const float *w);
/* gx = derivative of sum(g y) by x. */
void naive_conv_data(double *gx, const pri_conv_problem *p, const float *g, const float *w);
/* gw, gb = derivatives by the weights and by a bias. */
void naive_conv_weights(double *gw, double *gb, const pri_conv_problem *p, const float *x,
                        const float *g);

#endif
