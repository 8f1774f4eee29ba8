/* SPDX-License-Identifier: Apache-2.0 */
/*
 * batch.c - images as an engine's input, with random changes.
 *
 * Geometry (shift, flip) decides for each row which run of the source it takes, so the loops over
 * pixels have no branches; colour is one multiplication and one addition, folded into the
 * normalisation. x = ((p * gain + offset) / scale - mean) / std for a pixel p, and p = 0 outside
 * the image.
 */
#include <string.h>

#include "base/random.h"
#include "data/batch.h"
#include "data/store.h"

enum { DRAWS = 8, RANGE = 255 };

typedef struct change {
    int64_t dy, dx; /* source = target (mirrored) + this */
    bool flip, vflip;
    float gain, offset; /* pixel * gain + offset */
    float noise;        /* standard deviation in pixel values */
    uint64_t noise_key;
} change;

/* The run of a row that comes from inside the image, and where it begins there. */
typedef struct run {
    int64_t from, to; /* in the target; empty when from == to */
    int64_t source;   /* column of the pixel for `from` */
    int64_t step;     /* 1, or -1 when mirrored */
} run;

static double mean_of(const uint8_t *image, int64_t size)
{
    int64_t sum = 0;

    for (int64_t i = 0; i < size; i++)
        sum += image[i];
    return (double)sum / (double)size;
}

static change draw_change(const pare_augment *augment, uint64_t seed, int64_t number,
                          const uint8_t *image, int64_t size)
{
    const uint64_t at = (uint64_t)number * DRAWS;
    change c = {.gain = 1};

    if (augment == NULL)
        return c;
    if (augment->crop > 0) {
        const int64_t span = 2 * (int64_t)augment->crop + 1;
        c.dy = pri_random_below(span, seed, PRI_STREAM_AUGMENT, at) - augment->crop;
        c.dx = pri_random_below(span, seed, PRI_STREAM_AUGMENT, at + 1) - augment->crop;
    }
    c.vflip = augment->vflip && pri_dice_unit(&(pri_dice){seed, number}, PRI_DRAW_VFLIP) < 0.5;
    c.flip = augment->flip && (pri_random_bits(seed, PRI_STREAM_AUGMENT, at + 2) & 1) != 0;
    if (augment->brightness > 0) {
        const double u = 2 * pri_random_unit(seed, PRI_STREAM_AUGMENT, at + 3) - 1;
        c.offset = (float)(u * augment->brightness * RANGE);
    }
    if (augment->contrast > 0) {
        const double u = 2 * pri_random_unit(seed, PRI_STREAM_AUGMENT, at + 4) - 1;
        c.gain = (float)(1 + u * augment->contrast);
        c.offset += (float)((1 - (double)c.gain) * mean_of(image, size));
    }
    if (augment->noise > 0) {
        c.noise = augment->noise * RANGE;
        c.noise_key = pri_random_bits(seed, PRI_STREAM_AUGMENT, at + 5);
    }
    return c;
}

/* The row of the source a row of the target comes from; outside: < 0 or >= height. */
static int64_t find_row(const change *c, int64_t y, int64_t height)
{
    return (c->vflip ? height - 1 - y : y) + c->dy;
}

static run find_run(const change *c, int64_t width)
{
    const int64_t shift = c->flip ? -c->dx : c->dx;
    run r = {.step = c->flip ? -1 : 1};

    r.from = pri_min_i64(pri_max_i64(0, -shift), width);
    r.to = pri_max_i64(pri_min_i64(width, width - shift), r.from);
    r.source = (c->flip ? width - 1 - r.from : r.from) + c->dx;
    return r;
}

/* --- Pixels --- */

static inline void convert(float *out, int64_t out_step, const uint8_t *in, int64_t in_step,
                           int64_t count, float a, float b)
{
    for (int64_t i = 0; i < count; i++)
        out[i * out_step] = (float)in[i * in_step] * a + b;
}

/* The same with steps the compiler knows where these are common. */
static void convert_row(float *out, int64_t out_step, const uint8_t *in, int64_t in_step,
                        int64_t count, float a, float b)
{
    if (out_step == 1 && in_step == 3)
        convert(out, 1, in, 3, count, a, b);
    else if (out_step == 1 && in_step == -3)
        convert(out, 1, in, -3, count, a, b);
    else if (out_step == 1 && in_step == 1)
        convert(out, 1, in, 1, count, a, b);
    else
        convert(out, out_step, in, in_step, count, a, b);
}

static void fill(float *out, int64_t step, int64_t count, float value)
{
    for (int64_t i = 0; i < count; i++)
        out[i * step] = value;
}

/* Adds sd times nearly normal numbers, number i a function of key and i: the sum of the eight bytes
 * of a hash (mean 1020, standard deviation 209.02, excess kurtosis -0.15), which costs a tenth of
 * Box-Muller. */
static void add_noise(float *out, int64_t step, int64_t count, float sd, uint64_t key)
{
    const uint64_t odd = UINT64_C(0x00ff00ff00ff00ff), golden = UINT64_C(0x9e3779b97f4a7c15);
    const float factor = sd / 209.02f;

    for (int64_t i = 0; i < count; i++) {
        const uint64_t bits = pri_random_mix(key + (uint64_t)i * golden);
        const uint64_t pairs = (bits & odd) + ((bits >> 8) & odd);
        const uint64_t sum = (pairs * UINT64_C(0x0001000100010001)) >> 48;
        out[i * step] += ((float)(int32_t)sum - 1020) * factor;
    }
}

typedef struct plane {
    float *out;
    int64_t step;     /* floats between pixels */
    int64_t source;   /* channel in the image */
    int64_t channels; /* of the image */
    float a, b;       /* x = pixel * a + b */
} plane;

static void write_plane(const plane *p, const pare_data *data, const uint8_t *image,
                        const change *c, const run *r)
{
    const int64_t h = data->height, w = data->width;

    for (int64_t y = 0; y < h; y++) {
        const int64_t sy = find_row(c, y, h);
        float *row = p->out + y * w * p->step;
        if (sy < 0 || sy >= h || r->from == r->to) {
            fill(row, p->step, w, p->b);
            continue;
        }
        fill(row, p->step, r->from, p->b);
        convert_row(row + r->from * p->step, p->step,
                    image + (sy * w + r->source) * p->channels + p->source, r->step * p->channels,
                    r->to - r->from, p->a, p->b);
        fill(row + r->to * p->step, p->step, w - r->to, p->b);
    }
}

static void write_image(float *out, const pare_data *data, const pri_preprocess *pre,
                        const uint8_t *image, const change *c)
{
    const int64_t area = data->height * data->width, channels = data->channels;
    const run r = find_run(c, data->width);

    for (int64_t k = 0; k < channels; k++) {
        const float scale = pre->scale, std = pre->std[k], mean = pre->mean[k];
        const plane p = {.out = out + (pre->is_nhwc ? k : k * area),
                         .step = pre->is_nhwc ? channels : 1,
                         .source = pre->is_bgr && channels == 3 ? 2 - k : k,
                         .channels = channels,
                         .a = c->gain / (scale * std),
                         .b = (c->offset / scale - mean) / std};
        write_plane(&p, data, image, c, &r);
        if (c->noise > 0)
            add_noise(p.out, p.step, area, c->noise / (scale * std),
                      pri_random_mix(c->noise_key + (uint64_t)p.source));
    }
}

/* --- Masks --- */

static void write_mask(uint8_t *out, const uint8_t *mask, int64_t h, int64_t w, const change *c)
{
    const run r = find_run(c, w);

    memset(out, PARE_IGNORE, (size_t)(h * w));
    for (int64_t y = 0; y < h; y++) {
        const int64_t sy = find_row(c, y, h);
        if (sy < 0 || sy >= h)
            continue;
        const uint8_t *from = mask + sy * w + r.source;
        uint8_t *row = out + y * w + r.from;
        for (int64_t x = 0; x < r.to - r.from; x++)
            row[x] = from[x * r.step];
    }
}

/* --- Rooms --- */

void pri_room_clear(pri_room *room)
{
    pri_canvas *c = &room->canvas;

    pri_image_clear(&room->decoded);
    pri_free(c->pixels);
    pri_free(c->spare);
    pri_free(c->mask);
    pri_free(c->spare_mask);
    pri_free(c->rows);
    pri_free(c->column);
    pri_free(room->other);
    pri_free(room->other_mask);
    pare_context_free(room->ctx);
    *room = (pri_room){0};
}

static bool does_mix(const pare_augment *augment)
{
    return augment != NULL && (augment->mixup > 0 || augment->cutmix > 0);
}

static pare_status make_canvas(pri_room *room, const pare_data *data)
{
    pri_canvas *c = &room->canvas;
    const size_t area = (size_t)(data->height * data->width), channels = (size_t)data->channels;

    *c =
        (pri_canvas){.height = data->height, .width = data->width, .channels = (int)data->channels};
    c->pixels = pri_alloc(room->ctx, area, channels);
    c->spare = pri_alloc(room->ctx, area, channels);
    c->rows = pri_alloc(room->ctx, area, channels * sizeof *c->rows);
    c->column =
        pri_alloc(room->ctx, (size_t)pri_max_i64(data->height, data->width), sizeof *c->column);
    if (data->masks != NULL) {
        c->mask = pri_alloc(room->ctx, area, 1);
        c->spare_mask = pri_alloc(room->ctx, area, 1);
    }
    const bool is_whole = c->pixels != NULL && c->spare != NULL && c->rows != NULL &&
                          c->column != NULL &&
                          (data->masks == NULL || (c->mask != NULL && c->spare_mask != NULL));
    return is_whole ? PARE_OK : PARE_ERROR_MEMORY;
}

pare_status pri_room_open(pri_room *room, const pri_batch_job *job)
{
    const pare_data *data = job->data;
    const size_t area = (size_t)(data->height * data->width);

    if (room->ctx != NULL)
        return PARE_OK;
    PRI_TRY(pare_context_new(&room->ctx));
    if (pri_augment_needs_canvas(job->augment))
        PRI_TRY(make_canvas(room, data));
    if (!does_mix(job->augment))
        return PARE_OK;
    room->other = pri_alloc(room->ctx, area, (size_t)data->channels * sizeof *room->other);
    room->other_mask = pri_alloc(room->ctx, area, 1);
    return room->other != NULL && room->other_mask != NULL ? PARE_OK : PARE_ERROR_MEMORY;
}

/* --- Batches --- */

pare_status pri_batch_write_one(float *out, uint8_t *mask_out, const pri_batch_job *job,
                                int64_t number, pri_room *room)
{
    const pare_data *data = job->data;
    const int64_t area = data->height * data->width, size = area * data->channels;
    const uint8_t *image = pri_data_image(data, number, &room->decoded, room->ctx);
    const uint8_t *mask = data->masks != NULL ? data->masks + number * area : NULL;

    if (image == NULL)
        return PARE_ERROR_DATA;
    if (pri_augment_needs_canvas(job->augment)) {
        pri_canvas *c = &room->canvas;
        memcpy(c->pixels, image, (size_t)size);
        if (mask != NULL)
            memcpy(c->mask, mask, (size_t)area);
        pri_augment_apply(c, job->augment, &(pri_dice){job->seed, number});
        image = c->pixels;
        mask = c->mask;
    }
    const change c = draw_change(job->augment, job->seed, number, image, size);
    write_image(out, data, job->preprocess, image, &c);
    if (mask_out != NULL && mask != NULL)
        write_mask(mask_out, mask, data->height, data->width, &c);
    else if (mask_out != NULL)
        memset(mask_out, PARE_IGNORE, (size_t)area);
    return PARE_OK;
}

pare_status pri_batch_write(const pri_batch *out, int64_t at, const pri_batch_job *job,
                            int64_t number, pri_room *room)
{
    const pare_data *data = job->data;
    const int64_t area = data->height * data->width;

    if (pri_augment_needs_canvas(job->augment) || does_mix(job->augment) || data->store != NULL)
        PRI_TRY(pri_room_open(room, job));
    PRI_TRY(pri_batch_write_one(out->images + at * area * data->channels,
                                out->masks != NULL ? out->masks + at * area : NULL, job, number,
                                room));
    if (out->labels != NULL)
        out->labels[at] = data->labels != NULL ? data->labels[number] : -1;
    if (does_mix(job->augment))
        return pri_batch_mix(out, at, job, number, room);
    if (out->labels2 != NULL)
        out->labels2[at] = -1;
    if (out->weights != NULL)
        out->weights[at] = 1;
    if (out->masks2 != NULL && out->masks != NULL)
        memcpy(out->masks2 + at * area, out->masks + at * area, (size_t)area);
    return PARE_OK;
}

pare_status pri_data_batch(const pare_data *data, const pri_preprocess *preprocess,
                           const int64_t *order, int64_t count, const pare_augment *augment,
                           uint64_t seed, float *out, int32_t *labels, uint8_t *masks)
{
    const pri_batch batch = {.images = out, .labels = labels, .masks = masks};
    const pri_batch_job job = {data, preprocess, augment, seed};
    pare_status status = PARE_OK;
    int64_t failed = count; /* the first image that failed, whichever thread had it */

#pragma omp parallel
    {
        pri_room room = {0};
#pragma omp for schedule(static)
        for (int64_t n = 0; n < count; n++) {
            const pare_status got = pri_batch_write(&batch, n, &job, order[n], &room);
            if (got == PARE_OK)
                continue;
#pragma omp critical(pri_batch_failure)
            if (n < failed) {
                failed = n;
                status = pri_fail(data->ctx, got, "%s",
                                  room.ctx != NULL ? pare_context_message(room.ctx)
                                                   : "out of memory: making a batch");
            }
        }
        pri_room_clear(&room);
    }
    return status;
}
