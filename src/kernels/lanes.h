/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lanes.h - which of the kernels in kernels/vectors run on this processor.
 *
 * Those are compiled once for AVX-512 and once for AVX2. Each file there ends with a table of its
 * functions, whose type its header declares; the two are named as the type is, with _avx512 and
 * _avx2 behind.
 */
#ifndef PRI_LANES_H
#define PRI_LANES_H

#include "base/base.h"

/* Floats in a vector: 16 with AVX-512 (F, BW, VL, DQ), 8 with AVX2 and FMA, else 0, and then no
 * kernel of kernels/vectors is to be called. Never more than oneDNN takes (ONEDNN_MAX_CPU_ISA). */
int pri_lanes(void);

/* Channels of whole vectors of `lanes` floats. */
static inline int64_t pri_filled(int64_t channels, int lanes)
{
    return (channels + lanes - 1) / lanes * lanes;
}

/* Of a type: declares both its tables (PRI_DEFINE_TABLE makes the one being compiled). */
#define PRI_DECLARE_TABLE(name) extern const name name##_avx512, name##_avx2

/* The table that pri_lanes() asks for; NULL where it is 0. */
#if defined(__x86_64__)
#define PRI_TABLE(name)                                                                            \
    (pri_lanes() == 16 ? &name##_avx512 : pri_lanes() == 8 ? &name##_avx2 : NULL)
#else
#define PRI_TABLE(name) ((const name *)NULL)
#endif

#endif
