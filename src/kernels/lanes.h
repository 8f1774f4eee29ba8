/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lanes.h - 16 neighbouring elements, floats or bfloat16, as one vector of floats, for kernels with
 * a path for AVX-512 beside a portable one. Whoever includes it asks pri_has_lanes first.
 */
#ifndef PRI_LANES_H
#define PRI_LANES_H

#include <stdbool.h>
#include <stdint.h>

enum { PRI_LANE_COUNT = 16 };

#if defined(__x86_64__) && defined(__GNUC__)
#define PRI_HAVE_LANES 1
#include <immintrin.h>

#define PRI_ON_LANES __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq")))
#define PRI_ON_LANES_INLINE PRI_ON_LANES static inline __attribute__((always_inline))

static inline bool pri_has_lanes(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

/* Of `count` elements those from `at` on that a vector holds. */
PRI_ON_LANES_INLINE __mmask16 pri_lanes_left(int64_t count, int64_t at)
{
    return count - at >= PRI_LANE_COUNT ? 0xffff : (__mmask16)((1u << (count - at)) - 1);
}

/* Lanes that are not asked for are 0, and their memory is not touched. */
PRI_ON_LANES_INLINE __m512 pri_lanes_load(const void *data, bool is_narrow, int64_t at,
                                          __mmask16 lanes)
{
    if (!is_narrow)
        return _mm512_maskz_loadu_ps(lanes, (const float *)data + at);
    const __m256i halves = _mm256_maskz_loadu_epi16(lanes, (const uint16_t *)data + at);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}

/* As pri_f32_to_bf16; in the upper halves, what is in the lower ones does not count. */
PRI_ON_LANES_INLINE __m512 pri_lanes_round(__m512 x)
{
    const __m512i bits = _mm512_castps_si512(x);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i up = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff));
    const __mmask16 is_nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    const __m512i rounded = _mm512_add_epi32(bits, up);

    return _mm512_castsi512_ps(
        _mm512_mask_or_epi32(rounded, is_nan, bits, _mm512_set1_epi32(0x400000)));
}

/* is_exact: as bfloat16 the values are rounded already. */
PRI_ON_LANES_INLINE void pri_lanes_store(void *data, bool is_narrow, int64_t at, __mmask16 lanes,
                                         __m512 x, bool is_exact)
{
    if (!is_narrow) {
        _mm512_mask_storeu_ps((float *)data + at, lanes, x);
        return;
    }
    const __m512i bits = _mm512_castps_si512(is_exact ? x : pri_lanes_round(x));
    _mm256_mask_storeu_epi16((uint16_t *)data + at, lanes,
                             _mm512_cvtepi32_epi16(_mm512_srli_epi32(bits, 16)));
}

#else
#define PRI_HAVE_LANES 0

static inline bool pri_has_lanes(void)
{
    return false;
}
#endif

#endif
