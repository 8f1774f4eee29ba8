/* SPDX-License-Identifier: Apache-2.0 */
/* run.c - see run.h. */
#include "metrics/run.h"

#include "base/random.h"

static bool fits(int64_t declared, int64_t actual)
{
    return declared < 0 || declared == actual;
}

pare_status pri_check_input(pare_model *model, const pare_data *data)
{
    const pri_graph *graph = model->graph;
    pri_preprocess preprocess;

    if (graph->n_inputs != 1 || graph->n_outputs < 1)
        return pri_fail(model->ctx, PARE_ERROR_UNSUPPORTED,
                        "the model has %d inputs; pare evaluates models with one image input",
                        graph->n_inputs);
    if (pri_dtype_run(graph->inputs[0]->dtype) != PRI_F32)
        return pri_fail(model->ctx, PARE_ERROR_UNSUPPORTED,
                        "input '%s' takes %s; pare gives images to inputs of floats only",
                        graph->inputs[0]->name, pri_dtype_name(graph->inputs[0]->dtype));
    PRI_TRY(pri_preprocess_of(&preprocess, model));
    const pri_shape *shape = &graph->inputs[0]->shape;
    const int channel_axis = preprocess.is_nhwc ? 3 : 1, row_axis = preprocess.is_nhwc ? 1 : 2;
    if (!graph->inputs[0]->has_shape || shape->rank != 4 ||
        !fits(shape->dims[channel_axis], data->channels) ||
        !fits(shape->dims[row_axis], data->height) ||
        !fits(shape->dims[row_axis + 1], data->width)) {
        char text[PRI_SHAPE_TEXT];
        return pri_fail(
            model->ctx, PARE_ERROR_SHAPE, "the model wants %s (%s), the images are %lldx%lldx%lld",
            pri_shape_text(text, shape), preprocess.is_nhwc ? "channels last" : "channels first",
            (long long)data->channels, (long long)data->height, (long long)data->width);
    }
    return PARE_OK;
}

pare_status pri_close_shape(pare_model **out, pare_model *model, const pare_data *data)
{
    pri_preprocess preprocess;

    *out = NULL;
    PRI_TRY(pri_check_input(model, data));
    PRI_TRY(pri_preprocess_of(&preprocess, model));
    PRI_TRY(pare_model_clone(out, model));
    const pri_shape *declared = &model->graph->inputs[0]->shape;
    if (declared->dims[1] >= 0 && declared->dims[2] >= 0 && declared->dims[3] >= 0)
        return PARE_OK;
    const int64_t batch = declared->dims[0];
    const int64_t first[4] = {batch, data->channels, data->height, data->width};
    const int64_t last[4] = {batch, data->height, data->width, data->channels};
    const pare_status status =
        pare_model_set_input_shape(*out, 0, 4, preprocess.is_nhwc ? last : first);
    if (status != PARE_OK) {
        pare_model_free(*out);
        *out = NULL;
    }
    return status;
}

void pri_reopen_shape(pare_model *model, const pare_model *like)
{
    for (int k = 0; k < model->graph->n_inputs && k < like->graph->n_inputs; k++) {
        pri_value *input = model->graph->inputs[k];
        const pri_value *other = like->graph->inputs[k];
        if (!other->has_shape || input->shape.rank != other->shape.rank)
            continue;
        for (int a = 0; a < input->shape.rank; a++) {
            if (other->shape.dims[a] >= 0 || input->shape.dims[a] < 0)
                continue;
            input->shape.dims[a] = other->shape.dims[a];
            input->is_changed = true;
        }
    }
}

void pri_fill_inputs(pri_engine *engine, const pare_model *model)
{
    for (int k = 0; k < model->graph->n_inputs; k++) {
        const pri_shape shape = pri_engine_input_shape(engine, k);
        float *x = pri_engine_input(engine, k);
        if (pri_dtype_run(model->graph->inputs[k]->dtype) != PRI_F32)
            continue;
        for (int64_t i = 0; i < pri_shape_count(&shape); i++)
            x[i] = (float)pri_random_unit(1, PRI_STREAM_ORACLE, (uint64_t)i);
    }
}

pare_status pri_batch_engine(pri_engine **out, pare_model *model, pri_engine_options options)
{
    pare_status status = pri_engine_new(out, model, &options);
    const pri_graph *graph = model->graph;

    if (status == PARE_ERROR_MEMORY || graph->n_inputs < 1 || options.batch <= 0)
        return status;
    const pri_shape *shape = &graph->inputs[0]->shape;
    if (shape->rank == 0 || shape->dims[0] <= 0 || options.batch == shape->dims[0])
        return status;
    if (status == PARE_OK && pri_engine_keeps_batch(*out))
        return PARE_OK;
    if (status == PARE_OK)
        pri_engine_free(*out);
    *out = NULL;
    options.batch = shape->dims[0];
    pri_forget(model->ctx);
    return pri_engine_new(out, model, &options);
}
