/* SPDX-License-Identifier: Apache-2.0 */
/* interpolate.c - taps of resampled axes, and rows as sums over them. */
#include "kernels/interpolate.h"

#include <math.h>
#include <string.h>

enum { MAX_SOURCES = 256 }; /* input rows behind an output row: 4 x 4 x 4, or antialias over more */

/* Where output index i of an axis lies in the input. */
static float coordinate(pri_coordinates mode, int64_t i, int64_t in, int64_t out, float scale)
{
    const float at = (float)i;

    switch (mode) {
    case PRI_PYTORCH_HALF_PIXEL: return out > 1 ? (at + 0.5f) / scale - 0.5f : 0;
    case PRI_ALIGN_CORNERS: return out > 1 ? at * (float)(in - 1) / (float)(out - 1) : 0;
    case PRI_ASYMMETRIC: return at / scale;
    case PRI_TF_HALF_PIXEL: return (at + 0.5f) / scale;
    case PRI_HALF_PIXEL_SYMMETRIC: {
        const float adjustment = (float)out / (scale * (float)in);
        return (float)in / 2 * (1 - adjustment) + (at + 0.5f) / scale - 0.5f;
    }
    default: return (at + 0.5f) / scale - 0.5f;
    }
}

static float round_to(pri_rounding mode, float x, float scale)
{
    switch (mode) {
    case PRI_ROUND_PREFER_FLOOR: return x == floorf(x) + 0.5f ? floorf(x) : roundf(x);
    case PRI_ROUND_PREFER_CEIL: return x == floorf(x) + 0.5f ? ceilf(x) : roundf(x);
    case PRI_ROUND_CEIL: return ceilf(x);
    case PRI_ROUND_SIMPLE: return scale < 1 ? ceilf(x) : floorf(x); /* before opset 11 */
    default: return floorf(x);
    }
}

static int64_t clamp_index(int64_t i, int64_t size)
{
    return pri_max_i64(0, pri_min_i64(i, size - 1));
}

/* Cubic convolution (Keys 1981) with coefficient a; r is the distance beyond the tap before. */
static void cubic_weights(float weight[4], float r, float a)
{
    weight[0] = ((a * (r + 1) - 5 * a) * (r + 1) + 8 * a) * (r + 1) - 4 * a;
    weight[1] = ((a + 2) * r - (a + 3)) * r * r + 1;
    weight[2] = ((a + 2) * (1 - r) - (a + 3)) * (1 - r) * (1 - r) + 1;
    weight[3] = ((a * (2 - r) - 5 * a) * (2 - r) + 8 * a) * (2 - r) - 4 * a;
}

static void fill_cubic(int64_t *index, float *weight, float x, int64_t in,
                       const pri_interpolation *p)
{
    const float first = floorf(x);
    float sum = 0;

    cubic_weights(weight, x - first, p->cubic);
    for (int t = 0; t < 4; t++) {
        const int64_t at = (int64_t)first - 1 + t;
        if (p->excludes_outside && (at < 0 || at >= in))
            weight[t] = 0;
        index[t] = clamp_index(at, in);
        sum += weight[t];
    }
    for (int t = 0; t < 4 && p->excludes_outside; t++)
        weight[t] /= sum;
}

/* The kernel at distance r. */
static float kernel_at(const pri_interpolation *p, float r)
{
    const float a = p->cubic;

    if (p->taps == 2)
        return r < 1 ? 1 - r : 0;
    if (r < 1)
        return ((a + 2) * r - (a + 3)) * r * r + 1;
    return r < 2 ? ((a * r - 5 * a) * r + 8 * a) * r - 4 * a : 0;
}

/* Inputs on both sides of x as far as the stretched kernel reaches, weights adding up to 1. */
static void fill_stretched(int64_t *index, float *weight, int n, float x, int64_t in, float scale,
                           const pri_interpolation *p)
{
    const int64_t first = (int64_t)floorf(x) - n / 2;
    float sum = 0;

    for (int t = 0; t < n; t++) {
        const int64_t at = first + t;
        weight[t] = kernel_at(p, fabsf((float)at - x) * scale);
        if (p->excludes_outside && (at < 0 || at >= in))
            weight[t] = 0;
        index[t] = clamp_index(at, in);
        sum += weight[t];
    }
    for (int t = 0; t < n && sum != 0; t++)
        weight[t] /= sum;
}

static bool is_stretched(const pri_interpolation *p, float scale)
{
    return p->antialias && p->taps > 1 && scale < 1;
}

static void fill_taps(pri_taps *taps, const pri_interpolation *p, int64_t in, int64_t out,
                      float scale)
{
    for (int64_t i = 0; i < out; i++) {
        int64_t *index = taps->index + i * taps->n;
        float *weight = taps->weight + i * taps->n;
        float x = coordinate(p->coordinates, i, in, out, scale);
        if (is_stretched(p, scale)) {
            fill_stretched(index, weight, taps->n, x, in, scale, p);
        } else if (p->taps == 1) {
            index[0] = clamp_index((int64_t)round_to(p->nearest, x, scale), in);
            weight[0] = 1;
        } else if (p->taps == 2) {
            x = fmaxf(0, fminf(x, (float)(in - 1)));
            index[0] = clamp_index((int64_t)x, in);
            index[1] = clamp_index(index[0] + 1, in);
            weight[1] = x - (float)index[0];
            weight[0] = 1 - weight[1];
        } else {
            fill_cubic(index, weight, x, in, p);
        }
    }
}

pare_status pri_resampled_add(pri_resampled *resampled, pare_context *ctx,
                              const pri_interpolation *how, int axis, int64_t in, int64_t out,
                              float scale)
{
    pri_taps *taps = &resampled->axes[resampled->count++];

    *taps = (pri_taps){.axis = axis, .n = how->taps};
    if (is_stretched(how, scale)) /* as far as it reaches, at most over all inputs there are */
        taps->n = 2 * (int)fminf(ceilf((float)(how->taps / 2) / scale), 1 << 20) + 2;
    taps->index = pri_alloc(ctx, (size_t)(out * taps->n), sizeof *taps->index);
    taps->weight = pri_alloc(ctx, (size_t)(out * taps->n), sizeof *taps->weight);
    if (taps->index == NULL || taps->weight == NULL)
        return PARE_ERROR_MEMORY;
    fill_taps(taps, how, in, out, scale);
    return PARE_OK;
}

bool pri_resampled_fits(const pri_resampled *resampled, int rank, pri_layout layout)
{
    const int row = layout == PRI_CHANNELS_LAST ? 1 : rank - 1;
    int64_t sources = 1;

    for (int k = 0; k < resampled->count; k++)
        sources *= resampled->axes[k].axis != row ? resampled->axes[k].n : 1;
    return sources <= MAX_SOURCES;
}

void pri_resampled_clear(pri_resampled *resampled)
{
    for (int k = 0; k < resampled->count; k++) {
        pri_free(resampled->axes[k].index);
        pri_free(resampled->axes[k].weight);
    }
    resampled->count = 0;
}

/* --- Rows --- */

typedef struct rows {
    int rank, row; /* row: the axis lying innermost */
    int64_t dims[PRI_MAX_RANK], x[PRI_MAX_RANK], y[PRI_MAX_RANK]; /* strides */
    const pri_taps *taps[PRI_MAX_RANK];                           /* NULL: not resampled */
    int64_t count;                                                /* rows */
} rows;

static rows rows_of(const pri_resampled *resampled, const pri_shape *out, const pri_shape *in,
                    pri_layout layout)
{
    rows r = {.rank = out->rank, .count = 1};

    pri_layout_strides(r.x, in, layout);
    pri_layout_strides(r.y, out, layout);
    memcpy(r.dims, out->dims, sizeof r.dims);
    r.row = layout == PRI_CHANNELS_LAST ? 1 : out->rank - 1;
    for (int k = 0; k < resampled->count; k++)
        r.taps[resampled->axes[k].axis] = &resampled->axes[k];
    for (int a = 0; a < r.rank; a++)
        r.count *= a != r.row ? r.dims[a] : 1;
    return r;
}

/* The input rows that one output row is a sum of. */
typedef struct sources {
    int n;
    int64_t offset[MAX_SOURCES];
    float weight[MAX_SOURCES];
    int64_t y; /* offset of the output row */
} sources;

static void multiply_sources(sources *s, const pri_taps *taps, int64_t i, int64_t stride)
{
    const int before = s->n;

    for (int t = taps->n - 1; t >= 0; t--) {
        for (int k = 0; k < before; k++) {
            s->offset[t * before + k] = s->offset[k] + taps->index[i * taps->n + t] * stride;
            s->weight[t * before + k] = s->weight[k] * taps->weight[i * taps->n + t];
        }
    }
    s->n = before * taps->n;
}

static void find_sources(sources *s, const rows *r, int64_t index)
{
    s->n = 1;
    s->offset[0] = 0;
    s->weight[0] = 1;
    s->y = 0;
    for (int a = r->rank - 1; a >= 0; a--) {
        if (a == r->row)
            continue;
        const int64_t i = index % r->dims[a];
        index /= r->dims[a];
        s->y += i * r->y[a];
        if (r->taps[a] != NULL) {
            multiply_sources(s, r->taps[a], i, r->x[a]);
            continue;
        }
        for (int k = 0; k < s->n; k++)
            s->offset[k] += i * r->x[a];
    }
}

/* A row of `n` numbers side by side as the sum of rows that lie so: four for images (linear), which
 * compilers turn into vector instructions. Sums in the order of forward_row. */
PRI_CLONES static void add_rows(float *restrict y, const float *restrict x, const sources *s,
                                int64_t n)
{
    const float *a = x + s->offset[0];

    if (s->n == 4) {
        const float *b = x + s->offset[1], *c = x + s->offset[2], *d = x + s->offset[3];
        for (int64_t i = 0; i < n; i++)
            y[i] = s->weight[0] * a[i] + s->weight[1] * b[i] + s->weight[2] * c[i] +
                   s->weight[3] * d[i];
        return;
    }
    for (int64_t i = 0; i < n; i++)
        y[i] = s->weight[0] * a[i];
    for (int k = 1; k < s->n; k++) {
        const float *b = x + s->offset[k];
        for (int64_t i = 0; i < n; i++)
            y[i] += s->weight[k] * b[i];
    }
}

static void forward_row(const rows *r, const sources *s, const float *x, float *y)
{
    const int64_t n = r->dims[r->row], sx = r->x[r->row], sy = r->y[r->row];
    const pri_taps *taps = r->taps[r->row];

    if (taps == NULL && sx == 1 && sy == 1) {
        add_rows(y + s->y, x, s, n);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        float sum = 0;
        if (taps == NULL) {
            for (int k = 0; k < s->n; k++)
                sum += s->weight[k] * x[s->offset[k] + i * sx];
        } else {
            for (int t = 0; t < taps->n; t++) {
                const int64_t at = taps->index[i * taps->n + t] * sx;
                float part = 0;
                for (int k = 0; k < s->n; k++)
                    part += s->weight[k] * x[s->offset[k] + at];
                sum += taps->weight[i * taps->n + t] * part;
            }
        }
        y[s->y + i * sy] = sum;
    }
}

static void backward_row(const rows *r, const sources *s, float *d, const float *g)
{
    const int64_t n = r->dims[r->row], sx = r->x[r->row], sy = r->y[r->row];
    const pri_taps *taps = r->taps[r->row];

    for (int64_t i = 0; i < n; i++) {
        const float value = g[s->y + i * sy];
        for (int t = 0; t < (taps != NULL ? taps->n : 1); t++) {
            const int64_t at = (taps != NULL ? taps->index[i * taps->n + t] : i) * sx;
            const float part = value * (taps != NULL ? taps->weight[i * taps->n + t] : 1.0f);
            for (int k = 0; k < s->n; k++)
                d[s->offset[k] + at] += s->weight[k] * part;
        }
    }
}

void pri_interpolate(const pri_resampled *resampled, const pri_shape *out, const pri_shape *in,
                     pri_layout layout, const float *x, float *y)
{
    const rows r = rows_of(resampled, out, in, layout);

#pragma omp parallel for schedule(static) if (r.count * r.dims[r.row] > 16384)
    for (int64_t i = 0; i < r.count; i++) {
        sources s;
        find_sources(&s, &r, i);
        forward_row(&r, &s, x, y);
    }
}

void pri_interpolate_back(const pri_resampled *resampled, const pri_shape *out, const pri_shape *in,
                          pri_layout layout, const float *g, float *d)
{
    const rows r = rows_of(resampled, out, in, layout);
    /* samples write to gradients of their own */
    const bool by_sample = r.rank > 1 && r.row != 0 && r.taps[0] == NULL && r.dims[0] > 0;
    const int64_t parts = by_sample ? r.dims[0] : 1;

#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < parts; n++) {
        for (int64_t i = n * (r.count / parts); i < (n + 1) * (r.count / parts); i++) {
            sources s;
            find_sources(&s, &r, i);
            backward_row(&r, &s, d, g);
        }
    }
}
