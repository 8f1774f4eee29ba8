/* SPDX-License-Identifier: Apache-2.0 */
/* surgeon.h - an order of units by optimal brain surgeon over all layers that read them. */
#ifndef PRI_SURGEON_H
#define PRI_SURGEON_H

#include "criteria/criteria.h"

/* Takes units away one after the other, always the one whose removal costs least (per unit of what
 * it saves, unless goal->ignore_cost; the group with the largest share left first with
 * goal->per_layer), lets the layers adapt and prices them anew, until the goal is passed. scores[u]
 * is the place in that order; units still there follow in the order of their cost.
 * `by_outputs` weighs each layer's output errors with the Gauss-Newton curvature of the network's
 * outputs (Kronecker-factored), so that layers are comparable; otherwise a layer's cost is relative
 * to its output energy. `masked` is the model as it is now, with `removed` units masked. */
pare_status pri_score_surgeon(double *scores, const pri_scoring *scoring, bool by_outputs);

#endif
