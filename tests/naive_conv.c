/* SPDX-License-Identifier: Apache-2.0 */
/* naive_conv.c - see naive_conv.h. */
#include "naive_conv.h"

#include <string.h>

pri_conv_problem naive_conv_problem(int64_t batch, int64_t in_channels, int64_t out_channels,
                                    int64_t height, int64_t width, int64_t kernel)
{
    return (pri_conv_problem){.spatial = 2,
                              .batch = batch,
                              .groups = 1,
                              .in_channels = in_channels,
                              .out_channels = out_channels,
                              .in = {height, width},
                              .out = {height, width},
                              .kernel = {kernel, kernel},
                              .stride = {1, 1},
                              .dilation = {1, 1},
                              .pad_begin = {kernel / 2, kernel / 2},
                              .pad_end = {(kernel - 1) / 2, (kernel - 1) / 2},
                              .layout = PRI_CHANNELS_LAST,
                              .src_type = PRI_F32,
                              .dst_type = PRI_F32};
}

bool naive_conv_resize(pri_conv_problem *p, int axis, int64_t in, int64_t begin, int64_t end)
{
    const int64_t window = (p->kernel[axis] - 1) * p->dilation[axis] + 1;
    const int64_t room = in + begin + end - window; /* for the window to move in */

    p->in[axis] = in;
    p->pad_begin[axis] = begin;
    p->pad_end[axis] = end;
    p->out[axis] = room < 0 ? 0 : room / p->stride[axis] + 1;
    return p->out[axis] > 0;
}

typedef struct operands {
    const pri_conv_problem *p;
    const float *x, *w, *g;
    double *y, *gx, *gw;
} operands;

/* Elements of one pixel of the input and one of the output that weight `tap` of a kernel joins. */
typedef void (*pair)(const operands *o, int64_t src, int64_t dst, int64_t tap);

static void for_each_pair(const operands *o, pair run)
{
    const pri_conv_problem *p = o->p;
    const int64_t taps = p->kernel[0] * p->kernel[1], positions = p->out[0] * p->out[1];

    for (int64_t n = 0; n < p->batch; n++) {
        for (int64_t q = 0; q < positions; q++) {
            for (int64_t tap = 0; tap < taps; tap++) {
                const int64_t row = q / p->out[1] * p->stride[0] - p->pad_begin[0] +
                                    tap / p->kernel[1] * p->dilation[0];
                const int64_t column = q % p->out[1] * p->stride[1] - p->pad_begin[1] +
                                       tap % p->kernel[1] * p->dilation[1];
                if (row < 0 || row >= p->in[0] || column < 0 || column >= p->in[1])
                    continue;
                run(o, ((n * p->in[0] + row) * p->in[1] + column) * p->in_channels,
                    (n * positions + q) * p->out_channels, tap);
            }
        }
    }
}

static int64_t weight_at(const pri_conv_problem *p, int64_t o, int64_t i, int64_t tap)
{
    return (o * p->in_channels + i) * p->kernel[0] * p->kernel[1] + tap;
}

static void forward(const operands *o, int64_t src, int64_t dst, int64_t tap)
{
    for (int64_t c = 0; c < o->p->out_channels; c++) {
        for (int64_t i = 0; i < o->p->in_channels; i++)
            o->y[dst + c] += (double)o->w[weight_at(o->p, c, i, tap)] * o->x[src + i];
    }
}

static void backward_data(const operands *o, int64_t src, int64_t dst, int64_t tap)
{
    for (int64_t c = 0; c < o->p->out_channels; c++) {
        for (int64_t i = 0; i < o->p->in_channels; i++)
            o->gx[src + i] += (double)o->w[weight_at(o->p, c, i, tap)] * o->g[dst + c];
    }
}

static void backward_weights(const operands *o, int64_t src, int64_t dst, int64_t tap)
{
    for (int64_t c = 0; c < o->p->out_channels; c++) {
        for (int64_t i = 0; i < o->p->in_channels; i++)
            o->gw[weight_at(o->p, c, i, tap)] += (double)o->x[src + i] * o->g[dst + c];
    }
}

static int64_t pixels(const pri_conv_problem *p, const int64_t *size)
{
    return p->batch * size[0] * size[1];
}

void naive_conv_forward(double *y, const pri_conv_problem *p, const float *x, const float *w)
{
    const operands o = {.p = p, .x = x, .w = w, .y = y};

    memset(y, 0, (size_t)(pixels(p, p->out) * p->out_channels) * sizeof *y);
    for_each_pair(&o, forward);
}

void naive_conv_data(double *gx, const pri_conv_problem *p, const float *g, const float *w)
{
    const operands o = {.p = p, .w = w, .g = g, .gx = gx};

    memset(gx, 0, (size_t)(pixels(p, p->in) * p->in_channels) * sizeof *gx);
    for_each_pair(&o, backward_data);
}

void naive_conv_weights(double *gw, double *gb, const pri_conv_problem *p, const float *x,
                        const float *g)
{
    const operands o = {.p = p, .x = x, .g = g, .gw = gw};
    const int64_t outputs = p->out_channels;

    memset(gw, 0, (size_t)weight_at(p, outputs, 0, 0) * sizeof *gw);
    memset(gb, 0, (size_t)outputs * sizeof *gb);
    for_each_pair(&o, backward_weights);
    for (int64_t at = 0; at < pixels(p, p->out) * outputs; at++)
        gb[at % outputs] += g[at];
}
