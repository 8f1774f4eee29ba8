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
#include "data/data.h"

enum { DRAWS = 8, RANGE = 255 };

typedef struct change {
    int64_t dy, dx; /* source = target (mirrored) + this */
    bool flip;
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

static uint64_t mix(uint64_t x)
{
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* Adds sd times nearly normal numbers, number i a function of key and i: the sum of the eight bytes
 * of a hash (mean 1020, standard deviation 209.02, excess kurtosis -0.15), which costs a tenth of
 * Box-Muller. */
static void add_noise(float *out, int64_t step, int64_t count, float sd, uint64_t key)
{
    const uint64_t odd = UINT64_C(0x00ff00ff00ff00ff), golden = UINT64_C(0x9e3779b97f4a7c15);
    const float factor = sd / 209.02f;

    for (int64_t i = 0; i < count; i++) {
        const uint64_t bits = mix(key + (uint64_t)i * golden);
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
        const int64_t sy = y + c->dy;
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
                      mix(c->noise_key + (uint64_t)p.source));
    }
}

/* --- Masks --- */

static void write_mask(uint8_t *out, const uint8_t *mask, int64_t h, int64_t w, const change *c)
{
    const run r = find_run(c, w);

    memset(out, PARE_IGNORE, (size_t)(h * w));
    for (int64_t y = pri_max_i64(0, -c->dy); y < pri_min_i64(h, h - c->dy); y++) {
        const uint8_t *from = mask + (y + c->dy) * w + r.source;
        uint8_t *row = out + y * w + r.from;
        for (int64_t x = 0; x < r.to - r.from; x++)
            row[x] = from[x * r.step];
    }
}

void pri_data_batch(const pare_data *data, const pri_preprocess *preprocess, const int64_t *order,
                    int64_t count, const pare_augment *augment, uint64_t seed, float *out,
                    int32_t *labels, uint8_t *masks)
{
    const int64_t area = data->height * data->width, size = area * data->channels;

#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < count; n++) {
        const uint8_t *image = data->pixels + order[n] * size;
        const change c = draw_change(augment, seed, order[n], image, size);
        write_image(out + n * size, data, preprocess, image, &c);
        if (labels != NULL)
            labels[n] = data->labels != NULL ? data->labels[order[n]] : -1;
        if (masks != NULL && data->masks != NULL)
            write_mask(masks + n * area, data->masks + order[n] * area, data->height, data->width,
                       &c);
        else if (masks != NULL)
            memset(masks + n * area, PARE_IGNORE, (size_t)area);
    }
}
