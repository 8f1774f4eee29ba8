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

/* Class of position p of image n, or -1. */
static inline int64_t pri_loss_label(const pri_loss *loss, int64_t n, int64_t p, int64_t limit)
{
    int64_t label = -1;

    if (loss->labels != NULL)
        label = loss->labels[n];
    else if (loss->masks != NULL && loss->masks[n * loss->positions + p] != PARE_IGNORE)
        label = loss->masks[n * loss->positions + p];
    return label < limit ? label : -1;
}

static inline double pri_loss_weight(const pri_loss *loss, int64_t label)
{
    return loss->class_weights != NULL ? loss->class_weights[label] : 1;
}

/* max[i] and log(sum_k exp((z_k - max) * heat)) of `count` neighbouring positions. */
void pri_loss_log_sums(const float *z, int64_t classes, int64_t stride, int64_t count, float heat,
                       float *max, float *log_sum);

double pri_loss_add_ce(const pri_loss *loss, const pri_loss_block *block);
double pri_loss_add_focal(const pri_loss *loss, const pri_loss_block *block);
double pri_loss_add_bce(const pri_loss *loss, const pri_loss_block *block);
double pri_loss_add_mse(const pri_loss *loss, const pri_loss_block *block);
double pri_loss_dice(const pri_loss *loss, const pri_loss_block *like);

#endif
