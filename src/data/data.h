/* SPDX-License-Identifier: Apache-2.0 */
/* data.h (internal) - images in memory, readers, and batches for an engine. */
#ifndef PRI_DATA_H
#define PRI_DATA_H

#include <pare/data.h>

#include "base/base.h"

struct pare_data {
    pare_context *ctx;
    int64_t count, channels, height, width, classes;
    uint8_t *pixels; /* count x height x width x channels */
    int32_t *labels; /* count */
};

typedef struct pri_preprocess {
    float scale;       /* x / scale */
    float mean[4], std[4];
} pri_preprocess;

#define PRI_PREPROCESS_KEY "pare.preprocess"

/* Reads the text of pare_model_set_preprocess (NULL: unit). */
pare_status pri_preprocess_parse(pri_preprocess *out, pare_context *ctx, const char *text);

typedef struct pri_augment {
    bool flip;
    int crop;      /* pixels of padding before a random crop */
    uint64_t seed;
} pri_augment;

/* Writes images order[0 .. count-1] as plain NCHW floats. `augment` may be NULL. */
void pri_data_batch(const pare_data *data, const pri_preprocess *preprocess, const int64_t *order,
                    int64_t count, const pri_augment *augment, float *out);
/* Appends images; labels are checked and pixels copied. */
pare_status pri_data_append(pare_data *data, const uint8_t *pixels, bool planar,
                            const uint8_t *labels, int64_t count);
/* A file's content, unpacked when it is gzip. Free with pri_free. */
pare_status pri_read_maybe_gzip(unsigned char **out, size_t *size, pare_context *ctx,
                                const char *path);
/* Decodes a PNG to `channels` interleaved bytes. */
pare_status pri_png_read(uint8_t **pixels, int64_t *height, int64_t *width, int channels,
                         pare_context *ctx, const char *path);

#endif
