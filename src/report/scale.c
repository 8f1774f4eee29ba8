/* SPDX-License-Identifier: Apache-2.0 */
/* scale.c - see scale.h. */
#include "report/scale.h"

#include <math.h>

/* The smallest of 1, 2, 5 times a power of ten that is not below x > 0. */
static double nice_step(double x)
{
    const double power = pow(10, floor(log10(x)));
    const double digit = x / power;

    return power * (digit <= 1 + 1e-9 ? 1 : digit <= 2 + 1e-9 ? 2 : digit <= 5 + 1e-9 ? 5 : 10);
}

pri_scale pri_scale_of(double low, double high, int wanted)
{
    pri_scale s = {.low = fmin(low, high), .high = fmax(low, high)};

    if (!(s.high - s.low > 1e-9 * fmax(1, fabs(s.high)))) {
        const double pad = fmax(0.5, fabs(s.high) * 0.01);
        s.low -= pad;
        s.high += pad;
    }
    s.step = nice_step((s.high - s.low) / wanted);
    s.first = ceil(s.low / s.step - 1e-9) * s.step;
    s.ticks = (int)floor((s.high - s.first) / s.step + 1e-9) + 1;
    s.decimals = (int)fmax(0, ceil(-log10(s.step) - 1e-9));
    return s;
}

void pri_spread(double *positions, int *order, int n, double gap, double low, double high)
{
    for (int i = 0; i < n; i++) { /* insertion sort: a handful of labels */
        int at = i;
        for (; at > 0 && positions[order[at - 1]] > positions[i]; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    for (int k = 0; k < n; k++) {
        const double least = k > 0 ? positions[order[k - 1]] + gap : low;
        positions[order[k]] = fmax(positions[order[k]], least);
    }
    for (int k = n - 1; k >= 0; k--) {
        const double most = k < n - 1 ? positions[order[k + 1]] - gap : high;
        positions[order[k]] = fmin(positions[order[k]], most);
    }
}
