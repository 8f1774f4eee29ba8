/* SPDX-License-Identifier: Apache-2.0 */
/*
 * onnx_export.c - a graph becomes a ModelProto again.
 *
 * The new message is a shallow copy of the one the graph came from: lists are laid
 * out anew in a temporary arena, their items are the old messages wherever nothing
 * changed. Nothing of the origin is written to.
 */
#include <string.h>

#include "onnx/onnx_io.h"
#include "onnx/onnx_origin.h"
#include "onnx/onnx_tensor.h"

typedef struct exporter {
    pri_arena *arena;
    const pri_graph *graph;
    Onnx__ModelProto *model;
} exporter;

#define NEW(arena, type) ((type *)pri_arena_alloc(arena, 1, sizeof(type)))

/* Old messages are only read by the packer, whose structures are not const. */
static void *as_mutable(const void *message)
{
    void *result;

    memcpy(&result, &message, sizeof result);
    return result;
}

/* --- Value infos --- */

static Onnx__TensorShapeProto *write_shape(exporter *ex, const pri_value *value,
                                           const Onnx__TensorShapeProto *old)
{
    Onnx__TensorShapeProto *shape = NEW(ex->arena, Onnx__TensorShapeProto);
    const size_t rank = (size_t)value->shape.rank;
    Onnx__TensorShapeProto__Dimension **dims = pri_arena_alloc(ex->arena, rank, sizeof *dims);

    if (shape == NULL || dims == NULL)
        return NULL;
    onnx__tensor_shape_proto__init(shape);
    for (size_t i = 0; i < rank; i++) {
        const bool is_open = value->shape.dims[i] < 0;
        if (is_open && old != NULL && i < old->n_dim &&
            old->dim[i]->value_case != ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE) {
            dims[i] = old->dim[i];
            continue;
        }
        dims[i] = NEW(ex->arena, Onnx__TensorShapeProto__Dimension);
        if (dims[i] == NULL)
            return NULL;
        onnx__tensor_shape_proto__dimension__init(dims[i]);
        if (is_open) {
            dims[i]->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
            dims[i]->dim_param = pri_arena_strdup(ex->arena, "N");
        } else {
            dims[i]->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
            dims[i]->dim_value = value->shape.dims[i];
        }
    }
    shape->n_dim = rank;
    shape->dim = dims;
    return shape;
}

static Onnx__ValueInfoProto *write_info(exporter *ex, const pri_value *value)
{
    const Onnx__ValueInfoProto *old = value->info;
    Onnx__ValueInfoProto *info = NEW(ex->arena, Onnx__ValueInfoProto);
    Onnx__TypeProto *type = NEW(ex->arena, Onnx__TypeProto);
    Onnx__TypeProto__Tensor *tensor = NEW(ex->arena, Onnx__TypeProto__Tensor);

    if (info == NULL || type == NULL || tensor == NULL)
        return NULL;
    onnx__value_info_proto__init(info);
    onnx__type_proto__init(type);
    onnx__type_proto__tensor__init(tensor);
    if (old != NULL)
        *info = *old;
    const Onnx__TypeProto__Tensor *old_tensor = NULL;
    if (old != NULL && old->type != NULL) {
        *type = *old->type;
        if (old->type->value_case == ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE)
            old_tensor = old->type->tensor_type;
    }
    if (old_tensor != NULL)
        *tensor = *old_tensor;
    info->name = as_mutable(value->name);
    info->type = type;
    type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type->tensor_type = tensor;
    tensor->has_elem_type = 1;
    tensor->elem_type = (int32_t)value->dtype;
    tensor->shape = NULL;
    if (value->has_shape) {
        tensor->shape = write_shape(ex, value, old_tensor != NULL ? old_tensor->shape : NULL);
        if (tensor->shape == NULL)
            return NULL;
    }
    return info;
}

static Onnx__ValueInfoProto *info_of(exporter *ex, const pri_value *value)
{
    const bool keep = value->info != NULL && !value->is_changed;

    return keep ? as_mutable(value->info) : write_info(ex, value);
}

/* An initialiser that is also listed as an input declares its own shape. */
static Onnx__ValueInfoProto *listed_info(exporter *ex, const pri_value *value)
{
    pri_value declared = *value;

    if (value->constant == NULL || !value->is_changed)
        return info_of(ex, value);
    declared.has_shape = true;
    declared.shape = value->constant->shape;
    return write_info(ex, &declared);
}

static pare_status write_infos(exporter *ex, Onnx__GraphProto *graph)
{
    const pri_graph *g = ex->graph;
    const size_t n = (size_t)g->n_values;
    Onnx__ValueInfoProto **inputs = pri_arena_alloc(ex->arena, n, sizeof *inputs);
    Onnx__ValueInfoProto **outputs =
        pri_arena_alloc(ex->arena, (size_t)g->n_outputs, sizeof *outputs);
    Onnx__ValueInfoProto **infos = pri_arena_alloc(ex->arena, n, sizeof *infos);

    if (inputs == NULL || outputs == NULL || infos == NULL)
        return PARE_ERROR_MEMORY;
    graph->n_input = graph->n_output = graph->n_value_info = 0;
    graph->input = inputs;
    graph->output = outputs;
    graph->value_info = infos;
    /* the file's order of inputs is the order in which values were first seen, initialisers first;
     * listed initialisers therefore follow the real inputs */
    for (int i = 0; i < g->n_inputs; i++)
        inputs[graph->n_input++] = info_of(ex, g->inputs[i]);
    for (int i = 0; i < g->n_values; i++) {
        const pri_value *value = g->values[i];
        if (value->is_initializer && value->is_listed_input && value->n_uses > 0)
            inputs[graph->n_input++] = listed_info(ex, value);
    }
    for (int i = 0; i < g->n_outputs; i++)
        outputs[graph->n_output++] = info_of(ex, g->outputs[i]);
    for (int i = 0; i < g->n_values; i++) {
        const pri_value *value = g->values[i];
        if (value->info != NULL && !value->is_input && !value->is_output &&
            !value->is_initializer && value->producer != NULL && value->has_shape)
            infos[graph->n_value_info++] = info_of(ex, value);
    }
    for (size_t i = 0; i < graph->n_input; i++) {
        if (inputs[i] == NULL)
            return PARE_ERROR_MEMORY;
    }
    for (size_t i = 0; i < graph->n_value_info; i++) {
        if (infos[i] == NULL)
            return PARE_ERROR_MEMORY;
    }
    return PARE_OK;
}

/* --- Nodes --- */

static bool is_old_constant(const pri_node *node, const pri_attr *attr)
{
    const pri_value *value = node->n_outputs > 0 ? node->outputs[0] : NULL;

    return strcmp(node->op_type, "Constant") == 0 && node->domain[0] == '\0' && value != NULL &&
           value->is_changed && value->constant != NULL && strncmp(attr->name, "value", 5) == 0;
}

static Onnx__AttributeProto *write_attr(exporter *ex, const pri_node *node, const pri_attr *attr)
{
    Onnx__AttributeProto *message = NULL;

    if (attr->origin != NULL && !is_old_constant(node, attr))
        return as_mutable(attr->origin);
    message = NEW(ex->arena, Onnx__AttributeProto);
    if (message == NULL)
        return NULL;
    onnx__attribute_proto__init(message);
    message->name = as_mutable(attr->name);
    message->has_type = 1;
    message->type = (Onnx__AttributeProto__AttributeType)attr->type;
    if (is_old_constant(node, attr)) {
        message->name = pri_arena_strdup(ex->arena, "value");
        message->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR;
        message->t = pri_onnx_write_tensor(ex->arena, node->outputs[0]->constant,
                                           node->outputs[0]->dtype, "");
        return message->t != NULL ? message : NULL;
    }
    switch (attr->type) {
    case PRI_ATTR_FLOAT:
        message->has_f = 1;
        message->f = attr->f;
        break;
    case PRI_ATTR_INT:
        message->has_i = 1;
        message->i = attr->i;
        break;
    case PRI_ATTR_STRING:
        message->has_s = 1;
        message->s = (ProtobufCBinaryData){strlen(attr->s), as_mutable(attr->s)};
        break;
    case PRI_ATTR_INTS:
        message->n_ints = (size_t)attr->count;
        message->ints = as_mutable(attr->ints);
        break;
    case PRI_ATTR_FLOATS:
        message->n_floats = (size_t)attr->count;
        message->floats = as_mutable(attr->floats);
        break;
    case PRI_ATTR_TENSOR:
        message->t = pri_onnx_write_tensor(ex->arena, attr->tensor, attr->tensor->dtype, "");
        return message->t != NULL ? message : NULL;
    default: break;
    }
    return message;
}

static char **write_names(exporter *ex, pri_value *const *values, int count)
{
    char **names = pri_arena_alloc(ex->arena, (size_t)count, sizeof *names);
    char *empty = pri_arena_strdup(ex->arena, "");

    if (names == NULL || empty == NULL)
        return NULL;
    for (int k = 0; k < count; k++)
        names[k] = values[k] != NULL ? as_mutable(values[k]->name) : empty;
    return names;
}

static Onnx__NodeProto *write_node(exporter *ex, const pri_node *node)
{
    if (node->origin != NULL && !node->is_changed)
        return as_mutable(node->origin);
    Onnx__NodeProto *message = NEW(ex->arena, Onnx__NodeProto);
    Onnx__AttributeProto **attrs =
        pri_arena_alloc(ex->arena, (size_t)node->n_attrs, sizeof *attrs);
    if (message == NULL || attrs == NULL)
        return NULL;
    onnx__node_proto__init(message);
    if (node->origin != NULL)
        *message = *(const Onnx__NodeProto *)node->origin;
    message->name = as_mutable(node->name);
    message->op_type = as_mutable(node->op_type);
    if (node->origin == NULL && node->domain[0] != '\0')
        message->domain = as_mutable(node->domain);
    int n_inputs = node->n_inputs;
    while (n_inputs > 0 && node->inputs[n_inputs - 1] == NULL)
        n_inputs--;
    message->n_input = (size_t)n_inputs;
    message->input = write_names(ex, node->inputs, n_inputs);
    message->n_output = (size_t)node->n_outputs;
    message->output = write_names(ex, node->outputs, node->n_outputs);
    message->n_attribute = (size_t)node->n_attrs;
    message->attribute = attrs;
    for (int i = 0; i < node->n_attrs; i++) {
        attrs[i] = write_attr(ex, node, &node->attrs[i]);
        if (attrs[i] == NULL)
            return NULL;
    }
    return message->input != NULL && message->output != NULL ? message : NULL;
}

static pare_status write_nodes(exporter *ex, Onnx__GraphProto *graph)
{
    const pri_graph *g = ex->graph;

    graph->node = pri_arena_alloc(ex->arena, (size_t)g->n_nodes, sizeof *graph->node);
    if (graph->node == NULL)
        return PARE_ERROR_MEMORY;
    graph->n_node = 0;
    for (int i = 0; i < g->n_nodes; i++) {
        if (g->nodes[i]->is_dead)
            continue;
        Onnx__NodeProto *node = write_node(ex, g->nodes[i]);
        if (node == NULL)
            return PARE_ERROR_MEMORY;
        graph->node[graph->n_node++] = node;
    }
    return PARE_OK;
}

/* External data becomes internal, so that the written file stands alone. */
static Onnx__TensorProto *write_initializer(exporter *ex, const pri_value *value)
{
    const Onnx__TensorProto *old = value->origin;

    if (old != NULL && !value->is_changed &&
        !(old->has_data_location &&
          old->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL))
        return as_mutable(old);
    return pri_onnx_write_tensor(ex->arena, value->constant, value->dtype, value->name);
}

static pare_status write_initializers(exporter *ex, Onnx__GraphProto *graph)
{
    const pri_graph *g = ex->graph;

    graph->initializer =
        pri_arena_alloc(ex->arena, (size_t)g->n_values, sizeof *graph->initializer);
    if (graph->initializer == NULL)
        return PARE_ERROR_MEMORY;
    graph->n_initializer = 0;
    for (int i = 0; i < g->n_values; i++) {
        const pri_value *value = g->values[i];
        const bool is_touched = value->origin == NULL || g->metadata_changed;
        if (!value->is_initializer || (value->constant == NULL && value->origin == NULL) ||
            (value->n_uses == 0 && !value->is_output && is_touched))
            continue;
        Onnx__TensorProto *tensor = write_initializer(ex, value);
        if (tensor == NULL)
            return PARE_ERROR_MEMORY;
        graph->initializer[graph->n_initializer++] = tensor;
    }
    return PARE_OK;
}

/* --- The model --- */

static pare_status write_metadata(exporter *ex)
{
    const pri_graph *g = ex->graph;
    Onnx__ModelProto *model = ex->model;

    if (!g->metadata_changed && g->origin != NULL)
        return PARE_OK;
    model->metadata_props =
        pri_arena_alloc(ex->arena, (size_t)g->n_metadata, sizeof *model->metadata_props);
    if (model->metadata_props == NULL)
        return PARE_ERROR_MEMORY;
    model->n_metadata_props = (size_t)g->n_metadata;
    for (int i = 0; i < g->n_metadata; i++) {
        Onnx__StringStringEntryProto *entry = NEW(ex->arena, Onnx__StringStringEntryProto);
        if (entry == NULL)
            return PARE_ERROR_MEMORY;
        onnx__string_string_entry_proto__init(entry);
        entry->key = as_mutable(g->metadata[i].key);
        entry->value = as_mutable(g->metadata[i].value);
        model->metadata_props[i] = entry;
    }
    return PARE_OK;
}

static pare_status new_model(exporter *ex)
{
    Onnx__ModelProto *model = ex->model;
    Onnx__OperatorSetIdProto *opset = NEW(ex->arena, Onnx__OperatorSetIdProto);
    Onnx__OperatorSetIdProto **list = NEW(ex->arena, Onnx__OperatorSetIdProto *);

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

static pare_status write_model(exporter *ex)
{
    const pri_graph *g = ex->graph;
    const pri_onnx_origin *origin = g->origin;
    Onnx__GraphProto *graph = NEW(ex->arena, Onnx__GraphProto);

    ex->model = NEW(ex->arena, Onnx__ModelProto);
    if (ex->model == NULL || graph == NULL)
        return PARE_ERROR_MEMORY;
    onnx__graph_proto__init(graph);
    if (origin != NULL) {
        *ex->model = *origin->model;
        *graph = *origin->model->graph;
    } else {
        PRI_TRY(new_model(ex));
        graph->name = as_mutable(g->name[0] != '\0' ? g->name : "pare");
    }
    ex->model->graph = graph;
    PRI_TRY(write_nodes(ex, graph));
    PRI_TRY(write_initializers(ex, graph));
    PRI_TRY(write_infos(ex, graph));
    return write_metadata(ex);
}

pare_status pri_onnx_export_bytes(unsigned char **bytes, size_t *size_bytes,
                                  const pri_graph *graph)
{
    exporter ex = {.graph = graph};
    const size_t limit = (size_t)INT32_MAX;

    *bytes = NULL;
    PRI_TRY(pri_arena_new(&ex.arena, graph->ctx));
    pare_status status = write_model(&ex);
    if (status == PARE_OK) {
        *size_bytes = onnx__model_proto__get_packed_size(ex.model);
        if (*size_bytes > limit)
            status = pri_fail(graph->ctx, PARE_ERROR_UNSUPPORTED,
                              "the model needs %zu bytes; a single ONNX file holds at most 2 GiB",
                              *size_bytes);
    }
    if (status == PARE_OK) {
        *bytes = pri_alloc(graph->ctx, *size_bytes, 1);
        if (*bytes == NULL)
            status = PARE_ERROR_MEMORY;
        else
            onnx__model_proto__pack(ex.model, *bytes);
    }
    pri_arena_free(ex.arena);
    return status;
}

pare_status pri_onnx_measure(size_t *size_bytes, const pri_graph *graph)
{
    exporter ex = {.graph = graph};

    PRI_TRY(pri_arena_new(&ex.arena, graph->ctx));
    const pare_status status = write_model(&ex);
    if (status == PARE_OK)
        *size_bytes = onnx__model_proto__get_packed_size(ex.model);
    pri_arena_free(ex.arena);
    return status;
}
