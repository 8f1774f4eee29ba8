/* SPDX-License-Identifier: Apache-2.0 */
/*
 * winograd_pass.h - the inside of winograd.h: groups of tiles and how they are gone through. Shared
 * by winograd.c and winograd_sums.c.
 */
#ifndef PRI_WINOGRAD_PASS_H
#define PRI_WINOGRAD_PASS_H

#include "kernels/vectors/winograd_tile.h"
#include "kernels/winograd.h"

/* Bytes of transformed weights that the second cache does not hold by far. */
enum { PRI_LARGE_WEIGHTS = 4 << 20 };

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

/* --- Tiles --- */

/* What is cut in tiles: the outputs of a pass, of one image after another. */
typedef struct pri_grid {
    int64_t height, width, down, across, tiles;
} pri_grid;

static inline pri_grid pri_grid_of(int64_t batch, const int64_t size[2])
{
    const int64_t down = (size[0] + PRI_TILE - 1) / PRI_TILE;
    const int64_t across = (size[1] + PRI_TILE - 1) / PRI_TILE;

    return (pri_grid){size[0], size[1], down, across, batch * down * across};
}

/* A pass from `from` to `to`, whose tile (y, x) begins `pad` before 4 (y, x) of `from`. */
typedef struct pri_pass {
    const pri_winograd *w;
    pri_patch from, to;
    int64_t pad[2];
    pri_grid grid;
    const float *weights;
    pri_winograd_finish finish;
} pri_pass;

/* Goes from tile to tile. `ahead` is PRI_AHEAD tiles before `at`. */
typedef struct pri_cursor {
    const pri_grid *grid;
    pri_corner at, ahead;
} pri_cursor;

enum { PRI_AHEAD = 3 };

static inline pri_corner pri_corner_of(const pri_grid *g, int64_t tile)
{
    return (pri_corner){tile / (g->down * g->across), tile / g->across % g->down * PRI_TILE,
                        tile % g->across * PRI_TILE};
}

static inline pri_cursor pri_cursor_at(const pri_grid *g, int64_t tile)
{
    return (pri_cursor){g, pri_corner_of(g, tile), pri_corner_of(g, tile + PRI_AHEAD)};
}

static inline void pri_step_corner(pri_corner *at, const pri_grid *g)
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

static inline void pri_cursor_step(pri_cursor *c)
{
    pri_step_corner(&c->at, c->grid);
    pri_step_corner(&c->ahead, c->grid);
}

/* The patch of a tile begins `pad` before it. */
static inline pri_corner pri_padded(pri_corner at, const int64_t pad[2])
{
    return (pri_corner){at.image, at.row - pad[0], at.column - pad[1]};
}

static inline void pri_take_tile(const pri_pass *s, const pri_cursor *c, float *v, int64_t stride)
{
    s->w->tiles->take(v, stride, &s->from, pri_padded(c->at, s->pad), pri_padded(c->ahead, s->pad));
}

/* --- Scratch: transformed weights or sums, then a group for each thread --- */

static inline size_t pri_winograd_weights_count(const pri_conv_problem *p)
{
    return (size_t)PRI_PLACES * (size_t)pri_place_stride(pri_filled(p->in_channels, pri_lanes()),
                                                         p->out_channels, pri_lanes());
}

/* Floats from one place's rows of a group of tiles to the next's: one line more than they take, so
 * that the 36 places of a tile do not fall into the same sets of a cache. filled: channels. */
static inline int64_t pri_group_stride(int64_t group, int64_t filled)
{
    return group * filled + PRI_LINE;
}

static inline int64_t pri_group_floats(const pri_winograd *w)
{
    return PRI_PLACES * (pri_group_stride(w->group, pri_filled(w->p.in_channels, w->lanes)) +
                         pri_group_stride(w->group, pri_filled(w->p.out_channels, w->lanes)));
}

/* What gradients of weights are summed in: at least the weights. See winograd_sums.c. */
size_t pri_winograd_sums_count(const pri_winograd *w);

/* Transformed weights, or sums: what lies at the start of scratch. */
static inline size_t pri_winograd_weights_bytes(const pri_winograd *w)
{
    const size_t count = (w->directions & PRI_CONV_BACKWARD_WEIGHTS) != 0
                             ? pri_winograd_sums_count(w)
                             : pri_winograd_weights_count(&w->p);

    return w->kept != NULL ? 0 : (count * sizeof(float) + 63) / 64 * 64;
}

static inline float *pri_groups_in(const pri_winograd *w, void *scratch)
{
    return (float *)(void *)((unsigned char *)scratch + pri_winograd_weights_bytes(w));
}

static inline pri_patch pri_winograd_src(const pri_winograd *w, const void *data)
{
    return (pri_patch){data, NULL, w->p.src_type, w->p.in[0], w->p.in[1], w->p.in_channels};
}

static inline pri_patch pri_winograd_dst(const pri_winograd *w, const void *data)
{
    return (pri_patch){data, NULL, w->p.dst_type, w->p.out[0], w->p.out[1], w->p.out_channels};
}

#endif
