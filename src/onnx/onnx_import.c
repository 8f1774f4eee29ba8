/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_import.c - a ModelProto becomes a graph that remembers where everything came from. */
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "base/file.h"
#include "onnx/onnx_external.h"
#include "onnx/onnx_import.h"
#include "onnx/onnx_io.h"
#include "onnx/onnx_origin.h"
#include "onnx/onnx_subgraph.h"
#include "onnx/onnx_tensor.h"
#include "onnx/wire.h"

enum { MIN_OPSET = 7, MAX_OPSET = 21, MIN_IR = 3, MAX_IR = 10 };

void pri_onnx_retain(void *origin)
{
    atomic_fetch_add(&((pri_onnx_origin *)origin)->references, 1);
}

void pri_onnx_release(void *origin)
{
    pri_onnx_origin *o = origin;

    if (o == NULL || atomic_fetch_sub(&o->references, 1) > 1)
        return;
    onnx__model_proto__free_unpacked(o->model, NULL);
    pri_free(o);
}

/* --- Values --- */

static void read_type(pri_value *value, const Onnx__ValueInfoProto *info)
{
    value->info = info;
    if (info->type == NULL || info->type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE)
        return;
    const Onnx__TypeProto__Tensor *type = info->type->tensor_type;
    if (value->constant == NULL)
        value->dtype = (pri_dtype)type->elem_type;
    if (type->shape == NULL || type->shape->n_dim > PRI_MAX_RANK)
        return;
    value->has_shape = true;
    value->shape.rank = (int)type->shape->n_dim;
    for (size_t i = 0; i < type->shape->n_dim; i++) {
        const Onnx__TensorShapeProto__Dimension *dim = type->shape->dim[i];
        const bool is_fixed =
            dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE &&
            dim->dim_value >= 0;
        value->shape.dims[i] = is_fixed ? dim->dim_value : PRI_DYNAMIC;
        const bool is_named =
            dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM &&
            dim->dim_param != NULL && dim->dim_param[0] != '\0';
        value->symbols[i] = is_named ? dim->dim_param : NULL;
    }
}

static void warn_not_finite(pare_context *ctx, const pri_tensor *tensor, const char *name)
{
    const float *data = tensor->data;
    const int64_t count = pri_tensor_count(tensor);

    for (int64_t i = 0; tensor->dtype == PRI_F32 && i < count; i++) {
        if (isfinite(data[i]))
            continue;
        pri_log(ctx, PARE_LOG_WARNING, "weight '%s' holds NaN or infinity", name);
        return;
    }
}

static pare_status read_initializers(pri_importer *im)
{
    for (size_t i = 0; i < im->message->n_initializer; i++) {
        const Onnx__TensorProto *tensor = im->message->initializer[i];
        const char *name = pri_onnx_text(tensor->name);
        if (name[0] == '\0')
            return pri_fail(im->ctx, PARE_ERROR_FORMAT, "initialiser %zu has no name", i);
        if (pri_graph_find_value(im->graph, name) != NULL)
            return pri_fail(im->ctx, PARE_ERROR_FORMAT, "initialiser '%s' is defined twice", name);
        pri_value *value = pri_graph_add_value(im->graph, name);
        if (value == NULL)
            return PARE_ERROR_MEMORY;
        value->is_initializer = true;
        value->origin = tensor;
        value->dtype = (pri_dtype)tensor->data_type;
        PRI_TRY(pri_onnx_read_tensor(&value->constant, im->ctx, tensor, im->folder));
        if (value->constant != NULL)
            warn_not_finite(im->ctx, value->constant, name);
    }
    if (im->message->n_sparse_initializer > 0)
        return pri_fail(im->ctx, PARE_ERROR_UNSUPPORTED,
                        "the model has sparse initialisers; write them dense first");
    return PARE_OK;
}

static pare_status read_inputs(pri_importer *im)
{
    for (size_t i = 0; i < im->message->n_input; i++) {
        const Onnx__ValueInfoProto *info = im->message->input[i];
        const char *name = pri_onnx_text(info->name);
        pri_value *value = pri_graph_find_value(im->graph, name);
        if (value != NULL && value->is_initializer) {
            value->is_listed_input = true;
            value->info = info;
            continue;
        }
        if (value != NULL || name[0] == '\0')
            return pri_fail(im->ctx, PARE_ERROR_FORMAT, "input '%s' is defined twice", name);
        value = pri_graph_add_value(im->graph, name);
        if (value == NULL)
            return PARE_ERROR_MEMORY;
        read_type(value, info);
        const pri_shape shape = value->shape;
        PRI_TRY(
            pri_graph_add_input(im->graph, value, value->dtype, value->has_shape ? &shape : NULL));
    }
    return PARE_OK;
}

static pare_status read_outputs(pri_importer *im)
{
    for (size_t i = 0; i < im->message->n_output; i++) {
        const Onnx__ValueInfoProto *info = im->message->output[i];
        pri_value *value = pri_graph_find_value(im->graph, pri_onnx_text(info->name));
        if (value == NULL ||
            (value->producer == NULL && value->constant == NULL && !value->is_input))
            return pri_fail(im->ctx, PARE_ERROR_FORMAT, "nothing makes the output '%s'",
                            pri_onnx_text(info->name));
        if (value->is_output)
            return pri_fail(im->ctx, PARE_ERROR_FORMAT, "output '%s' is listed twice", value->name);
        const pri_dtype dtype = value->dtype;
        read_type(value, info);
        if (value->dtype == PRI_UNDEFINED)
            value->dtype = dtype;
        const pri_shape shape = value->shape;
        PRI_TRY(
            pri_graph_add_output(im->graph, value, value->dtype, value->has_shape ? &shape : NULL));
    }
    for (size_t i = 0; i < im->message->n_value_info; i++) {
        const Onnx__ValueInfoProto *info = im->message->value_info[i];
        pri_value *value = pri_graph_find_value(im->graph, pri_onnx_text(info->name));
        if (value != NULL && !value->is_input && !value->is_output && !value->is_initializer)
            read_type(value, info);
    }
    return PARE_OK;
}

/* --- The model --- */

static pare_status read_versions(pri_graph *graph, pare_context *ctx, const Onnx__ModelProto *model)
{
    graph->ir_version = model->ir_version;
    graph->opset = 0;
    if (model->graph == NULL)
        return pri_fail(ctx, PARE_ERROR_FORMAT, "it holds no graph");
    for (size_t i = 0; i < model->n_opset_import; i++) {
        const char *domain = pri_onnx_text(model->opset_import[i]->domain);
        const int64_t version = model->opset_import[i]->version;
        if (domain[0] == '\0' || strcmp(domain, "ai.onnx") == 0)
            graph->opset = version > 0 && version < INT32_MAX ? (int)version : 0;
    }
    if (model->ir_version < MIN_IR)
        return pri_fail(ctx, PARE_ERROR_UNSUPPORTED,
                        "IR version %lld is too old; supported: %d to %d; re-export the model",
                        (long long)model->ir_version, MIN_IR, MAX_IR);
    if (model->ir_version > MAX_IR)
        pri_log(ctx, PARE_LOG_WARNING,
                "'%s' has IR version %lld, newer than %d: read as far as known", graph->source,
                (long long)model->ir_version, MAX_IR);
    if (graph->opset > MAX_OPSET)
        pri_log(ctx, PARE_LOG_WARNING,
                "'%s' is in opset %d, newer than %d: it can be looked at and written, not run",
                graph->source, graph->opset, MAX_OPSET);
    if (graph->opset > 0 && graph->opset < MIN_OPSET)
        return pri_fail(ctx, PARE_ERROR_UNSUPPORTED,
                        "unsupported opset %d of ai.onnx; supported: %d to %d; re-export the model",
                        graph->opset, MIN_OPSET, MAX_OPSET);
    return PARE_OK;
}

static pare_status read_model(pri_importer *im, const Onnx__ModelProto *model)
{
    pri_graph *graph = im->graph;

    PRI_TRY(read_versions(graph, im->ctx, model));
    im->message = model->graph;
    graph->name = pri_arena_strdup(graph->arena, pri_onnx_text(model->graph->name));
    if (graph->name == NULL)
        return PARE_ERROR_MEMORY;
    PRI_TRY(read_initializers(im));
    PRI_TRY(read_inputs(im));
    for (size_t i = 0; i < model->graph->n_node; i++)
        PRI_TRY(pri_onnx_read_node(im, model->graph->node[i]));
    PRI_TRY(pri_onnx_read_implicit(im->graph));
    PRI_TRY(read_outputs(im));
    for (size_t i = 0; i < model->n_metadata_props; i++)
        PRI_TRY(pri_graph_set_metadata(graph, pri_onnx_text(model->metadata_props[i]->key),
                                       pri_onnx_text(model->metadata_props[i]->value)));
    graph->metadata_changed = false;
    return pri_graph_sort(graph);
}

static pare_status import_checked(pri_graph **out, pare_context *ctx, const unsigned char *bytes,
                                  size_t size_bytes, const char *name, const char *folder)
{
    pri_importer im = {.ctx = ctx, .folder = folder};

    PRI_TRY(pri_wire_check(ctx, bytes, size_bytes, PRI_ONNX_MAX_NESTING));
    Onnx__ModelProto *model = onnx__model_proto__unpack(NULL, size_bytes, bytes);
    if (model == NULL)
        return pri_fail(ctx, PARE_ERROR_FORMAT, "its fields do not follow the ONNX schema");
    pri_onnx_origin *origin = pri_alloc(ctx, 1, sizeof *origin);
    pare_status status = origin != NULL ? pri_graph_new(&im.graph, ctx) : PARE_ERROR_MEMORY;
    if (status != PARE_OK) {
        pri_free(origin);
        onnx__model_proto__free_unpacked(model, NULL);
        return status;
    }
    atomic_init(&origin->references, 1);
    origin->model = model;
    origin->has_external = false;
    im.graph->origin = origin;
    im.graph->retain_origin = pri_onnx_retain;
    im.graph->release_origin = pri_onnx_release;
    im.graph->source = pri_arena_strdup(im.graph->arena, name);
    status = im.graph->source != NULL
                 ? pri_onnx_take_inside(&origin->has_external, ctx, model, folder)
                 : PARE_ERROR_MEMORY;
    if (status == PARE_OK)
        status = read_model(&im, model);
    if (status != PARE_OK) {
        pri_graph_free(im.graph);
        return status;
    }
    *out = im.graph;
    return PARE_OK;
}

pare_status pri_onnx_import_bytes(pri_graph **out, pare_context *ctx, const void *bytes,
                                  size_t size_bytes, const char *name, const char *folder)
{
    *out = NULL;
    if (size_bytes == 0)
        return pri_fail(ctx, PARE_ERROR_FORMAT, "'%s' is empty", name);
    const pare_status status = import_checked(out, ctx, bytes, size_bytes, name, folder);
    if (status != PARE_OK)
        pri_note(ctx, "while reading '%s' as an ONNX model", name);
    return status;
}

pare_status pri_onnx_import(pri_graph **out, pare_context *ctx, const char *path)
{
    pri_bytes bytes = {0};

    *out = NULL;
    PRI_TRY(pri_file_read(&bytes, ctx, path));
    char *folder = pri_folder_of(ctx, path);
    const pare_status status =
        folder != NULL ? pri_onnx_import_bytes(out, ctx, bytes.data, bytes.size_bytes, path, folder)
                       : PARE_ERROR_MEMORY;
    pri_free(folder);
    pri_bytes_clear(&bytes);
    return status;
}
