/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_pool_lanes.c - pooling by 16 channels beside its definition in double, over windows, sizes,
 * channels, element types and what gradients are added to.
 */
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/random.h"
#include "kernels/narrow.h"
#include "kernels/vectors/pool_lanes.h"

enum { IMAGES = 2, MOST = IMAGES * 6 * 14 * 13 * 67 };

static float x[MOST], y[MOST], g[MOST], d[MOST];
static uint16_t x_half[MOST], y_half[MOST], g_half[MOST], d_half[MOST];
static double expected[MOST];

/* One axis as in, kernel, stride, dilation, pads. */
static pri_pool_axis axis_of(int64_t in, int64_t kernel, int64_t stride, int64_t dilation,
                             int64_t begin, int64_t end)
{
    const int64_t reach = (kernel - 1) * dilation + 1;

    return (pri_pool_axis){
        in, (in + begin + end - reach) / stride + 1, kernel, stride, dilation, begin, end};
}

static int64_t count_of(const pri_pool_problem *p, bool is_input)
{
    int64_t count = p->images * p->channels;

    for (int k = 0; k < 3; k++)
        count *= is_input ? p->axis[k].in : p->axis[k].out;
    return count;
}

/* Index in x of position `k` of a window of output `o` (both over three axes), -1: padding;
 * *padded: not even that. */
static int64_t source_of(const pri_pool_problem *p, int64_t o, int64_t k, bool *is_outside)
{
    int64_t at = o % p->channels, factor = p->channels;
    bool is_padding = false;

    o /= p->channels;
    *is_outside = false;
    for (int a = 2; a >= 0; a--) {
        const pri_pool_axis *axis = &p->axis[a];
        const int64_t i =
            o % axis->out * axis->stride - axis->pad_begin + k % axis->kernel * axis->dilation;
        is_padding = is_padding || i < 0 || i >= axis->in;
        *is_outside = *is_outside || i >= axis->in + axis->pad_end;
        o /= axis->out;
        k /= axis->kernel;
        at += i * factor;
        factor *= axis->in;
    }
    return is_padding ? -1 : at + o * factor;
}

/* Over the window of output o: maximum, first place of it, what a mean is divided by, its sum. */
typedef struct facts {
    double largest, sum, divisor;
    int64_t first;
} facts;

static facts facts_of(const pri_pool_problem *p, int64_t o)
{
    const int64_t area = p->axis[0].kernel * p->axis[1].kernel * p->axis[2].kernel;
    facts f = {.first = -1};

    for (int64_t k = 0; k < area; k++) {
        bool is_outside;
        const int64_t at = source_of(p, o, k, &is_outside);
        f.divisor += at >= 0 || (p->counts_padding && !is_outside);
        if (at < 0)
            continue;
        f.sum += (double)x[at];
        if (f.first < 0 || (double)x[at] > f.largest) {
            f.largest = (double)x[at];
            f.first = at;
        }
    }
    f.divisor = fmax(f.divisor, 1);
    return f;
}

static void assert_near(double found, double wanted, double room, const char *what,
                        const pri_pool_problem *p)
{
    if (!(fabs(found - wanted) <= room))
        fail_msg("%s: %g, not %g; %lld channels, %lldx%lldx%lld, %s, types %d %d", what, found,
                 wanted, (long long)p->channels, (long long)p->axis[0].in, (long long)p->axis[1].in,
                 (long long)p->axis[2].in, p->is_max ? "max" : "mean", p->x_type, p->y_type);
}

/* Values of a coarse grid, so that windows hold equal ones; exact in bfloat16. */
static void fill(float *to, uint16_t *half, int64_t count, int stream)
{
    for (int64_t i = 0; i < count; i++) {
        const double v = pri_random_normal((uint64_t)stream, PRI_STREAM_TEST, (uint64_t)i);
        to[i] = (float)rint(4 * v) / 4;
        half[i] = pri_f32_to_bf16(to[i]);
    }
}

static void *either(pri_dtype dtype, float *wide, uint16_t *half)
{
    return dtype == PRI_BF16 ? (void *)half : wide;
}

static void check_forward(const pri_pool_problem *p)
{
    const bool is_narrow = p->y_type == PRI_BF16;

    PRI_TABLE(pri_pool_lanes)
        ->forward(p, either(p->x_type, x, x_half), either(p->y_type, y, y_half));
    for (int64_t o = 0; o < count_of(p, false); o++) {
        const facts f = facts_of(p, o);
        const double wanted = p->is_max ? f.largest : f.sum / f.divisor;
        const double found = is_narrow ? (double)pri_bf16_to_f32(y_half[o]) : (double)y[o];
        const double room = p->is_max ? 0 : fabs(wanted) / (is_narrow ? 250 : 1e6);
        assert_near(found, wanted, room, "output", p);
    }
}

static void check_backward(const pri_pool_problem *p, bool add)
{
    const int64_t area = p->axis[0].kernel * p->axis[1].kernel * p->axis[2].kernel;
    const int64_t count = count_of(p, true);
    const bool is_narrow = p->x_type == PRI_BF16;

    fill(d, d_half, count, 3);
    for (int64_t i = 0; i < count; i++)
        expected[i] = add ? (double)d[i] : 0;
    for (int64_t o = 0; o < count_of(p, false); o++) {
        const facts f = facts_of(p, o);
        if (p->is_max && f.first >= 0)
            expected[f.first] += (double)g[o];
        for (int64_t k = 0; k < area && !p->is_max; k++) {
            bool is_outside;
            const int64_t at = source_of(p, o, k, &is_outside);
            if (at >= 0)
                expected[at] += (double)g[o] / f.divisor;
        }
    }
    PRI_TABLE(pri_pool_lanes)
        ->backward(p, either(p->x_type, x, x_half), either(p->y_type, g, g_half),
                   either(p->x_type, d, d_half), add);
    for (int64_t i = 0; i < count; i++) {
        const double found = is_narrow ? (double)pri_bf16_to_f32(d_half[i]) : (double)d[i];
        /* sums of several windows are rounded one by one */
        const double room = is_narrow ? 0.02 * (double)area : 1e-6 * (double)area;
        assert_near(found, expected[i], room * (1 + fabs(expected[i])) / 4, "gradient", p);
    }
}

static const pri_pool_axis none = {1, 1, 1, 1, 1, 0, 0};

static void check(pri_pool_problem p)
{
    p.images = IMAGES;
    assert_true(count_of(&p, true) <= MOST && count_of(&p, false) <= MOST);
    fill(x, x_half, count_of(&p, true), 1);
    fill(g, g_half, count_of(&p, false), 2);
    for (int types = 0; types < 4; types++) {
        p.x_type = (types & 1) != 0 ? test_narrow_type() : PRI_F32;
        p.y_type = (types & 2) != 0 ? test_narrow_type() : PRI_F32;
        check_forward(&p);
        check_backward(&p, false);
        check_backward(&p, true);
    }
}

static void pooling_is_what_it_is_defined_as(void **state)
{
    static const int64_t channels[] = {1, 3, 11, 16, 24, 32, 67};
    const pri_pool_axis windows[][2] = {
        {axis_of(6, 2, 2, 1, 0, 0), axis_of(8, 2, 2, 1, 0, 0)}, /* tiles */
        {axis_of(7, 2, 2, 1, 0, 0), axis_of(9, 2, 2, 1, 0, 0)}, /* leaves an edge */
        {axis_of(7, 2, 2, 1, 0, 1), axis_of(9, 2, 2, 1, 1, 0)},
        {axis_of(9, 3, 2, 1, 1, 1), axis_of(13, 3, 2, 1, 1, 1)}, /* overlaps */
        {axis_of(5, 3, 1, 1, 1, 1), axis_of(6, 3, 1, 1, 1, 1)},
        {axis_of(9, 3, 3, 1, 0, 0), axis_of(6, 2, 3, 1, 0, 0)}, /* leaves gaps */
        {axis_of(9, 2, 1, 3, 0, 0), axis_of(8, 3, 2, 2, 1, 2)}, /* dilated */
        {axis_of(5, 5, 1, 1, 0, 0), axis_of(7, 7, 1, 1, 0, 0)}, /* global */
        {none, axis_of(12, 2, 2, 1, 0, 0)},
        {axis_of(1, 3, 2, 1, 1, 1), axis_of(2, 4, 3, 1, 2, 3)}};

    (void)state;
    if (pri_lanes() == 0) {
        printf("skipped: this processor has neither AVX2 nor AVX-512\n");
        skip();
    }
    for (size_t w = 0; w < PRI_COUNT(windows); w++) {
        for (size_t c = 0; c < PRI_COUNT(channels); c++) {
            for (int kind = 0; kind < 3; kind++)
                check((pri_pool_problem){.channels = channels[c],
                                         .axis = {none, windows[w][0], windows[w][1]},
                                         .is_max = kind == 0,
                                         .counts_padding = kind == 2});
        }
    }
    for (int kind = 0; kind < 2; kind++) {
        check((pri_pool_problem){.channels = 19,
                                 .axis = {axis_of(4, 2, 2, 1, 0, 0), windows[0][0], windows[0][1]},
                                 .is_max = kind == 0});
        check((pri_pool_problem){.channels = 19,
                                 .axis = {axis_of(5, 3, 1, 1, 1, 1), windows[3][0], windows[1][1]},
                                 .is_max = kind == 0});
    }
}

/* As the loops of ops/pool.c: numbers win over what is none, and a window without any is lowest. */
static void what_is_no_number_is_no_maximum(void **state)
{
    const pri_pool_axis pair = axis_of(4, 2, 2, 1, 0, 0);
    pri_pool_problem p = {.images = 1, .channels = 1, .axis = {none, none, pair}, .is_max = true};
    const float values[4] = {NAN, -3, NAN, NAN};

    (void)state;
    if (pri_lanes() == 0)
        skip();
    p.x_type = p.y_type = PRI_F32;
    PRI_TABLE(pri_pool_lanes)->forward(&p, values, y);
    assert_true(y[0] == -3 && y[1] < -3e38f);
    g[0] = 5;
    g[1] = 7;
    PRI_TABLE(pri_pool_lanes)->backward(&p, values, g, d, false);
    assert_true(d[0] == 0 && d[1] == 5 && d[2] == 0 && d[3] == 0);
    if (!pri_vectors_take(PRI_BF16))
        return;
    for (int i = 0; i < 4; i++)
        x_half[i] = pri_f32_to_bf16(values[i]);
    p.x_type = p.y_type = PRI_BF16;
    PRI_TABLE(pri_pool_lanes)->forward(&p, x_half, y_half);
    assert_true(pri_bf16_to_f32(y_half[0]) == -3 && pri_bf16_to_f32(y_half[1]) < -3e38f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pooling_is_what_it_is_defined_as),
                                       cmocka_unit_test(what_is_no_number_is_no_maximum)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
