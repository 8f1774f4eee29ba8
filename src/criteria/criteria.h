/* SPDX-License-Identifier: Apache-2.0 */
/* criteria.h - how much each unit matters: one score a unit, larger stays. */
#ifndef PRI_CRITERIA_H
#define PRI_CRITERIA_H

#include <pare/prune.h>

#include "data/data.h"
#include "groups/groups.h"

/* What is asked of a criterion. */
typedef struct pri_scoring {
    const pri_groups *groups;
    pare_model *masked;    /* clone of the analysed model, removed units masked, weights current */
    const bool *removed;   /* units gone already: their score is of no account */
    const pare_data *data; /* calibration images; NULL when there are none */
    const pri_preprocess *preprocess;
    pare_fisher fisher;
    pri_goal goal;
    uint64_t seed;
} pri_scoring;

pare_status pri_score_random(double *scores, const pri_scoring *scoring);
pare_status pri_score_magnitude(double *scores, const pri_scoring *scoring);
/* PARE_ERROR_UNSUPPORTED when the model has no normalisation at all. */
pare_status pri_score_bn_scale(double *scores, const pri_scoring *scoring);
/* Sums a g over a unit's consumer edges and positions, for each image; squares (group Fisher) or
 * takes absolute values (Taylor, with the labels' log-likelihood). */
pare_status pri_score_gradient(double *scores, const pri_scoring *scoring, bool is_taylor);

#endif
