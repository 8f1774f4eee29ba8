/* SPDX-License-Identifier: Apache-2.0 */
/* test_depthwise.c - depthwise convolutions beside their definition in double. */
#include "naive_conv.h"
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "kernels/depthwise.h"
#include "kernels/narrow.h"

#ifdef _OPENMP
#include <omp.h>
#endif

/* Of results as large as a few: what float32 sums of a few thousand products come to. */
static const double tolerance = 2e-6;

static int64_t pick(int64_t below, uint64_t *draws)
{
    return pri_random_below(below, 21, PRI_STREAM_TEST, (*draws)++);
}

/* --- Operands --- */

enum { AROUND = 64 };

/* Elements with NaN (all bits set) around them. */
typedef struct array {
    unsigned char *room;
    void *data;
    float *floats; /* what it held at first */
    pri_dtype dtype;
    int64_t count;
} array;

static array array_of(int64_t count, pri_dtype dtype, uint64_t seed)
{
    const size_t bytes = (size_t)count * pri_dtype_bytes(dtype);
    array a = {.dtype = dtype, .count = count};

    a.room = malloc(bytes + 2 * AROUND + 64);
    a.floats = malloc((size_t)count * sizeof(float));
    assert_true(a.room != NULL && a.floats != NULL);
    memset(a.room, 0xff, bytes + 2 * AROUND + 64);
    a.data = a.room + (64 - (uintptr_t)a.room % 64) + AROUND;
    for (int64_t i = 0; i < count; i++) {
        const float value = (float)pri_random_normal(seed, PRI_STREAM_TEST, (uint64_t)i);
        PRI_STORE(a.data, i, dtype == PRI_BF16, value);
        a.floats[i] = PRI_LOAD(a.data, i, dtype == PRI_BF16);
    }
    return a;
}

static void drop(array *a)
{
    const unsigned char *from = a->data, *end = from + (size_t)a->count * pri_dtype_bytes(a->dtype);

    for (int k = 1; k <= AROUND; k++)
        assert_true(from[-k] == 0xff && end[k - 1] == 0xff);
    free(a->room);
    free(a->floats);
}

/* --- The definition --- */

/* y, gx, gw and gb of a convolution: results are added to. */
typedef struct results {
    double *y, *gx, *gw, *gb;
} results;

static void define(const results *r, const pri_conv_problem *p, const float *x, const float *w,
                   const float *g)
{
    const int64_t channels = p->in_channels, taps = p->kernel[0] * p->kernel[1];

    for (int64_t q = 0; q < p->batch * p->out[0] * p->out[1]; q++) {
        const int64_t n = q / (p->out[0] * p->out[1]);
        for (int64_t k = 0; k < taps; k++) {
            const int64_t row = q / p->out[1] % p->out[0] * p->stride[0] - p->pad_begin[0] +
                                k / p->kernel[1] * p->dilation[0];
            const int64_t column =
                q % p->out[1] * p->stride[1] - p->pad_begin[1] + k % p->kernel[1] * p->dilation[1];
            if (row < 0 || row >= p->in[0] || column < 0 || column >= p->in[1])
                continue;
            const int64_t at = ((n * p->in[0] + row) * p->in[1] + column) * channels;
            for (int64_t c = 0; c < channels; c++) {
                const double product = (double)w[c * taps + k];
                r->y[q * channels + c] += product * (double)x[at + c];
                r->gx[at + c] += product * (double)g[q * channels + c];
                r->gw[c * taps + k] += (double)x[at + c] * (double)g[q * channels + c];
            }
        }
        for (int64_t c = 0; c < channels; c++)
            r->gb[c] += (double)g[q * channels + c];
    }
}

static double finished(const pri_conv_problem *p, double y)
{
    if (p->post == PRI_POST_RELU)
        return y < 0 ? (double)p->alpha * y : y;
    return p->post == PRI_POST_CLIP ? fmin(fmax(y, (double)p->alpha), (double)p->beta) : y;
}

static double *zeros(int64_t count)
{
    double *x = calloc((size_t)count, sizeof *x);

    assert_non_null(x);
    return x;
}

/* --- One convolution --- */

static void describe(const pri_conv_problem *p, const char *what)
{
    print_error("%s: batch %lld, %lld channels", what, (long long)p->batch,
                (long long)p->in_channels);
    for (int k = 0; k < 2; k++)
        print_error("; in %lld out %lld kernel %lld stride %lld dilation %lld pads %lld %lld",
                    (long long)p->in[k], (long long)p->out[k], (long long)p->kernel[k],
                    (long long)p->stride[k], (long long)p->dilation[k], (long long)p->pad_begin[k],
                    (long long)p->pad_end[k]);
    print_error("; types %d %d, post %d\n", p->src_type, p->dst_type, p->post);
}

/* Within rounding of sums of so many products. */
static void assert_near(const array *found, const double *expected, int64_t products,
                        const pri_conv_problem *p, const char *what)
{
    const double room = tolerance * (4 + sqrt((double)products));

    for (int64_t i = 0; i < found->count; i++) {
        const double x = (double)PRI_LOAD(found->data, i, found->dtype == PRI_BF16);
        const double rounding = found->dtype == PRI_BF16 ? (fabs(expected[i]) + room) / 256 : 0;
        if (fabs(x - expected[i]) <= room + rounding + tolerance * fabs(expected[i]))
            continue;
        describe(p, what);
        fail_msg("%g at %lld, not %g", x, (long long)i, expected[i]);
    }
}

typedef struct operands {
    array x, g, w, scale, bias, y, gx, gw, gb;
} operands;

static operands operands_of(const pri_conv_problem *p)
{
    const int64_t channels = p->in_channels, in = p->batch * p->in[0] * p->in[1] * channels;
    const int64_t out = p->batch * p->out[0] * p->out[1] * channels;
    const int64_t weights = channels * p->kernel[0] * p->kernel[1];

    return (operands){array_of(in, p->src_type, 1),   array_of(out, p->dst_type, 2),
                      array_of(weights, PRI_F32, 3),  array_of(channels, PRI_F32, 4),
                      array_of(channels, PRI_F32, 5), array_of(out, p->dst_type, 6),
                      array_of(in, p->src_type, 7),   array_of(weights, PRI_F32, 8),
                      array_of(channels, PRI_F32, 9)};
}

static void convolve(pare_context *ctx, operands *o, const pri_conv_problem *p)
{
    pri_depthwise *d = NULL;

    test_ok(ctx, pri_depthwise_new(&d, ctx, p));
    void *scratch = pri_alloc_aligned(ctx, pri_depthwise_scratch(d));
    assert_non_null(scratch);
    memset(scratch, 0xff, pri_depthwise_scratch(d));
    pri_depthwise_pack(d, o->w.data, o->scale.data, o->bias.data);
    pri_depthwise_forward(d, o->x.data, o->y.data);
    pri_depthwise_backward_data(d, o->g.data, o->gx.data);
    pri_depthwise_backward_weights(d, o->x.data, o->g.data, o->gw.data, o->gb.data, scratch);
    pri_free(scratch);
    pri_depthwise_free(d);
}

static void assert_right(const operands *o, const pri_conv_problem *p)
{
    const int64_t channels = p->in_channels, taps = p->kernel[0] * p->kernel[1];
    const int64_t positions = p->batch * p->out[0] * p->out[1];
    const results r = {zeros(o->y.count), zeros(o->gx.count), zeros(o->gw.count), zeros(channels)};
    float *w = malloc((size_t)o->w.count * sizeof *w);

    assert_non_null(w);
    for (int64_t i = 0; i < o->w.count; i++)
        w[i] = o->w.floats[i] * o->scale.floats[i / taps];
    define(&r, p, o->x.floats, w, o->g.floats);
    for (int64_t i = 0; i < o->y.count; i++)
        r.y[i] = finished(p, r.y[i] + (double)o->bias.floats[i % channels]);
    for (int64_t i = 0; i < o->gw.count; i++)
        r.gw[i] += (double)o->gw.floats[i];
    for (int64_t c = 0; c < channels; c++)
        r.gb[c] += (double)o->gb.floats[c];
    assert_near(&o->y, r.y, taps, p, "outputs");
    assert_near(&o->gx, r.gx, taps, p, "gradients of inputs");
    assert_near(&o->gw, r.gw, positions, p, "gradients of weights");
    assert_near(&o->gb, r.gb, positions, p, "gradients of the bias");
    free(r.y);
    free(r.gx);
    free(r.gw);
    free(r.gb);
    free(w);
}

static void drop_all(operands *o)
{
    array *const all[] = {&o->x, &o->g, &o->w, &o->scale, &o->bias, &o->y, &o->gx, &o->gw, &o->gb};

    for (size_t k = 0; k < PRI_COUNT(all); k++)
        drop(all[k]);
}

static void check(pare_context *ctx, const pri_conv_problem *p)
{
    operands o = operands_of(p);

    assert_true(pri_depthwise_suits(p));
    convolve(ctx, &o, p);
    assert_right(&o, p);
    drop_all(&o);
}

/* --- Problems --- */

static pri_conv_problem base(void)
{
    pri_conv_problem p = naive_conv_problem(2, 32, 32, 9, 11, 3);

    p.groups = 32;
    return p;
}

static void skip_without(void)
{
    const pri_conv_problem p = base();

    if (pri_depthwise_suits(&p))
        return;
    printf("skipped: this processor has neither AVX2 nor AVX-512\n");
    skip();
}

/* With the padding that is there. */
static bool resize(pri_conv_problem *p, int axis, int64_t in)
{
    return naive_conv_resize(p, axis, in, p->pad_begin[axis], p->pad_end[axis]);
}

static pri_conv_problem drawn(uint64_t *draws)
{
    static const int64_t channels[] = {8, 9, 16, 17, 31, 32, 33, 45, 64, 70};
    static const pri_post_kind posts[] = {PRI_POST_NONE, PRI_POST_RELU, PRI_POST_CLIP};
    pri_conv_problem p = base();

    p.batch = 1 + pick(4, draws);
    p.groups = channels[pick(PRI_COUNT(channels), draws)];
    p.in_channels = p.out_channels = p.groups;
    const pri_dtype types[] = {PRI_F32, test_narrow_type()};
    const int64_t type = pick(2, draws);
    p.src_type = types[type];
    p.dst_type = types[pick(4, draws) == 0 ? 1 - type : type];
    p.post = posts[pick(PRI_COUNT(posts), draws)];
    p.alpha = p.post == PRI_POST_CLIP ? -1.5f : pick(2, draws) == 0 ? 0.125f : 0;
    p.beta = 3;
    return p;
}

static void kernels_of_networks_are_right(void **state)
{
    uint64_t draws = 0;

    skip_without();
    for (int k = 0; k < 300;) {
        pri_conv_problem p = drawn(&draws);
        for (int a = 0; a < 2; a++) {
            p.kernel[a] = k % 3 == 0 ? 5 : 3;
            p.stride[a] = 1 + k / 3 % 2;
            p.pad_begin[a] = p.kernel[a] / 2 - pick(2, &draws) * pick(2, &draws);
            p.pad_end[a] = p.kernel[a] / 2 - pick(2, &draws);
        }
        if (resize(&p, 0, 1 + pick(12, &draws)) && resize(&p, 1, 1 + pick(35, &draws))) {
            check(*state, &p);
            k++;
        }
    }
}

static void every_kernel_is_right(void **state)
{
    uint64_t draws = 1 << 20;

    skip_without();
    for (int k = 0; k < 600;) {
        pri_conv_problem p = drawn(&draws);
        for (int a = 0; a < 2; a++) {
            p.kernel[a] = 1 + pick(7, &draws);
            p.stride[a] = 1 + pick(2, &draws);
            p.dilation[a] = 1 + pick(3, &draws) * pick(2, &draws);
            p.pad_begin[a] = pick(p.kernel[a] + 2, &draws);
            p.pad_end[a] = pick(p.kernel[a] + 2, &draws);
        }
        if (resize(&p, 0, 1 + pick(9, &draws)) && resize(&p, 1, 1 + pick(20, &draws))) {
            check(*state, &p);
            k++;
        }
    }
}

static void threads_do_not_change_results(void **state)
{
    uint64_t draws = 2 << 20;

    skip_without();
#ifdef _OPENMP
    for (int k = 0; k < 20; k++) {
        pri_conv_problem p = drawn(&draws);
        (void)resize(&p, 0, 5 + pick(30, &draws));
        (void)resize(&p, 1, 5 + pick(30, &draws));
        operands one = operands_of(&p), many = operands_of(&p);
        omp_set_num_threads(1);
        convolve(*state, &one, &p);
        omp_set_num_threads(3);
        convolve(*state, &many, &p);
        const size_t in = (size_t)one.gx.count * pri_dtype_bytes(p.src_type);
        assert_memory_equal(one.gx.data, many.gx.data, in);
        assert_memory_equal(one.gw.data, many.gw.data, (size_t)one.gw.count * sizeof(float));
        assert_memory_equal(one.gb.data, many.gb.data, (size_t)one.gb.count * sizeof(float));
        const size_t out = (size_t)one.y.count * pri_dtype_bytes(p.dst_type);
        assert_memory_equal(one.y.data, many.y.data, out);
        drop_all(&one);
        drop_all(&many);
    }
    omp_set_num_threads(1);
#endif
}

static void what_is_not_depthwise_is_left(void **state)
{
    pri_conv_problem p = base();

    (void)state;
    p.groups = 16;
    assert_false(pri_depthwise_suits(&p));
    p = base();
    p.out_channels = 64;
    assert_false(pri_depthwise_suits(&p));
    p = base();
    p.layout = PRI_PLAIN;
    assert_false(pri_depthwise_suits(&p));
    p = base();
    p.accumulates = true;
    assert_false(pri_depthwise_suits(&p));
    p = base();
    p.post = PRI_POST_SWISH;
    assert_false(pri_depthwise_suits(&p));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kernels_of_networks_are_right),
        cmocka_unit_test(every_kernel_is_right),
        cmocka_unit_test(threads_do_not_change_results),
        cmocka_unit_test(what_is_not_depthwise_is_left),
    };

    return cmocka_run_group_tests(tests, test_setup, test_teardown);
}
