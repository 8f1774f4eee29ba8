/* SPDX-License-Identifier: Apache-2.0 */
/* gathered_rows.c - see gathered_rows.h. */
#include "kernels/gathered_rows.h"

#include <string.h>

#include "kernels/narrow.h"

pri_windows pri_windows_of(const pri_conv_problem *p)
{
    pri_windows w = {.batch = p->batch,
                     .height = p->in[0],
                     .width = p->in[1],
                     .channels = p->in_channels,
                     .out_height = p->out[0],
                     .out_width = p->out[1],
                     .positions = p->batch * p->out[0] * p->out[1],
                     .row = p->kernel[0] * p->kernel[1] * p->in_channels};

    for (int k = 0; k < 2; k++) {
        w.kernel[k] = p->kernel[k];
        w.stride[k] = p->stride[k];
        w.dilation[k] = p->dilation[k];
        w.pad[k] = p->pad_begin[k];
    }
    return w;
}

bool pri_windows_are_pixels(const pri_windows *w)
{
    return w->kernel[0] == 1 && w->kernel[1] == 1 && w->stride[0] == 1 && w->stride[1] == 1 &&
           w->pad[0] == 0 && w->pad[1] == 0 && w->out_height == w->height &&
           w->out_width == w->width;
}

/* One row of a window: `kernel` columns from `column` on of a row of pixels, as far as they are
 * inside: first .. end-1 of them. */
typedef struct span {
    int64_t column, first, end;
} span;

static span span_of(const pri_windows *w, int64_t out_column)
{
    const int64_t step = w->dilation[1];
    span s = {out_column * w->stride[1] - w->pad[1], 0, w->kernel[1]};

    while (s.first < s.end && s.column + s.first * step < 0)
        s.first++;
    while (s.end > s.first && s.column + (s.end - 1) * step >= w->width)
        s.end--;
    return s;
}

/* Sixteen bytes or more by pieces that may overlap: shorter than a call. */
static inline void copy(float *to, const float *from, int64_t n)
{
    enum { PIECE = 8, HALF = PIECE / 2 };
    int64_t i = 0;

    for (; i + PIECE <= n; i += PIECE)
        memcpy(to + i, from + i, PIECE * sizeof *to);
    if (i < n && n >= PIECE) {
        memcpy(to + n - PIECE, from + n - PIECE, PIECE * sizeof *to);
    } else if (i < n && n >= HALF) {
        memcpy(to, from, HALF * sizeof *to);
        memcpy(to + n - HALF, from + n - HALF, HALF * sizeof *to);
    } else {
        for (; i < n; i++)
            to[i] = from[i];
    }
}

static void gather_span(const pri_windows *w, float *to, const float *pixels, const span *s)
{
    const int64_t c = w->channels, step = w->dilation[1];
    const float *from = pixels + (s->column + s->first * step) * c;

    memset(to, 0, (size_t)(s->first * c) * sizeof *to);
    if (step == 1)
        memcpy(to + s->first * c, from, (size_t)((s->end - s->first) * c) * sizeof *to);
    for (int64_t k = s->first; k < s->end && step > 1; k++)
        memcpy(to + k * c, from + (k - s->first) * step * c, (size_t)c * sizeof *to);
    memset(to + s->end * c, 0, (size_t)((w->kernel[1] - s->end) * c) * sizeof *to);
}

static void scatter_span(const pri_windows *w, float *pixels, const float *from, const span *s)
{
    const int64_t c = w->channels, step = w->dilation[1];
    float *to = pixels + (s->column + s->first * step) * c;

    if (step == 1)
        pri_add_piece(to, from + s->first * c, (s->end - s->first) * c);
    for (int64_t k = s->first; k < s->end && step > 1; k++)
        pri_add_piece(to + (k - s->first) * step * c, from + k * c, c);
}

/* Neighbouring positions of one row of outputs, and the row of kernels that is taken of them. */
typedef struct stretch {
    int64_t image, out_row, column, count;
    int64_t r, pixels; /* pixels: where their row begins; -1: outside */
} stretch;

/* The positions from `first` on, at most `most`, that are one row. */
static stretch stretch_of(const pri_windows *w, int64_t first, int64_t most)
{
    stretch s = {.image = first / (w->out_height * w->out_width),
                 .out_row = first / w->out_width % w->out_height,
                 .column = first % w->out_width};

    s.count = pri_min_i64(most, w->out_width - s.column);
    return s;
}

static stretch row_of(const pri_windows *w, stretch s, int64_t r)
{
    const int64_t y = s.out_row * w->stride[0] - w->pad[0] + r * w->dilation[0];

    s.r = r;
    s.pixels = y < 0 || y >= w->height ? -1 : (s.image * w->height + y) * w->width * w->channels;
    return s;
}

PRI_CLONES static void gather_row(const pri_windows *w, float *rows, const float *images,
                                  const stretch *s)
{
    const int64_t part = w->kernel[1] * w->channels, reach = (w->kernel[1] - 1) * w->dilation[1];
    int64_t column = s->column * w->stride[1] - w->pad[1];

    rows += s->r * part;
    for (int64_t i = 0; i < s->count; i++, rows += w->row, column += w->stride[1]) {
        if (s->pixels < 0) {
            memset(rows, 0, (size_t)part * sizeof *rows);
        } else if (column >= 0 && column + reach < w->width && w->dilation[1] == 1) {
            copy(rows, images + s->pixels + column * w->channels, part);
        } else {
            const span at = span_of(w, s->column + i);
            gather_span(w, rows, images + s->pixels, &at);
        }
    }
}

void pri_windows_gather(const pri_windows *w, float *rows, const float *images, int64_t first,
                        int64_t count)
{
    for (int64_t i = 0; i < count;) {
        const stretch s = stretch_of(w, first + i, count - i);
        for (int64_t r = 0; r < w->kernel[0]; r++) {
            const stretch row = row_of(w, s, r);
            gather_row(w, rows + i * w->row, images, &row);
        }
        i += s.count;
    }
}

static void scatter_row(const pri_windows *w, float *images, const float *rows, const stretch *s)
{
    rows += s->r * w->kernel[1] * w->channels;
    for (int64_t i = 0; i < s->count && s->pixels >= 0; i++, rows += w->row) {
        const span at = span_of(w, s->column + i);
        if (at.first < at.end)
            scatter_span(w, images + s->pixels, rows, &at);
    }
}

void pri_windows_scatter(const pri_windows *w, float *images, const float *rows, int64_t first,
                         int64_t count)
{
    for (int64_t i = 0; i < count;) {
        const stretch s = stretch_of(w, first + i, count - i);
        for (int64_t r = 0; r < w->kernel[0]; r++) {
            const stretch row = row_of(w, s, r);
            scatter_row(w, images, rows + i * w->row, &row);
        }
        i += s.count;
    }
}

void pri_windows_clear(const pri_windows *w, float *images, int64_t image)
{
    const int64_t count = w->height * w->width * w->channels;

    memset(images + image * count, 0, (size_t)count * sizeof *images);
}

void pri_windows_arrange(const pri_windows *w, float *row, const float *weights, float factor)
{
    const int64_t taps = w->kernel[0] * w->kernel[1];

    for (int64_t t = 0; t < taps; t++) {
        for (int64_t c = 0; c < w->channels; c++)
            row[t * w->channels + c] = weights[c * taps + t] * factor;
    }
}
