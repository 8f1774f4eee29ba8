/* SPDX-License-Identifier: Apache-2.0 */
/* reconstruct.h - all weights together, fitted to what the original computes. */
#ifndef PRI_RECONSTRUCT_H
#define PRI_RECONSTRUCT_H

#include "data/data.h"
#include "model/model.h"

/* Lowers the squared differences between `model` and `original` on the images, without labels: of
 * all outputs, and of the sums of residual connections (engine/twin.h). AdamW without decay and a
 * cosine schedule, `passes` times over seven eighths of the images, flipped, shifted and blended;
 * normalisation statistics stay. The weights kept are the best seen on the last eighth, the first
 * ones included, so the model never gets worse there. The images should be in random order. `bf16`:
 * see pri_engine_options. */
pare_status pri_reconstruct(pare_model *model, pare_model *original, const pare_data *data,
                            const pri_preprocess *preprocess, int passes, bool bf16, uint64_t seed);

#endif
