/* SPDX-License-Identifier: Apache-2.0 */
/* objective.h - what each kind of head is trained for: terms of the loss and weights of classes. */
#ifndef PRI_OBJECTIVE_H
#define PRI_OBJECTIVE_H

#include <pare/train.h>

#include "train/heads.h"
#include "train/loss.h"

/* Of the class head [0] and the mask head [1]. */
typedef struct pri_objective {
    pri_loss_mix mix[2];
    float *weights[2]; /* a number a class; NULL: all count alike */
    bool is_plain;     /* nothing but cross-entropy: validation's likelihood is the loss */
} pri_objective;

/* Reads the losses and tells the heads of the view how many labels they can have; heads of one
 * output take "bce" where no loss is stated. */
pare_status pri_objective_open(pri_objective *out, pri_view *view,
                               const pare_train_options *options);
/* Reads or counts the weights of classes, once the view has only the heads that are trained. */
pare_status pri_objective_weigh(pri_objective *objective, const pri_view *view,
                                const pare_data *data, const char *weights);
void pri_objective_close(pri_objective *objective);

#endif
