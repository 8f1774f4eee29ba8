/* SPDX-License-Identifier: Apache-2.0 */
/* statistics.c - is the difference of two models more than chance? Paired tests. */
#include <pare/evaluate.h>

#include <math.h>
#include <stdlib.h>

#include "data/data.h"

/* ln n! - lgamma_r because lgamma writes a global. */
static double log_factorial(int64_t n)
{
    int sign;

    return lgamma_r((double)n + 1, &sign);
}

/*
 * P(X <= k) for X binomial with n trials and p = 1/2, k <= n / 2: the largest term in logarithms,
 * the others by their ratio, so that nothing overflows and n may be millions.
 */
static double binomial_tail(int64_t n, int64_t k)
{
    double term =
        exp(log_factorial(n) - log_factorial(k) - log_factorial(n - k) - (double)n * log(2));
    double sum = 0;

    for (int64_t i = k; i >= 0 && term > 1e-18 * sum; i--) {
        sum += term;
        term *= (double)i / (double)(n - i + 1);
    }
    return sum;
}

double pare_mcnemar(const pare_scores *a, const pare_scores *b, const pare_data *data)
{
    int64_t only_a = 0, only_b = 0;

    if (a->predicted == NULL || b->predicted == NULL || data->labels == NULL)
        return 1;
    for (int64_t i = 0; i < data->count && i < a->count && i < b->count; i++) {
        const bool right_a = a->predicted[i] == data->labels[i];
        const bool right_b = b->predicted[i] == data->labels[i];
        if (data->labels[i] < 0)
            continue;
        only_a += right_a && !right_b;
        only_b += right_b && !right_a;
    }
    return fmin(1, 2 * binomial_tail(only_a + only_b, pri_min_i64(only_a, only_b)));
}

static int by_size(const void *a, const void *b)
{
    const double x = fabs(*(const double *)a), y = fabs(*(const double *)b);

    return x < y ? -1 : x > y;
}

/*
 * Wilcoxon 1945: differences of 0 are left out, equal ones share their mean rank. The sum of the
 * ranks of positive differences is compared with its mean n(n+1)/4 in units of its deviation,
 * whose variance n(n+1)(2n+1)/24 falls by (t^3 - t)/48 for every t equal ones (Lehmann 1975,
 * Nonparametrics, p. 130). No continuity correction.
 */
static double signed_rank(double *differences, int64_t n)
{
    const double m = (double)n;
    double positive = 0, variance = m * (m + 1) * (2 * m + 1) / 24;

    if (n == 0)
        return 1;
    qsort(differences, (size_t)n, sizeof *differences, by_size);
    for (int64_t from = 0, to; from < n; from = to) {
        for (to = from + 1; to < n && by_size(&differences[from], &differences[to]) == 0; to++)
            ;
        const double rank = (double)(from + 1 + to) / 2, t = (double)(to - from);
        variance -= (t * t * t - t) / 48;
        for (int64_t i = from; i < to; i++)
            positive += differences[i] > 0 ? rank : 0;
    }
    return erfc(fabs(positive - m * (m + 1) / 4) / sqrt(2 * variance));
}

double pare_wilcoxon(const pare_scores *a, const pare_scores *b)
{
    const int64_t count = pri_min_i64(a->count, b->count);
    int64_t n = 0;

    if (a->pixel_accuracy_of == NULL || b->pixel_accuracy_of == NULL || count < 1)
        return 1;
    /* no context at hand: without memory the safe answer is that nothing is significant */
    double *differences = calloc((size_t)count, sizeof *differences);
    if (differences == NULL)
        return 1;
    for (int64_t i = 0; i < count; i++) {
        differences[n] = a->pixel_accuracy_of[i] - b->pixel_accuracy_of[i];
        n += differences[n] != 0;
    }
    const double p = signed_rank(differences, n);
    free(differences);
    return p;
}
