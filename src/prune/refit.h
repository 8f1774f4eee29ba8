/* SPDX-License-Identifier: Apache-2.0 */
/* refit.h - least squares after pruning, layer by layer. */
#ifndef PRI_REFIT_H
#define PRI_REFIT_H

#include "data/data.h"
#include "groups/groups.h"

typedef enum pri_refit_kind {
    PRI_REFIT_INTERCEPT, /* biases only: the mean of what is gone is folded into its consumers */
    PRI_REFIT_WEIGHTS    /* weights and biases */
} pri_refit_kind;

/* Fits each layer of `masked` (a clone of the analysed model in which removed units are masked), in
 * order, so that on its own, already pruned inputs it gives what `original` gave (a model of the
 * same ids): ridge regression centred on its weights, the ridge of pri_ridge, with intercept where
 * a bias or a normalisation behind it can hold one. A layer whose output is added to a shortcut
 * also makes up for the error the shortcut carries already. Layers before the first removed unit
 * stay as they are. */
pare_status pri_refit(pare_model *masked, pare_model *original, const pri_groups *groups,
                      const bool *removed, const pare_data *data, const pri_preprocess *preprocess,
                      pri_refit_kind kind);

#endif
