/* SPDX-License-Identifier: Apache-2.0 */
/* elements.c - see elements.h. */
#include "ops/elements.h"

#include "base/float_bits.h"

bool pri_is_float(pri_dtype dtype)
{
    return dtype == PRI_F32 || dtype == PRI_F64 || dtype == PRI_F16 || dtype == PRI_BF16;
}

bool pri_is_integer(pri_dtype dtype)
{
    return (dtype >= PRI_U8 && dtype <= PRI_I64) || dtype == PRI_U32 || dtype == PRI_U64;
}

bool pri_is_number(pri_dtype dtype)
{
    return pri_is_float(dtype) || pri_is_integer(dtype);
}

pri_tensor pri_view(const pri_operand *operand)
{
    return (pri_tensor){.dtype = operand->dtype, .shape = operand->shape, .data = operand->data};
}

double pri_get_number(const pri_operand *operand, int64_t index)
{
    if (operand->dtype == PRI_F32)
        return ((const float *)operand->data)[index];
    if (operand->dtype == PRI_U64)
        return (double)((const uint64_t *)operand->data)[index];
    const pri_tensor view = pri_view(operand);
    return pri_tensor_get(&view, index);
}

int64_t pri_get_integer(const pri_operand *operand, int64_t index)
{
    const pri_tensor view = pri_view(operand);

    return pri_tensor_get_i64(&view, index);
}

void pri_set_integer(const pri_operand *operand, int64_t index, int64_t value)
{
    const uint64_t bits = (uint64_t)value;
    void *data = operand->data;

    switch (operand->dtype) {
    case PRI_I64:
    case PRI_U64: ((uint64_t *)data)[index] = bits; break;
    case PRI_I32:
    case PRI_U32: ((uint32_t *)data)[index] = (uint32_t)bits; break;
    case PRI_I16:
    case PRI_U16: ((uint16_t *)data)[index] = (uint16_t)bits; break;
    case PRI_I8:
    case PRI_U8: ((uint8_t *)data)[index] = (uint8_t)bits; break;
    case PRI_BOOL: ((uint8_t *)data)[index] = value != 0; break;
    default: pri_set_number(operand, index, (double)value); break;
    }
}

static void bounds_of(pri_dtype dtype, double *low, double *high)
{
    switch (dtype) {
    case PRI_I32: *low = INT32_MIN, *high = INT32_MAX; break;
    case PRI_U32: *low = 0, *high = UINT32_MAX; break;
    case PRI_I16: *low = INT16_MIN, *high = INT16_MAX; break;
    case PRI_U16: *low = 0, *high = UINT16_MAX; break;
    case PRI_I8: *low = INT8_MIN, *high = INT8_MAX; break;
    default: *low = 0, *high = UINT8_MAX; break;
    }
}

/* Within the type, NaN at its lower bound: a cast outside would be undefined. */
static int64_t to_integer(pri_dtype dtype, double value)
{
    double low, high;

    if (dtype == PRI_I64)
        return !(value > -0x1p63) ? INT64_MIN : value >= 0x1p63 ? INT64_MAX : (int64_t)value;
    if (dtype == PRI_U64) {
        const uint64_t bits = !(value > 0) ? 0 : value >= 0x1p64 ? UINT64_MAX : (uint64_t)value;
        return (int64_t)bits;
    }
    bounds_of(dtype, &low, &high);
    return (int64_t)(!(value > low) ? low : value > high ? high : value);
}

void pri_set_number(const pri_operand *operand, int64_t index, double value)
{
    void *data = operand->data;

    switch (operand->dtype) {
    case PRI_F32: ((float *)data)[index] = (float)value; break;
    case PRI_F64: ((double *)data)[index] = value; break;
    case PRI_F16: ((uint16_t *)data)[index] = pri_f32_to_f16((float)value); break;
    case PRI_BF16: ((uint16_t *)data)[index] = pri_f32_to_bf16((float)value); break;
    case PRI_BOOL: ((uint8_t *)data)[index] = value != 0; break;
    default: pri_set_integer(operand, index, to_integer(operand->dtype, value)); break;
    }
}
