/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_export_nodes.c - nodes and their attributes; what did not change is the old message. */
#include "onnx/onnx_export.h"

static bool is_old_constant(const pri_node *node, const pri_attr *attr)
{
    const pri_value *value = node->n_outputs > 0 ? node->outputs[0] : NULL;

    return strcmp(node->op_type, "Constant") == 0 && node->domain[0] == '\0' && value != NULL &&
           value->is_changed && value->constant != NULL && strncmp(attr->name, "value", 5) == 0;
}

static Onnx__AttributeProto *write_attr(pri_exporter *ex, const pri_node *node,
                                        const pri_attr *attr)
{
    Onnx__AttributeProto *message = NULL;

    if (attr->origin != NULL && !is_old_constant(node, attr))
        return pri_as_mutable(attr->origin);
    message = PRI_NEW(ex->arena, Onnx__AttributeProto);
    if (message == NULL)
        return NULL;
    onnx__attribute_proto__init(message);
    message->name = pri_as_mutable(attr->name);
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
        message->s = (ProtobufCBinaryData){strlen(attr->s), pri_as_mutable(attr->s)};
        break;
    case PRI_ATTR_INTS:
        message->n_ints = (size_t)attr->count;
        message->ints = pri_as_mutable(attr->ints);
        break;
    case PRI_ATTR_FLOATS:
        message->n_floats = (size_t)attr->count;
        message->floats = pri_as_mutable(attr->floats);
        break;
    case PRI_ATTR_TENSOR:
        message->t = pri_onnx_write_tensor(ex->arena, attr->tensor, attr->dtype, "");
        return message->t != NULL ? message : NULL;
    default: break;
    }
    return message;
}

static char **write_names(pri_exporter *ex, pri_value *const *values, int count)
{
    char **names = pri_arena_alloc(ex->arena, (size_t)count, sizeof *names);
    char *empty = pri_arena_strdup(ex->arena, "");

    if (names == NULL || empty == NULL)
        return NULL;
    for (int k = 0; k < count; k++)
        names[k] = values[k] != NULL ? pri_as_mutable(values[k]->name) : empty;
    return names;
}

static Onnx__NodeProto *write_node(pri_exporter *ex, const pri_node *node)
{
    if (node->origin != NULL && !node->is_changed)
        return pri_as_mutable(node->origin);
    Onnx__NodeProto *message = PRI_NEW(ex->arena, Onnx__NodeProto);
    Onnx__AttributeProto **attrs = pri_arena_alloc(ex->arena, (size_t)node->n_attrs, sizeof *attrs);
    if (message == NULL || attrs == NULL)
        return NULL;
    onnx__node_proto__init(message);
    if (node->origin != NULL)
        *message = *(const Onnx__NodeProto *)node->origin;
    message->name = pri_as_mutable(node->name);
    message->op_type = pri_as_mutable(node->op_type);
    if (node->origin == NULL && node->domain[0] != '\0')
        message->domain = pri_as_mutable(node->domain);
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

pare_status pri_onnx_write_nodes(pri_exporter *ex, Onnx__GraphProto *graph)
{
    const pri_graph *g = ex->graph;

    graph->node = pri_arena_alloc(ex->arena, (size_t)g->n_nodes, sizeof *graph->node);
    if (graph->node == NULL)
        return PARE_ERROR_MEMORY;
    graph->n_node = 0;
    for (int i = 0; i < g->n_nodes; i++) {
        if (g->nodes[i]->is_dead || ex->is_moot[i])
            continue;
        Onnx__NodeProto *node = write_node(ex, g->nodes[i]);
        if (node == NULL)
            return PARE_ERROR_MEMORY;
        graph->node[graph->n_node++] = node;
    }
    return PARE_OK;
}
