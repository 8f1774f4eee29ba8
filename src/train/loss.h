/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loss.h - cross-entropy and distillation over the logits of one head.
 *
 * A head gives N x K x P logits, plain: N images, K classes, P positions (1 for a class head, H x W
 * for a mask head). Pure computations; nothing here knows a model.
 */
#ifndef PRI_LOSS_H
#define PRI_LOSS_H

#include "base/base.h"

typedef struct pri_loss {
    int64_t images, classes, positions;
    const float *logits;
    const float *teacher;   /* logits of the teacher, or NULL */
    const int32_t *labels;  /* class of each image, negative: none; NULL without */
    const uint8_t *masks;   /* class of each position, PARE_IGNORE: none; NULL without */
    const int32_t *labels2; /* of blended images: the other class of each, as labels; or NULL */
    const uint8_t *masks2;  /* the same of positions */
    const float *weights;   /* share of labels and masks in the target; NULL: 1 */
    double smoothing;       /* share of the target spread over all classes */
    double hard, soft;      /* factors of cross-entropy and divergence */
    double temperature;     /* of the divergence, > 0 */
    double *partial;        /* 2 * images, scratch */
    float *gradient;        /* N x K x P, overwritten; NULL: not wanted */
} pri_loss;

/* hard * mean over labelled positions of -sum_k q_k log p_k, with q = (1 - smoothing) onehot +
 * smoothing / K, where onehot is weights * onehot(label) + (1 - weights) * onehot(label2) of blended
 * images, plus soft * T^2 * mean over all positions of KL(teacher || student), both softened
 * by T. The result does not depend on the number of threads. A label that is no class counts as
 * none. */
double pri_loss_compute(const pri_loss *loss);

#endif
