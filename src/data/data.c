/* SPDX-License-Identifier: Apache-2.0 */
/* data.c - sets of images, and batches. */
#include "data/data.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "model/model.h"

int64_t pare_data_count(const pare_data *data)
{
    return data->count;
}

int64_t pare_data_classes(const pare_data *data)
{
    return data->classes;
}

int64_t pare_data_channels(const pare_data *data)
{
    return data->channels;
}

int64_t pare_data_height(const pare_data *data)
{
    return data->height;
}

int64_t pare_data_width(const pare_data *data)
{
    return data->width;
}

int64_t pare_data_mask_classes(const pare_data *data)
{
    return data->mask_classes;
}

const uint8_t *pare_data_mask(const pare_data *data, int64_t index)
{
    if (data->masks == NULL || index < 0 || index >= data->count)
        return NULL;
    return data->masks + index * data->height * data->width;
}

int64_t pare_data_label(const pare_data *data, int64_t index)
{
    return data->labels != NULL && index >= 0 && index < data->count ? data->labels[index] : -1;
}

void pare_data_free(pare_data *data)
{
    if (data == NULL)
        return;
    pri_free(data->pixels);
    pri_free(data->labels);
    pri_free(data);
}

pare_status pri_data_append(pare_data *data, const uint8_t *pixels, bool planar,
                            const uint8_t *labels, int64_t count)
{
    const int64_t area = data->height * data->width, size = area * data->channels;
    const int64_t total = data->count + count;
    uint8_t *more = pri_realloc(data->ctx, data->pixels, (size_t)total, (size_t)size);

    if (more == NULL)
        return PARE_ERROR_MEMORY;
    data->pixels = more;
    int32_t *more_labels = pri_realloc(data->ctx, data->labels, (size_t)total, sizeof(int32_t));
    if (more_labels == NULL)
        return PARE_ERROR_MEMORY;
    data->labels = more_labels;
    for (int64_t n = 0; n < count; n++) {
        uint8_t *to = data->pixels + (data->count + n) * size;
        const uint8_t *from = pixels + n * size;
        for (int64_t p = 0; planar && p < area; p++) {
            for (int64_t c = 0; c < data->channels; c++)
                to[p * data->channels + c] = from[c * area + p];
        }
        if (!planar)
            memcpy(to, from, (size_t)size);
        data->labels[data->count + n] = labels[n];
        data->classes = pri_max_i64(data->classes, labels[n] + 1);
    }
    data->count = total;
    return PARE_OK;
}

pare_status pare_data_slice(pare_data **out, const pare_data *data, int64_t from, int64_t count)
{
    const int64_t size = data->height * data->width * data->channels;

    *out = NULL;
    from = pri_max_i64(0, pri_min_i64(from, data->count));
    count = pri_min_i64(count, data->count - from);
    if (count <= 0)
        return pri_fail(data->ctx, PARE_ERROR_DATA, "no images are left in this part of the set");
    pare_data *part = pri_alloc(data->ctx, 1, sizeof *part);
    if (part == NULL)
        return PARE_ERROR_MEMORY;
    *part = *data;
    part->count = count;
    part->pixels = pri_alloc(data->ctx, (size_t)count, (size_t)size);
    part->labels = pri_alloc(data->ctx, (size_t)count, sizeof(int32_t));
    if (part->pixels == NULL || part->labels == NULL) {
        pare_data_free(part);
        return PARE_ERROR_MEMORY;
    }
    memcpy(part->pixels, data->pixels + from * size, (size_t)(count * size));
    memcpy(part->labels, data->labels + from, (size_t)count * sizeof(int32_t));
    *out = part;
    return PARE_OK;
}

pare_status pare_data_fit_options(pare_data_options *options, const pare_model *model)
{
    (void)options;
    (void)model;
    return PARE_OK;
}

/* --- Preprocessing --- */

static void fill(float values[4], float value)
{
    for (int c = 0; c < 4; c++)
        values[c] = value;
}

/* "0.5" for all channels, or "0.5 0.4 0.3". */
static bool read_values(const char *text, float values[4])
{
    int count = 0;

    while (*text != '\0' && *text != ',' && count < 4) {
        char *end;
        const float value = strtof(text, &end);
        if (end == text || !isfinite(value))
            return false;
        values[count++] = value;
        text = end;
        while (*text == ' ')
            text++;
    }
    for (int c = count; c < 4 && count > 0; c++)
        values[c] = values[count - 1];
    return count > 0 && (*text == '\0' || *text == ',');
}

pare_status pri_preprocess_parse(pri_preprocess *out, pare_context *ctx, const char *text)
{
    static const float mean[4] = {0.485f, 0.456f, 0.406f, 0}, std[4] = {0.229f, 0.224f, 0.225f, 1};

    *out = (pri_preprocess){.scale = 255};
    fill(out->mean, 0);
    fill(out->std, 1);
    if (text == NULL || strcmp(text, "unit") == 0)
        return PARE_OK;
    if (strcmp(text, "none") == 0) {
        out->scale = 1;
        return PARE_OK;
    }
    if (strcmp(text, "cifar10") == 0 || strcmp(text, "imagenet") == 0) {
        memcpy(out->mean, mean, sizeof mean);
        memcpy(out->std, std, sizeof std);
        return PARE_OK;
    }
    for (const char *at = text; at != NULL && *at != '\0';) {
        float scale[4];
        bool is_good = false;
        if (strncmp(at, "scale=", 6) == 0 && read_values(at + 6, scale)) {
            out->scale = scale[0];
            is_good = scale[0] > 0;
        } else if (strncmp(at, "mean=", 5) == 0) {
            is_good = read_values(at + 5, out->mean);
        } else if (strncmp(at, "std=", 4) == 0) {
            is_good = read_values(at + 4, out->std) && out->std[0] > 0 && out->std[1] > 0 &&
                      out->std[2] > 0 && out->std[3] > 0;
        }
        if (!is_good)
            return pri_fail(ctx, PARE_ERROR_ARGUMENT,
                            "cannot read preprocessing '%s'; use cifar10, imagenet, none, unit or "
                            "scale=255,mean=0.5,std=0.25",
                            text);
        at = strchr(at, ',');
        at = at != NULL ? at + 1 : NULL;
    }
    return PARE_OK;
}

pare_status pare_model_set_preprocess(pare_model *model, const char *text)
{
    pri_preprocess checked;

    PRI_TRY(pri_preprocess_parse(&checked, model->ctx, text));
    return pare_model_set_metadata(model, PRI_PREPROCESS_KEY, text);
}

typedef struct change {
    int64_t dy, dx;
    bool flip;
} change;

static change draw_change(const pare_augment *augment, uint64_t seed, int64_t image)
{
    const uint64_t index = (uint64_t)image * 8;
    change c = {0, 0, false};

    if (augment == NULL)
        return c;
    if (augment->crop > 0) {
        const int64_t span = 2 * (int64_t)augment->crop + 1;
        c.dy = pri_random_below(span, seed, PRI_STREAM_AUGMENT, index) - augment->crop;
        c.dx = pri_random_below(span, seed, PRI_STREAM_AUGMENT, index + 1) - augment->crop;
    }
    c.flip = augment->flip && (pri_random_bits(seed, PRI_STREAM_AUGMENT, index + 2) & 1) != 0;
    return c;
}

static void write_image(float *out, const pare_data *data, const pri_preprocess *preprocess,
                        const uint8_t *image, change move)
{
    const int64_t h = data->height, w = data->width, channels = data->channels;

    for (int64_t c = 0; c < channels; c++) {
        const int64_t from = preprocess->is_bgr && channels == 3 ? 2 - c : c;
        const int k = c < 4 ? (int)c : 3;
        const float a = 1 / (preprocess->scale * preprocess->std[k]);
        const float b = -preprocess->mean[k] / preprocess->std[k];
        const int64_t step = preprocess->is_nhwc ? channels : 1;
        float *plane = out + (preprocess->is_nhwc ? c : c * h * w);
        for (int64_t y = 0; y < h; y++) {
            for (int64_t x = 0; x < w; x++) {
                const int64_t sy = y + move.dy, sx = (move.flip ? w - 1 - x : x) + move.dx;
                const bool is_inside = sy >= 0 && sy < h && sx >= 0 && sx < w;
                plane[(y * w + x) * step] =
                    is_inside ? (float)image[(sy * w + sx) * channels + from] * a + b : b;
            }
        }
    }
}

void pri_data_batch(const pare_data *data, const pri_preprocess *preprocess, const int64_t *order,
                    int64_t count, const pare_augment *augment, uint64_t seed, float *out,
                    int32_t *labels, uint8_t *masks)
{
    const int64_t area = data->height * data->width, size = area * data->channels;

    (void)masks;
#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < count; n++) {
        write_image(out + n * size, data, preprocess, data->pixels + order[n] * size,
                    draw_change(augment, seed, order[n]));
        if (labels != NULL)
            labels[n] = data->labels != NULL ? data->labels[order[n]] : -1;
    }
}
