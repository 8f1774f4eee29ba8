/* SPDX-License-Identifier: Apache-2.0 */
/* gram.c - accumulates second moments chunk by chunk. */
#include "criteria/gram.h"

#include <cblas.h>
#include <string.h>

enum { CHUNK = 1024 };

bool pri_is_fittable(const pri_call *call, pri_product *product)
{
    if (call->op == NULL || call->op->product == NULL || call->op->columns == NULL ||
        !call->op->product(call, product))
        return false;
    const pri_value *weight = call->node->inputs[product->weight_slot];
    return weight != NULL && weight->constant != NULL && weight->constant->dtype == PRI_F32 &&
           weight->n_uses == 1 && !weight->is_output;
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

pare_status pri_fill_input(pri_engine *engine, const pare_data *data,
                           const pri_preprocess *preprocess, int64_t from)
{
    const int64_t batch = pri_engine_batch(engine);
    int64_t *order = pri_alloc(data->ctx, (size_t)batch, sizeof *order);

    if (order == NULL)
        return PARE_ERROR_MEMORY;
    for (int64_t i = 0; i < batch; i++)
        order[i] = pri_min_i64(from + i, data->count - 1);
    const pare_status status = pri_data_batch(data, preprocess, order, batch, NULL, 0,
                                              pri_engine_input(engine, 0), NULL, NULL);
    pri_free(order);
    return status;
}

/* --- Residuals --- */

/* An output-shaped array read row by row: element (row, o) of one group. */
typedef struct rows_of {
    const float *data;
    int64_t per_sample, inner, inner_stride, channel_stride;
} rows_of;

static rows_of view(const float *data, const pri_call *call, pri_layout layout,
                    const pri_product *p, int group)
{
    const pri_shape *shape = &call->out[0].shape;
    rows_of rows = {data, p->outputs, 1, 0, 1};

    if (data == NULL || !p->is_image)
        return rows;
    const pri_channels ch = pri_channels_of(shape, layout);
    return (rows_of){data + group * p->outputs * ch.channel_stride, ch.channels * ch.inner,
                     ch.inner, ch.inner_stride, ch.channel_stride};
}

static const float *row_at(const rows_of *rows, int64_t row)
{
    return rows->data + row / rows->inner * rows->per_sample +
           row % rows->inner * rows->inner_stride;
}

/* wanted - given of rows from .. from + count - 1 into to (count x outputs). */
static void read_residual(float *to, const pri_call *call, const pri_product *p, int group,
                          const pri_wanted *wanted, int64_t from, int64_t count)
{
    const rows_of got = view(call->out[0].data, call, call->out[0].layout, p, group);
    const rows_of want = view(wanted->data, call, wanted->layout, p, group);
    const rows_of now = view(wanted->shortcut, call, wanted->shortcut_layout, p, group);
    const rows_of then = view(wanted->original_shortcut, call, wanted->original_layout, p, group);
    const float *scale = wanted->scale != NULL ? wanted->scale + group * p->outputs : NULL;

#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < count; r++) {
        const float *a = row_at(&got, from + r), *b = row_at(&want, from + r);
        float *row = to + r * p->outputs;
        for (int64_t o = 0; o < p->outputs; o++)
            row[o] = b[o * want.channel_stride] - a[o * got.channel_stride];
        if (now.data == NULL)
            continue;
        const float *c = row_at(&then, from + r), *d = row_at(&now, from + r);
        for (int64_t o = 0; o < p->outputs; o++)
            row[o] += (c[o * then.channel_stride] - d[o * now.channel_stride]) *
                      (scale != NULL ? scale[o] : 1);
    }
}

typedef struct buffers {
    float *rows, *augmented, *residual;
} buffers;

static void add_chunk(pri_gram *gram, const buffers *b, const pri_call *call, const pri_product *p,
                      int group, const pri_wanted *wanted, int64_t from, int64_t count)
{
    const int64_t k = p->columns, size = k + 1;

    call->op->columns(call, group, from, from + count, b->rows);
    for (int64_t r = 0; r < count; r++) {
        memcpy(b->augmented + r * size, b->rows + r * k, (size_t)k * sizeof(float));
        b->augmented[r * size + k] = 1;
    }
    cblas_ssyrk(CblasRowMajor, CblasUpper, CblasTrans, (int)size, (int)count, 1.0f, b->augmented,
                (int)size, 1.0f, gram->gram, (int)size);
    gram->rows += count;
    if (wanted == NULL)
        return;
    read_residual(b->residual, call, p, group, wanted, from, count);
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)size, (int)p->outputs, (int)count,
                1.0f, b->augmented, (int)size, b->residual, (int)p->outputs, 1.0f, gram->cross,
                (int)p->outputs);
}

pare_status pri_gram_make(pri_gram *gram, const pri_call *call, const pri_product *product,
                          int group, const pri_wanted *wanted, int64_t max_rows)
{
    const int64_t k = product->columns, size = k + 1;
    const int64_t chunks = (product->rows + CHUNK - 1) / CHUNK;
    const int64_t step = pri_max_i64(1, (chunks * CHUNK + max_rows - 1) / max_rows);
    const buffers b = {.rows = pri_alloc(call->ctx, CHUNK, (size_t)k * sizeof(float)),
                       .augmented = pri_alloc(call->ctx, CHUNK, (size_t)size * sizeof(float)),
                       .residual =
                           pri_alloc(call->ctx, CHUNK, (size_t)product->outputs * sizeof(float))};

    *gram = (pri_gram){.size = size, .outputs = product->outputs};
    gram->gram = pri_alloc(call->ctx, (size_t)size, (size_t)size * sizeof(float));
    gram->cross = pri_alloc(call->ctx, (size_t)size, (size_t)product->outputs * sizeof(float));
    const bool is_whole = b.rows != NULL && b.augmented != NULL && b.residual != NULL &&
                          gram->gram != NULL && gram->cross != NULL;
    for (int64_t c = 0; c < chunks && is_whole; c += step)
        add_chunk(gram, &b, call, product, group, wanted, c * CHUNK,
                  pri_min_i64(CHUNK, product->rows - c * CHUNK));
    pri_free(b.rows);
    pri_free(b.augmented);
    pri_free(b.residual);
    if (!is_whole)
        pri_gram_clear(gram);
    return is_whole ? PARE_OK : PARE_ERROR_MEMORY;
}

pare_status pri_column_squares(double *squares, int64_t *rows, const pri_call *call,
                               const pri_product *product, int group, int64_t max_rows)
{
    const int64_t k = product->columns, chunk = 64;
    const int64_t chunks = (product->rows + chunk - 1) / chunk;
    const int64_t step = pri_max_i64(1, (chunks * chunk + max_rows - 1) / max_rows);
    float *some = pri_alloc(call->ctx, (size_t)chunk, (size_t)k * sizeof *some);

    if (some == NULL)
        return PARE_ERROR_MEMORY;
    memset(squares, 0, (size_t)k * sizeof *squares);
    *rows = 0;
    for (int64_t c = 0; c < chunks; c += step) {
        const int64_t from = c * chunk, count = pri_min_i64(chunk, product->rows - from);
        call->op->columns(call, group, from, from + count, some);
        for (int64_t r = 0; r < count; r++) {
            for (int64_t i = 0; i < k; i++)
                squares[i] += (double)some[r * k + i] * some[r * k + i];
        }
        *rows += count;
    }
    pri_free(some);
    return PARE_OK;
}

double pri_ridge(int64_t rows, int64_t columns)
{
    const double scarce = 0.3 * (double)columns / (double)pri_max_i64(rows, 1);

    return scarce > 1e-3 ? scarce : 1e-3;
}

void pri_gram_clear(pri_gram *gram)
{
    pri_free(gram->gram);
    pri_free(gram->cross);
    memset(gram, 0, sizeof *gram);
}
