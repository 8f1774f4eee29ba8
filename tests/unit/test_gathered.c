/* SPDX-License-Identifier: Apache-2.0 */
/* test_gathered.c - convolutions by gathered rows beside their definition in double. */
#include "naive_conv.h"
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "kernels/gathered.h"

/* Of sums of so many products of numbers that are about 1. */
static const double tolerance = 4e-6;

static int64_t pick(int64_t below, uint64_t *draws)
{
    return pri_random_below(below, 23, PRI_STREAM_TEST, (*draws)++);
}

/* --- Operands --- */

/* Just as many bytes as asked for, so that a sanitizer sees what is read and written beyond. */
static float *drawn(int64_t count, uint64_t seed)
{
    float *x = malloc((size_t)count * sizeof *x);

    assert_non_null(x);
    for (int64_t i = 0; i < count; i++)
        x[i] = (float)pri_random_normal(seed, PRI_STREAM_TEST, (uint64_t)i);
    return x;
}

enum { ALL = PRI_CONV_FORWARD | PRI_CONV_BACKWARD_DATA | PRI_CONV_BACKWARD_WEIGHTS };
enum { X, G, W, BIAS, Y, GX, GW, GB, OPERANDS };

/* Activations, weights, and results, which hold numbers before. */
typedef struct operands {
    float *of[OPERANDS];
    int64_t count[OPERANDS];
} operands;

static operands operands_of(const pri_conv_problem *p)
{
    const int64_t in = p->batch * p->in[0] * p->in[1] * p->in_channels;
    const int64_t out = p->batch * p->out[0] * p->out[1] * p->out_channels;
    const int64_t weights = p->in_channels * p->out_channels * p->kernel[0] * p->kernel[1];
    operands o = {.count = {in, out, weights, p->out_channels, out, in, weights, p->out_channels}};

    for (int k = 0; k < OPERANDS; k++)
        o.of[k] = drawn(o.count[k], 1 + (uint64_t)k);
    return o;
}

static void drop(operands *o)
{
    for (int k = 0; k < OPERANDS; k++)
        free(o->of[k]);
}

static void convolve(pare_context *ctx, operands *o, const pri_conv_problem *p, bool has_bias)
{
    pri_gathered *g = NULL;

    test_ok(ctx, pri_gathered_new(&g, ctx, p, ALL));
    void *scratch = malloc(pri_gathered_scratch(g) + 1); /* malloc aligns to 16: enough here */
    assert_non_null(scratch);
    memset(scratch, 0xff, pri_gathered_scratch(g));
    pri_gathered_pack(g, o->of[W], NULL, has_bias ? o->of[BIAS] : NULL);
    pri_gathered_forward(g, o->of[X], o->of[Y], scratch);
    pri_gathered_backward_data(g, o->of[G], o->of[GX], scratch);
    pri_gathered_backward_weights(g, o->of[X], o->of[G], o->of[GW], has_bias ? o->of[GB] : NULL,
                                  scratch);
    free(scratch);
    pri_gathered_free(g);
}

/* --- Checks --- */

static void assert_near(const float *found, const double *expected, const float *before,
                        int64_t count, int64_t products, const char *what)
{
    for (int64_t i = 0; i < count; i++) {
        const double should = expected[i] + (before != NULL ? (double)before[i] : 0);
        if (!(fabs((double)found[i] - should) <= tolerance * (4 + sqrt((double)products))))
            fail_msg("%s: %g at %lld, not %g", what, (double)found[i], (long long)i, should);
    }
}

static void check(pare_context *ctx, const pri_conv_problem *p, bool has_bias)
{
    const int64_t taps = p->kernel[0] * p->kernel[1];
    operands o = operands_of(p), before = operands_of(p);
    double *expected[OPERANDS] = {NULL};

    for (int k = Y; k < OPERANDS; k++) {
        expected[k] = calloc((size_t)o.count[k], sizeof(double));
        assert_non_null(expected[k]);
    }
    assert_true(pri_gathered_suits(p));
    convolve(ctx, &o, p, has_bias);
    naive_conv_forward(expected[Y], p, o.of[X], o.of[W]);
    naive_conv_data(expected[GX], p, o.of[G], o.of[W]);
    naive_conv_weights(expected[GW], expected[GB], p, o.of[X], o.of[G]);
    for (int64_t i = 0; i < o.count[Y] && has_bias; i++)
        expected[Y][i] += (double)o.of[BIAS][i % p->out_channels];
    if (!has_bias)
        memset(expected[GB], 0, (size_t)o.count[GB] * sizeof(double));
    const int64_t positions = p->batch * p->out[0] * p->out[1];
    assert_near(o.of[Y], expected[Y], NULL, o.count[Y], taps * p->in_channels, "y");
    assert_near(o.of[GX], expected[GX], NULL, o.count[GX], taps * p->out_channels, "gx");
    assert_near(o.of[GW], expected[GW], before.of[GW], o.count[GW], positions, "gw");
    assert_near(o.of[GB], expected[GB], before.of[GB], o.count[GB], positions, "gb");
    for (int k = Y; k < OPERANDS; k++)
        free(expected[k]);
    drop(&o);
    drop(&before);
}

static void skip_without(void)
{
    const pri_conv_problem p = naive_conv_problem(2, 16, 16, 8, 8, 3);

    if (pri_gathered_suits(&p))
        return;
    printf("skipped: this processor has neither AVX2 nor AVX-512\n");
    skip();
}

/* --- Tests --- */

static void every_window_is_right(void **state)
{
    static const int64_t channels[] = {1, 2, 3, 5, 8, 11, 16, 23, 33};
    uint64_t draws = 0;

    skip_without();
    for (int k = 0; k < 500;) {
        pri_conv_problem p =
            naive_conv_problem(1 + pick(3, &draws), channels[pick(PRI_COUNT(channels), &draws)],
                               channels[pick(PRI_COUNT(channels), &draws)], 8, 8, 3);
        bool is_there = true;
        for (int a = 0; a < 2; a++) {
            p.kernel[a] = 1 + pick(5, &draws);
            p.stride[a] = 1 + pick(3, &draws);
            p.dilation[a] = 1 + pick(3, &draws) * pick(2, &draws);
            is_there =
                naive_conv_resize(&p, a, 1 + pick(17, &draws), pick(4, &draws), pick(4, &draws)) &&
                is_there;
        }
        if (!is_there)
            continue;
        check(*state, &p, k % 2 == 0);
        k++;
    }
}

/* Shapes of networks: many weights (BLAS), plain ones, several parts and blocks. */
static void shapes_of_networks_are_right(void **state)
{
    static const struct {
        int64_t batch, in, out, side, kernel, stride;
    } shapes[] = {{3, 3, 32, 67, 3, 2},   {2, 64, 128, 16, 2, 2}, {2, 160, 320, 5, 1, 1},
                  {2, 128, 300, 9, 3, 2}, {9, 256, 130, 8, 1, 1}, {2, 32, 64, 40, 3, 2},
                  {2, 7, 9, 91, 5, 1},    {1, 520, 260, 3, 1, 1}, {2, 24, 144, 31, 1, 1}};

    skip_without();
    for (size_t k = 0; k < PRI_COUNT(shapes); k++) {
        pri_conv_problem p = naive_conv_problem(shapes[k].batch, shapes[k].in, shapes[k].out,
                                                shapes[k].side, shapes[k].side, shapes[k].kernel);
        for (int a = 0; a < 2; a++) {
            p.stride[a] = shapes[k].stride;
            assert_true(naive_conv_resize(&p, a, shapes[k].side, p.pad_begin[a], p.pad_end[a]));
        }
        check(*state, &p, k % 2 == 1);
    }
}

static void threads_do_not_change_results(void **state)
{
    static const int64_t sides[] = {5, 33, 61};

    skip_without();
    for (size_t k = 0; k < PRI_COUNT(sides); k++) {
        pri_conv_problem p = naive_conv_problem(3, 16, 32, sides[k], sides[k], 3);
        for (int a = 0; a < 2; a++) {
            p.stride[a] = 2;
            assert_true(naive_conv_resize(&p, a, sides[k], 1, 1));
        }
        operands one = operands_of(&p), many = operands_of(&p);
        pare_context_set_threads(*state, 1);
        convolve(*state, &one, &p, true);
        pare_context_set_threads(*state, 3);
        convolve(*state, &many, &p, true);
        pare_context_set_threads(*state, 1);
        for (int i = Y; i < OPERANDS; i++)
            assert_memory_equal(one.of[i], many.of[i], (size_t)one.count[i] * sizeof(float));
        drop(&one);
        drop(&many);
    }
}

static void others_are_refused(void **state)
{
    const pri_conv_problem good = naive_conv_problem(2, 16, 16, 8, 8, 3);
    pri_conv_problem p = good;

    (void)state;
    skip_without();
    assert_true(pri_gathered_suits(&p));
    p.groups = 2;
    assert_false(pri_gathered_suits(&p));
    p = good;
    p.src_type = PRI_BF16;
    assert_false(pri_gathered_suits(&p));
    p = good;
    p.layout = PRI_PLAIN;
    assert_false(pri_gathered_suits(&p));
    p = good;
    p.post = PRI_POST_RELU;
    assert_false(pri_gathered_suits(&p));
    p = good;
    p.accumulates = true;
    assert_false(pri_gathered_suits(&p));
    p = good;
    p.batch = INT64_MAX / 64;
    assert_false(pri_gathered_suits(&p));
}

static int set_up(void **state)
{
    *state = test_context();
    return 0;
}

static int tear_down(void **state)
{
    pare_context_free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_window_is_right),
        cmocka_unit_test(shapes_of_networks_are_right),
        cmocka_unit_test(threads_do_not_change_results),
        cmocka_unit_test(others_are_refused),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
