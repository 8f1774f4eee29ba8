/* SPDX-License-Identifier: Apache-2.0 */
/*
 * onnx_tensor.c - the three places where ONNX keeps tensor data: raw bytes,
 * typed fields, external files. The machine is little-endian, as ONNX's raw data.
 */
#include "onnx/onnx_tensor.h"

#include <string.h>

#include "onnx/onnx_external.h"

static pare_status fail_size(pare_context *ctx, const Onnx__TensorProto *message, int64_t expected,
                             int64_t found, const char *unit)
{
    return pri_fail(ctx, PARE_ERROR_FORMAT, "tensor '%s' should hold %lld %s, but holds %lld",
                    message->name != NULL ? message->name : "", (long long)expected, unit,
                    (long long)found);
}

static pare_status read_shape(pri_shape *shape, int64_t *count, pare_context *ctx,
                              const Onnx__TensorProto *message)
{
    const char *name = message->name != NULL ? message->name : "";

    if (message->n_dims > PRI_MAX_RANK)
        return pri_fail(ctx, PARE_ERROR_UNSUPPORTED, "tensor '%s' has rank %zu; at most %d", name,
                        message->n_dims, PRI_MAX_RANK);
    *shape = (pri_shape){.rank = (int)message->n_dims};
    for (size_t i = 0; i < message->n_dims; i++)
        shape->dims[i] = message->dims[i];
    *count = pri_shape_count(shape);
    if (!pri_shape_is_sane(shape))
        return pri_fail(ctx, PARE_ERROR_FORMAT, "tensor '%s' has an impossible shape", name);
    return PARE_OK;
}

/* --- Typed fields --- */

static int64_t typed_count(const Onnx__TensorProto *message, pri_dtype dtype)
{
    switch (dtype) {
    case PRI_F32: return (int64_t)message->n_float_data;
    case PRI_F64: return (int64_t)message->n_double_data;
    case PRI_I64: return (int64_t)message->n_int64_data;
    case PRI_U32:
    case PRI_U64: return (int64_t)message->n_uint64_data;
    default: return (int64_t)message->n_int32_data;
    }
}

static void copy_typed(pri_tensor *tensor, const Onnx__TensorProto *message, int64_t count)
{
    void *to = tensor->data;
    const size_t bytes = (size_t)count * pri_dtype_bytes(tensor->dtype);

    if (count == 0)
        return;
    switch (tensor->dtype) {
    case PRI_F32: memcpy(to, message->float_data, bytes); return;
    case PRI_F64: memcpy(to, message->double_data, bytes); return;
    case PRI_I64: memcpy(to, message->int64_data, bytes); return;
    case PRI_U64: memcpy(to, message->uint64_data, bytes); return;
    case PRI_I32: memcpy(to, message->int32_data, bytes); return;
    default: break;
    }
    for (int64_t i = 0; i < count; i++) {
        switch (tensor->dtype) {
        case PRI_U32: ((uint32_t *)to)[i] = (uint32_t)message->uint64_data[i]; break;
        case PRI_U16:
        case PRI_I16:
        case PRI_F16:
        case PRI_BF16: ((uint16_t *)to)[i] = (uint16_t)message->int32_data[i]; break;
        default: ((uint8_t *)to)[i] = (uint8_t)message->int32_data[i]; break;
        }
    }
}

static pare_status widen(pri_tensor **tensor)
{
    pri_tensor *wide = NULL;

    PRI_TRY(pri_tensor_convert(&wide, *tensor, PRI_F32));
    pri_tensor_free(*tensor);
    *tensor = wide;
    return PARE_OK;
}

pare_status pri_onnx_read_tensor(pri_tensor **out, pare_context *ctx,
                                 const Onnx__TensorProto *message, const char *folder)
{
    const pri_dtype dtype = (pri_dtype)message->data_type;
    const size_t size = pri_dtype_bytes(dtype);
    pri_shape shape;
    int64_t count = 0;

    *out = NULL;
    PRI_TRY(read_shape(&shape, &count, ctx, message));
    if (size == 0)
        return PARE_OK;
    const int64_t bytes = count * (int64_t)size;
    const bool is_external = pri_onnx_is_external(message);
    pri_onnx_place place = {0};
    /* sizes are settled before anything is allocated */
    if (is_external)
        PRI_TRY(pri_onnx_find_place(&place, ctx, message, folder, bytes));
    else if (message->has_raw_data && (int64_t)message->raw_data.len != bytes)
        return fail_size(ctx, message, bytes, (int64_t)message->raw_data.len, "bytes");
    else if (!message->has_raw_data && typed_count(message, dtype) != count)
        return fail_size(ctx, message, count, typed_count(message, dtype), "elements");
    PRI_TRY(pri_tensor_new(out, ctx, dtype, &shape));
    pare_status status = PARE_OK;
    if (is_external)
        status = pri_file_read_part((*out)->data, ctx, place.path, place.offset, bytes);
    else if (!message->has_raw_data)
        copy_typed(*out, message, count);
    else if (bytes > 0)
        memcpy((*out)->data, message->raw_data.data, (size_t)bytes);
    if (status == PARE_OK && pri_dtype_run(dtype) != dtype)
        status = widen(out);
    if (status != PARE_OK) {
        pri_tensor_free(*out);
        *out = NULL;
    }
    return status;
}

/* The tensor's elements as `dtype`, in the arena where they are not its own. */
static void *elements_as(pri_arena *arena, const pri_tensor *tensor, pri_dtype dtype)
{
    const size_t count = (size_t)pri_tensor_count(tensor), size = pri_dtype_bytes(dtype);
    pri_tensor *narrow = NULL;

    if (tensor->dtype == dtype)
        return tensor->data;
    void *copy = pri_arena_alloc(arena, count, size);
    if (copy == NULL || pri_tensor_convert(&narrow, tensor, dtype) != PARE_OK)
        return NULL;
    memcpy(copy, narrow->data, count * size);
    pri_tensor_free(narrow);
    return copy;
}

Onnx__TensorProto *pri_onnx_write_tensor(pri_arena *arena, const pri_tensor *tensor,
                                         pri_dtype dtype, const char *name)
{
    if (tensor->dtype != PRI_F32 || pri_dtype_run(dtype) != PRI_F32)
        dtype = tensor->dtype;
    Onnx__TensorProto *message = pri_arena_alloc(arena, 1, sizeof *message);
    int64_t *dims = pri_arena_alloc(arena, PRI_MAX_RANK, sizeof *dims);
    char *copy = pri_arena_strdup(arena, name);

    void *data = elements_as(arena, tensor, dtype);
    if (message == NULL || dims == NULL || copy == NULL || data == NULL)
        return NULL;
    onnx__tensor_proto__init(message);
    for (int i = 0; i < tensor->shape.rank; i++)
        dims[i] = tensor->shape.dims[i];
    message->n_dims = (size_t)tensor->shape.rank;
    message->dims = dims;
    message->name = copy;
    message->has_data_type = 1;
    message->data_type = (int32_t)dtype;
    message->has_raw_data = 1;
    message->raw_data.len = (size_t)pri_tensor_count(tensor) * pri_dtype_bytes(dtype);
    message->raw_data.data = data;
    return message;
}
