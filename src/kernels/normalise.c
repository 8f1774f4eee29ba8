/* SPDX-License-Identifier: Apache-2.0 */
/* normalise.c - normalisation element by element; see normalise.h. */
#include <math.h>
#include <string.h>

#include "kernels/vectors/normalise_vector.h"

size_t pri_norm_scratch(const pri_channels *ch)
{
    return pri_norm_numbers_bytes(ch) + PRI_NORM_BLOCKS * pri_norm_block_bytes(ch);
}

const float *pri_norm_repeat(const pri_channels *ch, const float *values, int index, void *scratch)
{
    const int64_t period = pri_norm_period(ch);
    float *out = (float *)scratch + index * period;

    for (int64_t at = 0; at < period; at += ch->channels)
        memcpy(out + at, values, (size_t)ch->channels * sizeof *out);
    return out;
}

/* --- Loops --- */

PRI_INLINE void apply_loop(const void *x, float *y, const pri_norm_params *p, int64_t n, bool cuts,
                           bool x_narrow)
{
    const float *scale = p->scale, *shift = p->shift;
    const float low = p->bounds.low, high = p->bounds.high;

    PRI_SIMD
    for (int64_t i = 0; i < n; i++) {
        const float v = PRI_LOAD(x, i, x_narrow) * scale[i] + shift[i];
        y[i] = !cuts ? v : v < low ? low : v > high ? high : v;
    }
}

PRI_CLONES static void apply_stretch(const void *x, float *y, const pri_norm_params *p, int64_t n)
{
    PRI_BY_TYPES(apply_loop, p->bounds.is_there, p->x_type == PRI_BF16, x, y, p, n);
}

/* Two loops: a load of d that may not happen would keep the compiler from vectors. */
PRI_INLINE void back_loop(const void *x, const void *g, float *d, const pri_norm_params *p,
                          int64_t n, bool cuts, bool x_narrow, bool g_narrow)
{
    const float *mean = p->mean, *scale = p->scale, *shift = p->shift;
    const float low = p->bounds.low, high = p->bounds.high;
    const float *slope = p->slope, *tilt = p->tilt;

    if (p->add) {
        PRI_SIMD
        for (int64_t i = 0; i < n; i++) {
            const float v = PRI_LOAD(x, i, x_narrow), rise = PRI_LOAD(g, i, g_narrow);
            const float at = v * scale[i] + shift[i];
            const float h = !cuts || ((at > low) & (at < high)) ? rise : 0;
            d[i] += scale[i] * (h - tilt[i] - (v - mean[i]) * slope[i]);
        }
        return;
    }
    PRI_SIMD
    for (int64_t i = 0; i < n; i++) {
        const float v = PRI_LOAD(x, i, x_narrow), rise = PRI_LOAD(g, i, g_narrow);
        const float at = v * scale[i] + shift[i];
        const float h = !cuts || ((at > low) & (at < high)) ? rise : 0;
        d[i] = scale[i] * (h - tilt[i] - (v - mean[i]) * slope[i]);
    }
}

PRI_CLONES static void back_stretch(const void *x, const void *g, float *d,
                                    const pri_norm_params *p, int64_t n)
{
    if (p->bounds.is_there)
        PRI_BY_TYPES(back_loop, p->x_type == PRI_BF16, p->y_type == PRI_BF16, x, g, d, p, n, true);
    else
        PRI_BY_TYPES(back_loop, p->x_type == PRI_BF16, p->y_type == PRI_BF16, x, g, d, p, n, false);
}

/* --- Element by element --- */

pri_norm_params pri_norm_moved(const pri_norm_params *p, int64_t by)
{
    pri_norm_params q = *p;
    const float **const all[PRI_NORM_NUMBERS] = {&q.mean, &q.scale, &q.shift, &q.slope, &q.tilt};

    for (int k = 0; k < PRI_NORM_NUMBERS; k++) {
        if (*all[k] != NULL)
            *all[k] += by;
    }
    return q;
}

pri_norm_params pri_norm_params_of(const pri_norm_back *back)
{
    return (pri_norm_params){.mean = back->mean,
                             .scale = back->scale,
                             .shift = back->shift,
                             .slope = back->slope,
                             .tilt = back->tilt,
                             .bounds = back->bounds,
                             .add = back->add,
                             .x_type = back->x.dtype,
                             .y_type = back->g.dtype,
                             .y = back->y,
                             .residual = back->residual,
                             .residual_add = back->residual_add,
                             .in_place = back->y != NULL && back->residual.data == back->g.data};
}

/* --- Residuals --- */

PRI_INLINE void uncut_loop(float *h, const void *g, const void *y, float low, float high, int64_t n,
                           bool is_narrow)
{
    PRI_SIMD
    for (int64_t i = 0; i < n; i++) {
        const float at = PRI_LOAD(y, i, is_narrow), rise = PRI_LOAD(g, i, is_narrow);
        h[i] = ((at > low) & (at < high)) ? rise : 0;
    }
}

PRI_CLONES static void uncut(float *h, const void *g, const void *y, float low, float high,
                             int64_t n, bool is_narrow)
{
    if (is_narrow)
        uncut_loop(h, g, y, low, high, n, true);
    else
        uncut_loop(h, g, y, low, high, n, false);
}

const float *pri_norm_uncut(const pri_norm_params *p, const void *g, int64_t at, int64_t n,
                            float *room)
{
    float low = p->bounds.is_there ? p->bounds.low : -INFINITY;
    float high = p->bounds.is_there ? p->bounds.high : INFINITY;
    void *own = p->residual.data; /* g, when that is written */
    float *h = p->in_place ? pri_floats_for(own, p->y_type, at, room) : room;

    if (p->y_type == PRI_BF16) { /* what was cut off lies on the bounds as they were stored */
        low = pri_bf16_to_f32(pri_f32_to_bf16(low));
        high = pri_bf16_to_f32(pri_f32_to_bf16(high));
    }
    uncut(h, pri_element(g, p->y_type, at), pri_element(p->y, p->y_type, at), low, high, n,
          p->y_type == PRI_BF16);
    if (p->in_place)
        pri_floats_put(own, p->y_type, at, n, h);
    return h;
}

PRI_CLONES static void add_and_cut(float *y, const float *residual, const pri_norm_bounds *bounds,
                                   int64_t n)
{
    const float low = bounds->is_there ? bounds->low : -INFINITY;
    const float high = bounds->is_there ? bounds->high : INFINITY;

    PRI_SIMD
    for (int64_t i = 0; i < n; i++) {
        const float v = y[i] + residual[i];
        y[i] = v < low ? low : v > high ? high : v;
    }
}

/* The gradient of the residual is what was not cut off. */
static void give_residual(const pri_norm_params *p, const float *h, int64_t at, int64_t n)
{
    const pri_norm_tensor *r = &p->residual;
    float room[PRI_NARROW_PIECE];
    float *to = pri_floats_for(r->data, r->dtype, at, room);

    if (p->residual_add) {
        (void)pri_floats_at(r->data, r->dtype, at, n, room);
        pri_add_piece(to, h, n);
    } else {
        memcpy(to, h, (size_t)n * sizeof *to);
    }
    pri_floats_put(r->data, r->dtype, at, n, to);
}

/* --- Element by element --- */

/* A piece of at most PRI_NARROW_PIECE where that is said, with its own numbers. */
static void apply_piece(const pri_norm_params *p, const void *x, void *y, int64_t at, int64_t n)
{
    float room[2][PRI_NARROW_PIECE];
    float *to = pri_floats_for(y, p->y_type, at, room[0]);
    pri_norm_params q = *p;

    q.bounds.is_there = p->bounds.is_there && p->residual.data == NULL;
    apply_stretch(pri_element(x, p->x_type, at), to, &q, n);
    if (p->residual.data != NULL)
        add_and_cut(to, pri_floats_at(p->residual.data, p->residual.dtype, at, n, room[1]),
                    &p->bounds, n);
    pri_floats_put(y, p->y_type, at, n, to);
}

static void back_piece(const pri_norm_params *p, const void *x, const void *g, void *d, int64_t at,
                       int64_t n)
{
    float room[2][PRI_NARROW_PIECE];
    pri_norm_params q = *p;
    const void *rise = pri_element(g, p->y_type, at);

    if (p->y != NULL) {
        rise = pri_norm_uncut(p, g, at, n, room[1]);
        q.y_type = PRI_F32;
        q.bounds.is_there = false;
        if (p->residual.data != NULL)
            give_residual(p, room[1], at, n);
    }
    if (d == NULL)
        return;
    float *to = pri_floats_for(d, p->x_type, at, room[0]);
    if (p->add)
        (void)pri_floats_at(d, p->x_type, at, n, room[0]);
    back_stretch(pri_element(x, p->x_type, at), rise, to, &q, n);
    pri_floats_put(d, p->x_type, at, n, to);
}

/* Elements at .. at+n-1: forwards without g, else backwards. Floats are computed where they go, or
 * in pieces that stay in the first cache. */
static void run_stretch(const pri_norm_params *p, const void *x, const void *g, void *out,
                        int64_t at, int64_t n)
{
    const bool is_whole =
        (g == NULL ? p->y_type : p->x_type) == PRI_F32 && p->y == NULL && p->residual.data == NULL;
    const int64_t piece = is_whole ? n : PRI_NARROW_PIECE;

    for (int64_t i = 0; i < n; i += piece) {
        const pri_norm_params q = pri_norm_moved(p, i);
        const int64_t count = pri_min_i64(piece, n - i);
        if (g == NULL)
            apply_piece(&q, x, out, at + i, count);
        else
            back_piece(&q, x, g, out, at + i, count);
    }
}

bool pri_norm_by_vector(const pri_channels *ch, const pri_norm_params *p)
{
    return pri_norm_is_interleaved(ch) && p->x_type == p->y_type && pri_vectors_take(p->x_type) &&
           (p->residual.data == NULL || p->residual.dtype == p->x_type);
}

int64_t pri_norm_width(const pri_channels *ch)
{
    const int lanes = pri_lanes();

    for (int64_t k = PRI_NORM_STRIP * lanes / ch->channels; k > 1; k--) {
        if (k * ch->channels % lanes == 0)
            return k * ch->channels;
    }
    return ch->channels;
}

static void run_by_vector(const pri_norm_range *r, void *out)
{
    if (r->g == NULL)
        PRI_TABLE(pri_norm_passes)->apply(r, out);
    else
        PRI_TABLE(pri_norm_passes)->back(r, out);
}

static void run_interleaved(const pri_channels *ch, const pri_norm_params *p, const void *x,
                            const void *g, void *out)
{
    const int64_t total = ch->outer * ch->inner * ch->channels, period = pri_norm_period(ch);
    const int64_t stretch = PRI_NORM_STRETCH * period;
    const int64_t bytes = total * (p->x_type == PRI_BF16 ? 2 : 4);
    const bool by_vector = pri_norm_by_vector(ch, p);

#pragma omp parallel for schedule(static) if (total > 16384)
    for (int64_t from = 0; from < total; from += stretch) {
        const int64_t to = pri_min_i64(from + stretch, total);
        if (by_vector) {
            run_by_vector(&(pri_norm_range){.p = p,
                                            .x = x,
                                            .g = g,
                                            .width = pri_norm_width(ch),
                                            .at = from,
                                            .n = to - from,
                                            .streams = bytes > PRI_NORM_STREAMS},
                          out);

            continue;
        }
        for (int64_t at = from; at < to; at += period)
            run_stretch(p, x, g, out, at, pri_min_i64(period, to - at));
    }
}

/* A row of one channel: its numbers are spread over a short stretch. */
static void run_plain(const pri_channels *ch, const pri_norm_params *p, const void *x,
                      const void *g, void *out)
{
    enum { WIDTH = 128 };
    const float *const from[PRI_NORM_NUMBERS] = {p->mean, p->scale, p->shift, p->slope, p->tilt};

#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < ch->outer * ch->channels; row++) {
        const int64_t c = row % ch->channels, end = (row + 1) * ch->inner;
        float spread[PRI_NORM_NUMBERS][WIDTH];
        pri_norm_params q = *p;
        for (int k = 0; k < PRI_NORM_NUMBERS; k++) {
            for (int i = 0; i < WIDTH && from[k] != NULL; i++)
                spread[k][i] = from[k][c];
        }
        q.mean = spread[0];
        q.scale = spread[1];
        q.shift = spread[2];
        q.slope = spread[3];
        q.tilt = spread[4];
        for (int64_t at = row * ch->inner; at < end; at += WIDTH)
            run_stretch(&q, x, g, out, at, pri_min_i64(WIDTH, end - at));
    }
}

void pri_norm_apply(const pri_channels *ch, pri_norm_tensor x, pri_norm_tensor y,
                    const pri_norm_forward *f, void *scratch)
{
    pri_norm_params p = {.scale = f->scale,
                         .shift = f->shift,
                         .bounds = f->bounds,
                         .x_type = x.dtype,
                         .y_type = y.dtype,
                         .residual = f->residual};

    if (!pri_norm_is_interleaved(ch)) {
        run_plain(ch, &p, x.data, NULL, y.data);
        return;
    }
    p.scale = pri_norm_repeat(ch, f->scale, 0, scratch);
    p.shift = pri_norm_repeat(ch, f->shift, 1, scratch);
    run_interleaved(ch, &p, x.data, NULL, y.data);
}

void pri_norm_back_apply(const pri_channels *ch, const pri_norm_back *back, void *scratch)
{
    pri_norm_params p = pri_norm_params_of(back);

    if (p.in_place) { /* g is what counts by now, and the residual has it */
        p.y = NULL;
        p.bounds.is_there = false;
        p.residual.data = NULL;
    }
    if (back->d == NULL && p.residual.data == NULL)
        return;
    if (!pri_norm_is_interleaved(ch)) {
        run_plain(ch, &p, back->x.data, back->g.data, back->d);
        return;
    }
    p.mean = pri_norm_repeat(ch, back->mean, 0, scratch);
    p.scale = pri_norm_repeat(ch, back->scale, 1, scratch);
    p.shift = pri_norm_repeat(ch, back->shift, 2, scratch);
    p.slope = pri_norm_repeat(ch, back->slope, 3, scratch);
    p.tilt = pri_norm_repeat(ch, back->tilt, 4, scratch);
    run_interleaved(ch, &p, back->x.data, back->g.data, back->d);
}
