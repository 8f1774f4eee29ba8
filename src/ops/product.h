/* SPDX-License-Identifier: Apache-2.0 */
/* product.h - what the operators that are matrix products share. */
#ifndef PRI_PRODUCT_H
#define PRI_PRODUCT_H

#include "ops/op_support.h"

/* Ties the axes of in 0 and in 1 summed over. Between two activations nothing could make the
 * product read zero for a channel, so they stay. */
pare_status pri_couple_sum(const pri_call *call, pri_rules *rules, int axis_a, int axis_b,
                           int64_t count);
/* C (m x n) = alpha op(A) op(B) + beta C, all row by row without gaps; op transposes where asked.
 * One row is a matrix times a vector, which reads B where it lies instead of packing it first. */
void pri_multiply(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, float alpha,
                  const float *a, const float *b, float beta, float *c);
/* The columns hook where rows of in 0 are the rows of the product. */
void pri_product_columns(const pri_call *call, int group, int64_t from, int64_t to, float *rows);

#endif
