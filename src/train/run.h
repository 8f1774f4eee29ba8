/* SPDX-License-Identifier: Apache-2.0 */
/* run.h - running models over image sets: what evaluation, training and pruning share. */
#ifndef PRI_RUN_H
#define PRI_RUN_H

#include "data/data.h"
#include "engine/engine.h"

/* The model has one image input that the images fit. */
pare_status pri_check_input(pare_model *model, const pare_data *data);
/* An engine at options.batch, or at the model's declared batch where the graph is made for that. */
pare_status pri_batch_engine(pri_engine **out, pare_model *model, pri_engine_options options);

#endif
