/* SPDX-License-Identifier: Apache-2.0 */
/* quantile.c - see quantile.h. */
#include "base/quantile.h"

#include <stdlib.h>

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

void pri_sort(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, by_value);
}

double pri_quantile(const double *sorted, int count, double q)
{
    const double at = q * (count - 1);
    const int low = (int)at, high = low + 1 < count ? low + 1 : low;

    return sorted[low] + (at - low) * (sorted[high] - sorted[low]);
}
