/* SPDX-License-Identifier: Apache-2.0 */
/* test_profile.c - what profiles say about algorithms and about moving activations. */
#include "build.h"
#include "naive_conv.h"

#include <math.h>
#include <string.h>

#include <pare/pare.h>

#include "kernels/winograd.h"

static pri_conv_problem suitable(void)
{
    return naive_conv_problem(2, 32, 24, 16, 16, 3);
}

/* A convolution that Winograd's algorithm suits by the rule (not in bfloat16 where there is AMX),
 * and one of few channels. */
static pare_model *two_convolutions(pare_context *ctx)
{
    pri_graph *graph = test_graph(ctx, 17);
    pri_value *x = test_input(graph, "x", 4, (const int64_t[]){4, 32, 16, 16});
    pri_value *wide = test_weight(graph, 4, (const int64_t[]){40, 32, 3, 3}, 1, 0.1);
    pri_value *narrow = test_weight(graph, 4, (const int64_t[]){8, 40, 3, 3}, 2, 0.1);
    pri_value *y = test_op(graph, "Conv", "pads=[1,1,1,1]", TEST_LIST(x, wide));

    test_output(graph, test_op(graph, "Conv", "pads=[1,1,1,1]", TEST_LIST(y, narrow)));
    return test_model(graph);
}

/* Images come and go plain: two changes of layout. In inference activations are floats, and what
 * multiplies in bfloat16 rounds its input (4 bytes read, 2 written). */
static void profile_says_what_is_chosen_and_moved(void **state)
{
    enum { WIDE_INPUT = 4 * 16 * 16 * 32 * 6, NARROW_INPUT = 4 * 16 * 16 * 40 * 6 };
    pare_context *ctx = test_context();
    pare_model *model = two_convolutions(ctx);
    const pri_conv_problem winograd = suitable();

    (void)state;
    for (int bf16 = 0; bf16 <= pri_dnn_has_bf16(); bf16++) {
        const pare_profile_step *convolutions[2] = {NULL, NULL};
        pare_profile profile;
        int n = 0;
        test_ok(ctx, pare_profile_model(
                         &profile, model,
                         &(pare_profile_options){.rounds = 1, .precision = bf16 ? "bf16" : "f32"}));
        assert_int_equal(profile.n_layouts, 2);
        for (int s = 0; s < profile.n_steps; s++) {
            if (strcmp(profile.steps[s].op_type, "Conv") == 0)
                convolutions[n++] = &profile.steps[s];
            else
                assert_string_equal(profile.steps[s].algorithm, "");
        }
        assert_int_equal(n, 2);
        assert_string_equal(convolutions[1]->algorithm, bf16 ? "bf16" : "direct");
        const bool is_winograd = strcmp(convolutions[0]->algorithm, "winograd") == 0;
        const bool is_tiled = bf16 && pri_dnn_has_amx();
        assert_int_equal(is_winograd, pri_winograd_suits(&winograd) && !is_tiled);
        assert_int_equal(convolutions[0]->staged, bf16 && !is_winograd ? WIDE_INPUT : 0);
        assert_int_equal(convolutions[1]->staged, bf16 ? NARROW_INPUT : 0);
        assert_int_equal(profile.n_staged, bf16 ? 1 + !is_winograd : 0);
        assert_int_equal(profile.staged, convolutions[0]->staged + convolutions[1]->staged);
        pare_profile_clear(&profile);
    }
    pare_model_free(model);
    pare_context_free(ctx);
}

/* 4 images of 32 channels of 16 x 16, to 40 channels, to 8. The first convolution gives no gradient
 * of its inputs, and so does not read its weights on the way back. */
static void profile_counts_what_there_is_to_do(void **state)
{
    enum { PIXELS = 4 * 16 * 16, MACS0 = PIXELS * 40 * 32 * 9, MACS1 = PIXELS * 8 * 40 * 9 };
    enum { X = 4 * PIXELS * 32, Y = 4 * PIXELS * 40, Z = 4 * PIXELS * 8 };
    enum { W0 = 4 * 40 * 32 * 9, W1 = 4 * 8 * 40 * 9 };
    static const int64_t macs[2][2] = {{MACS0, MACS1}, {2 * MACS0, 3 * MACS1}};
    static const int64_t bytes[2][2] = {
        {X + W0 + Y, Y + W1 + Z},
        {X + W0 + Y + (Y + X + W0), Y + W1 + Z + (Z + Y + W1) + (Y + W1)}};
    pare_context *ctx = test_context();
    pare_model *model = two_convolutions(ctx);

    (void)state;
    for (int training = 0; training <= 1; training++) {
        pare_profile profile;
        int64_t n = 0, all_bytes = 0;
        double limit = 0;
        test_ok(ctx, pare_profile_model(&profile, model,
                                        &(pare_profile_options){
                                            .rounds = 1, .training = training, .limits = true}));
        assert_true(profile.macs_per_second > 1e6 && profile.bytes_per_second > 1e6);
        for (int s = 0; s < profile.n_steps; s++) {
            const pare_profile_step *step = &profile.steps[s];
            const double by_macs = (double)step->macs / profile.macs_per_second;
            const double by_bytes = (double)step->bytes / profile.bytes_per_second;
            assert_true(fabs(step->limit - (by_macs > by_bytes ? by_macs : by_bytes)) < 1e-12);
            limit += step->limit;
            all_bytes += step->bytes;
            if (strcmp(step->op_type, "Conv") != 0)
                continue;
            assert_int_equal(step->macs, macs[training][n]);
            assert_int_equal(step->bytes, bytes[training][n++]);
        }
        assert_int_equal(n, 2);
        assert_int_equal(profile.macs, macs[training][0] + macs[training][1]);
        /* the images become channels-last, the result plain, its gradient channels-last */
        assert_int_equal(all_bytes,
                         bytes[training][0] + bytes[training][1] + 2 * X + (training ? 4 : 2) * Z);
        assert_int_equal(profile.bytes, all_bytes);
        assert_true(fabs(profile.limit - limit) < 1e-12);
        pare_profile_clear(&profile);
    }
    pare_model_free(model);
    pare_context_free(ctx);
}

/* Backwards the gradient of the output is staged once for both, the input once more. */
static void directions_stage_what_they_read(void **state)
{
    enum { IN = 2 * 16 * 16 * 8 * 6, OUT = 2 * 16 * 16 * 24 * 6 };
    const unsigned back = PRI_CONV_BACKWARD_DATA | PRI_CONV_BACKWARD_WEIGHTS;
    pare_context *ctx = test_context();
    pri_conv_problem problem = suitable();
    pri_conv *conv = NULL;

    (void)state;
    if (!pri_dnn_has_bf16())
        skip();
    problem.is_narrow = true;
    problem.in_channels = 8;
    test_ok(ctx, pri_conv_new(&conv, ctx, &problem, PRI_CONV_FORWARD | back));
    assert_int_equal(pri_conv_chosen(conv), PRI_CONV_BF16);
    assert_int_equal(pri_conv_staged_bytes(conv, PRI_CONV_FORWARD, false), IN);
    assert_int_equal(pri_conv_staged_bytes(conv, back, true), OUT + IN);
    assert_int_equal(pri_conv_staged_bytes(conv, PRI_CONV_BACKWARD_WEIGHTS, false), OUT + IN);
    pri_conv_free(conv);
    problem.src_type = problem.dst_type = PRI_BF16;
    test_ok(ctx, pri_conv_new(&conv, ctx, &problem, PRI_CONV_FORWARD | back));
    assert_int_equal(pri_conv_staged_bytes(conv, PRI_CONV_FORWARD | back, true), 0);
    pri_conv_free(conv);
    pare_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(profile_says_what_is_chosen_and_moved),
                                       cmocka_unit_test(profile_counts_what_there_is_to_do),
                                       cmocka_unit_test(directions_stage_what_they_read)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
