/* SPDX-License-Identifier: Apache-2.0 */
/* product.c - see product.h. */
#include "ops/product.h"

#include <cblas.h>
#include <string.h>

pare_status pri_couple_sum(const pri_call *call, pri_rules *rules, int axis_a, int axis_b,
                           int64_t count)
{
    static const char reason[] = "multiplies two activations and sums over these channels";

    if (call->in[0].constant == NULL && call->in[1].constant == NULL) {
        PRI_TRY(pri_rules_pin(rules, 0, axis_a, reason));
        PRI_TRY(pri_rules_pin(rules, 1, axis_b, reason));
    }
    return pri_rules_tie(rules, 0, axis_a, 0, 1, axis_b, 0, count);
}

void pri_multiply(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, float alpha,
                  const float *a, const float *b, float beta, float *c)
{
    if (m == 1 && beta == 0) /* whatever is there, even NaN, is not to be multiplied by 0 */
        memset(c, 0, (size_t)n * sizeof *c);
    if (m == 1 && k > 0)
        cblas_sgemv(CblasRowMajor, trans_b ? CblasNoTrans : CblasTrans, (int)(trans_b ? n : k),
                    (int)(trans_b ? k : n), alpha, b, (int)pri_max_i64(1, trans_b ? k : n), a, 1,
                    beta, c, 1);
    else
        cblas_sgemm(CblasRowMajor, trans_a ? CblasTrans : CblasNoTrans,
                    trans_b ? CblasTrans : CblasNoTrans, (int)m, (int)n, (int)k, alpha, a,
                    (int)pri_max_i64(1, trans_a ? m : k), b, (int)pri_max_i64(1, trans_b ? k : n),
                    beta, c, (int)pri_max_i64(1, n));
}

void pri_product_columns(const pri_call *call, int group, int64_t from, int64_t to, float *rows)
{
    const int64_t k = call->in[0].shape.dims[call->in[0].shape.rank - 1];

    (void)group;
    memcpy(rows, (const float *)call->in[0].data + from * k,
           (size_t)((to - from) * k) * sizeof(float));
}
