/* SPDX-License-Identifier: Apache-2.0 */
/*
 * winograd_sums.c - gradients of weights of winograd.h.
 *
 * They are summed over all groups of tiles: by each thread over its own, unless weights are many or
 * groups few; then threads share the tiles and the places of one group after another, and move what
 * is transformed from one processor's cache to the other's.
 */
#include <string.h>

#include "kernels/narrow.h"
#include "kernels/winograd_pass.h"

/* Floats of a thread's sums: gradients of transformed weights, then of the bias. */
static size_t sums_count(const pri_winograd *w)
{
    return pri_winograd_weights_count(&w->p) + (size_t)pri_filled(w->p.out_channels, w->lanes);
}

/* Whether each thread sums the gradients of its own groups. */
static bool has_own_sums(const pri_winograd *w)
{
    return pri_winograd_weights_count(&w->p) * sizeof(float) <= PRI_LARGE_WEIGHTS &&
           pri_grid_of(w->p.batch, w->p.out).tiles >= 2 * w->threads * w->group;
}

size_t pri_winograd_sums_count(const pri_winograd *w)
{
    return has_own_sums(w) ? (size_t)w->threads * sums_count(w) : sums_count(w);
}

/* What is summed over: x as it is taken, and the gradient y of outputs. */
typedef struct gradients {
    pri_pass x;
    pri_patch y;
    int64_t in, out; /* channels, filled */
    int64_t group;   /* tiles at a time */
    int64_t v_stride, z_stride;
    bool has_bias;
} gradients;

/* Transforms tiles from .. to-1 of the group that begins with tile `first`. */
static void spread_tiles(const gradients *g, int64_t first, int64_t from, int64_t to, float *room)
{
    const pri_winograd *w = g->x.w;
    float *z = room + PRI_PLACES * g->v_stride;
    pri_cursor c = pri_cursor_at(&g->x.grid, first + from);

    for (int64_t t = from; t < to; t++, pri_cursor_step(&c)) {
        pri_take_tile(&g->x, &c, room + t * g->in, g->v_stride);
        w->tiles->spread(z + t * g->out, g->z_stride, &g->y, c.at, c.ahead);
    }
}

/* Adds place k of `count` tiles. */
static void sum_place(const gradients *g, int64_t k, int64_t count, const float *room, float *sums)
{
    const pri_winograd *w = g->x.w;
    const float *z = room + PRI_PLACES * g->v_stride + k * g->z_stride;

    w->products->outer(sums + k * pri_place_stride(g->in, g->out, w->lanes), room + k * g->v_stride,
                       z, count, w->p.in_channels, w->p.out_channels);
    if (k == PRI_SUM_PLACE && g->has_bias)
        w->kernels->sum(sums + pri_winograd_weights_count(&w->p), z, count, w->p.out_channels);
}

static int64_t tiles_of_group(const gradients *g, int64_t first)
{
    return pri_min_i64(g->group, g->x.grid.tiles - first);
}

/* Each thread the sums of its own groups, which are added up in the order of the threads. */
static void sum_apart(const gradients *g, float *sums, float *rooms)
{
    const pri_winograd *w = g->x.w;
    const int64_t groups = (g->x.grid.tiles + g->group - 1) / g->group;
    const size_t count = sums_count(w);

#pragma omp parallel for schedule(static) num_threads(w->threads)
    for (int part = 0; part < w->threads; part++) {
        float *own = sums + (size_t)part * count, *room = rooms + part * pri_group_floats(w);
        const int64_t end = groups * (part + 1) / w->threads;
        memset(own, 0, count * sizeof *own);
        for (int64_t k = groups * part / w->threads; k < end; k++) {
            const int64_t tiles = tiles_of_group(g, k * g->group);
            spread_tiles(g, k * g->group, 0, tiles, room);
            for (int64_t place = 0; place < PRI_PLACES; place++)
                sum_place(g, place, tiles, room, own);
        }
    }
    for (int part = 1; part < w->threads; part++)
        pri_add_piece(sums, sums + (size_t)part * count, (int64_t)count);
}

/* All threads the tiles of one large group, whose room is that of all of theirs, then its places.
 */
static void sum_together(const gradients *g, float *sums, float *room)
{
    const pri_winograd *w = g->x.w;

    memset(sums, 0, sums_count(w) * sizeof *sums);
#pragma omp parallel num_threads(w->threads)
    for (int64_t first = 0; first < g->x.grid.tiles; first += g->group) {
        const int64_t tiles = tiles_of_group(g, first);
#pragma omp for schedule(static)
        for (int part = 0; part < w->threads; part++)
            spread_tiles(g, first, tiles * part / w->threads, tiles * (part + 1) / w->threads,
                         room);
#pragma omp for schedule(static)
        for (int64_t k = 0; k < PRI_PLACES; k++)
            sum_place(g, k, tiles, room, sums);
    }
}

void pri_winograd_backward_weights(const pri_winograd *w, const void *src, const void *diff_dst,
                                   float *diff_weights, float *diff_bias, void *scratch)
{
    const pri_conv_problem *p = &w->p;
    const bool apart = has_own_sums(w);
    gradients g = {.x = {.w = w,
                         .from = pri_winograd_src(w, src),
                         .pad = {p->pad_begin[0], p->pad_begin[1]},
                         .grid = pri_grid_of(p->batch, p->out)},
                   .y = pri_winograd_dst(w, diff_dst),
                   .in = pri_filled(p->in_channels, w->lanes),
                   .out = pri_filled(p->out_channels, w->lanes),
                   .has_bias = diff_bias != NULL};
    float *sums = scratch;

    g.group = apart ? w->group : w->group * w->threads;
    g.v_stride = pri_group_stride(g.group, g.in);
    g.z_stride = pri_group_stride(g.group, g.out);
    if (apart)
        sum_apart(&g, sums, pri_groups_in(w, scratch));
    else
        sum_together(&g, sums, pri_groups_in(w, scratch));
    if (diff_weights != NULL)
        w->kernels->collect(diff_weights, sums, p->in_channels, p->out_channels);
    for (int64_t o = 0; o < p->out_channels && diff_bias != NULL; o++)
        diff_bias[o] += sums[pri_winograd_weights_count(p) + (size_t)o];
}
