/* SPDX-License-Identifier: Apache-2.0 */
/* test_pointwise.c - gradients of weights of 1 x 1 convolutions beside their definition in double.
 */
#include "naive_conv.h"
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "kernels/pointwise.h"

#ifdef _OPENMP
#include <omp.h>
#endif

/* Of sums of so many products; 1.5e-6 was measured. */
static const double tolerance = 4e-6;

static pri_conv_problem base(void)
{
    return naive_conv_problem(2, 16, 96, 61, 37, 1);
}

static void skip_without(void)
{
    const pri_conv_problem p = base();

    if (pri_pointwise_suits(&p))
        return;
    printf("skipped: this processor has no AVX-512\n");
    skip();
}

/* Just as many bytes as asked for, so that a sanitizer sees what is read and written beyond. */
static float *drawn(int64_t count, uint64_t seed)
{
    float *x = malloc((size_t)count * sizeof *x);

    assert_non_null(x);
    for (int64_t i = 0; i < count; i++)
        x[i] = (float)pri_random_normal(seed, PRI_STREAM_TEST, (uint64_t)i);
    return x;
}

typedef struct operands {
    int64_t positions, weights;
    float *x, *g, *gw, *gb;
} operands;

static operands operands_of(const pri_conv_problem *p)
{
    operands o = {.positions = p->batch * p->in[0] * p->in[1],
                  .weights = p->in_channels * p->out_channels};

    o.x = drawn(o.positions * p->in_channels, 1);
    o.g = drawn(o.positions * p->out_channels, 2);
    o.gw = drawn(o.weights, 3);
    o.gb = drawn(p->out_channels, 4);
    return o;
}

static void drop(operands *o)
{
    free(o->x);
    free(o->g);
    free(o->gw);
    free(o->gb);
}

static void run(pare_context *ctx, operands *o, const pri_conv_problem *p)
{
    void *scratch = pri_alloc_aligned(ctx, pri_pointwise_scratch(p));

    assert_non_null(scratch);
    memset(scratch, 0xff, pri_pointwise_scratch(p));
    pri_pointwise_weights(p, o->x, o->g, o->gw, o->gb, scratch);
    pri_free(scratch);
}

static void assert_near(const float *found, const double *expected, const float *before,
                        int64_t count, const operands *o)
{
    for (int64_t i = 0; i < count; i++) {
        const double error = fabs((double)found[i] - expected[i] - (double)before[i]);
        if (!(error <= tolerance * (4 + sqrt((double)o->positions))))
            fail_msg("%lld positions: %g at %lld, not %g", (long long)o->positions,
                     (double)found[i], (long long)i, expected[i] + (double)before[i]);
    }
}

static void check(pare_context *ctx, const pri_conv_problem *p)
{
    operands o = operands_of(p), before = operands_of(p);
    double *gw = malloc((size_t)o.weights * sizeof *gw);
    double *gb = malloc((size_t)p->out_channels * sizeof *gb);

    assert_true(gw != NULL && gb != NULL && pri_pointwise_suits(p));
    run(ctx, &o, p);
    naive_conv_weights(gw, gb, p, o.x, o.g);
    assert_near(o.gw, gw, before.gw, o.weights, &o);
    assert_near(o.gb, gb, before.gb, p->out_channels, &o);
    free(gw);
    free(gb);
    drop(&o);
    drop(&before);
}

static void all_channels_are_right(void **state)
{
    static const int64_t channels[] = {8, 9, 15, 16, 17, 23, 24, 32, 33, 48, 50, 64, 96, 100, 144};

    skip_without();
    for (size_t i = 0; i < PRI_COUNT(channels); i++) {
        for (size_t o = 0; o < PRI_COUNT(channels); o++) {
            const pri_conv_problem p =
                naive_conv_problem(2, channels[i], channels[o], 1 + (int64_t)i, 1 + (int64_t)o, 1);
            if (pri_pointwise_suits(&p))
                check(*state, &p);
        }
    }
}

static void all_counts_of_positions_are_right(void **state)
{
    skip_without();
    for (int64_t height = 1; height < 120; height += 7) {
        for (int64_t width = 1; width < 60; width += 13) {
            const pri_conv_problem p = naive_conv_problem(2, 21, 12, height, width, 1);
            check(*state, &p);
        }
    }
}

static void threads_do_not_change_results(void **state)
{
    skip_without();
#ifdef _OPENMP
    const pri_conv_problem p = base();
    operands one = operands_of(&p), many = operands_of(&p);
    omp_set_num_threads(1);
    run(*state, &one, &p);
    omp_set_num_threads(3);
    run(*state, &many, &p);
    omp_set_num_threads(1);
    assert_memory_equal(one.gw, many.gw, (size_t)one.weights * sizeof(float));
    assert_memory_equal(one.gb, many.gb, (size_t)p.out_channels * sizeof(float));
    drop(&one);
    drop(&many);
#endif
}

static void other_convolutions_are_left(void **state)
{
    pri_conv_problem p = base();

    (void)state;
    p.stride[0] = 2;
    assert_false(pri_pointwise_suits(&p));
    p = base();
    p.kernel[1] = 3;
    assert_false(pri_pointwise_suits(&p));
    p = base();
    p.groups = 2;
    assert_false(pri_pointwise_suits(&p));
    p = base();
    p.layout = PRI_PLAIN;
    assert_false(pri_pointwise_suits(&p));
    p = base();
    p.src_type = PRI_BF16;
    assert_false(pri_pointwise_suits(&p));
    p = base();
    p.in_channels = 1024;
    assert_false(pri_pointwise_suits(&p));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_channels_are_right),
        cmocka_unit_test(all_counts_of_positions_are_right),
        cmocka_unit_test(threads_do_not_change_results),
        cmocka_unit_test(other_convolutions_are_left),
    };

    return cmocka_run_group_tests(tests, test_setup, test_teardown);
}
