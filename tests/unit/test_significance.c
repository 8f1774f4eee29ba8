/* SPDX-License-Identifier: Apache-2.0 */
/* test_significance.c - paired tests against reference values; conditions and their wording. */
#include "support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <pare/pare.h>

#include "data/data.h"

#define assert_near(a, b) assert_true(fabs((a) - (b)) < 1e-6)

/* The test for two models that are alone right `a` and `b` times. */
static double mcnemar_of(int64_t a, int64_t b)
{
    const int64_t n = a + b + 5;
    int32_t *all = calloc((size_t)(3 * n), sizeof *all);
    pare_data data = {.count = n, .labels = all};

    assert_non_null(all);
    const pare_scores first = {.count = n, .classes = 2, .predicted = all + n};
    const pare_scores second = {.count = n, .classes = 2, .predicted = all + 2 * n};
    for (int64_t i = 0; i < a; i++)
        second.predicted[i] = 1;
    for (int64_t i = a; i < a + b; i++)
        first.predicted[i] = 1;
    for (int64_t i = n - 2; i < n; i++)
        first.predicted[i] = second.predicted[i] = 1; /* both wrong: says nothing */
    const double p = pare_mcnemar(&first, &second, &data);
    free(all);
    return p;
}

static void mcnemar_is_the_exact_binomial_test(void **state)
{
    /* 2 sum_{i <= min} C(n, i) / 2^n in exact fractions */
    static const struct {
        int64_t a, b;
        double p;
    } rows[] = {{0, 0, 1},
                {1, 0, 1},
                {5, 5, 1},
                {2, 8, 0.109375},
                {8, 2, 0.109375},
                {6, 59, 4.964650327128617e-12},
                {40, 70, 0.005447429511444482},
                {1000, 1100, 0.030720707864242296}};
    const pare_scores none = {.count = 3};
    const pare_data data = {.count = 3};

    (void)state;
    for (size_t i = 0; i < PRI_COUNT(rows); i++) {
        const double p = mcnemar_of(rows[i].a, rows[i].b);
        if (!(fabs(p - rows[i].p) < 1e-9 * rows[i].p))
            fail_msg("%d %d: %.17g", (int)rows[i].a, (int)rows[i].b, p);
    }
    const double p = mcnemar_of(500000, 502000); /* z = 2.0, normal approximation 0.0457 */
    assert_true(p > 0.0455 && p < 0.0460);
    assert_true(mcnemar_of(300000, 100000) < 1e-100);
    assert_near(pare_mcnemar(&none, &none, &data), 1);
}

static double wilcoxon_of(const double *differences, int64_t n)
{
    double zero[16] = {0}, moved[16];
    const pare_scores a = {.count = n, .mask_classes = 2, .pixel_accuracy_of = moved};
    const pare_scores b = {.count = n, .mask_classes = 2, .pixel_accuracy_of = zero};

    for (int64_t i = 0; i < n; i++)
        moved[i] = differences[i];
    const double p = pare_wilcoxon(&a, &b);
    assert_near(p, pare_wilcoxon(&b, &a));
    return p;
}

static void wilcoxon_agrees_with_reference_values(void **state)
{
    /* Hollander, Wolfe 1973, p. 29 (depression scores): V = 40, z = 17.5 / sqrt(71.25) */
    static const double depression[9] = {0.952, -0.147, 1.022, 0.43, 0.62, 0.59, 0.49, -0.08, 0.01};
    /* ranks 2 2 2 4 of 1 1 -1 2: W = 8, mean 5, variance 7.5 - (27 - 3) / 48 = 7 */
    static const double tied[6] = {1, 0, 1, -1, 0, 2}, none[3] = {0, 0, 0};
    const pare_scores empty = {.count = 3};

    (void)state;
    assert_near(wilcoxon_of(depression, 9), erfc(17.5 / sqrt(71.25) / sqrt(2)));
    assert_true(fabs(wilcoxon_of(depression, 9) - 0.03815) < 5e-5);
    assert_near(wilcoxon_of(tied, 6), erfc(3 / sqrt(7) / sqrt(2)));
    assert_near(wilcoxon_of(none, 3), 1);
    assert_near(pare_wilcoxon(&empty, &empty), 1);
}

/* --- Conditions --- */

static const pare_comparison sample = {
    .scores = {{.classes = 10, .accuracy = 0.918, .top5 = 0.99, .nll = 0.3, .f1_macro = 0.9},
               {.classes = 10, .accuracy = 0.908, .top5 = 0.98, .nll = 0.35, .f1_macro = 0.92}},
    .costs = {{.parameters = 1000, .macs = 4000000}, {.parameters = 400, .macs = 2000000}},
    .latency = {0.010, 0.006},
    .p_class = 0.03,
    .p_mask = 1};

static void conditions_compare_as_documented(void **state)
{
    static const struct {
        const char *text;
        bool met;
        const char *says;
    } rows[] = {
        {"accuracy>=-1%", true, "91.80 % -> 90.80 %, -1.00 points; wanted at least -1.00 points"},
        {"accuracy>=-0.99%", false, "wanted at least -0.99 points"},
        {"accuracy>-1.01%", true, "above"},
        {"accuracy >= -0.01", true, "-1.00 points"},
        {"accuracy>=0.9", true, "accuracy: 90.80 %; wanted at least 90.00 %"},
        {"accuracy>=91%", false, "wanted at least 91.00 %"},
        {"f1>=+1%", true, "+2.00 points"},
        {"nll<=+0.05", true, "0.3000 -> 0.3500, +0.0500; wanted at most +0.0500"},
        {"nll<=0.3", false, "0.3500"},
        {"macs<=50%", true, "MACs: 50.0 % of the original; wanted at most 50.0 %"},
        {"macs<50%", false, "below"},
        {"macs<=0.49x", false, "49.0 %"},
        {"macs<=-50%", true, "-50.0 %"},
        {"macs<=2e6", true, "2000000"},
        {"parameters<=400", true, "400"},
        {"parameters<=-700", false, "1000 -> 400, -600"},
        {"latency<=0.6x", true, "60.0 % of the original"},
        {"latency<=5ms", false, "6.000 ms; wanted at most 5.000 ms"},
        {"latency<=0.01", true, "10.000 ms"},
        {"p_class>=0.05", false, "0.03"},
        {"p_class>=1%", true, "0.01"},
    };
    pare_context *ctx = test_context();

    (void)state;
    for (size_t i = 0; i < PRI_COUNT(rows); i++) {
        char text[PARE_CONDITION_TEXT];
        bool met = !rows[i].met;
        test_ok(ctx, pare_check_condition(&met, text, ctx, &sample, rows[i].text));
        if (met != rows[i].met || strstr(text, rows[i].says) == NULL)
            fail_msg("'%s' is %s: '%s'", rows[i].text, met ? "met" : "not met", text);
    }
    pare_context_free(ctx);
}

static void unreadable_conditions_are_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "accuracy",
        "accuracy>=",
        "accuracy=1",
        "accurac>=1",
        "accuracyy>1",
        "Accuracy>=1",
        ">=1",
        "accuracy>=x",
        "accuracy>=0x10",
        "accuracy>=nan",
        "accuracy>=-inf",
        "accuracy>=1e999",
        "accuracy>=--1",
        "accuracy>=0.5x",
        "accuracy>=1%%",
        "nll<=5%",
        "macs<=50 % of",
        "macs<=5ms",
        "p_class>=-0.05",
        "latency<=5m",
        "accuracy>=1-1",
        "accuracy>=%",
        "macs<=50%,",
        "accuracy => 1",
        "accuracy>=0000000000000000000000000000000000000000000000001"};
    static const char *const unmeasured[] = {"miou>=0.5", "p_mask>=0.05", "dice>=-1%"};
    pare_comparison no_latency = sample;
    char text[PARE_CONDITION_TEXT];
    pare_context *ctx = test_context();
    bool met;

    (void)state;
    for (size_t i = 0; i < PRI_COUNT(texts); i++) {
        if (pare_check_condition(&met, text, ctx, &sample, texts[i]) != PARE_ERROR_ARGUMENT)
            fail_msg("'%s' was read", texts[i]);
        assert_false(met);
    }
    for (size_t i = 0; i < PRI_COUNT(unmeasured); i++)
        assert_int_equal(pare_check_condition(&met, text, ctx, &sample, unmeasured[i]),
                         PARE_ERROR_ARGUMENT);
    no_latency.latency[0] = no_latency.latency[1] = 0;
    assert_int_equal(pare_check_condition(&met, text, ctx, &no_latency, "latency<=1x"),
                     PARE_ERROR_ARGUMENT);
    assert_non_null(strstr(pare_context_message(ctx), "not measured"));
    pare_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mcnemar_is_the_exact_binomial_test),
        cmocka_unit_test(wilcoxon_agrees_with_reference_values),
        cmocka_unit_test(conditions_compare_as_documented),
        cmocka_unit_test(unreadable_conditions_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
