/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_import.h - what the files that read a model share (only within src/onnx). */
#ifndef PRI_ONNX_IMPORT_H
#define PRI_ONNX_IMPORT_H

#include <onnx/onnx.pb-c.h>

#include "graph/graph.h"

typedef struct pri_importer {
    pri_graph *graph;
    pare_context *ctx;
    const Onnx__GraphProto *message;
    const char *folder; /* of external data; NULL: none is read */
} pri_importer;

static inline const char *pri_onnx_text(const char *text)
{
    return text != NULL ? text : "";
}

/* Appends a node; a Constant node's output becomes a constant. */
pare_status pri_onnx_read_node(pri_importer *im, const Onnx__NodeProto *message);

#endif
