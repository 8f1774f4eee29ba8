/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_gradients.c - every backward of the operator table against central differences.
 *
 * The loss is a fixed random combination of all outputs. Inputs lie on a grid of 1/16 off its
 * multiples and move by 1/64, so that no kink that lies on the grid (0, bounds, ties of
 * extremes) is crossed and the values moved are exact. An operator with a backward and without a
 * case fails.
 */
#include "one_op.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "engine/engine.h"

static const one_op_case cases[] = {
#include "gradient_cases.def"
};

static const double epsilon = 1.0 / 64;
/* Of the largest gradient of the input: third derivatives times epsilon^2 / 6, and float rounding
 * divided by epsilon. */
static const double tolerance = 3e-3;

/* --- Loss and its gradients --- */

static double coefficient(int output, int64_t i)
{
    return pri_random_normal(1000 + (uint64_t)output, PRI_STREAM_TEST, (uint64_t)i);
}

static double loss(one_op *p)
{
    double sum = 0;

    test_ok(p->ctx, pri_engine_forward(p->engine));
    for (int k = 0; k < p->model->graph->n_outputs; k++) {
        const pri_shape shape = pri_engine_output_shape(p->engine, k);
        const float *y = pri_engine_output(p->engine, k);
        for (int64_t i = 0; i < pri_shape_count(&shape); i++)
            sum += coefficient(k, i) * y[i];
    }
    return sum;
}

static void run_backward(one_op *p)
{
    (void)loss(p);
    for (int k = 0; k < p->model->graph->n_outputs; k++) {
        const pri_shape shape = pri_engine_output_shape(p->engine, k);
        float *g = pri_engine_output_gradient(p->engine, k);
        assert_non_null(g);
        for (int64_t i = 0; i < pri_shape_count(&shape); i++)
            g[i] = (float)coefficient(k, i);
    }
    test_ok(p->ctx, pri_engine_backward(p->engine));
}

static void compare(one_op *p, float *data, int64_t count, const float *gradient, const char *what,
                    bool is_weight)
{
    double largest = 1;

    for (int64_t i = 0; i < count; i++)
        largest = fmax(largest, fabs(gradient[i]));
    for (int64_t i = 0; i < count; i++) {
        const float before = data[i];
        double sides[2];
        for (int s = 0; s < 2; s++) {
            data[i] = before + (float)(s == 0 ? -epsilon : epsilon);
            if (is_weight)
                pri_engine_refresh(p->engine);
            sides[s] = loss(p);
        }
        data[i] = before;
        const double expected = (sides[1] - sides[0]) / (2 * epsilon);
        if (!(fabs(expected - gradient[i]) <= tolerance * largest))
            fail_msg("%s opset %d (%s; %s)%s: gradient of %s at %lld is %g, differences say %g",
                     p->it->op, p->it->opset, p->it->inputs, p->it->attributes,
                     p->wraps ? " channels-last" : " plain", what, (long long)i, gradient[i],
                     expected);
    }
    if (is_weight)
        pri_engine_refresh(p->engine);
}

static float *copy_of(const float *data, int64_t count)
{
    float *copy = malloc((size_t)count * sizeof *copy);

    assert_non_null(copy);
    memcpy(copy, data, (size_t)count * sizeof *copy);
    return copy;
}

static void check_activations(one_op *p)
{
    for (int k = 0; k < p->n_activations; k++) {
        char what[32];
        pri_tap tap;
        run_backward(p);
        test_ok(p->ctx, pri_engine_tap(p->engine, k, &tap));
        assert_non_null(tap.gradient);
        const int64_t count = pri_shape_count(&tap.shape);
        float *gradient = copy_of(tap.gradient, count);
        snprintf(what, sizeof what, "x%d", k);
        compare(p, pri_engine_input(p->engine, k), count, gradient, what, false);
        free(gradient);
    }
}

static void check_weights(one_op *p)
{
    for (int k = 0; k < p->n_weights; k++) {
        char what[32];
        pri_tensor *tensor = p->weights[k]->constant;
        const int64_t count = pri_tensor_count(tensor);
        pri_engine_zero_gradients(p->engine);
        run_backward(p);
        const float *now = pri_engine_weight_gradient(p->engine, p->weights[k]);
        assert_non_null(now);
        float *once = copy_of(now, count);
        snprintf(what, sizeof what, "weight %d", k);
        compare(p, tensor->data, count, once, what, true);
        run_backward(p); /* adds to what is there */
        for (int64_t i = 0; i < count; i++)
            assert_true(fabs(now[i] - 2.0 * once[i]) <= 1e-4 * (1 + fabs(once[i])));
        free(once);
    }
}

static void check_case(pare_context *ctx, const one_op_case *it, bool wraps)
{
    one_op p = {.ctx = ctx, .it = it, .wraps = wraps};

    if (wraps && one_op_has(&p, 'p'))
        return;
    one_op_start(&p, !wraps);
    check_activations(&p);
    check_weights(&p);
    pri_engine_free(p.engine);
    pare_model_free(p.model);
}

static void backward_is_the_derivative_of_forward(void **state)
{
    const char *only = getenv("PARE_OP");

    (void)state;
    pare_context *ctx = test_context();
    for (size_t i = 0; i < PRI_COUNT(cases); i++) {
        if (only != NULL && strcmp(only, cases[i].op) != 0)
            continue;
        check_case(ctx, &cases[i], false);
        check_case(ctx, &cases[i], true);
    }
    pare_context_free(ctx);
}

static void every_backward_has_a_case(void **state)
{
    const pri_op *const *ops;
    const int n = pri_op_list(&ops);
    int missing = 0;

    (void)state;
    for (int k = 0; k < n; k++) {
        bool found = ops[k]->backward == NULL;
        for (size_t i = 0; i < PRI_COUNT(cases) && !found; i++)
            found = strcmp(cases[i].op, ops[k]->name) == 0;
        if (!found)
            printf("%s has a backward and no case in gradient_cases.def\n", ops[k]->name);
        missing += !found;
    }
    assert_int_equal(missing, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_backward_has_a_case),
        cmocka_unit_test(backward_is_the_derivative_of_forward),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
