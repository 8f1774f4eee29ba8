/* SPDX-License-Identifier: Apache-2.0 */
/*
 * onnx_export.c - a graph becomes a ModelProto again.
 *
 * The new message is a shallow copy of the one the graph came from: lists are laid
 * out anew in a temporary arena, their items are the old messages wherever nothing
 * changed. Nothing of the origin is written to.
 */
#include "onnx/onnx_export.h"

/* --- The model --- */

static pare_status add_metadata(pri_exporter *ex, const char *key, const char *value)
{
    Onnx__StringStringEntryProto *entry = PRI_NEW(ex->arena, Onnx__StringStringEntryProto);

    if (entry == NULL)
        return PARE_ERROR_MEMORY;
    onnx__string_string_entry_proto__init(entry);
    entry->key = pri_as_mutable(key);
    entry->value = pri_as_mutable(value);
    ex->model->metadata_props[ex->model->n_metadata_props++] = entry;
    return PARE_OK;
}

/* After the initialisers: the data file is named where there is one, an earlier save's is not. */
static pare_status write_metadata(pri_exporter *ex)
{
    const pri_graph *g = ex->graph;
    Onnx__ModelProto *model = ex->model;
    const bool has_data = ex->external != NULL && ex->external->n_parts > 0;

    if (!g->metadata_changed && g->origin != NULL && !has_data &&
        pri_graph_metadata(g, PRI_ONNX_DATA_KEY) == NULL)
        return PARE_OK;
    model->metadata_props =
        pri_arena_alloc(ex->arena, (size_t)g->n_metadata + 1, sizeof *model->metadata_props);
    if (model->metadata_props == NULL)
        return PARE_ERROR_MEMORY;
    model->n_metadata_props = 0;
    for (int i = 0; i < g->n_metadata; i++) {
        if (strcmp(g->metadata[i].key, PRI_ONNX_DATA_KEY) != 0)
            PRI_TRY(add_metadata(ex, g->metadata[i].key, g->metadata[i].value));
    }
    return has_data ? add_metadata(ex, PRI_ONNX_DATA_KEY, ex->external->location) : PARE_OK;
}

static pare_status new_model(pri_exporter *ex)
{
    Onnx__ModelProto *model = ex->model;
    Onnx__OperatorSetIdProto *opset = PRI_NEW(ex->arena, Onnx__OperatorSetIdProto);
    Onnx__OperatorSetIdProto **list = PRI_NEW(ex->arena, Onnx__OperatorSetIdProto *);

    onnx__model_proto__init(model);
    if (opset == NULL || list == NULL)
        return PARE_ERROR_MEMORY;
    onnx__operator_set_id_proto__init(opset);
    opset->domain = pri_arena_strdup(ex->arena, "");
    opset->has_version = 1;
    opset->version = ex->graph->opset;
    list[0] = opset;
    model->n_opset_import = 1;
    model->opset_import = list;
    model->has_ir_version = 1;
    model->ir_version = ex->graph->ir_version;
    model->producer_name = pri_arena_strdup(ex->arena, "pare");
    model->producer_version = pri_arena_strdup(ex->arena, pare_version());
    return PARE_OK;
}

static pare_status write_model(pri_exporter *ex)
{
    const pri_graph *g = ex->graph;
    const pri_onnx_origin *origin = g->origin;
    Onnx__GraphProto *graph = PRI_NEW(ex->arena, Onnx__GraphProto);

    ex->model = PRI_NEW(ex->arena, Onnx__ModelProto);
    if (ex->model == NULL || graph == NULL)
        return PARE_ERROR_MEMORY;
    onnx__graph_proto__init(graph);
    if (origin != NULL) {
        *ex->model = *origin->model;
        *graph = *origin->model->graph;
    } else {
        PRI_TRY(new_model(ex));
        graph->name = pri_as_mutable(g->name[0] != '\0' ? g->name : "pare");
    }
    ex->model->graph = graph;
    PRI_TRY(pri_onnx_find_stated(ex));
    PRI_TRY(pri_onnx_write_nodes(ex, graph));
    PRI_TRY(pri_onnx_write_initializers(ex, graph));
    PRI_TRY(pri_onnx_write_infos(ex, graph));
    return write_metadata(ex);
}

/* What protobuf can read back. */
static const size_t MAX_FILE_BYTES = INT32_MAX;

/* Packs ex->model. */
static pare_status pack(unsigned char **bytes, size_t *size_bytes, const pri_exporter *ex)
{
    pare_context *ctx = ex->graph->ctx;

    *size_bytes = onnx__model_proto__get_packed_size(ex->model);
    if (*size_bytes > MAX_FILE_BYTES)
        return pri_fail(ctx, PARE_ERROR_UNSUPPORTED,
                        "the model needs %zu bytes; a single ONNX file holds at most 2 GiB",
                        *size_bytes);
    *bytes = pri_alloc(ctx, *size_bytes, 1);
    if (*bytes == NULL)
        return PARE_ERROR_MEMORY;
    onnx__model_proto__pack(ex->model, *bytes);
    return PARE_OK;
}

pare_status pri_onnx_export_bytes(unsigned char **bytes, size_t *size_bytes, const pri_graph *graph)
{
    pri_exporter ex = {.graph = graph};

    *bytes = NULL;
    PRI_TRY(pri_arena_new(&ex.arena, graph->ctx));
    pare_status status = write_model(&ex);
    if (status == PARE_OK)
        status = pack(bytes, size_bytes, &ex);
    pri_arena_free(ex.arena);
    return status;
}

pare_status pri_onnx_measure(size_t *size_bytes, const pri_graph *graph)
{
    pri_exporter ex = {.graph = graph};

    PRI_TRY(pri_arena_new(&ex.arena, graph->ctx));
    const pare_status status = write_model(&ex);
    if (status == PARE_OK)
        *size_bytes = onnx__model_proto__get_packed_size(ex.model);
    pri_arena_free(ex.arena);
    return status;
}

/* --- Files --- */

/* What was packed must read back: a guard against writing a file nobody can open. */
static pare_status check_bytes(pare_context *ctx, const unsigned char *bytes, size_t size_bytes,
                               const char *folder)
{
    pri_graph *graph = NULL;
    const pare_status status = pri_onnx_import_bytes(&graph, ctx, bytes, size_bytes,
                                                     "the file about to be written", folder);

    pri_graph_free(graph);
    return status;
}

/* *is_written: false where one file cannot hold the model. */
static pare_status save_alone(bool *is_written, const pri_graph *graph, const char *path,
                              bool replace)
{
    pri_exporter ex = {.graph = graph};
    unsigned char *bytes = NULL;
    size_t size = 0;
    pare_status status = PARE_OK;

    *is_written = true;
    PRI_TRY(pri_arena_new(&ex.arena, graph->ctx));
    PRI_CHECK(write_model(&ex), status, done);
    *is_written = onnx__model_proto__get_packed_size(ex.model) <= MAX_FILE_BYTES;
    if (!*is_written)
        goto done;
    PRI_CHECK(pack(&bytes, &size, &ex), status, done);
    PRI_CHECK(check_bytes(graph->ctx, bytes, size, NULL), status, done);
    status = pri_file_write(graph->ctx, path, bytes, size, replace);
done:
    pri_free(bytes);
    pri_arena_free(ex.arena);
    return status;
}

/* The data file has a name of its own, so the old model stays whole until the new one is renamed
 * over it. */
static pare_status write_both(pri_exporter *ex, const char *path, const char *data_path,
                              bool replace)
{
    pare_context *ctx = ex->graph->ctx;
    const pri_onnx_external *external = ex->external;
    unsigned char *bytes = NULL;
    size_t size = 0;

    PRI_TRY(write_model(ex));
    PRI_TRY(pack(&bytes, &size, ex));
    pare_status status = PARE_OK;
    if (external->n_parts > 0)
        status = pri_file_write_parts(ctx, data_path, external->parts, external->n_parts, false);
    if (status == PARE_OK) {
        char *folder = pri_folder_of(ctx, path);
        status = folder != NULL ? check_bytes(ctx, bytes, size, folder) : PARE_ERROR_MEMORY;
        pri_free(folder);
        if (status == PARE_OK)
            status = pri_file_write(ctx, path, bytes, size, replace);
        if (status != PARE_OK && external->n_parts > 0)
            pri_file_remove(data_path);
    }
    pri_free(bytes);
    return status;
}

static pare_status save_split(const pri_graph *graph, const char *path, bool replace)
{
    pri_onnx_external external = {0};
    pri_exporter ex = {.graph = graph, .external = &external};
    char *data_path = NULL;
    pare_status status = PARE_OK;

    PRI_CHECK(pri_arena_new(&ex.arena, graph->ctx), status, done);
    PRI_CHECK(pri_onnx_external_init(&external, graph->ctx, path), status, done);
    data_path = pri_onnx_external_path(&external, path);
    status = data_path != NULL ? write_both(&ex, path, data_path, replace) : PARE_ERROR_MEMORY;
done:
    pri_free(data_path);
    pri_onnx_external_clear(&external);
    pri_arena_free(ex.arena);
    return status;
}

pare_status pri_onnx_save(const pri_graph *graph, const char *path, bool replace)
{
    const pri_onnx_origin *origin = graph->origin;
    pare_status status = PARE_OK;
    bool is_written = false;

    if (!replace && pri_file_exists(path))
        return pri_fail(graph->ctx, PARE_ERROR_EXISTS, "'%s' exists; use --force to replace it",
                        path);
    char *old = pri_onnx_old_external(graph->ctx, path);
    if (origin == NULL || !origin->has_external)
        status = save_alone(&is_written, graph, path, replace);
    if (status == PARE_OK && !is_written)
        status = save_split(graph, path, replace);
    if (status == PARE_OK && old != NULL)
        pri_file_remove(old);
    pri_free(old);
    return status;
}

void pri_onnx_remove(pare_context *ctx, const char *path)
{
    char *data_path = pri_onnx_old_external(ctx, path);

    pri_file_remove(path);
    if (data_path != NULL)
        pri_file_remove(data_path);
    pri_free(data_path);
}
