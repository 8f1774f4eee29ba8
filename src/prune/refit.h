/* SPDX-License-Identifier: Apache-2.0 */
/* refit.h - least squares after pruning. */
#ifndef PRI_REFIT_H
#define PRI_REFIT_H

#include "data/data.h"
#include "groups/groups.h"

/* Fits each layer of `masked` (a clone of the analysed model in which removed units are masked), in
 * order, so that on its own, already pruned inputs it gives what the original gave: ridge regression
 * centred on its weights, lambda = 1e-3 of the mean diagonal, with intercept where a bias or a
 * normalisation behind it can hold one. */
pare_status pri_refit(pare_model *masked, const pri_groups *groups, const bool *removed,
                      const pare_data *data, const pri_preprocess *preprocess);

#endif
