/* SPDX-License-Identifier: Apache-2.0 */
/*
 * narrow.h - float32 to bfloat16 and back: the upper half of a float, rounded to nearest, ties to
 * even.
 *
 * Activations and their gradients are arrays of PRI_F32 or PRI_BF16. Loops over them either take
 * PIECEs as floats (pri_floats_at, pri_floats_put: a piece stays in the first cache) or read and
 * write elements by PRI_LOAD and PRI_STORE with a type the compiler knows.
 */
#ifndef PRI_NARROW_H
#define PRI_NARROW_H

#include "base/float_bits.h"
#include "tensor/tensor.h"

/* Elements that pri_floats_at takes at most: room for them fits on the stack. */
enum { PRI_NARROW_PIECE = 1024 };

/* Infinities stay, NaNs stay NaNs; processors with an instruction for it take subnormal numbers for
 * zero. Shares the work between threads where there is much of it. */
void pri_narrow(uint16_t *to, const float *from, int64_t count);
/* The same on the calling thread, and back (exact). */
void pri_narrow_piece(uint16_t *to, const float *from, int64_t count);
void pri_widen_piece(float *to, const uint16_t *from, int64_t count);

/* Where element `at` of an array of `dtype` (PRI_F32 or PRI_BF16) is. */
static inline const void *pri_element(const void *data, pri_dtype dtype, int64_t at)
{
    return (const unsigned char *)data + at * (dtype == PRI_BF16 ? 2 : 4);
}

static inline void *pri_element_of(void *data, pri_dtype dtype, int64_t at)
{
    return (unsigned char *)data + at * (dtype == PRI_BF16 ? 2 : 4);
}

/* Elements at .. at+count-1 as floats: where they are, or widened into room. */
static inline const float *pri_floats_at(const void *data, pri_dtype dtype, int64_t at,
                                         int64_t count, float *room)
{
    if (dtype != PRI_BF16)
        return (const float *)data + at;
    pri_widen_piece(room, (const uint16_t *)data + at, count);
    return room;
}

/* Where to compute floats for elements from `at` on: there, or room; then pri_floats_put. */
static inline float *pri_floats_for(void *data, pri_dtype dtype, int64_t at, float *room)
{
    return dtype != PRI_BF16 ? (float *)data + at : room;
}

static inline void pri_floats_put(void *data, pri_dtype dtype, int64_t at, int64_t count,
                                  const float *room)
{
    if (dtype == PRI_BF16)
        pri_narrow_piece((uint16_t *)data + at, room, count);
}

/* Element i of an array; is_narrow is a constant where it counts. */
#define PRI_LOAD(data, i, is_narrow)                                                               \
    ((is_narrow) ? pri_bf16_to_f32(((const uint16_t *)(data))[i]) : ((const float *)(data))[i])
#define PRI_STORE(data, i, is_narrow, value)                                                       \
    do {                                                                                           \
        if (is_narrow)                                                                             \
            ((uint16_t *)(data))[i] = pri_f32_to_bf16(value);                                      \
        else                                                                                       \
            ((float *)(data))[i] = (value);                                                        \
    } while (0)

/* to += from on the calling thread. */
void pri_add_piece(float *to, const float *from, int64_t count);
/* to += from, elements of `dtype` each; sums are rounded once. */
void pri_add_elements(void *to, const void *from, pri_dtype dtype, int64_t count);

#endif
