/* SPDX-License-Identifier: Apache-2.0 */
/*
 * augment_policy.c - the fourteen changes of RandAugment (Cubuk et al. 2020).
 *
 * Strength 0 leaves the image as it is for all but the two that have none (autocontrast, equalize);
 * at strength 1 ranges are those of the paper's table: 30 degrees, shear 0.3, a shift of 0.33 of
 * the side, factors 0.1 and 1.9.
 */
#include <math.h>
#include <string.h>

#include "data/augment.h"

static const pri_affine still = {.xx = 1, .yy = 1};

static uint8_t to_byte(double value)
{
    return value <= 0 ? 0 : value >= 255 ? 255 : (uint8_t)(value + 0.5);
}

static void do_nothing(pri_canvas *c, double strength, double sign)
{
    (void)c;
    (void)strength;
    (void)sign;
}

/* --- Geometry --- */

static void rotate(pri_canvas *c, double strength, double sign)
{
    const double angle = sign * strength * 3.14159265358979323846 / 6;

    pri_canvas_warp(
        c, &(pri_affine){.xx = cos(angle), .xy = -sin(angle), .yx = sin(angle), .yy = cos(angle)});
}

static void shear_x(pri_canvas *c, double strength, double sign)
{
    pri_affine f = still;

    f.xy = sign * strength * 0.3;
    pri_canvas_warp(c, &f);
}

static void shear_y(pri_canvas *c, double strength, double sign)
{
    pri_affine f = still;

    f.yx = sign * strength * 0.3;
    pri_canvas_warp(c, &f);
}

static void shift_x(pri_canvas *c, double strength, double sign)
{
    pri_affine f = still;

    f.x0 = round(sign * strength * 0.33 * (double)c->width);
    pri_canvas_warp(c, &f);
}

static void shift_y(pri_canvas *c, double strength, double sign)
{
    pri_affine f = still;

    f.y0 = round(sign * strength * 0.33 * (double)c->height);
    pri_canvas_warp(c, &f);
}

/* --- Colour --- */

static void saturate(pri_canvas *c, double strength, double sign)
{
    pri_canvas_saturate(c, (float)(1 + sign * 0.9 * strength));
}

static void contrast(pri_canvas *c, double strength, double sign)
{
    const double factor = 1 + sign * 0.9 * strength, mean = pri_canvas_mean(c);
    uint8_t table[256];

    for (int v = 0; v < 256; v++)
        table[v] = to_byte(mean + factor * (v - mean));
    pri_canvas_map(c, table);
}

static void brightness(pri_canvas *c, double strength, double sign)
{
    uint8_t table[256];

    for (int v = 0; v < 256; v++)
        table[v] = to_byte(v * (1 + sign * 0.9 * strength));
    pri_canvas_map(c, table);
}

/* Away from (or towards) a blurred copy. */
static void sharpen(pri_canvas *c, double strength, double sign)
{
    const int64_t size = c->height * c->width * c->channels;

    memcpy(c->spare, c->pixels, (size_t)size);
    pri_canvas_blur(c, 1);
    for (int64_t i = 0; i < size; i++)
        c->pixels[i] =
            to_byte(c->pixels[i] + (1 + sign * 0.9 * strength) * (c->spare[i] - c->pixels[i]));
}

static void posterize(pri_canvas *c, double strength, double sign)
{
    const int lost = (int)lround(4 * strength);
    uint8_t table[256];

    (void)sign;
    for (int v = 0; v < 256; v++)
        table[v] = (uint8_t)(v >> lost << lost);
    pri_canvas_map(c, table);
}

static void solarize(pri_canvas *c, double strength, double sign)
{
    const double threshold = 256 * (1 - strength);
    uint8_t table[256];

    (void)sign;
    for (int v = 0; v < 256; v++)
        table[v] = (uint8_t)(v < threshold ? v : 255 - v);
    pri_canvas_map(c, table);
}

/* --- Histogram --- */

static void count_values(int64_t counts[256], const pri_canvas *c, int channel)
{
    memset(counts, 0, 256 * sizeof *counts);
    for (int64_t p = 0; p < c->height * c->width; p++)
        counts[c->pixels[p * c->channels + channel]]++;
}

static void map_channel(pri_canvas *c, int channel, const uint8_t table[256])
{
    for (int64_t p = 0; p < c->height * c->width; p++) {
        uint8_t *value = &c->pixels[p * c->channels + channel];
        *value = table[*value];
    }
}

static void stretch(pri_canvas *c, double strength, double sign)
{
    int64_t counts[256];
    uint8_t table[256];

    (void)strength;
    (void)sign;
    for (int k = 0; k < c->channels; k++) {
        int low = 0, high = 255;
        count_values(counts, c, k);
        while (low < 255 && counts[low] == 0)
            low++;
        while (high > 0 && counts[high] == 0)
            high--;
        for (int v = 0; v < 256; v++)
            table[v] = high > low ? to_byte((v - low) * 255.0 / (high - low)) : (uint8_t)v;
        map_channel(c, k, table);
    }
}

static void equalize(pri_canvas *c, double strength, double sign)
{
    int64_t counts[256];
    uint8_t table[256];

    (void)strength;
    (void)sign;
    for (int k = 0; k < c->channels; k++) {
        int64_t below = 0, first = 0;
        count_values(counts, c, k);
        while (first < 255 && counts[first] == 0)
            first++;
        const int64_t rest = c->height * c->width - counts[first];
        for (int v = 0; v < 256; v++) {
            below += v > first ? counts[v] : 0;
            table[v] = rest > 0 ? to_byte(255.0 * (double)below / (double)rest) : (uint8_t)v;
        }
        map_channel(c, k, table);
    }
}

void pri_canvas_policy(pri_canvas *c, int k, double strength, double sign)
{
    static void (*const changes[PRI_POLICY_CHANGES])(pri_canvas *, double, double) = {
        do_nothing, rotate,     shear_x, shear_y,   shift_x,  shift_y, saturate,
        contrast,   brightness, sharpen, posterize, solarize, stretch, equalize};

    changes[k](c, strength, sign);
}
