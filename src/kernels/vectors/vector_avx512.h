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

/* --- Some lanes: as pri_load_masked and pri_store --- */

PRI_INLINE pri_vec pri_get_some(const float *from, pri_lane_set lanes)
{
    return _mm512_maskz_loadu_ps(lanes, from);
}

PRI_INLINE void pri_put_some(float *to, pri_lane_set lanes, pri_vec x)
{
    _mm512_mask_storeu_ps(to, lanes, x);
}

PRI_INLINE void pri_put_past_caches(float *to, pri_vec x)
{
    _mm512_stream_ps(to, x);
}

#endif
