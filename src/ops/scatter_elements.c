/* SPDX-License-Identifier: Apache-2.0 */
/* scatter_elements.c - GatherElements, ScatterElements, Scatter: single elements by an index along
 * one axis. */
#include <string.h>

#include "ops/op_support.h"
#include "ops/scatter.h"

bool pri_scatter_parse(pri_reduction *out, const pri_node *node)
{
    static const char *const words[] = {"none", "add", "mul", "max", "min"};
    const char *word = pri_node_attr_string(node, "reduction", "none");

    for (int i = 0; i < (int)PRI_COUNT(words); i++) {
        if (strcmp(word, words[i]) == 0) {
            *out = (pri_reduction)i;
            return true;
        }
    }
    return false;
}

void pri_scatter_put(const pri_operand *out, int64_t to, const pri_operand *from, int64_t at,
                     pri_reduction reduction)
{
    const size_t bytes = pri_dtype_bytes(out->dtype);

    if (reduction == PRI_REPLACE) {
        memcpy((char *)out->data + (size_t)to * bytes,
               (const char *)from->data + (size_t)at * bytes, bytes);
        return;
    }
    const double u = pri_get_number(out, to), v = pri_get_number(from, at);
    switch (reduction) {
    case PRI_ADD: pri_set_number(out, to, u + v); break;
    case PRI_MULTIPLY: pri_set_number(out, to, u * v); break;
    case PRI_LARGER: pri_set_number(out, to, v > u ? v : u); break;
    default: pri_set_number(out, to, v < u ? v : u); break;
    }
}

pare_status pri_scatter_prepare(pri_call *call)
{
    pri_reduction reduction = PRI_REPLACE;

    if (!call->needs_backward)
        return PARE_OK;
    (void)pri_scatter_parse(&reduction, call->node);
    if (reduction > PRI_ADD)
        return pri_op_fail(call, PARE_ERROR_UNSUPPORTED,
                           "gradients pass only where it replaces or adds");
    call->scratch_bytes = (size_t)pri_shape_count(&call->in[0].shape) * sizeof(float);
    return PARE_OK;
}

/* --- Shared geometry: positions of `index`, and where each lies in the tensor behind it --- */

static pare_status check(const pri_call *call, int *axis)
{
    const pri_shape *x = &call->in[0].shape, *index = &call->in[1].shape;
    const pri_dtype dtype = call->in[1].dtype;

    PRI_TRY(pri_axis_of(axis, call, "axis", 0, x->rank));
    if (pri_dtype_bytes(call->in[0].dtype) == 0 || (dtype != PRI_I64 && dtype != PRI_I32))
        return pri_op_fail(call, PARE_ERROR_UNSUPPORTED, "takes %s by %s",
                           pri_dtype_name(call->in[0].dtype), pri_dtype_name(dtype));
    bool fits = index->rank == x->rank;
    for (int a = 0; a < x->rank && fits; a++)
        fits = a == *axis || index->dims[a] <= x->dims[a];
    return fits ? PARE_OK : pri_op_fail(call, PARE_ERROR_SHAPE, "the indices do not fit the input");
}

/* Offset in the data of position `i` of the indices; fails outside the axis. */
static pare_status offset_of(const pri_call *call, int axis, int64_t i, int64_t *offset)
{
    const pri_shape *x = &call->in[0].shape, *shape = &call->in[1].shape;
    int64_t index = pri_get_integer(&call->in[1], i), rest = i, stride = 1;

    if (index < -x->dims[axis] || index >= x->dims[axis])
        return pri_op_fail(call, PARE_ERROR_SHAPE, "index %lld is outside an axis of %lld",
                           (long long)index, (long long)x->dims[axis]);
    index += index < 0 ? x->dims[axis] : 0;
    *offset = 0;
    for (int a = x->rank - 1; a >= 0; a--) {
        *offset += (a == axis ? index : rest % shape->dims[a]) * stride;
        rest /= shape->dims[a];
        stride *= x->dims[a];
    }
    return PARE_OK;
}

/* Ties the axes that indices (and updates) share with the data, as far as they reach. */
static pare_status couple_elements(const pri_call *call, pri_rules *rules)
{
    static const char reason[] = "picks these channels by index";
    const pri_shape *x = &call->in[0].shape, *index = &call->in[1].shape;
    const bool is_gather = call->op->name[0] == 'G';
    int axis;

    PRI_TRY(check(call, &axis));
    for (int a = 0; a < x->rank; a++) {
        const int slots[] = {1, is_gather ? PRI_OUT(0) : 2};
        if (!is_gather && a != axis)
            PRI_TRY(pri_rules_tie(rules, 0, a, 0, PRI_OUT(0), a, 0, x->dims[a]));
        for (int k = 0; k < 2; k++) {
            if (a != axis)
                PRI_TRY(pri_rules_tie(rules, 0, a, 0, slots[k], a, 0, index->dims[a]));
            else
                PRI_TRY(pri_rules_pin(rules, slots[k], a, reason));
        }
    }
    PRI_TRY(pri_rules_pin(rules, 0, axis, reason));
    return pri_rules_pin(rules, PRI_OUT(0), axis, reason);
}

/* --- GatherElements --- */

static pare_status gather_infer(pri_call *call)
{
    int axis;

    PRI_TRY(check(call, &axis));
    call->out[0].dtype = call->in[0].dtype;
    call->out[0].shape = call->in[1].shape;
    return PARE_OK;
}

static pare_status gather(const pri_call *call, bool backward)
{
    const int64_t n = pri_shape_count(&call->in[1].shape);
    const size_t bytes = pri_dtype_bytes(call->in[0].dtype);
    int axis;

    PRI_TRY(check(call, &axis));
    for (int64_t i = 0; i < n; i++) {
        int64_t from;
        PRI_TRY(offset_of(call, axis, i, &from));
        if (backward)
            call->grad_in[0][from] += call->grad_out[0][i];
        else
            memcpy((char *)call->out[0].data + (size_t)i * bytes,
                   (const char *)call->in[0].data + (size_t)from * bytes, bytes);
    }
    return PARE_OK;
}

static pare_status gather_forward(pri_call *call)
{
    return gather(call, false);
}

static pare_status gather_backward(pri_call *call)
{
    return call->grad_in[0] != NULL && call->grad_out[0] != NULL ? gather(call, true) : PARE_OK;
}

const pri_op pri_op_gather_elements = {
    .name = "GatherElements",
    .summary = "elements picked by an index of their own along an axis",
    .min_opset = 11,
    .max_opset = 21,
    .min_in = 2,
    .max_in = 2,
    .n_out = 1,
    .backward_reads = PRI_READS_IN1,
    .infer = gather_infer,
    .forward = gather_forward,
    .backward = gather_backward,
    .couple = couple_elements,
};

/* --- ScatterElements --- */

static pare_status scatter_infer(pri_call *call)
{
    pri_reduction reduction;
    int axis;

    PRI_TRY(check(call, &axis));
    if (!pri_scatter_parse(&reduction, call->node) || call->in[2].dtype != call->in[0].dtype ||
        !pri_shape_equal(&call->in[1].shape, &call->in[2].shape))
        return pri_op_fail(call, PARE_ERROR_SHAPE, "its updates or its reduction do not fit");
    return pri_infer_same(call);
}

static pare_status scatter_forward(pri_call *call)
{
    const int64_t n = pri_shape_count(&call->in[1].shape);
    pri_reduction reduction = PRI_REPLACE;
    int axis;

    PRI_TRY(check(call, &axis));
    (void)pri_scatter_parse(&reduction, call->node);
    memcpy(call->out[0].data, call->in[0].data,
           (size_t)pri_shape_count(&call->in[0].shape) * pri_dtype_bytes(call->in[0].dtype));
    for (int64_t i = 0; i < n; i++) {
        int64_t to;
        PRI_TRY(offset_of(call, axis, i, &to));
        pri_scatter_put(&call->out[0], to, &call->in[2], i, reduction);
    }
    return PARE_OK;
}

/* Replaced elements pass nothing back, and of several updates of one element the last counts. */
static pare_status scatter_backward(pri_call *call)
{
    const int64_t n = pri_shape_count(&call->in[1].shape);
    const int64_t size = pri_shape_count(&call->in[0].shape);
    float *g = call->scratch;
    pri_reduction reduction = PRI_REPLACE;
    int axis;

    if (call->grad_out[0] == NULL)
        return PARE_OK;
    PRI_TRY(check(call, &axis));
    (void)pri_scatter_parse(&reduction, call->node);
    memcpy(g, call->grad_out[0], (size_t)size * sizeof *g);
    for (int64_t i = n - 1; i >= 0; i--) {
        int64_t to;
        PRI_TRY(offset_of(call, axis, i, &to));
        if (call->grad_in[2] != NULL)
            call->grad_in[2][i] += g[to];
        if (reduction == PRI_REPLACE)
            g[to] = 0;
    }
    for (int64_t i = 0; i < size && call->grad_in[0] != NULL; i++)
        call->grad_in[0][i] += g[i];
    return PARE_OK;
}

#define SCATTER(symbol, text, first, last)                                                         \
    const pri_op symbol = {.name = text,                                                           \
                           .summary = "elements put by an index of their own along an axis",       \
                           .min_opset = first,                                                     \
                           .max_opset = last,                                                      \
                           .min_in = 3,                                                            \
                           .max_in = 3,                                                            \
                           .n_out = 1,                                                             \
                           .backward_reads = PRI_READS_IN1,                                        \
                           .infer = scatter_infer,                                                 \
                           .prepare = pri_scatter_prepare,                                         \
                           .forward = scatter_forward,                                             \
                           .backward = scatter_backward,                                           \
                           .couple = couple_elements}

SCATTER(pri_op_scatter, "Scatter", 9, 10);
SCATTER(pri_op_scatter_elements, "ScatterElements", 11, 21);
