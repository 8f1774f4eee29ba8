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

static pare_status open_graph(pare_model **out, pri_graph *graph)
{
    pare_model *model = NULL;

    PRI_TRY(pri_model_from_graph(&model, graph));
    const pare_status status = pri_model_fold_weights(model);
    if (status != PARE_OK) {
        pare_model_free(model);
        return status;
    }
    *out = model;
    return PARE_OK;
}

pare_status pare_model_load(pare_model **out, pare_context *ctx, const char *path)
{
    pri_graph *graph = NULL;

    *out = NULL;
    PRI_TRY(pri_onnx_import(&graph, ctx, path));
    return open_graph(out, graph);
}

pare_status pare_model_parse(pare_model **out, pare_context *ctx, const void *bytes,
                             size_t size_bytes)
{
    pri_graph *graph = NULL;

    *out = NULL;
    PRI_TRY(pri_onnx_import_bytes(&graph, ctx, bytes, size_bytes, "memory", NULL));
    return open_graph(out, graph);
}

/* What was packed must read back: a guard against writing a file nobody can open. */
static pare_status check_bytes(const pare_model *model, const unsigned char *bytes, size_t size)
{
    pri_graph *graph = NULL;
    const pare_status status =
        pri_onnx_import_bytes(&graph, model->ctx, bytes, size, "the file about to be written", NULL);

    pri_graph_free(graph);
    return status;
}

pare_status pare_model_save(const pare_model *model, const char *path, bool replace)
{
    unsigned char *bytes = NULL;
    size_t size = 0;

    if (!replace && pri_file_exists(path))
        return pri_fail(model->ctx, PARE_ERROR_EXISTS, "'%s' exists; use --force to replace it",
                        path);
    PRI_TRY(pri_onnx_export_bytes(&bytes, &size, model->graph));
    pare_status status = check_bytes(model, bytes, size);
    if (status == PARE_OK)
        status = pri_file_write(model->ctx, path, bytes, size, replace);
    pri_free(bytes);
    return status;
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

pare_status pare_model_set_input_shape(pare_model *model, int index, int rank, const int64_t *dims)
{
    if (index < 0 || index >= model->graph->n_inputs || rank < 0 || rank > PRI_MAX_RANK)
        return pri_fail(model->ctx, PARE_ERROR_ARGUMENT, "the model has no input %d", index);
    pri_value *input = model->graph->inputs[index];
    if (input->has_shape && input->shape.rank != rank)
        return pri_fail(model->ctx, PARE_ERROR_SHAPE, "input '%s' has %d dimensions, not %d",
                        input->name, input->shape.rank, rank);
    input->has_shape = true;
    input->shape = pri_shape_of(rank, dims);
    input->is_changed = true;
    return PARE_OK;
}
