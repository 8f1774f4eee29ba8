/* SPDX-License-Identifier: Apache-2.0 */
/* float_bits.h - floats as their bits, and bfloat16, the upper half of them. */
#ifndef PRI_FLOAT_BITS_H
#define PRI_FLOAT_BITS_H

#include <stdint.h>
#include <string.h>

static inline float pri_float_of_bits(uint32_t bits)
{
    float value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t pri_bits_of_float(float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float pri_bf16_to_f32(uint16_t half)
{
    return pri_float_of_bits((uint32_t)half << 16);
}

/* To nearest, ties to even; infinities stay, NaNs stay NaNs. No branches, for loops over it. */
static inline uint16_t pri_f32_to_bf16(float value)
{
    const uint32_t bits = pri_bits_of_float(value);
    const uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
    const uint32_t quiet = bits >> 16 | 0x40u;

    return (uint16_t)((bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded);
}

#endif
