/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vector_bf16.h - bfloat16 in memory for vector.h, by AVX512_BF16. The other sets of instructions
 * are handed none (lanes.h): there pri_is_narrow says no, and the rest is never called.
 */
#ifndef PRI_VECTOR_BF16_H
#define PRI_VECTOR_BF16_H

#ifdef __AVX512BF16__
PRI_INLINE bool pri_is_narrow(pri_dtype dtype)
{
    return dtype == PRI_BF16;
}

/* Each 16 bits into the upper half of a lane. */
PRI_INLINE pri_vec pri_widened(const uint16_t *from, pri_lane_set lanes)
{
    const __m512i index = _mm512_set_epi16(15, 0, 14, 0, 13, 0, 12, 0, 11, 0, 10, 0, 9, 0, 8, 0, 7,
                                           0, 6, 0, 5, 0, 4, 0, 3, 0, 2, 0, 1, 0, 0, 0);
    const __m512i halves = _mm512_castsi256_si512(_mm256_maskz_loadu_epi16(lanes, from));

    return _mm512_castsi512_ps(_mm512_maskz_permutexvar_epi16(0xaaaaaaaa, index, halves));
}

/* As pri_f32_to_bf16, but numbers below the normal ones become 0. */
PRI_INLINE __m256i pri_narrowed(pri_vec x)
{
    return (__m256i)_mm512_cvtneps_pbh(x);
}

PRI_INLINE void pri_put_narrowed(uint16_t *to, pri_lane_set lanes, pri_vec x)
{
    if (lanes == PRI_ALL)
        _mm256_storeu_si256((__m256i *)(void *)to, pri_narrowed(x));
    else
        _mm256_mask_storeu_epi16(to, lanes, pri_narrowed(x));
}

PRI_INLINE void pri_put_narrowed_past_caches(uint16_t *to, pri_vec x)
{
    _mm256_stream_si256((__m256i *)(void *)to, pri_narrowed(x));
}
#else
PRI_INLINE bool pri_is_narrow(pri_dtype dtype)
{
    (void)dtype;
    return false;
}

PRI_INLINE pri_vec pri_widened(const uint16_t *from, pri_lane_set lanes)
{
    (void)from, (void)lanes;
    return pri_zero();
}

PRI_INLINE void pri_put_narrowed(uint16_t *to, pri_lane_set lanes, pri_vec x)
{
    (void)to, (void)lanes, (void)x;
}

PRI_INLINE void pri_put_narrowed_past_caches(uint16_t *to, pri_vec x)
{
    (void)to, (void)x;
}
#endif

#endif
