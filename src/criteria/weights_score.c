/* SPDX-License-Identifier: Apache-2.0 */
/* weights_score.c - criteria that look at weights only. */
#include <math.h>
#include <string.h>

#include "base/random.h"
#include "criteria/criteria.h"

pare_status pri_score_random(double *scores, const pri_scoring *scoring)
{
    for (int u = 0; u < scoring->groups->n_units; u++)
        scores[u] = pri_random_unit(scoring->seed, PRI_STREAM_PRUNE, (uint64_t)u);
    return PARE_OK;
}

static double slab_squares(const pri_tensor *tensor, int axis, int64_t index)
{
    const float *data = tensor->data;
    const int64_t inner = pri_shape_span(&tensor->shape, axis + 1, tensor->shape.rank);
    const int64_t outer = pri_shape_span(&tensor->shape, 0, axis), size = tensor->shape.dims[axis];
    double sum = 0;

    for (int64_t o = 0; o < outer; o++) {
        const float *at = data + (o * size + index) * inner;
        for (int64_t i = 0; i < inner; i++)
            sum += (double)at[i] * at[i];
    }
    return sum;
}

static const pri_tensor *weight_of(const pri_scoring *scoring, const pri_axis_use *use)
{
    const pri_tensor *tensor = scoring->masked->graph->values[use->value->id]->constant;

    return tensor != NULL && tensor->dtype == PRI_F32 ? tensor : NULL;
}

pare_status pri_score_magnitude(double *scores, const pri_scoring *scoring)
{
    const pri_groups *groups = scoring->groups;
    for (int u = 0; u < groups->n_units; u++) {
        const pri_unit *unit = &groups->units[u];
        scores[u] = 0;
        for (int64_t e = 0; e < unit->n_elements; e++) {
            const pri_axis_use *use = &groups->axes[groups->axis_of[unit->elements[e]]];
            const pri_tensor *weight = weight_of(scoring, use);
            if (weight != NULL && weight->shape.rank >= 2)
                scores[u] += slab_squares(weight, use->axis, unit->elements[e] - use->first);
        }
        scores[u] = sqrt(scores[u]);
    }
    for (int g = 0; g < groups->n_groups; g++) {
        const pri_group *group = &groups->groups[g];
        double mean = 0;
        for (int i = 0; i < group->n_units; i++)
            mean += scores[group->units[i]] / group->n_units;
        for (int i = 0; i < group->n_units && mean > 0; i++)
            scores[group->units[i]] /= mean;
    }
    return PARE_OK;
}

/* Units without normalisation say nothing about themselves: they go last. */
static const double UNSCALED = 1e30;

/* Whether a value is the scale of a BatchNormalization. */
static bool is_bn_scale(const pri_value *value)
{
    for (int k = 0; k < value->n_uses; k++) {
        if (!value->uses[k].node->is_dead && value->uses[k].slot == 1 &&
            strcmp(value->uses[k].node->op_type, "BatchNormalization") == 0)
            return true;
    }
    return false;
}

pare_status pri_score_bn_scale(double *scores, const pri_scoring *scoring)
{
    const pri_groups *groups = scoring->groups;
    bool any = false;

    for (int u = 0; u < groups->n_units; u++) {
        const pri_unit *unit = &groups->units[u];
        int count = 0;
        scores[u] = 0;
        for (int64_t e = 0; e < unit->n_elements; e++) {
            const pri_axis_use *use = &groups->axes[groups->axis_of[unit->elements[e]]];
            const pri_tensor *weight = weight_of(scoring, use);
            if (weight == NULL || !is_bn_scale(use->value))
                continue;
            scores[u] += fabsf(((const float *)weight->data)[unit->elements[e] - use->first]);
            count++;
        }
        scores[u] = count > 0 ? scores[u] / count : UNSCALED;
        any = any || count > 0;
    }
    return any ? PARE_OK
               : pri_fail(groups->ctx, PARE_ERROR_UNSUPPORTED,
                          "the model has no BatchNormalization; use magnitude, ml or local-ml");
}
