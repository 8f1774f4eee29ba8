/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_subgraph.h - what the sub-graphs of nodes read from outside (only within src/onnx). */
#ifndef PRI_ONNX_SUBGRAPH_H
#define PRI_ONNX_SUBGRAPH_H

#include "graph/graph.h"

/* Tells the graph which of its values are read by name in sub-graphs of each node (If, Loop, Scan
 * and whatever else holds graphs); the nodes' origins must be set. */
pare_status pri_onnx_read_implicit(pri_graph *graph);

#endif
