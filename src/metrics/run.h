/* SPDX-License-Identifier: Apache-2.0 */
/* run.h - running models over image sets: what evaluation, training and pruning share. */
#ifndef PRI_RUN_H
#define PRI_RUN_H

#include "data/data.h"
#include "engine/engine.h"

/* The model has one image input, of floats, that the images fit; its preprocessing says whether
 * channels come last. Open dimensions fit everything. */
pare_status pri_check_input(pare_model *model, const pare_data *data);
/* A copy whose open channels, height and width are those of the images (pare_model_free). */
pare_status pri_close_shape(pare_model **out, pare_model *model, const pare_data *data);
/* Opens the input dimensions of `model` again that are open in `like`. */
void pri_reopen_shape(pare_model *model, const pare_model *like);
/* An engine at options.batch, or at the model's declared batch where the graph is made for that. */
pare_status pri_batch_engine(pri_engine **out, pare_model *model, pri_engine_options options);
/* Seconds of forward passes of two models in turns: medians and quartiles, and quartiles of the
 * ratio second / first turn by turn. */
typedef struct pri_latency {
    double median[2], low[2], high[2];
    double ratio_low, ratio_high;
} pri_latency;
pare_status pri_measure_latency(pri_latency *out, pare_model *a, pare_model *b, int64_t batch,
                                int rounds);
/* Numbers from 0 to 1 in all float inputs, for measuring time: zeros would do as well but for
 * subnormal numbers, images do not matter. */
void pri_fill_inputs(pri_engine *engine, const pare_model *model);

#endif
