/* SPDX-License-Identifier: Apache-2.0 */
/* matmul.c - MatMul through BLAS, with NumPy's batching. */
#include <cblas.h>
#include <string.h>

#include "ops/product.h"

typedef struct sizes {
    int64_t m, n, k;
    pri_shape a, b, out; /* ranks padded to the same: batch axes, then two */
} sizes;

static pare_status measure(const pri_call *call, sizes *s)
{
    pri_shape batch_a, batch_b, batch;

    memset(s, 0, sizeof *s);
    s->a = call->in[0].shape;
    s->b = call->in[1].shape;
    if (s->a.rank == 0 || s->b.rank == 0)
        return pri_op_fail(call, PARE_ERROR_SHAPE, "cannot multiply a scalar");
    if (s->a.rank == 1)
        s->a = pri_shape_of(2, (const int64_t[]){1, s->a.dims[0]});
    if (s->b.rank == 1)
        s->b = pri_shape_of(2, (const int64_t[]){s->b.dims[0], 1});
    s->m = s->a.dims[s->a.rank - 2];
    s->k = s->a.dims[s->a.rank - 1];
    s->n = s->b.dims[s->b.rank - 1];
    if (s->b.dims[s->b.rank - 2] != s->k)
        return pri_op_fail(call, PARE_ERROR_SHAPE, "%lld columns meet %lld rows", (long long)s->k,
                           (long long)s->b.dims[s->b.rank - 2]);
    batch_a = pri_shape_of(s->a.rank - 2, s->a.dims);
    batch_b = pri_shape_of(s->b.rank - 2, s->b.dims);
    if (!pri_shape_broadcast(&batch, &batch_a, &batch_b) || batch.rank + 2 > PRI_MAX_RANK)
        return pri_op_fail(call, PARE_ERROR_SHAPE, "the batch dimensions do not fit");
    s->out = batch;
    s->out.dims[s->out.rank++] = s->m;
    s->out.dims[s->out.rank++] = s->n;
    return PARE_OK;
}

static pare_status infer(pri_call *call)
{
    sizes s;

    PRI_TRY(pri_need_float(call, 3));
    PRI_TRY(measure(call, &s));
    call->out[0].dtype = PRI_F32;
    pri_shape shape = s.out;
    if (call->in[1].shape.rank == 1)
        shape.rank--;
    if (call->in[0].shape.rank == 1) {
        if (call->in[1].shape.rank != 1)
            shape.dims[shape.rank - 2] = shape.dims[shape.rank - 1];
        shape.rank--;
    }
    call->out[0].shape = shape;
    return PARE_OK;
}

/* Offset of batch `index` of the output in an operand with these batch axes. */
static int64_t batch_offset(const pri_shape *operand, const pri_shape *out, int64_t index)
{
    int64_t offset = 0, stride = pri_shape_span(operand, operand->rank - 2, operand->rank);

    for (int a = out->rank - 3; a >= 0; a--) {
        const int64_t i = index % out->dims[a];
        const int b = a - (out->rank - operand->rank);
        index /= out->dims[a];
        if (b < 0)
            continue;
        if (operand->dims[b] != 1)
            offset += i * stride;
        stride *= operand->dims[b];
    }
    return offset;
}

/* A shared matrix on the right makes all samples one product. */
static int64_t merge_batches(sizes *s)
{
    const int64_t batches = pri_shape_span(&s->out, 0, s->out.rank - 2);

    if (s->b.rank == 2 && batches * s->m == pri_shape_span(&s->a, 0, s->a.rank - 1)) {
        s->m *= batches;
        return 1;
    }
    return batches;
}

static pare_status forward(pri_call *call)
{
    const float *a = call->in[0].data, *b = call->in[1].data;
    float *y = call->out[0].data;
    sizes s;

    PRI_TRY(measure(call, &s));
    const int64_t batches = merge_batches(&s);
    for (int64_t i = 0; i < batches; i++)
        pri_multiply(false, false, s.m, s.n, s.k, 1, a + batch_offset(&s.a, &s.out, i),
                     b + batch_offset(&s.b, &s.out, i), 0, y + i * s.m * s.n);
    return PARE_OK;
}

static pare_status backward(pri_call *call)
{
    const float *a = call->in[0].data, *b = call->in[1].data, *g = call->grad_out[0];
    sizes s;

    if (g == NULL)
        return PARE_OK;
    PRI_TRY(measure(call, &s));
    const int64_t batches = merge_batches(&s);
    for (int64_t i = 0; i < batches; i++) {
        const int64_t at_a = batch_offset(&s.a, &s.out, i), at_b = batch_offset(&s.b, &s.out, i);
        if (call->grad_in[0] != NULL)
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)s.m, (int)s.k, (int)s.n, 1.0f,
                        g + i * s.m * s.n, (int)s.n, b + at_b, (int)s.n, 1.0f,
                        call->grad_in[0] + at_a, (int)s.k);
        if (call->grad_in[1] != NULL)
            cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)s.k, (int)s.n, (int)s.m, 1.0f,
                        a + at_a, (int)s.k, g + i * s.m * s.n, (int)s.n, 1.0f,
                        call->grad_in[1] + at_b, (int)s.n);
    }
    return PARE_OK;
}

static pare_status couple(const pri_call *call, pri_rules *rules)
{
    const pri_shape *a = &call->in[0].shape, *b = &call->in[1].shape, *y = &call->out[0].shape;
    sizes s;

    PRI_TRY(measure(call, &s));
    if (a->rank == 1 || b->rank == 1)
        return pri_couple_sum(call, rules, a->rank - 1, b->rank == 1 ? 0 : b->rank - 2, s.k);
    PRI_TRY(pri_couple_sum(call, rules, a->rank - 1, b->rank - 2, s.k));
    PRI_TRY(pri_rules_tie(rules, 0, a->rank - 2, 0, PRI_OUT(0), y->rank - 2, 0, s.m));
    PRI_TRY(pri_rules_tie(rules, 1, b->rank - 1, 0, PRI_OUT(0), y->rank - 1, 0, s.n));
    for (int j = 0; j < y->rank - 2; j++) {
        const int of_a = j - (y->rank - a->rank), of_b = j - (y->rank - b->rank);
        if (of_a >= 0 && a->dims[of_a] == y->dims[j])
            PRI_TRY(pri_rules_tie(rules, 0, of_a, 0, PRI_OUT(0), j, 0, y->dims[j]));
        if (of_b >= 0 && b->dims[of_b] == y->dims[j])
            PRI_TRY(pri_rules_tie(rules, 1, of_b, 0, PRI_OUT(0), j, 0, y->dims[j]));
    }
    return PARE_OK;
}

static void cost(const pri_call *call, pri_cost *out)
{
    sizes s;

    if (measure(call, &s) == PARE_OK)
        out->macs = pri_shape_count(&s.out) * s.k;
}

static int consumed_axis(const pri_call *call, int slot)
{
    const int rank = call->in[slot].shape.rank;

    if (slot == 0)
        return rank - 1;
    return slot == 1 ? (rank == 1 ? 0 : rank - 2) : -1;
}

static bool product(const pri_call *call, pri_product *out)
{
    const pri_shape *a = &call->in[0].shape, *b = &call->in[1].shape;

    if (a->rank < 2 || b->rank != 2)
        return false;
    const int64_t k = b->dims[0], n = b->dims[1];
    *out = (pri_product){.groups = 1,
                         .rows = pri_shape_count(a) / pri_max_i64(k, 1),
                         .positions = pri_shape_span(a, 1, a->rank - 1),
                         .columns = k,
                         .outputs = n,
                         .weight_slot = 1,
                         .column_stride = n,
                         .block_stride = n,
                         .output_stride = 1,
                         .block = 1};
    return true;
}

const pri_op pri_op_matmul = {
    .name = "MatMul",
    .summary = "matrix product with NumPy batching",
    .min_opset = 1,
    .max_opset = 21,
    .min_in = 2,
    .max_in = 2,
    .n_out = 1,
    .backward_reads = PRI_READS_IN0 | PRI_READS_IN1,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .couple = couple,
    .cost = cost,
    .consumed_axis = consumed_axis,
    .product = product,
    .columns = pri_product_columns,
};
