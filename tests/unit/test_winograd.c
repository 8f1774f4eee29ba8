/* SPDX-License-Identifier: Apache-2.0 */
/* test_winograd.c - convolutions by Winograd's algorithm against direct ones. */
#include "naive_conv.h"
#include "support.h"

#include <math.h>
#include <string.h>

#include "base/random.h"
#include "kernels/dnn.h"

/* Channels that are no multiples of a block, an image no multiple of a tile. */
enum { BATCH = 4, IN = 37, OUT = 45, HEIGHT = 13, WIDTH = 11, POSITIONS = HEIGHT * WIDTH };

typedef struct run {
    float y[BATCH * OUT * POSITIONS], gx[BATCH * IN * POSITIONS], gw[OUT * IN * 9], gb[OUT];
} run;

static void fill(float *x, int count, uint64_t seed)
{
    for (int i = 0; i < count; i++)
        x[i] = (float)pri_random_normal(seed, PRI_STREAM_TEST, (uint64_t)i);
}

static void convolve(run *out, pare_context *ctx, pri_conv_problem problem, unsigned directions)
{
    static float x[BATCH * IN * POSITIONS], w[OUT * IN * 9], g[BATCH * OUT * POSITIONS], scale[OUT],
        bias[OUT];
    pri_conv *conv = NULL;

    fill(x, BATCH * IN * POSITIONS, 1);
    fill(w, OUT * IN * 9, 2);
    fill(g, BATCH * OUT * POSITIONS, 3);
    fill(scale, OUT, 4);
    fill(bias, OUT, 5);
    fill(out->y, BATCH * OUT * POSITIONS, 6); /* a residual, or to be overwritten */
    memset(out->gw, 0, sizeof out->gw);
    memset(out->gb, 0, sizeof out->gb);
    test_ok(ctx, pri_conv_new(&conv, ctx, &problem, directions));
    void *scratch = pri_alloc_aligned(ctx, pri_conv_scratch(conv));
    test_ok(ctx, pri_conv_pack(conv, w, scale, bias, scratch));
    test_ok(ctx, pri_conv_forward(conv, x, out->y, scratch));
    if ((directions & PRI_CONV_BACKWARD_DATA) != 0) {
        test_ok(ctx, pri_conv_backward_data(conv, g, out->gx, scratch));
        test_ok(ctx, pri_conv_backward_weights(conv, x, g, out->gw, out->gb, scratch, true));
    }
    pri_free(scratch);
    pri_conv_free(conv);
}

static float largest_of(const float *x, int count)
{
    float largest = 0;

    for (int i = 0; i < count; i++)
        largest = fmaxf(largest, fabsf(x[i]));
    return largest;
}

/* Within rounding of numbers as large as `largest`. */
static void assert_within(const float *a, const float *b, int count, float largest)
{
    assert_true(largest > 1);
    for (int i = 0; i < count; i++)
        assert_true(fabsf(a[i] - b[i]) <= 1e-5f * largest);
}

static void assert_close(const float *a, const float *b, int count)
{
    assert_within(a, b, count, largest_of(b, count));
}

static void all_directions_agree(void **state)
{
    static run fast, direct;

    (void)state;
    pare_context *ctx = test_context();
    pri_conv_problem problem = naive_conv_problem(BATCH, IN, OUT, HEIGHT, WIDTH, 3);
    const unsigned all = PRI_CONV_FORWARD | PRI_CONV_BACKWARD_DATA | PRI_CONV_BACKWARD_WEIGHTS;
    convolve(&fast, ctx, problem, all);
    problem.is_direct = true;
    convolve(&direct, ctx, problem, all);
    assert_close(fast.y, direct.y, BATCH * OUT * POSITIONS);
    assert_close(fast.gx, direct.gx, BATCH * IN * POSITIONS);
    assert_close(fast.gw, direct.gw, OUT * IN * 9);
    assert_close(fast.gb, direct.gb, OUT);
    pare_context_free(ctx);
}

/* Sums and activations are taken over where that is possible, and else the convolution is direct.
 */
static void whatever_is_fused_agrees(void **state)
{
    static const pri_post_kind posts[] = {PRI_POST_NONE, PRI_POST_RELU,      PRI_POST_CLIP,
                                          PRI_POST_TANH, PRI_POST_HARDSWISH, PRI_POST_SWISH};
    static run fast, direct;

    (void)state;
    pare_context *ctx = test_context();
    float largest = 0; /* before an activation, none of which is steeper than 1.1 */
    for (size_t i = 0; i < 2 * PRI_COUNT(posts); i++) {
        pri_conv_problem problem = naive_conv_problem(BATCH, IN, OUT, HEIGHT, WIDTH, 3);
        problem.post = posts[i / 2];
        problem.alpha = problem.post == PRI_POST_RELU ? 0.1f : 0;
        problem.beta = 6;
        problem.accumulates = i % 2 == 1;
        convolve(&fast, ctx, problem, PRI_CONV_FORWARD);
        problem.is_direct = true;
        convolve(&direct, ctx, problem, PRI_CONV_FORWARD);
        if (i < 2)
            largest = fmaxf(largest, largest_of(direct.y, BATCH * OUT * POSITIONS));
        assert_within(fast.y, direct.y, BATCH * OUT * POSITIONS, largest);
    }
    pare_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_directions_agree),
        cmocka_unit_test(whatever_is_fused_agrees),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
