/* SPDX-License-Identifier: Apache-2.0 */
/*
 * twin.h - two networks on the same inputs, one made from the other: how far inner values are
 * apart.
 *
 * A pair is a value that both have under one name and in one shape: an output, or the sum of a
 * residual connection, where whatever the layers before it did has been added up. The loss is
 *
 *     sum over pairs of  weight * mean((own - other)^2) / mean(other^2)
 *
 * with the means over a batch (hints in the sense of Romero et al. 2015, section 2.2, without a
 * regressor, since channels keep their places).
 */
#ifndef PRI_TWIN_H
#define PRI_TWIN_H

#include "engine/engine.h"

enum { PRI_TWIN_PAIRS = 256 };

typedef struct pri_twin_pair {
    pri_value *own, *other;
    double weight;
    double energy; /* mean square of the other's value; the caller's to set, by pri_twin_measure */
} pri_twin_pair;

typedef struct pri_twin {
    pare_context *ctx;
    pri_twin_pair pairs[PRI_TWIN_PAIRS];
    int n_pairs, n_outputs; /* outputs come first */
} pri_twin;

/* Finds the pairs; every output weighs 1, the sums together weigh 1. Outputs are left out where
 * `outputs` is false. No pair at all is no error. */
pare_status pri_twin_find(pri_twin *out, pare_model *own, pare_model *other, bool outputs);
/* Fills a list of taps for the engine of a side: `own` or the other. At most PRI_TWIN_PAIRS. */
void pri_twin_taps(const pri_twin *twin, pri_value **taps, bool own);
/* Sets energies to those of the last forward pass of the other's engine, whose taps are the twin's.
 */
pare_status pri_twin_measure(pri_twin *twin, const pri_engine *other);
/* Adds the loss of the last forward passes times `factor` to *loss. With `writes`, gradients of
 * taps are set; the engine's next backward starts from them. */
pare_status pri_twin_compare(double *loss, const pri_twin *twin, const pri_engine *own,
                             const pri_engine *other, double factor, bool writes);

#endif
