/* SPDX-License-Identifier: Apache-2.0 */
/* gram.h - second moments of a layer's inputs: the Hessian of its least-squares problem. */
#ifndef PRI_GRAM_H
#define PRI_GRAM_H

#include "engine/engine.h"

/* A layer that can be fitted: one product with constant weights nobody else reads. */
bool pri_is_fittable(const pri_call *call, pri_product *product);

/* The call of a step with its operands as they are now. */
pare_status pri_step_call(pri_call *call, pri_operand *in, pri_operand *out,
                          const pri_engine *engine, const pare_model *model, int step);

/* gram (K+1 x K+1, the last row and column belong to a constant 1) of the rows of a layer, and, with
 * `residual`, cross (K+1 x outputs) = A' residual; residual is plain or channels-last like the output.
 * At most `max_rows` rows, spread over the whole set, are read. *rows says how many. */
typedef struct pri_gram {
    int64_t size;    /* K + 1 */
    int64_t outputs;
    int64_t rows;
    float *gram, *cross;
} pri_gram;
pare_status pri_gram_make(pri_gram *gram, const pri_call *call, const pri_product *product,
                          const float *wanted, pri_layout wanted_layout, int64_t max_rows);
void pri_gram_clear(pri_gram *gram);

#endif
