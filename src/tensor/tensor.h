/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tensor.h - element types, shapes, and tensors whose data is shared until written.
 *
 * Shapes are small values passed by copy. A tensor's data lives in a
 * reference-counted buffer aligned to 64 bytes, row-major (the last axis is
 * contiguous): the form weights have in a file. Activations do not use
 * pri_tensor; they live in the engine's slab.
 */
#ifndef PRI_TENSOR_H
#define PRI_TENSOR_H

#include "base/base.h"

enum { PRI_MAX_RANK = 8 };

/* Values equal to ONNX's TensorProto.DataType, so that files need no table. */
typedef enum pri_dtype {
    PRI_UNDEFINED = 0,
    PRI_F32 = 1,
    PRI_U8 = 2,
    PRI_I8 = 3,
    PRI_U16 = 4,
    PRI_I16 = 5,
    PRI_I32 = 6,
    PRI_I64 = 7,
    PRI_STRING = 8,
    PRI_BOOL = 9,
    PRI_F16 = 10,
    PRI_F64 = 11,
    PRI_U32 = 12,
    PRI_U64 = 13,
    PRI_BF16 = 16
} pri_dtype;

size_t pri_dtype_bytes(pri_dtype dtype);     /* 0 for strings and unknown types */
const char *pri_dtype_name(pri_dtype dtype); /* "float32", never NULL */
/* The type that values of a file's type are computed in: float32 for all floats, otherwise its own.
 */
pri_dtype pri_dtype_run(pri_dtype dtype);

/* A dimension is >= 0, or PRI_DYNAMIC where a file leaves it open. */
enum { PRI_DYNAMIC = -1 };

typedef struct pri_shape {
    int rank;
    int64_t dims[PRI_MAX_RANK];
} pri_shape;

pri_shape pri_shape_of(int rank, const int64_t *dims);
bool pri_shape_equal(const pri_shape *a, const pri_shape *b);
bool pri_shape_is_static(const pri_shape *shape);
/* Number of elements; -1 when a dimension is dynamic or the product overflows. */
int64_t pri_shape_count(const pri_shape *shape);
/* Whether every dimension is >= 0 and all products of them (0 counting as 1) stay far from
 * overflow: at most 2^40 elements. Files may state anything. */
bool pri_shape_is_sane(const pri_shape *shape);
/* Product of dims[from .. to-1]. */
int64_t pri_shape_span(const pri_shape *shape, int from, int to);
/* "2x3x32x32" ("scalar" for rank 0, "?" for a dynamic dimension) into `text`; returns it. */
enum { PRI_SHAPE_TEXT = 96 };
char *pri_shape_text(char text[PRI_SHAPE_TEXT], const pri_shape *shape);
/* NumPy/ONNX multidirectional broadcasting; false when the shapes do not fit. */
bool pri_shape_broadcast(pri_shape *out, const pri_shape *a, const pri_shape *b);
/* axis in -rank .. rank-1 to 0 .. rank-1; -1 when out of range. */
int pri_axis(int64_t axis, int rank);
/* Row-major strides in elements. */
void pri_shape_strides(int64_t strides[PRI_MAX_RANK], const pri_shape *shape);

typedef struct pri_tensor pri_tensor;

struct pri_tensor {
    pri_dtype dtype;
    pri_shape shape;
    void *data; /* count * dtype bytes; do not write before pri_tensor_own */
    /* private */
    struct pri_buffer *buffer;
    pare_context *ctx;
};

/* Zeroed tensor; the caller frees it with pri_tensor_free. */
pare_status pri_tensor_new(pri_tensor **out, pare_context *ctx, pri_dtype dtype,
                           const pri_shape *shape);
/* A second handle on the same data (copied when one of them is written). */
pare_status pri_tensor_share(pri_tensor **out, const pri_tensor *tensor);
/* Makes the data this tensor's alone, copying if it is shared: call before writing. */
pare_status pri_tensor_own(pri_tensor *tensor);
/* New tensor with the values of another: any numeric one to float32 or int64, float32 to float16,
 * bfloat16 (to nearest even) and float64; PARE_ERROR_UNSUPPORTED otherwise. */
pare_status pri_tensor_convert(pri_tensor **out, const pri_tensor *tensor, pri_dtype to);
/* New tensor with only the indices of `axis` whose keep[] is true (dims[axis] entries). */
pare_status pri_tensor_slice(pri_tensor **out, const pri_tensor *tensor, int axis,
                             const bool *keep);
void pri_tensor_free(pri_tensor *tensor); /* NULL is fine */

int64_t pri_tensor_count(const pri_tensor *tensor);
/* Element `index` as a number, whatever the type. */
double pri_tensor_get(const pri_tensor *tensor, int64_t index);
int64_t pri_tensor_get_i64(const pri_tensor *tensor, int64_t index);

float pri_f16_to_f32(uint16_t half);
uint16_t pri_f32_to_f16(float value); /* to nearest even */

#endif
