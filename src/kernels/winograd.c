/* SPDX-License-Identifier: Apache-2.0 */
/*
 * winograd.c - see winograd.h.
 *
 * Tiles are taken in groups whose transformed inputs and products stay in the second cache: the
 * group is transformed, [place][tile][channel], multiplied place by place, and what comes out is
 * transformed back. Groups are shared between threads; the gradient of weights, which sums over
 * all groups, shares tiles and places of one group instead, so that sums run in one order.
 */
#include "kernels/winograd.h"

#include <string.h>

#include "base/thread.h"
#include "kernels/vectors/winograd_tile.h"

/* Groups fit the second cache, unless weights do not by far: then these are read less often. */
enum { LARGE_WEIGHTS = 4 << 20 };
enum { GROUP_BYTES = 384 * 1024, FEWEST_TILES = 2 * PRI_ROWS, MOST_TILES = 8 * PRI_ROWS };

struct pri_winograd {
    pare_context *ctx;
    pri_conv_problem p;
    const pri_winograd_tiles *tiles; /* of this processor */
    const pri_winograd_weights *kernels;
    const pri_winograd_products *products;
    int lanes;
    unsigned directions;
    int threads;
    int64_t group;                /* tiles */
    const float *weights, *scale; /* the caller's */
    float *kept;                  /* transformed, or NULL */
    float *bias;                  /* filled(out) */
};

bool pri_winograd_suits(const pri_conv_problem *p)
{
    if (pri_lanes() == 0 || p->is_direct || p->spatial != 2 || p->groups != 1 ||
        p->layout != PRI_CHANNELS_LAST ||
        (p->post != PRI_POST_NONE && p->post != PRI_POST_RELU && p->post != PRI_POST_CLIP))
        return false;
    for (int k = 0; k < 2; k++) {
        if (p->kernel[k] != 3 || p->stride[k] != 1 || p->dilation[k] != 1 || p->pad_begin[k] > 2)
            return false;
    }
    return true;
}

/* --- Groups of tiles --- */

/* What is cut in tiles: the outputs of a pass, of one image after another. */
typedef struct grid {
    int64_t height, width, down, across, tiles;
} grid;

static grid grid_of(int64_t batch, const int64_t size[2])
{
    const int64_t down = (size[0] + PRI_TILE - 1) / PRI_TILE;
    const int64_t across = (size[1] + PRI_TILE - 1) / PRI_TILE;

    return (grid){size[0], size[1], down, across, batch * down * across};
}

/* Bytes of one tile's transformed inputs and products. */
static int64_t tile_bytes(const pri_conv_problem *p)
{
    return PRI_PLACES *
           (pri_filled(p->in_channels, pri_lanes()) + pri_filled(p->out_channels, pri_lanes())) *
           (int64_t)sizeof(float);
}

static size_t weights_count(const pri_conv_problem *p)
{
    return (size_t)PRI_PLACES * (size_t)pri_place_stride(pri_filled(p->in_channels, pri_lanes()),
                                                         p->out_channels, pri_lanes());
}

static int64_t group_of(const pri_conv_problem *p)
{
    const int64_t fit = GROUP_BYTES / tile_bytes(p) / PRI_ROWS * PRI_ROWS;
    const int64_t tiles = grid_of(p->batch, p->out).tiles;
    const int64_t most = (tiles + PRI_ROWS - 1) / PRI_ROWS * PRI_ROWS;

    if ((int64_t)(weights_count(p) * sizeof(float)) > LARGE_WEIGHTS)
        return pri_min_i64(most, MOST_TILES);
    return pri_min_i64(most, fit < FEWEST_TILES ? FEWEST_TILES : pri_min_i64(fit, MOST_TILES));
}

/* Floats from one place's rows of a group to the next's: one line more than they take, so that the
 * 36 places of a tile do not fall into the same sets of a cache. */
static int64_t place_stride(const pri_winograd *w, int64_t channels)
{
    return w->group * pri_filled(channels, w->lanes) + PRI_LINE;
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
                        .group = group_of(problem)};
    if (directions == PRI_CONV_FORWARD)
        w->kept = pri_alloc_aligned(ctx, weights_count(problem) * sizeof(float));
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

static int64_t group_floats(const pri_winograd *w)
{
    return PRI_PLACES * (place_stride(w, w->p.in_channels) + place_stride(w, w->p.out_channels));
}

/* Transformed weights, or sums of their gradients: what lies at the start of scratch. */
static size_t weights_bytes(const pri_winograd *w)
{
    return w->kept != NULL ? 0 : (weights_count(&w->p) * sizeof(float) + 63) / 64 * 64;
}

size_t pri_winograd_scratch(const pri_winograd *w)
{
    const size_t groups = (size_t)(w->threads * group_floats(w)) * sizeof(float);

    return weights_bytes(w) + groups;
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

/* A pass from `from` to `to`, whose tile (y, x) begins `pad` before 4 (y, x) of `from`. */
typedef struct pass {
    const pri_winograd *w;
    pri_patch from, to;
    int64_t pad[2];
    grid grid;
    const float *weights;
    pri_winograd_finish finish;
} pass;

/* Goes from tile to tile. `ahead` is AHEAD tiles before `at`. */
typedef struct cursor {
    const grid *grid;
    pri_corner at, ahead;
} cursor;

enum { AHEAD = 3 };

static pri_corner corner_of(const grid *g, int64_t tile)
{
    return (pri_corner){tile / (g->down * g->across), tile / g->across % g->down * PRI_TILE,
                        tile % g->across * PRI_TILE};
}

static cursor cursor_at(const grid *g, int64_t tile)
{
    return (cursor){g, corner_of(g, tile), corner_of(g, tile + AHEAD)};
}

static void step_corner(pri_corner *at, const grid *g)
{
    at->column += PRI_TILE;
    if (at->column < g->width)
        return;
    at->column = 0;
    at->row += PRI_TILE;
    if (at->row < g->height)
        return;
    at->row = 0;
    at->image++;
}

static void step(cursor *c)
{
    step_corner(&c->at, c->grid);
    step_corner(&c->ahead, c->grid);
}

/* The patch of a tile begins `pad` before it. */
static pri_corner padded(pri_corner at, const int64_t pad[2])
{
    return (pri_corner){at.image, at.row - pad[0], at.column - pad[1]};
}

static void take_tile(const pass *s, const cursor *c, float *v, int64_t place_stride)
{
    s->w->tiles->take(v, place_stride, &s->from, padded(c->at, s->pad), padded(c->ahead, s->pad));
}

static void run_group(const pass *s, int64_t first, float *room)
{
    const pri_winograd *w = s->w;
    const int64_t group = w->group, count = pri_min_i64(group, s->grid.tiles - first);
    const int64_t in = pri_filled(s->from.channels, w->lanes),
                  out = pri_filled(s->to.channels, w->lanes);
    const int64_t whole = (count + PRI_ROWS - 1) / PRI_ROWS * PRI_ROWS;
    const int64_t v_stride = place_stride(w, in), m_stride = place_stride(w, out);
    float *v = room, *m = room + PRI_PLACES * v_stride;

    cursor c = cursor_at(&s->grid, first);
    for (int64_t t = 0; t < count; t++, step(&c))
        take_tile(s, &c, v + t * in, v_stride);
    for (int64_t k = 0; k < PRI_PLACES; k++)
        w->products->inner(m + k * m_stride, v + k * v_stride,
                           s->weights + k * pri_place_stride(s->from.channels, out, w->lanes),
                           whole, s->from.channels, s->to.channels);
    c = cursor_at(&s->grid, first);
    for (int64_t t = 0; t < count; t++, step(&c))
        w->tiles->give(&s->to, c.at, c.ahead, m + t * out, m_stride, &s->finish);
}

static void run(pass *s, bool is_turned, void *scratch)
{
    const int64_t floats = group_floats(s->w);
    float *groups = (float *)(void *)((unsigned char *)scratch + weights_bytes(s->w));

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

static pri_patch src_of(const pri_winograd *w, const void *data)
{
    return (pri_patch){data, NULL, w->p.src_type, w->p.in[0], w->p.in[1], w->p.in_channels};
}

static pri_patch dst_of(const pri_winograd *w, const void *data)
{
    return (pri_patch){data, NULL, w->p.dst_type, w->p.out[0], w->p.out[1], w->p.out_channels};
}

void pri_winograd_forward(const pri_winograd *w, const void *src, void *dst, void *scratch)
{
    const pri_conv_problem *p = &w->p;
    pass s = {.w = w,
              .from = src_of(w, src),
              .to = dst_of(w, NULL),
              .pad = {p->pad_begin[0], p->pad_begin[1]},
              .grid = grid_of(p->batch, p->out),
              .finish = {w->bias, p->accumulates, p->post, p->alpha, p->beta}};

    s.to.written = dst;
    run(&s, false, scratch);
}

void pri_winograd_backward_data(const pri_winograd *w, const void *diff_dst, void *diff_src,
                                bool adds, void *scratch)
{
    const pri_conv_problem *p = &w->p;
    pass s = {.w = w,
              .from = dst_of(w, diff_dst),
              .to = src_of(w, NULL),
              .pad = {2 - p->pad_begin[0], 2 - p->pad_begin[1]},
              .grid = grid_of(p->batch, p->in),
              .finish = {.accumulates = adds}};

    s.to.written = diff_src;
    run(&s, true, scratch);
}

/* --- Backwards by the weights --- */

void pri_winograd_backward_weights(const pri_winograd *w, const void *src, const void *diff_dst,
                                   float *diff_weights, float *diff_bias, void *scratch)
{
    const pri_conv_problem *p = &w->p;
    const pri_patch y = dst_of(w, diff_dst);
    const pass s = {.w = w,
                    .from = src_of(w, src),
                    .pad = {p->pad_begin[0], p->pad_begin[1]},
                    .grid = grid_of(p->batch, p->out)};
    const int64_t in = pri_filled(p->in_channels, w->lanes),
                  out = pri_filled(p->out_channels, w->lanes);
    const int64_t v_stride = place_stride(w, in), z_stride = place_stride(w, out);
    float *sums = scratch;
    float *v = (float *)(void *)((unsigned char *)scratch + weights_bytes(w)),
          *z = v + PRI_PLACES * v_stride;

    memset(sums, 0, weights_count(p) * sizeof *sums);
#pragma omp parallel num_threads(w->threads)
    for (int64_t first = 0; first < s.grid.tiles; first += w->group) {
        const int64_t count = pri_min_i64(w->group, s.grid.tiles - first);
#pragma omp for schedule(static)
        for (int part = 0; part < w->threads; part++) {
            int64_t t = count * part / w->threads;
            cursor c = cursor_at(&s.grid, first + t);
            for (; t < count * (part + 1) / w->threads; t++, step(&c)) {
                take_tile(&s, &c, v + t * in, v_stride);
                w->tiles->spread(z + t * out, z_stride, &y, c.at, c.ahead);
            }
        }
#pragma omp for schedule(static)
        for (int64_t k = 0; k < PRI_PLACES; k++) {
            w->products->outer(sums + k * pri_place_stride(in, out, w->lanes), v + k * v_stride,
                               z + k * z_stride, count, p->in_channels, p->out_channels);
            if (k == PRI_SUM_PLACE && diff_bias != NULL)
                w->kernels->sum(diff_bias, z + k * z_stride, count, p->out_channels);
        }
    }
    if (diff_weights != NULL)
        w->kernels->collect(diff_weights, sums, p->in_channels, p->out_channels);
}
