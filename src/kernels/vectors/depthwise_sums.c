/* SPDX-License-Identifier: Apache-2.0 */
/*
 * depthwise_sums.c - gradients of weights of depthwise.h, row by row.
 *
 * Up to 3 x 3 weights of a vector of channels are summed in registers along a row of outputs; what
 * is outside of the row counts as 0.
 */
#include "kernels/vectors/depthwise_vector.h"

/* Weights summed at once, pixels of outputs that share what they read, and of them before the next
 * channels come: a stretch of all channels stays in the first cache. */
enum { MOST = 3, TILE = 4, STRETCH = 8 };

/* Weights from (row, column) on, and pixels from .. end-1 of the outputs. */
typedef struct part {
    const pri_depthwise_pair *pair;
    float *sums;
    int row, column;
    int64_t from, end;
    int64_t inside[2]; /* pixels all of whose columns are inside of the row: first, end */
    bool is_first;     /* of the row: fetches what comes next */
} part;

/* What the compiler knows of a part. */
typedef struct shape {
    int rows, columns;
    int step; /* of columns that are neighbours; 0: any */
    bool from_narrow, to_narrow;
    bool is_edge; /* the window may leave the row */
} shape;

typedef pri_vec sums_of[MOST][MOST];

/* Elements from outputs and inputs of one pixel to the next's, and from column to column. */
typedef struct strides {
    int64_t out, in, column;
} strides;

/* Lanes of column k of pixel j's window: none outside of the row. */
PRI_INLINE pri_lane_set lanes_of(const part *p, int64_t j, int k, pri_lane_set lanes, bool is_edge)
{
    const pri_depthwise_taps *taps = p->pair->taps;

    return !is_edge || pri_is_below(j * taps->step + taps->offset[p->column + k], p->pair->width)
               ? lanes
               : 0;
}

PRI_INLINE void sum_tile(sums_of sum, const part *p, int64_t j, int64_t c, strides by,
                         pri_lane_set lanes, shape s)
{
    const int step = s.step > 0 ? s.step : 1;
    const pri_depthwise_taps *taps = p->pair->taps;
    const int64_t first = j * taps->step + taps->offset[p->column];
    pri_vec g[TILE];

    PRI_UNROLL
    for (int t = 0; t < TILE; t++)
        g[t] = pri_load_masked(p->pair->outputs, s.to_narrow, (j + t) * by.out + c, lanes);
    PRI_UNROLL
    for (int r = 0; r < s.rows; r++) {
        PRI_UNROLL
        for (int column = 0; column < (TILE - 1) * step + s.columns; column++) {
            const bool is_inside = !s.is_edge || pri_is_below(first + column, p->pair->width);
            const pri_vec x =
                pri_load_masked(p->pair->rows[p->row + r], s.from_narrow,
                                (first + column) * by.column + c, is_inside ? lanes : 0);
            PRI_UNROLL
            for (int k = 0; k < s.columns; k++) {
                const int t = (column - k) / step;
                if (column >= k && (column - k) % step == 0 && t < TILE)
                    sum[r][k] = pri_fma(x, g[t], sum[r][k]);
            }
        }
    }
}

PRI_INLINE void sum_pixel(sums_of sum, const part *p, int64_t j, int64_t c, strides by,
                          pri_lane_set lanes, shape s)
{
    const pri_vec g = pri_load_masked(p->pair->outputs, s.to_narrow, j * by.out + c, lanes);
    const int64_t in = j * by.in + p->pair->taps->offset[p->column] * p->pair->channels + c;

    PRI_UNROLL
    for (int k = 0; k < s.columns; k++) {
        const pri_lane_set here = lanes_of(p, j, k, lanes, s.is_edge);
        PRI_UNROLL
        for (int r = 0; r < s.rows; r++)
            sum[r][k] = pri_fma(
                pri_load_masked(p->pair->rows[p->row + r], s.from_narrow, in + k * by.column, here),
                g, sum[r][k]);
    }
}

/* Pixels from .. end-1 of the part. */
PRI_INLINE void sum_pixels(sums_of sum, const part *p, int64_t c, strides by, pri_lane_set lanes,
                           shape s)
{
    int64_t j = p->from;
    shape edge = s;

    edge.is_edge = true;
    for (; s.step > 0 && j + TILE <= p->end; j += TILE) {
        if (j < p->inside[0] || j + TILE > p->inside[1])
            sum_tile(sum, p, j, c, by, lanes, edge);
        else
            sum_tile(sum, p, j, c, by, lanes, s);
    }
    for (; j < p->end; j++)
        sum_pixel(sum, p, j, c, by, lanes, edge);
}

/* Asks for the rows to come, where the part's pixels are: a share of them with each vector of
 * channels, one after another in memory. */
PRI_INLINE void fetch(const part *p, int64_t c, shape s)
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

PRI_INLINE void sum_lanes(const part *p, int64_t c, pri_lane_set lanes, shape s)
{
    const pri_depthwise_pair *pair = p->pair;
    const pri_depthwise_taps *taps = pair->taps;
    const int64_t channels = pair->channels;
    const strides by = {channels, taps->step * channels,
                        taps->is_dense ? channels : (taps->offset[1] - taps->offset[0]) * channels};
    sums_of sum;

    if (p->is_first)
        fetch(p, c, s);
    PRI_UNROLL
    for (int k = 0; k < s.rows * s.columns; k++)
        sum[k / s.columns][k % s.columns] = pri_zero();
    sum_pixels(sum, p, c, by, lanes, s);
    PRI_UNROLL
    for (int r = 0; r < s.rows; r++) {
        PRI_UNROLL
        for (int k = 0; k < s.columns; k++) {
            float *to = p->sums + ((p->row + r) * taps->count + p->column + k) * pair->filled;
            pri_put(to + c, pri_get(to + c) + sum[r][k]);
        }
    }
}

PRI_INLINE void sum_part(const part *whole, shape s)
{
    const int64_t channels = whole->pair->channels;

    for (int64_t j = whole->from; j < whole->end; j += STRETCH) {
        part p = *whole;
        int64_t c = 0;
        p.from = j;
        p.end = pri_min_i64(j + STRETCH, whole->end);
        for (; c + PRI_LANES <= channels; c += PRI_LANES)
            sum_lanes(&p, c, PRI_ALL, s);
        if (c < channels)
            sum_lanes(&p, c, pri_lanes_of(channels, c), s);
    }
}

PRI_INLINE void sum_typed(const part *p, int rows, int columns)
{
    const bool from = pri_is_narrow(p->pair->from_type), to = pri_is_narrow(p->pair->to_type);
    const int step = p->pair->taps->is_dense ? p->pair->taps->step : 0;

    if (from && to && step == 1)
        sum_part(p, (shape){rows, columns, 1, true, true, false});
    else if (from && to && step == 2)
        sum_part(p, (shape){rows, columns, 2, true, true, false});
    else if (!from && !to && step == 1)
        sum_part(p, (shape){rows, columns, 1, false, false, false});
    else if (!from && !to && step == 2)
        sum_part(p, (shape){rows, columns, 2, false, false, false});
    else if (from && to)
        sum_part(p, (shape){rows, columns, 0, true, true, false});
    else if (from)
        sum_part(p, (shape){rows, columns, 0, true, false, false});
    else if (to)
        sum_part(p, (shape){rows, columns, 0, false, true, false});
    else
        sum_part(p, (shape){rows, columns, 0, false, false, false});
}

#define PART(name, rows, columns)                                                                  \
    static void name(const part *p)                                                                \
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
    int64_t from, end;

    range_of(p.pair, p.column, &p.inside[0], &end); /* the first column begins last */
    range_of(p.pair, p.column + columns - 1, &from, &p.inside[1]);
    p.end = p.pair->count;
    parts[rows - 1][columns - 1](&p);
}

static void sum_weights(float *sums, const pri_depthwise_pair *pair)
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

static void sum_bias(float *sums, const pri_depthwise_pair *pair)
{
    for (int64_t c = 0; c < pair->channels; c += PRI_LANES) {
        const pri_lane_set lanes = pri_lanes_of(pair->channels, c);
        pri_vec sum = pri_zero();
        for (int64_t j = 0; j < pair->count; j++)
            sum += pri_load(pair->outputs, pri_is_narrow(pair->to_type), j * pair->channels + c,
                            lanes);
        pri_put(sums + c, pri_get(sums + c) + sum);
    }
}

PRI_DEFINE_TABLE(pri_depthwise_sums) = {sum_weights, sum_bias};
