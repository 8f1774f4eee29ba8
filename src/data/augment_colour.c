/* SPDX-License-Identifier: Apache-2.0 */
/* augment_colour.c - colour, blur and holes. */
#include <math.h>
#include <string.h>

#include "data/augment.h"

enum { MOST_TAPS = 64 };

static uint8_t to_byte(float value)
{
    return value <= 0 ? 0 : value >= 255 ? 255 : (uint8_t)(value + 0.5f);
}

static float luma(const uint8_t *rgb)
{
    return 0.299f * rgb[0] + 0.587f * rgb[1] + 0.114f * rgb[2];
}

void pri_canvas_saturate(pri_canvas *c, float factor)
{
    const int64_t area = c->height * c->width;

    for (int64_t p = 0; p < area && c->channels == 3; p++) {
        uint8_t *rgb = c->pixels + 3 * p;
        const float gray = luma(rgb);
        for (int k = 0; k < 3; k++)
            rgb[k] = to_byte(gray + factor * (rgb[k] - gray));
    }
}

/* A turn of the plane of colour differences (I, Q) of YIQ, with luma as it was. */
void pri_canvas_turn_hue(pri_canvas *c, float half_circles)
{
    const double angle = half_circles * 3.14159265358979323846;
    const float cosine = (float)cos(angle), sine = (float)sin(angle);
    const int64_t area = c->height * c->width;

    for (int64_t p = 0; p < area && c->channels == 3; p++) {
        uint8_t *rgb = c->pixels + 3 * p;
        const float y = luma(rgb);
        const float i = 0.5959f * rgb[0] - 0.2746f * rgb[1] - 0.3213f * rgb[2];
        const float q = 0.2115f * rgb[0] - 0.5227f * rgb[1] + 0.3112f * rgb[2];
        const float turned_i = cosine * i - sine * q, turned_q = sine * i + cosine * q;
        rgb[0] = to_byte(y + 0.956f * turned_i + 0.619f * turned_q);
        rgb[1] = to_byte(y - 0.272f * turned_i - 0.647f * turned_q);
        rgb[2] = to_byte(y - 1.106f * turned_i + 1.703f * turned_q);
    }
}

/* One line of `length` values, `step` apart. */
static void blur_line(float *out, const float *in, int64_t length, int64_t step,
                      const float *weights, int reach)
{
    for (int64_t x = 0; x < length; x++) {
        float sum = weights[0] * in[x * step];
        for (int t = 1; t <= reach; t++) {
            const int64_t before = pri_max_i64(0, x - t), after = pri_min_i64(length - 1, x + t);
            sum += weights[t] * (in[before * step] + in[after * step]);
        }
        out[x] = sum;
    }
}

void pri_canvas_blur(pri_canvas *c, float sigma)
{
    const int64_t row = c->width * c->channels, size = c->height * row;
    const int reach = (int)fmin(ceil(3.0 * (double)sigma), MOST_TAPS - 1);
    float weights[MOST_TAPS], sum = 0;

    if (!(sigma > 0.05f))
        return;
    for (int t = 0; t <= reach; t++) {
        weights[t] = expf(-0.5f * (float)(t * t) / (sigma * sigma));
        sum += t == 0 ? weights[t] : 2 * weights[t];
    }
    for (int t = 0; t <= reach; t++)
        weights[t] /= sum;
    for (int64_t i = 0; i < size; i++)
        c->rows[i] = c->pixels[i];
    for (int64_t y = 0; y < c->height; y++) {
        for (int k = 0; k < c->channels; k++) {
            float *out = c->column;
            blur_line(out, c->rows + y * row + k, c->width, c->channels, weights, reach);
            for (int64_t x = 0; x < c->width; x++)
                c->rows[y * row + x * c->channels + k] = out[x];
        }
    }
    for (int64_t i = 0; i < row; i++) {
        blur_line(c->column, c->rows + i, c->height, row, weights, reach);
        for (int64_t y = 0; y < c->height; y++)
            c->pixels[y * row + i] = to_byte(c->column[y]);
    }
}

void pri_canvas_cut(pri_canvas *c, int64_t y, int64_t x, int64_t side)
{
    const int64_t top = pri_max_i64(0, y), bottom = pri_min_i64(c->height, y + side);
    const int64_t left = pri_max_i64(0, x), right = pri_min_i64(c->width, x + side);

    for (int64_t row = top; row < bottom && left < right; row++) {
        const int64_t at = row * c->width + left;
        memset(c->pixels + at * c->channels, 0, (size_t)((right - left) * c->channels));
        if (c->mask != NULL)
            memset(c->mask + at, PARE_IGNORE, (size_t)(right - left));
    }
}

void pri_canvas_map(pri_canvas *c, const uint8_t table[256])
{
    const int64_t size = c->height * c->width * c->channels;

    for (int64_t i = 0; i < size; i++)
        c->pixels[i] = table[c->pixels[i]];
}

double pri_canvas_mean(const pri_canvas *c)
{
    const int64_t size = c->height * c->width * c->channels;
    int64_t sum = 0;

    for (int64_t i = 0; i < size; i++)
        sum += c->pixels[i];
    return (double)sum / (double)size;
}
