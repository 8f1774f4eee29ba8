/* SPDX-License-Identifier: Apache-2.0 */
/* depthwise_vector.h - what depthwise_rows.c and depthwise_sums.c share. */
#ifndef PRI_DEPTHWISE_VECTOR_H
#define PRI_DEPTHWISE_VECTOR_H

#include "kernels/vectors/depthwise_rows.h"
#include "kernels/vectors/vector.h"

PRI_INLINE bool pri_is_below(int64_t i, int64_t count)
{
    return (uint64_t)i < (uint64_t)count;
}

/* Asks for `vectors` vectors of elements from `at` on, for the second cache. What is asked for in
 * the order of addresses comes faster than in that of the loops: gradients of weights of 32 x 96 x
 * 64 x 64, stride 2, on Sapphire Rapids take 6.3 ms without, 5.5 ms in the loops' order, 4.3 ms so.
 */
PRI_INLINE void pri_fetch(const void *data, bool is_narrow, int64_t at, int64_t vectors)
{
    enum { LINE = 64 };
    const int64_t bytes = is_narrow ? 2 : 4;
    const char *from = (const char *)data + at * bytes;

    for (int64_t line = 0; line * LINE < vectors * PRI_LANES * bytes; line++)
        _mm_prefetch(from + line * LINE, _MM_HINT_T1);
}

#endif
