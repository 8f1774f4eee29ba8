/* SPDX-License-Identifier: Apache-2.0 */
/* cumsum.c - CumSum: running sums along an axis. */
#include "ops/elements.h"
#include "ops/op_support.h"

static pare_status axis_of(const pri_call *call, int *axis)
{
    int64_t stated[PRI_MAX_RANK];
    int count;

    PRI_TRY(pri_op_ints(call, 1, stated, PRI_MAX_RANK, &count));
    *axis = count == 1 ? pri_axis(stated[0], call->in[0].shape.rank) : -1;
    return *axis >= 0 ? PARE_OK
                      : pri_op_fail(call, PARE_ERROR_SHAPE, "its axis does not fit rank %d",
                                    call->in[0].shape.rank);
}

static pare_status infer(pri_call *call)
{
    int axis;

    if (!pri_is_number(call->in[0].dtype))
        return pri_op_fail(call, PARE_ERROR_UNSUPPORTED, "adds up %s",
                           pri_dtype_name(call->in[0].dtype));
    PRI_TRY(axis_of(call, &axis));
    return pri_infer_same(call);
}

/* Where a line starts and how it goes on; the way back sums from the other end. */
typedef struct course {
    int64_t start, step;
    bool is_exclusive;
} course;

static course course_of(const pri_call *call, const pri_lines *l, int64_t line, bool backward)
{
    const bool reverse = (pri_node_attr_int(call->node, "reverse", 0) != 0) != backward;
    const int64_t first = pri_line_start(l, line);

    return (course){.start = reverse ? first + (l->size - 1) * l->inner : first,
                    .step = reverse ? -l->inner : l->inner,
                    .is_exclusive = pri_node_attr_int(call->node, "exclusive", 0) != 0};
}

static pare_status forward(pri_call *call)
{
    const bool is_integer = pri_is_integer(call->in[0].dtype);
    int axis;

    PRI_TRY(axis_of(call, &axis));
    const pri_lines l = pri_lines_of(&call->in[0].shape, axis);
    for (int64_t i = 0; i < l.count; i++) {
        const course c = course_of(call, &l, i, false);
        double sum = 0;
        uint64_t whole = 0;
        for (int64_t k = 0, at = c.start; k < l.size; k++, at += c.step) {
            const double before = sum;
            const uint64_t whole_before = whole;
            sum += pri_get_number(&call->in[0], at);
            if (is_integer)
                whole += (uint64_t)pri_get_integer(&call->in[0], at);
            if (is_integer)
                pri_set_integer(&call->out[0], at,
                                (int64_t)(c.is_exclusive ? whole_before : whole));
            else
                pri_set_number(&call->out[0], at, c.is_exclusive ? before : sum);
        }
    }
    return PARE_OK;
}

static pare_status backward(pri_call *call)
{
    const float *g = call->grad_out[0];
    float *d = call->grad_in[0];
    int axis;

    if (g == NULL || d == NULL)
        return PARE_OK;
    PRI_TRY(axis_of(call, &axis));
    const pri_lines l = pri_lines_of(&call->in[0].shape, axis);
    for (int64_t i = 0; i < l.count; i++) {
        const course c = course_of(call, &l, i, true);
        double sum = 0;
        for (int64_t k = 0, at = c.start; k < l.size; k++, at += c.step) {
            const double before = sum;
            sum += g[at];
            d[at] += (float)(c.is_exclusive ? before : sum);
        }
    }
    return PARE_OK;
}

static pare_status couple(const pri_call *call, pri_rules *rules)
{
    int axis;

    PRI_TRY(axis_of(call, &axis));
    return pri_couple_lines(call, rules, axis, "adds these channels up");
}

const pri_op pri_op_cum_sum = {
    .name = "CumSum",
    .summary = "running sums along an axis",
    .min_opset = 11,
    .max_opset = 21,
    .min_in = 2,
    .max_in = 2,
    .n_out = 1,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .couple = couple,
};
