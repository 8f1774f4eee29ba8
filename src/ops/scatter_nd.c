/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scatter_nd.c - GatherND, ScatterND: slices by tuples of indices.
 *
 * The last axis of the indices holds tuples about the first axes of the data (behind the batch
 * axes of GatherND); a tuple names a slice of what follows.
 */
#include <string.h>

#include "ops/op_support.h"
#include "ops/scatter.h"

typedef struct tuples {
    int batch, depth;         /* batch axes; numbers in a tuple */
    int64_t count, per_batch; /* tuples in all, and of one batch */
    int64_t slice;            /* elements */
} tuples;

static pare_status measure(const pri_call *call, tuples *t)
{
    const pri_shape *x = &call->in[0].shape, *index = &call->in[1].shape;
    const bool is_gather = call->op->name[0] == 'G';
    const int64_t batch = is_gather ? pri_node_attr_int(call->node, "batch_dims", 0) : 0;
    const pri_dtype dtype = call->in[1].dtype;

    if (dtype != PRI_I64 && dtype != PRI_I32)
        return pri_op_fail(call, PARE_ERROR_UNSUPPORTED, "its indices are %s",
                           pri_dtype_name(dtype));
    if (index->rank < 1 || batch < 0 || batch >= index->rank || batch >= x->rank ||
        index->dims[index->rank - 1] < 1 || index->dims[index->rank - 1] > x->rank - batch)
        return pri_op_fail(call, PARE_ERROR_SHAPE, "the indices do not fit the input");
    for (int a = 0; a < batch; a++) {
        if (x->dims[a] != index->dims[a])
            return pri_op_fail(call, PARE_ERROR_SHAPE, "batch axis %d differs", a);
    }
    t->batch = (int)batch;
    t->depth = (int)index->dims[index->rank - 1];
    t->count = pri_shape_span(index, 0, index->rank - 1);
    t->per_batch = pri_shape_span(index, t->batch, index->rank - 1);
    t->slice = pri_shape_span(x, t->batch + t->depth, x->rank);
    return PARE_OK;
}

/* The first element of the slice that tuple i names. */
static pare_status offset_of(const pri_call *call, const tuples *t, int64_t i, int64_t *offset)
{
    const pri_shape *x = &call->in[0].shape;
    int64_t at = t->batch > 0 ? i / t->per_batch : 0;

    for (int k = 0; k < t->depth; k++) {
        const int64_t size = x->dims[t->batch + k];
        const int64_t index = pri_get_integer(&call->in[1], i * t->depth + k);
        if (index < -size || index >= size)
            return pri_op_fail(call, PARE_ERROR_SHAPE, "index %lld is outside an axis of %lld",
                               (long long)index, (long long)size);
        at = at * size + (index < 0 ? index + size : index);
    }
    *offset = at * t->slice;
    return PARE_OK;
}

/* --- GatherND --- */

static pare_status gather_infer(pri_call *call)
{
    const pri_shape *x = &call->in[0].shape, *index = &call->in[1].shape;
    pri_shape shape = {0};
    tuples t;

    PRI_TRY(measure(call, &t));
    if (index->rank - 1 + x->rank - t.batch - t.depth > PRI_MAX_RANK ||
        pri_dtype_bytes(call->in[0].dtype) == 0)
        return pri_op_fail(call, PARE_ERROR_UNSUPPORTED, "its result has too many axes");
    for (int a = 0; a < index->rank - 1; a++)
        shape.dims[shape.rank++] = index->dims[a];
    for (int a = t.batch + t.depth; a < x->rank; a++)
        shape.dims[shape.rank++] = x->dims[a];
    call->out[0].dtype = call->in[0].dtype;
    call->out[0].shape = shape;
    return PARE_OK;
}

static pare_status gather(const pri_call *call, bool backward)
{
    const size_t bytes = pri_dtype_bytes(call->in[0].dtype);
    tuples t;

    PRI_TRY(measure(call, &t));
    for (int64_t i = 0; i < t.count; i++) {
        int64_t from;
        PRI_TRY(offset_of(call, &t, i, &from));
        if (!backward)
            memcpy((char *)call->out[0].data + (size_t)(i * t.slice) * bytes,
                   (const char *)call->in[0].data + (size_t)from * bytes, (size_t)t.slice * bytes);
        for (int64_t e = 0; backward && e < t.slice; e++)
            call->grad_in[0][from + e] += call->grad_out[0][i * t.slice + e];
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

/* Slices keep their axes; indexed axes stay whole, and tuples with them. */
static pare_status couple(const pri_call *call, pri_rules *rules)
{
    static const char reason[] = "picks these channels by index";
    const pri_shape *x = &call->in[0].shape, *index = &call->in[1].shape;
    const bool is_gather = call->op->name[0] == 'G';
    const int slot = is_gather ? PRI_OUT(0) : 2;
    tuples t;

    PRI_TRY(measure(call, &t));
    for (int a = 0; a < x->rank; a++) {
        if (a >= t.batch && a < t.batch + t.depth)
            PRI_TRY(pri_rules_pin(rules, 0, a, reason));
        else if (a >= t.batch)
            PRI_TRY(pri_rules_tie(rules, 0, a, 0, slot, index->rank - 1 + a - t.batch - t.depth, 0,
                                  x->dims[a]));
        else
            PRI_TRY(pri_rules_tie(rules, 0, a, 0, slot, a, 0, x->dims[a]));
        if (!is_gather)
            PRI_TRY(pri_rules_tie(rules, 0, a, 0, PRI_OUT(0), a, 0, x->dims[a]));
    }
    for (int a = 0; a < index->rank; a++) {
        PRI_TRY(pri_rules_pin(rules, 1, a, reason));
        if (a < index->rank - 1 && a >= t.batch)
            PRI_TRY(pri_rules_pin(rules, slot, a, reason));
        else if (a < t.batch)
            PRI_TRY(pri_rules_tie(rules, 0, a, 0, 1, a, 0, x->dims[a]));
    }
    return PARE_OK;
}

const pri_op pri_op_gather_nd = {
    .name = "GatherND",
    .summary = "slices picked by tuples of indices",
    .min_opset = 11,
    .max_opset = 21,
    .min_in = 2,
    .max_in = 2,
    .n_out = 1,
    .backward_reads = PRI_READS_IN1,
    .infer = gather_infer,
    .forward = gather_forward,
    .backward = gather_backward,
    .couple = couple,
};

/* --- ScatterND --- */

static pare_status scatter_infer(pri_call *call)
{
    const pri_shape *x = &call->in[0].shape, *index = &call->in[1].shape;
    const pri_shape *updates = &call->in[2].shape;
    pri_reduction reduction;
    tuples t;

    PRI_TRY(measure(call, &t));
    bool fits = pri_scatter_parse(&reduction, call->node) &&
                call->in[2].dtype == call->in[0].dtype &&
                updates->rank == index->rank - 1 + x->rank - t.depth;
    for (int a = 0; a < updates->rank && fits; a++)
        fits = updates->dims[a] ==
               (a < index->rank - 1 ? index->dims[a] : x->dims[t.depth + a - (index->rank - 1)]);
    return fits ? pri_infer_same(call)
                : pri_op_fail(call, PARE_ERROR_SHAPE, "its updates or its reduction do not fit");
}

static pare_status scatter_forward(pri_call *call)
{
    pri_reduction reduction = PRI_REPLACE;
    tuples t;

    PRI_TRY(measure(call, &t));
    (void)pri_scatter_parse(&reduction, call->node);
    memcpy(call->out[0].data, call->in[0].data,
           (size_t)pri_shape_count(&call->in[0].shape) * pri_dtype_bytes(call->in[0].dtype));
    for (int64_t i = 0; i < t.count; i++) {
        int64_t to;
        PRI_TRY(offset_of(call, &t, i, &to));
        for (int64_t e = 0; e < t.slice; e++)
            pri_scatter_put(&call->out[0], to + e, &call->in[2], i * t.slice + e, reduction);
    }
    return PARE_OK;
}

/* As for ScatterElements: the last update of an element counts, what is replaced passes nothing. */
static pare_status scatter_backward(pri_call *call)
{
    const int64_t size = pri_shape_count(&call->in[0].shape);
    float *g = call->scratch;
    pri_reduction reduction = PRI_REPLACE;
    tuples t;

    if (call->grad_out[0] == NULL)
        return PARE_OK;
    PRI_TRY(measure(call, &t));
    (void)pri_scatter_parse(&reduction, call->node);
    memcpy(g, call->grad_out[0], (size_t)size * sizeof *g);
    for (int64_t i = t.count - 1; i >= 0; i--) {
        int64_t to;
        PRI_TRY(offset_of(call, &t, i, &to));
        for (int64_t e = 0; e < t.slice; e++) {
            if (call->grad_in[2] != NULL)
                call->grad_in[2][i * t.slice + e] += g[to + e];
            if (reduction == PRI_REPLACE)
                g[to + e] = 0;
        }
    }
    for (int64_t i = 0; i < size && call->grad_in[0] != NULL; i++)
        call->grad_in[0][i] += g[i];
    return PARE_OK;
}

const pri_op pri_op_scatter_nd = {
    .name = "ScatterND",
    .summary = "slices put by tuples of indices",
    .min_opset = 11,
    .max_opset = 21,
    .min_in = 3,
    .max_in = 3,
    .n_out = 1,
    .backward_reads = PRI_READS_IN1,
    .infer = scatter_infer,
    .prepare = pri_scatter_prepare,
    .forward = scatter_forward,
    .backward = scatter_backward,
    .couple = couple,
};
