/* SPDX-License-Identifier: Apache-2.0 */
/* gram.c - accumulates second moments chunk by chunk. */
#include "criteria/gram.h"

#include <cblas.h>
#include <string.h>

enum { CHUNK = 1024 };

bool pri_is_fittable(const pri_call *call, pri_product *product)
{
    if (call->op == NULL || call->op->product == NULL || call->op->columns == NULL ||
        !call->op->product(call, product) || product->groups != 1)
        return false;
    const pri_value *weight = call->node->inputs[product->weight_slot];
    return weight != NULL && weight->constant != NULL && weight->n_uses == 1;
}

pare_status pri_step_call(pri_call *call, pri_operand *in, pri_operand *out,
                          const pri_engine *engine, const pare_model *model, int step)
{
    const pri_node *node = pri_engine_step_node(engine, step);

    memset(call, 0, sizeof *call);
    call->ctx = model->ctx;
    call->op = node->op;
    call->node = node;
    call->params = node->params;
    call->opset = model->graph->opset;
    call->n_in = node->n_inputs;
    call->n_out = node->n_outputs;
    call->in = in;
    call->out = out;
    for (int k = 0; k < call->n_in; k++)
        PRI_TRY(pri_engine_operand(engine, step, k, &in[k]));
    for (int k = 0; k < call->n_out; k++)
        PRI_TRY(pri_engine_operand(engine, step, PRI_OUT(k), &out[k]));
    call->preferred = in[0].layout;
    return PARE_OK;
}

/* wanted - got at row r, output o of the layer. */
static void read_residual(float *to, const pri_call *call, const pri_product *p,
                          const float *wanted, pri_layout wanted_layout, int64_t from, int64_t count)
{
    const pri_operand *out = &call->out[0];
    const bool is_image = out->shape.rank > 2;
    pri_channels a = {.channels = p->outputs, .inner = 1, .channel_stride = 1}, b = a;

    if (is_image && p->positions > 0 && out->shape.dims[1] == p->outputs) {
        a = pri_channels_of(&out->shape, out->layout);
        b = pri_channels_of(&out->shape, wanted_layout);
    }
    for (int64_t r = 0; r < count; r++) {
        const int64_t n = (from + r) / a.inner, q = (from + r) % a.inner;
        const float *got = (const float *)out->data + n * a.channels * a.inner + q * a.inner_stride;
        const float *want = wanted + n * a.channels * a.inner + q * b.inner_stride;
        for (int64_t o = 0; o < p->outputs; o++)
            to[r * p->outputs + o] = want[o * b.channel_stride] - got[o * a.channel_stride];
    }
}

pare_status pri_gram_make(pri_gram *gram, const pri_call *call, const pri_product *product,
                          const float *wanted, pri_layout wanted_layout, int64_t max_rows)
{
    const int64_t k = product->columns, size = k + 1;
    const int64_t chunks = (product->rows + CHUNK - 1) / CHUNK;
    const int64_t step = pri_max_i64(1, (chunks * CHUNK + max_rows - 1) / max_rows);
    float *rows = pri_alloc(call->ctx, CHUNK, (size_t)k * sizeof *rows);
    float *augmented = pri_alloc(call->ctx, CHUNK, (size_t)size * sizeof *rows);
    float *residual = pri_alloc(call->ctx, CHUNK, (size_t)product->outputs * sizeof *rows);

    *gram = (pri_gram){.size = size, .outputs = product->outputs};
    gram->gram = pri_alloc(call->ctx, (size_t)size, (size_t)size * sizeof(float));
    gram->cross = pri_alloc(call->ctx, (size_t)size, (size_t)product->outputs * sizeof(float));
    pare_status status = rows != NULL && augmented != NULL && residual != NULL &&
                                 gram->gram != NULL && gram->cross != NULL
                             ? PARE_OK
                             : PARE_ERROR_MEMORY;
    for (int64_t c = 0; c < chunks && status == PARE_OK; c += step) {
        const int64_t from = c * CHUNK, count = pri_min_i64(CHUNK, product->rows - from);
        call->op->columns(call, 0, from, from + count, rows);
        for (int64_t r = 0; r < count; r++) {
            memcpy(augmented + r * size, rows + r * k, (size_t)k * sizeof *rows);
            augmented[r * size + k] = 1;
        }
        cblas_ssyrk(CblasRowMajor, CblasUpper, CblasTrans, (int)size, (int)count, 1.0f, augmented,
                    (int)size, 1.0f, gram->gram, (int)size);
        gram->rows += count;
        if (wanted == NULL)
            continue;
        read_residual(residual, call, product, wanted, wanted_layout, from, count);
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)size, (int)product->outputs,
                    (int)count, 1.0f, augmented, (int)size, residual, (int)product->outputs, 1.0f,
                    gram->cross, (int)product->outputs);
    }
    pri_free(rows);
    pri_free(augmented);
    pri_free(residual);
    if (status != PARE_OK)
        pri_gram_clear(gram);
    return status;
}

void pri_gram_clear(pri_gram *gram)
{
    pri_free(gram->gram);
    pri_free(gram->cross);
    memset(gram, 0, sizeof *gram);
}
