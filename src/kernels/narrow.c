/* SPDX-License-Identifier: Apache-2.0 */
/* narrow.c - see narrow.h. */
#include "kernels/narrow.h"

#include <string.h>

#include "base/base.h"

enum { STRETCH = 16384 };

PRI_CLONES static void narrow_stretch(uint16_t *restrict to, const float *restrict from,
                                      int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &from[i], sizeof bits);
        const uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
        const uint32_t quiet = bits >> 16 | 0x40u;
        to[i] = (uint16_t)((bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded);
    }
}

void pri_narrow(uint16_t *to, const float *from, int64_t count)
{
#pragma omp parallel for schedule(static) if (count > 4 * STRETCH)
    for (int64_t at = 0; at < count; at += STRETCH)
        narrow_stretch(to + at, from + at, pri_min_i64(STRETCH, count - at));
}
