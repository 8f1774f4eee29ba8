/* SPDX-License-Identifier: Apache-2.0 */
/* gemm.c - Gemm and MatMul through BLAS. */
#include <cblas.h>
#include <string.h>

#include "kernels/strided.h"
#include "ops/op_support.h"

typedef struct gemm_params {
    float alpha, beta;
    bool trans_a, trans_b;
} gemm_params;

static pare_status gemm_parse(const pri_node *node, int opset, void *params, pri_arena *arena,
                              pare_context *ctx)
{
    gemm_params *p = params;

    (void)opset;
    (void)arena;
    (void)ctx;
    p->alpha = pri_node_attr_float(node, "alpha", 1.0f);
    p->beta = pri_node_attr_float(node, "beta", 1.0f);
    p->trans_a = pri_node_attr_int(node, "transA", 0) != 0;
    p->trans_b = pri_node_attr_int(node, "transB", 0) != 0;
    return PARE_OK;
}

static void gemm_sizes(const pri_call *call, int64_t *m, int64_t *n, int64_t *k)
{
    const gemm_params *p = call->params;

    *m = call->in[0].shape.dims[p->trans_a ? 1 : 0];
    *k = call->in[0].shape.dims[p->trans_a ? 0 : 1];
    *n = call->in[1].shape.dims[p->trans_b ? 0 : 1];
}

static pare_status gemm_infer(pri_call *call)
{
    const gemm_params *p = call->params;
    int64_t m, n, k;
    pri_shape broadcast;

    PRI_TRY(pri_need_float(call, 7));
    if (call->in[0].shape.rank != 2 || call->in[1].shape.rank != 2)
        return pri_op_fail(call, PARE_ERROR_SHAPE, "multiplies matrices, its inputs have rank %d and %d",
                           call->in[0].shape.rank, call->in[1].shape.rank);
    gemm_sizes(call, &m, &n, &k);
    if (call->in[1].shape.dims[p->trans_b ? 1 : 0] != k)
        return pri_op_fail(call, PARE_ERROR_SHAPE, "the input has %lld columns, the weights want %lld",
                           (long long)k, (long long)call->in[1].shape.dims[p->trans_b ? 1 : 0]);
    call->out[0].dtype = PRI_F32;
    call->out[0].shape = pri_shape_of(2, (const int64_t[]){m, n});
    if (pri_in(call, 2) != NULL &&
        (!pri_shape_broadcast(&broadcast, &call->out[0].shape, &call->in[2].shape) ||
         !pri_shape_equal(&broadcast, &call->out[0].shape)))
        return pri_op_fail(call, PARE_ERROR_SHAPE, "the bias does not fit %lld outputs",
                           (long long)n);
    return PARE_OK;
}

/* The nest over the output and the broadcast third input; operand 0 is the output when `forward`. */
static void bias_nest(const pri_call *call, pri_nest *nest, bool forward)
{
    const pri_shape *y = &call->out[0].shape, *c = &call->in[2].shape;
    const int64_t from_y[2] = {y->dims[1], 1};
    int64_t natural[PRI_MAX_RANK], from_c[2] = {0, 0};

    pri_shape_strides(natural, c);
    for (int a = 0; a < c->rank; a++)
        from_c[a + 2 - c->rank] = c->dims[a] == 1 ? 0 : natural[a];
    const int64_t *const strides[2] = {forward ? from_y : from_c, forward ? from_c : from_y};
    pri_nest_make(nest, 2, y->dims, 2, strides);
}

static pare_status gemm_forward(pri_call *call)
{
    const gemm_params *p = call->params;
    int64_t m, n, k;
    float beta = 0;

    gemm_sizes(call, &m, &n, &k);
    if (pri_in(call, 2) != NULL && p->beta != 0) {
        pri_nest nest;
        bias_nest(call, &nest, true);
        pri_nest_copy(&nest, call->out[0].data, call->in[2].data, sizeof(float));
        beta = p->beta;
    }
    cblas_sgemm(CblasRowMajor, p->trans_a ? CblasTrans : CblasNoTrans,
                p->trans_b ? CblasTrans : CblasNoTrans, (int)m, (int)n, (int)k, p->alpha,
                call->in[0].data, (int)pri_max_i64(1, p->trans_a ? m : k), call->in[1].data,
                (int)pri_max_i64(1, p->trans_b ? k : n), beta, call->out[0].data,
                (int)pri_max_i64(1, n));
    return PARE_OK;
}

static pare_status gemm_backward(pri_call *call)
{
    const gemm_params *p = call->params;
    const float *g = call->grad_out[0], *a = call->in[0].data, *b = call->in[1].data;
    int64_t m, n, k;

    if (g == NULL)
        return PARE_OK;
    gemm_sizes(call, &m, &n, &k);
    if (call->grad_in[0] != NULL) {
        if (p->trans_a) /* k x m = B (k x n) g' */
            cblas_sgemm(CblasRowMajor, p->trans_b ? CblasTrans : CblasNoTrans, CblasTrans, (int)k,
                        (int)m, (int)n, p->alpha, b, (int)(p->trans_b ? k : n), g, (int)n, 1.0f,
                        call->grad_in[0], (int)m);
        else
            cblas_sgemm(CblasRowMajor, CblasNoTrans, p->trans_b ? CblasNoTrans : CblasTrans,
                        (int)m, (int)k, (int)n, p->alpha, g, (int)n, b,
                        (int)(p->trans_b ? k : n), 1.0f, call->grad_in[0], (int)k);
    }
    if (call->grad_in[1] != NULL) {
        if (p->trans_b) /* n x k = g' A */
            cblas_sgemm(CblasRowMajor, CblasTrans, p->trans_a ? CblasTrans : CblasNoTrans, (int)n,
                        (int)k, (int)m, p->alpha, g, (int)n, a, (int)(p->trans_a ? m : k), 1.0f,
                        call->grad_in[1], (int)k);
        else
            cblas_sgemm(CblasRowMajor, p->trans_a ? CblasNoTrans : CblasTrans, CblasNoTrans,
                        (int)k, (int)n, (int)m, p->alpha, a, (int)(p->trans_a ? m : k), g, (int)n,
                        1.0f, call->grad_in[1], (int)n);
    }
    if (call->n_in > 2 && call->grad_in[2] != NULL) {
        pri_nest nest;
        bias_nest(call, &nest, false);
        pri_nest_add(&nest, call->grad_in[2], g, p->beta);
    }
    return PARE_OK;
}

/* The axes summed over go together. Between two activations nothing could make the product read zero
 * for a channel, so they stay. */
static pare_status couple_sum(const pri_call *call, pri_rules *rules, int axis_a, int axis_b,
                              int64_t count)
{
    static const char reason[] = "multiplies two activations and sums over these channels";

    if (call->in[0].constant == NULL && call->in[1].constant == NULL) {
        PRI_TRY(pri_rules_pin(rules, 0, axis_a, reason));
        PRI_TRY(pri_rules_pin(rules, 1, axis_b, reason));
    }
    return pri_rules_tie(rules, 0, axis_a, 0, 1, axis_b, 0, count);
}

static pare_status gemm_couple(const pri_call *call, pri_rules *rules)
{
    const gemm_params *p = call->params;
    int64_t m, n, k;

    gemm_sizes(call, &m, &n, &k);
    PRI_TRY(pri_rules_tie(rules, 0, p->trans_a ? 1 : 0, 0, PRI_OUT(0), 0, 0, m));
    PRI_TRY(couple_sum(call, rules, p->trans_a ? 0 : 1, p->trans_b ? 1 : 0, k));
    PRI_TRY(pri_rules_tie(rules, 1, p->trans_b ? 0 : 1, 0, PRI_OUT(0), 1, 0, n));
    if (pri_in(call, 2) != NULL) {
        const pri_shape *c = &call->in[2].shape;
        if (c->rank >= 1 && c->dims[c->rank - 1] == n)
            PRI_TRY(pri_rules_tie(rules, 2, c->rank - 1, 0, PRI_OUT(0), 1, 0, n));
        if (c->rank == 2 && c->dims[0] == m)
            PRI_TRY(pri_rules_tie(rules, 2, 0, 0, PRI_OUT(0), 0, 0, m));
    }
    return PARE_OK;
}

static void gemm_cost(const pri_call *call, pri_cost *out)
{
    int64_t m, n, k;

    gemm_sizes(call, &m, &n, &k);
    out->macs = m * n * k;
}

static int gemm_consumed_axis(const pri_call *call, int slot)
{
    const gemm_params *p = call->params;

    return slot == 1 ? (p->trans_b ? 1 : 0) : slot == 0 ? (p->trans_a ? 0 : 1) : -1;
}

static bool gemm_product(const pri_call *call, pri_product *out)
{
    const gemm_params *p = call->params;
    int64_t m, n, k;

    gemm_sizes(call, &m, &n, &k);
    *out = (pri_product){.groups = 1,
                         .rows = m,
                         .positions = 1,
                         .columns = k,
                         .outputs = n,
                         .weight_slot = 1,
                         .column_stride = p->trans_b ? 1 : n,
                         .block_stride = p->trans_b ? 1 : n,
                         .output_stride = p->trans_b ? k : 1,
                         .block = 1};
    return !p->trans_a && p->alpha == 1.0f && p->beta == 1.0f;
}

static void gemm_columns(const pri_call *call, int group, int64_t from, int64_t to, float *rows)
{
    const int64_t k = call->in[0].shape.dims[call->in[0].shape.rank - 1];

    (void)group;
    memcpy(rows, (const float *)call->in[0].data + from * k,
           (size_t)((to - from) * k) * sizeof(float));
}

const pri_op pri_op_gemm = {
    .name = "Gemm",
    .summary = "matrix product with bias (fully connected layer)",
    .min_opset = 1,
    .max_opset = 21,
    .min_in = 2,
    .max_in = 3,
    .n_out = 1,
    .params_size = sizeof(gemm_params),
    .backward_reads = PRI_READS_IN0 | PRI_READS_IN1,
    .parse = gemm_parse,
    .infer = gemm_infer,
    .forward = gemm_forward,
    .backward = gemm_backward,
    .couple = gemm_couple,
    .cost = gemm_cost,
    .consumed_axis = gemm_consumed_axis,
    .bias_slot = 2,
    .product = gemm_product,
    .columns = gemm_columns,
};

/* --- MatMul --- */

typedef struct matmul_sizes {
    int64_t m, n, k;
    pri_shape a, b, out; /* ranks padded to the same: batch axes, then two */
} matmul_sizes;

static pare_status measure(const pri_call *call, matmul_sizes *s)
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

static pare_status matmul_infer(pri_call *call)
{
    matmul_sizes s;

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
static int64_t merge_batches(matmul_sizes *s)
{
    const int64_t batches = pri_shape_span(&s->out, 0, s->out.rank - 2);

    if (s->b.rank == 2 && batches * s->m == pri_shape_span(&s->a, 0, s->a.rank - 1)) {
        s->m *= batches;
        return 1;
    }
    return batches;
}

static pare_status matmul_forward(pri_call *call)
{
    const float *a = call->in[0].data, *b = call->in[1].data;
    float *y = call->out[0].data;
    matmul_sizes s;

    PRI_TRY(measure(call, &s));
    const int64_t batches = merge_batches(&s);
    for (int64_t i = 0; i < batches; i++)
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)s.m, (int)s.n, (int)s.k, 1.0f,
                    a + batch_offset(&s.a, &s.out, i), (int)pri_max_i64(1, s.k),
                    b + batch_offset(&s.b, &s.out, i), (int)pri_max_i64(1, s.n), 0.0f,
                    y + i * s.m * s.n, (int)pri_max_i64(1, s.n));
    return PARE_OK;
}

static pare_status matmul_backward(pri_call *call)
{
    const float *a = call->in[0].data, *b = call->in[1].data, *g = call->grad_out[0];
    matmul_sizes s;

    if (g == NULL)
        return PARE_OK;
    PRI_TRY(measure(call, &s));
    const int64_t batches = merge_batches(&s);
    for (int64_t i = 0; i < batches; i++) {
        const int64_t at_a = batch_offset(&s.a, &s.out, i), at_b = batch_offset(&s.b, &s.out, i);
        if (call->grad_in[0] != NULL)
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)s.m, (int)s.k, (int)s.n,
                        1.0f, g + i * s.m * s.n, (int)s.n, b + at_b, (int)s.n, 1.0f,
                        call->grad_in[0] + at_a, (int)s.k);
        if (call->grad_in[1] != NULL)
            cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)s.k, (int)s.n, (int)s.m,
                        1.0f, a + at_a, (int)s.k, g + i * s.m * s.n, (int)s.n, 1.0f,
                        call->grad_in[1] + at_b, (int)s.n);
    }
    return PARE_OK;
}

static pare_status matmul_couple(const pri_call *call, pri_rules *rules)
{
    const pri_shape *a = &call->in[0].shape, *b = &call->in[1].shape, *y = &call->out[0].shape;
    matmul_sizes s;

    PRI_TRY(measure(call, &s));
    if (a->rank == 1 || b->rank == 1)
        return couple_sum(call, rules, a->rank - 1, b->rank == 1 ? 0 : b->rank - 2, s.k);
    PRI_TRY(couple_sum(call, rules, a->rank - 1, b->rank - 2, s.k));
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

static void matmul_cost(const pri_call *call, pri_cost *out)
{
    matmul_sizes s;

    if (measure(call, &s) == PARE_OK)
        out->macs = pri_shape_count(&s.out) * s.k;
}

static int matmul_consumed_axis(const pri_call *call, int slot)
{
    const int rank = call->in[slot].shape.rank;

    if (slot == 0)
        return rank - 1;
    return slot == 1 ? (rank == 1 ? 0 : rank - 2) : -1;
}

static bool matmul_product(const pri_call *call, pri_product *out)
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
    .infer = matmul_infer,
    .forward = matmul_forward,
    .backward = matmul_backward,
    .couple = matmul_couple,
    .cost = matmul_cost,
    .consumed_axis = matmul_consumed_axis,
    .product = matmul_product,
    .columns = gemm_columns,
};
