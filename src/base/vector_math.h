/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vector_math.h - exponential functions without branches, calls or tables, so that loops over them
 * become vector instructions; the C library's are called element by element.
 *
 * Reductions and polynomials are those of the Cephes library (S. Moshier, expf.c, tanhf.c).
 */
#ifndef PRI_VECTOR_MATH_H
#define PRI_VECTOR_MATH_H

#include "base/float_bits.h"

/* exp(x) to 2 units in the last place; infinity, 0 and NaN as expf. */
static inline float pri_exp(float x)
{
    const float round = 12582912.0f; /* 1.5 * 2^23: what is added to it is rounded to integers */
    const float high = x > 89.0f ? 89.0f : x;
    const float bounded = high < -104.0f ? -104.0f : high;
    const float shifted = bounded * 1.44269504f + round;
    const float n = shifted - round;
    const float r = (bounded - n * 0.693359375f) + n * 2.12194440e-4f;
    const float p = ((((1.9875691500e-4f * r + 1.3981999507e-3f) * r + 8.3334519073e-3f) * r +
                      4.1665795894e-2f) *
                         r +
                     1.6666665459e-1f) *
                        r +
                    5.0000001201e-1f;
    /* 2^n in two factors, for the ends of the range */
    const int32_t whole = (int32_t)(pri_bits_of_float(shifted) - pri_bits_of_float(round));
    const int32_t half = whole / 2;

    return (p * r * r + r + 1) * pri_float_of_bits((uint32_t)(half + 127) << 23) *
           pri_float_of_bits((uint32_t)(whole - half + 127) << 23);
}

static inline float pri_sigmoid(float x)
{
    return 1 / (1 + pri_exp(-x));
}

/* tanh(x) to 3 units in the last place. */
static inline float pri_tanh(float x)
{
    const float size = x < 0 ? -x : x, square = x * x;
    const float far = 1 - 2 / (pri_exp(2 * size) + 1);
    const float near =
        ((((-5.70498872745e-3f * square + 2.06390887954e-2f) * square - 5.37397155531e-2f) *
              square +
          1.33314422036e-1f) *
             square -
         3.33332819422e-1f) *
            square * x +
        x;

    return size < 0.625f ? near : x < 0 ? -far : far;
}

#endif
