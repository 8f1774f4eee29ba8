/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vector_math.h - exponential functions and a logarithm without branches, calls or tables, so that
 * loops over them become vector instructions; the C library's are called element by element.
 *
 * Reductions and polynomials are those of the Cephes library (S. Moshier, expf.c, tanhf.c, logf.c).
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

/* log(x) of normal x > 0 to 2 units in the last place; NaN of infinity and NaN. */
static inline float pri_logarithm(float x)
{
    const uint32_t bits = pri_bits_of_float(x);
    /* x = 2^n m with m from sqrt(1/2) to sqrt(2): 0x3f3504f3 is sqrt(1/2) */
    const int32_t n = (int32_t)(bits - 0x3f3504f3u) >> 23;
    const float n_float = (float)n;
    const float r = pri_float_of_bits(bits - ((uint32_t)n << 23)) - 1, square = r * r;
    const float p = ((((((((7.0376836292e-2f * r - 1.1514610310e-1f) * r + 1.1676998740e-1f) * r -
                          1.2420140846e-1f) *
                             r +
                         1.4249322787e-1f) *
                            r -
                        1.6668057665e-1f) *
                           r +
                       2.0000714765e-1f) *
                          r -
                      2.4999993993e-1f) *
                         r +
                     3.3333331174e-1f) *
                    r * square;
    const float y = r + (p - 2.12194440e-4f * n_float - 0.5f * square) + 0.693359375f * n_float;

    return y + (x - x); /* a comparison would become a branch, and loops no vectors */
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
