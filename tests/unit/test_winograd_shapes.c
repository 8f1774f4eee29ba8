/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_winograd_shapes.c - Winograd's algorithm beside the definition in double, over paddings,
 * sizes, channels, element types and directions.
 */
#include "naive_conv.h"
#include "winograd_run.h"

#include <math.h>
#include <stdlib.h>

/* Of the largest result, or of what sums of so many products come to; 7e-6 was measured. */
static const double tolerance = 2e-5;

static void *taken(size_t bytes)
{
    void *room = malloc(bytes);

    assert_non_null(room);
    return room;
}

static double finished(const pri_conv_problem *p, double y)
{
    if (p->post == PRI_POST_RELU)
        return y < 0 ? (double)p->alpha * y : y;
    return p->post == PRI_POST_CLIP ? fmin(fmax(y, (double)p->alpha), (double)p->beta) : y;
}

static double largest_of(const double *x, int64_t count, double least)
{
    for (int64_t i = 0; i < count; i++)
        least = fmax(least, fabs(x[i]));
    return least;
}

/* Float32 within rounding of `scale`; bfloat16 within its own rounding beside. */
static void assert_near(const test_array *found, const double *expected, double scale,
                        const winograd_run *r, const char *what)
{
    const pri_conv_problem *p = &r->p;

    const double room = tolerance * scale;
    for (int64_t i = 0; i < found->count; i++) {
        const double rounding = found->dtype == PRI_BF16 ? (fabs(expected[i]) + room) / 256 : 0;
        if (!(fabs(test_element(found, i) - expected[i]) <= room + rounding))
            fail_msg("%s of %lld x %lldx%lldx%lld -> %lld, pads %lld %lld: %g at %lld, not %g",
                     what, (long long)p->batch, (long long)p->in_channels, (long long)p->in[0],
                     (long long)p->in[1], (long long)p->out_channels, (long long)p->pad_begin[0],
                     (long long)p->pad_begin[1], test_element(found, i), (long long)i, expected[i]);
    }
}

static void assert_right(const winograd_run *r)
{
    const pri_conv_problem *p = &r->p;
    const double steps = 9.0 * (double)p->in_channels, back = 9.0 * (double)p->out_channels;
    double *y = taken((size_t)r->y.count * sizeof *y), *gb = taken((size_t)r->gb.count * sizeof *y);
    double *gx = taken((size_t)r->gx.count * sizeof *y);
    double *gw = taken((size_t)r->gw.count * sizeof *y);
    float *w = taken((size_t)r->w.count * sizeof *w);

    for (int64_t i = 0; i < r->w.count; i++)
        w[i] = r->w.floats[i] * (r->has_scale ? r->scale.floats[i / (9 * p->in_channels)] : 1.0f);
    naive_conv_forward(y, p, r->x.floats, w);
    for (int64_t i = 0; i < r->y.count; i++)
        y[i] += (double)r->bias.floats[i % p->out_channels] +
                (p->accumulates ? (double)r->y.floats[i] : 0);
    const double before = largest_of(y, r->y.count, sqrt(steps));
    for (int64_t i = 0; i < r->y.count; i++)
        y[i] = finished(p, y[i]);
    naive_conv_data(gx, p, r->g.floats, w);
    for (int64_t i = 0; i < r->gx.count; i++)
        gx[i] += p->accumulates ? (double)r->gx.floats[i] : 0;
    naive_conv_weights(gw, gb, p, r->x.floats, r->g.floats);
    for (int64_t i = 0; i < r->gw.count; i++)
        gw[i] += (double)r->gw.floats[i];
    for (int64_t i = 0; i < r->gb.count; i++)
        gb[i] += (double)r->gb.floats[i];
    assert_near(&r->y, y, before, r, "outputs");
    assert_near(&r->gx, gx, largest_of(gx, r->gx.count, sqrt(back)), r, "gradients of inputs");
    assert_near(&r->gw, gw, largest_of(gw, r->gw.count, 1), r, "gradients of weights");
    assert_near(&r->gb, gb, largest_of(gb, r->gb.count, 1), r, "gradients of the bias");
    free(y);
    free(gx);
    free(gw);
    free(gb);
    free(w);
}

/* All directions together are right; alone, and with weights kept transformed, they give the same
 * bytes. */
static void check(pare_context *ctx, const pri_conv_problem *p)
{
    static const unsigned directions[] = {WINOGRAD_F, WINOGRAD_D, WINOGRAD_W};
    winograd_run together = winograd_run_new(p), alone = winograd_run_new(p);

    winograd_convolve(ctx, &together, WINOGRAD_ALL, WINOGRAD_ALL);
    assert_right(&together);
    for (size_t k = 0; k < PRI_COUNT(directions); k++)
        winograd_convolve(ctx, &alone, directions[k], directions[k]);
    assert_same_results(&alone, &together);
    winograd_run_end(&together);
    winograd_run_end(&alone);
}

static void every_size_is_right(void **state)
{
    uint64_t draws = 0;

    winograd_skip_without();
    for (int64_t height = 1; height <= 9; height++) {
        for (int64_t width = 1; width <= 9; width++) {
            for (int again = 0; again < 3;) {
                pri_conv_problem p = winograd_drawn(&draws);
                int64_t pads[4];
                for (int k = 0; k < 4; k++)
                    pads[k] = winograd_pick(3, &draws);
                if (!naive_conv_resize(&p, 0, height, pads[0], pads[1]) ||
                    !naive_conv_resize(&p, 1, width, pads[2], pads[3]))
                    continue;
                check(*state, &p);
                again++;
            }
        }
    }
}

static void every_padding_is_right(void **state)
{
    uint64_t draws = 1 << 20;

    winograd_skip_without();
    for (int k = 0; k < 3 * 3 * 4 * 4; k++) {
        pri_conv_problem p = winograd_drawn(&draws);
        (void)naive_conv_resize(&p, 0, 3 + winograd_pick(7, &draws), k % 3, k / 9 % 4);
        (void)naive_conv_resize(&p, 1, 3 + winograd_pick(7, &draws), k / 3 % 3, k / 36);
        check(*state, &p);
    }
}

static void every_pair_of_channels_is_right(void **state)
{
    uint64_t draws = 2 << 20;

    winograd_skip_without();
    for (size_t k = 0; k < WINOGRAD_CHANNELS * WINOGRAD_CHANNELS * 4; k++) {
        pri_conv_problem p = winograd_drawn(&draws);
        p.in_channels = winograd_channels[k % WINOGRAD_CHANNELS];
        p.out_channels = winograd_channels[k / WINOGRAD_CHANNELS % WINOGRAD_CHANNELS];
        p.src_type = k / 64 % 2 == 0 ? PRI_F32 : test_narrow_type();
        p.dst_type = k / 128 == 0 ? PRI_F32 : test_narrow_type();
        (void)naive_conv_resize(&p, 0, 6, 1, 1);
        (void)naive_conv_resize(&p, 1, 5, 1, 1);
        check(*state, &p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size_is_right),
        cmocka_unit_test(every_padding_is_right),
        cmocka_unit_test(every_pair_of_channels_is_right),
    };

    return cmocka_run_group_tests(tests, test_setup, test_teardown);
}
