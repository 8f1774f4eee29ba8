/* SPDX-License-Identifier: Apache-2.0 */
/* pool.c - MaxPool, AveragePool, GlobalAveragePool, GlobalMaxPool in any layout. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "kernels/narrow.h"
#include "kernels/vectors/pool_lanes.h"
#include "ops/elements.h"
#include "ops/pool.h"

static bool has_indices(const pri_call *call)
{
    return call->n_out > 1 && call->out[1].present;
}

static pare_status infer(pri_call *call)
{
    const pri_pool_params *p = call->params;

    if (!p->is_max || p->is_global)
        PRI_TRY(pri_need_float(call, 1));
    if (!pri_is_number(call->in[0].dtype))
        return pri_op_fail(call, PARE_ERROR_UNSUPPORTED, "the input is %s",
                           pri_dtype_name(call->in[0].dtype));
    PRI_TRY(pri_pool_shape(call));
    if (has_indices(call)) {
        call->out[1].dtype = PRI_I64;
        call->out[1].shape = call->out[0].shape;
    }
    return PARE_OK;
}

static pare_status prepare(pri_call *call)
{
    if (has_indices(call))
        call->in[0].layout = call->out[1].layout = PRI_PLAIN;
    call->out[0].layout = call->in[0].layout;
    return PARE_OK;
}

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

static void pool_channels(const float *x, float *y, const pri_channels *ch, const pri_place *pl,
                          const int64_t in[3], bool is_max, int64_t y_stride)
{
    const bool is_dense = ch->channel_stride == 1 && y_stride == 1;

    for (int64_t c = 0; c < ch->channels; c++)
        y[c * y_stride] = is_max ? -FLT_MAX : 0;
    PRI_FOR_WINDOW(*pl, in, i)
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

enum { LANES = 64 };

/* Loops over lanes of a place, with types that the compiler knows. */
static inline __attribute__((always_inline)) void
take_lanes(float *value, const void *x, bool is_narrow, bool is_max, int64_t count)
{
    PRI_SIMD
    for (int64_t i = 0; i < count; i++) {
        const float v = PRI_LOAD(x, i, is_narrow);
        value[i] = !is_max ? value[i] + v : v > value[i] ? v : value[i];
    }
}

static inline __attribute__((always_inline)) void put_lanes(void *to, const float *value,
                                                            bool is_narrow, int64_t count)
{
    PRI_SIMD
    for (int64_t i = 0; i < count; i++)
        PRI_STORE(to, i, is_narrow, value[i]);
}

/* An output position of image n, channel by channel or LANES of them side by side, where one side
 * or both are bfloat16. */
PRI_CLONES static void pool_narrow(const pri_call *call, const pri_place *pl, const int64_t in[3],
                                   int64_t n, int64_t position)
{
    const pri_pool_params *p = call->params;
    const pri_operand *x = &call->in[0], *y = &call->out[0];
    const pri_channels ch = pri_channels_of(&x->shape, x->layout);
    const pri_channels to = pri_channels_of(&y->shape, y->layout);
    const int64_t lanes = ch.channel_stride == 1 ? LANES : 1;

    for (int64_t c = 0; c < ch.channels; c += lanes) {
        const int64_t count = pri_min_i64(lanes, ch.channels - c);
        const int64_t first = n * ch.channels * ch.inner + c * ch.channel_stride;
        float value[LANES];
        for (int64_t i = 0; i < count; i++)
            value[i] = p->is_max ? -FLT_MAX : 0;
        PRI_FOR_WINDOW(*pl, in, k)
        {
            const void *v = pri_element(x->data, x->dtype, first + k * ch.inner_stride);
            if (x->dtype == PRI_BF16 && p->is_max)
                take_lanes(value, v, true, true, count);
            else
                take_lanes(value, v, x->dtype == PRI_BF16, p->is_max, count);
        }
        const int64_t at =
            n * to.channels * to.inner + position * to.inner_stride + c * to.channel_stride;
        for (int64_t i = 0; i < count && !p->is_max; i++)
            value[i] /= pl->divisor;
        void *out = pri_element_of(y->data, y->dtype, at);
        if (y->dtype == PRI_BF16)
            put_lanes(out, value, true, count);
        else
            put_lanes(out, value, false, count);
    }
}

/* The call for the kernels that take 16 channels at once; false where they do not serve. */
static bool as_lanes(pri_pool_problem *out, const pri_call *call, const pri_window *w,
                     const int64_t in[3], const int64_t size[3])
{
    const pri_pool_params *p = call->params;
    const pri_operand *x = &call->in[0], *y = &call->out[0];
    const pri_pool_axis none = {1, 1, 1, 1, 1, 0, 0};

    if (x->layout != PRI_CHANNELS_LAST || y->layout != PRI_CHANNELS_LAST ||
        !pri_vectors_take(x->dtype) || !pri_vectors_take(y->dtype))
        return false;
    *out = (pri_pool_problem){.images = x->shape.dims[0],
                              .channels = x->shape.dims[1],
                              .axis = {none, none, none},
                              .is_max = p->is_max,
                              .counts_padding = p->counts_padding,
                              .x_type = x->dtype,
                              .y_type = y->dtype};
    for (int k = 0; k < w->spatial; k++)
        out->axis[3 - w->spatial + k] = (pri_pool_axis){.in = in[k],
                                                        .out = size[k],
                                                        .kernel = w->kernel[k],
                                                        .stride = w->stride[k],
                                                        .dilation = w->dilation[k],
                                                        .pad_begin = w->pad_begin[k],
                                                        .pad_end = w->pad_end[k]};
    return true;
}

static pare_status forward(pri_call *call)
{
    const pri_pool_params *p = call->params;
    const pri_channels ch = pri_channels_of(&call->in[0].shape, call->in[0].layout);
    const pri_channels to = pri_channels_of(&call->out[0].shape, call->out[0].layout);
    const float *x = call->in[0].data;
    float *y = call->out[0].data;
    pri_pool_problem problem;
    pri_window w;
    int64_t in[3], out[3];

    if (has_indices(call) || (call->in[0].dtype != PRI_F32 && call->in[0].dtype != PRI_BF16))
        return pri_pool_indices(call);
    PRI_TRY(pri_pool_window(call, &w, in, out));
    if (as_lanes(&problem, call, &w, in, out)) {
        PRI_TABLE(pri_pool_lanes)->forward(&problem, call->in[0].data, call->out[0].data);
        return PARE_OK;
    }
    const bool is_float = call->in[0].dtype == PRI_F32 && call->out[0].dtype == PRI_F32;
#pragma omp parallel for collapse(2) schedule(static)
    for (int64_t n = 0; n < ch.outer; n++) {
        for (int64_t q = 0; q < to.inner; q++) {
            const pri_place pl = pri_pool_place(call, &w, in, out, q);
            if (!is_float)
                pool_narrow(call, &pl, in, n, q);
            else
                pool_channels(x + n * ch.channels * ch.inner,
                              y + n * to.channels * to.inner + q * to.inner_stride, &ch, &pl, in,
                              p->is_max, to.channel_stride);
        }
    }
    return PARE_OK;
}

/* Maximum over a window of channels side by side, at most LANES of them: the first place that holds
 * the largest element gets the gradient. */
PRI_CLONES static void max_back(const float *restrict x, float *restrict d, const float *g,
                                int64_t stride, const pri_place *pl, const int64_t in[3],
                                int64_t count)
{
    float largest[LANES], rest[LANES];

    for (int64_t c = 0; c < count; c++)
        largest[c] = -INFINITY;
    PRI_FOR_WINDOW(*pl, in, i)
    {
        PRI_SIMD
        for (int64_t c = 0; c < count; c++)
            largest[c] = x[i * stride + c] > largest[c] ? x[i * stride + c] : largest[c];
    }
    memcpy(rest, g, (size_t)count * sizeof *g);
    PRI_FOR_WINDOW(*pl, in, i)
    {
        PRI_SIMD
        for (int64_t c = 0; c < count; c++) {
            const bool is_here = x[i * stride + c] == largest[c];
            d[i * stride + c] += is_here ? rest[c] : 0;
            rest[c] = is_here ? 0 : rest[c];
        }
    }
}

static void pool_back(const float *x, float *d, const float *g, const pri_channels *ch,
                      const pri_place *pl, const int64_t in[3], bool is_max, int64_t g_stride)
{
    const bool is_dense = ch->channel_stride == 1 && g_stride == 1;

    for (int64_t c = 0; c < ch->channels && is_max && is_dense; c += LANES)
        max_back(x + c, d + c, g + c, ch->inner_stride, pl, in,
                 pri_min_i64(LANES, ch->channels - c));
    if (is_max && is_dense)
        return;
    for (int64_t c = 0; c < ch->channels; c++) {
        const float value = g[c * g_stride];
        int64_t best = -1;
        float largest = 0;
        PRI_FOR_WINDOW(*pl, in, i)
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

/* What a place of a window gets: of a mean (divisor > 0) its share, of a maximum all that is left
 * when it is the largest. */
static inline __attribute__((always_inline)) void add_share(void *d, const void *x,
                                                            const float *largest, float *rest,
                                                            float divisor, bool is_narrow,
                                                            int64_t count)
{
    PRI_SIMD
    for (int64_t i = 0; i < count; i++) {
        const bool is_here = PRI_LOAD(x, i, is_narrow) == largest[i];
        const float share = divisor > 0 ? rest[i] / divisor : is_here ? rest[i] : 0;
        rest[i] = is_here && divisor == 0 ? 0 : rest[i];
        PRI_STORE(d, i, is_narrow, PRI_LOAD(d, i, is_narrow) + share);
    }
}

/* The way back of pool_narrow. */
PRI_CLONES static void pool_narrow_back(const pri_call *call, const pri_place *pl,
                                        const int64_t in[3], int64_t n, int64_t position)
{
    const pri_pool_params *p = call->params;
    const pri_operand *x = &call->in[0], *y = &call->out[0];
    const pri_channels ch = pri_channels_of(&x->shape, x->layout);
    const pri_channels to = pri_channels_of(&y->shape, y->layout);
    const int64_t lanes = ch.channel_stride == 1 ? LANES : 1;
    const float divisor = p->is_max ? 0 : pl->divisor;

    for (int64_t c = 0; c < ch.channels; c += lanes) {
        const int64_t count = pri_min_i64(lanes, ch.channels - c);
        const int64_t first = n * ch.channels * ch.inner + c * ch.channel_stride;
        const int64_t at =
            n * to.channels * to.inner + position * to.inner_stride + c * to.channel_stride;
        const void *g = pri_element(call->grad_out[0], y->dtype, at);
        float rest[LANES], largest[LANES];
        for (int64_t i = 0; i < count; i++) {
            rest[i] = y->dtype == PRI_BF16 ? PRI_LOAD(g, i, true) : PRI_LOAD(g, i, false);
            largest[i] = -INFINITY;
        }
        PRI_FOR_WINDOW(*pl, in, k)
        {
            const void *v = pri_element(x->data, x->dtype, first + k * ch.inner_stride);
            if (x->dtype == PRI_BF16)
                take_lanes(largest, v, true, true, count);
            else
                take_lanes(largest, v, false, true, count);
        }
        PRI_FOR_WINDOW(*pl, in, k)
        {
            const int64_t i0 = first + k * ch.inner_stride;
            const void *v = pri_element(x->data, x->dtype, i0);
            void *d = pri_element_of(call->grad_in[0], x->dtype, i0);
            if (x->dtype == PRI_BF16 && p->is_max)
                add_share(d, v, largest, rest, 0, true, count);
            else
                add_share(d, v, largest, rest, divisor, x->dtype == PRI_BF16, count);
        }
    }
}

static pare_status backward(pri_call *call)
{
    const pri_pool_params *p = call->params;
    const pri_channels ch = pri_channels_of(&call->in[0].shape, call->in[0].layout);
    const pri_channels to = pri_channels_of(&call->out[0].shape, call->out[0].layout);
    const float *x = call->in[0].data, *g = call->grad_out[0];
    float *d = call->grad_in[0];
    pri_pool_problem problem;
    pri_window w;
    int64_t in[3], out[3];

    if (g == NULL || d == NULL)
        return PARE_OK;
    PRI_TRY(pri_pool_window(call, &w, in, out));
    if (as_lanes(&problem, call, &w, in, out)) {
        PRI_TABLE(pri_pool_lanes)->backward(&problem, x, g, d, !pri_is_fresh(call, 0));
        return PARE_OK;
    }
    const bool is_float = call->in[0].dtype == PRI_F32 && call->out[0].dtype == PRI_F32;
#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < ch.outer; n++) {
        const int64_t first = n * ch.channels * ch.inner;
        if (pri_is_fresh(call, 0))
            memset(pri_element_of(d, call->in[0].dtype, first), 0,
                   (size_t)(ch.channels * ch.inner) * pri_dtype_bytes(call->in[0].dtype));
        for (int64_t q = 0; q < to.inner; q++) {
            const pri_place pl = pri_pool_place(call, &w, in, out, q);
            if (!is_float)
                pool_narrow_back(call, &pl, in, n, q);
            else
                pool_back(x + first, d + first,
                          g + n * to.channels * to.inner + q * to.inner_stride, &ch, &pl, in,
                          p->is_max, to.channel_stride);
        }
    }
    return PARE_OK;
}

static bool takes_bf16(const pri_call *call, int slot)
{
    return (slot == 0 || slot == PRI_OUT(0)) && !has_indices(call);
}

/* Indices count over all channels, and are made anew from what is left. */
static pare_status couple(const pri_call *call, pri_rules *rules)
{
    for (int a = 0; a < 2 && has_indices(call); a++)
        PRI_TRY(pri_rules_tie(rules, 0, a, 0, PRI_OUT(1), a, 0, call->in[0].shape.dims[a]));
    return pri_couple_channels(call, rules);
}

#define POOL(symbol, text, words, outputs)                                                         \
    const pri_op symbol = {.name = text,                                                           \
                           .summary = words,                                                       \
                           .min_opset = 1,                                                         \
                           .max_opset = 21,                                                        \
                           .min_in = 1,                                                            \
                           .max_in = 1,                                                            \
                           .n_out = outputs,                                                       \
                           .params_size = sizeof(pri_pool_params),                                 \
                           .layouts = PRI_LAYOUTS_PREPARE,                                         \
                           .backward_reads = PRI_READS_IN0,                                        \
                           .writes_gradients = true,                                               \
                           .parse = pri_pool_parse,                                                \
                           .infer = infer,                                                         \
                           .prepare = prepare,                                                     \
                           .forward = forward,                                                     \
                           .backward = backward,                                                   \
                           .takes_bf16 = takes_bf16,                                               \
                           .couple = couple}

POOL(pri_op_max_pool, "MaxPool", "largest value of a window", 2);
POOL(pri_op_average_pool, "AveragePool", "mean of a window", 1);
POOL(pri_op_global_average_pool, "GlobalAveragePool", "mean of each channel", 1);
POOL(pri_op_global_max_pool, "GlobalMaxPool", "largest value of each channel", 1);
