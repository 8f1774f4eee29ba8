/* SPDX-License-Identifier: Apache-2.0 */
/* criteria.h - how much each unit matters: one score a unit, larger stays. */
#ifndef PRI_CRITERIA_H
#define PRI_CRITERIA_H

#include "data/data.h"
#include "groups/groups.h"

pare_status pri_score_random(double *scores, const pri_groups *groups, uint64_t seed);
pare_status pri_score_magnitude(double *scores, const pri_groups *groups);
/* PARE_ERROR_UNSUPPORTED when the model has no normalisation at all. */
pare_status pri_score_bn_scale(double *scores, const pri_groups *groups);
/* Sums a g over a unit's consumer edges and positions, for each image; squares (Gauss-Newton, with
 * random projections) or takes absolute values (Taylor, with the labels' log-likelihood). */
pare_status pri_score_gradient(double *scores, const pri_groups *groups, const pare_data *data,
                               const pri_preprocess *preprocess, bool gauss_newton, uint64_t seed);
/* Structured OBS cost of a unit's input blocks, summed over its consumers. */
pare_status pri_score_obs(double *scores, const pri_groups *groups, const pare_data *data,
                          const pri_preprocess *preprocess);

#endif
