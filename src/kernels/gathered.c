/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gathered.c - see gathered.h.
 *
 * Positions are taken in blocks, whose rows stay in a cache, and blocks are shared between threads.
 * Few weights are multiplied by the tiles of kernels/vectors, which read a block from the cache
 * as it is; many by BLAS, which packs what it reads. For gradients of weights windows of 1 x 1 are
 * not gathered: their rows are the activations. Gradients of weights are summed over parts of the
 * positions, whose number depends on the shape alone, and then over parts in double, so that
 * threads do not change them.
 */
#include "kernels/gathered.h"

#include <cblas.h>
#include <string.h>

#include "base/thread.h"
#include "kernels/gathered_rows.h"
#include "kernels/narrow.h"
#include "kernels/vectors/pointwise_sums.h"
#include "kernels/vectors/pointwise_tile.h"

/* Weights that tiles read from the second cache; of more, BLAS is faster. */
enum { MOST_TILED = 32 * 1024 };
/* Bytes of the rows of a block: for tiles, for sums of tiles, for BLAS. */
enum { TILED_BYTES = 48 * 1024, SUMS_BYTES = 24 * 1024, BLAS_BYTES = 512 * 1024 };
enum { LEAST_ROWS = PRI_POINTWISE_ROWS };
/* Numbers of a row, and weights, from which gradients of weights are faster than oneDNN's; channels
 * from which the other directions are, unless windows are 1 x 1: measured on Zen 3, see the table
 * in bench/results/training.md. */
enum { LEAST_ROW = 27, LEAST_WEIGHTS = 27 * 32, LEAST_CHANNELS = 32 };
enum { MOST_PARTS = 16, LEAST_PART = 512, MOST_SUMS = 4 * 1024 * 1024 };

struct pri_gathered {
    pare_context *ctx;
    pri_windows windows;
    int64_t in, out; /* numbers of a row, output channels */
    bool is_plain;   /* rows are the activations */
    bool is_tiled;
    bool has_weights; /* some direction reads them */
    int threads;
    int64_t in_filled, out_filled; /* in whole vectors */
    float *forward, *data;         /* tiled: [in][out_filled] and [out][in_filled]; else data
                                      [out][in] alone */
    float *bias, *zero;            /* out_filled, in_filled */
    bool has_bias;
};

bool pri_gathered_suits(const pri_conv_problem *p)
{
    return pri_lanes() > 0 && p->spatial == 2 && p->groups == 1 && p->layout == PRI_CHANNELS_LAST &&
           !p->is_narrow && p->src_type != PRI_BF16 && p->dst_type != PRI_BF16 && !p->accumulates &&
           p->post == PRI_POST_NONE && p->out[0] * p->out[1] <= INT32_MAX / p->batch;
}

unsigned pri_gathered_gains(const pri_conv_problem *p)
{
    const int64_t taps = p->kernel[0] * p->kernel[1], in = taps * p->in_channels;
    unsigned directions = 0;

    if (pri_lanes() != 8 || !pri_gathered_suits(p))
        return 0;
    if (in >= LEAST_ROW && in * p->out_channels >= LEAST_WEIGHTS)
        directions |= PRI_CONV_BACKWARD_WEIGHTS;
    if (taps > 1 && p->in_channels >= LEAST_CHANNELS && p->out_channels >= LEAST_CHANNELS)
        directions |= PRI_CONV_FORWARD | PRI_CONV_BACKWARD_DATA;
    return directions;
}

pare_status pri_gathered_new(pri_gathered **out, pare_context *ctx, const pri_conv_problem *problem,
                             unsigned directions)
{
    pri_gathered *g = pri_alloc(ctx, 1, sizeof *g);

    *out = NULL;
    if (g == NULL)
        return PARE_ERROR_MEMORY;
    g->ctx = ctx;
    g->windows = pri_windows_of(problem);
    g->in = g->windows.row;
    g->out = problem->out_channels;
    g->is_plain = pri_windows_are_pixels(&g->windows);
    g->is_tiled = g->in * g->out <= MOST_TILED;
    g->has_weights = (directions & ~(unsigned)PRI_CONV_BACKWARD_WEIGHTS) != 0;
    g->threads = pare_context_threads(ctx);
    g->in_filled = pri_filled(g->in, pri_lanes());
    g->out_filled = pri_filled(g->out, pri_lanes());
    const int64_t forward = g->has_weights && g->is_tiled ? g->in * g->out_filled : 0;
    const int64_t data = g->has_weights ? g->out * (g->is_tiled ? g->in_filled : g->in) : 0;
    const size_t bytes =
        (size_t)(forward + data + g->out_filled + g->in_filled) * sizeof *g->forward;
    g->forward = pri_alloc_aligned(ctx, bytes);
    if (g->forward == NULL) {
        pri_free(g);
        return PARE_ERROR_MEMORY;
    }
    memset(g->forward, 0, bytes);
    g->data = g->forward + forward;
    g->bias = g->data + data;
    g->zero = g->bias + g->out_filled;
    *out = g;
    return PARE_OK;
}

void pri_gathered_free(pri_gathered *g)
{
    if (g == NULL)
        return;
    pri_free(g->forward);
    pri_free(g);
}

/* --- Sizes --- */

/* Rows of a block whose rows have `row` numbers. */
static int64_t block_of(int64_t row, int64_t bytes)
{
    const int64_t rows = bytes / (row * (int64_t)sizeof(float));

    return pri_max_i64(1, rows / LEAST_ROWS) * LEAST_ROWS;
}

static int64_t rows_at_once(const pri_gathered *g)
{
    return block_of(g->in, g->is_tiled ? TILED_BYTES : BLAS_BYTES);
}

static int64_t rows_summed_at_once(const pri_gathered *g)
{
    return g->is_tiled ? block_of(g->in + g->out, SUMS_BYTES) : block_of(g->in, BLAS_BYTES);
}

/* Sums of weights of one part: [o][k], or for tiles [slim][wide], the longer side in whole vectors;
 * then those of the bias. Where rows are the activations, weights are added to at once. */
typedef struct layout {
    int64_t o, k, weights, all;
} layout;

static layout layout_of(const pri_gathered *g)
{
    layout l = {.o = g->in, .k = 1, .weights = g->in * g->out};

    if (g->is_plain)
        l.weights = 0;
    else if (g->is_tiled && g->out >= g->in)
        l = (layout){.o = 1, .k = g->out_filled, .weights = g->in * g->out_filled};
    else if (g->is_tiled)
        l = (layout){.o = g->in_filled, .k = 1, .weights = g->out * g->in_filled};
    l.all = l.weights + g->out_filled;
    return l;
}

static int64_t parts_of(const pri_gathered *g)
{
    const int64_t most = pri_min_i64(MOST_PARTS, MOST_SUMS / (g->in_filled * g->out_filled));

    return pri_max_i64(1, pri_min_i64(most, g->windows.positions / LEAST_PART));
}

static size_t room_floats(const pri_gathered *g)
{
    return (size_t)(pri_max_i64(rows_at_once(g), rows_summed_at_once(g)) * g->in);
}

size_t pri_gathered_scratch(const pri_gathered *g)
{
    return ((size_t)(parts_of(g) * layout_of(g).all) + (size_t)g->threads * room_floats(g)) *
           sizeof(float);
}

/* --- Weights --- */

void pri_gathered_pack(pri_gathered *g, const float *weights, const float *scale, const float *bias)
{
    const int64_t stride = g->is_tiled ? g->in_filled : g->in;

    for (int64_t o = 0; o < g->out && g->has_weights; o++) {
        float *to = g->data + o * stride;
        pri_windows_arrange(&g->windows, to, weights + o * g->in, scale != NULL ? scale[o] : 1);
        for (int64_t k = 0; k < g->in && g->is_tiled; k++)
            g->forward[k * g->out_filled + o] = to[k];
        g->bias[o] = bias != NULL ? bias[o] : 0;
    }
    g->has_bias = bias != NULL;
}

/* --- Products of `count` rows --- */

static void multiply_tiled(const float *x, float *y, const float *weights, const float *bias,
                           int64_t from, int64_t to, int64_t filled, int64_t count)
{
    const pri_pointwise_rows rows = {.x = x,
                                     .y = y,
                                     .weights = weights,
                                     .bias = bias,
                                     .from = from,
                                     .to = to,
                                     .filled = filled,
                                     .count = count,
                                     .post = PRI_POST_NONE};

    PRI_TABLE(pri_pointwise_tiles)->multiply(&rows);
}

static void multiply_forward(const pri_gathered *g, const float *rows, float *y, int64_t count)
{
    if (g->is_tiled) {
        multiply_tiled(rows, y, g->forward, g->bias, g->in, g->out, g->out_filled, count);
        return;
    }
    for (int64_t i = 0; i < count && g->has_bias; i++)
        memcpy(y + i * g->out, g->bias, (size_t)g->out * sizeof *y);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)count, (int)g->out, (int)g->in, 1,
                rows, (int)g->in, g->data, (int)g->in, g->has_bias ? 1 : 0, y, (int)g->out);
}

static void multiply_back(const pri_gathered *g, const float *dy, float *rows, int64_t count)
{
    if (g->is_tiled) {
        multiply_tiled(dy, rows, g->data, g->zero, g->out, g->in, g->in_filled, count);
        return;
    }
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)count, (int)g->in, (int)g->out, 1,
                dy, (int)g->out, g->data, (int)g->in, 0, rows, (int)g->in);
}

/* sums += dy' rows, [o][k]. */
static void add_products(const pri_gathered *g, float *sums, const float *rows, const float *dy,
                         int64_t count)
{
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)g->out, (int)g->in, (int)count, 1, dy,
                (int)g->out, rows, (int)g->in, 1, sums, (int)g->in);
}

/* The same, [slim][wide]. */
static void add_tiled(const pri_gathered *g, float *sums, const float *rows, const float *dy,
                      int64_t count)
{
    const bool is_out_wide = g->out >= g->in;
    const pri_pointwise_block block = {.wide = is_out_wide ? dy : rows,
                                       .slim = is_out_wide ? rows : dy,
                                       .wide_channels = pri_max_i64(g->in, g->out),
                                       .slim_channels = pri_min_i64(g->in, g->out),
                                       .filled = pri_max_i64(g->in_filled, g->out_filled),
                                       .count = count};

    PRI_TABLE(pri_pointwise_sums)->add(sums, &block);
}

/* --- Forwards, and backwards by the input --- */

/* Where a thread gathers. */
static float *room_of(const pri_gathered *g, void *scratch)
{
    return (float *)scratch + (size_t)pri_thread() * room_floats(g);
}

void pri_gathered_forward(const pri_gathered *g, const float *src, float *dst, void *scratch)
{
    const int64_t step = rows_at_once(g);

#pragma omp parallel for schedule(static) num_threads(g->threads)
    for (int64_t at = 0; at < g->windows.positions; at += step) {
        const int64_t count = pri_min_i64(step, g->windows.positions - at);
        float *room = room_of(g, scratch);
        pri_windows_gather(&g->windows, room, src, at, count);
        multiply_forward(g, room, dst + at * g->out, count);
    }
}

/* Threads share images: windows of one may overlap. */
void pri_gathered_backward_data(const pri_gathered *g, const float *diff_dst, float *diff_src,
                                void *scratch)
{
    const pri_windows *w = &g->windows;
    const int64_t step = rows_at_once(g), of_image = w->positions / w->batch;

#pragma omp parallel for schedule(static) num_threads(g->threads)
    for (int64_t n = 0; n < w->batch; n++) {
        const int64_t end = (n + 1) * of_image;
        float *room = room_of(g, scratch);
        pri_windows_clear(w, diff_src, n);
        for (int64_t at = n * of_image; at < end; at += step) {
            const int64_t count = pri_min_i64(step, end - at);
            multiply_back(g, diff_dst + at * g->out, room, count);
            pri_windows_scatter(w, diff_src, room, at, count);
        }
    }
}

/* --- Backwards by the weights --- */

/* Positions of a range. */
static void sum_part(const pri_gathered *g, float *sums, const float *src, const float *diff_dst,
                     float *room, const int64_t range[2], bool has_bias)
{
    const layout l = layout_of(g);
    const int64_t step = rows_summed_at_once(g);

    memset(sums, 0, (size_t)l.all * sizeof *sums);
    for (int64_t at = range[0]; at < range[1]; at += step) {
        const int64_t count = pri_min_i64(step, range[1] - at);
        const float *dy = diff_dst + at * g->out;
        if (!g->is_plain) {
            pri_windows_gather(&g->windows, room, src, at, count);
            (g->is_tiled ? add_tiled : add_products)(g, sums, room, dy, count);
        }
        for (int64_t i = 0; i < count && has_bias; i++)
            pri_add_piece(sums + l.weights, dy + i * g->out, g->out);
    }
}

static float sum_at(const pri_gathered *g, const float *sums, int64_t stride)
{
    double sum = 0;

    for (int64_t part = 0; part < parts_of(g); part++)
        sum += (double)sums[part * stride];
    return (float)sum;
}

/* Weights [channel][tap] of one output from sums [tap][channel]. */
static void collect(const pri_gathered *g, float *diff_weights, const float *sums, layout l)
{
    const int64_t channels = g->windows.channels, taps = g->in / channels;

    for (int64_t t = 0; t < taps; t++) {
        for (int64_t c = 0; c < channels; c++)
            diff_weights[c * taps + t] += sum_at(g, sums + (t * channels + c) * l.k, l.all);
    }
}

/* Where rows are the activations, BLAS makes one product and shares it between threads itself. */
void pri_gathered_backward_weights(const pri_gathered *g, const float *src, const float *diff_dst,
                                   float *diff_weights, float *diff_bias, void *scratch)
{
    const layout l = layout_of(g);
    const int64_t parts = parts_of(g), positions = g->windows.positions;
    float *sums = scratch, *rooms = sums + parts * l.all;

    if (g->is_plain && diff_weights != NULL)
        add_products(g, diff_weights, src, diff_dst, positions);
    if (g->is_plain && diff_bias == NULL)
        return;
#pragma omp parallel for schedule(static) num_threads(g->threads) if (parts > 1)
    for (int64_t part = 0; part < parts; part++) {
        const int64_t range[2] = {positions * part / parts, positions * (part + 1) / parts};
        sum_part(g, sums + part * l.all, src, diff_dst, room_of(g, rooms), range,
                 diff_bias != NULL);
    }
#pragma omp parallel for schedule(static) num_threads(g->threads)
    for (int64_t o = 0; o < g->out; o++) {
        if (!g->is_plain && diff_weights != NULL)
            collect(g, diff_weights + o * g->in, sums + o * l.o, l);
        if (diff_bias != NULL)
            diff_bias[o] += sum_at(g, sums + l.weights + o, l.all);
    }
}
