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

enum { PERIOD = 256, BLOCKS = 16, STRETCH = 64, MAX_PARAMETERS = 5, ROW = 2048 };

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
    bool relu, add;
} params;

PRI_CLONES static void sum_squares(const float *x, const float *mean, float *square, float *sum,
                                   int64_t n)
{
    PRI_SIMD
    for (int64_t i = 0; i < n; i++) {
        const float d = x[i] - mean[i];
        square[i] += d * d;
        sum[i] += d;
    }
}

PRI_CLONES static void sum_gradients(const float *x, const float *g, const params *p,
                                     float *product, float *sum, int64_t n)
{
    const float *mean = p->mean, *scale = p->scale, *shift = p->shift;

    if (p->relu) {
        PRI_SIMD
        for (int64_t i = 0; i < n; i++) {
            const float h = x[i] * scale[i] + shift[i] > 0 ? g[i] : 0;
            product[i] += h * (x[i] - mean[i]);
            sum[i] += h;
        }
        return;
    }
    PRI_SIMD
    for (int64_t i = 0; i < n; i++) {
        product[i] += g[i] * (x[i] - mean[i]);
        sum[i] += g[i];
    }
}

PRI_CLONES static void apply_stretch(const float *x, float *y, const params *p, int64_t n)
{
    const float *scale = p->scale, *shift = p->shift;

    if (p->relu) {
        PRI_SIMD
        for (int64_t i = 0; i < n; i++) {
            const float v = x[i] * scale[i] + shift[i];
            y[i] = v > 0 ? v : 0;
        }
        return;
    }
    PRI_SIMD
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] * scale[i] + shift[i];
}

PRI_CLONES static void back_stretch(const float *x, const float *g, float *d, const params *p,
                                    int64_t n)
{
    const float *mean = p->mean, *scale = p->scale, *shift = p->shift;
    const float *slope = p->slope, *tilt = p->tilt;

    if (!p->relu) {
        if (p->add) {
            PRI_SIMD
            for (int64_t i = 0; i < n; i++)
                d[i] += scale[i] * (g[i] - tilt[i] - (x[i] - mean[i]) * slope[i]);
            return;
        }
        PRI_SIMD
        for (int64_t i = 0; i < n; i++)
            d[i] = scale[i] * (g[i] - tilt[i] - (x[i] - mean[i]) * slope[i]);
        return;
    }
    if (p->add) {
        PRI_SIMD
        for (int64_t i = 0; i < n; i++) {
            const float h = x[i] * scale[i] + shift[i] > 0 ? g[i] : 0;
            d[i] += scale[i] * (h - tilt[i] - (x[i] - mean[i]) * slope[i]);
        }
        return;
    }
    PRI_SIMD
    for (int64_t i = 0; i < n; i++) {
        const float h = x[i] * scale[i] + shift[i] > 0 ? g[i] : 0;
        d[i] = scale[i] * (h - tilt[i] - (x[i] - mean[i]) * slope[i]);
    }
}

/* --- Sums --- */

typedef struct job {
    const float *x, *g; /* g NULL: squares */
    params p;
} job;

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
        if (j->g != NULL)
            sum_gradients(j->x + at, j->g + at, &j->p, first, second, n);
        else
            sum_squares(j->x + at, j->p.mean, first, second, n);
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
    const float scale = j->p.relu ? j->p.scale[c] : 0, shift = j->p.relu ? j->p.shift[c] : 1;
    double total[2] = {0, 0};

    for (int64_t n = 0; n < ch->outer; n++) {
        const int64_t row = (n * ch->channels + c) * ch->inner;
        for (int64_t at = 0; at < ch->inner; at += ROW) {
            const int64_t length = pri_min_i64(ROW, ch->inner - at);
            const float *x = j->x + row + at, *g = j->g != NULL ? j->g + row + at : NULL;
            float first = 0, second = 0;
            if (g != NULL) {
#pragma omp simd reduction(+ : first, second)
                for (int64_t i = 0; i < length; i++) {
                    const float h = x[i] * scale + shift > 0 ? g[i] : 0;
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

void pri_norm_sums(const pri_channels *ch, const float *x, const float *centre, double *sums,
                   void *scratch)
{
    job j = {.x = x, .p = {.mean = centre}};

    if (!is_interleaved(ch)) {
        sum_plain(ch, &j, sums);
        return;
    }
    j.p.mean = repeat(ch, centre, 0, scratch);
    sum_interleaved(ch, &j, sums, scratch);
}

void pri_norm_back_sums(const pri_channels *ch, const pri_norm_back *back, double *sums,
                        void *scratch)
{
    job j = {
        .x = back->x,
        .g = back->g,
        .p = {.mean = back->mean, .scale = back->scale, .shift = back->shift, .relu = back->relu}};

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

static void run_interleaved(const pri_channels *ch, const params *p, const float *x, const float *g,
                            float *out)
{
    const int64_t total = ch->outer * ch->inner * ch->channels, period = period_of(ch);
    const int64_t stretch = STRETCH * period;

#pragma omp parallel for schedule(static) if (total > 16384)
    for (int64_t from = 0; from < total; from += stretch) {
        const int64_t to = pri_min_i64(from + stretch, total);
        for (int64_t at = from; at < to; at += period) {
            const int64_t n = pri_min_i64(period, to - at);
            if (g == NULL)
                apply_stretch(x + at, out + at, p, n);
            else
                back_stretch(x + at, g + at, out + at, p, n);
        }
    }
}

/* A row of one channel: its numbers are spread over a short stretch. */
static void run_plain(const pri_channels *ch, const params *p, const float *x, const float *g,
                      float *out)
{
    enum { WIDTH = 128 };
    const float *const from[MAX_PARAMETERS] = {p->mean, p->scale, p->shift, p->slope, p->tilt};

#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < ch->outer * ch->channels; row++) {
        const int64_t c = row % ch->channels, end = (row + 1) * ch->inner;
        float spread[MAX_PARAMETERS][WIDTH];
        for (int k = 0; k < MAX_PARAMETERS; k++) {
            for (int i = 0; i < WIDTH && from[k] != NULL; i++)
                spread[k][i] = from[k][c];
        }
        const params q = {spread[0], spread[1], spread[2], spread[3], spread[4], p->relu, p->add};
        for (int64_t at = row * ch->inner; at < end; at += WIDTH) {
            const int64_t n = pri_min_i64(WIDTH, end - at);
            if (g == NULL)
                apply_stretch(x + at, out + at, &q, n);
            else
                back_stretch(x + at, g + at, out + at, &q, n);
        }
    }
}

void pri_norm_apply(const pri_channels *ch, const float *x, float *y, const float *scale,
                    const float *shift, bool relu, void *scratch)
{
    params p = {.scale = scale, .shift = shift, .relu = relu};

    if (!is_interleaved(ch)) {
        run_plain(ch, &p, x, NULL, y);
        return;
    }
    p.scale = repeat(ch, scale, 0, scratch);
    p.shift = repeat(ch, shift, 1, scratch);
    run_interleaved(ch, &p, x, NULL, y);
}

void pri_norm_back_apply(const pri_channels *ch, const pri_norm_back *back, void *scratch)
{
    params p = {back->mean, back->scale, back->shift, back->slope,
                back->tilt, back->relu,  back->add};

    if (!is_interleaved(ch)) {
        run_plain(ch, &p, back->x, back->g, back->d);
        return;
    }
    p.mean = repeat(ch, back->mean, 0, scratch);
    p.scale = repeat(ch, back->scale, 1, scratch);
    p.shift = repeat(ch, back->shift, 2, scratch);
    p.slope = repeat(ch, back->slope, 3, scratch);
    p.tilt = repeat(ch, back->tilt, 4, scratch);
    run_interleaved(ch, &p, back->x, back->g, back->d);
}
