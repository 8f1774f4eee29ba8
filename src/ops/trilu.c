/* SPDX-License-Identifier: Apache-2.0 */
/* trilu.c - Trilu: the upper or lower triangle of matrices, 0 elsewhere. */
#include <string.h>

#include "ops/op_support.h"

static pare_status diagonal_of(const pri_call *call, int64_t *k)
{
    int64_t stated[PRI_MAX_RANK] = {0};
    int count;

    PRI_TRY(pri_op_ints(call, 1, stated, PRI_MAX_RANK, &count));
    *k = count > 0 ? pri_max_i64(-(INT64_C(1) << 40), pri_min_i64(stated[0], INT64_C(1) << 40)) : 0;
    return PARE_OK;
}

static pare_status infer(pri_call *call)
{
    int64_t k;

    if (call->in[0].shape.rank < 2 || pri_dtype_bytes(call->in[0].dtype) == 0)
        return pri_op_fail(call, PARE_ERROR_SHAPE, "works on matrices, the input has rank %d",
                           call->in[0].shape.rank);
    PRI_TRY(diagonal_of(call, &k));
    return pri_infer_same(call);
}

/* Columns from .. to-1 of a row stay. */
static void kept_of(const pri_call *call, int64_t k, int64_t row, int64_t *from, int64_t *to)
{
    const int64_t columns = call->in[0].shape.dims[call->in[0].shape.rank - 1];
    const bool is_upper = pri_node_attr_int(call->node, "upper", 1) != 0;
    const int64_t edge = pri_max_i64(0, pri_min_i64(row + k + !is_upper, columns));

    *from = is_upper ? edge : 0;
    *to = is_upper ? columns : edge;
}

static pare_status forward(pri_call *call)
{
    const pri_shape *x = &call->in[0].shape;
    const int64_t height = x->dims[x->rank - 2], columns = x->dims[x->rank - 1];
    const int64_t rows = pri_shape_span(x, 0, x->rank - 1);
    const size_t bytes = pri_dtype_bytes(call->in[0].dtype);
    int64_t k, from, to;

    PRI_TRY(diagonal_of(call, &k));
    memset(call->out[0].data, 0, (size_t)(rows * columns) * bytes);
    for (int64_t row = 0; row < rows; row++) {
        kept_of(call, k, row % height, &from, &to);
        if (from < to)
            memcpy((char *)call->out[0].data + (size_t)(row * columns + from) * bytes,
                   (const char *)call->in[0].data + (size_t)(row * columns + from) * bytes,
                   (size_t)(to - from) * bytes);
    }
    return PARE_OK;
}

static pare_status backward(pri_call *call)
{
    const pri_shape *x = &call->in[0].shape;
    const int64_t height = x->dims[x->rank - 2], columns = x->dims[x->rank - 1];
    int64_t k, from, to;

    if (call->grad_in[0] == NULL || call->grad_out[0] == NULL)
        return PARE_OK;
    PRI_TRY(diagonal_of(call, &k));
    for (int64_t row = 0; row < pri_shape_span(x, 0, x->rank - 1); row++) {
        kept_of(call, k, row % height, &from, &to);
        for (int64_t i = row * columns + from; i < row * columns + to; i++)
            call->grad_in[0][i] += call->grad_out[0][i];
    }
    return PARE_OK;
}

static pare_status couple(const pri_call *call, pri_rules *rules)
{
    const int rank = call->in[0].shape.rank;

    return pri_couple_around(call, rules, rank - 2, rank, "keeps a triangle of these channels");
}

const pri_op pri_op_trilu = {
    .name = "Trilu",
    .summary = "the upper or lower triangle of matrices",
    .min_opset = 14,
    .max_opset = 21,
    .min_in = 1,
    .max_in = 2,
    .n_out = 1,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .couple = couple,
};
