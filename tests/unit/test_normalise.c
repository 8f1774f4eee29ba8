/* SPDX-License-Identifier: Apache-2.0 */
/* test_normalise.c - the passes of a normalisation against their definitions, in double. */
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/float_bits.h"
#include "base/random.h"
#include "kernels/normalise.h"

enum { GUARD = 64 }; /* elements on both sides of a tensor that nobody may write */

/* A tensor of floats or bfloat16 within guards, and what it held at first. */
typedef struct array {
    unsigned char *room;
    pri_norm_tensor t;
    int64_t count;
} array;

static size_t size_of(pri_dtype dtype)
{
    return dtype == PRI_BF16 ? 2 : 4;
}

static double get(const array *a, int64_t i)
{
    return a->t.dtype == PRI_BF16 ? pri_bf16_to_f32(((const uint16_t *)a->t.data)[i])
                                  : ((const float *)a->t.data)[i];
}

static void put(const array *a, int64_t i, double value)
{
    if (a->t.dtype == PRI_BF16)
        ((uint16_t *)a->t.data)[i] = pri_f32_to_bf16((float)value);
    else
        ((float *)a->t.data)[i] = (float)value;
}

static array array_new(int64_t count, pri_dtype dtype, uint64_t *draws)
{
    const size_t size = size_of(dtype), bytes = ((size_t)count + 2 * GUARD) * size;
    array a = {
        .room = aligned_alloc(64, (bytes + 63) / 64 * 64), .t = {NULL, dtype}, .count = count};

    assert_non_null(a.room);
    memset(a.room, 0xff, bytes);
    a.t.data = a.room + GUARD * size;
    for (int64_t i = 0; i < count; i++)
        put(&a, i, 2 * pri_random_unit(11, 0, (*draws)++) - 1);
    return a;
}

static void array_end(array *a)
{
    const size_t guard = GUARD * size_of(a->t.dtype);
    const unsigned char *behind =
        (unsigned char *)a->t.data + (size_t)a->count * size_of(a->t.dtype);

    for (size_t i = 0; i < guard; i++)
        assert_true(a->room[i] == 0xff && behind[i] == 0xff);
    free(a->room);
}

static double *doubles_of(const array *a)
{
    double *all = malloc((size_t)a->count * sizeof *all);

    assert_non_null(all);
    for (int64_t i = 0; i < a->count; i++)
        all[i] = get(a, i);
    return all;
}

static void assert_near(const array *a, int64_t i, double expected)
{
    const double error = a->t.dtype == PRI_BF16 ? 1.0 / 256 : 2e-6;

    if (fabs(get(a, i) - expected) > error * fmax(1, fabs(expected)))
        fail_msg("element %lld is %.9g, should be %.9g", (long long)i, get(a, i), expected);
}

typedef struct numbers {
    pri_channels ch;
    float *mean, *scale, *shift, *slope, *tilt; /* C each */
    double *sums;
    void *scratch;
} numbers;

static numbers numbers_new(const pri_channels *ch, uint64_t *draws)
{
    const size_t c = (size_t)ch->channels, bytes = (pri_norm_scratch(ch) + 63) / 64 * 64;
    float *all = malloc(5 * c * sizeof *all);
    numbers n = {.ch = *ch,
                 .mean = all,
                 .scale = all + c,
                 .shift = all + 2 * c,
                 .slope = all + 3 * c,
                 .tilt = all + 4 * c,
                 .sums = malloc(2 * c * sizeof(double)),
                 .scratch = aligned_alloc(64, bytes)};

    assert_true(all != NULL && n.sums != NULL && n.scratch != NULL);
    memset(n.scratch, 0xff, bytes);
    for (size_t i = 0; i < 5 * c; i++)
        all[i] = (float)(2 * pri_random_unit(11, 0, (*draws)++) - 1);
    return n;
}

static void numbers_end(numbers *n)
{
    free(n->mean);
    free(n->sums);
    free(n->scratch);
}

static int64_t channel_of(const pri_channels *ch, int64_t i)
{
    return ch->channel_stride == 1 ? i % ch->channels : i / ch->inner % ch->channels;
}

/* --- One case --- */

typedef struct norm_case {
    pri_channels ch;
    pri_dtype x_type, y_type;
    pri_norm_bounds bounds;
    bool has_residual, in_place, add, residual_add, over_g, no_d;
} norm_case;

/* No number is so close to a bound that rounding decides whether it is cut off. */
static void keep_off_bounds(const norm_case *k, const array *x, const numbers *n)
{
    for (int64_t i = 0; i < x->count && k->bounds.is_there; i++) {
        const int64_t c = channel_of(&k->ch, i);
        const double at = get(x, i) * n->scale[c] + n->shift[c];
        if (fabs(at - k->bounds.low) < 1e-4 || fabs(at - k->bounds.high) < 1e-4)
            put(x, i, get(x, i) + 0.125);
    }
}

/* Differences of bfloat16 from one number have the same last bits: their sums are all rounded to
 * one side, at most by half a unit in the last place of 128 of them. */
static void check_sums(const numbers *n, const double *first, const double *second,
                       const double *size)
{
    const double error = 4e-6;

    for (int64_t c = 0; c < n->ch.channels; c++) {
        if (fabs(n->sums[c] - first[c]) > error * size[c] ||
            fabs(n->sums[n->ch.channels + c] - second[c]) > error * size[c])
            fail_msg("sums of channel %lld are %.9g and %.9g, should be %.9g and %.9g",
                     (long long)c, n->sums[c], n->sums[n->ch.channels + c], first[c], second[c]);
    }
}

/* y and the sums of squares. */
static void check_forward(const norm_case *k, const array *x, const array *residual, const array *y,
                          numbers *n)
{
    const int64_t channels = k->ch.channels;
    double *expected = calloc(3 * (size_t)channels, sizeof *expected);
    const pri_norm_forward how = {n->scale, n->shift, k->bounds,
                                  k->has_residual ? residual->t : (pri_norm_tensor){NULL, PRI_F32}};

    assert_non_null(expected);
    for (int64_t i = 0; i < x->count; i++) {
        const int64_t c = channel_of(&k->ch, i);
        const double d = get(x, i) - n->mean[c];
        expected[c] += d * d;
        expected[channels + c] += d;
        expected[2 * channels + c] += fabs(d) + d * d;
    }
    pri_norm_sums(&k->ch, x->t, n->mean, n->sums, n->scratch);
    check_sums(n, expected, expected + channels, expected + 2 * channels);
    pri_norm_apply(&k->ch, x->t, y->t, &how, n->scratch);
    for (int64_t i = 0; i < x->count; i++) {
        const int64_t c = channel_of(&k->ch, i);
        double v = get(x, i) * n->scale[c] + n->shift[c];
        v += k->has_residual ? get(residual, i) : 0;
        if (k->bounds.is_there)
            v = fmin(fmax(v, k->bounds.low), k->bounds.high);
        assert_near(y, i, v);
    }
    free(expected);
}

/* Gradients that count, in new memory. */
static double *uncut(const norm_case *k, const array *x, const array *y, const array *g,
                     const numbers *n)
{
    double *h = doubles_of(g);

    for (int64_t i = 0; i < x->count && k->bounds.is_there; i++) {
        const int64_t c = channel_of(&k->ch, i);
        const double at = k->has_residual ? get(y, i) : get(x, i) * n->scale[c] + n->shift[c];
        const bool is_narrow = k->has_residual && y->t.dtype == PRI_BF16;
        const double low =
            is_narrow ? pri_bf16_to_f32(pri_f32_to_bf16(k->bounds.low)) : k->bounds.low;
        const double high =
            is_narrow ? pri_bf16_to_f32(pri_f32_to_bf16(k->bounds.high)) : k->bounds.high;
        if (at <= low || at >= high)
            h[i] = 0;
    }
    return h;
}

static void check_back_sums(const norm_case *k, const array *x, const double *h,
                            const pri_norm_back *back, numbers *n)
{
    const int64_t channels = k->ch.channels;
    double *expected = calloc(3 * (size_t)channels, sizeof *expected);

    assert_non_null(expected);
    for (int64_t i = 0; i < x->count; i++) {
        const int64_t c = channel_of(&k->ch, i);
        const double product = h[i] * (get(x, i) - n->mean[c]);
        expected[c] += product;
        expected[channels + c] += h[i];
        expected[2 * channels + c] += fabs(product) + fabs(h[i]);
    }
    pri_norm_back_sums(&k->ch, back, n->sums, n->scratch);
    check_sums(n, expected, expected + channels, expected + 2 * channels);
    free(expected);
}

static void check_backward(const norm_case *k, const array *x, const array *y, const array *g,
                           uint64_t *draws, numbers *n)
{
    array d = array_new(x->count, k->x_type, draws), r = array_new(x->count, k->y_type, draws);
    double *h = uncut(k, x, y, g, n), *d_before = doubles_of(&d), *r_before = doubles_of(&r);
    pri_norm_back back = {.x = x->t,
                          .g = g->t,
                          .mean = n->mean,
                          .scale = n->scale,
                          .shift = n->shift,
                          .bounds = k->bounds,
                          .slope = n->slope,
                          .tilt = n->tilt,
                          .d = k->no_d     ? NULL
                               : k->over_g ? g->t.data
                                           : d.t.data,
                          .add = k->add,
                          .y = k->has_residual ? y->t.data : NULL,
                          .residual_add = k->residual_add};

    if (k->has_residual)
        back.residual = k->in_place ? g->t : r.t;
    check_back_sums(k, x, h, &back, n);
    pri_norm_back_apply(&k->ch, &back, n->scratch);
    for (int64_t i = 0; i < x->count; i++) {
        const int64_t c = channel_of(&k->ch, i);
        const double given =
            n->scale[c] * (h[i] - n->tilt[c] - (get(x, i) - n->mean[c]) * n->slope[c]);
        if (!k->no_d)
            assert_near(k->over_g ? g : &d, i, (k->add ? d_before[i] : 0) + given);
        if (k->has_residual && k->in_place)
            assert_near(g, i, h[i]);
        else if (k->has_residual)
            assert_near(&r, i, (k->residual_add ? r_before[i] : 0) + h[i]);
    }
    free(h);
    free(d_before);
    free(r_before);
    array_end(&d);
    array_end(&r);
}

static void check(const norm_case *k, uint64_t *draws)
{
    const int64_t count = k->ch.outer * k->ch.channels * k->ch.inner;
    array x = array_new(count, k->x_type, draws), y = array_new(count, k->y_type, draws);
    array residual = array_new(count, k->y_type, draws);
    array g = array_new(count, k->y_type, draws);
    numbers n = numbers_new(&k->ch, draws);

    keep_off_bounds(k, &x, &n);
    check_forward(k, &x, &residual, &y, &n);
    check_backward(k, &x, &y, &g, draws, &n);
    numbers_end(&n);
    array_end(&x);
    array_end(&y);
    array_end(&residual);
    array_end(&g);
}

/* Each kind of call, by its number. */
static norm_case case_of(int number, int64_t outer, int64_t channels, int64_t inner, bool is_last)
{
    static const pri_norm_bounds bounds[] = {{0}, {true, 0, INFINITY}, {true, -0.3f, 0.4f}};
    const pri_dtype types[] = {PRI_F32, PRI_BF16};
    norm_case k = {.ch = {outer, channels, inner, is_last ? 1 : inner, is_last ? channels : 1},
                   .x_type = types[number % 2],
                   .y_type = types[number / 2 % 4 == 0 ? !(number % 2) : number % 2],
                   .bounds = bounds[number % 3],
                   .has_residual = number / 3 % 2 != 0,
                   .add = number / 6 % 2 != 0,
                   .residual_add = number / 4 % 2 != 0};

    k.in_place = k.has_residual && number / 12 % 2 != 0;
    k.no_d = k.has_residual && number % 11 == 0;
    k.over_g = !k.add && !k.in_place && !k.no_d && k.x_type == k.y_type && number / 5 % 2 != 0;
    return k;
}

static void all_passes_follow_their_definitions(void **state)
{
    static const int64_t channels[] = {1,  2,  3,  8,  11, 16,  23,  24,
                                       32, 48, 64, 80, 96, 100, 144, 700};
    static const int64_t sizes[][2] = {{1, 1}, {3, 5}, {2, 333}};
    uint64_t draws = 0;
    int number = 0;

    (void)state;
    for (size_t c = 0; c < PRI_COUNT(channels); c++) {
        for (size_t s = 0; s < PRI_COUNT(sizes); s++) {
            for (int i = 0; i < 24; i++, number++) {
                const norm_case k = case_of(number, sizes[s][0], channels[c], sizes[s][1], i < 20);
                check(&k, &draws);
            }
        }
    }
}

/* So large that results go past the caches where rows are whole vectors. */
static void large_tensors_too(void **state)
{
    const int64_t channels[] = {16, 32, 40};
    uint64_t draws = 0;

    (void)state;
    for (int i = 0; i < 3; i++) {
        norm_case k = case_of(i, 1, channels[i], 220000, true);
        k.y_type = k.x_type = i == 0 ? PRI_F32 : PRI_BF16;
        k.over_g = false;
        check(&k, &draws);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_passes_follow_their_definitions),
        cmocka_unit_test(large_tensors_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
