/* SPDX-License-Identifier: Apache-2.0 */
/* validate.h - the loss a network is trained for, on images it is not trained on. */
#ifndef PRI_VALIDATE_H
#define PRI_VALIDATE_H

#include "train/objective.h"

typedef struct pri_validation {
    double loss; /* mean over batches of the sum over heads, unsmoothed and without a teacher */
    double
        accuracy; /* of the class head, miou of the mask head, NAN without; a head of one output */
    double miou;  /* says 1 above logit 0, and scores NAN where its labels are numbers */
} pri_validation;

/* Runs the view without augmentation, as in inference. */
pare_status pri_validate(pri_validation *out, pri_view *view, const pri_objective *objective,
                         const pare_data *data, double mask_weight);

#endif
