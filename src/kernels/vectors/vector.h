/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vector.h - vectors of floats, read from and written to arrays of floats or bfloat16.
 *
 * The files of this folder are compiled three times: for AVX-512, with 16 floats a vector and 32
 * registers, once with bfloat16 and its instructions and once without, and for AVX2, with 8 and 16.
 * They see PRI_LANES, and sums and differences are written + and -; kernels/lanes.h says which of
 * them run.
 */
#ifndef PRI_VECTOR_H
#define PRI_VECTOR_H

#include <immintrin.h>
#include <string.h>

#include "kernels/lanes.h"
#include "kernels/narrow.h"

#define PRI_INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define PRI_UNROLL _Pragma("unroll")
#else
#define PRI_UNROLL _Pragma("GCC unroll 16")
#endif

/* The first lanes of a vector, or none, or all: a bit each. */
typedef uint16_t pri_lane_set;

#ifdef __AVX512F__
#include "kernels/vectors/vector_avx512.h"
#else
#include "kernels/vectors/vector_avx2.h"
#endif

/* Loops whose bodies fill 16 registers by themselves. */
#ifdef __AVX512F__
#define PRI_UNROLL_ROOMY PRI_UNROLL
#else
#define PRI_UNROLL_ROOMY
#endif

enum { PRI_ALL = (1 << PRI_LANES) - 1 };

/* Of `count` elements those from `at` on that a vector holds. */
static inline pri_lane_set pri_lanes_of(int64_t count, int64_t at)
{
    return count - at >= PRI_LANES ? PRI_ALL : (pri_lane_set)((1u << (count - at)) - 1);
}

#include "kernels/vectors/vector_bf16.h"

/* Elements from `at` on; those that are not in lanes are 0, and their memory is not touched. There
 * is no branch on lanes. */
PRI_INLINE pri_vec pri_load_masked(const void *data, bool is_narrow, int64_t at, pri_lane_set lanes)
{
    return is_narrow ? pri_widened((const uint16_t *)data + at, lanes)
                     : pri_get_some((const float *)data + at, lanes);
}

/* The same. Lanes of PRI_ALL and types that the compiler knows make it one or two instructions. */
PRI_INLINE pri_vec pri_load(const void *data, bool is_narrow, int64_t at, pri_lane_set lanes)
{
    return is_narrow || lanes != PRI_ALL ? pri_load_masked(data, is_narrow, at, lanes)
                                         : pri_get((const float *)data + at);
}

/* To elements in lanes, rounded. */
PRI_INLINE void pri_store(void *data, bool is_narrow, int64_t at, pri_lane_set lanes, pri_vec x)
{
    if (is_narrow)
        pri_put_narrowed((uint16_t *)data + at, lanes, x);
    else if (lanes == PRI_ALL)
        pri_put((float *)data + at, x);
    else
        pri_put_some((float *)data + at, lanes, x);
}

/* All lanes past the caches, to an aligned place; then _mm_sfence. */
PRI_INLINE void pri_stream(void *data, bool is_narrow, int64_t at, pri_vec x)
{
    if (is_narrow)
        pri_put_narrowed_past_caches((uint16_t *)data + at, x);
    else
        pri_put_past_caches((float *)data + at, x);
}

/* min and max give their second operand where one is a NaN. */
PRI_INLINE pri_vec pri_clipped(pri_vec x, pri_vec low, pri_vec high)
{
    return pri_min(high, pri_max(low, x));
}

#endif
