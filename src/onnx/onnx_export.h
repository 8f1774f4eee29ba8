/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_export.h - what the files that write a model share (only within src/onnx). */
#ifndef PRI_ONNX_EXPORT_H
#define PRI_ONNX_EXPORT_H

#include <string.h>

#include "onnx/onnx_external.h"
#include "onnx/onnx_io.h"
#include "onnx/onnx_origin.h"
#include "onnx/onnx_tensor.h"

typedef struct pri_exporter {
    pri_arena *arena;
    const pri_graph *graph;
    Onnx__ModelProto *model;
    pri_onnx_external *external; /* NULL: everything goes into one file */
    bool *is_stated;             /* by value id: an initialiser where the file had it computed */
    bool *is_moot;               /* by node id: only computes such values */
} pri_exporter;

#define PRI_NEW(arena, type) ((type *)pri_arena_alloc(arena, 1, sizeof(type)))

/* Old messages are only read by the packer, whose structures are not const. */
static inline void *pri_as_mutable(const void *message)
{
    void *result;

    memcpy(&result, &message, sizeof result);
    return result;
}

/* onnx_export_values.c: fills is_stated and is_moot. */
pare_status pri_onnx_find_stated(pri_exporter *ex);
pare_status pri_onnx_write_initializers(pri_exporter *ex, Onnx__GraphProto *graph);
/* onnx_export_infos.c: inputs, outputs, value infos. */
pare_status pri_onnx_write_infos(pri_exporter *ex, Onnx__GraphProto *graph);
/* Whether the value is in the written list of initialisers. */
bool pri_onnx_is_written(const pri_exporter *ex, const pri_value *value);
/* onnx_export_nodes.c */
pare_status pri_onnx_write_nodes(pri_exporter *ex, Onnx__GraphProto *graph);

#endif
