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

/* --- bfloat16 --- */

PRI_INLINE pri_vec pri_widened(const uint16_t *from)
{
    const __m128i halves = _mm_loadu_si128((const __m128i *)(const void *)from);

    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
}

/* As pri_f32_to_bf16. */
PRI_INLINE __m128i pri_narrowed(pri_vec x)
{
    const __m256i bits = _mm256_castps_si256(x);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i up = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    const __m256 all = _mm256_blendv_ps(_mm256_castsi256_ps(up), _mm256_castsi256_ps(quiet),
                                        _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    const __m256i words = _mm256_srli_epi32(_mm256_castps_si256(all), 16);
    const __m256i packed = _mm256_packus_epi32(words, words);

    return _mm256_castsi256_si128(_mm256_permute4x64_epi64(packed, 0x08));
}

PRI_INLINE void pri_put_narrowed(uint16_t *to, pri_vec x)
{
    _mm_storeu_si128((__m128i *)(void *)to, pri_narrowed(x));
}

/* --- Some lanes --- */

/* As far as the compiler knows: loads that ask for the mask without a branch need none then. */
PRI_INLINE bool pri_are_all(pri_lane_set lanes)
{
    return __builtin_constant_p(lanes) && lanes == (1 << PRI_LANES) - 1;
}

/* Not in line: it is rare, and loops that are unrolled hold many. */
__attribute__((noinline, unused)) static pri_vec pri_widened_few(const uint16_t *from,
                                                                 pri_lane_set lanes)
{
    uint16_t room[PRI_LANES] = {0};

    for (int k = 0; k < PRI_LANES; k++) {
        if (lanes >> k & 1)
            room[k] = from[k];
    }
    return pri_widened(room);
}

PRI_INLINE pri_vec pri_load_masked(const void *data, bool is_narrow, int64_t at, pri_lane_set lanes)
{
    if (pri_are_all(lanes))
        return is_narrow ? pri_widened((const uint16_t *)data + at)
                         : pri_get((const float *)data + at);
    if (is_narrow)
        return pri_widened_few((const uint16_t *)data + at, lanes);
    return _mm256_maskload_ps((const float *)data + at, pri_lane_mask(lanes)); /* 1 or 2 steps */
}

/* `count` elements of `bytes` each, fewer than PRI_LANES, in pieces of 4, 2 and 1: AMD's processors
 * take tens of steps for a masked store. */
PRI_INLINE void pri_copy_few(void *to, const void *from, unsigned count, size_t bytes)
{
    unsigned char *target = to;
    const unsigned char *source = from;

    if (count & 4)
        memcpy(target, source, 4 * bytes);
    if (count & 2)
        memcpy(target + (count & 4) * bytes, source + (count & 4) * bytes, 2 * bytes);
    if (count & 1)
        memcpy(target + (count & 6) * bytes, source + (count & 6) * bytes, bytes);
}

/* Not of all lanes: pri_store sees to those. */
PRI_INLINE void pri_store_masked(void *data, bool is_narrow, int64_t at, pri_lane_set lanes,
                                 pri_vec x)
{
    float floats[PRI_LANES];
    uint16_t halves[PRI_LANES];
    const unsigned count = (unsigned)__builtin_popcount(lanes);

    if (is_narrow) {
        pri_put_narrowed(halves, x);
        pri_copy_few((uint16_t *)data + at, halves, count, sizeof *halves);
    } else {
        pri_put(floats, x);
        pri_copy_few((float *)data + at, floats, count, sizeof *floats);
    }
}

/* All lanes past the caches, to an aligned place; then _mm_sfence. */
PRI_INLINE void pri_stream(void *data, bool is_narrow, int64_t at, pri_vec x)
{
    if (is_narrow)
        _mm_stream_si128((__m128i *)(void *)((uint16_t *)data + at), pri_narrowed(x));
    else
        _mm256_stream_ps((float *)data + at, x);
}

#endif
