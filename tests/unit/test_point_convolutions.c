/* SPDX-License-Identifier: Apache-2.0 */
/* test_point_convolutions.c - strided 1 x 1 convolutions of few channels against sums in double. */
#include "naive_conv.h"
#include "support.h"

#include <math.h>
#include <string.h>

#include "base/random.h"
#include "kernels/dnn.h"

enum { BATCH = 3, CHANNELS = 40, SIZE = 24, GUARD = 4096 };

static float x[BATCH * SIZE * SIZE * CHANNELS], g[BATCH * SIZE * SIZE * CHANNELS];
static float gradient[CHANNELS * CHANNELS];

static double expected(const pri_conv_problem *p, int64_t o, int64_t i)
{
    double sum = 0;

    for (int64_t at = 0; at < p->batch * p->out[0] * p->out[1]; at++) {
        const int64_t image = at / (p->out[0] * p->out[1]), row = at / p->out[1] % p->out[0];
        const int64_t from =
            (image * p->in[0] + p->stride[0] * row) * p->in[1] + p->stride[1] * (at % p->out[1]);
        sum += (double)x[from * p->in_channels + i] * g[at * p->out_channels + o];
    }
    return sum;
}

/* The gradient of the weights is right, and nothing is written behind the scratch. */
static void check(pare_context *ctx, const pri_conv_problem *p, double tolerance)
{
    pri_conv *conv = NULL;

    test_ok(ctx, pri_conv_new(&conv, ctx, p, PRI_CONV_FORWARD | PRI_CONV_BACKWARD_WEIGHTS));
    const size_t bytes = pri_conv_scratch(conv);
    unsigned char *scratch = pri_alloc_aligned(ctx, bytes + GUARD);
    assert_non_null(scratch);
    memset(scratch, 0x11, bytes + GUARD);
    memset(gradient, 0, sizeof gradient);
    test_ok(ctx, pri_conv_backward_weights(conv, x, g, gradient, NULL, scratch, false));
    for (size_t k = 0; k < GUARD; k++)
        assert_int_equal(scratch[bytes + k], 0x11);
    for (int64_t o = 0; o < p->out_channels; o++) {
        for (int64_t i = 0; i < p->in_channels; i++)
            assert_true(fabs(gradient[o * p->in_channels + i] - expected(p, o, i)) < tolerance);
    }
    pri_free(scratch);
    pri_conv_free(conv);
}

static void gradients_of_weights_are_right(void **state)
{
    static const int64_t inputs[] = {1, 3, 4, 8, 12, 15, 16, 20, 33};

    for (int k = 0; k < BATCH * SIZE * SIZE * CHANNELS; k++) {
        x[k] = (float)pri_random_normal(1, PRI_STREAM_TEST, (uint64_t)k);
        g[k] = (float)pri_random_normal(2, PRI_STREAM_TEST, (uint64_t)k);
    }
    for (int narrow = 0; narrow < (pri_dnn_has_bf16() ? 2 : 1); narrow++) {
        for (size_t k = 0; k < PRI_COUNT(inputs); k++) {
            for (int64_t size = 12; size <= SIZE; size += 12) {
                for (int64_t outputs = 8; outputs <= CHANNELS; outputs += 16) {
                    pri_conv_problem p =
                        naive_conv_problem(BATCH, inputs[k], outputs, size, size, 1);
                    p.stride[0] = p.stride[1] = 2;
                    p.out[0] = p.out[1] = size / 2;
                    p.is_narrow = narrow == 1;
                    check(*state, &p, narrow == 1 ? 0.6 : 1e-3);
                }
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(gradients_of_weights_are_right)};

    return cmocka_run_group_tests(tests, test_setup, test_teardown);
}
