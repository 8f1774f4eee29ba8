/* SPDX-License-Identifier: Apache-2.0 */
/* quantile.h - medians and quartiles of measurements. */
#ifndef PRI_QUANTILE_H
#define PRI_QUANTILE_H

/* Sorts numbers (no NaN) upward. */
void pri_sort(double *values, int count);
/* The q-th (0 to 1) of sorted numbers, between neighbours where it falls there; count > 0. */
double pri_quantile(const double *sorted, int count, double q);

#endif
