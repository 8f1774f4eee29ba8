/* SPDX-License-Identifier: Apache-2.0 */
/*
 * augment.h - changes of one image and its mask, in place.
 *
 * Flips, shifts, brightness and contrast cost nothing where pixels are converted (batch.c); what is
 * here needs a copy of the image. Every draw is a function of seed, image number and purpose.
 */
#ifndef PRI_AUGMENT_H
#define PRI_AUGMENT_H

#include <pare/data.h>

#include "base/base.h"

/* A copy of an image to change; `spare` has the same size and takes turns with it. */
typedef struct pri_canvas {
    uint8_t *pixels, *spare;    /* height x width x channels */
    uint8_t *mask, *spare_mask; /* height x width; NULL: none */
    float *rows;                /* height x width x channels, scratch */
    float *column;              /* the longer side, scratch */
    int64_t height, width;
    int channels;
} pri_canvas;

/* What a number is drawn for; the changes of a policy take four each behind them. */
typedef enum pri_purpose {
    PRI_DRAW_VFLIP,
    PRI_DRAW_AREA,
    PRI_DRAW_RATIO,
    PRI_DRAW_CROP_Y,
    PRI_DRAW_CROP_X,
    PRI_DRAW_ROTATE,
    PRI_DRAW_SATURATION,
    PRI_DRAW_HUE,
    PRI_DRAW_GRAY,
    PRI_DRAW_BLUR,
    PRI_DRAW_HOLE_Y,
    PRI_DRAW_HOLE_X,
    PRI_DRAW_MIX_KIND,
    PRI_DRAW_MIX_PARTNER,
    PRI_DRAW_MIX_Y,
    PRI_DRAW_MIX_X,
    PRI_DRAW_POLICY = 32,
    PRI_DRAW_MIX_SHARE = 128, /* as many as are needed */
    PRI_DRAWS = 1024
} pri_purpose;

typedef struct pri_dice {
    uint64_t seed;
    int64_t number; /* of the image */
} pri_dice;

double pri_dice_unit(const pri_dice *dice, int purpose);                  /* [0, 1) */
int64_t pri_dice_below(const pri_dice *dice, int64_t bound, int purpose); /* 0 .. bound-1 */

/* --- Steps --- */

/* Where pixel (x, y) comes from, both counted from the middle of the image:
 * sx = xx * x + xy * y + x0, sy = yx * x + yy * y + y0. */
typedef struct pri_affine {
    double xx, xy, x0, yx, yy, y0;
} pri_affine;

/* Bilinear for pixels, the nearest value for masks; outside 0 and PARE_IGNORE. */
void pri_canvas_warp(pri_canvas *canvas, const pri_affine *from);
void pri_canvas_saturate(pri_canvas *canvas, float factor);
void pri_canvas_turn_hue(pri_canvas *canvas, float half_circles);
void pri_canvas_blur(pri_canvas *canvas, float sigma); /* Gaussian, borders repeated */
void pri_canvas_cut(pri_canvas *canvas, int64_t y, int64_t x, int64_t side); /* clipped */
/* Replaces every value by table[value]. */
void pri_canvas_map(pri_canvas *canvas, const uint8_t table[256]);
double pri_canvas_mean(const pri_canvas *canvas);
/* Change k of PRI_POLICY_CHANGES at `strength` 0 .. 1, `sign` +1 or -1. */
enum { PRI_POLICY_CHANGES = 14, PRI_POLICY_MOST = 16 };
void pri_canvas_policy(pri_canvas *canvas, int k, double strength, double sign);

/* --- All of them --- */

/* Whether an augmentation (may be NULL) asks for any of the above. */
bool pri_augment_needs_canvas(const pare_augment *augment);
void pri_augment_apply(pri_canvas *canvas, const pare_augment *augment, const pri_dice *dice);
/* PARE_ERROR_ARGUMENT for values outside their ranges. */
pare_status pri_augment_check(pare_context *ctx, const pare_augment *augment);
/* Mixes all values into a hash. */
uint64_t pri_augment_hash(uint64_t hash, const pare_augment *augment);

#endif
