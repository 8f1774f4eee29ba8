/* SPDX-License-Identifier: Apache-2.0 */
/* scale.h - an axis: its range and where its ticks stand. */
#ifndef PRI_SCALE_H
#define PRI_SCALE_H

typedef struct pri_scale {
    double low, high;    /* of the axis */
    double first, step;  /* ticks: first, first + step, ... up to high */
    int ticks, decimals; /* how many, and the decimals their numbers need */
} pri_scale;

/* An axis from low to high (in any order, also equal) with about `wanted` ticks at multiples of 1,
 * 2 or 5 times a power of ten. */
pri_scale pri_scale_of(double low, double high, int wanted);
/* Moves positions apart: afterwards they are at least `gap` from each other and, where they all
 * fit, within low .. high. The order of equal ones is kept; `order` is room for n numbers. */
void pri_spread(double *positions, int *order, int n, double gap, double low, double high);

#endif
