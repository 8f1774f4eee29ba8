/* SPDX-License-Identifier: Apache-2.0 */
/* batchnorm.c - BatchNormalization over channel axis 1, training and inference (Ioffe, Szegedy
 * 2015). */
#include <math.h>
#include <string.h>

#include "kernels/normalise.h"
#include "ops/op_support.h"

typedef struct bn_params {
    float epsilon, momentum;
} bn_params;

static pare_status parse(const pri_node *node, int opset, void *params, pri_arena *arena,
                         pare_context *ctx)
{
    bn_params *p = params;

    (void)arena;
    p->epsilon = pri_node_attr_float(node, "epsilon", 1e-5f);
    p->momentum = pri_node_attr_float(node, "momentum", 0.9f);
    if (opset < 9 && pri_node_attr_int(node, "spatial", 1) == 0)
        return pri_parse_fail(ctx, node, "spatial=0 is not supported");
    return PARE_OK;
}

static pare_status infer(pri_call *call)
{
    PRI_TRY(pri_need_float(call, 31));
    if (call->in[0].shape.rank < 2)
        return pri_op_fail(call, PARE_ERROR_SHAPE, "the input has no channel axis");
    for (int k = 1; k < 5; k++) {
        if (call->in[k].shape.rank != 1 || call->in[k].shape.dims[0] != call->in[0].shape.dims[1])
            return pri_op_fail(call, PARE_ERROR_SHAPE, "input %d does not fit %lld channels", k,
                               (long long)call->in[0].shape.dims[1]);
    }
    for (int k = 1; k < call->n_out; k++) {
        call->out[k].dtype = PRI_F32;
        call->out[k].shape = call->in[1].shape;
    }
    return pri_infer_same(call);
}

/* Scratch: two sums of each channel, slope and tilt of the way back, four numbers where nothing is
 * saved; behind them that of the passes. */
static size_t sums_bytes(int64_t channels)
{
    return ((size_t)channels * (2 * sizeof(double) + 6 * sizeof(float)) + 63) / 64 * 64;
}

static pare_status prepare(pri_call *call)
{
    for (int k = 1; k < 5; k++)
        call->in[k].layout = PRI_PLAIN;
    for (int k = 1; k < call->n_out; k++)
        call->out[k].layout = PRI_PLAIN;
    call->out[0].layout = call->in[0].layout;
    const pri_channels ch = pri_channels_of(&call->in[0].shape, call->in[0].layout);
    call->scratch_bytes = sums_bytes(ch.channels) + pri_norm_scratch(&ch);
    /* mean, 1 / deviation, and what they make of gamma and beta */
    call->saved_bytes = (size_t)ch.channels * 4 * sizeof(float);
    return PARE_OK;
}

/* Numbers of each channel; those of a call with a way back outlive the forward pass. */
typedef struct channel_numbers {
    double *sums;
    float *mean, *inverse, *scale, *shift;
    void *scratch;
} channel_numbers;

static channel_numbers numbers_of(const pri_call *call, int64_t channels)
{
    channel_numbers n = {.sums = call->scratch,
                         .scratch = (unsigned char *)call->scratch + sums_bytes(channels)};

    n.mean = call->saved != NULL ? call->saved : (float *)(n.sums + 2 * channels) + 2 * channels;
    n.inverse = n.mean + channels;
    n.scale = n.inverse + channels;
    n.shift = n.scale + channels;
    return n;
}

static pri_norm_tensor tensor_of(const pri_operand *operand)
{
    return (pri_norm_tensor){operand->data, operand->dtype};
}

static void running(const pri_call *call, int64_t channels, const channel_numbers *n)
{
    const bn_params *p = call->params;
    const float *m = call->in[3].data, *v = call->in[4].data;

    for (int64_t c = 0; c < channels; c++) {
        n->mean[c] = m[c];
        n->inverse[c] = 1.0f / sqrtf(v[c] + p->epsilon);
    }
}

/* Batch statistics; the running ones move towards them. */
static void batch_statistics(const pri_call *call, const pri_channels *ch, const channel_numbers *n)
{
    const bn_params *p = call->params;
    const float keep = call->momentum != NULL ? *call->momentum : p->momentum;
    float *run_mean = call->in[3].data, *run_var = call->in[4].data;
    const double count = (double)(ch->outer * ch->inner);

    /* the running mean is close to the mean: sums of differences from it do not cancel */
    pri_norm_sums(ch, tensor_of(&call->in[0]), run_mean, n->sums, n->scratch);
    for (int64_t c = 0; c < ch->channels; c++) {
        const double offset = n->sums[ch->channels + c] / count;
        const double variance = fmax(0, n->sums[c] / count - offset * offset);
        const float mean = run_mean[c] + (float)offset;
        n->mean[c] = mean;
        n->inverse[c] = (float)(1 / sqrt(variance + p->epsilon));
        run_mean[c] = run_mean[c] * keep + mean * (1 - keep);
        run_var[c] = run_var[c] * keep + (float)variance * (1 - keep);
    }
}

/* Further outputs of graphs exported for training: the statistics as they are now. */
static void write_statistics(const pri_call *call, int64_t channels)
{
    for (int k = 1; k < call->n_out; k++) {
        if (call->out[k].present)
            memcpy(call->out[k].data, call->in[k % 2 != 0 ? 3 : 4].data,
                   (size_t)channels * sizeof(float));
    }
}

static bool has_relu(const pri_call *call)
{
    return call->epilogue != NULL && call->epilogue->activation.kind == PRI_ACT_RELU;
}

static pare_status forward(pri_call *call)
{
    const pri_channels ch = pri_channels_of(&call->in[0].shape, call->in[0].layout);
    const channel_numbers n = numbers_of(call, ch.channels);
    const float *gamma = call->in[1].data, *beta = call->in[2].data;

    if (call->training)
        batch_statistics(call, &ch, &n);
    else
        running(call, ch.channels, &n);
    for (int64_t c = 0; c < ch.channels; c++) {
        const float mean = n.mean[c], scale = gamma[c] * n.inverse[c];
        n.scale[c] = scale;
        n.shift[c] = beta[c] - mean * scale;
    }
    pri_norm_apply(&ch, tensor_of(&call->in[0]), tensor_of(&call->out[0]), n.scale, n.shift,
                   has_relu(call), n.scratch);
    write_statistics(call, ch.channels);
    return PARE_OK;
}

static pare_status backward(pri_call *call)
{
    const pri_channels ch = pri_channels_of(&call->in[0].shape, call->in[0].layout);
    const channel_numbers n = numbers_of(call, ch.channels);
    const double count = (double)(ch.outer * ch.inner);
    float *slope = (float *)(n.sums + 2 * ch.channels), *tilt = slope + ch.channels;

    if (call->grad_out[0] == NULL)
        return PARE_OK;
    const pri_norm_back back = {.x = tensor_of(&call->in[0]),
                                .g = {call->grad_out[0], call->out[0].dtype},
                                .mean = n.mean,
                                .scale = n.scale,
                                .shift = n.shift,
                                .relu = has_relu(call),
                                .slope = slope,
                                .tilt = tilt,
                                .d = call->grad_in[0],
                                .add = !pri_is_fresh(call, 0)};
    pri_norm_back_sums(&ch, &back, n.sums, n.scratch);
    for (int64_t c = 0; c < ch.channels; c++) {
        const double product = n.sums[c], sum = n.sums[ch.channels + c];
        if (call->grad_in[1] != NULL)
            call->grad_in[1][c] += (float)product * n.inverse[c];
        if (call->grad_in[2] != NULL)
            call->grad_in[2][c] += (float)sum;
        slope[c] = call->training ? (float)(product / count) * n.inverse[c] * n.inverse[c] : 0;
        tilt[c] = call->training ? (float)(sum / count) : 0;
    }
    if (call->grad_in[0] != NULL)
        pri_norm_back_apply(&ch, &back, n.scratch);
    return PARE_OK;
}

static pare_status couple(const pri_call *call, pri_rules *rules)
{
    const int64_t channels = call->in[0].shape.dims[1];

    for (int k = 1; k < 5; k++) {
        PRI_TRY(pri_rules_tie(rules, 0, 1, 0, k, 0, 0, channels));
        PRI_TRY(pri_rules_tie(rules, 0, 1, 0, PRI_OUT(k), 0, 0, channels));
    }
    return pri_couple_same(call, rules);
}

static bool takes_bf16(const pri_call *call, int slot)
{
    (void)call;
    return slot == 0 || slot == PRI_OUT(0);
}

static bool as_affine(const pri_call *call, float *scale, float *shift)
{
    const bn_params *p = call->params;

    for (int k = 1; k < 5; k++) {
        if (call->in[k].constant == NULL)
            return false;
    }
    for (int k = 1; k < call->n_out; k++) {
        if (call->out[k].present)
            return false;
    }
    if (scale == NULL)
        return true;
    const float *gamma = call->in[1].constant->data, *beta = call->in[2].constant->data;
    const float *mean = call->in[3].constant->data, *variance = call->in[4].constant->data;
    for (int64_t c = 0; c < call->in[0].shape.dims[1]; c++) {
        scale[c] = gamma[c] / sqrtf(variance[c] + p->epsilon);
        shift[c] = beta[c] - mean[c] * scale[c];
    }
    return true;
}

const pri_op pri_op_batchnorm = {
    .name = "BatchNormalization",
    .summary = "normalisation of each channel, training and inference",
    .min_opset = 7,
    .max_opset = 21,
    .min_in = 5,
    .max_in = 5,
    .n_out = 5,
    .params_size = sizeof(bn_params),
    .layouts = PRI_LAYOUTS_PREPARE,
    .backward_reads = PRI_READS_IN0 | PRI_READS_IN1,
    .updates = 8 | 16,
    .writes_gradients = true,
    .is_in_place_back = true,
    .takes_activation = true,
    .parse = parse,
    .infer = infer,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .couple = couple,
    .takes_bf16 = takes_bf16,
    .as_affine = as_affine,
};
