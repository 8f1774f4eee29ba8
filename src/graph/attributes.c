/* SPDX-License-Identifier: Apache-2.0 */
/* attributes.c - reading and setting the attributes of nodes. */
#include <string.h>

#include "graph/graph.h"

const pri_attr *pri_node_attr(const pri_node *node, const char *name)
{
    for (int i = 0; i < node->n_attrs; i++) {
        if (strcmp(node->attrs[i].name, name) == 0)
            return &node->attrs[i];
    }
    return NULL;
}

int64_t pri_node_attr_int(const pri_node *node, const char *name, int64_t fallback)
{
    const pri_attr *attr = pri_node_attr(node, name);

    return attr != NULL && attr->type == PRI_ATTR_INT ? attr->i : fallback;
}

float pri_node_attr_float(const pri_node *node, const char *name, float fallback)
{
    const pri_attr *attr = pri_node_attr(node, name);

    return attr != NULL && attr->type == PRI_ATTR_FLOAT ? attr->f : fallback;
}

const char *pri_node_attr_string(const pri_node *node, const char *name, const char *fallback)
{
    const pri_attr *attr = pri_node_attr(node, name);

    return attr != NULL && attr->type == PRI_ATTR_STRING ? attr->s : fallback;
}

/* Puts an attribute in place of the one of the same name, or at the end. */
static pare_status set_attr(pri_graph *graph, pri_node *node, const pri_attr *attr)
{
    node->is_changed = true;
    for (int i = 0; i < node->n_attrs; i++) {
        if (strcmp(node->attrs[i].name, attr->name) != 0)
            continue;
        pri_tensor_free(node->attrs[i].tensor);
        node->attrs[i] = *attr;
        return PARE_OK;
    }
    pri_attr *attrs = pri_arena_alloc(graph->arena, (size_t)node->n_attrs + 1, sizeof *attrs);
    if (attrs == NULL)
        return PARE_ERROR_MEMORY;
    if (node->n_attrs > 0)
        memcpy(attrs, node->attrs, (size_t)node->n_attrs * sizeof *attrs);
    attrs[node->n_attrs] = *attr;
    node->attrs = attrs;
    node->n_attrs++;
    return PARE_OK;
}

void pri_node_remove_attr(pri_node *node, const char *name)
{
    for (int i = 0; i < node->n_attrs; i++) {
        if (strcmp(node->attrs[i].name, name) != 0)
            continue;
        pri_tensor_free(node->attrs[i].tensor);
        for (int k = i + 1; k < node->n_attrs; k++)
            node->attrs[k - 1] = node->attrs[k];
        node->n_attrs--;
        node->is_changed = true;
        return;
    }
}

static pare_status set_named(pri_graph *graph, pri_node *node, const char *name, pri_attr attr)
{
    attr.name = pri_arena_strdup(graph->arena, name);
    return attr.name != NULL ? set_attr(graph, node, &attr) : PARE_ERROR_MEMORY;
}

pare_status pri_node_set_int(pri_graph *graph, pri_node *node, const char *name, int64_t value)
{
    return set_named(graph, node, name, (pri_attr){.type = PRI_ATTR_INT, .i = value});
}

pare_status pri_node_set_float(pri_graph *graph, pri_node *node, const char *name, float value)
{
    return set_named(graph, node, name, (pri_attr){.type = PRI_ATTR_FLOAT, .f = value});
}

pare_status pri_node_set_string(pri_graph *graph, pri_node *node, const char *name,
                                const char *value)
{
    const char *copy = pri_arena_strdup(graph->arena, value);

    if (copy == NULL)
        return PARE_ERROR_MEMORY;
    return set_named(graph, node, name, (pri_attr){.type = PRI_ATTR_STRING, .s = copy});
}

pare_status pri_node_set_ints(pri_graph *graph, pri_node *node, const char *name,
                              const int64_t *values, int count)
{
    int64_t *copy = pri_arena_alloc(graph->arena, (size_t)count, sizeof *copy);

    if (copy == NULL)
        return PARE_ERROR_MEMORY;
    if (count > 0)
        memcpy(copy, values, (size_t)count * sizeof *copy);
    return set_named(graph, node, name,
                     (pri_attr){.type = PRI_ATTR_INTS, .ints = copy, .count = count});
}

pare_status pri_node_set_tensor(pri_graph *graph, pri_node *node, const char *name,
                                pri_tensor *tensor)
{
    const pare_status status =
        set_named(graph, node, name,
                  (pri_attr){.type = PRI_ATTR_TENSOR, .tensor = tensor, .dtype = tensor->dtype});

    if (status != PARE_OK)
        pri_tensor_free(tensor);
    return status;
}
