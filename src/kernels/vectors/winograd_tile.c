/* SPDX-License-Identifier: Apache-2.0 */
/* winograd_tile.c - pixels in and out of tiles; see winograd_tile.h. */
#include "kernels/vectors/winograd_tile.h"

#include "kernels/vectors/winograd_vector.h"

/* Chooses the copy of `loop` for a type, and for whole vectors of pixels that are all in the image.
 */
#define BY_CASE(is_narrow, is_whole, loop, ...)                                                    \
    do {                                                                                           \
        if ((is_narrow) && (is_whole))                                                             \
            loop(__VA_ARGS__, true, true);                                                         \
        else if (is_narrow)                                                                        \
            loop(__VA_ARGS__, true, false);                                                        \
        else if (is_whole)                                                                         \
            loop(__VA_ARGS__, false, true);                                                        \
        else                                                                                       \
            loop(__VA_ARGS__, false, false);                                                       \
    } while (0)

/* `side` x `side` pixels of an image, a vector of channels of them. */
typedef struct square {
    int64_t row, column, first, c; /* first: element (row, column, c) */
} square;

/* Rows and columns of a square that are in the image, as masks of all bits: what is outside is read
 * from zeros, without a branch, since a quarter of the tiles of a small image is at its border. */
typedef struct frame {
    uintptr_t row[PRI_PATCH], column[PRI_PATCH];
} frame;

static const float zeros[PRI_LANES];

PRI_INLINE frame frame_of(const pri_patch *in, const square *at)
{
    frame f;

    PRI_UNROLL
    for (int k = 0; k < PRI_PATCH; k++) {
        f.row[k] = (uintptr_t)0 - (at->row + k >= 0 && at->row + k < in->height);
        f.column[k] = (uintptr_t)0 - (at->column + k >= 0 && at->column + k < in->width);
    }
    return f;
}

/* `side` pixels of row y of a square. */
PRI_INLINE void pixels(pri_vec d[PRI_PATCH], const pri_patch *from, const square *at,
                       const frame *f, int y, int side, bool is_narrow, bool is_whole)
{
    const int64_t row = at->first + y * from->width * from->channels;
    const pri_lane_set lanes = is_whole ? PRI_ALL : pri_lanes_of(from->channels, at->c);

    PRI_UNROLL
    for (int x = 0; x < side; x++) {
        const int64_t place = row + x * from->channels;
        if (is_whole) {
            d[x] = pri_load(from->data, is_narrow, place, PRI_ALL);
            continue;
        }
        const uintptr_t nothing = (uintptr_t)zeros;
        const uintptr_t there = (uintptr_t)from->data + (uintptr_t)(place * (is_narrow ? 2 : 4));
        const uintptr_t address = nothing + ((there - nothing) & f->row[y] & f->column[x]);
        d[x] = pri_load((const void *)address, is_narrow, 0, lanes);
    }
}

PRI_INLINE void take(float *v, int64_t stride, const pri_patch *from, const square *at,
                     const frame *f, bool is_narrow, bool is_whole)
{
    pri_vec part[PRI_PATCH][PRI_PATCH];

    PRI_UNROLL_ROOMY
    for (int y = 0; y < PRI_PATCH; y++) {
        pri_vec d[PRI_PATCH];
        pixels(d, from, at, f, y, PRI_PATCH, is_narrow, is_whole);
        pri_on_inputs(part[y], d);
    }
    PRI_UNROLL_ROOMY
    for (int x = 0; x < PRI_PATCH; x++) {
        pri_vec d[PRI_PATCH], r[PRI_PATCH];
        PRI_UNROLL
        for (int y = 0; y < PRI_PATCH; y++)
            d[y] = part[y][x];
        pri_on_inputs(r, d);
        PRI_UNROLL
        for (int y = 0; y < PRI_PATCH; y++)
            pri_put(v + (y * PRI_PATCH + x) * stride, r[y]);
    }
}

PRI_INLINE void spread(float *z, int64_t stride, const pri_patch *from, const square *at,
                       const frame *f, bool is_narrow, bool is_whole)
{
    pri_vec part[PRI_TILE][PRI_PATCH];

    PRI_UNROLL_ROOMY
    for (int y = 0; y < PRI_TILE; y++) {
        pri_vec d[PRI_PATCH];
        pixels(d, from, at, f, y, PRI_TILE, is_narrow, is_whole);
        pri_on_outputs(part[y], d);
    }
    PRI_UNROLL_ROOMY
    for (int x = 0; x < PRI_PATCH; x++) {
        pri_vec d[PRI_TILE], r[PRI_PATCH];
        PRI_UNROLL
        for (int y = 0; y < PRI_TILE; y++)
            d[y] = part[y][x];
        pri_on_outputs(r, d);
        PRI_UNROLL
        for (int y = 0; y < PRI_PATCH; y++)
            pri_put(z + (y * PRI_PATCH + x) * stride, r[y]);
    }
}

static square square_of(const pri_patch *in, pri_corner at)
{
    return (square){at.row, at.column,
                    ((at.image * in->height + at.row) * in->width + at.column) * in->channels, 0};
}

static bool is_inside(const pri_patch *in, const square *at, int64_t side)
{
    return at->row >= 0 && at->column >= 0 && at->row + side <= in->height &&
           at->column + side <= in->width;
}

enum { LINE = 64 };

/* Asks for `side` rows of pixels, `columns` of each, from a corner on, to read or to write: so many
 * short rows are more than the processor foresees by itself. */
PRI_INLINE void fetch(const pri_patch *in, pri_corner at, int side, int columns, bool to_write)
{
    const square first = square_of(in, at);
    const int64_t bytes = pri_is_narrow(in->dtype) ? 2 : 4, pixel_bytes = in->channels * bytes;
    const uintptr_t data = (uintptr_t)(to_write ? in->written : in->data);

    for (int y = 0; y < side; y++) {
        const uintptr_t row = data + (uintptr_t)(first.first * bytes + y * in->width * pixel_bytes);
        for (int64_t b = 0; b < columns * pixel_bytes; b += LINE) {
            if (to_write)
                __builtin_prefetch((const void *)(row + (uintptr_t)b), 1, 3);
            else
                __builtin_prefetch((const void *)(row + (uintptr_t)b), 0, 3);
        }
    }
}

static void take_all(float *v, int64_t stride, const pri_patch *from, pri_corner corner,
                     pri_corner ahead)
{
    square at = square_of(from, corner);
    const bool inside = is_inside(from, &at, PRI_PATCH), is_narrow = pri_is_narrow(from->dtype);
    const frame f = frame_of(from, &at);

    ahead.column += 2; /* those before have come with the tile before */
    fetch(from, ahead, PRI_PATCH, PRI_TILE, false);
    for (; at.c < from->channels; at.c += PRI_LANES, at.first += PRI_LANES)
        BY_CASE(is_narrow, inside && at.c + PRI_LANES <= from->channels, take, v + at.c, stride,
                from, &at, &f);
}

static void spread_all(float *z, int64_t stride, const pri_patch *from, pri_corner corner,
                       pri_corner ahead)
{
    square at = square_of(from, corner);
    const bool inside = is_inside(from, &at, PRI_TILE), is_narrow = pri_is_narrow(from->dtype);
    const frame f = frame_of(from, &at);

    fetch(from, ahead, PRI_TILE, PRI_TILE, false);
    for (; at.c < from->channels; at.c += PRI_LANES, at.first += PRI_LANES)
        BY_CASE(is_narrow, inside && at.c + PRI_LANES <= from->channels, spread, z + at.c, stride,
                from, &at, &f);
}

PRI_INLINE pri_vec finished(pri_vec y, const pri_winograd_finish *f)
{
    if (f->post == PRI_POST_RELU)
        return pri_leaky(y, f->alpha);
    if (f->post == PRI_POST_CLIP)
        return pri_clipped(y, pri_all(f->alpha), pri_all(f->beta));
    return y;
}

PRI_INLINE void give(const pri_patch *to, const square *at, const float *m, int64_t stride,
                     const pri_winograd_finish *finish, bool is_narrow, bool is_whole)
{
    const pri_lane_set lanes = is_whole ? PRI_ALL : pri_lanes_of(to->channels, at->c);
    const pri_vec bias = finish->bias != NULL ? pri_get(finish->bias + at->c) : pri_zero();
    pri_vec part[PRI_TILE][PRI_PATCH];

    PRI_UNROLL_ROOMY
    for (int x = 0; x < PRI_PATCH; x++) {
        pri_vec d[PRI_PATCH], r[PRI_TILE];
        PRI_UNROLL
        for (int y = 0; y < PRI_PATCH; y++)
            d[y] = pri_get(m + (y * PRI_PATCH + x) * stride);
        pri_on_products(r, d);
        PRI_UNROLL
        for (int y = 0; y < PRI_TILE; y++)
            part[y][x] = r[y];
    }
    PRI_UNROLL_ROOMY
    for (int y = 0; y < PRI_TILE; y++) {
        pri_vec r[PRI_TILE];
        pri_on_products(r, part[y]);
        PRI_UNROLL
        for (int x = 0; x < PRI_TILE; x++) {
            const int64_t place = at->first + (y * to->width + x) * to->channels;
            if (!is_whole && (at->row + y >= to->height || at->column + x >= to->width))
                continue;
            pri_vec sum = r[x] + bias;
            if (finish->accumulates)
                sum = sum + pri_load(to->written, is_narrow, place, lanes);
            if (finish->post != PRI_POST_NONE)
                sum = finished(sum, finish);
            pri_store(to->written, is_narrow, place, lanes, sum);
        }
    }
}

static void give_all(const pri_patch *to, pri_corner corner, pri_corner ahead, const float *m,
                     int64_t stride, const pri_winograd_finish *finish)
{
    square at = square_of(to, corner);
    const bool inside = is_inside(to, &at, PRI_TILE), is_narrow = pri_is_narrow(to->dtype);

    fetch(to, ahead, PRI_TILE, PRI_TILE, true);
    for (; at.c < to->channels; at.c += PRI_LANES, at.first += PRI_LANES)
        BY_CASE(is_narrow, inside && at.c + PRI_LANES <= to->channels, give, to, &at, m + at.c,
                stride, finish);
}

PRI_DEFINE_TABLE(pri_winograd_tiles) = {take_all, spread_all, give_all};
