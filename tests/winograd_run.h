/* SPDX-License-Identifier: Apache-2.0 */
/* winograd_run.h - Winograd's algorithm by itself: convolutions drawn at random, and their runs. */
#ifndef TEST_WINOGRAD_RUN_H
#define TEST_WINOGRAD_RUN_H

#include "kernels/winograd.h"
#include "naive_conv.h"
#include "support.h"

enum {
    WINOGRAD_F = PRI_CONV_FORWARD,
    WINOGRAD_D = PRI_CONV_BACKWARD_DATA,
    WINOGRAD_W = PRI_CONV_BACKWARD_WEIGHTS,
    WINOGRAD_ALL = WINOGRAD_F | WINOGRAD_D | WINOGRAD_W
};

/*
 * Elements aligned to their own size and no more. What is around them is NaN (all bits set): what
 * is read there shows in the results, what is written there is seen.
 */
typedef struct test_array {
    unsigned char *room, *data;
    pri_dtype dtype; /* PRI_F32 or PRI_BF16 */
    int64_t count;
    float *floats; /* what data held at first */
} test_array;

double test_element(const test_array *a, int64_t i);

/* A convolution, its operands and its results; activations are channels-last, of the problem's
 * types. */
typedef struct winograd_run {
    pri_conv_problem p;
    bool has_scale;
    test_array x, g, w, scale, bias;
    test_array y, gx;  /* numbers to add to before, if the problem accumulates, else NaN */
    test_array gw, gb; /* numbers before, which gradients are added to */
} winograd_run;

winograd_run winograd_run_new(const pri_conv_problem *p);
/* Fails when memory around an operand was written to. */
void winograd_run_end(winograd_run *r);
/* Runs the directions `asked` of one made for `made`, with NaN in scratch and around it. */
void winograd_convolve(pare_context *ctx, winograd_run *r, unsigned made, unsigned asked);
void assert_same_results(const winograd_run *a, const winograd_run *b);

/* --- Problems --- */

enum { WINOGRAD_CHANNELS = 8 };
extern const int64_t winograd_channels[WINOGRAD_CHANNELS];

/* A number below `below`. */
int64_t winograd_pick(int64_t below, uint64_t *draws);
/* A convolution of 4 x 4 pixels whose channels, batch, types and what is fused behind it are drawn.
 */
pri_conv_problem winograd_drawn(uint64_t *draws);
/* Skips the test, with a line, where the processor has neither AVX2 nor AVX-512. */
void winograd_skip_without(void);

#endif
