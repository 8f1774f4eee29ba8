/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_tensor.h - TensorProto messages to tensors and back (only within src/onnx). */
#ifndef PRI_ONNX_TENSOR_H
#define PRI_ONNX_TENSOR_H

#include <onnx/onnx.pb-c.h>

#include "base/arena.h"
#include "tensor/tensor.h"

/* Reads a message; `folder` holds external data, NULL refuses it. float16, bfloat16 and float64
 * become float32. *out is NULL (and the status PARE_OK) for types pare does not compute with
 * (strings, 4- and 8-bit floats). */
pare_status pri_onnx_read_tensor(pri_tensor **out, pare_context *ctx,
                                 const Onnx__TensorProto *message, const char *folder);
/* A message for a tensor in `arena`, its data referring to the tensor's memory; a float32 tensor is
 * written as another float type where `dtype` says so. NULL when memory is short. */
Onnx__TensorProto *pri_onnx_write_tensor(pri_arena *arena, const pri_tensor *tensor,
                                         pri_dtype dtype, const char *name);

#endif
