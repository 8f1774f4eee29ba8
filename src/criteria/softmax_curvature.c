/* SPDX-License-Identifier: Apache-2.0 */
/* softmax_curvature.c - see softmax_curvature.h. */
#include "criteria/softmax_curvature.h"

#include <math.h>
#include <string.h>

enum { MOST_PASSED = 8, MOST_POSITIONS = 65536 };

bool pri_gives_classes(const pri_node *node)
{
    const pri_value *value = node->outputs[0];

    for (int passed = 0; passed < MOST_PASSED; passed++) {
        if (value->is_output)
            return true;
        if (value->n_uses != 1 || value->uses[0].slot != 0)
            return false;
        const pri_node *next = value->uses[0].node;
        if (next->op == NULL || next->op->product != NULL || next->op->is_sum ||
            next->op->as_affine != NULL || next->outputs[0] == NULL)
            return false;
        value = next->outputs[0];
    }
    return false;
}

/* p of one place, in `p`; returns the variance of z under p. */
static double softmax(double *p, const float *z, int64_t classes, int64_t stride)
{
    double largest = -INFINITY, sum = 0, mean = 0, squares = 0;

    if (classes == 1) {
        p[0] = 1 / (1 + exp(-(double)z[0]));
        return p[0] * (1 - p[0]) * z[0] * z[0];
    }
    for (int64_t c = 0; c < classes; c++)
        largest = fmax(largest, z[c * stride]);
    for (int64_t c = 0; c < classes; c++)
        sum += p[c] = exp(z[c * stride] - largest);
    for (int64_t c = 0; c < classes; c++) {
        const double above = z[c * stride] - largest;
        p[c] /= sum;
        mean += p[c] * above;
        squares += p[c] * above * above;
    }
    return fmax(squares - mean * mean, 0);
}

pare_status pri_softmax_curvature(double *curvature, double *energy, pare_context *ctx,
                                  const pri_tap *scores)
{
    const pri_channels ch = pri_channels_of(&scores->shape, scores->layout);
    const int64_t classes = ch.channels, places = ch.outer * ch.inner;
    const int64_t every = pri_max_i64(places / MOST_POSITIONS, 1);
    double *p = pri_alloc(ctx, (size_t)classes, sizeof *p);
    int64_t count = 0;

    if (p == NULL)
        return PARE_ERROR_MEMORY;
    memset(curvature, 0, (size_t)(classes * classes) * sizeof *curvature);
    *energy = 0;
    for (int64_t place = 0; place < places; place += every, count++) {
        const float *z = scores->data + place / ch.inner * classes * ch.inner +
                         place % ch.inner * ch.inner_stride;
        *energy += softmax(p, z, classes, ch.channel_stride);
        for (int64_t a = 0; a < classes; a++) {
            curvature[a * classes + a] += p[a];
            for (int64_t b = 0; b < classes; b++)
                curvature[a * classes + b] -= p[a] * p[b];
        }
    }
    for (int64_t k = 0; k < classes * classes; k++)
        curvature[k] /= (double)count;
    *energy /= (double)count;
    pri_free(p);
    return PARE_OK;
}
