/* SPDX-License-Identifier: Apache-2.0 */
/*
 * depthwise.c - see depthwise.h.
 *
 * Outputs and gradients of inputs are the same pass: rows and columns of the result fall into
 * classes, `stride` of them backwards, and those of one class read the same taps. Rows are shared
 * between threads. Gradients of weights are summed over parts of the rows, whose number depends on
 * the shape alone, and then over parts, so that threads do not change them.
 */
#include "kernels/depthwise.h"

#include <string.h>

#include "kernels/narrow.h"
#include "kernels/vectors/depthwise_rows.h"

/* Channels from which masked lanes are few enough to pay. */
enum { LEAST_CHANNELS = 8 };
/* Parts of gradients of weights, and rows of one at least. */
enum { MOST_PARTS = 32, LEAST_ROWS = 8 };

/* One axis of a pass: result i, of class i % classes, is number i / classes of its class. */
typedef struct axis {
    int classes;
    pri_depthwise_taps taps[PRI_DEPTHWISE_STRIDE];
} axis;

/* One way through the convolution. */
typedef struct pass {
    axis rows, columns;
    float *weights; /* [class of columns][ky][tap][filled] */
    const float *bias;
} pass;

struct pri_depthwise {
    pare_context *ctx;
    pri_conv_problem p;
    const pri_depthwise_rows *rows; /* both of this processor */
    const pri_depthwise_sums *sums;
    int64_t filled; /* channels in whole vectors */
    pass forward, data;
    float *bias, *zero; /* filled */
};

bool pri_depthwise_suits(const pri_conv_problem *p)
{
    if (!pri_vectors_take(p->src_type) || !pri_vectors_take(p->dst_type) || p->spatial != 2 ||
        p->layout != PRI_CHANNELS_LAST || p->groups != p->in_channels ||
        p->groups != p->out_channels || p->groups < LEAST_CHANNELS || p->accumulates ||
        (p->post != PRI_POST_NONE && p->post != PRI_POST_RELU && p->post != PRI_POST_CLIP))
        return false;
    for (int k = 0; k < 2; k++) {
        if (p->kernel[k] > PRI_DEPTHWISE_TAPS || p->stride[k] > PRI_DEPTHWISE_STRIDE)
            return false;
    }
    return true;
}

/* --- Taps --- */

static void close_taps(pri_depthwise_taps *taps)
{
    taps->is_dense = true;
    for (int t = 1; t < taps->count; t++)
        taps->is_dense = taps->is_dense && taps->offset[t] == taps->offset[t - 1] + 1;
}

static axis axis_forward(const pri_conv_problem *p, int along)
{
    axis a = {.classes = 1};
    pri_depthwise_taps *taps = &a.taps[0];

    taps->step = (int)p->stride[along];
    for (int k = 0; k < p->kernel[along]; k++) {
        taps->offset[taps->count] = k * p->dilation[along] - p->pad_begin[along];
        taps->kernel[taps->count++] = k;
    }
    close_taps(taps);
    return a;
}

/* Input i is read by output j at weight k where i = stride j - pad + dilation k. */
static axis axis_data(const pri_conv_problem *p, int along)
{
    const int64_t stride = p->stride[along];
    axis a = {.classes = (int)stride};

    for (int64_t kind = 0; kind < stride; kind++) {
        pri_depthwise_taps *taps = &a.taps[kind];
        taps->step = 1;
        for (int k = (int)p->kernel[along] - 1; k >= 0; k--) {
            const int64_t ahead = kind + p->pad_begin[along] - k * p->dilation[along];
            if (ahead % stride != 0)
                continue;
            taps->offset[taps->count] = ahead / stride;
            taps->kernel[taps->count++] = k;
        }
        close_taps(taps);
    }
    return a;
}

static int64_t taps_of(const pri_conv_problem *p)
{
    return p->kernel[0] * p->kernel[1];
}

pare_status pri_depthwise_new(pri_depthwise **out, pare_context *ctx,
                              const pri_conv_problem *problem)
{
    pri_depthwise *d = pri_alloc(ctx, 1, sizeof *d);

    *out = NULL;
    if (d == NULL)
        return PARE_ERROR_MEMORY;
    d->ctx = ctx;
    d->p = *problem;
    d->rows = PRI_TABLE(pri_depthwise_rows);
    d->sums = PRI_TABLE(pri_depthwise_sums);
    d->filled = pri_filled(problem->in_channels, pri_lanes());
    const size_t all = (size_t)(2 * taps_of(problem) + 2) * (size_t)d->filled * sizeof(float);
    float *room = pri_alloc_aligned(ctx, all);
    if (room == NULL) {
        pri_free(d);
        return PARE_ERROR_MEMORY;
    }
    memset(room, 0, all);
    d->bias = room;
    d->zero = room + d->filled;
    d->forward =
        (pass){axis_forward(problem, 0), axis_forward(problem, 1), d->zero + d->filled, d->bias};
    d->data = (pass){axis_data(problem, 0), axis_data(problem, 1),
                     d->forward.weights + taps_of(problem) * d->filled, d->zero};
    *out = d;
    return PARE_OK;
}

void pri_depthwise_free(pri_depthwise *d)
{
    if (d == NULL)
        return;
    pri_free(d->bias);
    pri_free(d);
}

/* --- Weights --- */

static void pack_pass(const pri_depthwise *d, const pass *s, const float *weights,
                      const float *scale)
{
    const int64_t taps = taps_of(&d->p);
    float *to = s->weights;

    for (int kind = 0; kind < s->columns.classes; kind++) {
        const pri_depthwise_taps *columns = &s->columns.taps[kind];
        for (int64_t ky = 0; ky < d->p.kernel[0]; ky++) {
            for (int t = 0; t < columns->count; t++, to += d->filled) {
                const float *from = weights + ky * d->p.kernel[1] + columns->kernel[t];
                for (int64_t c = 0; c < d->p.in_channels; c++)
                    to[c] = from[c * taps] * (scale != NULL ? scale[c] : 1);
            }
        }
    }
}

void pri_depthwise_pack(pri_depthwise *d, const float *weights, const float *scale,
                        const float *bias)
{
    pack_pass(d, &d->forward, weights, scale);
    pack_pass(d, &d->data, weights, scale);
    for (int64_t c = 0; c < d->p.in_channels; c++)
        d->bias[c] = bias != NULL ? bias[c] : 0;
}

/* --- Forwards, and backwards by the input --- */

/* Images of one size, channels-last. */
typedef struct images {
    const void *data;
    void *written;
    pri_dtype type;
    int64_t height, width, channels, batch;
} images;

static images src_of(const pri_depthwise *d, const void *data)
{
    const pri_conv_problem *p = &d->p;

    return (images){data, NULL, p->src_type, p->in[0], p->in[1], p->in_channels, p->batch};
}

static images dst_of(const pri_depthwise *d, const void *data)
{
    const pri_conv_problem *p = &d->p;

    return (images){data, NULL, p->dst_type, p->out[0], p->out[1], p->out_channels, p->batch};
}

/* Row `row` of all images one after another. */
static const void *row_of(const images *from, int64_t row)
{
    return pri_element(from->data, from->type, row * from->width * from->channels);
}

/* The `count` rows from `row` on, as far as there are any. */
static pri_depthwise_ahead ahead_of(const images *from, int64_t row, int count)
{
    pri_depthwise_ahead ahead = {.count = 0};

    for (int k = 0; k < count; k++) {
        if (row + k >= 0 && row + k < from->batch * from->height)
            ahead.rows[ahead.count++] = row_of(from, row + k);
    }
    return ahead;
}

/* A row of results, `line` filled in but for what differs from row to row. */
static void run_row(const pri_depthwise *d, const pass *s, pri_depthwise_line line,
                    const images *from, const images *to, int64_t row)
{
    const int64_t n = row / to->height, y = row % to->height;
    const int down = s->rows.classes, across = s->columns.classes;
    const pri_depthwise_taps *taps = &s->rows.taps[y % down];
    const int64_t first = n * from->height + y / down * taps->step;
    const float *weights = s->weights;

    for (int kind = 0; kind < across; kind++) {
        line.taps = &s->columns.taps[kind];
        line.n_rows = 0;
        for (int t = 0; t < taps->count; t++) {
            const int64_t at = y / down * taps->step + taps->offset[t];
            if (at < 0 || at >= from->height)
                continue;
            line.rows[line.n_rows] = row_of(from, first + taps->offset[t]);
            line.weights[line.n_rows++] = weights + taps->kernel[t] * line.taps->count * d->filled;
        }
        weights += d->p.kernel[0] * line.taps->count * d->filled;
        line.to = pri_element_of(to->written, to->type, (row * to->width + kind) * to->channels);
        line.count = (to->width - kind + across - 1) / across;
        if (kind == across - 1 && y % down == down - 1 && taps->count > 0)
            line.ahead = ahead_of(from, first + taps->offset[taps->count - 1] + 1, taps->step);
        line.claims = kind == 0;
        d->rows->run(&line);
    }
}

static void run(const pri_depthwise *d, const pass *s, const images *from, const images *to)
{
    pri_depthwise_line line = {.width = from->width,
                               .from_type = from->type,
                               .to_type = to->type,
                               .channels = from->channels,
                               .filled = d->filled,
                               .apart = s->columns.classes,
                               .bias = s->bias};

    if (s == &d->forward) {
        line.post = d->p.post;
        line.alpha = d->p.alpha;
        line.beta = d->p.beta;
    }
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < to->batch * to->height; row++)
        run_row(d, s, line, from, to, row);
}

void pri_depthwise_forward(const pri_depthwise *d, const void *src, void *dst)
{
    const images from = src_of(d, src);
    images to = dst_of(d, NULL);

    to.written = dst;
    run(d, &d->forward, &from, &to);
}

void pri_depthwise_backward_data(const pri_depthwise *d, const void *diff_dst, void *diff_src)
{
    const images from = dst_of(d, diff_dst);
    images to = src_of(d, NULL);

    to.written = diff_src;
    run(d, &d->data, &from, &to);
}

/* --- Backwards by the weights --- */

static int64_t parts_of(const pri_conv_problem *p)
{
    return pri_min_i64(MOST_PARTS, pri_max_i64(1, p->batch * p->out[0] / LEAST_ROWS));
}

/* Floats of one part: sums of each weight, and of the bias. */
static int64_t part_floats(const pri_depthwise *d)
{
    return (taps_of(&d->p) + 1) * d->filled;
}

size_t pri_depthwise_scratch(const pri_depthwise *d)
{
    return (size_t)(parts_of(&d->p) * part_floats(d)) * sizeof(float);
}

/* The inputs under row `row` of the outputs. */
static void find_rows(pri_depthwise_pair *pair, const pri_depthwise *d, const images *x,
                      int64_t row)
{
    const pri_depthwise_taps *taps = &d->forward.rows.taps[0];
    const int64_t n = row / d->p.out[0], y = row % d->p.out[0];
    const int64_t first = n * x->height + y * taps->step;

    pair->first = pair->end = 0;
    for (int t = 0; t < taps->count; t++) {
        const int64_t at = y * taps->step + taps->offset[t];
        if (at < 0)
            pair->first = pair->end = t + 1;
        if (at < 0 || at >= x->height)
            continue;
        pair->rows[t] = row_of(x, first + taps->offset[t]);
        pair->end = t + 1;
    }
    pair->ahead = ahead_of(x, first + taps->offset[taps->count - 1] + 1, taps->step);
}

/* One part: rows[0] .. rows[1]-1 of the outputs. */
static void sum_rows(const pri_depthwise *d, float *sums, const images *x, const images *g,
                     const int64_t rows[2], bool has_bias)
{
    pri_depthwise_pair pair = {.taps = &d->forward.columns.taps[0],
                               .width = x->width,
                               .count = g->width,
                               .from_type = x->type,
                               .to_type = g->type,
                               .channels = x->channels,
                               .filled = d->filled};

    memset(sums, 0, (size_t)part_floats(d) * sizeof *sums);
    for (int64_t row = rows[0]; row < rows[1]; row++) {
        pair.outputs = row_of(g, row);
        pair.outputs_ahead = ahead_of(g, row + 1, 1);
        find_rows(&pair, d, x, row);
        d->sums->weights(sums, &pair);
        if (has_bias)
            d->sums->bias(sums + taps_of(&d->p) * d->filled, &pair);
    }
}

/* to[c * stride] += sum over parts of sums[c]. */
static void add_parts(const pri_depthwise *d, float *to, int64_t stride, const float *sums)
{
    for (int64_t c = 0; c < d->p.in_channels; c++) {
        double sum = 0;
        for (int64_t part = 0; part < parts_of(&d->p); part++)
            sum += (double)sums[part * part_floats(d) + c];
        to[c * stride] += (float)sum;
    }
}

void pri_depthwise_backward_weights(const pri_depthwise *d, const void *src, const void *diff_dst,
                                    float *diff_weights, float *diff_bias, void *scratch)
{
    const int64_t rows = d->p.batch * d->p.out[0], parts = parts_of(&d->p), taps = taps_of(&d->p);
    const images x = src_of(d, src), g = dst_of(d, diff_dst);
    float *sums = scratch;

#pragma omp parallel for schedule(static)
    for (int64_t part = 0; part < parts; part++) {
        const int64_t range[2] = {rows * part / parts, rows * (part + 1) / parts};
        sum_rows(d, sums + part * part_floats(d), &x, &g, range, diff_bias != NULL);
    }
    for (int64_t k = 0; k < taps && diff_weights != NULL; k++)
        add_parts(d, diff_weights + k, taps, sums + k * d->filled);
    if (diff_bias != NULL)
        add_parts(d, diff_bias, 1, sums + taps * d->filled);
}
