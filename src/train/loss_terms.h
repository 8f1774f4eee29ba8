/* SPDX-License-Identifier: Apache-2.0 */
/* loss_terms.h - what the files of the loss share: the table of terms and blocks of positions. */
#ifndef PRI_LOSS_TERMS_H
#define PRI_LOSS_TERMS_H

#include <pare/data.h>

#include "train/loss.h"

enum { PRI_LOSS_BLOCK = 128 };

/* Neighbouring positions of one image, so that loops over classes run along memory whether a head
 * has one position or a whole image of them. */
typedef struct pri_loss_block {
    int64_t image, from, count; /* count <= PRI_LOSS_BLOCK */
    int64_t first;              /* of class 0 and position `from` in logits and gradient */
    int64_t limit;              /* labels are below */
    bool is_second;             /* counts for the second labels of blended images */
    bool is_first;              /* the gradient holds nothing yet: is overwritten (cross-entropy) */
    double factor;              /* of the gradient */
    double parameter;
} pri_loss_block;

typedef struct pri_loss_kind {
    const char *name, *summary;
    bool takes_one_output; /* heads of one output; label 1 is then what it says yes to */
    bool takes_any_number; /* with one output the label is a number, not a class */
    double parameter;      /* where none is stated; negative: it has none */
    double largest;        /* of the parameter */
    /* Adds gradients of a block and returns its sum; NULL where `whole` is there. */
    double (*add)(const pri_loss *loss, const pri_loss_block *block);
    /* The same for the whole head, with the mean taken. */
    double (*whole)(const pri_loss *loss, const pri_loss_block *like);
} pri_loss_kind;

int pri_loss_kinds(const pri_loss_kind **out);

static inline int64_t pri_loss_class(const pri_loss *loss, const int32_t *labels,
                                     const uint8_t *masks, int64_t n, int64_t p)
{
    if (labels != NULL)
        return labels[n] >= 0 ? labels[n] + loss->label_offset : -1;
    const uint8_t class = masks != NULL ? masks[n * loss->positions + p] : PARE_IGNORE;
    return class != PARE_IGNORE ? class : -1;
}

/* Class of position p of image n as the first or second label says, and what it weighs with its
 * class and share; -1: none. */
static inline int64_t pri_loss_label(const pri_loss *loss, const pri_loss_block *block, int64_t p,
                                     double *weight)
{
    const int64_t n = block->image;
    int64_t label = pri_loss_class(loss, loss->labels, loss->masks, n, p), other = -1;

    if (label < 0 || label >= block->limit)
        return -1;
    if (loss->weights != NULL)
        other = pri_loss_class(loss, loss->labels2, loss->masks2, n, p);
    const bool has_other = other >= 0 && other < block->limit;
    const double share = has_other ? (double)loss->weights[n] : 1;
    if (block->is_second && !has_other)
        return -1;
    label = block->is_second ? other : label;
    *weight = (block->is_second ? 1 - share : share) *
              (loss->class_weights != NULL ? (double)loss->class_weights[label] : 1);
    return label;
}

/* max[i] and log(sum_k exp((z_k - max) * heat)) of `count` neighbouring positions. */
void pri_loss_log_sums(const float *z, int64_t classes, int64_t stride, int64_t count, float heat,
                       float *max, float *log_sum);
/* exp(z - max - log_sum) of `count` neighbouring positions. */
void pri_loss_probabilities(float *to, const float *z, const float *max, const float *log_sum,
                            int64_t count);

double pri_loss_add_ce(const pri_loss *loss, const pri_loss_block *block);
double pri_loss_add_focal(const pri_loss *loss, const pri_loss_block *block);
double pri_loss_add_bce(const pri_loss *loss, const pri_loss_block *block);
double pri_loss_add_mse(const pri_loss *loss, const pri_loss_block *block);
double pri_loss_dice(const pri_loss *loss, const pri_loss_block *like);

#endif
