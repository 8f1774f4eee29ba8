/* SPDX-License-Identifier: Apache-2.0 */
/* vector_avx512.h - what vector.h needs, by AVX-512. */
#ifndef PRI_VECTOR_AVX512_H
#define PRI_VECTOR_AVX512_H

#ifdef __AVX512BF16__
#define PRI_DEFINE_TABLE(name) const name name##_avx512_bf16
#else
#define PRI_DEFINE_TABLE(name) const name name##_avx512
#endif

enum { PRI_LANES = 16, PRI_REGISTERS = 32 };

typedef __m512 pri_vec;
typedef __mmask16 pri_truth; /* of a comparison, lane by lane */

PRI_INLINE pri_vec pri_zero(void)
{
    return _mm512_setzero_ps();
}

PRI_INLINE pri_vec pri_all(float x)
{
    return _mm512_set1_ps(x);
}

PRI_INLINE pri_vec pri_get(const float *from)
{
    return _mm512_loadu_ps(from);
}

PRI_INLINE void pri_put(float *to, pri_vec x)
{
    _mm512_storeu_ps(to, x);
}

/* a b + c, rounded once, and c - a b. */
PRI_INLINE pri_vec pri_fma(pri_vec a, pri_vec b, pri_vec c)
{
    return _mm512_fmadd_ps(a, b, c);
}

PRI_INLINE pri_vec pri_fnma(pri_vec a, pri_vec b, pri_vec c)
{
    return _mm512_fnmadd_ps(a, b, c);
}

/* The second where one is a NaN or both are zero. */
PRI_INLINE pri_vec pri_min(pri_vec a, pri_vec b)
{
    return _mm512_min_ps(a, b);
}

PRI_INLINE pri_vec pri_max(pri_vec a, pri_vec b)
{
    return _mm512_max_ps(a, b);
}

/* --- Truths --- */

PRI_INLINE pri_truth pri_of_lanes(pri_lane_set lanes)
{
    return lanes;
}

PRI_INLINE pri_truth pri_equal(pri_vec a, pri_vec b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ);
}

/* Neither bound is. */
PRI_INLINE pri_truth pri_is_between(pri_vec x, pri_vec low, pri_vec high)
{
    return _mm512_mask_cmp_ps_mask(_mm512_cmp_ps_mask(x, low, _CMP_GT_OQ), x, high, _CMP_LT_OQ);
}

PRI_INLINE pri_truth pri_both(pri_truth a, pri_truth b)
{
    return a & b;
}

/* a and not b. */
PRI_INLINE pri_truth pri_but(pri_truth a, pri_truth b)
{
    return (pri_truth)(a & ~b);
}

/* x where it is true, else 0. */
PRI_INLINE pri_vec pri_where(pri_truth truth, pri_vec x)
{
    return _mm512_maskz_mov_ps(truth, x);
}

/* What is below 0 times `slope`: Relu, LeakyRelu. NaNs stay. */
PRI_INLINE pri_vec pri_leaky(pri_vec x, float slope)
{
    const __mmask16 below = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ);

    return slope == 0 ? _mm512_mask_mov_ps(x, below, _mm512_setzero_ps())
                      : _mm512_mask_mul_ps(x, below, x, _mm512_set1_ps(slope));
}

/* --- bfloat16 --- */

/* Each 16 bits into the upper half of a lane. */
PRI_INLINE pri_vec pri_of_upper_halves(__m256i halves)
{
    const __m512i index = _mm512_set_epi16(15, 0, 14, 0, 13, 0, 12, 0, 11, 0, 10, 0, 9, 0, 8, 0, 7,
                                           0, 6, 0, 5, 0, 4, 0, 3, 0, 2, 0, 1, 0, 0, 0);

    return _mm512_castsi512_ps(
        _mm512_maskz_permutexvar_epi16(0xaaaaaaaa, index, _mm512_castsi256_si512(halves)));
}

PRI_INLINE pri_vec pri_widened(const uint16_t *from)
{
    return pri_of_upper_halves(_mm256_loadu_si256((const __m256i *)(const void *)from));
}

/* As pri_f32_to_bf16; by the processor's instruction numbers below the normal ones become 0. */
PRI_INLINE __m256i pri_narrowed(pri_vec x)
{
#ifdef __AVX512BF16__
    return (__m256i)_mm512_cvtneps_pbh(x);
#else
    const __m512i bits = _mm512_castps_si512(x);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i up = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    const __mmask16 is_nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    const __m512i all = _mm512_mask_or_epi32(up, is_nan, bits, _mm512_set1_epi32(0x400000));

    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(all, 16));
#endif
}

PRI_INLINE void pri_put_narrowed(uint16_t *to, pri_vec x)
{
    _mm256_storeu_si256((__m256i *)(void *)to, pri_narrowed(x));
}

/* --- Some lanes: as pri_load and pri_store --- */

PRI_INLINE pri_vec pri_load_masked(const void *data, bool is_narrow, int64_t at, pri_lane_set lanes)
{
    if (is_narrow)
        return pri_of_upper_halves(_mm256_maskz_loadu_epi16(lanes, (const uint16_t *)data + at));
    return _mm512_maskz_loadu_ps(lanes, (const float *)data + at);
}

PRI_INLINE void pri_store_masked(void *data, bool is_narrow, int64_t at, pri_lane_set lanes,
                                 pri_vec x)
{
    if (is_narrow)
        _mm256_mask_storeu_epi16((uint16_t *)data + at, lanes, pri_narrowed(x));
    else
        _mm512_mask_storeu_ps((float *)data + at, lanes, x);
}

/* All lanes past the caches, to an aligned place; then _mm_sfence. */
PRI_INLINE void pri_stream(void *data, bool is_narrow, int64_t at, pri_vec x)
{
    if (is_narrow)
        _mm256_stream_si256((__m256i *)(void *)((uint16_t *)data + at), pri_narrowed(x));
    else
        _mm512_stream_ps((float *)data + at, x);
}

#endif
