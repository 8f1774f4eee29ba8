/* SPDX-License-Identifier: Apache-2.0 */
/* gather.c - Gather: slices picked by index along an axis. */
#include <string.h>

#include "ops/op_support.h"

static pare_status check_indices(const pri_call *call, int64_t size)
{
    const pri_tensor *index = call->in[1].constant;

    for (int64_t k = 0; index != NULL && k < pri_tensor_count(index); k++) {
        const int64_t i = pri_tensor_get_i64(index, k);
        if (i < -size || i >= size)
            return pri_op_fail(call, PARE_ERROR_SHAPE, "index %lld is outside an axis of %lld",
                               (long long)i, (long long)size);
    }
    return PARE_OK;
}

static pare_status gather_infer(pri_call *call)
{
    const pri_shape *x = &call->in[0].shape, *i = &call->in[1].shape;
    const int axis = pri_axis(pri_node_attr_int(call->node, "axis", 0), x->rank);
    pri_shape shape = {0};

    if (axis < 0 || x->rank - 1 + i->rank > PRI_MAX_RANK ||
        (call->in[1].dtype != PRI_I64 && call->in[1].dtype != PRI_I32))
        return pri_op_fail(call, PARE_ERROR_SHAPE, "its axis or indices do not fit");
    PRI_TRY(check_indices(call, x->dims[axis]));
    for (int a = 0; a < axis; a++)
        shape.dims[shape.rank++] = x->dims[a];
    for (int a = 0; a < i->rank; a++)
        shape.dims[shape.rank++] = i->dims[a];
    for (int a = axis + 1; a < x->rank; a++)
        shape.dims[shape.rank++] = x->dims[a];
    call->out[0].dtype = call->in[0].dtype;
    call->out[0].shape = shape;
    return PARE_OK;
}

static pare_status gather(const pri_call *call, bool backward)
{
    const pri_shape *x = &call->in[0].shape;
    const int axis = pri_axis(pri_node_attr_int(call->node, "axis", 0), x->rank);
    const int64_t outer = pri_shape_span(x, 0, axis), size = x->dims[axis];
    const int64_t inner = pri_shape_span(x, axis + 1, x->rank);
    const int64_t count = pri_shape_count(&call->in[1].shape);
    const size_t bytes = pri_dtype_bytes(call->in[0].dtype);

    for (int64_t o = 0; o < outer; o++) {
        for (int64_t k = 0; k < count; k++) {
            int64_t i = call->in[1].dtype == PRI_I64 ? ((const int64_t *)call->in[1].data)[k]
                                                     : ((const int32_t *)call->in[1].data)[k];
            i = i < 0 ? i + size : i;
            if (i < 0 || i >= size)
                return pri_op_fail(call, PARE_ERROR_SHAPE, "index %lld is outside 0 .. %lld",
                                   (long long)i, (long long)size - 1);
            const int64_t from = (o * size + i) * inner, to = (o * count + k) * inner;
            if (!backward)
                memcpy((char *)call->out[0].data + (size_t)to * bytes,
                       (const char *)call->in[0].data + (size_t)from * bytes,
                       (size_t)inner * bytes);
            for (int64_t e = 0; backward && e < inner; e++)
                call->grad_in[0][from + e] += call->grad_out[0][to + e];
        }
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

/* The index tensor after a cut: without the positions that are gone, numbers counted among the
 * channels that are left. */
static pare_status renumber(pri_tensor **out, const pri_call *call, const pri_cut *cut, int axis)
{
    const pri_tensor *index = call->in[1].constant;
    const int64_t size = call->in[0].shape.dims[axis];
    const bool *keep = pri_cut_keep(cut, 0, axis);
    pri_tensor *now = NULL;

    PRI_TRY(pri_tensor_convert(&now, index, PRI_I64));
    for (int a = 0; a < index->shape.rank; a++) {
        const bool *stays = pri_cut_keep(cut, PRI_OUT(0), axis + a);
        pri_tensor *sliced = NULL;
        const pare_status status =
            stays != NULL ? pri_tensor_slice(&sliced, now, a, stays) : PARE_OK;
        if (stays != NULL) {
            pri_tensor_free(now);
            now = sliced;
        }
        if (status != PARE_OK)
            return status;
    }
    int64_t *values = now->data;
    for (int64_t k = 0; k < pri_tensor_count(now); k++)
        values[k] = pri_count_kept(keep, 0, values[k] < 0 ? values[k] + size : values[k]);
    *out = now;
    return PARE_OK;
}

static pare_status gather_resize(const pri_call *call, const pri_cut *cut, pri_graph *graph,
                                 pri_node *node)
{
    const int axis = pri_axis(pri_node_attr_int(call->node, "axis", 0), call->in[0].shape.rank);
    bool is_stale = pri_cut_keep(cut, 0, axis) != NULL;
    pri_tensor *index = NULL;

    for (int a = 0; a < call->in[1].shape.rank; a++)
        is_stale = is_stale || pri_cut_keep(cut, PRI_OUT(0), axis + a) != NULL;
    if (!is_stale || call->in[1].constant == NULL)
        return PARE_OK;
    PRI_TRY(renumber(&index, call, cut, axis));
    pri_value *value = pri_graph_add_constant(graph, "", index);
    return value != NULL ? pri_graph_set_input(graph, node, 1, value) : PARE_ERROR_MEMORY;
}

const pri_op pri_op_gather = {
    .name = "Gather",
    .summary = "slices picked by index",
    .min_opset = 1,
    .max_opset = 21,
    .min_in = 2,
    .max_in = 2,
    .n_out = 1,
    .is_movement = true,
    .backward_reads = PRI_READS_IN1,
    .infer = gather_infer,
    .forward = gather_forward,
    .backward = gather_backward,
    .resize = gather_resize,
};
