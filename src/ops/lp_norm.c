/* SPDX-License-Identifier: Apache-2.0 */
/* lp_norm.c - LpNormalization: lines divided by their p-norm. */
#include <math.h>

#include "ops/op_support.h"

static const char reason[] = "normalises over these channels";

static pare_status lp_infer(pri_call *call)
{
    const int64_t p = pri_node_attr_int(call->node, "p", 2);
    int axis;

    PRI_TRY(pri_need_float(call, 1));
    if (p != 1 && p != 2)
        return pri_op_fail(call, PARE_ERROR_UNSUPPORTED, "p is %lld; 1 and 2 run", (long long)p);
    PRI_TRY(pri_axis_of(&axis, call, "axis", -1, call->in[0].shape.rank));
    return pri_infer_same(call);
}

static double norm_of(const float *x, const pri_lines *l, int64_t start, bool is_square)
{
    double sum = 0;

    for (int64_t k = 0; k < l->size; k++) {
        const double v = x[start + k * l->inner];
        sum += is_square ? v * v : fabs(v);
    }
    return is_square ? sqrt(sum) : sum;
}

static pare_status lp_forward(pri_call *call)
{
    const bool is_square = pri_node_attr_int(call->node, "p", 2) == 2;
    const float *x = call->in[0].data;
    float *y = call->out[0].data;
    int axis;

    PRI_TRY(pri_axis_of(&axis, call, "axis", -1, call->in[0].shape.rank));
    const pri_lines l = pri_lines_of(&call->in[0].shape, axis);
    for (int64_t i = 0; i < l.count; i++) {
        const int64_t start = pri_line_start(&l, i);
        const double norm = norm_of(x, &l, start, is_square);
        for (int64_t k = 0, at = start; k < l.size; k++, at += l.inner)
            y[at] = norm > 0 ? (float)(x[at] / norm) : 0;
    }
    return PARE_OK;
}

/* d += (g - slope(x) sum(g y)) / norm, the slope of the norm being sign(x) or x / norm */
static pare_status lp_backward(pri_call *call)
{
    const bool is_square = pri_node_attr_int(call->node, "p", 2) == 2;
    const float *x = call->in[0].data, *y = call->out[0].data, *g = call->grad_out[0];
    float *d = call->grad_in[0];
    int axis;

    if (g == NULL || d == NULL)
        return PARE_OK;
    PRI_TRY(pri_axis_of(&axis, call, "axis", -1, call->in[0].shape.rank));
    const pri_lines l = pri_lines_of(&call->in[0].shape, axis);
    for (int64_t i = 0; i < l.count; i++) {
        const int64_t start = pri_line_start(&l, i);
        const double norm = norm_of(x, &l, start, is_square);
        double sum = 0;
        for (int64_t k = 0, at = start; k < l.size; k++, at += l.inner)
            sum += (double)g[at] * y[at];
        for (int64_t k = 0, at = start; k < l.size && norm > 0; k++, at += l.inner) {
            const double slope = is_square ? y[at] : x[at] < 0 ? -1 : x[at] > 0;
            d[at] += (float)((g[at] - slope * sum) / norm);
        }
    }
    return PARE_OK;
}

static pare_status lp_couple(const pri_call *call, pri_rules *rules)
{
    int axis;

    PRI_TRY(pri_axis_of(&axis, call, "axis", -1, call->in[0].shape.rank));
    return pri_couple_lines(call, rules, axis, reason);
}

const pri_op pri_op_lp_normalization = {
    .name = "LpNormalization",
    .summary = "division by the norm along an axis",
    .min_opset = 1,
    .max_opset = 21,
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .backward_reads = PRI_READS_IN0 | PRI_READS_OUT0,
    .infer = lp_infer,
    .forward = lp_forward,
    .backward = lp_backward,
    .couple = lp_couple,
};
