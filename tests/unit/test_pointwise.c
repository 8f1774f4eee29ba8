/* SPDX-License-Identifier: Apache-2.0 */
/* test_pointwise.c - 1 x 1 convolutions of few channels, and their gradients, beside their
 * definition in double. */
#include "naive_conv.h"
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "kernels/pointwise_weights.h"
#include "kernels/pointwise_product.h"

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

    if (pri_pointwise_weights_suits(&p))
        return;
    printf("skipped: this processor has neither AVX2 nor AVX-512\n");
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
    void *scratch = pri_alloc_aligned(ctx, pri_pointwise_weights_scratch(p));

    assert_non_null(scratch);
    memset(scratch, 0xff, pri_pointwise_weights_scratch(p));
    pri_pointwise_weights_run(p, o->x, o->g, o->gw, o->gb, scratch);
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

    assert_true(gw != NULL && gb != NULL && pri_pointwise_weights_suits(p));
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
            if (pri_pointwise_weights_suits(&p))
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
    assert_false(pri_pointwise_weights_suits(&p));
    p = base();
    p.kernel[1] = 3;
    assert_false(pri_pointwise_weights_suits(&p));
    p = base();
    p.groups = 2;
    assert_false(pri_pointwise_weights_suits(&p));
    p = base();
    p.layout = PRI_PLAIN;
    assert_false(pri_pointwise_weights_suits(&p));
    p = base();
    p.src_type = PRI_BF16;
    assert_false(pri_pointwise_weights_suits(&p));
    p = base();
    p.in_channels = 1024;
    assert_false(pri_pointwise_weights_suits(&p));
}

/* --- Outputs and gradients of inputs --- */

/* Outputs, and gradients of inputs with these for gradients of outputs: no byte more than asked for
 * is read or written. */
typedef struct products {
    int64_t positions;
    float *x, *w, *scale, *bias, *y, *gx;
} products;

static products products_of(pare_context *ctx, const pri_conv_problem *p)
{
    products o = {.positions = p->batch * p->in[0] * p->in[1]};
    pri_pointwise_product *product;

    o.x = drawn(o.positions * p->in_channels, 1);
    o.w = drawn(p->in_channels * p->out_channels, 2);
    o.scale = drawn(p->out_channels, 3);
    o.bias = drawn(p->out_channels, 4);
    o.y = drawn(o.positions * p->out_channels, 5);
    o.gx = drawn(o.positions * p->in_channels, 6);
    assert_int_equal(pri_pointwise_product_new(&product, ctx, p), PARE_OK);
    pri_pointwise_product_pack(product, o.w, o.scale, o.bias);
    pri_pointwise_product_forward(product, o.x, o.y);
    pri_pointwise_product_backward_data(product, o.y, o.gx);
    pri_pointwise_product_free(product);
    return o;
}

static void drop_products(products *o)
{
    free(o->x);
    free(o->w);
    free(o->scale);
    free(o->bias);
    free(o->y);
    free(o->gx);
}

static double finished(double y, const pri_conv_problem *p)
{
    if (p->post == PRI_POST_RELU)
        return y < 0 ? y * (double)p->alpha : y;
    if (p->post == PRI_POST_CLIP)
        return fmin(fmax(y, (double)p->alpha), (double)p->beta);
    return y;
}

/* Sums of `terms` products of numbers of about 1 (weights) and `size`. */
static void assert_close(const float *found, const double *expected, int64_t count, double terms,
                         double size)
{
    for (int64_t i = 0; i < count; i++) {
        if (!(fabs((double)found[i] - expected[i]) <= tolerance * (4 + sqrt(terms)) * size))
            fail_msg("%g at %lld, not %g", (double)found[i], (long long)i, expected[i]);
    }
}

static void check_product(pare_context *ctx, const pri_conv_problem *p)
{
    assert_true(pri_pointwise_product_suits(p));
    products o = products_of(ctx, p);
    const int64_t ins = o.positions * p->in_channels, outs = o.positions * p->out_channels;
    const double in_terms = (double)p->in_channels, out_terms = (double)p->out_channels;
    double *y = malloc((size_t)outs * sizeof *y), *gx = malloc((size_t)ins * sizeof *gx);

    assert_true(y != NULL && gx != NULL);
    for (int64_t i = 0; i < p->in_channels * p->out_channels; i++)
        o.w[i] *= o.scale[i / p->in_channels];
    naive_conv_forward(y, p, o.x, o.w);
    for (int64_t i = 0; i < outs; i++)
        y[i] = finished(y[i] + (double)o.bias[i % p->out_channels], p);
    naive_conv_data(gx, p, o.y, o.w);
    assert_close(o.y, y, outs, in_terms, 4);
    assert_close(o.gx, gx, ins, out_terms, 4 * sqrt(in_terms));
    free(y);
    free(gx);
    drop_products(&o);
}

static void resize(pri_conv_problem *p, int64_t height, int64_t width)
{
    (void)naive_conv_resize(p, 0, height, 0, 0);
    (void)naive_conv_resize(p, 1, width, 0, 0);
}

static void products_of_all_channels_are_right(void **state)
{
    static const int64_t channels[] = {8,  9,  11, 15, 16, 17, 23, 24,  32,  33,
                                       47, 48, 50, 64, 65, 96, 97, 100, 144, 192};

    skip_without();
    for (size_t i = 0; i < PRI_COUNT(channels); i++) {
        for (size_t o = 0; o < PRI_COUNT(channels); o++) {
            pri_conv_problem p = base();
            p.in_channels = channels[i];
            p.out_channels = channels[o];
            resize(&p, 1 + (int64_t)i % 7, 1 + (int64_t)o);
            if (pri_pointwise_product_suits(&p))
                check_product(*state, &p);
        }
    }
}

static void products_of_all_counts_of_positions_are_right(void **state)
{
    skip_without();
    for (int64_t width = 1; width < 40; width++) {
        for (int64_t out = 12; out <= 40; out += 14) {
            pri_conv_problem p = base();
            p.batch = 1 + width % 3;
            p.in_channels = 21;
            p.out_channels = out;
            resize(&p, 1 + width / 4, width);
            check_product(*state, &p);
        }
    }
}

static void what_follows_a_product_is_right(void **state)
{
    skip_without();
    for (int kind = 0; kind < 4; kind++) {
        pri_conv_problem p = base();
        p.post = kind < 2 ? PRI_POST_RELU : PRI_POST_CLIP;
        p.alpha = kind == 1 ? 0.1f : kind == 3 ? -0.5f : 0;
        p.beta = 0.7f;
        check_product(*state, &p);
    }
}

/* Past the caches, where the outputs are aligned, with pixels beyond the last whole tile. */
static void large_products_are_as_small_ones(void **state)
{
    skip_without();
    pri_conv_problem p = base(), row = base();
    p.batch = 1;
    resize(&p, 251, 379);
    row.batch = 1;
    resize(&row, 1, 379);
    pri_pointwise_product *large, *small;
    const int64_t positions = p.in[0] * p.in[1], bytes = positions * p.out_channels * 4;
    float *x = drawn(positions * p.in_channels, 1), *w = drawn(p.in_channels * p.out_channels, 2);
    float *y = pri_alloc_aligned(*state, (size_t)bytes), *part = drawn(379 * p.out_channels, 3);
    assert_non_null(y);
    assert_int_equal(pri_pointwise_product_new(&large, *state, &p), PARE_OK);
    assert_int_equal(pri_pointwise_product_new(&small, *state, &row), PARE_OK);
    pri_pointwise_product_pack(large, w, NULL, NULL);
    pri_pointwise_product_pack(small, w, NULL, NULL);
    pri_pointwise_product_forward(large, x, y);
    for (int64_t k = 0; k < p.in[0]; k++) {
        pri_pointwise_product_forward(small, x + k * 379 * p.in_channels, part);
        assert_memory_equal(part, y + k * 379 * p.out_channels,
                            (size_t)(379 * p.out_channels) * sizeof(float));
    }
    pri_pointwise_product_free(large);
    pri_pointwise_product_free(small);
    pri_free(y);
    free(part);
    free(x);
    free(w);
}

static void threads_do_not_change_products(void **state)
{
    skip_without();
#ifdef _OPENMP
    pri_conv_problem p = base();
    resize(&p, 61, 37);
    omp_set_num_threads(1);
    products one = products_of(*state, &p);
    omp_set_num_threads(3);
    products many = products_of(*state, &p);
    omp_set_num_threads(1);
    assert_memory_equal(one.y, many.y, (size_t)(one.positions * p.out_channels) * sizeof(float));
    assert_memory_equal(one.gx, many.gx, (size_t)(one.positions * p.in_channels) * sizeof(float));
    drop_products(&one);
    drop_products(&many);
#endif
}

static void other_products_are_left(void **state)
{
    pri_conv_problem p = base();

    (void)state;
    p.accumulates = true;
    assert_false(pri_pointwise_product_suits(&p));
    p = base();
    p.post = PRI_POST_TANH;
    assert_false(pri_pointwise_product_suits(&p));
    p = base();
    p.pad_end[1] = 1;
    assert_false(pri_pointwise_product_suits(&p));
    p = base();
    p.in_channels = p.out_channels = 64;
    assert_false(pri_pointwise_product_suits(&p));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_channels_are_right),
        cmocka_unit_test(all_counts_of_positions_are_right),
        cmocka_unit_test(threads_do_not_change_results),
        cmocka_unit_test(other_convolutions_are_left),
        cmocka_unit_test(products_of_all_channels_are_right),
        cmocka_unit_test(products_of_all_counts_of_positions_are_right),
        cmocka_unit_test(what_follows_a_product_is_right),
        cmocka_unit_test(large_products_are_as_small_ones),
        cmocka_unit_test(threads_do_not_change_products),
        cmocka_unit_test(other_products_are_left),
    };

    return cmocka_run_group_tests(tests, test_setup, test_teardown);
}
