/* SPDX-License-Identifier: Apache-2.0 */
/* gemm.c - Gemm through BLAS. */
#include <cblas.h>

#include "kernels/strided.h"
#include "ops/product.h"

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
        return pri_op_fail(call, PARE_ERROR_SHAPE,
                           "multiplies matrices, its inputs have rank %d and %d",
                           call->in[0].shape.rank, call->in[1].shape.rank);
    gemm_sizes(call, &m, &n, &k);
    if (call->in[1].shape.dims[p->trans_b ? 1 : 0] != k)
        return pri_op_fail(call, PARE_ERROR_SHAPE,
                           "the input has %lld columns, the weights want %lld", (long long)k,
                           (long long)call->in[1].shape.dims[p->trans_b ? 1 : 0]);
    call->out[0].dtype = PRI_F32;
    call->out[0].shape = pri_shape_of(2, (const int64_t[]){m, n});
    if (pri_in(call, 2) != NULL &&
        (!pri_shape_broadcast(&broadcast, &call->out[0].shape, &call->in[2].shape) ||
         !pri_shape_equal(&broadcast, &call->out[0].shape)))
        return pri_op_fail(call, PARE_ERROR_SHAPE, "the bias does not fit %lld outputs",
                           (long long)n);
    return PARE_OK;
}

/* The nest over the output and the broadcast third input; operand 0 is the output when `forward`.
 */
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
    pri_multiply(p->trans_a, p->trans_b, m, n, k, p->alpha, call->in[0].data, call->in[1].data,
                 beta, call->out[0].data);
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
            cblas_sgemm(CblasRowMajor, CblasNoTrans, p->trans_b ? CblasNoTrans : CblasTrans, (int)m,
                        (int)k, (int)n, p->alpha, g, (int)n, b, (int)(p->trans_b ? k : n), 1.0f,
                        call->grad_in[0], (int)k);
    }
    if (call->grad_in[1] != NULL) {
        if (p->trans_b) /* n x k = g' A */
            cblas_sgemm(CblasRowMajor, CblasTrans, p->trans_a ? CblasTrans : CblasNoTrans, (int)n,
                        (int)k, (int)m, p->alpha, g, (int)n, a, (int)(p->trans_a ? m : k), 1.0f,
                        call->grad_in[1], (int)k);
        else
            cblas_sgemm(CblasRowMajor, p->trans_a ? CblasNoTrans : CblasTrans, CblasNoTrans, (int)k,
                        (int)n, (int)m, p->alpha, a, (int)(p->trans_a ? m : k), g, (int)n, 1.0f,
                        call->grad_in[1], (int)n);
    }
    if (call->n_in > 2 && call->grad_in[2] != NULL) {
        pri_nest nest;
        bias_nest(call, &nest, false);
        pri_nest_add(&nest, call->grad_in[2], g, p->beta);
    }
    return PARE_OK;
}

static pare_status gemm_couple(const pri_call *call, pri_rules *rules)
{
    const gemm_params *p = call->params;
    int64_t m, n, k;

    gemm_sizes(call, &m, &n, &k);
    PRI_TRY(pri_rules_tie(rules, 0, p->trans_a ? 1 : 0, 0, PRI_OUT(0), 0, 0, m));
    PRI_TRY(pri_couple_sum(call, rules, p->trans_a ? 0 : 1, p->trans_b ? 1 : 0, k));
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
    .columns = pri_product_columns,
};
