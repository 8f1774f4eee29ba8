/* SPDX-License-Identifier: Apache-2.0 */
/* model_io.c - loading, saving and looking at models. */
#include <string.h>

#include "base/file.h"
#include "model/model.h"
#include "onnx/onnx_io.h"

const char *pare_version(void)
{
    return PARE_VERSION;
}

static pare_status make_loaded(pare_model **out, pri_graph *graph)
{
    PRI_TRY(pri_model_from_graph(out, graph));
    const pare_status status = pri_model_derive(*out);
    if (status != PARE_OK) {
        pare_model_free(*out);
        *out = NULL;
    }
    return status;
}

pare_status pare_model_load(pare_model **out, pare_context *ctx, const char *path)
{
    pri_graph *graph = NULL;

    *out = NULL;
    PRI_TRY(pri_onnx_import(&graph, ctx, path));
    return make_loaded(out, graph);
}

pare_status pare_model_parse(pare_model **out, pare_context *ctx, const void *bytes,
                             size_t size_bytes)
{
    pri_graph *graph = NULL;

    *out = NULL;
    PRI_TRY(pri_onnx_import_bytes(&graph, ctx, bytes, size_bytes, "memory", NULL));
    return make_loaded(out, graph);
}

pare_status pare_model_save(const pare_model *model, const char *path, bool replace)
{
    return pri_onnx_save(model->graph, path, replace);
}

pare_status pare_model_clone(pare_model **out, const pare_model *model)
{
    pri_graph *graph = NULL;

    *out = NULL;
    PRI_TRY(pri_graph_clone(&graph, model->graph));
    return pri_model_from_graph(out, graph);
}

void pare_model_free(pare_model *model)
{
    if (model == NULL)
        return;
    pri_graph_free(model->graph);
    pri_free(model);
}

const char *pare_model_metadata(const pare_model *model, const char *key)
{
    return pri_graph_metadata(model->graph, key);
}

pare_status pare_model_set_metadata(pare_model *model, const char *key, const char *value)
{
    return pri_graph_set_metadata(model->graph, key, value);
}

/* --- Shapes and names --- */

static int copy_shape(const pri_value *value, int64_t dims[PARE_MAX_RANK])
{
    if (!value->has_shape)
        return -1;
    memcpy(dims, value->shape.dims, (size_t)value->shape.rank * sizeof *dims);
    return value->shape.rank;
}

int pare_model_input_shape(const pare_model *model, int index, int64_t dims[PARE_MAX_RANK])
{
    if (index < 0 || index >= model->graph->n_inputs)
        return -1;
    return copy_shape(model->graph->inputs[index], dims);
}

int pare_model_output_shape(const pare_model *model, int index, int64_t dims[PARE_MAX_RANK])
{
    if (index < 0 || index >= model->graph->n_outputs)
        return -1;
    return copy_shape(model->graph->outputs[index], dims);
}

const char *pare_model_input_name(const pare_model *model, int index)
{
    return index >= 0 && index < model->graph->n_inputs ? model->graph->inputs[index]->name : NULL;
}

const char *pare_model_output_name(const pare_model *model, int index)
{
    return index >= 0 && index < model->graph->n_outputs ? model->graph->outputs[index]->name
                                                         : NULL;
}
