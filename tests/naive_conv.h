/* SPDX-License-Identifier: Apache-2.0 */
/* naive_conv.h - a convolution and its derivatives straight from their definition, in double. */
#ifndef TEST_NAIVE_CONV_H
#define TEST_NAIVE_CONV_H

#include "kernels/dnn.h"

/*
 * Two spatial axes, one group, channels-last; any kernel, stride, dilation and padding. Activations
 * are [image][row][column][channel], weights [out][in][row][column]. What is fused behind a
 * convolution is left to the caller. Results are overwritten.
 */

/* y = sum over the window of w x. */
void naive_conv_forward(double *y, const pri_conv_problem *p, const float *x, const float *w);
/* gx = derivative of sum(g y) by x. */
void naive_conv_data(double *gx, const pri_conv_problem *p, const float *g, const float *w);
/* gw, gb = derivatives by the weights and by a bias. */
void naive_conv_weights(double *gw, double *gb, const pri_conv_problem *p, const float *x,
                        const float *g);

#endif
