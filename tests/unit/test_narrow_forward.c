/* SPDX-License-Identifier: Apache-2.0 */
/* test_narrow_forward.c - direct convolutions in bfloat16, forwards and to the gradients of inputs,
 * against sums in double, by implementations of oneDNN that read nothing that is not theirs. */
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "kernels/dnn_conv.h"
#include "naive_conv.h"

static const struct {
    int64_t batch, in, out, rows, columns, kernel, stride;
} shapes[] = {{10, 45, 45, 6, 6, 3, 1},  {10, 45, 45, 2, 2, 3, 1},    {3, 45, 29, 14, 14, 3, 1},
              {2, 16, 16, 9, 9, 3, 1},   {2, 64, 64, 7, 7, 5, 1},     {1, 16, 45, 1, 1, 3, 1},
              {4, 17, 33, 15, 11, 3, 2}, {2, 100, 7, 5, 16, 3, 1},    {3, 32, 64, 16, 16, 3, 2},
              {2, 64, 96, 8, 5, 5, 2},   {4, 45, 45, 6, 6, 1, 1},     {1, 3, 16, 16, 16, 7, 2},
              {2, 1, 5, 12, 12, 3, 1},   {1, 128, 128, 28, 28, 3, 1}, {3, 23, 11, 4, 4, 1, 2}};

static pri_conv_problem problem_of(size_t k)
{
    const int64_t pad = shapes[k].kernel / 2, kernel = shapes[k].kernel, stride = shapes[k].stride;

    return (pri_conv_problem){.spatial = 2,
                              .batch = shapes[k].batch,
                              .groups = 1,
                              .in_channels = shapes[k].in,
                              .out_channels = shapes[k].out,
                              .in = {shapes[k].rows, shapes[k].columns},
                              .out = {(shapes[k].rows + 2 * pad - kernel) / stride + 1,
                                      (shapes[k].columns + 2 * pad - kernel) / stride + 1},
                              .kernel = {kernel, kernel},
                              .stride = {stride, stride},
                              .dilation = {1, 1},
                              .pad_begin = {pad, pad},
                              .pad_end = {pad, pad},
                              .layout = PRI_CHANNELS_LAST,
                              .is_narrow = true};
}

/* Numbers that bfloat16 holds, so that only sums round. */
static float *numbers(int64_t count, uint64_t seed)
{
    float *x = malloc((size_t)count * sizeof *x);

    assert_non_null(x);
    for (int64_t k = 0; k < count; k++)
        x[k] = (float)((int64_t)pri_random_below(65, seed, PRI_STREAM_TEST, (uint64_t)k) - 32) / 32;
    return x;
}

static void is_close(const float *a, const double *b, int64_t count, int64_t terms)
{
    const double tolerance = 1e-6 * (double)terms + 1e-5;

    for (int64_t k = 0; k < count; k++)
        assert_true(fabs((double)a[k] - b[k]) <= tolerance);
}

static void check(pare_context *ctx, const pri_conv_problem *p)
{
    const int64_t xs = p->batch * p->in[0] * p->in[1] * p->in_channels;
    const int64_t ys = p->batch * p->out[0] * p->out[1] * p->out_channels;
    const int64_t window = p->kernel[0] * p->kernel[1];
    float *x = numbers(xs, 1), *g = numbers(ys, 2);
    float *w = numbers(p->in_channels * p->out_channels * window, 3);
    float *y = malloc((size_t)ys * sizeof *y), *gx = malloc((size_t)xs * sizeof *gx);
    double *expected = malloc((size_t)(xs > ys ? xs : ys) * sizeof *expected);
    pri_conv *conv = NULL;

    assert_true(y != NULL && gx != NULL && expected != NULL);
    test_ok(ctx,
            pri_conv_make(&conv, ctx, p, PRI_CONV_FORWARD | PRI_CONV_BACKWARD_DATA, PRI_CONV_BF16));
    void *scratch = pri_alloc_aligned(ctx, pri_conv_scratch(conv) + 1);
    assert_non_null(scratch);
    test_ok(ctx, pri_conv_pack(conv, w, NULL, NULL, scratch));
    test_ok(ctx, pri_conv_forward(conv, x, y, scratch));
    naive_conv_forward(expected, p, x, w);
    is_close(y, expected, ys, p->in_channels * window);
    test_ok(ctx, pri_conv_backward_data(conv, g, gx, scratch));
    naive_conv_data(expected, p, g, w);
    is_close(gx, expected, xs, p->out_channels * window);
    pri_free(scratch);
    pri_conv_free(conv);
    free(x);
    free(g);
    free(w);
    free(y);
    free(gx);
    free(expected);
}

static void sums_are_right(void **state)
{
    if (!pri_dnn_has_bf16()) {
        printf("skipped: this processor does not multiply bfloat16\n");
        skip();
    }
    for (size_t k = 0; k < PRI_COUNT(shapes); k++) {
        const pri_conv_problem p = problem_of(k);
        check(*state, &p);
    }
}

/* The fault depends on what lies behind an array, so that it is the implementation that is named:
 * with a sanitizer it faults for some of these shapes, and where it does not, nothing shows. */
static void nothing_is_read_past_an_array(void **state)
{
    for (int type = 0; type < 2; type++) {
        for (size_t k = 0; k < PRI_COUNT(shapes) && pri_dnn_has_bf16(); k++) {
            pri_conv_problem p = problem_of(k);
            const char *name = "";
            pri_conv *conv = NULL;

            p.src_type = p.dst_type = type == 1 ? PRI_BF16 : PRI_F32;
            p.accumulates = k % 2 == 1;
            p.post = k % 3 == 1 ? PRI_POST_RELU : PRI_POST_NONE;
            test_ok(*state, pri_conv_make(&conv, *state, &p, PRI_CONV_FORWARD, PRI_CONV_BF16));
            assert_int_equal(dnnl_primitive_desc_query(conv->forward.desc, dnnl_query_impl_info_str,
                                                       0, (void *)&name),
                             dnnl_success);
            assert_true(dnnl_version()->major != 2 ||
                        strncmp(name, "brgconv:avx512_core_amx", 23) != 0);
            assert_null(strstr(name, "ref"));
            pri_conv_free(conv);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sums_are_right),
                                       cmocka_unit_test(nothing_is_read_past_an_array)};

    return cmocka_run_group_tests(tests, test_setup, test_teardown);
}
