/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lrn.c - LRN: normalisation over neighbouring channels (Krizhevsky 2012).
 *
 * y_i = x_i s_i^-beta with s_i = bias + alpha / size * sum of x_j^2 over the window of i.
 */
#include <math.h>

#include "ops/op_support.h"

typedef struct lrn_params {
    float alpha, beta, bias;
    int64_t size;
} lrn_params;

static pare_status parse(const pri_node *node, int opset, void *params, pri_arena *arena,
                         pare_context *ctx)
{
    lrn_params *p = params;

    (void)opset;
    (void)arena;
    *p = (lrn_params){.alpha = pri_node_attr_float(node, "alpha", 0.0001f),
                      .beta = pri_node_attr_float(node, "beta", 0.75f),
                      .bias = pri_node_attr_float(node, "bias", 1.0f),
                      .size = pri_node_attr_int(node, "size", 0)};
    return p->size >= 1 && p->size < 1 << 20
               ? PARE_OK
               : pri_parse_fail(ctx, node, "size is %lld", (long long)p->size);
}

static pare_status infer(pri_call *call)
{
    PRI_TRY(pri_need_float(call, 1));
    if (call->in[0].shape.rank < 2)
        return pri_op_fail(call, PARE_ERROR_SHAPE, "the input has no channel axis");
    return pri_infer_same(call);
}

static pare_status prepare(pri_call *call)
{
    call->out[0].layout = call->in[0].layout;
    return PARE_OK;
}

/* Sum of squares over the window of channel c at the position x points to. */
static double scale_at(const lrn_params *p, const float *x, const pri_channels *ch, int64_t c)
{
    const int64_t from = pri_max_i64(0, c - (p->size - 1) / 2);
    const int64_t to = pri_min_i64(ch->channels - 1, c + p->size / 2);
    double sum = 0;

    for (int64_t j = from; j <= to; j++)
        sum += (double)x[j * ch->channel_stride] * x[j * ch->channel_stride];
    return p->bias + p->alpha / (double)p->size * sum;
}

static pare_status forward(pri_call *call)
{
    const lrn_params *p = call->params;
    const pri_channels ch = pri_channels_of(&call->in[0].shape, call->in[0].layout);

#pragma omp parallel for schedule(static)
    for (int64_t q = 0; q < ch.outer * ch.inner; q++) {
        const int64_t at = q / ch.inner * ch.channels * ch.inner + q % ch.inner * ch.inner_stride;
        const float *x = (const float *)call->in[0].data + at;
        float *y = (float *)call->out[0].data + at;
        for (int64_t c = 0; c < ch.channels; c++)
            y[c * ch.channel_stride] =
                (float)(x[c * ch.channel_stride] * pow(scale_at(p, x, &ch, c), -(double)p->beta));
    }
    return PARE_OK;
}

/* d_j += g_j s_j^-beta - 2 alpha beta / size x_j sum of g_i x_i s_i^(-beta-1) over windows with j
 */
static void position_back(const lrn_params *p, const pri_channels *ch, const float *x,
                          const float *g, float *d)
{
    for (int64_t i = 0; i < ch->channels; i++) {
        const int64_t from = pri_max_i64(0, i - (p->size - 1) / 2);
        const int64_t to = pri_min_i64(ch->channels - 1, i + p->size / 2);
        const double s = scale_at(p, x, ch, i), power = pow(s, -(double)p->beta);
        const int64_t at = i * ch->channel_stride;
        const double shared = 2 * p->alpha * p->beta / (double)p->size * g[at] * x[at] * power / s;
        d[at] += (float)(g[at] * power);
        for (int64_t j = from; j <= to; j++)
            d[j * ch->channel_stride] -= (float)(shared * x[j * ch->channel_stride]);
    }
}

static pare_status backward(pri_call *call)
{
    const lrn_params *p = call->params;
    const pri_channels ch = pri_channels_of(&call->in[0].shape, call->in[0].layout);

    if (call->grad_out[0] == NULL || call->grad_in[0] == NULL)
        return PARE_OK;
#pragma omp parallel for schedule(static)
    for (int64_t q = 0; q < ch.outer * ch.inner; q++) {
        const int64_t at = q / ch.inner * ch.channels * ch.inner + q % ch.inner * ch.inner_stride;
        position_back(p, &ch, (const float *)call->in[0].data + at, call->grad_out[0] + at,
                      call->grad_in[0] + at);
    }
    return PARE_OK;
}

static pare_status couple(const pri_call *call, pri_rules *rules)
{
    for (int a = 0; a < call->in[0].shape.rank; a++) {
        if (a != 1)
            PRI_TRY(pri_rules_tie(rules, 0, a, 0, PRI_OUT(0), a, 0, call->in[0].shape.dims[a]));
    }
    PRI_TRY(pri_rules_pin(rules, PRI_OUT(0), 1, "normalises over neighbouring channels"));
    return pri_rules_pin(rules, 0, 1, "normalises over neighbouring channels");
}

const pri_op pri_op_lrn = {
    .name = "LRN",
    .summary = "normalisation over neighbouring channels",
    .min_opset = 1,
    .max_opset = 21,
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .params_size = sizeof(lrn_params),
    .layouts = PRI_LAYOUTS_PREPARE,
    .backward_reads = PRI_READS_IN0,
    .parse = parse,
    .infer = infer,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .couple = couple,
};
