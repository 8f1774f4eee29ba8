/* SPDX-License-Identifier: Apache-2.0 */
/* vector_avx2.h - what vector.h needs, by AVX2 and FMA; comments are in vector_avx512.h. */
#ifndef PRI_VECTOR_AVX2_H
#define PRI_VECTOR_AVX2_H

#define PRI_DEFINE_TABLE(name) const name name##_avx2

enum { PRI_LANES = 8, PRI_REGISTERS = 16 };

typedef __m256 pri_vec;
typedef __m256 pri_truth;

PRI_INLINE pri_vec pri_zero(void)
{
    return _mm256_setzero_ps();
}

PRI_INLINE pri_vec pri_all(float x)
{
    return _mm256_set1_ps(x);
}

PRI_INLINE pri_vec pri_get(const float *from)
{
    return _mm256_loadu_ps(from);
}

PRI_INLINE void pri_put(float *to, pri_vec x)
{
    _mm256_storeu_ps(to, x);
}

PRI_INLINE pri_vec pri_fma(pri_vec a, pri_vec b, pri_vec c)
{
    return _mm256_fmadd_ps(a, b, c);
}

PRI_INLINE pri_vec pri_fnma(pri_vec a, pri_vec b, pri_vec c)
{
    return _mm256_fnmadd_ps(a, b, c);
}

PRI_INLINE pri_vec pri_min(pri_vec a, pri_vec b)
{
    return _mm256_min_ps(a, b);
}

PRI_INLINE pri_vec pri_max(pri_vec a, pri_vec b)
{
    return _mm256_max_ps(a, b);
}

/* --- Truths --- */

PRI_INLINE __m256i pri_lane_mask(pri_lane_set lanes)
{
    const __m256i bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);

    return _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(lanes), bit), bit);
}

PRI_INLINE pri_truth pri_of_lanes(pri_lane_set lanes)
{
    return _mm256_castsi256_ps(pri_lane_mask(lanes));
}

PRI_INLINE pri_truth pri_equal(pri_vec a, pri_vec b)
{
    return _mm256_cmp_ps(a, b, _CMP_EQ_OQ);
}

PRI_INLINE pri_truth pri_is_between(pri_vec x, pri_vec low, pri_vec high)
{
    return _mm256_and_ps(_mm256_cmp_ps(x, low, _CMP_GT_OQ), _mm256_cmp_ps(x, high, _CMP_LT_OQ));
}

PRI_INLINE pri_truth pri_both(pri_truth a, pri_truth b)
{
    return _mm256_and_ps(a, b);
}

PRI_INLINE pri_truth pri_but(pri_truth a, pri_truth b)
{
    return _mm256_andnot_ps(b, a);
}

PRI_INLINE pri_vec pri_where(pri_truth truth, pri_vec x)
{
    return _mm256_and_ps(truth, x);
}

PRI_INLINE pri_vec pri_leaky(pri_vec x, float slope)
{
    const __m256 below = _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_LT_OQ);

    return slope == 0 ? _mm256_andnot_ps(below, x)
                      : _mm256_blendv_ps(x, _mm256_mul_ps(x, _mm256_set1_ps(slope)), below);
}

/* --- Some lanes: as pri_load_masked and pri_store --- */

/* All lanes as far as the compiler knows: loads that ask for the mask without a branch need none
 * then. */
PRI_INLINE pri_vec pri_get_some(const float *from, pri_lane_set lanes)
{
    if (__builtin_constant_p(lanes) && lanes == (1 << PRI_LANES) - 1)
        return pri_get(from);
    return _mm256_maskload_ps(from, pri_lane_mask(lanes)); /* 1 or 2 steps */
}

/* Fewer than all, the first ones, in pieces of 4, 2 and 1: AMD's processors take tens of steps for
 * a masked store. */
PRI_INLINE void pri_put_some(float *to, pri_lane_set lanes, pri_vec x)
{
    const unsigned count = (unsigned)__builtin_popcount(lanes);
    float floats[PRI_LANES];

    pri_put(floats, x);
    if (count & 4)
        memcpy(to, floats, 4 * sizeof *to);
    if (count & 2)
        memcpy(to + (count & 4), floats + (count & 4), 2 * sizeof *to);
    if (count & 1)
        memcpy(to + (count & 6), floats + (count & 6), sizeof *to);
}

PRI_INLINE void pri_put_past_caches(float *to, pri_vec x)
{
    _mm256_stream_ps(to, x);
}

#endif
