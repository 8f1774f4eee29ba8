/* SPDX-License-Identifier: Apache-2.0 */
/* session.c - an engine behind the public interface; see include/pare/run.h. */
#include <pare/run.h>

#include <string.h>

#include "metrics/run.h"

struct pare_session {
    pare_model *model; /* a copy that shares weights, so that the caller's may change */
    pri_engine *engine;
};

const char *pare_type_name(pare_type type)
{
    return pri_dtype_name((pri_dtype)type);
}

static pare_status check_options(const pare_model *model, const pare_session_options *options)
{
    if (options->batch >= 0 && options->batch <= INT32_MAX)
        return PARE_OK;
    return pri_fail(model->ctx, PARE_ERROR_ARGUMENT, "a batch of %lld makes no sense",
                    (long long)options->batch);
}

static pare_status open_session(pare_session *session, const pare_model *model,
                                const pare_session_options *options)
{
    PRI_TRY(check_options(model, options));
    PRI_TRY(pare_model_clone(&session->model, model));
    if (options->images != NULL) {
        pare_model *open = session->model;
        const pare_status status = pri_close_shape(&session->model, open, options->images);
        pare_model_free(open);
        PRI_TRY(status);
    }
    return pri_batch_engine(&session->engine, session->model,
                            (pri_engine_options){.batch = options->batch});
}

pare_status pare_session_new(pare_session **out, const pare_model *model,
                             const pare_session_options *options)
{
    const pare_session_options defaults = {0};
    pare_session *session = pri_alloc(model->ctx, 1, sizeof *session);

    *out = NULL;
    if (session == NULL)
        return PARE_ERROR_MEMORY;
    const pare_status status = open_session(session, model, options != NULL ? options : &defaults);
    if (status != PARE_OK) {
        pare_session_free(session);
        return status;
    }
    *out = session;
    return PARE_OK;
}

void pare_session_free(pare_session *session)
{
    if (session == NULL)
        return;
    pri_engine_free(session->engine);
    pare_model_free(session->model);
    pri_free(session);
}

static void fill(pare_tensor *out, const pri_value *value, pri_dtype dtype, pri_shape shape,
                 void *data)
{
    *out = (pare_tensor){
        .name = value->name, .type = (pare_type)dtype, .rank = shape.rank, .data = data};
    memcpy(out->dims, shape.dims, sizeof out->dims);
    out->size_bytes = (size_t)pri_shape_count(&shape) * pri_dtype_bytes(dtype);
}

bool pare_session_input(pare_tensor *out, const pare_session *session, int index)
{
    const pri_graph *graph = session->model->graph;

    if (index < 0 || index >= graph->n_inputs)
        return false;
    fill(out, graph->inputs[index], pri_dtype_run(graph->inputs[index]->dtype),
         pri_engine_input_shape(session->engine, index), pri_engine_input(session->engine, index));
    return true;
}

bool pare_session_output(pare_tensor *out, const pare_session *session, int index)
{
    const pri_graph *graph = session->model->graph;

    if (index < 0 || index >= graph->n_outputs)
        return false;
    fill(out, graph->outputs[index], pri_engine_output_dtype(session->engine, index),
         pri_engine_output_shape(session->engine, index),
         (void *)(uintptr_t)pri_engine_output(session->engine, index));
    return true;
}

int pare_session_find_input(const pare_session *session, const char *name)
{
    const pri_graph *graph = session->model->graph;

    for (int k = 0; k < graph->n_inputs; k++) {
        if (strcmp(graph->inputs[k]->name, name) == 0)
            return k;
    }
    return -1;
}

pare_status pare_session_set_images(pare_session *session, const pare_data *images, int64_t from)
{
    pare_context *ctx = session->model->ctx;
    const int64_t batch = pri_engine_batch(session->engine);
    pri_preprocess preprocess;

    PRI_TRY(pri_check_input(session->model, images));
    PRI_TRY(pri_preprocess_of(&preprocess, session->model));
    if (from < 0 || from >= images->count)
        return pri_fail(ctx, PARE_ERROR_ARGUMENT, "there is no image %lld; the set holds %lld",
                        (long long)from, (long long)images->count);
    int64_t *order = pri_alloc(ctx, (size_t)batch, sizeof *order);
    if (order == NULL)
        return PARE_ERROR_MEMORY;
    for (int64_t i = 0; i < batch; i++)
        order[i] = pri_min_i64(from + i, images->count - 1);
    const pare_status status = pri_data_batch(images, &preprocess, order, batch, NULL, 0,
                                              pri_engine_input(session->engine, 0), NULL, NULL);
    pri_free(order);
    return status;
}

pare_status pare_session_run(pare_session *session)
{
    return pri_engine_forward(session->engine);
}
