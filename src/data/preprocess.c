/* SPDX-License-Identifier: Apache-2.0 */
/*
 * preprocess.c - how pixels become a network's input, as text in the model's metadata.
 *
 * A number a channel (mean, std) is in the order of the network's channels.
 */
#include <math.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "data/data.h"
#include "model/model.h"

enum { MAX_SIDE = 16384 };

static const pri_preprocess unit = {.scale = 255, .std = {1, 1, 1, 1}};

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

static bool read_scale(pri_preprocess *out, const char *text)
{
    float values[4];
    const bool is_good = read_values(text, values);

    out->scale = is_good ? values[0] : 1;
    return is_good && values[0] > 0;
}

static bool read_mean(pri_preprocess *out, const char *text)
{
    return read_values(text, out->mean);
}

static bool read_std(pri_preprocess *out, const char *text)
{
    return read_values(text, out->std) && out->std[0] > 0 && out->std[1] > 0 && out->std[2] > 0 &&
           out->std[3] > 0;
}

/* One of two words, up to a comma or the end. */
static bool read_word(bool *is_second, const char *text, const char *first, const char *second)
{
    const size_t length = strcspn(text, ",");

    *is_second = length == strlen(second) && strncmp(text, second, length) == 0;
    return *is_second || (length == strlen(first) && strncmp(text, first, length) == 0);
}

static bool read_order(pri_preprocess *out, const char *text)
{
    return read_word(&out->is_bgr, text, "rgb", "bgr");
}

static bool read_layout(pri_preprocess *out, const char *text)
{
    out->states_layout = true;
    return read_word(&out->is_nhwc, text, "nchw", "nhwc");
}

static bool read_size(pri_preprocess *out, const char *text)
{
    char *end;

    out->height = strtol(text, &end, 10);
    if (end == text || *end != 'x')
        return false;
    text = end + 1;
    out->width = strtol(text, &end, 10);
    return end != text && (*end == '\0' || *end == ',') && out->height > 0 && out->width > 0 &&
           out->height <= MAX_SIDE && out->width <= MAX_SIDE;
}

static const struct {
    const char *key;
    bool (*read)(pri_preprocess *out, const char *text);
} keys[] = {{"scale=", read_scale}, {"mean=", read_mean},     {"std=", read_std},
            {"order=", read_order}, {"layout=", read_layout}, {"size=", read_size}};

static bool read_item(pri_preprocess *out, const char *text)
{
    for (size_t i = 0; i < PRI_COUNT(keys); i++) {
        const size_t length = strlen(keys[i].key);
        if (strncmp(text, keys[i].key, length) == 0)
            return keys[i].read(out, text + length);
    }
    return false;
}

pare_status pri_preprocess_parse(pri_preprocess *out, pare_context *ctx, const char *text)
{
    *out = unit;
    if (text == NULL || strcmp(text, "unit") == 0)
        return PARE_OK;
    if (strcmp(text, "none") == 0) {
        out->scale = 1;
        return PARE_OK;
    }
    if (strcmp(text, "cifar10") == 0 || strcmp(text, "imagenet") == 0) {
        static const float mean[4] = {0.485f, 0.456f, 0.406f, 0},
                           std[4] = {0.229f, 0.224f, 0.225f, 1};
        memcpy(out->mean, mean, sizeof mean);
        memcpy(out->std, std, sizeof std);
        return PARE_OK;
    }
    for (const char *at = text; at != NULL;) {
        if (!read_item(out, at))
            return pri_fail(ctx, PARE_ERROR_ARGUMENT,
                            "cannot read preprocessing '%s'; use cifar10, imagenet, none, unit or "
                            "scale=255,mean=0.5,std=0.25,order=bgr,layout=nhwc,size=224x224",
                            text);
        at = strchr(at, ',');
        at = at != NULL ? at + 1 : NULL;
    }
    return PARE_OK;
}

bool pri_preprocess_is_same(const pri_preprocess *a, const pri_preprocess *b)
{
    return a->scale == b->scale && a->is_bgr == b->is_bgr && a->is_nhwc == b->is_nhwc &&
           memcmp(a->mean, b->mean, sizeof a->mean) == 0 &&
           memcmp(a->std, b->std, sizeof a->std) == 0;
}

pare_status pare_model_set_preprocess(pare_model *model, const char *text)
{
    pri_preprocess checked;

    PRI_TRY(pri_preprocess_parse(&checked, model->ctx, text));
    return pare_model_set_metadata(model, PRI_PREPROCESS_KEY, text);
}

/* --- Fitting images to a model --- */

static bool is_image_channels(int64_t dim)
{
    return dim == 1 || dim == 3;
}

pare_status pri_preprocess_of(pri_preprocess *out, const pare_model *model)
{
    int64_t dims[PARE_MAX_RANK];
    const int rank = pare_model_input_shape(model, 0, dims);

    PRI_TRY(pri_preprocess_parse(out, model->ctx, pare_model_metadata(model, PRI_PREPROCESS_KEY)));
    if (!out->states_layout && rank == 4)
        out->is_nhwc = is_image_channels(dims[3]) && !is_image_channels(dims[1]);
    return PARE_OK;
}

/* What is known of one dimension: the model's, or what the preprocessing states. */
static pare_status fit_side(int64_t *option, int64_t model_dim, int64_t stated,
                            const pare_model *model)
{
    if (model_dim > 0 && stated > 0 && model_dim != stated)
        return pri_fail(model->ctx, PARE_ERROR_SHAPE,
                        "the preprocessing states a size of %lld where the model's input has %lld",
                        (long long)stated, (long long)model_dim);
    if (*option == 0)
        *option = model_dim > 0 ? model_dim : stated;
    return PARE_OK;
}

pare_status pare_data_fit_options(pare_data_options *options, const pare_model *model)
{
    int64_t dims[PARE_MAX_RANK], height = -1, width = -1, channels = -1;
    const int rank = pare_model_input_shape(model, 0, dims);
    pri_preprocess preprocess;

    PRI_TRY(pri_preprocess_of(&preprocess, model));
    if (rank == 4) {
        channels = dims[preprocess.is_nhwc ? 3 : 1];
        height = dims[preprocess.is_nhwc ? 1 : 2];
        width = dims[preprocess.is_nhwc ? 2 : 3];
    }
    PRI_TRY(fit_side(&options->height, height, preprocess.height, model));
    PRI_TRY(fit_side(&options->width, width, preprocess.width, model));
    if (options->channels == 0 && is_image_channels(channels))
        options->channels = channels;
    return PARE_OK;
}

pare_status pri_class_offset(int64_t *out, const pare_model *model, int64_t classes)
{
    const char *text = pare_model_metadata(model, PRI_CLASS_OFFSET_KEY);
    char *end = NULL;

    *out = 0;
    if (text == NULL)
        return PARE_OK;
    errno = 0;
    *out = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || *out < 0 || *out >= classes)
        return pri_fail(model->ctx, PARE_ERROR_ARGUMENT,
                        "the class offset '%.40s' is no number from 0 to %lld, the last of the "
                        "model's outputs",
                        text, (long long)classes - 1);
    return PARE_OK;
}
