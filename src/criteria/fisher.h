/* SPDX-License-Identifier: Apache-2.0 */
/* fisher.h - the gradients whose squares are the Fisher information of a network's outputs. */
#ifndef PRI_FISHER_H
#define PRI_FISHER_H

#include <pare/prune.h>

#include "data/data.h"
#include "engine/engine.h"

/* Images taken at once by passes that need gradients. */
enum { PRI_FISHER_BATCH = 64 };
/* Bytes of activations and gradients such a pass may use. */
#define PRI_FISHER_BYTES 2e9

/* Writes the gradients to send back from all float outputs after a forward pass of images
 * from .. from + count - 1 (the rest of the batch gets zero):
 *   Gauss-Newton  a random sign for each logit, mean over classes taken off: E g g' = I - 1/K
 *   true          softmax - onehot(label drawn from the softmax)
 *   empirical     softmax - onehot(label or mask of the data)
 * The classes of an output are its axis 1; where positions follow, each is a prediction of its own,
 * weighted by 1 / sqrt(positions) (Gauss-Newton, true) or 1 / positions. The model should have its
 * logits as outputs (pri_model_expose_logits). PARE_ERROR_DATA when labels are asked for and none
 * fits. */
pare_status pri_seed_gradients(pri_engine *engine, const pare_model *model, pare_fisher kind,
                               const pare_data *data, int64_t from, int64_t count, uint64_t seed,
                               uint64_t draw);

#endif
