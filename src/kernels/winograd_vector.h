/* SPDX-License-Identifier: Apache-2.0 */
/*
 * winograd_vector.h - the transforms of winograd.h on vectors of 16 channels, for processors with
 * AVX-512. Included by the winograd_*.c files.
 *
 * Names of the transforms: B' on 6 inputs, G on 3 weights, A' on 6 products, and A and G' which go
 * the other way. The points are 0, 1, -1, 2, -2 and infinity.
 */
#ifndef PRI_WINOGRAD_VECTOR_H
#define PRI_WINOGRAD_VECTOR_H

#include "kernels/winograd_tile.h"

#define PRI_ADD _mm512_add_ps
#define PRI_SUB _mm512_sub_ps
#define PRI_MUL(x, c) _mm512_mul_ps(x, _mm512_set1_ps(c))
#define PRI_MORE(x, c, y) _mm512_fmadd_ps(x, _mm512_set1_ps(c), y) /* c x + y */

/* B' d. */
PRI_AVX512_INLINE void pri_on_inputs(__m512 r[PRI_PATCH], const __m512 d[PRI_PATCH])
{
    const __m512 even = PRI_MORE(d[2], -4.0f, d[4]), odd = PRI_MORE(d[1], -4.0f, d[3]);
    const __m512 rest = PRI_SUB(d[4], d[2]), twice = PRI_MUL(PRI_SUB(d[3], d[1]), 2.0f);

    r[0] = PRI_MORE(d[0], 4.0f, PRI_MORE(d[2], -5.0f, d[4]));
    r[1] = PRI_ADD(even, odd);
    r[2] = PRI_SUB(even, odd);
    r[3] = PRI_ADD(rest, twice);
    r[4] = PRI_SUB(rest, twice);
    r[5] = PRI_MORE(d[1], 4.0f, PRI_MORE(d[3], -5.0f, d[5]));
}

/* A' m. */
PRI_AVX512_INLINE void pri_on_products(__m512 y[PRI_TILE], const __m512 m[PRI_PATCH])
{
    const __m512 s = PRI_ADD(m[1], m[2]), d = PRI_SUB(m[1], m[2]);
    const __m512 s2 = PRI_ADD(m[3], m[4]), d2 = PRI_SUB(m[3], m[4]);

    y[0] = PRI_ADD(m[0], PRI_ADD(s, s2));
    y[1] = PRI_MORE(d2, 2.0f, d);
    y[2] = PRI_MORE(s2, 4.0f, s);
    y[3] = PRI_ADD(m[5], PRI_MORE(d2, 8.0f, d));
}

/* A y. */
PRI_AVX512_INLINE void pri_on_outputs(__m512 z[PRI_PATCH], const __m512 y[PRI_TILE])
{
    const __m512 even = PRI_ADD(y[0], y[2]), odd = PRI_ADD(y[1], y[3]);
    const __m512 even2 = PRI_MORE(y[2], 4.0f, y[0]),
                 odd2 = PRI_MUL(PRI_MORE(y[3], 4.0f, y[1]), 2.0f);

    z[0] = y[0];
    z[1] = PRI_ADD(even, odd);
    z[2] = PRI_SUB(even, odd);
    z[3] = PRI_ADD(even2, odd2);
    z[4] = PRI_SUB(even2, odd2);
    z[5] = y[3];
}

/* G w. */
PRI_AVX512_INLINE void pri_on_weights(__m512 u[PRI_PATCH], const __m512 w[3])
{
    const __m512 s = PRI_MUL(PRI_ADD(w[0], w[2]), -1.0f / 6);
    const __m512 s2 = PRI_MORE(w[2], 1.0f / 6, PRI_MUL(w[0], 1.0f / 24));

    u[0] = PRI_MUL(w[0], 0.25f);
    u[1] = PRI_MORE(w[1], -1.0f / 6, s);
    u[2] = PRI_MORE(w[1], 1.0f / 6, s);
    u[3] = PRI_MORE(w[1], 1.0f / 12, s2);
    u[4] = PRI_MORE(w[1], -1.0f / 12, s2);
    u[5] = w[2];
}

/* G' s. */
PRI_AVX512_INLINE void pri_on_sums(__m512 w[3], const __m512 s[PRI_PATCH])
{
    const __m512 sum = PRI_ADD(s[1], s[2]), sum2 = PRI_ADD(s[3], s[4]);

    w[0] = PRI_MORE(s[0], 0.25f, PRI_MORE(sum, -1.0f / 6, PRI_MUL(sum2, 1.0f / 24)));
    w[1] = PRI_MORE(PRI_SUB(s[2], s[1]), 1.0f / 6, PRI_MUL(PRI_SUB(s[3], s[4]), 1.0f / 12));
    w[2] = PRI_ADD(s[5], PRI_MUL(PRI_SUB(sum2, sum), 1.0f / 6));
}

#endif
