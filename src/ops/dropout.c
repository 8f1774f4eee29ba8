/* SPDX-License-Identifier: Apache-2.0 */
/* dropout.c - Dropout: drops elements while training, copies otherwise. */
#include <string.h>

#include "base/random.h"
#include "ops/op_support.h"

typedef struct dropout_params {
    float ratio;
} dropout_params;

static pare_status dropout_parse(const pri_node *node, int opset, void *params, pri_arena *arena,
                                 pare_context *ctx)
{
    (void)opset;
    (void)arena;
    (void)ctx;
    ((dropout_params *)params)->ratio = pri_node_attr_float(node, "ratio", 0.5f);
    return PARE_OK;
}

static bool has_mask(const pri_call *call)
{
    return call->n_out > 1 && call->out[1].present;
}

/* The mask output says what was kept: of the input's type, since opset 10 of bool. */
static pare_status dropout_infer(pri_call *call)
{
    if (has_mask(call)) {
        call->out[1].dtype = call->opset < 10 ? call->in[0].dtype : PRI_BOOL;
        call->out[1].shape = call->in[0].shape;
        if (call->opset < 10)
            PRI_TRY(pri_need_float(call, 1));
    }
    return pri_infer_same(call);
}

static pare_status dropout_prepare(pri_call *call)
{
    if (has_mask(call))
        call->in[0].layout = call->out[1].layout = PRI_PLAIN;
    for (int k = 1; k < call->n_in; k++)
        call->in[k].layout = PRI_PLAIN;
    call->out[0].layout = call->in[0].layout;
    return PARE_OK;
}

static float ratio_of(const pri_call *call)
{
    const pri_operand *ratio = pri_in(call, 1);

    if (!call->training)
        return 0;
    return ratio != NULL && ratio->dtype == PRI_F32 ? *(const float *)ratio->data
                                                    : ((const dropout_params *)call->params)->ratio;
}

static float factor_at(const pri_call *call, float ratio, int64_t i)
{
    /* counter-based, so that backward draws the same mask */
    const uint64_t z =
        pri_random_mix(call->seed + (call->step + 1) * UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)i);

    return (float)(z >> 40) < ratio * 16777216.0f ? 0.0f : 1.0f / (1.0f - ratio);
}

static void fill_mask(const pri_call *call, float ratio)
{
    const int64_t n = pri_shape_count(&call->in[0].shape);

    for (int64_t i = 0; i < n; i++) {
        const bool keep = ratio <= 0 || factor_at(call, ratio, i) > 0;
        if (call->out[1].dtype == PRI_BOOL)
            ((unsigned char *)call->out[1].data)[i] = keep;
        else
            ((float *)call->out[1].data)[i] = keep;
    }
}

static pare_status dropout_forward(pri_call *call)
{
    const int64_t n = pri_shape_count(&call->in[0].shape);
    const size_t bytes = pri_dtype_bytes(call->in[0].dtype);
    const float ratio = ratio_of(call);
    const float *x = call->in[0].data;
    float *y = call->out[0].data;

    if (has_mask(call) && call->out[1].data != NULL)
        fill_mask(call, ratio);
    if (ratio <= 0 || bytes != sizeof(float)) {
        if (call->out[0].data != call->in[0].data)
            memcpy(call->out[0].data, call->in[0].data, (size_t)n * bytes);
        return PARE_OK;
    }
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] * factor_at(call, ratio, i);
    return PARE_OK;
}

static pare_status dropout_backward(pri_call *call)
{
    const int64_t n = pri_shape_count(&call->in[0].shape);
    const float ratio = ratio_of(call);

    if (call->grad_in[0] == NULL || call->grad_out[0] == NULL)
        return PARE_OK;
    for (int64_t i = 0; i < n; i++)
        call->grad_in[0][i] +=
            call->grad_out[0][i] * (ratio > 0 ? factor_at(call, ratio, i) : 1.0f);
    return PARE_OK;
}

const pri_op pri_op_dropout = {
    .name = "Dropout",
    .summary = "drops elements while training",
    .min_opset = 7,
    .max_opset = 21,
    .min_in = 1,
    .max_in = 3,
    .n_out = 2,
    .params_size = sizeof(dropout_params),
    .layouts = PRI_LAYOUTS_PREPARE,
    .is_in_place = true,
    .parse = dropout_parse,
    .infer = dropout_infer,
    .prepare = dropout_prepare,
    .forward = dropout_forward,
    .backward = dropout_backward,
    .couple = pri_couple_same,
};
