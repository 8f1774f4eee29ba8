/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_origin.h - the unpacked file behind a graph, shared by its clones (only within src/onnx). */
#ifndef PRI_ONNX_ORIGIN_H
#define PRI_ONNX_ORIGIN_H

#include <stdatomic.h>
#include <stdbool.h>

#include <onnx/onnx.pb-c.h>

typedef struct pri_onnx_origin {
    atomic_int references;
    Onnx__ModelProto *model;
    bool has_external; /* some of its data came from files beside it */
} pri_onnx_origin;

void pri_onnx_retain(void *origin);
void pri_onnx_release(void *origin);

#endif
