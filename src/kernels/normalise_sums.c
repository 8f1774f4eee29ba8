/* SPDX-License-Identifier: Apache-2.0 */
/* normalise_sums.c - sums of each channel; see normalise.h. */
#include <string.h>

#include "kernels/vectors/normalise_vector.h"

/* --- Loops --- */

PRI_INLINE void squares_loop(const void *x, const float *mean, float *square, float *sum, int64_t n,
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

PRI_INLINE void gradients_loop(const void *x, const void *g, const pri_norm_params *p,
                               float *product, float *sum, int64_t n, bool cuts, bool x_narrow,
                               bool g_narrow)
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

PRI_CLONES static void sum_gradients(const void *x, const void *g, const pri_norm_params *p,
                                     float *product, float *sum, int64_t n)
{
    if (p->bounds.is_there)
        PRI_BY_TYPES(gradients_loop, p->x_type == PRI_BF16, p->y_type == PRI_BF16, x, g, p, product,
                     sum, n, true);
    else
        PRI_BY_TYPES(gradients_loop, p->x_type == PRI_BF16, p->y_type == PRI_BF16, x, g, p, product,
                     sum, n, false);
}

/* --- Sums --- */

typedef struct job {
    const void *x, *g; /* g NULL: squares */
    pri_norm_params p;
} job;

/* Adds what n elements of both parts hold to the sums, and empties them. */
static void fold(const pri_channels *ch, float *first, float *second, int64_t n, double *sums)
{
    for (int64_t at = 0; at < n; at += ch->channels) {
        for (int64_t c = 0; c < ch->channels; c++) {
            sums[c] += first[at + c];
            sums[ch->channels + c] += second[at + c];
        }
    }
    memset(first, 0, (size_t)n * sizeof *first);
    memset(second, 0, (size_t)n * sizeof *second);
}

/* Elements from .. to-1 in registers. */
static void sum_by_vector(const pri_channels *ch, const job *j, int64_t from, int64_t to,
                          float *first, double *sums)
{
    pri_norm_range r = {.p = &j->p, .x = j->x, .g = j->g, .width = pri_norm_width(ch)};
    float *second = first + pri_norm_period(ch);

    for (r.at = from; r.at < to; r.at += r.n) {
        r.n = pri_min_i64(PRI_NORM_ROWS * r.width, to - r.at);
        if (j->g != NULL)
            PRI_TABLE(pri_norm_passes)->gradients(&r, first, second);
        else
            PRI_TABLE(pri_norm_passes)->squares(&r, first, second);
        fold(ch, first, second, r.width, sums);
    }
}

/* The gradients that y did not cut off, piece by piece. */
static void sum_uncut(const job *j, int64_t at, int64_t n, float *product, float *sum)
{
    float h[PRI_NARROW_PIECE];

    for (int64_t i = 0; i < n; i += PRI_NARROW_PIECE) {
        const int64_t count = pri_min_i64(PRI_NARROW_PIECE, n - i);
        pri_norm_params q = pri_norm_moved(&j->p, i);
        const float *uncut = pri_norm_uncut(&j->p, j->g, at + i, count, h);
        q.y_type = PRI_F32;
        q.bounds.is_there = false;
        sum_gradients(pri_element(j->x, q.x_type, at + i), uncut, &q, product + i, sum + i, count);
    }
}

/* Elements from .. to-1, both at the start of a position. */
static void sum_block(const pri_channels *ch, const job *j, int64_t from, int64_t to,
                      unsigned char *room, double *sums)
{
    const int64_t period = pri_norm_period(ch);
    float *first = (float *)(void *)room, *second = first + period;
    int count = 0;

    memset(sums, 0, 2 * (size_t)ch->channels * sizeof *sums);
    memset(first, 0, 2 * (size_t)period * sizeof *first);
    if (pri_norm_by_vector(ch, &j->p)) {
        sum_by_vector(ch, j, from, to, first, sums);
        return;
    }
    for (int64_t at = from; at < to; at += period) {
        const int64_t n = pri_min_i64(period, to - at);
        if (j->g != NULL && j->p.y != NULL)
            sum_uncut(j, at, n, first, second);
        else if (j->g != NULL)
            sum_gradients(pri_element(j->x, j->p.x_type, at), pri_element(j->g, j->p.y_type, at),
                          &j->p, first, second, n);
        else
            sum_squares(pri_element(j->x, j->p.x_type, at), j->p.x_type == PRI_BF16, j->p.mean,
                        first, second, n);
        if (++count == PRI_NORM_STRETCH || at + period >= to) {
            fold(ch, first, second, period, sums);
            count = 0;
        }
    }
}

static void sum_interleaved(const pri_channels *ch, const job *j, double *sums, void *scratch)
{
    const int64_t positions = ch->outer * ch->inner;
    const int64_t per_block = (positions + PRI_NORM_BLOCKS - 1) / PRI_NORM_BLOCKS;
    unsigned char *rooms = (unsigned char *)scratch + pri_norm_numbers_bytes(ch);
    const size_t step = pri_norm_block_bytes(ch),
                 floats = pri_norm_round_up(2 * (size_t)pri_norm_period(ch) * sizeof(float));

#pragma omp parallel for schedule(static) if (positions * ch->channels > 16384)
    for (int b = 0; b < PRI_NORM_BLOCKS; b++) {
        unsigned char *room = rooms + (size_t)b * step;
        const int64_t from = pri_min_i64(b * per_block, positions);
        const int64_t to = pri_min_i64(from + per_block, positions);
        sum_block(ch, j, from * ch->channels, to * ch->channels, room,
                  (double *)(void *)(room + floats));
    }
    memset(sums, 0, 2 * (size_t)ch->channels * sizeof *sums);
    for (int b = 0; b < PRI_NORM_BLOCKS; b++) {
        const double *part = (const double *)(const void *)(rooms + (size_t)b * step + floats);
        for (int64_t c = 0; c < 2 * ch->channels; c++)
            sums[c] += part[c];
    }
}

/* The gradients that count of a piece, as far as y tells; NULL where squares are wanted. */
static const float *gradients_of(const job *j, int64_t at, int64_t n, float *room)
{
    if (j->g == NULL)
        return NULL;
    if (j->p.y == NULL)
        return pri_floats_at(j->g, j->p.y_type, at, n, room);
    return pri_norm_uncut(&j->p, j->g, at, n, room);
}

/* One channel of a plain tensor. */
static void sum_channel(const pri_channels *ch, const job *j, int64_t c, double *sums)
{
    const float mean = j->p.mean[c];
    const bool cuts = j->p.bounds.is_there && j->p.y == NULL;
    const float low = cuts ? j->p.bounds.low : -1, high = cuts ? j->p.bounds.high : 1;
    const float scale = cuts ? j->p.scale[c] : 0, shift = cuts ? j->p.shift[c] : 0;
    double total[2] = {0, 0};

    for (int64_t n = 0; n < ch->outer; n++) {
        const int64_t row = (n * ch->channels + c) * ch->inner;
        for (int64_t at = 0; at < ch->inner; at += PRI_NARROW_PIECE) {
            const int64_t length = pri_min_i64(PRI_NARROW_PIECE, ch->inner - at);
            float room[2][PRI_NARROW_PIECE];
            const float *x = pri_floats_at(j->x, j->p.x_type, row + at, length, room[0]);
            const float *g = gradients_of(j, row + at, length, room[1]);
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
    job j = {.x = x.data, .p = {.mean = centre, .x_type = x.dtype, .y_type = x.dtype}};

    if (!pri_norm_is_interleaved(ch)) {
        sum_plain(ch, &j, sums);
        return;
    }
    j.p.mean = pri_norm_repeat(ch, centre, 0, scratch);
    sum_interleaved(ch, &j, sums, scratch);
}

void pri_norm_back_sums(const pri_channels *ch, const pri_norm_back *back, double *sums,
                        void *scratch)
{
    job j = {.x = back->x.data, .g = back->g.data, .p = pri_norm_params_of(back)};

    if (!pri_norm_is_interleaved(ch)) {
        sum_plain(ch, &j, sums);
        return;
    }
    j.p.mean = pri_norm_repeat(ch, back->mean, 0, scratch);
    j.p.scale = pri_norm_repeat(ch, back->scale, 1, scratch);
    j.p.shift = pri_norm_repeat(ch, back->shift, 2, scratch);
    sum_interleaved(ch, &j, sums, scratch);
}
