/* SPDX-License-Identifier: Apache-2.0 */
/*
 * winograd.c - see winograd.h.
 *
 * Tiles are taken in groups whose transformed inputs and products stay in the second cache: the
 * group is transformed, [place][tile][channel], multiplied place by place, and what comes out is
 * transformed back. Groups are shared between threads.
 */
#include "base/thread.h"
#include "kernels/winograd_pass.h"

enum { GROUP_BYTES = 384 * 1024, FEWEST_TILES = 2 * PRI_ROWS, MOST_TILES = 8 * PRI_ROWS };

bool pri_winograd_suits(const pri_conv_problem *p)
{
    if (!pri_vectors_take(p->src_type) || !pri_vectors_take(p->dst_type) || p->is_direct ||
        p->spatial != 2 || p->groups != 1 || p->layout != PRI_CHANNELS_LAST ||
        (p->post != PRI_POST_NONE && p->post != PRI_POST_RELU && p->post != PRI_POST_CLIP))
        return false;
    for (int k = 0; k < 2; k++) {
        if (p->kernel[k] != 3 || p->stride[k] != 1 || p->dilation[k] != 1 || p->pad_begin[k] > 2)
            return false;
    }
    return true;
}

/* Bytes of one tile's transformed inputs and products. */
static int64_t tile_bytes(const pri_conv_problem *p)
{
    return PRI_PLACES *
           (pri_filled(p->in_channels, pri_lanes()) + pri_filled(p->out_channels, pri_lanes())) *
           (int64_t)sizeof(float);
}

/* Tiles of a group, so many that each thread has as many groups. */
static int64_t group_of(const pri_conv_problem *p, int threads)
{
    const bool is_large = pri_winograd_weights_count(p) * sizeof(float) > (size_t)PRI_LARGE_WEIGHTS;
    const int64_t fit =
        is_large ? MOST_TILES : pri_min_i64(GROUP_BYTES / tile_bytes(p), MOST_TILES);
    const int64_t most = pri_max_i64(fit / PRI_ROWS * PRI_ROWS, FEWEST_TILES);
    const int64_t tiles = pri_grid_of(p->batch, p->out).tiles;
    const int64_t turns = (tiles + most * threads - 1) / (most * threads);
    const int64_t even = (tiles + turns * threads - 1) / (turns * threads);

    return (even + PRI_ROWS - 1) / PRI_ROWS * PRI_ROWS;
}

pare_status pri_winograd_new(pri_winograd **out, pare_context *ctx, const pri_conv_problem *problem,
                             unsigned directions)
{
    pri_winograd *w = pri_alloc(ctx, 1, sizeof *w);

    *out = NULL;
    if (w == NULL)
        return PARE_ERROR_MEMORY;
    *w = (pri_winograd){.ctx = ctx,
                        .p = *problem,
                        .tiles = PRI_TABLE(pri_winograd_tiles),
                        .kernels = PRI_TABLE(pri_winograd_weights),
                        .products = PRI_TABLE(pri_winograd_products),
                        .lanes = pri_lanes(),
                        .directions = directions,
                        .threads = pare_context_threads(ctx),
                        .group = group_of(problem, pare_context_threads(ctx))};
    if (directions == PRI_CONV_FORWARD)
        w->kept = pri_alloc_aligned(ctx, pri_winograd_weights_count(problem) * sizeof(float));
    w->bias = pri_alloc(ctx, (size_t)pri_filled(problem->out_channels, w->lanes), sizeof(float));
    if (w->bias == NULL || (directions == PRI_CONV_FORWARD && w->kept == NULL)) {
        pri_winograd_free(w);
        return PARE_ERROR_MEMORY;
    }
    *out = w;
    return PARE_OK;
}

void pri_winograd_free(pri_winograd *w)
{
    if (w == NULL)
        return;
    pri_free(w->kept);
    pri_free(w->bias);
    pri_free(w);
}

size_t pri_winograd_scratch(const pri_winograd *w)
{
    const size_t groups = (size_t)(w->threads * pri_group_floats(w)) * sizeof(float);

    return pri_winograd_weights_bytes(w) + groups;
}

/* --- Weights --- */

static pri_winograd_order order_of(const pri_winograd *w, bool is_turned)
{
    const int64_t in = w->p.in_channels, out = w->p.out_channels;

    return is_turned ? (pri_winograd_order){out, in, 9 * in, 9, true}
                     : (pri_winograd_order){in, out, 9, 9 * in, false};
}

void pri_winograd_pack(pri_winograd *w, const float *weights, const float *scale, const float *bias)
{
    const pri_winograd_order order = order_of(w, false);

    w->weights = weights;
    w->scale = scale;
    for (int64_t o = 0; o < w->p.out_channels; o++)
        w->bias[o] = bias != NULL ? bias[o] : 0;
    if (w->kept != NULL)
        w->kernels->turn(w->kept, weights, scale, &order);
}

/* --- Forwards, and backwards by the input --- */

static void run_group(const pri_pass *s, int64_t first, float *room)
{
    const pri_winograd *w = s->w;
    const int64_t group = w->group, count = pri_min_i64(group, s->grid.tiles - first);
    const int64_t in = pri_filled(s->from.channels, w->lanes),
                  out = pri_filled(s->to.channels, w->lanes);
    const int64_t whole = (count + PRI_ROWS - 1) / PRI_ROWS * PRI_ROWS;
    const int64_t v_stride = pri_group_stride(group, in), m_stride = pri_group_stride(group, out);
    float *v = room, *m = room + PRI_PLACES * v_stride;

    pri_cursor c = pri_cursor_at(&s->grid, first);
    for (int64_t t = 0; t < count; t++, pri_cursor_step(&c))
        pri_take_tile(s, &c, v + t * in, v_stride);
    for (int64_t k = 0; k < PRI_PLACES; k++)
        w->products->inner(m + k * m_stride, v + k * v_stride,
                           s->weights + k * pri_place_stride(s->from.channels, out, w->lanes),
                           whole, s->from.channels, s->to.channels);
    c = pri_cursor_at(&s->grid, first);
    for (int64_t t = 0; t < count; t++, pri_cursor_step(&c))
        w->tiles->give(&s->to, c.at, c.ahead, m + t * out, m_stride, &s->finish);
}

static void run(pri_pass *s, bool is_turned, void *scratch)
{
    const int64_t floats = pri_group_floats(s->w);
    float *groups = pri_groups_in(s->w, scratch);

    s->weights = s->w->kept;
    if (s->weights == NULL) {
        const pri_winograd_order order = order_of(s->w, is_turned);
        s->w->kernels->turn(scratch, s->w->weights, s->w->scale, &order);
        s->weights = scratch;
    }
#pragma omp parallel for schedule(static) num_threads(s->w->threads)
    for (int64_t first = 0; first < s->grid.tiles; first += s->w->group)
        run_group(s, first, groups + pri_thread() * floats);
}

void pri_winograd_forward(const pri_winograd *w, const void *src, void *dst, void *scratch)
{
    const pri_conv_problem *p = &w->p;
    pri_pass s = {.w = w,
                  .from = pri_winograd_src(w, src),
                  .to = pri_winograd_dst(w, NULL),
                  .pad = {p->pad_begin[0], p->pad_begin[1]},
                  .grid = pri_grid_of(p->batch, p->out),
                  .finish = {w->bias, p->accumulates, p->post, p->alpha, p->beta}};

    s.to.written = dst;
    run(&s, false, scratch);
}

void pri_winograd_backward_data(const pri_winograd *w, const void *diff_dst, void *diff_src,
                                bool adds, void *scratch)
{
    const pri_conv_problem *p = &w->p;
    pri_pass s = {.w = w,
                  .from = pri_winograd_dst(w, diff_dst),
                  .to = pri_winograd_src(w, NULL),
                  .pad = {2 - p->pad_begin[0], 2 - p->pad_begin[1]},
                  .grid = pri_grid_of(p->batch, p->in),
                  .finish = {.accumulates = adds}};

    s.to.written = diff_src;
    run(&s, true, scratch);
}
