/* SPDX-License-Identifier: Apache-2.0 */
/*
 * onnx_io.h - ONNX files to graphs and back.
 *
 * Import and export know no operator. What pare does not change is written back
 * from the message it was read from: unknown operators, attributes, doc strings,
 * metadata, functions and fields of newer schemas.
 */
#ifndef PRI_ONNX_IO_H
#define PRI_ONNX_IO_H

#include "graph/graph.h"

/* Reads a file; external data must lie in its folder or below. */
pare_status pri_onnx_import(pri_graph **out, pare_context *ctx, const char *path);
/* The same from memory; `name` is used in messages, `folder` holds external data (NULL: refused).
 */
pare_status pri_onnx_import_bytes(pri_graph **out, pare_context *ctx, const void *bytes,
                                  size_t size_bytes, const char *name, const char *folder);
/* Serialises the graph; *bytes is the caller's (pri_free). */
pare_status pri_onnx_export_bytes(unsigned char **bytes, size_t *size_bytes,
                                  const pri_graph *graph);
/* Writes a file atomically. Where the graph came with external data, or is too large for one file,
 * the data of large tensors goes to a second file beside it; one that an earlier save wrote for the
 * replaced model goes. Without `replace`, an existing file is
 * PARE_ERROR_EXISTS. */
pare_status pri_onnx_save(const pri_graph *graph, const char *path, bool replace);
/* Removes a file, with the external data that pri_onnx_save wrote for it. */
void pri_onnx_remove(pare_context *ctx, const char *path);
/* Bytes an export would write, external data included. */
pare_status pri_onnx_measure(size_t *size_bytes, const pri_graph *graph);

#endif
