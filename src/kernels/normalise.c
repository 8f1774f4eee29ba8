/* SPDX-License-Identifier: Apache-2.0 */
/*
 * normalise.c - see normalise.h.
 *
 * Channels-last: numbers of one channel lie C apart, and C is small in the layers that cost most.
 * The numbers of each channel are therefore repeated to a period of at least PERIOD elements, so
 * that loops run along memory without a remainder for every position. Plain: a row of positions has
 * one channel.
 */
#include "kernels/normalise.h"

#include <string.h>

#include "kernels/narrow.h"

enum { PERIOD = 256, BLOCKS = 16, STRETCH = 64, MAX_PARAMETERS = 5, ROW = PRI_NARROW_PIECE };

static bool is_interleaved(const pri_channels *ch)
{
    return ch->channel_stride == 1 && ch->channels > 1;
}

static int64_t period_of(const pri_channels *ch)
{
    return (PERIOD + ch->channels - 1) / ch->channels * ch->channels;
}

static size_t round_up(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

/* Scratch: repeated parameters, then of each block two periods of float sums and 2 C doubles. */
static size_t parameter_bytes(const pri_channels *ch)
{
    return round_up(MAX_PARAMETERS * (size_t)period_of(ch) * sizeof(float));
}

static size_t block_bytes(const pri_channels *ch)
{
    return round_up(2 * (size_t)period_of(ch) * sizeof(float)) +
           round_up(2 * (size_t)ch->channels * sizeof(double));
}

size_t pri_norm_scratch(const pri_channels *ch)
{
    return parameter_bytes(ch) + BLOCKS * block_bytes(ch);
}

static const float *repeat(const pri_channels *ch, const float *values, int index, void *scratch)
{
    const int64_t period = period_of(ch);
    float *out = (float *)scratch + index * period;

    for (int64_t at = 0; at < period; at += ch->channels)
        memcpy(out + at, values, (size_t)ch->channels * sizeof *out);
    return out;
}

/* --- Loops --- */

/* One period's worth of parameters: index i of a stretch uses parameter i. */
typedef struct params {
    const float *mean, *scale, *shift, *slope, *tilt;
    pri_norm_bounds bounds;
    bool add;
    bool x_narrow, y_narrow; /* bfloat16: x and d; y and g */
} params;

/* Loops are written once, for constant types and cases; BY_TYPES chooses among the four. */
#define INLINE static inline __attribute__((always_inline))
#define BY_TYPES(loop, first, second, ...)                                                         \
    do {                                                                                           \
        if ((first) && (second))                                                                   \
            loop(__VA_ARGS__, true, true);                                                         \
        else if (first)                                                                            \
            loop(__VA_ARGS__, true, false);                                                        \
        else if (second)                                                                           \
            loop(__VA_ARGS__, false, true);                                                        \
        else                                                                                       \
            loop(__VA_ARGS__, false, false);                                                       \
    } while (0)

INLINE void squares_loop(const void *x, const float *mean, float *square, float *sum, int64_t n,
                         bool is_narrow)
{
    PRI_SIMD
    for (int64_t i = 0; i < n; i++) {
        const float d = PRI_LOAD(x, i, is_narrow) - mean[i];
        square[i] += d * d;
        sum[i] += d;
    }
}

PRI_CLONES static void sum_squares(const void *x, bool is_narrow, const float *mean, float *square,
                                   float *sum, int64_t n)
{
    if (is_narrow)
        squares_loop(x, mean, square, sum, n, true);
    else
        squares_loop(x, mean, square, sum, n, false);
}

INLINE void gradients_loop(const void *x, const void *g, const params *p, float *product,
                           float *sum, int64_t n, bool cuts, bool x_narrow, bool g_narrow)
{
    const float *mean = p->mean, *scale = p->scale, *shift = p->shift;
    const float low = p->bounds.low, high = p->bounds.high;

    PRI_SIMD
    for (int64_t i = 0; i < n; i++) {
        const float v = PRI_LOAD(x, i, x_narrow), slope = PRI_LOAD(g, i, g_narrow);
        const float at = v * scale[i] + shift[i];
        const float h = !cuts || ((at > low) & (at < high)) ? slope : 0;
        product[i] += h * (v - mean[i]);
        sum[i] += h;
    }
}

PRI_CLONES static void sum_gradients(const void *x, const void *g, const params *p, float *product,
                                     float *sum, int64_t n)
{
    if (p->bounds.is_there)
        BY_TYPES(gradients_loop, p->x_narrow, p->y_narrow, x, g, p, product, sum, n, true);
    else
        BY_TYPES(gradients_loop, p->x_narrow, p->y_narrow, x, g, p, product, sum, n, false);
}

INLINE void apply_loop(const void *x, float *y, const params *p, int64_t n, bool cuts,
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

PRI_CLONES static void apply_stretch(const void *x, float *y, const params *p, int64_t n)
{
    BY_TYPES(apply_loop, p->bounds.is_there, p->x_narrow, x, y, p, n);
}

/* Two loops: a load of d that may not happen would keep the compiler from vectors. */
INLINE void back_loop(const void *x, const void *g, float *d, const params *p, int64_t n, bool cuts,
                      bool x_narrow, bool g_narrow)
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

PRI_CLONES static void back_stretch(const void *x, const void *g, float *d, const params *p,
                                    int64_t n)
{
    if (p->bounds.is_there)
        BY_TYPES(back_loop, p->x_narrow, p->y_narrow, x, g, d, p, n, true);
    else
        BY_TYPES(back_loop, p->x_narrow, p->y_narrow, x, g, d, p, n, false);
}

/* --- Sums --- */

typedef struct job {
    const void *x, *g; /* g NULL: squares */
    params p;
} job;

static pri_dtype type_of(bool is_narrow)
{
    return is_narrow ? PRI_BF16 : PRI_F32;
}

static void fold(const pri_channels *ch, const float *part, int64_t n, double *sums)
{
    for (int64_t at = 0; at < n; at += ch->channels) {
        for (int64_t c = 0; c < ch->channels; c++)
            sums[c] += part[at + c];
    }
}

/* Elements from .. to-1, both at the start of a position. */
static void sum_block(const pri_channels *ch, const job *j, int64_t from, int64_t to,
                      unsigned char *room, double *sums)
{
    const int64_t period = period_of(ch);
    float *first = (float *)(void *)room, *second = first + period;
    int count = 0;

    memset(sums, 0, 2 * (size_t)ch->channels * sizeof *sums);
    memset(first, 0, 2 * (size_t)period * sizeof *first);
    for (int64_t at = from; at < to; at += period) {
        const int64_t n = pri_min_i64(period, to - at);
        const void *x = pri_element(j->x, type_of(j->p.x_narrow), at);
        if (j->g != NULL)
            sum_gradients(x, pri_element(j->g, type_of(j->p.y_narrow), at), &j->p, first, second,
                          n);
        else
            sum_squares(x, j->p.x_narrow, j->p.mean, first, second, n);
        if (++count == STRETCH || at + period >= to) {
            fold(ch, first, period, sums);
            fold(ch, second, period, sums + ch->channels);
            memset(first, 0, 2 * (size_t)period * sizeof *first);
            count = 0;
        }
    }
}

static void sum_interleaved(const pri_channels *ch, const job *j, double *sums, void *scratch)
{
    const int64_t positions = ch->outer * ch->inner;
    const int64_t per_block = (positions + BLOCKS - 1) / BLOCKS;
    unsigned char *rooms = (unsigned char *)scratch + parameter_bytes(ch);
    const size_t step = block_bytes(ch),
                 floats = round_up(2 * (size_t)period_of(ch) * sizeof(float));

#pragma omp parallel for schedule(static) if (positions * ch->channels > 16384)
    for (int b = 0; b < BLOCKS; b++) {
        unsigned char *room = rooms + (size_t)b * step;
        const int64_t from = pri_min_i64(b * per_block, positions);
        const int64_t to = pri_min_i64(from + per_block, positions);
        sum_block(ch, j, from * ch->channels, to * ch->channels, room,
                  (double *)(void *)(room + floats));
    }
    memset(sums, 0, 2 * (size_t)ch->channels * sizeof *sums);
    for (int b = 0; b < BLOCKS; b++) {
        const double *part = (const double *)(const void *)(rooms + (size_t)b * step + floats);
        for (int64_t c = 0; c < 2 * ch->channels; c++)
            sums[c] += part[c];
    }
}

/* One channel of a plain tensor. */
static void sum_channel(const pri_channels *ch, const job *j, int64_t c, double *sums)
{
    const float mean = j->p.mean[c];
    const bool cuts = j->p.bounds.is_there;
    const float low = cuts ? j->p.bounds.low : -1, high = cuts ? j->p.bounds.high : 1;
    const float scale = cuts ? j->p.scale[c] : 0, shift = cuts ? j->p.shift[c] : 0;
    double total[2] = {0, 0};

    for (int64_t n = 0; n < ch->outer; n++) {
        const int64_t row = (n * ch->channels + c) * ch->inner;
        for (int64_t at = 0; at < ch->inner; at += ROW) {
            const int64_t length = pri_min_i64(ROW, ch->inner - at);
            float room[2][ROW];
            const float *x = pri_floats_at(j->x, type_of(j->p.x_narrow), row + at, length, room[0]);
            const float *g = j->g != NULL ? pri_floats_at(j->g, type_of(j->p.y_narrow), row + at,
                                                          length, room[1])
                                          : NULL;
            float first = 0, second = 0;
            if (g != NULL) {
#pragma omp simd reduction(+ : first, second)
                for (int64_t i = 0; i < length; i++) {
                    const float z = x[i] * scale + shift;
                    const float h = ((z > low) & (z < high)) ? g[i] : 0;
                    first += h * (x[i] - mean);
                    second += h;
                }
            } else {
#pragma omp simd reduction(+ : first, second)
                for (int64_t i = 0; i < length; i++) {
                    const float d = x[i] - mean;
                    first += d * d;
                    second += d;
                }
            }
            total[0] += first;
            total[1] += second;
        }
    }
    sums[c] = total[0];
    sums[ch->channels + c] = total[1];
}

static void sum_plain(const pri_channels *ch, const job *j, double *sums)
{
#pragma omp parallel for schedule(static)
    for (int64_t c = 0; c < ch->channels; c++)
        sum_channel(ch, j, c, sums);
}

void pri_norm_sums(const pri_channels *ch, pri_norm_tensor x, const float *centre, double *sums,
                   void *scratch)
{
    job j = {.x = x.data, .p = {.mean = centre, .x_narrow = x.dtype == PRI_BF16}};

    if (!is_interleaved(ch)) {
        sum_plain(ch, &j, sums);
        return;
    }
    j.p.mean = repeat(ch, centre, 0, scratch);
    sum_interleaved(ch, &j, sums, scratch);
}

static params params_of(const pri_norm_back *back)
{
    return (params){.mean = back->mean,
                    .scale = back->scale,
                    .shift = back->shift,
                    .slope = back->slope,
                    .tilt = back->tilt,
                    .bounds = back->bounds,
                    .add = back->add,
                    .x_narrow = back->x.dtype == PRI_BF16,
                    .y_narrow = back->g.dtype == PRI_BF16};
}

void pri_norm_back_sums(const pri_channels *ch, const pri_norm_back *back, double *sums,
                        void *scratch)
{
    job j = {.x = back->x.data, .g = back->g.data, .p = params_of(back)};

    if (!is_interleaved(ch)) {
        sum_plain(ch, &j, sums);
        return;
    }
    j.p.mean = repeat(ch, back->mean, 0, scratch);
    j.p.scale = repeat(ch, back->scale, 1, scratch);
    j.p.shift = repeat(ch, back->shift, 2, scratch);
    sum_interleaved(ch, &j, sums, scratch);
}

/* --- Element by element --- */

/* The same numbers of channels, `by` elements on. */
static params moved(const params *p, int64_t by)
{
    params q = *p;
    const float **const all[MAX_PARAMETERS] = {&q.mean, &q.scale, &q.shift, &q.slope, &q.tilt};

    for (int k = 0; k < MAX_PARAMETERS; k++) {
        if (*all[k] != NULL)
            *all[k] += by;
    }
    return q;
}

/* Elements at .. at+n-1: forwards without g, else backwards. Floats are computed where they go, or
 * in pieces that are rounded at once. */
static void run_stretch(const params *p, const void *x, const void *g, void *out, int64_t at,
                        int64_t n)
{
    const pri_dtype x_type = type_of(p->x_narrow), y_type = type_of(p->y_narrow);
    const pri_dtype out_type = g == NULL ? y_type : x_type;
    const int64_t piece = out_type == PRI_BF16 ? PRI_NARROW_PIECE : n;
    float room[PRI_NARROW_PIECE];

    for (int64_t i = 0; i < n; i += piece) {
        const int64_t count = pri_min_i64(piece, n - i);
        const params q = moved(p, i);
        float *to = pri_floats_for(out, out_type, at + i, room);
        if (g == NULL) {
            apply_stretch(pri_element(x, x_type, at + i), to, &q, count);
        } else {
            if (p->add)
                (void)pri_floats_at(out, out_type, at + i, count, room);
            back_stretch(pri_element(x, x_type, at + i), pri_element(g, y_type, at + i), to, &q,
                         count);
        }
        pri_floats_put(out, out_type, at + i, count, to);
    }
}

static void run_interleaved(const pri_channels *ch, const params *p, const void *x, const void *g,
                            void *out)
{
    const int64_t total = ch->outer * ch->inner * ch->channels, period = period_of(ch);
    const int64_t stretch = STRETCH * period;

#pragma omp parallel for schedule(static) if (total > 16384)
    for (int64_t from = 0; from < total; from += stretch) {
        const int64_t to = pri_min_i64(from + stretch, total);
        for (int64_t at = from; at < to; at += period)
            run_stretch(p, x, g, out, at, pri_min_i64(period, to - at));
    }
}

/* A row of one channel: its numbers are spread over a short stretch. */
static void run_plain(const pri_channels *ch, const params *p, const void *x, const void *g,
                      void *out)
{
    enum { WIDTH = 128 };
    const float *const from[MAX_PARAMETERS] = {p->mean, p->scale, p->shift, p->slope, p->tilt};

#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < ch->outer * ch->channels; row++) {
        const int64_t c = row % ch->channels, end = (row + 1) * ch->inner;
        float spread[MAX_PARAMETERS][WIDTH];
        params q = *p;
        for (int k = 0; k < MAX_PARAMETERS; k++) {
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
                    const float *scale, const float *shift, pri_norm_bounds bounds, void *scratch)
{
    params p = {.scale = scale,
                .shift = shift,
                .bounds = bounds,
                .x_narrow = x.dtype == PRI_BF16,
                .y_narrow = y.dtype == PRI_BF16};

    if (!is_interleaved(ch)) {
        run_plain(ch, &p, x.data, NULL, y.data);
        return;
    }
    p.scale = repeat(ch, scale, 0, scratch);
    p.shift = repeat(ch, shift, 1, scratch);
    run_interleaved(ch, &p, x.data, NULL, y.data);
}

void pri_norm_back_apply(const pri_channels *ch, const pri_norm_back *back, void *scratch)
{
    params p = params_of(back);

    if (!is_interleaved(ch)) {
        run_plain(ch, &p, back->x.data, back->g.data, back->d);
        return;
    }
    p.mean = repeat(ch, back->mean, 0, scratch);
    p.scale = repeat(ch, back->scale, 1, scratch);
    p.shift = repeat(ch, back->shift, 2, scratch);
    p.slope = repeat(ch, back->slope, 3, scratch);
    p.tilt = repeat(ch, back->tilt, 4, scratch);
    run_interleaved(ch, &p, back->x.data, back->g.data, back->d);
}
