/* SPDX-License-Identifier: Apache-2.0 */
/* test_channel_step.c - the step in which channels cost time, from times and by measurement. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "kernels/channel_step.h"
#include "kernels/choose.h"

/* Times of a machine that computes `lanes` channels at once, some more for each further one, and a
 * few percent up and down. */
static void times_of(double seconds[PRI_STEP_COUNTS], int lanes, double slope)
{
    for (int k = 0; k < PRI_STEP_COUNTS; k++) {
        const int c = pri_step_counts[k], full = (c + lanes - 1) / lanes * lanes;
        const double noise = k % 2 == 0 ? 1.01 : 0.99;
        seconds[k] = noise * 1e-6 * ((1 - slope) * full * full + slope * c * c);
    }
}

static void steps_are_seen_in_times(void **state)
{
    static const int lanes[] = {16, 8, 4, 1}, steps[] = {16, 8, 4, 4};
    double seconds[PRI_STEP_COUNTS];

    (void)state;
    for (size_t i = 0; i < PRI_COUNT(lanes); i++) {
        for (int k = 0; k < 3; k++) {
            times_of(seconds, lanes[i], 0.1 * k);
            assert_int_equal(pri_channel_step_of(seconds), steps[i]);
        }
    }
    /* oneDNN's direct convolutions of bench/results/alignment.md */
    const double measured[PRI_STEP_COUNTS] = {581, 957, 1001, 1086, 1164, 1285, 1424, 1236};
    assert_int_equal(pri_channel_step_of(measured), 16);
}

static void times_without_sense_have_no_step(void **state)
{
    double seconds[PRI_STEP_COUNTS] = {0};

    (void)state;
    assert_int_equal(pri_channel_step_of(seconds), 0);
    for (int k = 0; k < PRI_STEP_COUNTS; k++)
        seconds[k] = 1 - 0.01 * k;
    assert_int_equal(pri_channel_step_of(seconds), 0);
}

static bool is_step(int step)
{
    return step == 16 || step == 8 || step == 4;
}

static void machines_remember_their_step(void **state)
{
    pare_context *ctx = test_context();
    char folder[600], cache[600];
    pri_bytes bytes;

    (void)state;
    snprintf(folder, sizeof folder, "%s", test_folder());
    snprintf(cache, sizeof cache, "%s",
             getenv("XDG_CACHE_HOME") != NULL ? getenv("XDG_CACHE_HOME") : "");
    assert_int_equal(setenv("XDG_CACHE_HOME", folder, 1), 0);
    assert_true(is_step(pri_channel_step_rule()));
    assert_int_equal(pri_channel_step(ctx), pri_channel_step_rule());
    pare_context_set_algorithms(ctx, PARE_ALGORITHMS_MEASURED);
    const int step = pri_channel_step(ctx);
    assert_true(is_step(step));
    assert_string_equal(pare_context_message(ctx), "");

    char *path = pri_choices_default_path(ctx);
    assert_non_null(path);
    test_ok(ctx, pri_file_read(&bytes, ctx, path));
    char *line = strstr((char *)bytes.data, "step of channels threads ");
    assert_non_null(line);
    char *value = strstr(line, " = ");
    assert_non_null(value);
    assert_int_equal(atoi(value + 3), step);
    pri_bytes_clear(&bytes);
    assert_int_equal(pri_channel_step(ctx), step);
    pri_free(path);
    test_remove_folder(folder);
    assert_int_equal(setenv("XDG_CACHE_HOME", cache, 1), 0);
    pare_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_are_seen_in_times),
        cmocka_unit_test(times_without_sense_have_no_step),
        cmocka_unit_test(machines_remember_their_step),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
