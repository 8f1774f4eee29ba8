/* SPDX-License-Identifier: Apache-2.0 */
/* optimizer.h - the step of gradient descent. */
#ifndef PRI_OPTIMIZER_H
#define PRI_OPTIMIZER_H

#include "base/base.h"

enum { PRI_OPTIMIZER_ROWS = 2 };

/* What one step is made with. */
typedef struct pri_update {
    float rate, momentum, decay;
    float beta2, epsilon; /* AdamW */
    float scale;          /* of the gradient (clipping) */
    int64_t step;         /* 1, 2, ... since the start of the run */
} pri_update;

typedef struct pri_optimizer {
    const char *name, *summary;
    int rows;           /* floats of state a weight, zero at the start; <= PRI_OPTIMIZER_ROWS */
    double rate, decay; /* defaults */
    /* One step of `count` weights; state[r] is row r of the same weights. */
    void (*step)(float *weights, float *const *state, const float *gradient, int64_t count,
                 const pri_update *update);
} pri_optimizer;

/* All of them; returns their number. The first is the default. */
int pri_optimizer_list(const pri_optimizer **out);
const pri_optimizer *pri_optimizer_find(const char *name); /* NULL when there is none */

/* Sum of squares, in an order that does not depend on threads. */
double pri_sum_squares(const float *values, int64_t count);

#endif
