/* SPDX-License-Identifier: Apache-2.0 */
/* test_train_steps.c - optimisers, schedules and the average, as formulas. */
#include "train_nets.h"

#include <math.h>
#include <string.h>

#include "train/average.h"
#include "train/optimizer.h"
#include "train/schedule.h"

static void sgd_follows_the_formula(void **state)
{
    const pri_update update = {
        .rate = 0.1f, .momentum = 0.9f, .decay = 0.1f, .scale = 0.5f, .step = 1};
    const pri_optimizer *sgd = pri_optimizer_find("sgd");
    float w = 1, v = 0, g = 1;
    float *const rows[] = {&v, NULL};

    (void)state;
    sgd->step(&w, rows, &g, 1, &update);
    assert_true(fabs(w - 0.886) < 1e-6);
    g = 0.4f;
    sgd->step(&w, rows, &g, 1, &update);
    assert_true(fabs(w - 0.782566) < 1e-6 && fabs(v - 0.8286) < 1e-6);
}

/* Three steps beside the formula of the paper in double. */
static void squares_add_up(void **state)
{
    float values[100];
    double sum = 0;

    (void)state;
    for (int n = 0; n < 100; n++) {
        assert_true(fabs(pri_sum_squares(values, n) - sum) <= 1e-12 * sum);
        values[n] = (float)(n % 7 - 3) / 3;
        sum += (double)values[n] * (double)values[n];
    }
    values[50] = INFINITY;
    assert_true(isinf(pri_sum_squares(values, 100)));
    values[50] = NAN;
    assert_true(isnan(pri_sum_squares(values, 100)));
}

static void adamw_follows_the_formula(void **state)
{
    static const float gradients[3][2] = {{1, -0.01f}, {-0.5f, 0.2f}, {0.25f, 0}};
    pri_update update = {.rate = 0.01f,
                         .momentum = 0.9f,
                         .beta2 = 0.99f,
                         .decay = 0.1f,
                         .epsilon = 1e-8f,
                         .scale = 0.5f};
    const pri_optimizer *adamw = pri_optimizer_find("adamw");
    float w[2] = {1, -2}, m[2] = {0}, v[2] = {0};
    double own[2] = {1, -2}, mean[2] = {0}, square[2] = {0};
    float *const rows[] = {m, v};

    (void)state;
    assert_int_equal(adamw->rows, 2);
    for (int t = 1; t <= 3; t++) {
        update.step = t;
        adamw->step(w, rows, gradients[t - 1], 2, &update);
        for (int i = 0; i < 2; i++) {
            const double g = 0.5 * gradients[t - 1][i];
            mean[i] = 0.9 * mean[i] + 0.1 * g;
            square[i] = 0.99 * square[i] + 0.01 * g * g;
            own[i] -= 0.01 * (0.1 * own[i] + mean[i] / (1 - pow(0.9, t)) /
                                                 (sqrt(square[i] / (1 - pow(0.99, t))) + 1e-8));
            assert_true(fabs(own[i] - w[i]) < 2e-6);
        }
    }
    assert_true(fabs(w[0] - 1) > 0.005);
    assert_null(pri_optimizer_find("adam"));
}

static void schedules_move_as_named(void **state)
{
    const pri_schedule *step = pri_schedule_find("step"), *cosine = pri_schedule_find("cosine");
    const pri_schedule *constant = pri_schedule_find("constant");
    const pri_schedule *cycle = pri_schedule_find("one-cycle");

    (void)state;
    assert_null(pri_schedule_find("linear"));
    assert_true(pri_schedule_factor(step, 49, 100, 0) == 1);
    assert_true(pri_schedule_factor(step, 50, 100, 0) == 0.1);
    assert_true(pri_schedule_factor(step, 75, 100, 0) == 0.01);
    assert_true(pri_schedule_factor(cosine, 0, 100, 0) == 1);
    assert_true(fabs(pri_schedule_factor(cosine, 50, 100, 0) - 0.5) < 1e-12);
    assert_true(pri_schedule_factor(cosine, 0, 100, 9) == 0.1);
    assert_true(pri_schedule_factor(cosine, 9, 100, 9) == 1);
    assert_true(pri_schedule_factor(constant, 99, 100, 9) == 1);
    assert_true(fabs(pri_schedule_factor(cycle, 0, 100, 0) - 0.04) < 1e-12);
    assert_true(fabs(pri_schedule_factor(cycle, 15, 100, 0) - 0.52) < 1e-12);
    assert_true(pri_schedule_factor(cycle, 30, 100, 0) == 1);
    assert_true(pri_schedule_factor(cycle, 10, 100, 10) == 1);
    assert_true(pri_schedule_factor(cycle, 99, 100, 0) < 5e-6);
    assert_true(pri_schedule_factor(cycle, 0, 1, 0) == 1);
}

static void an_average_follows_weights_and_steps_aside(void **state)
{
    const pri_shape shape = {1, {2}};
    pare_context *ctx = test_context();
    pri_tensor *tensor = NULL;
    pri_average average;

    (void)state;
    test_ok(ctx, pri_tensor_new(&tensor, ctx, PRI_F32, &shape));
    pri_value value = {.constant = tensor};
    pri_state_part part = {.value = &value, .count = 2};
    const pri_state row = {.parts = &part, .n_parts = 1, .n_trained = 1, .trained = 2, .total = 2};
    float *w = tensor->data;
    w[0] = 1;
    test_ok(ctx, pri_average_open(&average, ctx, &row, 0.5));
    w[0] = 3;
    pri_average_step(&average, &row, 1000); /* the decay stated */
    assert_true(average.row[0] == 2 && average.row[1] == 0);
    w[0] = 12;
    pri_average_step(&average, &row, 0); /* a tenth is kept at first */
    assert_true(fabs(average.row[0] - 11) < 1e-5);
    pri_average_enter(&average, &row);
    assert_true(w[0] == average.row[0]);
    pri_average_leave(&average, &row);
    assert_true(w[0] == 12);
    pri_average_close(&average);
    test_ok(ctx, pri_average_open(&average, ctx, &row, 0));
    pri_average_enter(&average, &row);
    assert_true(w[0] == 12 && average.row == NULL);
    pri_average_close(&average);
    pri_tensor_free(tensor);
    pare_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sgd_follows_the_formula),
        cmocka_unit_test(squares_add_up),
        cmocka_unit_test(adamw_follows_the_formula),
        cmocka_unit_test(schedules_move_as_named),
        cmocka_unit_test(an_average_follows_weights_and_steps_aside),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
