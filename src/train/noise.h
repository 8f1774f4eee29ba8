/* SPDX-License-Identifier: Apache-2.0 */
/*
 * noise.h - labels that training does not believe.
 *
 * Every time an image is trained on, the margin of its label is noted: the logit of the label
 * less the largest of the others, and its cross-entropy. The mean margin over the run is the area
 * under the margin of Pleiss et al. 2020: images that others of their class speak for gain it
 * early, while a wrong label is fought by all images of the true class. A label is doubtful when
 * the network preferred another class on the average of the run (mean margin below zero) and still
 * did when it last saw the image: what was hard at first and has been learnt since is not.
 */
#ifndef PRI_NOISE_H
#define PRI_NOISE_H

#include "train/heads.h"

enum { PRI_NOISE_LAST = 4 };

/* Written to checkpoints as it is. */
typedef struct pri_sample {
    double margin;              /* sum over the times it was seen */
    float loss[PRI_NOISE_LAST]; /* the last cross-entropies, a ring */
    int32_t seen, said;         /* times; label with the largest logit, at the last */
    int32_t is_dropped, padding;
} pri_sample;

typedef struct pri_noise {
    pri_sample *samples;   /* an image of the training set each; NULL: nothing is watched */
    const int32_t *labels; /* of the training set */
    int64_t offset;        /* output of label 0 */
    int64_t count, dropped;
} pri_noise;

/* PARE_ERROR_DATA where there are no class labels or no head with several classes for them. */
pare_status pri_noise_open(pri_noise *out, const pri_view *view, const pare_data *data);
void pri_noise_close(pri_noise *noise);
/* Notes a batch of logits (classes a row); images without a label are left out. */
void pri_noise_note(pri_noise *noise, const float *logits, int64_t classes, const int32_t *labels,
                    const int64_t *order, int64_t count);
/* Drops the images of doubtful label with the smallest mean margins, at most `share` of all. */
pare_status pri_noise_trim(pri_noise *noise, pare_context *ctx, double share);
/* Takes dropped images out of an order of all; returns how many are left. */
int64_t pri_noise_filter(const pri_noise *noise, int64_t *order, int64_t count);
/* Writes the images of doubtful label and the dropped ones, smallest mean margin first. */
pare_status pri_noise_write(const pri_noise *noise, const pare_data *data, const char *path);

#endif
