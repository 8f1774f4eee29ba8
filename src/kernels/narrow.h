/* SPDX-License-Identifier: Apache-2.0 */
/* narrow.h - float32 to bfloat16: the upper half of a float, rounded to nearest, ties to even. */
#ifndef PRI_NARROW_H
#define PRI_NARROW_H

#include <stdint.h>

/* Infinities stay, NaNs stay NaNs; processors with an instruction for it take subnormal numbers for
 * zero. */
void pri_narrow(uint16_t *to, const float *from, int64_t count);

#endif
