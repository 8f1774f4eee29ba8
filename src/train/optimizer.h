/* SPDX-License-Identifier: Apache-2.0 */
/* optimizer.h - the step of gradient descent and the learning rate of each step. */
#ifndef PRI_OPTIMIZER_H
#define PRI_OPTIMIZER_H

#include "base/base.h"

typedef enum pri_schedule { PRI_COSINE, PRI_STEP, PRI_CONSTANT } pri_schedule;

/* "cosine", "step", "constant"; false when it is none of them. */
bool pri_schedule_parse(pri_schedule *out, const char *name);
/* Factor of the peak rate at step 0 .. total-1; the first `warmup` steps rise linearly. */
double pri_schedule_factor(pri_schedule schedule, int64_t step, int64_t total, int64_t warmup);

typedef struct pri_sgd {
    float rate, momentum, decay;
    float scale; /* of the gradient (clipping) */
} pri_sgd;

/* One step of SGD with Nesterov momentum (Sutskever et al. 2013, in the form of common frameworks):
 * g = scale * gradient + decay * w; v = momentum * v + g; w -= rate * (g + momentum * v). */
void pri_sgd_step(float *weights, float *velocity, const float *gradient, int64_t count,
                  const pri_sgd *sgd);
/* Sum of squares, in an order that does not depend on threads. */
double pri_sum_squares(const float *values, int64_t count);

#endif
