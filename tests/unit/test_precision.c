/* SPDX-License-Identifier: Apache-2.0 */
/* test_precision.c - bfloat16: rounding, and convolutions that multiply in it. */
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/float_bits.h"
#include "base/random.h"
#include "engine/engine.h"
#include "kernels/dnn.h"
#include "kernels/narrow.h"
#include "naive_conv.h"

static void floats_round_to_nearest_even(void **state)
{
    (void)state;
    const float from[] = {1, -2.5f, 1.00390625f, 1.01171875f, INFINITY, -INFINITY, NAN, 3e38f, 0};
    const float to[] = {1, -2.5f, 1, 1.015625f, INFINITY, -INFINITY, NAN, 3e38f, 0};
    uint16_t half[9];

    pri_narrow(half, from, 9);
    for (int i = 0; i < 9; i++) {
        if (isnan(to[i]))
            assert_true(isnan(pri_bf16_to_f32(half[i])));
        else if (isinf(to[i]) || to[i] == 0)
            assert_true(pri_bf16_to_f32(half[i]) == to[i]);
        else
            assert_true(fabsf(pri_bf16_to_f32(half[i]) / to[i] - 1) <= (i == 7 ? 1 / 256.0f : 0));
    }
}

typedef struct run {
    float y[2 * 24 * 64], gx[2 * 20 * 64], gw[24 * 20 * 9];
} run;

static void fill(float *x, int64_t count, uint64_t seed, bool rounds)
{
    for (int64_t i = 0; i < count; i++) {
        uint16_t half;
        x[i] = (float)pri_random_normal(seed, PRI_STREAM_TEST, (uint64_t)i);
        pri_narrow(&half, &x[i], 1);
        x[i] = rounds ? pri_bf16_to_f32(half) : x[i];
    }
}

/* A convolution of 20 to 24 channels, all directions. */
static void convolve(run *out, pare_context *ctx, bool is_narrow, bool rounds)
{
    pri_conv_problem problem = naive_conv_problem(2, 20, 24, 8, 8, 3);
    static float x[2 * 20 * 64], w[24 * 20 * 9], g[2 * 24 * 64];
    pri_conv *conv = NULL;

    problem.is_narrow = is_narrow;
    fill(x, 2 * 20 * 64, 1, rounds);
    fill(w, 24 * 20 * 9, 2, rounds);
    fill(g, 2 * 24 * 64, 3, rounds);
    memset(out, 0, sizeof *out);
    test_ok(ctx,
            pri_conv_new(&conv, ctx, &problem,
                         PRI_CONV_FORWARD | PRI_CONV_BACKWARD_DATA | PRI_CONV_BACKWARD_WEIGHTS));
    unsigned char *scratch = pri_alloc(ctx, pri_conv_scratch(conv) + 64, 1);
    unsigned char *aligned = scratch + (64 - (uintptr_t)scratch % 64) % 64;
    test_ok(ctx, pri_conv_pack(conv, w, NULL, NULL, aligned));
    test_ok(ctx, pri_conv_forward(conv, x, out->y, aligned));
    test_ok(ctx, pri_conv_backward_data(conv, g, out->gx, aligned));
    test_ok(ctx, pri_conv_backward_weights(conv, x, g, out->gw, NULL, aligned, true));
    pri_free(scratch);
    pri_conv_free(conv);
}

static double distance(const float *a, const float *b, size_t count)
{
    double sum = 0, squares = 0;

    for (size_t i = 0; i < count; i++) {
        sum += (double)(a[i] - b[i]) * (a[i] - b[i]);
        squares += (double)b[i] * b[i];
    }
    return sqrt(sum / squares);
}

static void convolutions_round_their_inputs_and_nothing_else(void **state)
{
    pare_context *ctx = *state;
    static run wide, narrow;

    if (!pri_dnn_has_bf16()) {
        printf("skipped: this processor does not multiply bfloat16\n");
        skip();
    }
    for (int rounds = 0; rounds < 2; rounds++) {
        convolve(&wide, ctx, false, rounds);
        convolve(&narrow, ctx, true, rounds);
        const double distances[] = {distance(narrow.y, wide.y, PRI_COUNT(wide.y)),
                                    distance(narrow.gx, wide.gx, PRI_COUNT(wide.gx)),
                                    distance(narrow.gw, wide.gw, PRI_COUNT(wide.gw))};
        for (int k = 0; k < 3; k++) {
            assert_true(distances[k] < (rounds ? 1e-5 : 1e-2));
            assert_true(rounds || distances[k] > 1e-4);
        }
    }
}

/* Gradients of inputs beside the definition: oneDNN 2.6.3 chooses a wrong one for 1 x 1 and odd
 * channels by itself. */
static void odd_channels_go_back_right(void **state)
{
    enum { HEIGHT = 6, WIDTH = 5, MOST = 2 * 25 * HEIGHT * WIDTH };
    static const int64_t channels[] = {2, 3, 11, 16, 23, 25};
    static float w[25 * 25 * 9], g[MOST], gx[MOST];
    static double expected[MOST];

    if (!pri_dnn_has_bf16()) {
        printf("skipped: this processor does not multiply bfloat16\n");
        skip();
    }
    fill(w, PRI_COUNT(w), 2, true);
    fill(g, MOST, 3, true);
    for (int i = 0; i < 6 * 6 * 2; i++) {
        pri_conv_problem problem = naive_conv_problem(2, channels[i % 6], channels[i / 6 % 6],
                                                      HEIGHT, WIDTH, i < 36 ? 1 : 3);
        problem.is_narrow = true;
        const size_t count = 2 * HEIGHT * WIDTH * (size_t)problem.in_channels;
        pri_conv *conv = NULL;
        test_ok(*state,
                pri_conv_new(&conv, *state, &problem, PRI_CONV_FORWARD | PRI_CONV_BACKWARD_DATA));
        void *scratch = pri_alloc_aligned(*state, pri_conv_scratch(conv));
        test_ok(*state, pri_conv_pack(conv, w, NULL, NULL, scratch));
        test_ok(*state, pri_conv_backward_data(conv, g, gx, scratch));
        naive_conv_data(expected, &problem, g, w);
        for (size_t k = 0; k < count; k++)
            assert_true(fabs((double)gx[k] - expected[k]) < 1e-4);
        pri_free(scratch);
        pri_conv_free(conv);
    }
}

static void precisions_have_names(void **state)
{
    pare_context *ctx = *state;
    bool bf16 = true;

    test_ok(ctx, pri_precision_parse(&bf16, ctx, NULL));
    assert_false(bf16);
    test_ok(ctx, pri_precision_parse(&bf16, ctx, "auto"));
    assert_true(!bf16 || pri_dnn_has_bf16());
    assert_int_equal(pri_precision_parse(&bf16, ctx, "bf16"),
                     pri_dnn_has_bf16() ? PARE_OK : PARE_ERROR_UNSUPPORTED);
    assert_int_equal(pri_precision_parse(&bf16, ctx, "fp8"), PARE_ERROR_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(floats_round_to_nearest_even),
        cmocka_unit_test(convolutions_round_their_inputs_and_nothing_else),
        cmocka_unit_test(odd_channels_go_back_right), cmocka_unit_test(precisions_have_names)};

    return cmocka_run_group_tests(tests, test_setup, test_teardown);
}
