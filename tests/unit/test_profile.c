/* SPDX-License-Identifier: Apache-2.0 */
/* test_profile.c - what profiles say about algorithms and about moving activations. */
#include "build.h"

#include <string.h>

#include <pare/pare.h>

/* A convolution that Winograd's algorithm suits by the rule, and one of fewer channels. */
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

/* 40 channels are 48 in blocks of 16. Images come and go plain: two changes of layout. */
static void profile_says_what_is_chosen_and_moved(void **state)
{
    enum { POSITIONS = 4 * 16 * 16 * 4, FORWARD = POSITIONS * (2 * 32 + 40 + 48) };
    pare_context *ctx = test_context();
    pare_model *model = two_convolutions(ctx);

    (void)state;
    for (int training = 0; training < 2; training++) {
        const char *algorithms[2] = {NULL, NULL};
        pare_profile profile;
        int n = 0;
        test_ok(ctx, pare_profile_model(
                         &profile, model,
                         &(pare_profile_options){.rounds = 1, .training = training == 1}));
        assert_int_equal(profile.n_layouts, 2);
        for (int s = 0; s < profile.n_steps; s++) {
            if (strcmp(profile.steps[s].op_type, "Conv") == 0)
                algorithms[n++] = profile.steps[s].algorithm;
            else
                assert_string_equal(profile.steps[s].algorithm, "");
        }
        assert_int_equal(n, 2);
        assert_string_equal(algorithms[1], "direct");
        if (strcmp(algorithms[0], "direct") != 0) { /* with AVX-512 */
            assert_string_equal(algorithms[0], "winograd");
            assert_int_equal(profile.n_staged, 1);
            /* training: the input once more, the gradient of what comes out */
            assert_int_equal(profile.staged, training == 1 ? 2 * FORWARD : FORWARD);
        }
        pare_profile_clear(&profile);
    }
    pare_model_free(model);
    pare_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(profile_says_what_is_chosen_and_moved)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
