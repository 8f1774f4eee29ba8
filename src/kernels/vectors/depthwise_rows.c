/* SPDX-License-Identifier: Apache-2.0 */
/*
 * depthwise_rows.c - rows of outputs of depthwise.h, or of gradients of inputs.
 *
 * A tile of TILE pixels of a vector of channels stays in registers while all rows under it are
 * read; each pixel that is read serves all pixels of the tile it belongs to. Taps that are not
 * neighbours are taken one by one.
 */
#include "kernels/vectors/depthwise_vector.h"

enum { TILE = 4, SHORT_TILE = 2 };

typedef pri_depthwise_line line;

PRI_INLINE pri_vec finished(pri_vec y, const line *l)
{
    if (l->post == PRI_POST_RELU)
        return pri_leaky(y, l->alpha);
    if (l->post == PRI_POST_CLIP)
        return pri_clipped(y, pri_all(l->alpha), pri_all(l->beta));
    return y;
}

PRI_INLINE void give(const line *l, int64_t j, int64_t c, pri_lane_set lanes, pri_vec y)
{
    const int64_t at = j * l->apart * l->channels + c;

    pri_store(l->to, pri_is_narrow(l->to_type), at, lanes, finished(y, l));
}

/* Asks for `vectors` vectors of results from `at` on, to be written: 8 x 8 pixels of 384 channels
 * take 0.5 ms by it instead of 0.75 on Sapphire Rapids. */
PRI_INLINE void claim(const line *l, int64_t at, int64_t vectors)
{
    const char *to = pri_element(l->to, l->to_type, at);
    const int64_t bytes = vectors * PRI_LANES * (pri_is_narrow(l->to_type) ? 2 : 4);

    for (int64_t k = 0; k < bytes; k += 64)
        __builtin_prefetch(to + k, 1);
}

/* What the compiler knows of a tile. */
typedef struct shape {
    bool is_narrow; /* what is read */
    int taps, step, tile;
    bool is_edge; /* the window may leave the row */
} shape;

PRI_INLINE void run_tile(const line *l, int64_t j, int64_t c, pri_lane_set lanes, shape s)
{
    pri_vec sum[TILE], w[PRI_DEPTHWISE_TAPS];
    const int64_t at = (j * s.step + l->taps->offset[0]) * l->channels + c;

    PRI_UNROLL
    for (int t = 0; t < s.tile; t++)
        sum[t] = pri_get(l->bias + c);
    for (int r = 0; r < l->ahead.count; r++)
        pri_fetch(l->ahead.rows[r], s.is_narrow, at - c + c * s.tile * s.step, s.tile * s.step);
    if (l->claims)
        claim(l, (j + s.tile) * l->apart * l->channels + c * s.tile * l->apart, s.tile * l->apart);
    for (int r = 0; r < l->n_rows; r++) {
        PRI_UNROLL
        for (int k = 0; k < s.taps; k++)
            w[k] = pri_get(l->weights[r] + k * l->filled + c);
        PRI_UNROLL
        for (int column = 0; column < (s.tile - 1) * s.step + s.taps; column++) {
            const bool is_inside =
                !s.is_edge || pri_is_below(j * s.step + l->taps->offset[0] + column, l->width);
            const pri_vec x = pri_load_masked(l->rows[r], s.is_narrow, at + column * l->channels,
                                              is_inside ? lanes : 0);
            PRI_UNROLL
            for (int k = 0; k < s.taps; k++) {
                const int t = (column - k) / s.step;
                if (column >= k && (column - k) % s.step == 0 && t < s.tile)
                    sum[t] = pri_fma(x, w[k], sum[t]);
            }
        }
    }
    PRI_UNROLL
    for (int t = 0; t < s.tile; t++)
        give(l, j + t, c, lanes, sum[t]);
}

PRI_INLINE void run_pixels(const line *l, int64_t j, shape s)
{
    int64_t c = 0;

    for (; c + PRI_LANES <= l->channels; c += PRI_LANES)
        run_tile(l, j, c, PRI_ALL, s);
    if (c < l->channels)
        run_tile(l, j, c, pri_lanes_of(l->channels, c), s);
}

/* The tiles from j on, as far as they fit before count; inside from begin to end. */
PRI_INLINE int64_t run_tiles(const line *l, int64_t j, const int64_t inside[2], shape s)
{
    for (; j + s.tile <= l->count; j += s.tile) {
        s.is_edge = j < inside[0] || j + s.tile > inside[1];
        if (s.is_edge)
            run_pixels(l, j, (shape){s.is_narrow, s.taps, s.step, s.tile, true});
        else
            run_pixels(l, j, (shape){s.is_narrow, s.taps, s.step, s.tile, false});
    }
    return j;
}

PRI_INLINE int64_t run_all_tiles(const line *l, const int64_t inside[2], shape s)
{
    int64_t j = 0;

    s.tile = TILE;
    j = run_tiles(l, j, inside, s);
    s.tile = SHORT_TILE;
    return run_tiles(l, j, inside, s);
}

PRI_INLINE void run_alone(const line *l, int64_t j, int64_t c, pri_lane_set lanes, bool is_narrow)
{
    const pri_depthwise_taps *taps = l->taps;
    pri_vec sum = pri_get(l->bias + c);

    for (int k = 0; k < taps->count; k++) {
        const int64_t column = j * taps->step + taps->offset[k];
        if (column < 0 || column >= l->width)
            continue;
        for (int r = 0; r < l->n_rows; r++)
            sum = pri_fma(pri_load_masked(l->rows[r], is_narrow, column * l->channels + c, lanes),
                          pri_get(l->weights[r] + k * l->filled + c), sum);
    }
    give(l, j, c, lanes, sum);
}

/* One pixel. */
PRI_INLINE void run_pixel(const line *l, int64_t j, bool is_narrow)
{
    int64_t c = 0;

    for (; c + PRI_LANES <= l->channels; c += PRI_LANES)
        run_alone(l, j, c, PRI_ALL, is_narrow);
    if (c < l->channels)
        run_alone(l, j, c, pri_lanes_of(l->channels, c), is_narrow);
}

static void run_rest(const line *l, int64_t j, int64_t end)
{
    for (; j < end; j++) {
        if (pri_is_narrow(l->from_type))
            run_pixel(l, j, true);
        else
            run_pixel(l, j, false);
    }
}

#define TILES(name, taps, step)                                                                    \
    static int64_t name(const line *l, const int64_t inside[2])                                    \
    {                                                                                              \
        if (pri_is_narrow(l->from_type))                                                           \
            return run_all_tiles(l, inside, (shape){true, taps, step, 0, false});                  \
        return run_all_tiles(l, inside, (shape){false, taps, step, 0, false});                     \
    }
TILES(run_1, 1, 1)
TILES(run_2, 2, 1)
TILES(run_3, 3, 1)
TILES(run_5, 5, 1)
TILES(run_3_by_2, 3, 2)
TILES(run_5_by_2, 5, 2)

static int64_t floor_divide(int64_t a, int64_t b)
{
    return a >= 0 ? a / b : -((b - 1 - a) / b);
}

static void run(const pri_depthwise_line *l)
{
    static int64_t (*const tiles[2][6])(const line *, const int64_t *) = {
        {NULL, run_1, run_2, run_3, NULL, run_5}, {NULL, NULL, NULL, run_3_by_2, NULL, run_5_by_2}};
    const pri_depthwise_taps *taps = l->taps;
    int64_t done = 0;

    if (taps->count >= 1 && taps->count <= 5 && taps->is_dense && taps->step <= 2 &&
        tiles[taps->step - 1][taps->count] != NULL) {
        const int64_t inside[2] = {
            -floor_divide(taps->offset[0], taps->step),
            floor_divide(l->width - 1 - taps->offset[taps->count - 1], taps->step) + 1};
        done = tiles[taps->step - 1][taps->count](l, inside);
    }
    run_rest(l, done, l->count);
}

PRI_DEFINE_TABLE(pri_depthwise_rows) = {run};
