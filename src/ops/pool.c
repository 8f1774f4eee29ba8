/* SPDX-License-Identifier: Apache-2.0 */
/* pool.c - MaxPool, AveragePool, GlobalAveragePool, GlobalMaxPool in any layout. */
#include <float.h>
#include <string.h>

#include "ops/op_support.h"

typedef struct pool_params {
    pri_window window;
    bool is_max, is_global, counts_padding;
} pool_params;

static pare_status parse(const pri_node *node, int opset, void *params, pri_arena *arena,
                         pare_context *ctx)
{
    pool_params *p = params;

    (void)opset;
    (void)arena;
    p->is_max = strstr(node->op_type, "Max") != NULL;
    p->is_global = strncmp(node->op_type, "Global", 6) == 0;
    p->counts_padding = pri_node_attr_int(node, "count_include_pad", 0) != 0;
    return p->is_global ? PARE_OK : pri_window_parse(&p->window, node, ctx);
}

/* The window completed to three spatial axes. */
static pare_status window_of(const pri_call *call, pri_window *w, int64_t in[3], int64_t out[3])
{
    const pool_params *p = call->params;
    const pri_shape *x = &call->in[0].shape;

    *w = p->window;
    if (p->is_global) {
        if (x->rank < 3 || x->rank > 5)
            return pri_op_fail(call, PARE_ERROR_SHAPE, "input has rank %d", x->rank);
        for (int k = 0; k < 3; k++) {
            w->kernel[k] = k < x->rank - 2 ? x->dims[2 + k] : 1;
            w->stride[k] = w->dilation[k] = 1;
        }
    }
    PRI_TRY(pri_window_apply(call, w, x, out));
    for (int k = 0; k < 3; k++) {
        in[k] = k < w->spatial ? x->dims[2 + k] : 1;
        if (k >= w->spatial)
            out[k] = 1;
    }
    return PARE_OK;
}

static pare_status infer(pri_call *call)
{
    pri_window w;
    int64_t in[3], out[3];

    PRI_TRY(pri_need_float(call, 1));
    if (call->n_out > 1 && call->out[1].present)
        return pri_op_fail(call, PARE_ERROR_UNSUPPORTED, "the indices output is not supported");
    PRI_TRY(window_of(call, &w, in, out));
    call->out[0].dtype = PRI_F32;
    call->out[0].shape = call->in[0].shape;
    for (int k = 0; k < w.spatial; k++)
        call->out[0].shape.dims[2 + k] = out[k];
    return PARE_OK;
}

static pare_status prepare(pri_call *call)
{
    call->out[0].layout = call->in[0].layout;
    return PARE_OK;
}

/* The input positions [from, to) with step of one window along one axis. */
typedef struct span {
    int64_t from, to, step, padded; /* padded: positions counted with padding */
} span;

static span span_of(const pri_window *w, int k, int64_t size, int64_t at)
{
    span s = {at * w->stride[k] - w->pad_begin[k], 0, w->dilation[k], 0};
    const int64_t end = s.from + (w->kernel[k] - 1) * s.step + 1;

    for (int64_t i = s.from; i < end; i += s.step)
        s.padded += i < size + w->pad_end[k];
    s.to = pri_min_i64(end, size);
    while (s.from < 0)
        s.from += s.step;
    return s;
}

typedef struct place {
    span axis[3];
    float divisor;
} place;

static place place_of(const pri_call *call, const pri_window *w, const int64_t in[3],
                      const int64_t out[3], int64_t position)
{
    const pool_params *p = call->params;
    const int64_t at[3] = {position / (out[1] * out[2]), position / out[2] % out[1],
                           position % out[2]};
    place result = {.divisor = 1};
    int64_t count = 1;

    for (int k = 0; k < 3; k++) {
        span *s = &result.axis[k];
        *s = span_of(w, k, in[k], at[k]);
        count *= p->counts_padding ? s->padded
                                   : pri_max_i64(0, (s->to - s->from + s->step - 1) / s->step);
    }
    result.divisor = (float)pri_max_i64(1, count);
    return result;
}

#define FOR_WINDOW(pl, in, index)                                                                  \
    for (int64_t d_ = (pl).axis[0].from; d_ < (pl).axis[0].to; d_ += (pl).axis[0].step)            \
        for (int64_t h_ = (pl).axis[1].from; h_ < (pl).axis[1].to; h_ += (pl).axis[1].step)        \
            for (int64_t w_ = (pl).axis[2].from, index = (d_ * (in)[1] + h_) * (in)[2] + w_;       \
                 w_ < (pl).axis[2].to; w_ += (pl).axis[2].step, index += (pl).axis[2].step)

/* Channels side by side; without branches, so that compilers use vectors. */
PRI_CLONES static void take_largest(float *restrict y, const float *restrict x, int64_t count)
{
    for (int64_t c = 0; c < count; c++)
        y[c] = x[c] > y[c] ? x[c] : y[c];
}

PRI_CLONES static void add(float *restrict y, const float *restrict x, int64_t count)
{
    for (int64_t c = 0; c < count; c++)
        y[c] += x[c];
}

static void pool_channels(const float *x, float *y, const pri_channels *ch, const place *pl,
                          const int64_t in[3], bool is_max, int64_t y_stride)
{
    const bool is_dense = ch->channel_stride == 1 && y_stride == 1;

    for (int64_t c = 0; c < ch->channels; c++)
        y[c * y_stride] = is_max ? -FLT_MAX : 0;
    FOR_WINDOW(*pl, in, i)
    {
        const float *from = x + i * ch->inner_stride;
        if (is_dense && is_max) {
            take_largest(y, from, ch->channels);
        } else if (is_dense) {
            add(y, from, ch->channels);
        } else if (is_max) {
            for (int64_t c = 0; c < ch->channels; c++) {
                const float v = from[c * ch->channel_stride];
                if (v > y[c * y_stride])
                    y[c * y_stride] = v;
            }
        } else {
            for (int64_t c = 0; c < ch->channels; c++)
                y[c * y_stride] += from[c * ch->channel_stride];
        }
    }
    for (int64_t c = 0; c < ch->channels && !is_max; c++)
        y[c * y_stride] /= pl->divisor;
}

static pare_status forward(pri_call *call)
{
    const pool_params *p = call->params;
    const pri_channels ch = pri_channels_of(&call->in[0].shape, call->in[0].layout);
    const pri_channels to = pri_channels_of(&call->out[0].shape, call->out[0].layout);
    const float *x = call->in[0].data;
    float *y = call->out[0].data;
    pri_window w;
    int64_t in[3], out[3];

    PRI_TRY(window_of(call, &w, in, out));
#pragma omp parallel for collapse(2) schedule(static)
    for (int64_t n = 0; n < ch.outer; n++) {
        for (int64_t q = 0; q < to.inner; q++) {
            const place pl = place_of(call, &w, in, out, q);
            pool_channels(x + n * ch.channels * ch.inner,
                          y + n * to.channels * to.inner + q * to.inner_stride, &ch, &pl, in,
                          p->is_max, to.channel_stride);
        }
    }
    return PARE_OK;
}

static void pool_back(const float *x, float *d, const float *g, const pri_channels *ch,
                      const place *pl, const int64_t in[3], bool is_max, int64_t g_stride)
{
    for (int64_t c = 0; c < ch->channels; c++) {
        const float value = g[c * g_stride];
        int64_t best = -1;
        float largest = 0;
        FOR_WINDOW(*pl, in, i)
        {
            const int64_t at = i * ch->inner_stride + c * ch->channel_stride;
            if (!is_max)
                d[at] += value / pl->divisor;
            else if (best < 0 || x[at] > largest) {
                best = at;
                largest = x[at];
            }
        }
        if (is_max && best >= 0)
            d[best] += value;
    }
}

static pare_status backward(pri_call *call)
{
    const pool_params *p = call->params;
    const pri_channels ch = pri_channels_of(&call->in[0].shape, call->in[0].layout);
    const pri_channels to = pri_channels_of(&call->out[0].shape, call->out[0].layout);
    const float *x = call->in[0].data, *g = call->grad_out[0];
    float *d = call->grad_in[0];
    pri_window w;
    int64_t in[3], out[3];

    if (g == NULL || d == NULL)
        return PARE_OK;
    PRI_TRY(window_of(call, &w, in, out));
#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < ch.outer; n++) {
        const int64_t first = n * ch.channels * ch.inner;
        for (int64_t q = 0; q < to.inner; q++) {
            const place pl = place_of(call, &w, in, out, q);
            pool_back(x + first, d + first, g + n * to.channels * to.inner + q * to.inner_stride,
                      &ch, &pl, in, p->is_max, to.channel_stride);
        }
    }
    return PARE_OK;
}

#define POOL(symbol, text, words, outputs)                                                         \
    const pri_op symbol = {.name = text,                                                           \
                           .summary = words,                                                       \
                           .min_opset = 1,                                                         \
                           .max_opset = 21,                                                        \
                           .min_in = 1,                                                            \
                           .max_in = 1,                                                            \
                           .n_out = outputs,                                                       \
                           .params_size = sizeof(pool_params),                                     \
                           .layouts = PRI_LAYOUTS_PREPARE,                                         \
                           .backward_reads = PRI_READS_IN0,                                        \
                           .parse = parse,                                                         \
                           .infer = infer,                                                         \
                           .prepare = prepare,                                                     \
                           .forward = forward,                                                     \
                           .backward = backward,                                                   \
                           .couple = pri_couple_channels}

POOL(pri_op_max_pool, "MaxPool", "largest value of a window", 2);
POOL(pri_op_average_pool, "AveragePool", "mean of a window", 1);
POOL(pri_op_global_average_pool, "GlobalAveragePool", "mean of each channel", 1);
POOL(pri_op_global_max_pool, "GlobalMaxPool", "largest value of each channel", 1);
