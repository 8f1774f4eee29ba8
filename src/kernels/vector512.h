/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vector512.h - vectors of 16 floats, read from and written to arrays of floats or bfloat16, for
 * processors with AVX-512; compiled where the compiler can (PRI_BUILDS_AVX512), run where
 * pri_has_avx512 says so.
 */
#ifndef PRI_VECTOR512_H
#define PRI_VECTOR512_H

#include "kernels/narrow.h"

enum { PRI_LANES = 16 };

/* Channels of whole vectors. */
static inline int64_t pri_filled(int64_t channels)
{
    return (channels + PRI_LANES - 1) / PRI_LANES * PRI_LANES;
}

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

#define PRI_BUILDS_AVX512 1

#define PRI_AVX512_SET "avx512f,avx512bw,avx512vl,avx512dq,prfchw"
#define PRI_AVX512 __attribute__((target(PRI_AVX512_SET)))
#define PRI_AVX512_INLINE PRI_AVX512 static inline __attribute__((always_inline))
#ifdef __clang__
#define PRI_UNROLL _Pragma("unroll")
#else
#define PRI_UNROLL _Pragma("GCC unroll 16")
#endif

/* What PRI_AVX512 asks for. */
static inline bool pri_has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

/* Of `count` elements those from `at` on that a vector holds. */
static inline __mmask16 pri_lanes_of(int64_t count, int64_t at)
{
    return count - at >= PRI_LANES ? 0xffff : (__mmask16)((1u << (count - at)) - 1);
}

PRI_AVX512_INLINE __m512 pri_widened(__m256i halves)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}

/* Elements from `at` on; those that are not in lanes are 0, and their memory is not touched. */
PRI_AVX512_INLINE __m512 pri_load_masked(const void *data, bool is_narrow, int64_t at,
                                         __mmask16 lanes)
{
    if (is_narrow)
        return pri_widened(_mm256_maskz_loadu_epi16(lanes, (const uint16_t *)data + at));
    return _mm512_maskz_loadu_ps(lanes, (const float *)data + at);
}

/* The same. Lanes of 0xffff and types that the compiler knows make it one or two instructions;
 * of lanes it does not know it asks whether they are all, which is for loops that leave that out.
 */
PRI_AVX512_INLINE __m512 pri_load(const void *data, bool is_narrow, int64_t at, __mmask16 lanes)
{
    if (lanes != 0xffff)
        return pri_load_masked(data, is_narrow, at, lanes);
    if (is_narrow)
        return pri_widened(
            _mm256_loadu_si256((const __m256i *)(const void *)((const uint16_t *)data + at)));
    return _mm512_loadu_ps((const float *)data + at);
}

/* What an array holds of x: with is_narrow rounded as pri_f32_to_bf16, in the upper halves of the
 * lanes, the lower ones of which do not count; else x. */
PRI_AVX512_INLINE __m512 pri_rounded(__m512 x, bool is_narrow)
{
    const __m512i bits = _mm512_castps_si512(x);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i up = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    const __mmask16 is_nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);

    if (!is_narrow)
        return x;
    return _mm512_castsi512_ps(_mm512_mask_or_epi32(up, is_nan, bits, _mm512_set1_epi32(0x400000)));
}

PRI_AVX512_INLINE __m256i pri_upper_halves(__m512 x)
{
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_castps_si512(x), 16));
}

/* To elements in lanes; x is pri_rounded. */
PRI_AVX512_INLINE void pri_store_masked(void *data, bool is_narrow, int64_t at, __mmask16 lanes,
                                        __m512 x)
{
    if (is_narrow)
        _mm256_mask_storeu_epi16((uint16_t *)data + at, lanes, pri_upper_halves(x));
    else
        _mm512_mask_storeu_ps((float *)data + at, lanes, x);
}

/* Of lanes as pri_load. */
PRI_AVX512_INLINE void pri_store(void *data, bool is_narrow, int64_t at, __mmask16 lanes, __m512 x)
{
    const __m512 value = pri_rounded(x, is_narrow);

    if (lanes != 0xffff)
        pri_store_masked(data, is_narrow, at, lanes, value);
    else if (is_narrow)
        _mm256_storeu_si256((__m256i *)(void *)((uint16_t *)data + at), pri_upper_halves(value));
    else
        _mm512_storeu_ps((float *)data + at, value);
}

/* What is below 0 times `slope`: Relu, LeakyRelu. NaNs stay, here and below. */
PRI_AVX512_INLINE __m512 pri_leaky(__m512 x, float slope)
{
    const __m512 zero = _mm512_setzero_ps();
    const __mmask16 below = _mm512_cmp_ps_mask(x, zero, _CMP_LT_OQ);

    return slope == 0 ? _mm512_mask_mov_ps(x, below, zero)
                      : _mm512_mask_mul_ps(x, below, x, _mm512_set1_ps(slope));
}

/* min and max give their second operand where one is a NaN. */
PRI_AVX512_INLINE __m512 pri_clipped(__m512 x, __m512 low, __m512 high)
{
    return _mm512_min_ps(high, _mm512_max_ps(low, x));
}

/* All lanes past the caches, to an aligned place; then _mm_sfence. */
PRI_AVX512_INLINE void pri_stream(void *data, bool is_narrow, int64_t at, __m512 x)
{
    const __m512 value = pri_rounded(x, is_narrow);

    if (is_narrow)
        _mm256_stream_si256((__m256i *)(void *)((uint16_t *)data + at), pri_upper_halves(value));
    else
        _mm512_stream_ps((float *)data + at, value);
}

#else
static inline bool pri_has_avx512(void)
{
    return false;
}
#endif

#endif
