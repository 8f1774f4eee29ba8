/* SPDX-License-Identifier: Apache-2.0 */
/* run.h - running models over image sets: what evaluation, training and pruning share. */
#ifndef PRI_RUN_H
#define PRI_RUN_H

#include "data/data.h"
#include "engine/engine.h"

/* The model has one image input that the images fit; its preprocessing says whether channels come
 * last. Open dimensions fit everything. */
pare_status pri_check_input(pare_model *model, const pare_data *data);
/* A copy whose open channels, height and width are those of the images (pare_model_free). */
pare_status pri_close_shape(pare_model **out, pare_model *model, const pare_data *data);
/* Opens the input dimensions of `model` again that are open in `like`. */
void pri_reopen_shape(pare_model *model, const pare_model *like);
/* An engine at options.batch, or at the model's declared batch where the graph is made for that. */
pare_status pri_batch_engine(pri_engine **out, pare_model *model, pri_engine_options options);
/* Numbers from 0 to 1 in all float inputs, for measuring time: zeros would do as well but for subnormal
 * numbers, images do not matter. */
void pri_fill_inputs(pri_engine *engine, const pare_model *model);

#endif
