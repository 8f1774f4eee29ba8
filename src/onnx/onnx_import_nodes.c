/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_import_nodes.c - nodes, their attributes and the constants that nodes state. */
#include <string.h>

#include "onnx/onnx_import.h"
#include "onnx/onnx_tensor.h"

static pri_value *value_named(pri_importer *im, const char *name)
{
    pri_value *value = pri_graph_find_value(im->graph, name);

    return value != NULL ? value : pri_graph_add_value(im->graph, name);
}

static pare_status read_strings(pri_attr *attr, pri_arena *arena,
                                const Onnx__AttributeProto *message)
{
    const char **strings = pri_arena_alloc(arena, message->n_strings, sizeof *strings);

    for (size_t i = 0; strings != NULL && i < message->n_strings; i++) {
        strings[i] = pri_arena_strndup(arena, (const char *)message->strings[i].data,
                                       message->strings[i].len);
        if (strings[i] == NULL)
            return PARE_ERROR_MEMORY;
    }
    attr->strings = strings;
    attr->count = (int)message->n_strings;
    return strings != NULL ? PARE_OK : PARE_ERROR_MEMORY;
}

static pare_status read_attr(pri_attr *attr, pri_importer *im, const Onnx__AttributeProto *message)
{
    pri_arena *arena = im->graph->arena;

    *attr = (pri_attr){.origin = message, .type = PRI_ATTR_OTHER};
    attr->name = pri_arena_strdup(arena, pri_onnx_text(message->name));
    if (attr->name == NULL)
        return PARE_ERROR_MEMORY;
    if (pri_onnx_text(message->ref_attr_name)[0] != '\0')
        return PARE_OK;
    int type = message->has_type ? (int)message->type : 0;
    if (type == 0) /* files before IR 2 leave the type to be guessed from the field */
        type = message->has_f ? PRI_ATTR_FLOAT : message->has_i ? PRI_ATTR_INT : PRI_ATTR_OTHER;
    attr->type = type <= PRI_ATTR_STRINGS ? (pri_attr_type)type : PRI_ATTR_OTHER;
    switch (attr->type) {
    case PRI_ATTR_FLOAT: attr->f = message->f; return PARE_OK;
    case PRI_ATTR_INT: attr->i = message->i; return PARE_OK;
    case PRI_ATTR_STRING:
        attr->s = pri_arena_strndup(arena, (const char *)message->s.data, message->s.len);
        return attr->s != NULL ? PARE_OK : PARE_ERROR_MEMORY;
    case PRI_ATTR_FLOATS:
        attr->floats = message->floats;
        attr->count = (int)message->n_floats;
        return PARE_OK;
    case PRI_ATTR_INTS:
        attr->ints = message->ints;
        attr->count = (int)message->n_ints;
        return PARE_OK;
    case PRI_ATTR_STRINGS: return read_strings(attr, arena, message);
    case PRI_ATTR_TENSOR:
        attr->dtype = message->t != NULL ? (pri_dtype)message->t->data_type : PRI_UNDEFINED;
        return message->t != NULL
                   ? pri_onnx_read_tensor(&attr->tensor, im->ctx, message->t, im->folder)
                   : PARE_OK;
    default: return PARE_OK;
    }
}

/* A Constant node's value, whatever attribute holds it. */
static pare_status read_constant(pri_value *value, pri_importer *im, const pri_node *node)
{
    const pri_shape scalar = {0};

    for (int i = 0; i < node->n_attrs; i++) {
        const pri_attr *attr = &node->attrs[i];
        const pri_shape list = {.rank = 1, .dims = {attr->count}};
        if (strcmp(attr->name, "value") == 0 && attr->tensor != NULL) {
            PRI_TRY(pri_tensor_share(&value->constant, attr->tensor));
            value->dtype = attr->dtype;
        } else if (strcmp(attr->name, "value_float") == 0 && attr->type == PRI_ATTR_FLOAT) {
            PRI_TRY(pri_tensor_new(&value->constant, im->ctx, PRI_F32, &scalar));
            *(float *)value->constant->data = attr->f;
        } else if (strcmp(attr->name, "value_int") == 0 && attr->type == PRI_ATTR_INT) {
            PRI_TRY(pri_tensor_new(&value->constant, im->ctx, PRI_I64, &scalar));
            *(int64_t *)value->constant->data = attr->i;
        } else if (strcmp(attr->name, "value_floats") == 0 && attr->type == PRI_ATTR_FLOATS) {
            PRI_TRY(pri_tensor_new(&value->constant, im->ctx, PRI_F32, &list));
            if (attr->count > 0)
                memcpy(value->constant->data, attr->floats, (size_t)attr->count * sizeof(float));
        } else if (strcmp(attr->name, "value_ints") == 0 && attr->type == PRI_ATTR_INTS) {
            PRI_TRY(pri_tensor_new(&value->constant, im->ctx, PRI_I64, &list));
            if (attr->count > 0)
                memcpy(value->constant->data, attr->ints, (size_t)attr->count * sizeof(int64_t));
        }
    }
    if (value->constant != NULL && pri_dtype_run(value->dtype) != value->constant->dtype)
        value->dtype = value->constant->dtype;
    return PARE_OK;
}

static pare_status connect_node(pri_node **out, pri_importer *im, const Onnx__NodeProto *message)
{
    pri_arena *arena = im->graph->arena;
    pri_value **inputs = pri_arena_alloc(arena, message->n_input, sizeof *inputs);
    pri_value **outputs = pri_arena_alloc(arena, message->n_output, sizeof *outputs);

    if (inputs == NULL || outputs == NULL)
        return PARE_ERROR_MEMORY;
    for (size_t k = 0; k < message->n_input; k++) {
        inputs[k] = message->input[k][0] != '\0' ? value_named(im, message->input[k]) : NULL;
        if (inputs[k] == NULL && message->input[k][0] != '\0')
            return PARE_ERROR_MEMORY;
    }
    for (size_t k = 0; k < message->n_output; k++) {
        if (message->output[k][0] == '\0')
            continue;
        outputs[k] = value_named(im, message->output[k]);
        if (outputs[k] == NULL)
            return PARE_ERROR_MEMORY;
        if (outputs[k]->producer != NULL || outputs[k]->is_input || outputs[k]->is_initializer)
            return pri_fail(im->ctx, PARE_ERROR_FORMAT, "value '%s' is made twice",
                            outputs[k]->name);
        for (size_t j = 0; j < k; j++) {
            if (outputs[j] == outputs[k])
                return pri_fail(im->ctx, PARE_ERROR_FORMAT, "value '%s' is made twice",
                                outputs[k]->name);
        }
    }
    *out =
        pri_graph_add_node(im->graph, pri_onnx_text(message->op_type), pri_onnx_text(message->name),
                           (int)message->n_input, inputs, (int)message->n_output, outputs);
    return *out != NULL ? PARE_OK : PARE_ERROR_MEMORY;
}

pare_status pri_onnx_read_node(pri_importer *im, const Onnx__NodeProto *message)
{
    pri_arena *arena = im->graph->arena;
    pri_node *node = NULL;

    PRI_TRY(connect_node(&node, im, message));
    node->origin = message;
    const char *domain = pri_onnx_text(message->domain);
    node->domain = strcmp(domain, "ai.onnx") == 0 ? "" : pri_arena_strdup(arena, domain);
    node->attrs = pri_arena_alloc(arena, message->n_attribute, sizeof *node->attrs);
    if (node->domain == NULL || node->attrs == NULL)
        return PARE_ERROR_MEMORY;
    for (size_t a = 0; a < message->n_attribute; a++) {
        PRI_TRY(read_attr(&node->attrs[a], im, message->attribute[a]));
        node->n_attrs = (int)a + 1;
    }
    if (strcmp(node->op_type, "Constant") == 0 && node->domain[0] == '\0' && node->n_outputs == 1 &&
        node->outputs[0] != NULL)
        PRI_TRY(read_constant(node->outputs[0], im, node));
    return PARE_OK;
}
