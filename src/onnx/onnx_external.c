/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_external.c - reading tensor data in files beside the model. */
#include "onnx/onnx_external.h"

#include <stdlib.h>
#include <string.h>

#include "onnx/onnx_import.h"
#include "onnx/wire.h"
#include "tensor/tensor.h"

bool pri_onnx_is_external(const Onnx__TensorProto *message)
{
    return message->has_data_location &&
           message->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
}

/* --- Where it lies --- */

typedef struct stated_place {
    const char *location;
    int64_t offset, length; /* length -1: not stated */
} stated_place;

static bool parse_number(int64_t *out, const char *text)
{
    char *end = NULL;
    const long long value = strtoll(text, &end, 10);

    *out = value;
    return end != text && *end == '\0' && value >= 0;
}

static pare_status read_place(stated_place *place, pare_context *ctx,
                              const Onnx__TensorProto *message)
{
    *place = (stated_place){.length = -1};
    for (size_t i = 0; i < message->n_external_data; i++) {
        const char *key = message->external_data[i]->key;
        const char *value = message->external_data[i]->value;
        bool ok = true;
        if (key == NULL || value == NULL)
            continue;
        if (strcmp(key, "location") == 0)
            place->location = value;
        else if (strcmp(key, "offset") == 0)
            ok = parse_number(&place->offset, value);
        else if (strcmp(key, "length") == 0)
            ok = parse_number(&place->length, value);
        if (!ok)
            return pri_fail(ctx, PARE_ERROR_FORMAT, "external data of '%s': %s '%s' is no number",
                            pri_onnx_text(message->name), key, value);
    }
    if (place->location == NULL || place->location[0] == '\0')
        return pri_fail(ctx, PARE_ERROR_FORMAT, "external data of '%s' has no location",
                        pri_onnx_text(message->name));
    return PARE_OK;
}

/* The real path of the file, which must lie below the model's folder. */
static pare_status resolve(char path[PATH_MAX], pare_context *ctx, const char *folder,
                           const char *location)
{
    char root[PATH_MAX];
    pare_status status = PARE_ERROR_FORMAT;

    char *joined = pri_path_join(ctx, folder, location);
    if (joined == NULL)
        return PARE_ERROR_MEMORY;
    if (location[0] == '/' || realpath(folder, root) == NULL)
        status = pri_fail(ctx, PARE_ERROR_FORMAT,
                          "external data '%s' is not inside the model's folder", location);
    else if (realpath(joined, path) == NULL)
        status = pri_fail(ctx, PARE_ERROR_FILE, "external data '%s' is missing", joined);
    else if (strncmp(path, root, strlen(root)) != 0 ||
             (path[strlen(root)] != '/' && strcmp(root, "/") != 0))
        status = pri_fail(ctx, PARE_ERROR_FORMAT,
                          "external data '%s' is not inside the model's folder", location);
    else
        status = PARE_OK;
    pri_free(joined);
    return status;
}

pare_status pri_onnx_find_place(pri_onnx_place *out, pare_context *ctx,
                                const Onnx__TensorProto *message, const char *folder,
                                int64_t size_bytes)
{
    stated_place place;

    if (folder == NULL)
        return pri_fail(ctx, PARE_ERROR_UNSUPPORTED,
                        "tensor '%s' lies in an external file, which is not read from memory",
                        pri_onnx_text(message->name));
    PRI_TRY(read_place(&place, ctx, message));
    PRI_TRY(resolve(out->path, ctx, folder, place.location));
    const int64_t size = pri_file_size(out->path);
    out->offset = place.offset;
    out->size_bytes = size_bytes >= 0     ? size_bytes
                      : place.length >= 0 ? place.length
                                          : pri_max_i64(size - place.offset, 0);
    if (place.length >= 0 && place.length != out->size_bytes)
        return pri_fail(ctx, PARE_ERROR_FORMAT,
                        "tensor '%s' should hold %lld bytes, but its external data has %lld",
                        pri_onnx_text(message->name), (long long)out->size_bytes,
                        (long long)place.length);
    if (place.offset > size || out->size_bytes > size - place.offset)
        return pri_fail(ctx, PARE_ERROR_FORMAT,
                        "external data '%s' ends before the %lld bytes of '%s' at offset %lld",
                        place.location, (long long)out->size_bytes, pri_onnx_text(message->name),
                        (long long)place.offset);
    return PARE_OK;
}

/* --- Taking it inside --- */

typedef struct intake {
    pare_context *ctx;
    const char *folder;
    bool has_external;
} intake;

/* The message's memory is the unpacker's, which is malloc's. */
static pare_status take_tensor(intake *in, Onnx__TensorProto *message)
{
    pri_onnx_place place;

    if (message == NULL || !pri_onnx_is_external(message))
        return PARE_OK;
    in->has_external = true;
    PRI_TRY(pri_onnx_find_place(&place, in->ctx, message, in->folder, -1));
    unsigned char *data = malloc(place.size_bytes > 0 ? (size_t)place.size_bytes : 1);
    if (data == NULL)
        return pri_fail(in->ctx, PARE_ERROR_MEMORY, "out of memory: %lld bytes of external data",
                        (long long)place.size_bytes);
    const pare_status status =
        pri_file_read_part(data, in->ctx, place.path, place.offset, place.size_bytes);
    if (status != PARE_OK) {
        free(data);
        return status;
    }
    if (message->has_raw_data)
        free(message->raw_data.data);
    message->has_raw_data = 1;
    message->raw_data = (ProtobufCBinaryData){(size_t)place.size_bytes, data};
    message->has_data_location = 0;
    message->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__DEFAULT;
    for (size_t i = 0; i < message->n_external_data; i++)
        onnx__string_string_entry_proto__free_unpacked(message->external_data[i], NULL);
    message->n_external_data = 0;
    return PARE_OK;
}

static pare_status take_graph(intake *in, const Onnx__GraphProto *graph, bool is_top);

static pare_status take_nodes(intake *in, Onnx__NodeProto *const *nodes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t a = 0; a < nodes[i]->n_attribute; a++) {
            const Onnx__AttributeProto *attr = nodes[i]->attribute[a];
            PRI_TRY(take_tensor(in, attr->t));
            for (size_t t = 0; t < attr->n_tensors; t++)
                PRI_TRY(take_tensor(in, attr->tensors[t]));
            if (attr->g != NULL)
                PRI_TRY(take_graph(in, attr->g, false));
            for (size_t g = 0; g < attr->n_graphs; g++)
                PRI_TRY(take_graph(in, attr->graphs[g], false));
        }
    }
    return PARE_OK;
}

static bool is_computed_as_stored(const Onnx__TensorProto *message)
{
    const pri_dtype dtype = (pri_dtype)message->data_type;

    return pri_dtype_bytes(dtype) > 0 && pri_dtype_run(dtype) == dtype;
}

/* Nesting was bounded before the message was unpacked. */
static pare_status take_graph(intake *in, const Onnx__GraphProto *graph, bool is_top)
{
    for (size_t i = 0; i < graph->n_initializer; i++) {
        in->has_external = in->has_external || pri_onnx_is_external(graph->initializer[i]);
        if (!is_top || !is_computed_as_stored(graph->initializer[i]))
            PRI_TRY(take_tensor(in, graph->initializer[i]));
    }
    return take_nodes(in, graph->node, graph->n_node);
}

pare_status pri_onnx_take_inside(bool *has_external, pare_context *ctx, Onnx__ModelProto *model,
                                 const char *folder)
{
    intake in = {.ctx = ctx, .folder = folder};

    if (model->graph != NULL)
        PRI_TRY(take_graph(&in, model->graph, true));
    for (size_t i = 0; i < model->n_functions; i++)
        PRI_TRY(take_nodes(&in, model->functions[i]->node, model->functions[i]->n_node));
    *has_external = in.has_external;
    return PARE_OK;
}
