/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_export_infos.c - inputs, outputs and the declared types and shapes of other values. */
#include "onnx/onnx_export.h"
#include "onnx/onnx_import.h"

/* From this version on initialisers need not be inputs. */
enum { FREE_INITIALIZERS_IR = 4 };

static Onnx__TensorShapeProto *write_shape(pri_exporter *ex, const pri_value *value,
                                           const Onnx__TensorShapeProto *old)
{
    Onnx__TensorShapeProto *shape = PRI_NEW(ex->arena, Onnx__TensorShapeProto);
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
        dims[i] = PRI_NEW(ex->arena, Onnx__TensorShapeProto__Dimension);
        if (dims[i] == NULL)
            return NULL;
        onnx__tensor_shape_proto__dimension__init(dims[i]);
        if (is_open) {
            dims[i]->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
            dims[i]->dim_param =
                pri_arena_strdup(ex->arena, value->symbols[i] != NULL ? value->symbols[i] : "N");
        } else {
            dims[i]->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
            dims[i]->dim_value = value->shape.dims[i];
        }
    }
    shape->n_dim = rank;
    shape->dim = dims;
    return shape;
}

static Onnx__ValueInfoProto *write_info(pri_exporter *ex, const pri_value *value)
{
    const Onnx__ValueInfoProto *old = value->info;
    Onnx__ValueInfoProto *info = PRI_NEW(ex->arena, Onnx__ValueInfoProto);
    Onnx__TypeProto *type = PRI_NEW(ex->arena, Onnx__TypeProto);
    Onnx__TypeProto__Tensor *tensor = PRI_NEW(ex->arena, Onnx__TypeProto__Tensor);

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
    info->name = pri_as_mutable(value->name);
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

static Onnx__ValueInfoProto *info_of(pri_exporter *ex, const pri_value *value)
{
    const bool keep = value->info != NULL && !value->is_changed;

    return keep ? pri_as_mutable(value->info) : write_info(ex, value);
}

static Onnx__ValueInfoProto *constant_info(pri_exporter *ex, const pri_value *value)
{
    pri_value declared = *value;

    declared.has_shape = true;
    declared.shape = value->constant->shape;
    return write_info(ex, &declared);
}

/* An initialiser that is also listed as an input declares its own shape. */
static Onnx__ValueInfoProto *listed_info(pri_exporter *ex, const pri_value *value)
{
    return value->constant == NULL || !value->is_changed ? info_of(ex, value)
                                                         : constant_info(ex, value);
}

/* Not a value's place in the file's lists, but whether it has one. */
static bool is_input_listed(const pri_exporter *ex, const pri_value *value)
{
    return value->is_input || (value->is_listed_input && pri_onnx_is_written(ex, value));
}

static bool add_info(Onnx__ValueInfoProto **list, size_t *count, Onnx__ValueInfoProto *info)
{
    list[*count] = info;
    *count += info != NULL;
    return info != NULL;
}

/* Inputs in the file's order, which is the order in which a user feeds them. */
static pare_status write_inputs(pri_exporter *ex, Onnx__GraphProto *graph)
{
    const pri_graph *g = ex->graph;
    const pri_onnx_origin *origin = g->origin;
    const Onnx__GraphProto *old = origin != NULL ? origin->model->graph : NULL;
    Onnx__ValueInfoProto **list = pri_arena_alloc(ex->arena, (size_t)g->n_values, sizeof *list);
    bool is_complete = list != NULL;

    graph->n_input = 0;
    graph->input = list;
    for (size_t i = 0; old != NULL && i < old->n_input && is_complete; i++) {
        const pri_value *value = pri_graph_find_value(g, pri_onnx_text(old->input[i]->name));
        if (value != NULL && is_input_listed(ex, value))
            is_complete = add_info(list, &graph->n_input, listed_info(ex, value));
    }
    for (int i = 0; old == NULL && i < g->n_inputs && is_complete; i++)
        is_complete = add_info(list, &graph->n_input, info_of(ex, g->inputs[i]));
    for (int i = 0; g->ir_version < FREE_INITIALIZERS_IR && i < g->n_values && is_complete; i++) {
        const pri_value *value = g->values[i];
        const bool is_new = value->origin == NULL && value->constant != NULL;
        if (is_new && !value->is_listed_input && pri_onnx_is_written(ex, value))
            is_complete = add_info(list, &graph->n_input, constant_info(ex, value));
    }
    return is_complete ? PARE_OK : PARE_ERROR_MEMORY;
}

static pare_status write_outputs(pri_exporter *ex, Onnx__GraphProto *graph)
{
    const pri_graph *g = ex->graph;
    Onnx__ValueInfoProto **list = pri_arena_alloc(ex->arena, (size_t)g->n_outputs, sizeof *list);
    bool is_complete = list != NULL;

    graph->n_output = 0;
    graph->output = list;
    for (int i = 0; i < g->n_outputs && is_complete; i++)
        is_complete = add_info(list, &graph->n_output, info_of(ex, g->outputs[i]));
    return is_complete ? PARE_OK : PARE_ERROR_MEMORY;
}

/* Whether the written file still has the value. */
static bool is_there(const pri_exporter *ex, const pri_value *value)
{
    if (value->producer != NULL)
        return !ex->is_moot[value->producer->id];
    return pri_onnx_is_written(ex, value);
}

static pare_status write_others(pri_exporter *ex, Onnx__GraphProto *graph)
{
    const pri_graph *g = ex->graph;
    const pri_onnx_origin *origin = g->origin;
    const Onnx__GraphProto *old = origin != NULL ? origin->model->graph : NULL;
    const size_t n = old != NULL ? old->n_value_info : 0;
    Onnx__ValueInfoProto **list = pri_arena_alloc(ex->arena, n, sizeof *list);
    bool is_complete = list != NULL;

    graph->n_value_info = 0;
    graph->value_info = list;
    for (size_t i = 0; i < n && is_complete; i++) {
        const pri_value *value = pri_graph_find_value(g, pri_onnx_text(old->value_info[i]->name));
        Onnx__ValueInfoProto *info = old->value_info[i];
        if (value != NULL && (!is_there(ex, value) || value->is_input || value->is_output))
            continue;
        if (value != NULL && value->is_changed)
            info = listed_info(ex, value);
        is_complete = add_info(list, &graph->n_value_info, info);
    }
    return is_complete ? PARE_OK : PARE_ERROR_MEMORY;
}

pare_status pri_onnx_write_infos(pri_exporter *ex, Onnx__GraphProto *graph)
{
    PRI_TRY(write_inputs(ex, graph));
    PRI_TRY(write_outputs(ex, graph));
    return write_others(ex, graph);
}
