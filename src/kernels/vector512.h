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

static inline __mmask16 pri_lanes_of(int64_t channels, int64_t c)
{
    return channels - c >= PRI_LANES ? 0xffff : (__mmask16)((1u << (channels - c)) - 1);
}

/* Lanes of 0xffff and types that the compiler knows make these one or two instructions. */
PRI_AVX512_INLINE __m512 pri_load(const void *data, bool is_narrow, int64_t at, __mmask16 lanes)
{
    if (!is_narrow)
        return lanes == 0xffff ? _mm512_loadu_ps((const float *)data + at)
                               : _mm512_maskz_loadu_ps(lanes, (const float *)data + at);
    const __m256i halves =
        lanes == 0xffff
            ? _mm256_loadu_si256((const __m256i *)(const void *)((const uint16_t *)data + at))
            : _mm256_maskz_loadu_epi16(lanes, (const uint16_t *)data + at);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}

PRI_AVX512_INLINE void pri_store_halves(void *data, int64_t at, __mmask16 lanes, __m256i halves)
{
    if (lanes == 0xffff)
        _mm256_storeu_si256((__m256i *)(void *)((uint16_t *)data + at), halves);
    else
        _mm256_mask_storeu_epi16((uint16_t *)data + at, lanes, halves);
}

/* Rounds as pri_f32_to_bf16. */
PRI_AVX512_INLINE __m256i pri_halves(__m512 x)
{
    const __m512i bits = _mm512_castps_si512(x), half = _mm512_srli_epi32(bits, 16);
    const __m512i odd = _mm512_and_si512(half, _mm512_set1_epi32(1));
    const __m512i up = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    const __mmask16 is_nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    return _mm512_cvtepi32_epi16(
        _mm512_mask_or_epi32(_mm512_srli_epi32(up, 16), is_nan, half, _mm512_set1_epi32(0x40)));
}

PRI_AVX512_INLINE void pri_store(void *data, bool is_narrow, int64_t at, __mmask16 lanes, __m512 x)
{
    if (is_narrow)
        pri_store_halves(data, at, lanes, pri_halves(x));
    else if (lanes == 0xffff)
        _mm512_storeu_ps((float *)data + at, x);
    else
        _mm512_mask_storeu_ps((float *)data + at, lanes, x);
}

/* All lanes past the caches, to an aligned place; then _mm_sfence. */
PRI_AVX512_INLINE void pri_stream(void *data, bool is_narrow, int64_t at, __m512 x)
{
    if (is_narrow)
        _mm256_stream_si256((__m256i *)(void *)((uint16_t *)data + at), pri_halves(x));
    else
        _mm512_stream_ps((float *)data + at, x);
}

#else
static inline bool pri_has_avx512(void)
{
    return false;
}
#endif

#endif
