/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_amx_weights.c - gradients of weights by AMX beside their definition in double, over
 * channels, sizes, kernels, strides and paddings.
 */
#include "kernels/amx_weights.h"
#include "naive_conv.h"
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/float_bits.h"
#include "base/random.h"

/* Of the largest result, or of what sums of so many products come to; under 1e-6 was measured. */
static const double tolerance = 4e-6;

enum { AROUND = 128 };
enum { ALL = PRI_CONV_FORWARD | PRI_CONV_BACKWARD_DATA | PRI_CONV_BACKWARD_WEIGHTS };

/* bfloat16 aligned to their own size, NaN around them, and as floats. */
typedef struct numbers {
    uint16_t *room, *data;
    float *floats;
    int64_t count;
} numbers;

static void *taken(size_t bytes)
{
    void *room = malloc(bytes > 0 ? bytes : 1);

    assert_non_null(room);
    return room;
}

static numbers numbers_of(int64_t count, uint64_t seed)
{
    numbers n = {.count = count};

    n.room = taken((size_t)(count + 2 * AROUND) * sizeof *n.room);
    memset(n.room, 0xff, (size_t)(count + 2 * AROUND) * sizeof *n.room);
    n.data = n.room + AROUND;
    n.floats = taken((size_t)count * sizeof *n.floats);
    for (int64_t i = 0; i < count; i++) {
        n.data[i] = pri_f32_to_bf16((float)pri_random_normal(seed, PRI_STREAM_TEST, (uint64_t)i));
        n.floats[i] = pri_bf16_to_f32(n.data[i]);
    }
    return n;
}

static void drop(numbers *n)
{
    free(n->room);
    free(n->floats);
}

/* Gradients of weights, then of the bias, from `before` on; what the scratch holds, and what is
 * around it, is NaN. */
static float *gradients_of(pare_context *ctx, const pri_conv_problem *p, const numbers *x,
                           const numbers *g, float before)
{
    const int64_t weights = p->out_channels * p->in_channels * p->kernel[0] * p->kernel[1];
    float *found = taken((size_t)(weights + p->out_channels) * sizeof *found);
    pri_amx_weights *w = NULL;

    for (int64_t i = 0; i < weights + p->out_channels; i++)
        found[i] = before;
    test_ok(ctx, pri_amx_weights_new(&w, ctx, p));
    const size_t bytes = pri_amx_weights_scratch(w);
    unsigned char *room = taken(bytes + 192);
    unsigned char *scratch = room + (64 - (uintptr_t)room % 64) + 64;
    memset(room, 0xff, bytes + 192);
    pri_amx_weights_run(w, x->data, g->data, found, found + weights, scratch);
    for (int k = 0; k < 64; k++)
        assert_true(scratch[-1 - k] == 0xff && scratch[bytes + (size_t)k] == 0xff);
    free(room);
    pri_amx_weights_free(w);
    return found;
}

static double largest_of(const double *x, int64_t count)
{
    double largest = 1;

    for (int64_t i = 0; i < count; i++)
        largest = fmax(largest, fabs(x[i]));
    return largest;
}

static void assert_near(const float *found, const double *expected, int64_t count,
                        const pri_conv_problem *p)
{
    const double room = tolerance * largest_of(expected, count);

    for (int64_t i = 0; i < count; i++) {
        if (!(fabs((double)found[i] - 0.5 - expected[i]) <= room))
            fail_msg(
                "%lld x %lldx%lldx%lld -> %lld, kernel %lldx%lld, strides %lld %lld, pads %lld "
                "%lld: %g at %lld, not %g",
                (long long)p->batch, (long long)p->in_channels, (long long)p->in[0],
                (long long)p->in[1], (long long)p->out_channels, (long long)p->kernel[0],
                (long long)p->kernel[1], (long long)p->stride[0], (long long)p->stride[1],
                (long long)p->pad_begin[0], (long long)p->pad_begin[1], (double)found[i] - 0.5,
                (long long)i, expected[i]);
    }
}

static void check(pare_context *ctx, const pri_conv_problem *p)
{
    const int64_t weights = p->out_channels * p->in_channels * p->kernel[0] * p->kernel[1];
    numbers x = numbers_of(p->batch * p->in[0] * p->in[1] * p->in_channels, 1);
    numbers g = numbers_of(p->batch * p->out[0] * p->out[1] * p->out_channels, 2);
    double *gw = taken((size_t)weights * sizeof *gw);
    double *gb = taken((size_t)p->out_channels * sizeof *gb);

    assert_true(pri_amx_weights_suits(p));
    naive_conv_weights(gw, gb, p, x.floats, g.floats);
    float *found = gradients_of(ctx, p, &x, &g, 0.5f);
    assert_near(found, gw, weights, p);
    assert_near(found + weights, gb, p->out_channels, p);
    free(found);
    free(gw);
    free(gb);
    drop(&x);
    drop(&g);
}

static pri_conv_problem base(void)
{
    pri_conv_problem p = naive_conv_problem(2, 16, 16, 8, 8, 3);

    p.is_narrow = true;
    p.src_type = p.dst_type = PRI_BF16;
    return p;
}

static int64_t pick(int64_t below, uint64_t *draws)
{
    return pri_random_below(below, 5, PRI_STREAM_TEST, (*draws)++);
}

static void skip_without(void)
{
    const pri_conv_problem p = base();

    if (pri_amx_weights_suits(&p))
        return;
    printf("skipped: this processor has no AMX\n");
    skip();
}

static const int64_t channels[] = {1, 3, 11, 16, 17, 32, 40, 97};

static void draw_channels(pri_conv_problem *p, uint64_t *draws)
{
    p->batch = 1 + pick(4, draws);
    p->in_channels = channels[pick(PRI_COUNT(channels), draws)];
    p->out_channels = channels[pick(PRI_COUNT(channels), draws)];
}

static void every_kernel_stride_and_padding_is_right(void **state)
{
    uint64_t draws = 0;

    skip_without();
    for (int64_t kernel = 0; kernel < 7 * 7; kernel++) {
        for (int again = 0; again < 16;) {
            pri_conv_problem p = base();
            bool is_there = true;
            draw_channels(&p, &draws);
            for (int k = 0; k < 2; k++) {
                p.kernel[k] = k == 0 ? kernel / 7 + 1 : kernel % 7 + 1;
                p.stride[k] = 1 + pick(4, &draws);
                const int64_t begin = pick(p.kernel[k] + 1, &draws);
                is_there = naive_conv_resize(&p, k, 1 + pick(19, &draws), begin,
                                             pick(p.kernel[k] + 1, &draws)) &&
                           is_there;
            }
            if (!is_there)
                continue;
            check(*state, &p);
            again++;
        }
    }
}

static void every_size_is_right(void **state)
{
    static const int64_t sizes[] = {1, 2, 3, 4, 7, 8, 16, 31, 32, 33, 64, 65, 96, 130};
    uint64_t draws = 1 << 20;

    skip_without();
    for (size_t k = 0; k < 6 * PRI_COUNT(sizes); k++) {
        pri_conv_problem p = base();
        draw_channels(&p, &draws);
        const int64_t kernel = k % 3 == 0 ? 1 : 3, pad = k % 3 == 2 ? 0 : kernel / 2;
        p.kernel[0] = p.kernel[1] = kernel;
        p.stride[0] = p.stride[1] = 1 + (int64_t)k / 3 % 2;
        if (naive_conv_resize(&p, 0, 2 + pick(14, &draws), pad, pad) &&
            naive_conv_resize(&p, 1, sizes[k / 6], pad, pad))
            check(*state, &p);
    }
}

/* More strips than blocks, images of many of them, strips of many images. */
static void what_takes_many_strips_is_right(void **state)
{
    static const int64_t cases[][5] = {{1, 48, 33, 96, 3}, {3, 16, 16, 128, 3}, {70, 16, 17, 8, 3},
                                       {65, 64, 64, 4, 3}, {5, 33, 20, 37, 1},  {9, 200, 96, 16, 1},
                                       {40, 3, 16, 32, 3}, {2, 16, 33, 100, 2}};

    skip_without();
    for (size_t k = 0; k < PRI_COUNT(cases); k++) {
        pri_conv_problem p = base();
        p.batch = cases[k][0];
        p.in_channels = cases[k][1];
        p.out_channels = cases[k][2];
        p.kernel[0] = p.kernel[1] = cases[k][4];
        p.stride[0] = p.stride[1] = cases[k][4] == 2 ? 2 : 1;
        for (int axis = 0; axis < 2; axis++)
            assert_true(
                naive_conv_resize(&p, axis, cases[k][3], cases[k][4] == 3, cases[k][4] == 3));
        check(*state, &p);
    }
}

/* With few blocks, threads take parts of the outputs. */
static void threads_do_not_change_the_bytes(void **state)
{
    static const int64_t cases[][4] = {{9, 33, 40, 32}, {2, 200, 210, 6}, {1, 16, 97, 32}};
    const int threads = pare_context_threads(*state);

    skip_without();
    for (size_t k = 0; k < PRI_COUNT(cases); k++) {
        const int64_t *c = cases[k];
        pri_conv_problem p = base();
        p.batch = c[0];
        p.in_channels = c[1];
        p.out_channels = c[2];
        (void)naive_conv_resize(&p, 0, 9, 1, 1);
        (void)naive_conv_resize(&p, 1, c[3], 1, 1);
        numbers x = numbers_of(c[0] * 9 * c[3] * c[1], 1),
                g = numbers_of(c[0] * 9 * c[3] * c[2], 2);
        pare_context_set_threads(*state, 1);
        float *one = gradients_of(*state, &p, &x, &g, 0);
        for (int n = 2; n <= 21; n += 19) {
            pare_context_set_threads(*state, n);
            float *many = gradients_of(*state, &p, &x, &g, 0);
            assert_memory_equal(one, many, (size_t)((c[1] * 9 + 1) * c[2]) * sizeof *one);
            free(many);
        }
        pare_context_set_threads(*state, threads);
        free(one);
        drop(&x);
        drop(&g);
    }
}

/* Either gradient may be left out. */
static void gradients_may_be_left_out(void **state)
{
    const pri_conv_problem p = base();
    pri_amx_weights *w = NULL;
    float bias[16] = {0}, weights[16 * 16 * 9] = {0};

    skip_without();
    numbers x = numbers_of(2 * 64 * 16, 1), g = numbers_of(2 * 64 * 16, 2);
    float *both = gradients_of(*state, &p, &x, &g, 0);
    test_ok(*state, pri_amx_weights_new(&w, *state, &p));
    void *scratch = pri_alloc_aligned(*state, pri_amx_weights_scratch(w));
    assert_non_null(scratch);
    pri_amx_weights_run(w, x.data, g.data, weights, NULL, scratch);
    pri_amx_weights_run(w, x.data, g.data, NULL, bias, scratch);
    assert_memory_equal(both, weights, sizeof weights);
    assert_memory_equal(both + 16 * 16 * 9, bias, sizeof bias);
    pri_free(scratch);
    pri_amx_weights_free(w);
    free(both);
    drop(&x);
    drop(&g);
}

/* As a direction of a convolution, whose activations are floats: those are staged, the gradient of
 * outputs once for both ways back. */
static void convolutions_use_it(void **state)
{
    pri_conv_problem p = base();
    pri_conv *conv = NULL;
    float found[17 * 3 * 9 + 17] = {0}, weights[17 * 3 * 9] = {0}, gx[2 * 100 * 3];

    skip_without();
    if (!pri_dnn_has_amx())
        skip();
    p.in_channels = 3;
    p.out_channels = 17;
    (void)naive_conv_resize(&p, 0, 10, 1, 1);
    (void)naive_conv_resize(&p, 1, 10, 1, 1);
    numbers x = numbers_of(2 * 100 * 3, 1), g = numbers_of(2 * 100 * 17, 2);
    float *expected = gradients_of(*state, &p, &x, &g, 0);
    for (int after_data = 0; after_data < 2; after_data++) {
        p.src_type = p.dst_type = PRI_F32;
        p.is_direct = true;
        memset(found, 0, sizeof found);
        test_ok(*state, pri_conv_new(&conv, *state, &p, ALL));
        void *scratch = pri_alloc_aligned(*state, pri_conv_scratch(conv));
        assert_non_null(scratch);
        test_ok(*state, pri_conv_pack(conv, weights, NULL, NULL, scratch));
        if (after_data)
            test_ok(*state, pri_conv_backward_data(conv, g.floats, gx, scratch));
        test_ok(*state, pri_conv_backward_weights(conv, x.floats, g.floats, found,
                                                  found + 17 * 3 * 9, scratch, after_data));
        assert_int_equal(pri_conv_chosen(conv), PRI_CONV_BF16);
        assert_memory_equal(found, expected, sizeof found);
        pri_free(scratch);
        pri_conv_free(conv);
    }
    free(expected);
    drop(&x);
    drop(&g);
}

static void other_convolutions_do_not_suit(void **state)
{
    (void)state;
    for (int k = 0; k < 6; k++) {
        pri_conv_problem p = base();
        (void)naive_conv_resize(&p, 0, 30, 1, 1);
        (void)naive_conv_resize(&p, 1, 30, 1, 1);
        p.is_narrow = k != 0;
        p.groups = k == 1 ? 2 : 1;
        p.spatial = k == 2 ? 3 : 2;
        p.dilation[1] = k == 3 ? 2 : 1;
        p.layout = k == 4 ? PRI_PLAIN : PRI_CHANNELS_LAST;
        p.stride[0] = k == 5 ? 5 : 1;
        assert_false(pri_amx_weights_suits(&p));
    }
    pri_conv_problem stem = base();
    assert_true(pri_amx_weights_gains(&stem));
    stem.in_channels = 3;
    stem.out_channels = 64;
    assert_true(pri_amx_weights_gains(&stem));
    stem.kernel[0] = stem.kernel[1] = 7;
    assert_false(pri_amx_weights_gains(&stem));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kernel_stride_and_padding_is_right),
        cmocka_unit_test(every_size_is_right),
        cmocka_unit_test(what_takes_many_strips_is_right),
        cmocka_unit_test(threads_do_not_change_the_bytes),
        cmocka_unit_test(gradients_may_be_left_out),
        cmocka_unit_test(convolutions_use_it),
        cmocka_unit_test(other_convolutions_do_not_suit),
    };

    return cmocka_run_group_tests(tests, test_setup, test_teardown);
}
