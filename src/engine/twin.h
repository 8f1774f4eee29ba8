/* SPDX-License-Identifier: Apache-2.0 */
/*
 * twin.h - two networks on the same inputs, one made from the other: how far inner values are
 * apart.
 *
 * A pair is a value that both have under one name: an output, or the sum of a residual connection,
 * where whatever the layers before it did has been added up. The loss is
 *
 *     sum over pairs of  weight * mean((own - other)^2) / mean(other^2)
 *
 * with the means over a batch (hints in the sense of Romero et al. 2015, section 2.2, without a
 * regressor). Where one network has lost channels (axis 1) of a sum, those left are compared with
 * the channels of the other that they go with best, in their order: what pruning leaves.
 */
#ifndef PRI_TWIN_H
#define PRI_TWIN_H

#include "engine/engine.h"

enum { PRI_TWIN_PAIRS = 256 };

typedef struct pri_twin_pair {
    pri_value *own, *other;
    double weight;
    double energy; /* mean square of what it is compared with */
    int *kept;     /* by channel of its own: the other's; NULL where both have the same; owned */
} pri_twin_pair;

typedef struct pri_twin {
    pare_context *ctx;
    pri_twin_pair pairs[PRI_TWIN_PAIRS];
    int n_pairs, n_outputs; /* outputs come first */
} pri_twin;

/* Finds the pairs; every output weighs 1, the sums together weigh 1. Outputs are left out where
 * `outputs` is false. No pair at all is no error. pri_twin_clear. */
pare_status pri_twin_find(pri_twin *out, pare_model *own, pare_model *other, bool outputs);
void pri_twin_clear(pri_twin *twin);
/* Fills a list of taps for the engine of a side: `own` or the other. At most PRI_TWIN_PAIRS. */
void pri_twin_taps(const pri_twin *twin, pri_value **taps, bool own);
/* After a forward pass of both engines, whose taps are the twin's, on the same inputs: finds which
 * channels go together (pairs whose channels do not match weigh nothing) and the energies. */
pare_status pri_twin_measure(pri_twin *twin, const pri_engine *own, const pri_engine *other);
/* Adds the loss of the last forward passes times `factor` to *loss. With `writes`, gradients are
 * added to those of the taps, where the engine's next backward starts. */
pare_status pri_twin_compare(double *loss, const pri_twin *twin, const pri_engine *own,
                             const pri_engine *other, double factor, bool writes);

#endif
