/* SPDX-License-Identifier: Apache-2.0 */
/* augment_warp.c - moves pixels and mask of an image by one affine map. */
#include <math.h>
#include <string.h>

#include "data/augment.h"

typedef struct spot {
    double x, y; /* in the source, pixel centres at whole numbers */
} spot;

static spot find_spot(const pri_affine *f, double x, double y, double half_x, double half_y)
{
    return (spot){f->xx * (x - half_x) + f->xy * (y - half_y) + f->x0 + half_x,
                  f->yx * (x - half_x) + f->yy * (y - half_y) + f->y0 + half_y};
}

/* Positions up to half a pixel beyond the outermost centres lie inside. */
static bool is_inside(spot s, int64_t height, int64_t width)
{
    return s.x >= -0.5 && s.y >= -0.5 && s.x < (double)width - 0.5 && s.y < (double)height - 0.5;
}

static int64_t clamp(int64_t value, int64_t below)
{
    return pri_max_i64(0, pri_min_i64(value, below - 1));
}

static void blend(uint8_t *out, const pri_canvas *c, spot s)
{
    const double fx = floor(s.x), fy = floor(s.y);
    const float dx = (float)(s.x - fx), dy = (float)(s.y - fy);
    const int64_t x0 = clamp((int64_t)fx, c->width), x1 = clamp((int64_t)fx + 1, c->width);
    const int64_t y0 = clamp((int64_t)fy, c->height), y1 = clamp((int64_t)fy + 1, c->height);

    for (int k = 0; k < c->channels; k++) {
        const float a = c->pixels[(y0 * c->width + x0) * c->channels + k];
        const float b = c->pixels[(y0 * c->width + x1) * c->channels + k];
        const float d = c->pixels[(y1 * c->width + x0) * c->channels + k];
        const float e = c->pixels[(y1 * c->width + x1) * c->channels + k];
        const float top = a + (b - a) * dx, bottom = d + (e - d) * dx;
        out[k] = (uint8_t)(top + (bottom - top) * dy + 0.5f);
    }
}

static void swap(uint8_t **a, uint8_t **b)
{
    uint8_t *kept = *a;

    *a = *b;
    *b = kept;
}

void pri_canvas_warp(pri_canvas *c, const pri_affine *from)
{
    const double half_x = (double)(c->width - 1) / 2, half_y = (double)(c->height - 1) / 2;

    for (int64_t y = 0; y < c->height; y++) {
        for (int64_t x = 0; x < c->width; x++) {
            const spot s = find_spot(from, (double)x, (double)y, half_x, half_y);
            const int64_t at = y * c->width + x;
            const bool inside = is_inside(s, c->height, c->width);
            if (inside)
                blend(c->spare + at * c->channels, c, s);
            else
                memset(c->spare + at * c->channels, 0, (size_t)c->channels);
            if (c->mask == NULL)
                continue;
            const int64_t near = clamp((int64_t)floor(s.y + 0.5), c->height) * c->width +
                                 clamp((int64_t)floor(s.x + 0.5), c->width);
            c->spare_mask[at] = inside ? c->mask[near] : PARE_IGNORE;
        }
    }
    swap(&c->pixels, &c->spare);
    if (c->mask != NULL)
        swap(&c->mask, &c->spare_mask);
}
