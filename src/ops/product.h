/* SPDX-License-Identifier: Apache-2.0 */
/* product.h - what the operators that are matrix products share. */
#ifndef PRI_PRODUCT_H
#define PRI_PRODUCT_H

#include "ops/op_support.h"

/* Ties the axes of in 0 and in 1 summed over. Between two activations nothing could make the product
 * read zero for a channel, so they stay. */
pare_status pri_couple_sum(const pri_call *call, pri_rules *rules, int axis_a, int axis_b,
                           int64_t count);
/* The columns hook where rows of in 0 are the rows of the product. */
void pri_product_columns(const pri_call *call, int group, int64_t from, int64_t to, float *rows);

#endif
