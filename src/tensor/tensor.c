/* SPDX-License-Identifier: Apache-2.0 */
/* tensor.c - element types, shapes, shared tensors. */
#include "tensor/tensor.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/float_bits.h"

typedef struct pri_buffer {
    atomic_int references;
    void *data; /* aligned to 64 bytes */
} pri_buffer;

typedef struct dtype_info {
    const char *name;
    size_t bytes;
} dtype_info;

static const dtype_info dtypes[] = {
    [PRI_UNDEFINED] = {"undefined", 0},
    [PRI_F32] = {"float32", 4},
    [PRI_U8] = {"uint8", 1},
    [PRI_I8] = {"int8", 1},
    [PRI_U16] = {"uint16", 2},
    [PRI_I16] = {"int16", 2},
    [PRI_I32] = {"int32", 4},
    [PRI_I64] = {"int64", 8},
    [PRI_STRING] = {"string", 0},
    [PRI_BOOL] = {"bool", 1},
    [PRI_F16] = {"float16", 2},
    [PRI_F64] = {"float64", 8},
    [PRI_U32] = {"uint32", 4},
    [PRI_U64] = {"uint64", 8},
    [PRI_BF16] = {"bfloat16", 2},
};

size_t pri_dtype_bytes(pri_dtype dtype)
{
    return (size_t)dtype < PRI_COUNT(dtypes) ? dtypes[dtype].bytes : 0;
}

const char *pri_dtype_name(pri_dtype dtype)
{
    if ((size_t)dtype >= PRI_COUNT(dtypes) || dtypes[dtype].name == NULL)
        return "unknown type";
    return dtypes[dtype].name;
}

pri_dtype pri_dtype_run(pri_dtype dtype)
{
    return dtype == PRI_F16 || dtype == PRI_BF16 || dtype == PRI_F64 ? PRI_F32 : dtype;
}

/* --- Shapes --- */

pri_shape pri_shape_of(int rank, const int64_t *dims)
{
    pri_shape shape = {.rank = rank};

    for (int i = 0; i < rank; i++)
        shape.dims[i] = dims[i];
    return shape;
}

bool pri_shape_equal(const pri_shape *a, const pri_shape *b)
{
    if (a->rank != b->rank)
        return false;
    for (int i = 0; i < a->rank; i++) {
        if (a->dims[i] != b->dims[i])
            return false;
    }
    return true;
}

bool pri_shape_is_static(const pri_shape *shape)
{
    for (int i = 0; i < shape->rank; i++) {
        if (shape->dims[i] < 0)
            return false;
    }
    return true;
}

int64_t pri_shape_count(const pri_shape *shape)
{
    int64_t count = 1;

    for (int i = 0; i < shape->rank; i++) {
        if (!pri_mul_i64(&count, count, shape->dims[i]))
            return -1;
    }
    return count;
}

bool pri_shape_is_sane(const pri_shape *shape)
{
    int64_t count = 1;

    for (int i = 0; i < shape->rank; i++) {
        if (shape->dims[i] < 0 || shape->dims[i] > INT64_C(1) << 40)
            return false;
        /* count is at most 2^40 */
        if (shape->dims[i] > 1 && count > (INT64_C(1) << 40) / shape->dims[i])
            return false;
        count *= shape->dims[i] > 1 ? shape->dims[i] : 1;
    }
    return true;
}

int64_t pri_shape_span(const pri_shape *shape, int from, int to)
{
    int64_t count = 1;

    for (int i = from; i < to; i++)
        count *= shape->dims[i];
    return count;
}

char *pri_shape_text(char text[PRI_SHAPE_TEXT], const pri_shape *shape)
{
    size_t used = 0;

    snprintf(text, PRI_SHAPE_TEXT, "scalar");
    for (int i = 0; i < shape->rank && used < PRI_SHAPE_TEXT; i++) {
        const char *separator = i > 0 ? "x" : "";
        const int n = shape->dims[i] < 0
                          ? snprintf(text + used, PRI_SHAPE_TEXT - used, "%s?", separator)
                          : snprintf(text + used, PRI_SHAPE_TEXT - used, "%s%lld", separator,
                                     (long long)shape->dims[i]);
        used += (size_t)n;
    }
    return text;
}

bool pri_shape_broadcast(pri_shape *out, const pri_shape *a, const pri_shape *b)
{
    const int rank = a->rank > b->rank ? a->rank : b->rank;
    pri_shape shape = {.rank = rank};

    for (int i = 0; i < rank; i++) {
        const int ia = i - (rank - a->rank), ib = i - (rank - b->rank);
        const int64_t da = ia >= 0 ? a->dims[ia] : 1, db = ib >= 0 ? b->dims[ib] : 1;
        if (da != db && da != 1 && db != 1)
            return false;
        shape.dims[i] = da == 1 ? db : da;
    }
    *out = shape;
    return true;
}

int pri_axis(int64_t axis, int rank)
{
    if (axis < -(int64_t)rank || axis >= rank)
        return -1;
    return (int)(axis < 0 ? axis + rank : axis);
}

void pri_shape_strides(int64_t strides[PRI_MAX_RANK], const pri_shape *shape)
{
    int64_t stride = 1;

    for (int i = shape->rank - 1; i >= 0; i--) {
        strides[i] = stride;
        stride *= shape->dims[i];
    }
}

/* --- Tensors --- */

pare_status pri_tensor_new(pri_tensor **out, pare_context *ctx, pri_dtype dtype,
                           const pri_shape *shape)
{
    const int64_t count = pri_shape_count(shape);
    const size_t size = pri_dtype_bytes(dtype);
    char text[PRI_SHAPE_TEXT];

    *out = NULL;
    if (size == 0)
        return pri_fail(ctx, PARE_ERROR_UNSUPPORTED, "tensors of type %s are not supported",
                        pri_dtype_name(dtype));
    if (count < 0 || (uint64_t)count > SIZE_MAX / 2 / size)
        return pri_fail(ctx, PARE_ERROR_SHAPE, "a tensor of shape %s is too large",
                        pri_shape_text(text, shape));
    pri_tensor *tensor = pri_alloc(ctx, 1, sizeof *tensor);
    pri_buffer *buffer = pri_alloc(ctx, 1, sizeof *buffer);
    void *data = pri_alloc_aligned(ctx, (size_t)count * size);
    if (tensor == NULL || buffer == NULL || data == NULL) {
        pri_free(tensor);
        pri_free(buffer);
        pri_free(data);
        return PARE_ERROR_MEMORY;
    }
    memset(data, 0, (size_t)count * size);
    atomic_init(&buffer->references, 1);
    buffer->data = data;
    *tensor =
        (pri_tensor){.dtype = dtype, .shape = *shape, .data = data, .buffer = buffer, .ctx = ctx};
    *out = tensor;
    return PARE_OK;
}

pare_status pri_tensor_share(pri_tensor **out, const pri_tensor *tensor)
{
    *out = pri_alloc(tensor->ctx, 1, sizeof **out);
    if (*out == NULL)
        return PARE_ERROR_MEMORY;
    **out = *tensor;
    atomic_fetch_add(&tensor->buffer->references, 1);
    return PARE_OK;
}

static void release_buffer(pri_buffer *buffer)
{
    if (atomic_fetch_sub(&buffer->references, 1) > 1)
        return;
    pri_free(buffer->data);
    pri_free(buffer);
}

pare_status pri_tensor_own(pri_tensor *tensor)
{
    pri_tensor *copy = NULL;

    if (atomic_load(&tensor->buffer->references) == 1)
        return PARE_OK;
    PRI_TRY(pri_tensor_new(&copy, tensor->ctx, tensor->dtype, &tensor->shape));
    memcpy(copy->data, tensor->data,
           (size_t)pri_tensor_count(tensor) * pri_dtype_bytes(tensor->dtype));
    release_buffer(tensor->buffer);
    *tensor = *copy;
    pri_free(copy);
    return PARE_OK;
}

void pri_tensor_free(pri_tensor *tensor)
{
    if (tensor == NULL)
        return;
    release_buffer(tensor->buffer);
    pri_free(tensor);
}

int64_t pri_tensor_count(const pri_tensor *tensor)
{
    return pri_shape_count(&tensor->shape);
}

pare_status pri_tensor_slice(pri_tensor **out, const pri_tensor *tensor, int axis, const bool *keep)
{
    pri_shape shape = tensor->shape;
    const int64_t size = shape.dims[axis];
    const int64_t outer = pri_shape_span(&shape, 0, axis);
    const size_t inner =
        (size_t)pri_shape_span(&shape, axis + 1, shape.rank) * pri_dtype_bytes(tensor->dtype);
    int64_t kept = 0;

    for (int64_t i = 0; i < size; i++)
        kept += keep[i];
    shape.dims[axis] = kept;
    PRI_TRY(pri_tensor_new(out, tensor->ctx, tensor->dtype, &shape));
    unsigned char *to = (*out)->data;
    const unsigned char *from = tensor->data;
    for (int64_t o = 0; o < outer; o++) {
        for (int64_t i = 0; i < size; i++, from += inner) {
            if (!keep[i])
                continue;
            memcpy(to, from, inner);
            to += inner;
        }
    }
    return PARE_OK;
}

int64_t pri_tensor_get_i64(const pri_tensor *tensor, int64_t index)
{
    const void *data = tensor->data;

    switch (tensor->dtype) {
    case PRI_I64: return ((const int64_t *)data)[index];
    case PRI_U64: return (int64_t)((const uint64_t *)data)[index];
    case PRI_I32: return ((const int32_t *)data)[index];
    case PRI_U32: return ((const uint32_t *)data)[index];
    case PRI_I16: return ((const int16_t *)data)[index];
    case PRI_U16: return ((const uint16_t *)data)[index];
    case PRI_I8: return ((const int8_t *)data)[index];
    case PRI_U8:
    case PRI_BOOL: return ((const uint8_t *)data)[index];
    default: {
        const double value = pri_tensor_get(tensor, index);
        return value > -9e18 && value < 9e18 ? (int64_t)value : 0;
    }
    }
}

double pri_tensor_get(const pri_tensor *tensor, int64_t index)
{
    const void *data = tensor->data;

    switch (tensor->dtype) {
    case PRI_F32: return ((const float *)data)[index];
    case PRI_F64: return ((const double *)data)[index];
    case PRI_F16: return pri_f16_to_f32(((const uint16_t *)data)[index]);
    case PRI_BF16: return pri_bf16_to_f32(((const uint16_t *)data)[index]);
    case PRI_UNDEFINED:
    case PRI_STRING: return 0;
    default: return (double)pri_tensor_get_i64(tensor, index);
    }
}

/* float32 to the other floats, to nearest even. */
static pare_status narrow(pri_tensor **out, const pri_tensor *tensor, pri_dtype to)
{
    const float *from = tensor->data;

    PRI_TRY(pri_tensor_new(out, tensor->ctx, to, &tensor->shape));
    const int64_t count = pri_tensor_count(tensor);
    for (int64_t i = 0; i < count; i++) {
        if (to == PRI_F64)
            ((double *)(*out)->data)[i] = (double)from[i];
        else
            ((uint16_t *)(*out)->data)[i] =
                to == PRI_F16 ? pri_f32_to_f16(from[i]) : pri_f32_to_bf16(from[i]);
    }
    return PARE_OK;
}

pare_status pri_tensor_convert(pri_tensor **out, const pri_tensor *tensor, pri_dtype to)
{
    *out = NULL;
    if (tensor->dtype == PRI_F32 && pri_dtype_run(to) == PRI_F32 && to != PRI_F32)
        return narrow(out, tensor, to);
    if (to != PRI_F32 && to != PRI_I64)
        return pri_fail(tensor->ctx, PARE_ERROR_UNSUPPORTED, "cannot convert tensors to %s",
                        pri_dtype_name(to));
    PRI_TRY(pri_tensor_new(out, tensor->ctx, to, &tensor->shape));
    const int64_t count = pri_tensor_count(tensor);
    for (int64_t i = 0; i < count; i++) {
        if (to == PRI_F32)
            ((float *)(*out)->data)[i] = (float)pri_tensor_get(tensor, i);
        else
            ((int64_t *)(*out)->data)[i] = pri_tensor_get_i64(tensor, i);
    }
    return PARE_OK;
}

/* --- Half precision --- */

float pri_f16_to_f32(uint16_t half)
{
    const uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    const uint32_t exponent = half >> 10 & 0x1fu, mantissa = half & 0x3ffu;

    if (exponent == 0) /* zero or subnormal: mantissa * 2^-24 */
        return pri_float_of_bits(sign | pri_bits_of_float((float)mantissa * 0x1p-24f));
    if (exponent == 31)
        return pri_float_of_bits(sign | 0x7f800000u | mantissa << 13);
    return pri_float_of_bits(sign | (exponent + 112u) << 23 | mantissa << 13);
}

uint16_t pri_f32_to_f16(float value)
{
    const uint32_t bits = pri_bits_of_float(value);
    const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
    const uint32_t magnitude = bits & 0x7fffffffu;

    if (magnitude > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u);
    if (magnitude >= 0x477ff000u) /* rounds to 65536 or more */
        return (uint16_t)(sign | 0x7c00u);
    if (magnitude < 0x38800000u) { /* subnormal: let the addition round to even */
        const float rounded = pri_float_of_bits(magnitude) + 0.5f;
        return (uint16_t)(sign | (uint16_t)(pri_bits_of_float(rounded) - 0x3f000000u));
    }
    const uint32_t rounded = magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1u);
    return (uint16_t)(sign | (uint16_t)(rounded >> 13));
}
