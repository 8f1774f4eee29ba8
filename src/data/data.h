/* SPDX-License-Identifier: Apache-2.0 */
/* data.h (internal) - images in memory, readers, and batches for an engine. */
#ifndef PRI_DATA_H
#define PRI_DATA_H

#include <pare/data.h>

#include "base/base.h"

struct pare_data {
    pare_context *ctx;
    int64_t count, channels, height, width, classes, mask_classes;
    uint8_t *pixels;         /* count x height x width x channels; NULL when there is a store */
    struct pri_store *store; /* of a set too large to be held; NULL; shared */
    int64_t *where;          /* image of the store for each of the set; NULL: the same numbers */
    int32_t *labels;         /* count, or NULL */
    uint8_t *masks;          /* count x height x width, or NULL */
    char **class_names, **mask_class_names; /* classes, mask_classes; NULL where unknown; owned */
};

typedef struct pri_preprocess {
    float scale; /* x / scale */
    float mean[4], std[4];
    bool is_bgr;           /* channels in the order blue, green, red */
    bool is_nhwc;          /* the network's input has its channels last */
    bool states_layout;    /* "layout=" was there; otherwise the model's input decides */
    int64_t height, width; /* stated by "size="; 0: not */
} pri_preprocess;

/* Whether two make the same floats of an image. */
bool pri_preprocess_is_same(const pri_preprocess *a, const pri_preprocess *b);

#define PRI_PREPROCESS_KEY "pare.preprocess"
/* Metadata: the label of output k of a class head is k minus this number (1 for networks whose
 * output 0 is a background class the data does not have). */
#define PRI_CLASS_OFFSET_KEY "pare.class_offset"

/* Reads the text of pare_model_set_preprocess (NULL: unit). */
pare_status pri_preprocess_parse(pri_preprocess *out, pare_context *ctx, const char *text);
/* The preprocessing in a model's metadata; where it does not state a layout, the shape of the first
 * input tells whether channels come last. */
pare_status pri_preprocess_of(pri_preprocess *out, const pare_model *model);

/* 0 without metadata; PARE_ERROR_ARGUMENT when it is no number from 0 to classes - 1. */
pare_status pri_class_offset(int64_t *out, const pare_model *model, int64_t classes);

/* Copies the names of classes 0 .. classes-1 from a list of `count` (entries, and the list, may be
 * NULL); what was copied before a failure is *out's. */
pare_status pri_names_copy(char ***out, int64_t classes, pare_context *ctx, char *const *names,
                           int64_t count);
/* A hash of all images, labels and masks; images that are not held count with path, size and crop.
 */
uint64_t pri_data_hash(uint64_t hash, const pare_data *data);

/* Writes images order[0 .. count-1] as plain floats (NCHW, or NHWC) and, unless NULL, their labels
 * and masks (-1 and PARE_IGNORE where the set has none). `augment` may be NULL; its randomness is a
 * function of seed (say, of the epoch) and image number alone. Outside of a shifted image pixels
 * are 0 and masks PARE_IGNORE. Blended images (mixup, cutmix) have a second label, which only
 * pri_batch_write (batch.h) gives. Fails only when an image has to be decoded for it, or changed in
 * more than place and brightness: what it wrote is then incomplete. */
pare_status pri_data_batch(const pare_data *data, const pri_preprocess *preprocess,
                           const int64_t *order, int64_t count, const pare_augment *augment,
                           uint64_t seed, float *out, int32_t *labels, uint8_t *masks);
/* Appends images to a set without masks; pixels are copied. `labels` may be NULL for a set without
 * labels; `planar` pixels are channel by channel. */
pare_status pri_data_append(pare_data *data, const uint8_t *pixels, bool planar,
                            const uint8_t *labels, int64_t count);
/* A file's content, unpacked when it is gzip. Free with pri_free. */
pare_status pri_read_maybe_gzip(unsigned char **out, size_t *size, pare_context *ctx,
                                const char *path);

#endif
