/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mix.c - mixup and cutmix.
 *
 * The other image is drawn from the whole set, not from the batch, and has the changes it has in
 * this epoch anyway, so that a blended image is a function of seed and number alone.
 */
#include <math.h>
#include <string.h>

#include "data/batch.h"

enum { MOST_TRIES = 256 };

/* Beta(alpha, alpha), alpha in (0, 1], by Joehnk's method: two powers of uniform numbers whose sum
 * is at most 1, which is so in at least every second try. */
static double draw_share(double alpha, const pri_dice *dice)
{
    for (int i = 0; i < MOST_TRIES; i++) {
        const double u = pow(pri_dice_unit(dice, PRI_DRAW_MIX_SHARE + 2 * i), 1 / alpha);
        const double v = pow(pri_dice_unit(dice, PRI_DRAW_MIX_SHARE + 2 * i + 1), 1 / alpha);
        if (u + v <= 1 && u + v > 0)
            return u / (u + v);
    }
    return 1;
}

/* A rectangle of about 1 - share of the area round a random middle. */
static pri_box draw_box(double share, const pare_data *data, const pri_dice *dice)
{
    const double cut = sqrt(1 - share);
    const int64_t h = llround(cut * (double)data->height), w = llround(cut * (double)data->width);
    const int64_t y = pri_dice_below(dice, data->height, PRI_DRAW_MIX_Y) - h / 2;
    const int64_t x = pri_dice_below(dice, data->width, PRI_DRAW_MIX_X) - w / 2;
    const int64_t top = pri_max_i64(0, y), left = pri_max_i64(0, x);

    return (pri_box){.y = top,
                     .x = left,
                     .height = pri_min_i64(data->height, y + h) - top,
                     .width = pri_min_i64(data->width, x + w) - left};
}

static void paste(float *to, const float *from, const pri_box *box, const pare_data *data,
                  bool is_nhwc)
{
    const int64_t planes = is_nhwc ? 1 : data->channels, step = is_nhwc ? data->channels : 1;

    for (int64_t k = 0; k < planes; k++) {
        for (int64_t y = box->y; y < box->y + box->height && box->width > 0; y++) {
            const int64_t first = ((k * data->height + y) * data->width + box->x) * step;
            memcpy(to + first, from + first, (size_t)(box->width * step) * sizeof *to);
        }
    }
}

static void paste_mask(uint8_t *to, const uint8_t *from, const pri_box *box, int64_t width)
{
    for (int64_t y = box->y; y < box->y + box->height && box->width > 0; y++)
        memcpy(to + y * width + box->x, from + y * width + box->x, (size_t)box->width);
}

pare_status pri_batch_mix(const pri_batch *out, int64_t at, const pri_batch_job *job,
                          int64_t number, pri_room *room)
{
    const pare_data *data = job->data;
    const pare_augment *a = job->augment;
    const pri_dice dice = {job->seed, number};
    const bool is_cut =
        a->cutmix > 0 && (a->mixup <= 0 || pri_dice_unit(&dice, PRI_DRAW_MIX_KIND) < 0.5);
    const int64_t other = pri_dice_below(&dice, data->count, PRI_DRAW_MIX_PARTNER);
    const int64_t area = data->height * data->width, size = area * data->channels;
    float *image = out->images + at * size;
    double share = draw_share(is_cut ? (double)a->cutmix : (double)a->mixup, &dice);

    PRI_TRY(pri_batch_write_one(room->other, data->masks != NULL ? room->other_mask : NULL, job,
                                other, room));
    if (is_cut) {
        const pri_box box = draw_box(share, data, &dice);
        paste(image, room->other, &box, data, job->preprocess->is_nhwc);
        if (out->masks != NULL && data->masks != NULL)
            paste_mask(out->masks + at * area, room->other_mask, &box, data->width);
        share = 1 - (double)(pri_max_i64(box.height, 0) * pri_max_i64(box.width, 0)) / (double)area;
    } else {
        for (int64_t i = 0; i < size; i++)
            image[i] = (float)share * image[i] + (float)(1 - share) * room->other[i];
    }
    if (out->masks2 != NULL && data->masks != NULL)
        memcpy(out->masks2 + at * area, is_cut ? out->masks + at * area : room->other_mask,
               (size_t)area);
    if (out->labels2 != NULL)
        out->labels2[at] = data->labels != NULL ? data->labels[other] : -1;
    if (out->weights != NULL)
        out->weights[at] = (float)share;
    return PARE_OK;
}
