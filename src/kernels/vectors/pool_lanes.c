/* SPDX-License-Identifier: Apache-2.0 */
/* pool_lanes.c - see pool_lanes.h. */
#include "kernels/vectors/pool_lanes.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/base.h"
#include "kernels/vectors/vector.h"

/* What a window reads along one axis: `count` positions from `from` on; padded: with padding. */
typedef struct span {
    int64_t from, count, padded;
} span;

static inline int64_t steps_of(int64_t length, int64_t step)
{
    return length <= 0 ? 0 : step == 1 ? length : (length + step - 1) / step;
}

static inline span span_at(const pri_pool_axis *a, int64_t at)
{
    const int64_t start = at * a->stride - a->pad_begin;
    const int64_t end = start + (a->kernel - 1) * a->dilation + 1;
    const int64_t from = start + steps_of(-start, a->dilation) * a->dilation;

    return (span){from, steps_of(pri_min_i64(end, a->in) - from, a->dilation),
                  steps_of(pri_min_i64(end, a->in + a->pad_end) - start, a->dilation)};
}

/* The windows of one row of outputs. Offsets in elements. */
typedef struct row {
    const pri_pool_problem *p;
    const void *x, *g;
    void *y, *d;
    int64_t to; /* of the first output */
    span depth, height;
    int64_t step[3]; /* between positions of a window */
} row;

/* One window: element `at` is channel 0 of its first position. */
typedef struct window {
    int64_t at, to, count[3];
    float divisor;
} window;

static inline window window_at(const row *r, int64_t column)
{
    const pri_pool_problem *p = r->p;
    const span width = span_at(&p->axis[2], column);
    const int64_t first =
        (r->depth.from * p->axis[1].in + r->height.from) * p->axis[2].in + width.from;
    const int64_t count = p->counts_padding ? r->depth.padded * r->height.padded * width.padded
                                            : r->depth.count * r->height.count * width.count;

    return (window){.at = first * p->channels,
                    .to = r->to + column * p->channels,
                    .count = {r->depth.count, r->height.count, width.count},
                    .divisor = (float)pri_max_i64(1, count)};
}

#define FOR_WINDOW(r, w, at_)                                                                      \
    for (int64_t i_ = 0; i_ < (w)->count[0]; i_++)                                                 \
        for (int64_t j_ = 0; j_ < (w)->count[1]; j_++)                                             \
            for (int64_t k_ = 0, at_ = (w)->at + i_ * (r)->step[0] + j_ * (r)->step[1];            \
                 k_ < (w)->count[2]; k_++, at_ += (r)->step[2])

PRI_INLINE pri_vec gather(const row *r, const window *w, int64_t c, pri_lane_set lanes, float start,
                          bool is_max, bool x_narrow)
{
    pri_vec value = pri_all(start);

    FOR_WINDOW(r, w, at)
    {
        const pri_vec x = pri_load(r->x, x_narrow, at + c, lanes);
        /* the second operand where one is not a number, or both are zero */
        if (is_max)
            value = pri_max(x, value);
        else
            value += x;
    }
    return value;
}

/* Nothing but numbers below bfloat16's range stays at the start, and is rounded to -infinity. */
PRI_INLINE void put_window(const row *r, const window *w, bool is_max, bool x_narrow, bool y_narrow)
{
    const float start = !is_max ? 0 : y_narrow ? -INFINITY : -FLT_MAX;
    const int64_t channels = r->p->channels;

    for (int64_t c = 0; c < channels; c += PRI_LANES) {
        const pri_lane_set lanes = pri_lanes_of(channels, c);
        pri_vec value = gather(r, w, c, lanes, start, is_max, x_narrow);
        if (!is_max)
            value = value / pri_all(w->divisor);
        pri_store(r->y, y_narrow, w->to + c, lanes, value);
    }
}

PRI_INLINE void give_window(const row *r, const window *w, bool is_max, bool x_narrow,
                            bool y_narrow, bool add)
{
    const int64_t channels = r->p->channels;

    for (int64_t c = 0; c < channels; c += PRI_LANES) {
        const pri_lane_set lanes = pri_lanes_of(channels, c);
        pri_vec share = pri_load(r->g, y_narrow, w->to + c, lanes), largest = share;
        pri_truth waits = pri_of_lanes(lanes);
        if (is_max)
            largest = gather(r, w, c, lanes, -INFINITY, true, x_narrow);
        else
            share = share / pri_all(w->divisor);
        FOR_WINDOW(r, w, at)
        {
            pri_truth here = waits;
            if (is_max) {
                const pri_vec x = pri_load(r->x, x_narrow, at + c, lanes);
                here = pri_both(waits, pri_equal(x, largest));
                waits = pri_but(waits, here);
            }
            if (!add) {
                pri_store(r->d, x_narrow, at + c, lanes, pri_where(here, share));
                continue;
            }
            const pri_vec d = pri_load(r->d, x_narrow, at + c, lanes);
            pri_store(r->d, x_narrow, at + c, lanes, d + pri_where(here, share));
        }
    }
}

/* Windows of 2 x 2 are the common case: unrolled. */
#define BY_SIZE(call, w)                                                                           \
    do {                                                                                           \
        if ((w).count[0] == 1 && (w).count[1] == 2 && (w).count[2] == 2) {                         \
            (w).count[0] = 1, (w).count[1] = (w).count[2] = 2;                                     \
            call;                                                                                  \
        } else {                                                                                   \
            call;                                                                                  \
        }                                                                                          \
    } while (0)

PRI_INLINE void put_row(const row *r, bool is_max, bool x_narrow, bool y_narrow)
{
    for (int64_t q = 0; q < r->p->axis[2].out; q++) {
        window w = window_at(r, q);
        BY_SIZE(put_window(r, &w, is_max, x_narrow, y_narrow), w);
    }
}

PRI_INLINE void give_row(const row *r, bool is_max, bool x_narrow, bool y_narrow, bool add)
{
    for (int64_t q = 0; q < r->p->axis[2].out; q++) {
        window w = window_at(r, q);
        BY_SIZE(give_window(r, &w, is_max, x_narrow, y_narrow, add), w);
    }
}

/* Loops for each pair of types; 3: both narrow. */
#define BY_TYPES(types, loop, ...)                                                                 \
    do {                                                                                           \
        switch (types) {                                                                           \
        case 3: loop(__VA_ARGS__, true, true); break;                                              \
        case 2: loop(__VA_ARGS__, true, false); break;                                             \
        case 1: loop(__VA_ARGS__, false, true); break;                                             \
        default: loop(__VA_ARGS__, false, false); break;                                           \
        }                                                                                          \
    } while (0)

static int types_of(const pri_pool_problem *p)
{
    return (pri_is_narrow(p->x_type) ? 2 : 0) + (pri_is_narrow(p->y_type) ? 1 : 0);
}

static void put_max(const row *r)
{
    BY_TYPES(types_of(r->p), put_row, r, true);
}

static void put_mean(const row *r)
{
    BY_TYPES(types_of(r->p), put_row, r, false);
}

#define GIVE(r, is_max, add, x, y) give_row(r, is_max, x, y, add)

static void give_max(const row *r, bool add)
{
    if (add)
        BY_TYPES(types_of(r->p), GIVE, r, true, true);
    else
        BY_TYPES(types_of(r->p), GIVE, r, true, false);
}

static void give_mean(const row *r, bool add)
{
    if (add)
        BY_TYPES(types_of(r->p), GIVE, r, false, true);
    else
        BY_TYPES(types_of(r->p), GIVE, r, false, false);
}

/* Row `index` of an image's outputs. */
static void place_row(row *r, int64_t image, int64_t index)
{
    const pri_pool_problem *p = r->p;
    const pri_pool_axis *depth = &p->axis[0], *height = &p->axis[1], *width = &p->axis[2];
    const int64_t rows = depth->out * height->out;

    r->depth = span_at(depth, index / height->out);
    r->height = span_at(height, index % height->out);
    r->to = index * width->out * p->channels;
    r->step[2] = width->dilation * p->channels;
    r->step[1] = height->dilation * width->in * p->channels;
    r->step[0] = depth->dilation * height->in * width->in * p->channels;
    const int64_t in = image * depth->in * height->in * width->in * p->channels;
    const int64_t out = image * rows * width->out * p->channels;
    r->x = r->x == NULL ? NULL : pri_element(r->x, p->x_type, in);
    r->d = r->d == NULL ? NULL : pri_element_of(r->d, p->x_type, in);
    r->g = r->g == NULL ? NULL : pri_element(r->g, p->y_type, out);
    r->y = r->y == NULL ? NULL : pri_element_of(r->y, p->y_type, out);
}

static void forward(const pri_pool_problem *p, const void *x, void *y)
{
    const int64_t rows = p->axis[0].out * p->axis[1].out;

#pragma omp parallel for collapse(2) schedule(static)
    for (int64_t n = 0; n < p->images; n++) {
        for (int64_t i = 0; i < rows; i++) {
            row r = {.p = p, .x = x, .y = y};
            place_row(&r, n, i);
            if (p->is_max)
                put_max(&r);
            else
                put_mean(&r);
        }
    }
}

/* Windows neither overlap nor leave anything out. */
static bool is_tiled(const pri_pool_axis *a)
{
    return a->dilation == 1 && a->stride == a->kernel && a->pad_begin == 0 &&
           a->out * a->stride == a->in;
}

static bool overlaps(const pri_pool_axis *a)
{
    return a->out > 1 && a->stride < (a->kernel - 1) * a->dilation + 1;
}

static void backward(const pri_pool_problem *p, const void *x, const void *g, void *d, bool add)
{
    const bool tiles = is_tiled(&p->axis[0]) && is_tiled(&p->axis[1]) && is_tiled(&p->axis[2]);
    const int64_t rows = p->axis[0].out * p->axis[1].out;
    const int64_t image = p->axis[0].in * p->axis[1].in * p->axis[2].in * p->channels;
    /* rows of outputs that overlap belong to one thread */
    const bool is_apart = !overlaps(&p->axis[0]) && !overlaps(&p->axis[1]);
    const int64_t together = is_apart ? 1 : rows;

    if (!add && !tiles) {
#pragma omp parallel for schedule(static)
        for (int64_t n = 0; n < p->images; n++)
            memset(pri_element_of(d, p->x_type, n * image), 0,
                   (size_t)image * pri_dtype_bytes(p->x_type));
    }
#pragma omp parallel for collapse(2) schedule(static)
    for (int64_t n = 0; n < p->images; n++) {
        for (int64_t first = 0; first < rows; first += together) {
            for (int64_t i = first; i < first + together; i++) {
                row r = {.p = p, .x = x, .g = g, .d = d};
                place_row(&r, n, i);
                if (p->is_max)
                    give_max(&r, add || !tiles);
                else
                    give_mean(&r, add || !tiles);
            }
        }
    }
}

PRI_DEFINE_TABLE(pri_pool_lanes) = {forward, backward};
