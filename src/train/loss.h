/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loss.h - losses over the outputs of one head.
 *
 * A head gives N x K x P logits, plain: N images, K classes, P positions (1 for a class head, H x W
 * for a mask head). Pure computations; nothing here knows a model.
 */
#ifndef PRI_LOSS_H
#define PRI_LOSS_H

#include "base/base.h"

enum { PRI_LOSS_TERMS = 4 };

/* "ce + 0.5 dice": kinds by their place in the table, see pri_loss_kind. */
typedef struct pri_loss_mix {
    int count; /* 0: cross-entropy */
    struct {
        int kind;
        double weight, parameter;
    } terms[PRI_LOSS_TERMS];
} pri_loss_mix;

typedef struct pri_loss {
    int64_t images, classes, positions;
    const float *logits;
    const float *teacher;       /* logits of the teacher, or NULL */
    const int32_t *labels;      /* class of each image, negative: none; NULL without */
    int64_t label_offset;       /* output number of label 0 */
    const uint8_t *masks;       /* class of each position, PARE_IGNORE: none; NULL without */
    const int32_t *labels2;     /* of blended images the other class of each, as labels; or NULL */
    const uint8_t *masks2;      /* the same of positions */
    const float *weights;       /* of images: share of labels and masks in the target; NULL: 1 */
    pri_loss_mix mix;           /* what labels and masks are compared by */
    const float *class_weights; /* factor of positions of each class; NULL: 1 */
    double smoothing;           /* share of the target spread over all classes (cross-entropy) */
    double hard, soft;          /* factors of the mix and of the divergence */
    double temperature;         /* of the divergence, > 0 */
    double *partial;            /* scratch, pri_loss_scratch doubles */
    float *gradient;            /* N x K x P, overwritten; NULL: not wanted */
} pri_loss;

/* Reads "ce", "focal=2", "ce+dice", "0.5*bce+dice"; false when it is nothing of that form. */
bool pri_loss_parse(pri_loss_mix *out, const char *text);
/* How many labels and mask classes a head of `classes` outputs can have with this mix; 0: none,
 * because a term of it needs more than one output. */
int64_t pri_loss_label_limit(const pri_loss_mix *mix, int64_t classes);
/* Doubles of scratch for a head. */
int64_t pri_loss_scratch(int64_t images, int64_t classes);

/* hard * (sum of the mix's terms) + soft * T^2 * mean over all positions of KL(teacher || student),
 * both softened by T; a head of one output z counts as the two logits 0 and z there. Every term is
 * a mean over labelled positions i weighted by w_i, the weight of their class, except Dice:
 *
 *   ce       -sum_k q_k log p_k, p = softmax(z), q = (1 - smoothing) onehot + smoothing / K
 *   focal    -(1 - p_y)^gamma log p_y (Lin et al. 2017, eq. 4), gamma = 2 unless stated
 *   bce      mean over k of log(1 + e^z_k) - t_k z_k with t = onehot (one output: t = label)
 *   mse      mean over k of (z_k - t_k)^2, with the same t (one output: any number)
 *   dice     1 - mean over the classes that occur, weighted by w_k, of
 *            (2 sum_i p_ik t_ik + 1) / (sum_i p_ik + sum_i t_ik + 1)
 *            (Milletari et al. 2016 with plain sums as in Drozdzal et al. 2016, over the batch; 1
 * is Laplace's correction; one output: p = sigmoid(z) and its complement are the classes)
 *
 * A blended image counts for its first label by its share and for its second by the rest, as a
 * whole for the first where it has no second; for Dice it is of the class with the larger share.
 * The result does not depend on the number of threads. A label that is no class counts as none. */
double pri_loss_compute(const pri_loss *loss);

#endif
