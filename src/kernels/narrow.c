/* SPDX-License-Identifier: Apache-2.0 */
/* narrow.c - see narrow.h. */
#include "kernels/narrow.h"

#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#endif

#include "base/base.h"
#include "base/float_bits.h"

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

void pri_narrow(uint16_t *to, const float *from, int64_t count)
{
    const bool by_instruction = has_instruction();

#pragma omp parallel for schedule(static) if (count > 4 * STRETCH)
    for (int64_t at = 0; at < count; at += STRETCH)
        (by_instruction ? narrow_by_instruction : narrow_stretch)(to + at, from + at,
                                                                  pri_min_i64(STRETCH, count - at));
}
