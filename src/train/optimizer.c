/* SPDX-License-Identifier: Apache-2.0 */
/* optimizer.c - see optimizer.h. */
#include "train/optimizer.h"

#include <math.h>
#include <string.h>

/* SGD with Nesterov momentum (Sutskever et al. 2013, in the form of common frameworks):
 * g = scale * gradient + decay * w; v = momentum * v + g; w -= rate * (g + momentum * v). */
static void step_sgd(float *weights, float *const *state, const float *gradient, int64_t count,
                     const pri_update *update)
{
    const float rate = update->rate, momentum = update->momentum, decay = update->decay;
    const float scale = update->scale;
    float *velocity = state[0];

#pragma omp parallel for simd schedule(static) if (count > 65536)
    for (int64_t i = 0; i < count; i++) {
        const float g = scale * gradient[i] + decay * weights[i];
        const float v = momentum * velocity[i] + g;
        velocity[i] = v;
        weights[i] -= rate * (g + momentum * v);
    }
}

/* AdamW (Loshchilov & Hutter 2019, algorithm 2; moments of Kingma & Ba 2015), decay decoupled from
 * the gradient: g = scale * gradient; m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2;
 * w -= rate * (decay * w + m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + epsilon)). */
static void step_adamw(float *weights, float *const *state, const float *gradient, int64_t count,
                       const pri_update *update)
{
    const float b1 = update->momentum, b2 = update->beta2, decay = update->decay;
    const float rate = update->rate, scale = update->scale, epsilon = update->epsilon;
    const float first = (float)(1 / (1 - pow(b1, (double)update->step)));
    const float second = (float)(1 / (1 - pow(b2, (double)update->step)));
    float *mean = state[0], *square = state[1];

#pragma omp parallel for simd schedule(static) if (count > 65536)
    for (int64_t i = 0; i < count; i++) {
        const float g = scale * gradient[i];
        const float m = b1 * mean[i] + (1 - b1) * g;
        const float v = b2 * square[i] + (1 - b2) * g * g;
        mean[i] = m;
        square[i] = v;
        weights[i] -= rate * (decay * weights[i] + m * first / (sqrtf(v * second) + epsilon));
    }
}

static const pri_optimizer optimizers[] = {
    {"sgd", "stochastic gradient descent with Nesterov momentum", 1, 0.05, 5e-4, step_sgd},
    {"adamw", "Adam with decoupled weight decay", 2, 1e-3, 1e-2, step_adamw}};

int pri_optimizer_list(const pri_optimizer **out)
{
    *out = optimizers;
    return (int)PRI_COUNT(optimizers);
}

const pri_optimizer *pri_optimizer_find(const char *name)
{
    for (size_t i = 0; i < PRI_COUNT(optimizers); i++) {
        if (strcmp(name, optimizers[i].name) == 0)
            return &optimizers[i];
    }
    return NULL;
}

enum { LANES = 16 };

/* One sum would wait for each addition: LANES of them run side by side. */
PRI_CLONES double pri_sum_squares(const float *values, int64_t count)
{
    double sums[LANES] = {0}, total = 0;
    int64_t i = 0;

    for (; i + LANES <= count; i += LANES) {
        PRI_SIMD
        for (int k = 0; k < LANES; k++)
            sums[k] += (double)values[i + k] * (double)values[i + k];
    }
    for (; i < count; i++)
        total += (double)values[i] * (double)values[i];
    for (int k = 0; k < LANES; k++)
        total += sums[k];
    return total;
}
