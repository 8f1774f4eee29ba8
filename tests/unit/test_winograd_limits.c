/* SPDX-License-Identifier: Apache-2.0 */
/* test_winograd_limits.c - Winograd's algorithm on two threads, and on what is not finite. */
#include "winograd_run.h"

#include <math.h>

#include "base/float_bits.h"

/* Twice what either may be from the exact sums (test_winograd_shapes.c). */
static const double tolerance = 4e-5;

static void assert_sums_near(const test_array *a, const test_array *b)
{
    double largest = 1;

    for (int64_t i = 0; i < a->count; i++)
        largest = fmax(largest, fabs(test_element(a, i)));
    for (int64_t i = 0; i < a->count; i++)
        assert_true(fabs(test_element(a, i) - test_element(b, i)) <= tolerance * largest);
}

static winograd_run on_threads(pare_context *ctx, const pri_conv_problem *p, int threads)
{
    winograd_run r = winograd_run_new(p);

    pare_context_set_threads(ctx, threads);
    winograd_convolve(ctx, &r, WINOGRAD_ALL, WINOGRAD_ALL);
    return r;
}

/* Groups of tiles go to threads. What one tile gives does not depend on them; sums over tiles are
 * rounded in the order of the threads, the same each time. */
static void threads_change_sums_by_rounding_alone(void **state)
{
    uint64_t draws = 3 << 20;

    winograd_skip_without();
    for (int k = 0; k < 6; k++) {
        pri_conv_problem p = winograd_drawn(&draws);
        p.batch = 5;
        p.in_channels = winograd_channels[7 - k];
        (void)naive_conv_resize(&p, 0, 61, 1, 1);
        (void)naive_conv_resize(&p, 1, 58, k % 3, 1);
        winograd_run one = on_threads(*state, &p, 1), two = on_threads(*state, &p, 2),
                     again = on_threads(*state, &p, 2);
        assert_same_results(&two, &again);
        assert_memory_equal(one.y.data, two.y.data,
                            (size_t)one.y.count * pri_dtype_bytes(one.y.dtype));
        assert_memory_equal(one.gx.data, two.gx.data,
                            (size_t)one.gx.count * pri_dtype_bytes(one.gx.dtype));
        assert_sums_near(&one.gw, &two.gw);
        assert_sums_near(&one.gb, &two.gb);
        winograd_run_end(&one);
        winograd_run_end(&two);
        winograd_run_end(&again);
    }
    pare_context_set_threads(*state, 0);
}

/* --- Numbers that are none --- */

static void poison(test_array *a, int64_t at, float value)
{
    if (a->dtype == PRI_BF16)
        ((uint16_t *)(void *)a->data)[at] = pri_f32_to_bf16(value);
    else
        ((float *)(void *)a->data)[at] = value;
}

/* What was poisoned at `at` of an image is in all that reads it, and in nothing of the tiles of
 * 4 x 4 whose 6 x 6 pixels, from `pad` before them on, it is not one of. */
static void assert_reaches(const test_array *found, const test_array *clean, const int64_t size[2],
                           int64_t image, const int64_t at[2], const int64_t pad[2], int64_t count)
{
    for (int64_t i = 0; i < found->count; i++) {
        const int64_t q = i / count, pixel[2] = {q / size[1] % size[0], q % size[1]};
        bool is_in_tile = q / (size[0] * size[1]) == image, is_read = is_in_tile;
        for (int k = 0; k < 2; k++) {
            const int64_t in_window = at[k] + pad[k] - pixel[k];
            const int64_t in_tile = in_window + pixel[k] % 4;
            is_in_tile = is_in_tile && in_tile >= 0 && in_tile < 6;
            is_read = is_read && in_window >= 0 && in_window < 3;
        }
        if (is_read)
            assert_false(isfinite(test_element(found, i)));
        if (!is_in_tile)
            assert_true(test_element(found, i) == test_element(clean, i));
    }
}

static void check_poisoned(pare_context *ctx, const pri_conv_problem *p, float value,
                           uint64_t *draws)
{
    const int64_t image = winograd_pick(p->batch, draws), c = winograd_pick(p->in_channels, draws),
                  o = winograd_pick(p->out_channels, draws);
    const int64_t at[] = {winograd_pick(p->in[0], draws), winograd_pick(p->in[1], draws)};
    const int64_t to[] = {winograd_pick(p->out[0], draws), winograd_pick(p->out[1], draws)};
    const int64_t back[] = {2 - p->pad_begin[0], 2 - p->pad_begin[1]};
    winograd_run clean = winograd_run_new(p), x = winograd_run_new(p), g = winograd_run_new(p);

    winograd_convolve(ctx, &clean, WINOGRAD_ALL, WINOGRAD_ALL);
    poison(&x.x, ((image * p->in[0] + at[0]) * p->in[1] + at[1]) * p->in_channels + c, value);
    poison(&g.g, ((image * p->out[0] + to[0]) * p->out[1] + to[1]) * p->out_channels + o, value);
    winograd_convolve(ctx, &x, WINOGRAD_ALL, WINOGRAD_F | WINOGRAD_W);
    winograd_convolve(ctx, &g, WINOGRAD_ALL, WINOGRAD_D | WINOGRAD_W);
    assert_reaches(&x.y, &clean.y, p->out, image, at, p->pad_begin, p->out_channels);
    assert_reaches(&g.gx, &clean.gx, p->in, image, to, back, p->in_channels);
    for (int64_t i = 0; i < clean.gw.count; i++) {
        assert_true(i / 9 % p->in_channels == c ||
                    test_element(&x.gw, i) == test_element(&clean.gw, i));
        assert_true(i / 9 / p->in_channels == o ||
                    test_element(&g.gw, i) == test_element(&clean.gw, i));
    }
    for (int64_t i = 0; i < clean.gb.count; i++) {
        assert_true(test_element(&x.gb, i) == test_element(&clean.gb, i));
        assert_true(i == o ? !isfinite(test_element(&g.gb, i))
                           : test_element(&g.gb, i) == test_element(&clean.gb, i));
    }
    winograd_run_end(&clean);
    winograd_run_end(&x);
    winograd_run_end(&g);
}

static void what_is_not_finite_stays_in_its_tiles(void **state)
{
    uint64_t draws = 4 << 20;

    winograd_skip_without();
    for (int k = 0; k < 72; k++) {
        pri_conv_problem p = winograd_drawn(&draws);
        (void)naive_conv_resize(&p, 0, 9, k % 3, 1);
        (void)naive_conv_resize(&p, 1, 10, k / 3 % 3, 1);
        const float value = k < 48 ? NAN : k < 60 ? INFINITY : -INFINITY;
        if (k >= 48) /* an activation may make a number of an infinity, not of a NaN */
            p.post = PRI_POST_NONE;
        check_poisoned(*state, &p, value, &draws);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_change_sums_by_rounding_alone),
        cmocka_unit_test(what_is_not_finite_stays_in_its_tiles),
    };

    return cmocka_run_group_tests(tests, test_setup, test_teardown);
}
