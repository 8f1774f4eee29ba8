/* SPDX-License-Identifier: Apache-2.0 */
/* optimizer.c - see optimizer.h. */
#include "train/optimizer.h"

#include <math.h>
#include <string.h>

bool pri_schedule_parse(pri_schedule *out, const char *name)
{
    static const char *const names[] = {
        [PRI_COSINE] = "cosine", [PRI_STEP] = "step", [PRI_CONSTANT] = "constant"};

    for (size_t i = 0; i < PRI_COUNT(names); i++) {
        if (strcmp(name, names[i]) == 0) {
            *out = (pri_schedule)i;
            return true;
        }
    }
    return false;
}

double pri_schedule_factor(pri_schedule schedule, int64_t step, int64_t total, int64_t warmup)
{
    if (step < warmup)
        return (double)(step + 1) / (double)(warmup + 1);
    switch (schedule) {
    case PRI_COSINE:
        return 0.5 * (1 + cos(acos(-1.0) * (double)(step - warmup) /
                              (double)pri_max_i64(total - warmup, 1)));
    case PRI_STEP: return step * 4 >= total * 3 ? 0.01 : step * 2 >= total ? 0.1 : 1;
    case PRI_CONSTANT: break;
    }
    return 1;
}

void pri_sgd_step(float *weights, float *velocity, const float *gradient, int64_t count,
                  const pri_sgd *sgd)
{
    const float rate = sgd->rate, momentum = sgd->momentum, decay = sgd->decay;
    const float scale = sgd->scale;

#pragma omp parallel for simd schedule(static) if (count > 65536)
    for (int64_t i = 0; i < count; i++) {
        const float g = scale * gradient[i] + decay * weights[i];
        const float v = momentum * velocity[i] + g;
        velocity[i] = v;
        weights[i] -= rate * (g + momentum * v);
    }
}

double pri_sum_squares(const float *values, int64_t count)
{
    double total = 0;

    for (int64_t i = 0; i < count; i++)
        total += (double)values[i] * values[i];
    return total;
}
