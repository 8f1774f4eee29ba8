/* SPDX-License-Identifier: Apache-2.0 */
/* normalise_vector.c - see normalise_vector.h. */
#include "kernels/vectors/normalise_vector.h"

#include <math.h>

#include "kernels/vectors/vector.h"

enum { STRIP = PRI_NORM_STRIP };

/* Up to STRIP vectors of neighbouring channels of some rows. */
typedef struct strip {
    const pri_norm_range *r;
    int64_t from, rows; /* first element of the first row */
    int64_t c;          /* first channel of the strip */
    int64_t ahead;      /* elements from here to what is fetched for later */
    pri_lane_set lanes; /* of the only vector, where it is not whole */
    float *first, *second;
    void *out;
    bool streams; /* what is written goes past the caches: out is aligned and vectors are whole */
} strip;

typedef struct frame {
    pri_vec low, high;
} frame;

PRI_INLINE frame frame_of(const pri_norm_params *p, bool is_narrow)
{
    float low = p->bounds.is_there ? p->bounds.low : -INFINITY;
    float high = p->bounds.is_there ? p->bounds.high : INFINITY;

    if (p->y != NULL && is_narrow) { /* what was cut off lies on the bounds as they were stored */
        low = pri_bf16_to_f32(pri_f32_to_bf16(low));
        high = pri_bf16_to_f32(pri_f32_to_bf16(high));
    }
    return (frame){pri_all(low), pri_all(high)};
}

/* Gradients at i where outputs, as they were stored or made without a residual, are not cut off. */
PRI_INLINE pri_vec uncut(const pri_norm_range *r, pri_vec made, frame f, bool is_narrow, int64_t i,
                         pri_lane_set lanes)
{
    const void *stored = r->p->y;
    const pri_vec y = stored != NULL ? pri_load(stored, is_narrow, i, lanes) : made;

    return pri_where(pri_is_between(y, f.low, f.high), pri_load(r->g, is_narrow, i, lanes));
}

PRI_INLINE void fetch(const void *data, bool is_narrow, int64_t at)
{
    __builtin_prefetch(pri_element(data, is_narrow ? PRI_BF16 : PRI_F32, at), 0, 3);
}

/* For writing: forward passes take 4 to 6 % less time with it (ResNet-20, MobileNetV2, U-Net). */
PRI_INLINE void claim(void *data, bool is_narrow, int64_t at)
{
    __builtin_prefetch(pri_element_of(data, is_narrow ? PRI_BF16 : PRI_F32, at), 1, 3);
}

/* Numbers of each channel on the way back. */
typedef struct factors {
    pri_vec mean[STRIP], scale[STRIP], shift[STRIP];
} factors;

PRI_INLINE factors factors_of(const strip *s, int vectors, pri_lane_set lanes)
{
    const pri_norm_params *p = s->r->p;
    factors f;

    PRI_UNROLL
    for (int v = 0; v < vectors; v++) {
        f.mean[v] = pri_load(p->mean, false, s->c + v * PRI_LANES, lanes);
        f.scale[v] = pri_load(p->scale, false, s->c + v * PRI_LANES, lanes);
        f.shift[v] = pri_load(p->shift, false, s->c + v * PRI_LANES, lanes);
    }
    return f;
}

/* --- Loops: `vectors` and `is_narrow` are constants --- */

PRI_INLINE void squares(const strip *s, int vectors, pri_lane_set lanes, bool is_narrow)
{
    const pri_norm_range *r = s->r;
    pri_vec mean[STRIP], square[STRIP], sum[STRIP];

    PRI_UNROLL
    for (int v = 0; v < vectors; v++) {
        mean[v] = pri_load(r->p->mean, false, s->c + v * PRI_LANES, lanes);
        square[v] = pri_load(s->first, false, s->c + v * PRI_LANES, lanes);
        sum[v] = pri_load(s->second, false, s->c + v * PRI_LANES, lanes);
    }
    for (int64_t row = 0, at = s->from + s->c; row < s->rows; row++, at += r->width) {
        PRI_UNROLL
        for (int v = 0; v < vectors; v++) {
            const pri_vec x = pri_load(r->x, is_narrow, at + v * PRI_LANES, lanes);
            const pri_vec d = x - mean[v];
            square[v] = pri_fma(d, d, square[v]);
            sum[v] = sum[v] + d;
            fetch(r->x, is_narrow, at + v * PRI_LANES + s->ahead);
        }
    }
    PRI_UNROLL
    for (int v = 0; v < vectors; v++) {
        pri_store(s->first, false, s->c + v * PRI_LANES, lanes, square[v]);
        pri_store(s->second, false, s->c + v * PRI_LANES, lanes, sum[v]);
    }
}

PRI_INLINE void gradients(const strip *s, int vectors, pri_lane_set lanes, bool is_narrow)
{
    const pri_norm_range *r = s->r;
    const pri_norm_params *p = r->p;
    const frame f = frame_of(p, is_narrow);
    const factors n = factors_of(s, vectors, lanes);
    pri_vec product[STRIP], sum[STRIP];

    PRI_UNROLL
    for (int v = 0; v < vectors; v++) {
        product[v] = pri_load(s->first, false, s->c + v * PRI_LANES, lanes);
        sum[v] = pri_load(s->second, false, s->c + v * PRI_LANES, lanes);
    }
    for (int64_t row = 0, at = s->from + s->c; row < s->rows; row++, at += r->width) {
        PRI_UNROLL
        for (int v = 0; v < vectors; v++) {
            const int64_t i = at + v * PRI_LANES;
            const pri_vec x = pri_load(r->x, is_narrow, i, lanes);
            const pri_vec h = uncut(r, pri_fma(x, n.scale[v], n.shift[v]), f, is_narrow, i, lanes);
            product[v] = pri_fma(h, x - n.mean[v], product[v]);
            sum[v] = sum[v] + h;
            if (p->in_place)
                pri_store(p->residual.data, is_narrow, i, lanes, h);
            fetch(r->x, is_narrow, i + s->ahead);
            fetch(r->g, is_narrow, i + s->ahead);
        }
    }
    PRI_UNROLL
    for (int v = 0; v < vectors; v++) {
        pri_store(s->first, false, s->c + v * PRI_LANES, lanes, product[v]);
        pri_store(s->second, false, s->c + v * PRI_LANES, lanes, sum[v]);
    }
}

PRI_INLINE void apply(const strip *s, int vectors, pri_lane_set lanes, bool is_narrow)
{
    const pri_norm_range *r = s->r;
    const void *residual = r->p->residual.data;
    const frame f = frame_of(r->p, is_narrow);
    pri_vec scale[STRIP], shift[STRIP];

    PRI_UNROLL
    for (int v = 0; v < vectors; v++) {
        scale[v] = pri_load(r->p->scale, false, s->c + v * PRI_LANES, lanes);
        shift[v] = pri_load(r->p->shift, false, s->c + v * PRI_LANES, lanes);
    }
    for (int64_t row = 0, at = s->from + s->c; row < s->rows; row++, at += r->width) {
        PRI_UNROLL
        for (int v = 0; v < vectors; v++) {
            const int64_t i = at + v * PRI_LANES;
            pri_vec y = pri_fma(pri_load(r->x, is_narrow, i, lanes), scale[v], shift[v]);
            if (residual != NULL)
                y = y + pri_load(residual, is_narrow, i, lanes);
            y = pri_clipped(y, f.low, f.high);
            if (s->streams)
                pri_stream(s->out, is_narrow, i, y);
            else
                pri_store(s->out, is_narrow, i, lanes, y);
            fetch(r->x, is_narrow, i + s->ahead);
            if (!s->streams)
                claim(s->out, is_narrow, i + s->ahead);
        }
    }
}

PRI_INLINE void back(const strip *s, int vectors, pri_lane_set lanes, bool is_narrow)
{
    const pri_norm_range *r = s->r;
    const pri_norm_params *p = r->p;
    const frame f = frame_of(p, is_narrow);
    void *residual = p->y != NULL ? p->residual.data : NULL;
    const factors n = factors_of(s, vectors, lanes);
    pri_vec slope[STRIP], tilt[STRIP];

    PRI_UNROLL
    for (int v = 0; v < vectors; v++) {
        slope[v] = pri_load(p->slope, false, s->c + v * PRI_LANES, lanes);
        tilt[v] = pri_load(p->tilt, false, s->c + v * PRI_LANES, lanes);
    }
    for (int64_t row = 0, at = s->from + s->c; row < s->rows; row++, at += r->width) {
        PRI_UNROLL
        for (int v = 0; v < vectors; v++) {
            const int64_t i = at + v * PRI_LANES;
            const pri_vec x = pri_load(r->x, is_narrow, i, lanes);
            const pri_vec h = uncut(r, pri_fma(x, n.scale[v], n.shift[v]), f, is_narrow, i, lanes);
            if (residual != NULL) {
                const pri_vec before =
                    p->residual_add ? pri_load(residual, is_narrow, i, lanes) : pri_zero();
                pri_store(residual, is_narrow, i, lanes, before + h);
            }
            if (s->out != NULL) {
                const pri_vec before = p->add ? pri_load(s->out, is_narrow, i, lanes) : pri_zero();
                const pri_vec rest = pri_fnma(x - n.mean[v], slope[v], h - tilt[v]);
                pri_store(s->out, is_narrow, i, lanes, pri_fma(n.scale[v], rest, before));
            }
            fetch(r->x, is_narrow, i + s->ahead);
            fetch(r->g, is_narrow, i + s->ahead);
        }
    }
}

/* --- Strips --- */

typedef void loop(const strip *s);
enum { WIDTHS = 3 }; /* 4 and 2 vectors, and up to 1 */

#define LOOPS_OF(name, type, is_narrow)                                                            \
    static void name##_##type##_4(const strip *s)                                                  \
    {                                                                                              \
        name(s, 4, PRI_ALL, is_narrow);                                                            \
    }                                                                                              \
    static void name##_##type##_2(const strip *s)                                                  \
    {                                                                                              \
        name(s, 2, PRI_ALL, is_narrow);                                                            \
    }                                                                                              \
    static void name##_##type##_1(const strip *s)                                                  \
    {                                                                                              \
        name(s, 1, s->lanes, is_narrow);                                                           \
    }
#define THREE(name, type)                                                                          \
    {                                                                                              \
        name##_##type##_4, name##_##type##_2, name##_##type##_1                                    \
    }

/* By whether elements are bfloat16; the second row is that of sets that have it. */
#ifdef __AVX512BF16__
#define LOOPS(name)                                                                                \
    LOOPS_OF(name, f32, false)                                                                     \
    LOOPS_OF(name, bf16, true)                                                                     \
    static loop *const name##_loops[2][WIDTHS] = {THREE(name, f32), THREE(name, bf16)}
#else
#define LOOPS(name)                                                                                \
    LOOPS_OF(name, f32, false)                                                                     \
    static loop *const name##_loops[1][WIDTHS] = {THREE(name, f32)}
#endif

LOOPS(squares);
LOOPS(gradients);
LOOPS(apply);
LOOPS(back);

/* All strips of rows as wide as `width` elements. */
static void run_rows(strip s, int64_t width, loop *const loops[WIDTHS])
{
    for (s.c = 0; s.c < width;) {
        const int64_t left = width - s.c;
        const int kind = left >= 4 * PRI_LANES ? 0 : left >= 2 * PRI_LANES ? 1 : 2;
        s.lanes = pri_lanes_of(width, s.c);
        loops[kind](&s);
        s.c += PRI_LANES * (kind == 0 ? 4 : kind == 1 ? 2 : 1);
    }
}

/* Rows whose strips stay in the first cache, then the next ones; a last row may be shorter. */
static void run(const pri_norm_range *r, strip s, loop *const all[][WIDTHS])
{
    enum { BLOCK = 4096, AHEAD = 2048 }; /* elements */
    loop *const *loops = all[pri_is_narrow(r->p->x_type)];
    const int64_t rows = r->n / r->width, rest = r->n % r->width;
    const bool is_one = r->width <= 4 * PRI_LANES;
    const int64_t most = is_one ? rows : BLOCK / r->width > 4 ? BLOCK / r->width : 4;

    s.r = r;
    s.ahead = is_one ? AHEAD : most * r->width;
    for (int64_t row = 0; row < rows; row += most) {
        s.from = r->at + row * r->width;
        s.rows = pri_min_i64(most, rows - row);
        run_rows(s, r->width, loops);
    }
    s.from = r->at + rows * r->width;
    s.rows = 1;
    run_rows(s, rest, loops);
}

static void squares_all(const pri_norm_range *r, float *square, float *sum)
{
    run(r, (strip){.first = square, .second = sum}, squares_loops);
}

static void gradients_all(const pri_norm_range *r, float *product, float *sum)
{
    run(r, (strip){.first = product, .second = sum}, gradients_loops);
}

static void apply_all(const pri_norm_range *r, void *y)
{
    const bool streams = r->streams && r->width % PRI_LANES == 0 && (uintptr_t)y % 64 == 0;

    run(r, (strip){.out = y, .streams = streams}, apply_loops);
    _mm_sfence();
}

static void back_all(const pri_norm_range *r, void *d)
{
    run(r, (strip){.out = d}, back_loops);
}

PRI_DEFINE_TABLE(pri_norm_passes) = {squares_all, gradients_all, apply_all, back_all};
