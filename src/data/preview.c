/* SPDX-License-Identifier: Apache-2.0 */
/* preview.c - pare_data_preview: the first images of an epoch on one sheet. */
#include "data/preview.h"

#include <string.h>

#include "base/file.h"
#include "base/random.h"

enum { DEFAULT_COUNT = 48, MOST_IMAGES = 4096, WANTED_SIDE = 128, GAP = 4, MOST_WIDTH = 1600 };
static const int64_t most_sheet_pixels = INT64_C(1) << 27;

/* Class 0 is left as it is, an ignored pixel is white. */
static void shade(uint8_t rgb[3], int class)
{
    uint8_t colour[3] = {255, 255, 255};

    if (class == 0)
        return;
    if (class != PARE_IGNORE)
        pri_class_colour(colour, class);
    for (int c = 0; c < 3; c++)
        rgb[c] =
            (uint8_t)((colour[c] * PRI_PREVIEW_SHADE + rgb[c] * (255 - PRI_PREVIEW_SHADE)) / 255);
}

void pri_sheet_draw(uint8_t *out, int64_t row, const pri_sheet *s, int64_t n, bool with_mask)
{
    const int64_t h = s->data->height, w = s->data->width;
    const uint8_t *pixels = s->pixels + n * h * w * 3;

    for (int64_t y = 0; y < h * s->zoom; y++) {
        for (int64_t x = 0; x < w * s->zoom; x++) {
            const int64_t p = y / s->zoom * w + x / s->zoom;
            uint8_t *to = out + (y * row + x) * 3;
            memcpy(to, pixels + 3 * p, 3);
            if (with_mask)
                shade(to, s->batch.masks[n * h * w + p]);
        }
    }
}

/* --- Images --- */

static pare_status allocate(pri_sheet *s)
{
    const size_t area = (size_t)(s->data->height * s->data->width), n = (size_t)s->count;
    pri_batch *b = &s->batch;

    s->pixels = pri_alloc(s->ctx, n, 3 * area);
    s->order = pri_alloc(s->ctx, (size_t)s->data->count, sizeof *s->order);
    b->images = pri_alloc(s->ctx, n, area * (size_t)s->data->channels * sizeof *b->images);
    b->labels = pri_alloc(s->ctx, n, sizeof *b->labels);
    b->labels2 = pri_alloc(s->ctx, n, sizeof *b->labels2);
    b->weights = pri_alloc(s->ctx, n, sizeof *b->weights);
    const bool is_whole = s->pixels != NULL && s->order != NULL && b->images != NULL &&
                          b->labels != NULL && b->labels2 != NULL && b->weights != NULL;
    if (!is_whole)
        return PARE_ERROR_MEMORY;
    if (s->data->masks == NULL)
        return PARE_OK;
    b->masks = pri_alloc(s->ctx, n, area);
    return b->masks != NULL ? PARE_OK : PARE_ERROR_MEMORY;
}

static void clear(pri_sheet *s)
{
    pri_free(s->pixels);
    pri_free(s->order);
    pri_free(s->batch.images);
    pri_free(s->batch.labels);
    pri_free(s->batch.labels2);
    pri_free(s->batch.weights);
    pri_free(s->batch.masks);
}

static pare_status write_images(const pri_sheet *s, const pri_batch_job *job, pri_room *room)
{
    for (int64_t n = 0; n < s->count; n++) {
        PRI_TRY(pri_check_cancel(s->ctx, "making a preview"));
        const pare_status status = pri_batch_write(&s->batch, n, job, s->order[n], room);
        if (status != PARE_OK)
            return pri_fail(s->ctx, status, "%s",
                            room->ctx != NULL ? pare_context_message(room->ctx) : "out of memory");
    }
    return PARE_OK;
}

/* The images of the first steps of a training with this seed (train/trainer.c). */
static pare_status make_images(pri_sheet *s, const pare_preview_options *o)
{
    const pri_preprocess plain = {.scale = 1, .std = {1, 1, 1, 1}, .is_nhwc = true};
    const int64_t channels = s->data->channels;
    const int64_t total = s->count * s->data->height * s->data->width;
    const pri_batch_job job = {s->data, &plain, &o->augment,
                               pri_random_bits(o->seed, PRI_STREAM_AUGMENT, 0)};
    pri_room room = {0};

    pri_random_permutation(s->order, s->data->count, o->seed, PRI_STREAM_SHUFFLE);
    const pare_status status = write_images(s, &job, &room);
    pri_room_clear(&room);
    PRI_TRY(status);
    for (int64_t p = 0; p < total; p++) {
        for (int c = 0; c < 3; c++) {
            const float x = s->batch.images[p * channels + (channels == 3 ? c : 0)];
            s->pixels[3 * p + c] = (uint8_t)(x <= 0 ? 0 : x >= 255 ? 255 : x + 0.5f);
        }
    }
    return PARE_OK;
}

/* --- PNG --- */

static pare_status write_png(const pri_sheet *s, const char *path, bool replace)
{
    const int64_t shown = s->batch.masks != NULL ? 2 : 1;
    const int64_t h = s->data->height * s->zoom, w = s->data->width * s->zoom;
    const int64_t cell = shown * (w + 1) - 1 + GAP;
    const int64_t columns = pri_max_i64(1, pri_min_i64(s->count, (MOST_WIDTH - GAP) / cell));
    const int64_t rows = (s->count + columns - 1) / columns;
    pri_image sheet = {
        .height = rows * (h + GAP) + GAP, .width = columns * cell + GAP, .channels = 3};
    unsigned char *png = NULL;
    size_t size = 0;

    if (sheet.height * sheet.width > most_sheet_pixels)
        return pri_fail(s->ctx, PARE_ERROR_ARGUMENT,
                        "a sheet of %lldx%lld pixels is too large; ask for fewer or smaller images",
                        (long long)sheet.height, (long long)sheet.width);
    sheet.pixels = pri_alloc(s->ctx, (size_t)(sheet.height * sheet.width), 3);
    if (sheet.pixels == NULL)
        return PARE_ERROR_MEMORY;
    memset(sheet.pixels, 48, (size_t)(sheet.height * sheet.width * 3));
    for (int64_t n = 0; n < s->count; n++) {
        const int64_t top = GAP + n / columns * (h + GAP), left = GAP + n % columns * cell;
        for (int64_t k = 0; k < shown; k++)
            pri_sheet_draw(sheet.pixels + (top * sheet.width + left + k * (w + 1)) * 3, sheet.width,
                           s, n, k == 1);
    }
    pare_status status = pri_png_encode(&png, &size, s->ctx, &sheet, NULL, 0);
    if (status == PARE_OK)
        status = pri_file_write(s->ctx, path, png, size, replace);
    pri_free(png);
    pri_image_clear(&sheet);
    return status;
}

static pare_status write_html(const pri_sheet *s, const char *path, bool replace)
{
    pri_text text;

    pri_text_init(&text, s->ctx);
    pare_status status = pri_sheet_html(&text, s);
    if (status == PARE_OK)
        status = pri_text_status(&text);
    if (status == PARE_OK)
        status = pri_file_write(s->ctx, path, pri_text_get(&text), text.length, replace);
    pri_text_clear(&text);
    return status;
}

pare_status pare_data_preview(const pare_data *data, const char *path,
                              const pare_preview_options *options, bool replace)
{
    const pare_preview_options defaults = {0};
    const pare_preview_options *o = options != NULL ? options : &defaults;
    const size_t length = strlen(path);
    const bool is_png = length > 4 && strcmp(path + length - 4, ".png") == 0;
    const bool is_html = length > 5 && strcmp(path + length - 5, ".html") == 0;
    pri_sheet s = {.ctx = data->ctx, .data = data};

    if (!is_png && !is_html)
        return pri_fail(data->ctx, PARE_ERROR_ARGUMENT,
                        "'%s' ends neither with .png nor with .html", path);
    if (o->count < 0 || o->count > MOST_IMAGES)
        return pri_fail(data->ctx, PARE_ERROR_ARGUMENT, "a sheet shows 1 to %d images, not %lld",
                        MOST_IMAGES, (long long)o->count);
    PRI_TRY(pri_augment_check(data->ctx, &o->augment));
    if (data->count < 1)
        return pri_fail(data->ctx, PARE_ERROR_DATA, "the set has no images");
    s.count = pri_min_i64(o->count > 0 ? o->count : DEFAULT_COUNT, data->count);
    s.zoom = pri_max_i64(1, WANTED_SIDE / pri_max_i64(data->height, data->width));
    pare_status status = allocate(&s);
    if (status == PARE_OK)
        status = make_images(&s, o);
    if (status == PARE_OK)
        status = is_png ? write_png(&s, path, replace) : write_html(&s, path, replace);
    clear(&s);
    return status;
}
