/* SPDX-License-Identifier: Apache-2.0 */
/* narrow.c - see narrow.h. */
#include "kernels/narrow.h"

#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#endif

#include "base/base.h"

enum { STRETCH = 16384 };

PRI_CLONES static void narrow_stretch(uint16_t *restrict to, const float *restrict from,
                                      int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        to[i] = pri_f32_to_bf16(from[i]);
}

#if defined(__x86_64__) && defined(__GNUC__)
#define BF16_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))

BF16_TARGET static void narrow_by_instruction(uint16_t *to, const float *from, int64_t count)
{
    int64_t i = 0;

    for (; i + 32 <= count; i += 32) {
        const __m512bh pair =
            _mm512_cvtne2ps_pbh(_mm512_loadu_ps(from + i + 16), _mm512_loadu_ps(from + i));
        memcpy(to + i, &pair, sizeof pair);
    }
    narrow_stretch(to + i, from + i, count - i);
}

static bool has_instruction(void)
{
    return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vl");
}
#else
static void narrow_by_instruction(uint16_t *to, const float *from, int64_t count)
{
    narrow_stretch(to, from, count);
}

static bool has_instruction(void)
{
    return false;
}
#endif

void pri_narrow_piece(uint16_t *to, const float *from, int64_t count)
{
    if (has_instruction())
        narrow_by_instruction(to, from, count);
    else
        narrow_stretch(to, from, count);
}

PRI_CLONES void pri_widen_piece(float *restrict to, const uint16_t *restrict from, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        to[i] = pri_bf16_to_f32(from[i]);
}

void pri_narrow(uint16_t *to, const float *from, int64_t count)
{
#pragma omp parallel for schedule(static) if (count > 4 * STRETCH)
    for (int64_t at = 0; at < count; at += STRETCH)
        pri_narrow_piece(to + at, from + at, pri_min_i64(STRETCH, count - at));
}

PRI_CLONES void pri_add_piece(float *to, const float *from, int64_t count)
{
    PRI_SIMD
    for (int64_t i = 0; i < count; i++)
        to[i] += from[i];
}

void pri_add_elements(void *to, const void *from, pri_dtype dtype, int64_t count)
{
#pragma omp parallel for schedule(static) if (count > 4 * STRETCH)
    for (int64_t at = 0; at < count; at += PRI_NARROW_PIECE) {
        const int64_t n = pri_min_i64(PRI_NARROW_PIECE, count - at);
        float room[2][PRI_NARROW_PIECE];
        float *sum = pri_floats_for(to, dtype, at, room[0]);
        if (dtype == PRI_BF16)
            (void)pri_floats_at(to, dtype, at, n, room[0]);
        pri_add_piece(sum, pri_floats_at(from, dtype, at, n, room[1]), n);
        pri_floats_put(to, dtype, at, n, sum);
    }
}
