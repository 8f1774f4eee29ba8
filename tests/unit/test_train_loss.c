/* SPDX-License-Identifier: Apache-2.0 */
/* test_train_loss.c - losses, steps and schedules, as formulas. */
#include "train_nets.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <pare/pare.h>

#include "base/random.h"
#include "train/loss.h"
#include "train/optimizer.h"

/* --- Losses and steps --- */

static void check_gradient(pri_loss *loss, float *logits, int64_t count)
{
    float *gradient = loss->gradient;
    double largest = 0;

    assert_true(isfinite(pri_loss_compute(loss)));
    loss->gradient = NULL;
    for (int64_t i = 0; i < count; i++) {
        const float at = logits[i], h = 0.02f;
        logits[i] = at + h;
        const double above = pri_loss_compute(loss);
        logits[i] = at - h;
        const double below = pri_loss_compute(loss);
        logits[i] = at;
        largest = fmax(largest, fabs(gradient[i]));
        assert_true(fabs((above - below) / (2 * h) - gradient[i]) < 5e-5);
    }
    assert_true(largest > 0.01);
    loss->gradient = gradient;
}

static void loss_gradients_agree_with_finite_differences(void **state)
{
    enum { N = 3, K = 5, P = 131 };
    static float logits[N * K * P], teacher[N * K * P], gradient[N * K * P];
    static uint8_t masks[N * P];
    double partial[2 * N];
    const int32_t labels[N] = {4, -1, 0};

    (void)state;
    for (int i = 0; i < N * K * P; i++) {
        logits[i] = (float)pri_random_normal(1, PRI_STREAM_TEST, (uint64_t)i);
        teacher[i] = (float)(2 * pri_random_normal(2, PRI_STREAM_TEST, (uint64_t)i));
    }
    for (int i = 0; i < N * P; i++)
        masks[i] = i % 7 == 0 ? PARE_IGNORE : (uint8_t)(i % K);
    pri_loss loss = {.images = N,
                     .classes = K,
                     .positions = 1,
                     .logits = logits,
                     .labels = labels,
                     .hard = 1,
                     .temperature = 1,
                     .partial = partial,
                     .gradient = gradient};
    check_gradient(&loss, logits, N * K);
    assert_true(gradient[K] == 0); /* an image without a label teaches nothing */
    loss.smoothing = 0.1;
    loss.teacher = teacher;
    loss.soft = 0.7;
    loss.temperature = 3;
    check_gradient(&loss, logits, N * K);
    loss = (pri_loss){.images = N,
                      .classes = K,
                      .positions = P,
                      .logits = logits,
                      .masks = masks,
                      .hard = 40,
                      .temperature = 1,
                      .partial = partial,
                      .gradient = gradient};
    check_gradient(&loss, logits, N * K * P);
    loss.teacher = teacher;
    loss.soft = 30;
    loss.hard = 0;
    loss.temperature = 2;
    check_gradient(&loss, logits, N * K * P);
}

static void losses_are_what_the_formulas_say(void **state)
{
    const float logits[2] = {0, (float)log(3)}, teacher[2] = {0, 0};
    const int32_t label[1] = {1};
    double partial[2];
    pri_loss loss = {.images = 1,
                     .classes = 2,
                     .positions = 1,
                     .logits = logits,
                     .labels = label,
                     .hard = 1,
                     .temperature = 1,
                     .partial = partial};

    (void)state;
    assert_true(fabs(pri_loss_compute(&loss) - log(4.0 / 3)) < 1e-6);
    loss.smoothing = 0.5;
    assert_true(fabs(pri_loss_compute(&loss) - (0.75 * log(4.0 / 3) + 0.25 * log(4.0))) < 1e-6);
    loss.hard = 0;
    loss.soft = 1;
    loss.teacher = teacher;
    assert_true(fabs(pri_loss_compute(&loss) - 0.5 * (log(2.0) + log(2.0 / 3))) < 1e-6);
}

static void a_step_follows_the_formula(void **state)
{
    const pri_sgd sgd = {.rate = 0.1f, .momentum = 0.9f, .decay = 0.1f, .scale = 0.5f};
    float w = 1, v = 0, g = 1;

    (void)state;
    pri_sgd_step(&w, &v, &g, 1, &sgd);
    assert_true(fabs(w - 0.886) < 1e-6);
    g = 0.4f;
    pri_sgd_step(&w, &v, &g, 1, &sgd);
    assert_true(fabs(w - 0.782566) < 1e-6 && fabs(v - 0.8286) < 1e-6);
}

static void schedules_fall_as_named(void **state)
{
    pri_schedule schedule;

    (void)state;
    assert_false(pri_schedule_parse(&schedule, "linear"));
    assert_true(pri_schedule_parse(&schedule, "step") && schedule == PRI_STEP);
    assert_true(pri_schedule_factor(PRI_STEP, 49, 100, 0) == 1);
    assert_true(pri_schedule_factor(PRI_STEP, 50, 100, 0) == 0.1);
    assert_true(pri_schedule_factor(PRI_STEP, 75, 100, 0) == 0.01);
    assert_true(pri_schedule_factor(PRI_COSINE, 0, 100, 0) == 1);
    assert_true(fabs(pri_schedule_factor(PRI_COSINE, 50, 100, 0) - 0.5) < 1e-12);
    assert_true(pri_schedule_factor(PRI_COSINE, 0, 100, 9) == 0.1);
    assert_true(pri_schedule_factor(PRI_COSINE, 9, 100, 9) == 1);
    assert_true(pri_schedule_factor(PRI_CONSTANT, 99, 100, 9) == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loss_gradients_agree_with_finite_differences),
        cmocka_unit_test(losses_are_what_the_formulas_say),
        cmocka_unit_test(a_step_follows_the_formula),
        cmocka_unit_test(schedules_fall_as_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
