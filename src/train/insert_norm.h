/* SPDX-License-Identifier: Apache-2.0 */
/*
 * insert_norm.h - normalisations for networks whose own were folded into the convolutions.
 *
 * Behind every convolution that no normalisation follows, BatchNormalization is put with the mean m
 * and variance v of what the convolution gives on images, scale sqrt(v + epsilon) and shift m:
 * nothing changes in inference, and training sees normalised values (Ioffe & Szegedy 2015). Folding
 * back is W' = W s and b' = (b - mean) s + shift with s = scale / sqrt(variance + epsilon).
 */
#ifndef PRI_INSERT_NORM_H
#define PRI_INSERT_NORM_H

#include <pare/train.h>

#include "model/model.h"

/* What was inserted; the nodes are the model's. */
typedef struct pri_inserted {
    pri_node **norms;
    int count;
} pri_inserted;

/* Puts normalisations into the model. Left as they are: layers whose weights others read, that give
 * one position, or whose values are outputs. pri_inserted_clear. */
pare_status pri_insert_norms(pri_inserted *out, pare_model *model, const pare_data *images);
/* Folds them into the convolutions again and takes them out; the images tell open sizes. */
pare_status pri_fold_norms(pri_inserted *inserted, pare_model *model, const pare_data *images);
void pri_inserted_clear(pri_inserted *inserted);

/* pare_train with both round it. */
pare_status pri_train_with_norms(pare_model *model, const pare_data *train, const pare_data *val,
                                 const pare_train_options *options, pare_train_result *result);

#endif
