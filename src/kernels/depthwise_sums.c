/* SPDX-License-Identifier: Apache-2.0 */
/*
 * depthwise_sums.c - gradients of weights of depthwise.h, row by row.
 *
 * Up to 3 x 3 weights of 16 channels are summed in registers along a row of outputs. Where only
 * some columns of the kernel are inside of the row, these are summed by themselves.
 */
#include "kernels/depthwise_rows.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include "kernels/depthwise_vector.h"

/* Weights summed at once, pixels of outputs that share what they read, and of them before the next
 * channels come: a stretch of all channels stays in the first cache. */
enum { MOST = 3, TILE = 6, STRETCH = 12 };

/* Weights from (row, column) on that read pixels from .. end-1 of the outputs within the row. */
typedef struct part {
    const pri_depthwise_pair *pair;
    float *sums;
    int row, column;
    int64_t from, end;
    bool is_first; /* of the row: fetches what comes next */
} part;

/* What the compiler knows of a part. */
typedef struct shape {
    int rows, columns;
    int step; /* of columns that are neighbours; 0: any */
    bool from_narrow, to_narrow;
} shape;

typedef __m512 sums_of[MOST][MOST];

/* Elements from outputs and inputs of one pixel to the next's, and from column to column. */
typedef struct strides {
    int64_t out, in, column;
} strides;

PRI_AVX512_INLINE void sum_tile(sums_of sum, const part *p, int64_t out, int64_t in, strides by,
                                __mmask16 lanes, shape s)
{
    __m512 g[TILE];

    PRI_UNROLL
    for (int t = 0; t < TILE; t++)
        g[t] = pri_channels_at(p->pair->outputs, s.to_narrow, out + t * by.out, lanes);
    PRI_UNROLL
    for (int r = 0; r < s.rows; r++) {
        PRI_UNROLL
        for (int column = 0; column < (TILE - 1) * s.step + s.columns; column++) {
            const __m512 x = pri_channels_at(p->pair->rows[p->row + r], s.from_narrow,
                                             in + column * by.column, lanes);
            PRI_UNROLL
            for (int k = 0; k < s.columns; k++) {
                const int t = (column - k) / (s.step > 0 ? s.step : 1);
                if (column >= k && (column - k) % (s.step > 0 ? s.step : 1) == 0 && t < TILE)
                    sum[r][k] = _mm512_fmadd_ps(x, g[t], sum[r][k]);
            }
        }
    }
}

PRI_AVX512_INLINE void sum_pixel(sums_of sum, const part *p, int64_t out, int64_t in, strides by,
                                 __mmask16 lanes, shape s)
{
    const __m512 g = pri_channels_at(p->pair->outputs, s.to_narrow, out, lanes);

    PRI_UNROLL
    for (int r = 0; r < s.rows; r++) {
        PRI_UNROLL
        for (int k = 0; k < s.columns; k++)
            sum[r][k] = _mm512_fmadd_ps(pri_channels_at(p->pair->rows[p->row + r], s.from_narrow,
                                                        in + k * by.column, lanes),
                                        g, sum[r][k]);
    }
}

/* Asks for the rows to come, where the part's pixels are: a share of them with each vector of
 * channels, one after another in memory. */
PRI_AVX512_INLINE void fetch(const part *p, int64_t c, shape s)
{
    const pri_depthwise_pair *pair = p->pair;
    const int64_t count = p->end - p->from, step = pair->taps->step;
    const int64_t in = p->from * step + pair->taps->offset[p->column];

    for (int r = 0; r < pair->outputs_ahead.count; r++)
        pri_fetch(pair->outputs_ahead.rows[r], s.to_narrow, p->from * pair->channels + c * count,
                  count);
    for (int r = 0; r < pair->ahead.count; r++)
        pri_fetch(pair->ahead.rows[r], s.from_narrow, in * pair->channels + c * count * step,
                  count * step);
}

PRI_AVX512_INLINE void sum_lanes(const part *p, int64_t c, __mmask16 lanes, shape s)
{
    const pri_depthwise_pair *pair = p->pair;
    const pri_depthwise_taps *taps = pair->taps;
    const int64_t channels = pair->channels;
    const strides by = {channels, taps->step * channels,
                        taps->is_dense ? channels : (taps->offset[1] - taps->offset[0]) * channels};
    int64_t j = p->from, out = j * by.out + c;
    int64_t in = j * by.in + taps->offset[p->column] * channels + c;
    sums_of sum;

    if (p->is_first)
        fetch(p, c, s);
    PRI_UNROLL
    for (int k = 0; k < s.rows * s.columns; k++)
        sum[k / s.columns][k % s.columns] = _mm512_setzero_ps();
    for (; s.step > 0 && j + TILE <= p->end; j += TILE, out += TILE * by.out, in += TILE * by.in)
        sum_tile(sum, p, out, in, by, lanes, s);
    for (; j < p->end; j++, out += by.out, in += by.in)
        sum_pixel(sum, p, out, in, by, lanes, s);
    PRI_UNROLL
    for (int r = 0; r < s.rows; r++) {
        PRI_UNROLL
        for (int k = 0; k < s.columns; k++) {
            float *to = p->sums + ((p->row + r) * taps->count + p->column + k) * pair->filled;
            _mm512_storeu_ps(to + c, _mm512_add_ps(_mm512_loadu_ps(to + c), sum[r][k]));
        }
    }
}

PRI_AVX512_INLINE void sum_part(const part *whole, shape s)
{
    const int64_t channels = whole->pair->channels;

    for (int64_t j = whole->from; j < whole->end; j += STRETCH) {
        part p = *whole;
        int64_t c = 0;
        p.from = j;
        p.end = pri_min_i64(j + STRETCH, whole->end);
        for (; c + PRI_DEPTHWISE_LANES <= channels; c += PRI_DEPTHWISE_LANES)
            sum_lanes(&p, c, 0xffff, s);
        if (c < channels)
            sum_lanes(&p, c, pri_lanes_of(channels, c), s);
    }
}

PRI_AVX512_INLINE void sum_typed(const part *p, int rows, int columns)
{
    const bool from = p->pair->from_type == PRI_BF16, to = p->pair->to_type == PRI_BF16;
    const int step = p->pair->taps->is_dense ? p->pair->taps->step : 0;

    if (from && to && step == 1)
        sum_part(p, (shape){rows, columns, 1, true, true});
    else if (from && to && step == 2)
        sum_part(p, (shape){rows, columns, 2, true, true});
    else if (!from && !to && step == 1)
        sum_part(p, (shape){rows, columns, 1, false, false});
    else if (!from && !to && step == 2)
        sum_part(p, (shape){rows, columns, 2, false, false});
    else if (from && to)
        sum_part(p, (shape){rows, columns, 0, true, true});
    else if (from)
        sum_part(p, (shape){rows, columns, 0, true, false});
    else if (to)
        sum_part(p, (shape){rows, columns, 0, false, true});
    else
        sum_part(p, (shape){rows, columns, 0, false, false});
}

#define PART(name, rows, columns)                                                                  \
    PRI_AVX512 static void name(const part *p)                                                     \
    {                                                                                              \
        sum_typed(p, rows, columns);                                                               \
    }
PART(sum_1_1, 1, 1)
PART(sum_2_1, 2, 1)
PART(sum_3_1, 3, 1)
PART(sum_1_2, 1, 2)
PART(sum_2_2, 2, 2)
PART(sum_3_2, 3, 2)
PART(sum_1_3, 1, 3)
PART(sum_2_3, 2, 3)
PART(sum_3_3, 3, 3)

/* Pixels of outputs whose column `column` of the window is inside of the row. */
static void range_of(const pri_depthwise_pair *pair, int column, int64_t *from, int64_t *end)
{
    const int64_t step = pair->taps->step, offset = pair->taps->offset[column];

    *from = offset >= 0 ? 0 : pri_min_i64((step - 1 - offset) / step, pair->count);
    *end = pair->width - 1 - offset < 0 ? 0 : (pair->width - 1 - offset) / step + 1;
    *end = pri_max_i64(*from, pri_min_i64(*end, pair->count));
}

/* Columns of the kernel from p->column on, of `rows` rows. */
static void sum_columns(part p, int rows, int columns)
{
    static void (*const parts[MOST][MOST])(const part *) = {
        {sum_1_1, sum_1_2, sum_1_3}, {sum_2_1, sum_2_2, sum_2_3}, {sum_3_1, sum_3_2, sum_3_3}};
    const int first = p.column;
    int64_t from, end, all_from, all_end;

    range_of(p.pair, first, &all_from, &end); /* the first column begins last */
    range_of(p.pair, first + columns - 1, &from, &all_end);
    all_end = pri_max_i64(all_from, all_end);
    p.from = all_from;
    p.end = all_end;
    if (all_from < all_end)
        parts[rows - 1][columns - 1](&p);
    p.is_first = false;
    for (int k = 0; k < columns; k++) {
        range_of(p.pair, first + k, &from, &end);
        p.column = first + k;
        p.from = from;
        p.end = pri_min_i64(all_from, end);
        if (p.from < p.end)
            parts[rows - 1][0](&p);
        p.from = pri_max_i64(all_end, from);
        p.end = end;
        if (p.from < p.end)
            parts[rows - 1][0](&p);
    }
}

void pri_depthwise_sum(float *sums, const pri_depthwise_pair *pair)
{
    for (int row = pair->first; row < pair->end; row += MOST) {
        for (int column = 0; column < pair->taps->count; column += MOST)
            sum_columns((part){.pair = pair,
                               .sums = sums,
                               .row = row,
                               .column = column,
                               .is_first = row == pair->first && column == 0},
                        (int)pri_min_i64(MOST, pair->end - row),
                        (int)pri_min_i64(MOST, pair->taps->count - column));
    }
}

PRI_AVX512 void pri_depthwise_sum_bias(float *sums, const pri_depthwise_pair *pair)
{
    for (int64_t c = 0; c < pair->channels; c += PRI_DEPTHWISE_LANES) {
        const __mmask16 lanes = pri_lanes_of(pair->channels, c);
        __m512 sum = _mm512_setzero_ps();
        for (int64_t j = 0; j < pair->count; j++)
            sum = _mm512_add_ps(sum, pri_channels_at(pair->outputs, pair->to_type == PRI_BF16,
                                                     j * pair->channels + c, lanes));
        _mm512_storeu_ps(sums + c, _mm512_add_ps(_mm512_loadu_ps(sums + c), sum));
    }
}
#else
void pri_depthwise_sum(float *sums, const pri_depthwise_pair *pair)
{
    (void)sums, (void)pair;
}

void pri_depthwise_sum_bias(float *sums, const pri_depthwise_pair *pair)
{
    (void)sums, (void)pair;
}
#endif
