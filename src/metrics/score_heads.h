/* SPDX-License-Identifier: Apache-2.0 */
/* score_heads.h - which output of a network says what, and scoring one image of it. */
#ifndef PRI_SCORE_HEADS_H
#define PRI_SCORE_HEADS_H

#include "data/data.h"
#include "engine/engine.h"
#include "metrics/classes.h"

typedef struct pri_score_head {
    int output;            /* of the model; -1: there is none */
    int64_t classes;       /* outputs */
    int64_t height, width; /* of a mask head */
    bool is_probability;   /* after Softmax; otherwise logits or log-probabilities */
    bool is_channels_last; /* mask head N x H x W x K */
} pri_score_head;

/* The first class head and the first mask head among the outputs of an engine. */
void pri_find_heads(pri_score_head *class_head, pri_score_head *mask_head, const pare_model *model,
                    const pri_engine *engine, bool is_nhwc);

/* One row of a class head against output number `truth`. */
typedef struct pri_row_score {
    int64_t predicted; /* the first of the largest */
    int64_t rank;      /* outputs before the true one; of equal ones the first counts as before */
    double nll;        /* nan or infinite when the output is not finite */
} pri_row_score;
pri_row_score pri_score_row(const float *outputs, const pri_score_head *head, int64_t truth);

/* Adds all pixels of one image's mask head that are not PARE_IGNORE to `counts`; *nll is the sum
 * over them. Mask values are below the number of classes. */
void pri_score_mask(pri_class_counts *counts, double *nll, const float *outputs,
                    const pri_score_head *head, const uint8_t *mask);

#endif
