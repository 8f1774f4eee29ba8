/* SPDX-License-Identifier: Apache-2.0 */
/* test_surgeon.c - what the surgeon says a removal costs is what least squares says. */
#include "support.h"

#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "criteria/surgeon_layer.h"

enum { ROWS = 400, COLUMNS = 12, OUTPUTS = 5, UNITS = 4 };

typedef struct problem {
    float x[ROWS][COLUMNS], w[COLUMNS][OUTPUTS];
    double root[OUTPUTS][OUTPUTS]; /* lower */
    int unit_of[COLUMNS];
    float gram[(COLUMNS + 1) * (COLUMNS + 1)];
} problem;

static double column(const problem *p, int row, int k)
{
    return k < COLUMNS ? p->x[row][k] : 1;
}

static void make(problem *p)
{
    uint64_t next = 0;

    for (int r = 0; r < ROWS; r++) {
        const double common = pri_random_normal(1, PRI_STREAM_TEST, next++);
        for (int k = 0; k < COLUMNS; k++)
            p->x[r][k] =
                (float)(0.7 * common + pri_random_normal(1, PRI_STREAM_TEST, next++) + 0.5);
    }
    for (int k = 0; k < COLUMNS; k++) {
        p->unit_of[k] = 3 + k % UNITS; /* interleaved, and not from 0 */
        for (int o = 0; o < OUTPUTS; o++)
            p->w[k][o] = (float)pri_random_normal(1, PRI_STREAM_TEST, next++);
    }
    for (int i = 0; i < OUTPUTS; i++) {
        for (int j = 0; j < OUTPUTS; j++)
            p->root[i][j] = j < i ? 0.3 * i : j == i ? 1 + 0.2 * i : 0;
    }
    memset(p->gram, 0, sizeof p->gram);
    for (int i = 0; i <= COLUMNS; i++) {
        for (int j = i; j <= COLUMNS; j++) {
            for (int r = 0; r < ROWS; r++)
                p->gram[i * (COLUMNS + 1) + j] += (float)(column(p, r, i) * column(p, r, j));
        }
    }
}

/* Least of mean |(X W - X V - intercept) R|^2 over V whose rows of the units in `gone` are zero,
 * with the surgeon's damping on the change of W, by normal equations in the columns left. */
static double brute_force(const problem *p, const bool *gone, bool with_root)
{
    const int n = COLUMNS + 1;
    double h[(COLUMNS + 1) * (COLUMNS + 1)], damping = 0, total = 0;

    for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++)
            h[i * n + j] = (double)p->gram[i <= j ? i * n + j : j * n + i] / ROWS;
    }
    for (int i = 0; i < COLUMNS; i++)
        damping += 1e-3 * h[i * n + i] / COLUMNS;
    for (int i = 0; i < COLUMNS; i++)
        h[i * n + i] += damping;
    /* min over D of D' H D with D = -W on the rows gone: schur complement */
    for (int o = 0; o < OUTPUTS; o++) {
        double d[COLUMNS + 1] = {0}, a[(COLUMNS + 1) * (COLUMNS + 1)], b[COLUMNS + 1];
        int free[COLUMNS + 1], m = 0;
        for (int k = 0; k < COLUMNS; k++) {
            for (int q = 0; q < OUTPUTS && gone[p->unit_of[k] - 3]; q++)
                d[k] -=
                    with_root ? (double)p->w[k][q] * p->root[q][o] : (double)p->w[k][q] * (q == o);
        }
        for (int k = 0; k < n; k++) {
            if (k == COLUMNS || !gone[p->unit_of[k] - 3])
                free[m++] = k;
        }
        for (int i = 0; i < m; i++) {
            b[i] = 0;
            for (int k = 0; k < COLUMNS; k++)
                b[i] -= h[free[i] * n + k] * d[k];
            for (int j = 0; j < m; j++)
                a[i * m + j] = h[free[i] * n + free[j]];
        }
        assert_int_equal(LAPACKE_dposv(LAPACK_ROW_MAJOR, 'U', m, 1, a, m, b, 1), 0);
        for (int i = 0; i < m; i++)
            d[free[i]] = b[i];
        for (int i = 0; i < n; i++) {
            for (int j = 0; j < n; j++)
                total += d[i] * h[i * n + j] * d[j];
        }
    }
    return total;
}

static void check_costs(bool with_root)
{
    problem *p = malloc(sizeof *p);
    pri_surgeon_layer layer;
    bool gone[UNITS] = {false};
    double spent = 0;

    assert_non_null(p);
    make(p);
    pare_context *ctx = test_context();
    test_ok(ctx, pri_surgeon_layer_new(&layer, ctx, COLUMNS, OUTPUTS, p->unit_of));
    test_ok(ctx, pri_surgeon_layer_set(&layer, p->gram, ROWS, &p->w[0][0],
                                       with_root ? &p->root[0][0] : NULL, 1e-3));
    assert_int_equal(layer.n_members, UNITS);
    /* greedily all units but one: after each removal the costs of the others are those of removing
     * them on top */
    for (int step = 0; step + 1 < UNITS; step++) {
        for (int m = 0; m < UNITS; m++) {
            if (gone[m])
                continue;
            gone[m] = true;
            const double expected = brute_force(p, gone, with_root) - spent;
            gone[m] = false;
            assert_true(fabs(layer.cost[m] - expected) < 1e-6 * (1 + fabs(expected)));
        }
        assert_int_equal(pri_surgeon_layer_member(&layer, 3 + step), step);
        spent += layer.cost[step];
        test_ok(ctx, pri_surgeon_layer_remove(&layer, step));
        test_ok(ctx, pri_surgeon_layer_price(&layer));
        gone[step] = true;
        assert_true(layer.cost[step] == 0);
    }
    assert_int_equal(pri_surgeon_layer_member(&layer, 2), -1);
    assert_int_equal(pri_surgeon_layer_member(&layer, 3 + UNITS), -1);
    pri_surgeon_layer_clear(&layer);
    pare_context_free(ctx);
    free(p);
}

static void costs_are_those_of_least_squares(void **state)
{
    (void)state;
    check_costs(false);
}

static void costs_are_weighted_by_the_output_curvature(void **state)
{
    (void)state;
    check_costs(true);
}

static void moments_that_cannot_be_inverted_are_an_error(void **state)
{
    problem *p = malloc(sizeof *p);
    pri_surgeon_layer layer;

    (void)state;
    assert_non_null(p);
    make(p);
    for (size_t i = 0; i < PRI_COUNT(p->gram); i++)
        p->gram[i] = NAN;
    pare_context *ctx = test_context();
    test_ok(ctx, pri_surgeon_layer_new(&layer, ctx, COLUMNS, OUTPUTS, p->unit_of));
    assert_int_equal(pri_surgeon_layer_set(&layer, p->gram, ROWS, &p->w[0][0], NULL, 1e-3),
                     PARE_ERROR_NUMERIC);
    pri_surgeon_layer_clear(&layer);
    pare_context_free(ctx);
    free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(costs_are_those_of_least_squares),
        cmocka_unit_test(costs_are_weighted_by_the_output_curvature),
        cmocka_unit_test(moments_that_cannot_be_inverted_are_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
