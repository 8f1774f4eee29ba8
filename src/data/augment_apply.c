/* SPDX-License-Identifier: Apache-2.0 */
/* augment_apply.c - draws what happens to an image and does it. */
#include <math.h>

#include "base/random.h"
#include "data/augment.h"

/* Away from the draws of flips and shifts, which are older than the others (batch.c). */
static const uint64_t stream = PRI_STREAM_AUGMENT + (UINT64_C(1) << 32);

double pri_dice_unit(const pri_dice *dice, int purpose)
{
    return pri_random_unit(dice->seed, stream,
                           (uint64_t)dice->number * PRI_DRAWS + (uint64_t)purpose);
}

int64_t pri_dice_below(const pri_dice *dice, int64_t bound, int purpose)
{
    return pri_random_below(bound, dice->seed, stream,
                            (uint64_t)dice->number * PRI_DRAWS + (uint64_t)purpose);
}

/* Uniform in -1 .. 1. */
static double both_ways(const pri_dice *dice, int purpose)
{
    return 2 * pri_dice_unit(dice, purpose) - 1;
}

bool pri_augment_needs_canvas(const pare_augment *a)
{
    return a != NULL && (a->resized_crop > 0 || a->rotate > 0 || a->saturation > 0 || a->hue > 0 ||
                         a->grayscale > 0 || a->blur > 0 || a->cutout > 0 || a->policy_count > 0);
}

/* Crop with resize, and rotation, as one map: pixels are interpolated once. */
static void move(pri_canvas *c, const pare_augment *a, const pri_dice *dice)
{
    double scale_x = 1, scale_y = 1, x0 = 0, y0 = 0;

    if (a->resized_crop > 0) {
        const double area = 1 - (1 - a->resized_crop) * pri_dice_unit(dice, PRI_DRAW_AREA);
        const double ratio = exp(both_ways(dice, PRI_DRAW_RATIO) * log(4.0 / 3));
        scale_x = fmin(1, sqrt(area * ratio));
        scale_y = fmin(1, sqrt(area / ratio));
        x0 = both_ways(dice, PRI_DRAW_CROP_X) * (1 - scale_x) * (double)c->width / 2;
        y0 = both_ways(dice, PRI_DRAW_CROP_Y) * (1 - scale_y) * (double)c->height / 2;
    }
    const double angle =
        both_ways(dice, PRI_DRAW_ROTATE) * a->rotate * 3.14159265358979323846 / 180;
    pri_canvas_warp(c, &(pri_affine){.xx = cos(angle) * scale_x,
                                     .xy = -sin(angle) * scale_y,
                                     .x0 = x0,
                                     .yx = sin(angle) * scale_x,
                                     .yy = cos(angle) * scale_y,
                                     .y0 = y0});
}

static void apply_policy(pri_canvas *c, const pare_augment *a, const pri_dice *dice)
{
    for (int i = 0; i < a->policy_count && i < PRI_POLICY_MOST; i++) {
        const int at = PRI_DRAW_POLICY + 4 * i;
        const int k = (int)pri_dice_below(dice, PRI_POLICY_CHANGES, at);
        const double sign = pri_dice_unit(dice, at + 1) < 0.5 ? -1 : 1;
        pri_canvas_policy(c, k, a->policy_magnitude / 10.0, sign);
    }
}

static void change_colour(pri_canvas *c, const pare_augment *a, const pri_dice *dice)
{
    if (a->saturation > 0)
        pri_canvas_saturate(c, (float)(1 + both_ways(dice, PRI_DRAW_SATURATION) * a->saturation));
    if (a->hue > 0)
        pri_canvas_turn_hue(c, (float)(both_ways(dice, PRI_DRAW_HUE) * a->hue));
    if (a->grayscale > 0 && pri_dice_unit(dice, PRI_DRAW_GRAY) < a->grayscale)
        pri_canvas_saturate(c, 0);
}

void pri_augment_apply(pri_canvas *c, const pare_augment *a, const pri_dice *dice)
{
    if (a->resized_crop > 0 || a->rotate > 0)
        move(c, a, dice);
    apply_policy(c, a, dice);
    change_colour(c, a, dice);
    if (a->blur > 0)
        pri_canvas_blur(c, (float)(pri_dice_unit(dice, PRI_DRAW_BLUR) * a->blur));
    if (a->cutout > 0) {
        const int64_t shorter = pri_min_i64(c->height, c->width);
        const int64_t side = pri_max_i64(1, llround(a->cutout * (double)shorter));
        pri_canvas_cut(c, pri_dice_below(dice, c->height, PRI_DRAW_HOLE_Y) - side / 2,
                       pri_dice_below(dice, c->width, PRI_DRAW_HOLE_X) - side / 2, side);
    }
}
