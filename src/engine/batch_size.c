/* SPDX-License-Identifier: Apache-2.0 */
/* batch_size.c - how many images at once. */
#include "engine/engine.h"

/* Bytes of activations an image takes in an engine with these options, tried at options.batch.
 * Scratch, which all steps share and of which much does not grow with the batch, is left out. */
static pare_status bytes_an_image(double *out, pare_model *model, pri_engine_options options)
{
    pri_engine *engine = NULL;

    options.plan_only = true;
    PRI_TRY(pri_engine_new(&engine, model, &options));
    *out = ((double)pri_engine_activation_bytes(engine) + 1) / (double)options.batch;
    pri_engine_free(engine);
    return PARE_OK;
}

static bool runs_at(pare_model *model, pri_engine_options options)
{
    pri_engine *engine = NULL;

    options.plan_only = true;
    const bool does =
        pri_engine_new(&engine, model, &options) == PARE_OK && pri_engine_keeps_batch(engine);

    if (!does)
        pri_forget(model->ctx);
    pri_engine_free(engine);
    return does;
}

pare_status pri_batch_within(int64_t *batch, pare_model *model, pri_engine_options options,
                             double bytes)
{
    const pri_value *input = model->graph->n_inputs > 0 ? model->graph->inputs[0] : NULL;
    const int64_t declared =
        input != NULL && input->has_shape && input->shape.rank > 0 && input->shape.dims[0] > 0
            ? input->shape.dims[0]
            : 0;
    double one = 0;

    options.batch = declared > 0 ? declared : 1;
    PRI_TRY(bytes_an_image(&one, model, options));
    *batch = pri_max_i64(1, pri_min_i64(*batch, (int64_t)(bytes / one)));
    options.batch = *batch;
    if (declared > 0 && declared != *batch && !runs_at(model, options)) {
        *batch = declared;
        pri_log(
            model->ctx, PARE_LOG_DEBUG,
            "the model is made for batches of %lld: only so many images can be looked at at once",
            (long long)declared);
    }
    return PARE_OK;
}
