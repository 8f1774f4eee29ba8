/* SPDX-License-Identifier: Apache-2.0 */
/* batchnorm.c - BatchNormalization over channel axis 1, training and inference (Ioffe, Szegedy 2015). */
#include <math.h>
#include <string.h>

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
        if (call->out[k].present)
            return pri_op_fail(call, PARE_ERROR_UNSUPPORTED, "output %d is not supported", k);
    }
    return pri_infer_same(call);
}

static pare_status prepare(pri_call *call)
{
    for (int k = 1; k < 5; k++)
        call->in[k].layout = PRI_PLAIN;
    call->out[0].layout = call->in[0].layout;
    /* scale, shift and two sums of each channel */
    call->scratch_bytes = (size_t)call->in[0].shape.dims[1] * (2 * sizeof(float) + 2 * sizeof(double));
    call->saved_bytes = (size_t)call->in[0].shape.dims[1] * 2 * sizeof(float);
    return PARE_OK;
}

static void affine(const pri_call *call, const float *mean, const float *inverse, float *scale,
                   float *shift)
{
    const float *gamma = call->in[1].data, *beta = call->in[2].data;

    for (int64_t c = 0; c < call->in[0].shape.dims[1]; c++) {
        scale[c] = gamma[c] * inverse[c];
        shift[c] = beta[c] - mean[c] * scale[c];
    }
}

static void running(const pri_call *call, float *mean, float *inverse)
{
    const bn_params *p = call->params;
    const float *m = call->in[3].data, *v = call->in[4].data;

    for (int64_t c = 0; c < call->in[0].shape.dims[1]; c++) {
        mean[c] = m[c];
        inverse[c] = 1.0f / sqrtf(v[c] + p->epsilon);
    }
}

/* y[c] += a * (b - centre[c]) and z[c] += a over all positions; a NULL means 1. */
static void channel_sums(const pri_channels *ch, const float *a, const float *b,
                         const float *centre, bool squares, double *y, double *z)
{
    memset(y, 0, (size_t)ch->channels * sizeof *y);
    memset(z, 0, (size_t)ch->channels * sizeof *z);
    if (ch->channel_stride == 1 && ch->channels > 1) {
#pragma omp parallel for schedule(static) reduction(+ : y[:ch->channels], z[:ch->channels])
        for (int64_t r = 0; r < ch->outer * ch->inner; r++) {
            const float *x = b + r * ch->channels;
            for (int64_t c = 0; c < ch->channels; c++) {
                const float d = x[c] - centre[c], w = a != NULL ? a[r * ch->channels + c] : 1.0f;
                y[c] += squares ? d * d : w * d;
                z[c] += a != NULL ? w : d;
            }
        }
        return;
    }
#pragma omp parallel for schedule(static)
    for (int64_t c = 0; c < ch->channels; c++) {
        for (int64_t n = 0; n < ch->outer; n++) {
            const int64_t first = n * ch->channels * ch->inner + c * ch->inner;
            for (int64_t i = first; i < first + ch->inner; i++) {
                const float d = b[i] - centre[c], w = a != NULL ? a[i] : 1.0f;
                y[c] += squares ? d * d : w * d;
                z[c] += a != NULL ? w : d;
            }
        }
    }
}

/* Batch statistics; the running ones move towards them. */
static void batch_statistics(const pri_call *call, const pri_channels *ch, float *mean,
                             float *inverse, double *sums)
{
    const bn_params *p = call->params;
    const float keep = call->momentum != NULL ? *call->momentum : p->momentum;
    float *run_mean = call->in[3].data, *run_var = call->in[4].data;
    const double count = (double)(ch->outer * ch->inner);

    /* the running mean is close to the mean: sums of differences from it do not cancel */
    memcpy(mean, run_mean, (size_t)ch->channels * sizeof *mean);
    channel_sums(ch, NULL, call->in[0].data, mean, true, sums, sums + ch->channels);
    for (int64_t c = 0; c < ch->channels; c++) {
        const double offset = sums[ch->channels + c] / count;
        const double variance = fmax(0, sums[c] / count - offset * offset);
        mean[c] += (float)offset;
        inverse[c] = (float)(1 / sqrt(variance + p->epsilon));
        run_mean[c] = run_mean[c] * keep + mean[c] * (1 - keep);
        run_var[c] = run_var[c] * keep + (float)variance * (1 - keep);
    }
}

static void apply(const pri_channels *ch, const float *x, float *y, const float *scale,
                  const float *shift)
{
    if (ch->channel_stride == 1 && ch->channels > 1) {
#pragma omp parallel for schedule(static)
        for (int64_t r = 0; r < ch->outer * ch->inner; r++) {
            const float *from = x + r * ch->channels;
            float *to = y + r * ch->channels;
            for (int64_t c = 0; c < ch->channels; c++)
                to[c] = from[c] * scale[c] + shift[c];
        }
        return;
    }
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < ch->outer * ch->channels; row++) {
        const float s = scale[row % ch->channels], t = shift[row % ch->channels];
        for (int64_t i = row * ch->inner; i < (row + 1) * ch->inner; i++)
            y[i] = x[i] * s + t;
    }
}

static pare_status forward(pri_call *call)
{
    const pri_channels ch = pri_channels_of(&call->in[0].shape, call->in[0].layout);
    double *sums = call->scratch;
    float *scale = (float *)(sums + 2 * ch.channels), *shift = scale + ch.channels;
    float *mean = call->saved != NULL ? call->saved : shift;
    float *inverse = call->saved != NULL ? mean + ch.channels : scale;

    if (call->training)
        batch_statistics(call, &ch, mean, inverse, sums);
    else
        running(call, mean, inverse);
    affine(call, mean, inverse, scale, shift);
    apply(&ch, call->in[0].data, call->out[0].data, scale, shift);
    return PARE_OK;
}

static void input_gradient(const pri_call *call, const pri_channels *ch, const double *sums)
{
    const float *x = call->in[0].data, *g = call->grad_out[0], *gamma = call->in[1].data;
    const float *mean = call->saved, *inverse = mean + ch->channels;
    const double count = (double)(ch->outer * ch->inner);
    float *d = call->grad_in[0];
    float *a = (float *)call->scratch + 4 * ch->channels, *b = a + ch->channels;

    /* d += k (g - b - (x - mean) a), with a, b zero in inference */
    for (int64_t c = 0; c < ch->channels; c++) {
        a[c] = call->training ? (float)(sums[c] / count) * inverse[c] * inverse[c] : 0;
        b[c] = call->training ? (float)(sums[ch->channels + c] / count) : 0;
    }
#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < ch->outer; n++) {
        for (int64_t r = 0; r < ch->inner * ch->channels; r++) {
            const int64_t i = n * ch->inner * ch->channels + r;
            const int64_t c = ch->channel_stride == 1 ? r % ch->channels : r / ch->inner;
            d[i] += gamma[c] * inverse[c] * (g[i] - b[c] - (x[i] - mean[c]) * a[c]);
        }
    }
}

static pare_status backward(pri_call *call)
{
    const pri_channels ch = pri_channels_of(&call->in[0].shape, call->in[0].layout);
    const float *mean = call->saved, *inverse = mean + ch.channels;
    double *sums = call->scratch;

    if (call->grad_out[0] == NULL)
        return PARE_OK;
    channel_sums(&ch, call->grad_out[0], call->in[0].data, mean, false, sums, sums + ch.channels);
    for (int64_t c = 0; c < ch.channels; c++) {
        if (call->grad_in[1] != NULL)
            call->grad_in[1][c] += (float)sums[c] * inverse[c];
        if (call->grad_in[2] != NULL)
            call->grad_in[2][c] += (float)sums[ch.channels + c];
    }
    if (call->grad_in[0] != NULL)
        input_gradient(call, &ch, sums);
    return PARE_OK;
}

static pare_status couple(const pri_call *call, pri_rules *rules)
{
    const int64_t channels = call->in[0].shape.dims[1];

    for (int k = 1; k < 5; k++)
        PRI_TRY(pri_rules_tie(rules, 0, 1, 0, k, 0, 0, channels));
    return pri_couple_same(call, rules);
}

static bool as_affine(const pri_call *call, float *scale, float *shift)
{
    const bn_params *p = call->params;

    for (int k = 1; k < 5; k++) {
        if (call->in[k].constant == NULL)
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
    .parse = parse,
    .infer = infer,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .couple = couple,
    .as_affine = as_affine,
};
