/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lanes.h - which of the kernels in kernels/vectors run on this processor.
 *
 * Those are compiled once a set of instructions. Each file there ends with a table of its
 * functions, whose type its header declares; the tables are named as the type is, with _avx2,
 * _avx512 or _avx512_bf16 behind.
 */
#ifndef PRI_LANES_H
#define PRI_LANES_H

#include "tensor/tensor.h"

/* Floats in a vector: 16 with AVX-512 (F, BW, VL, DQ), 8 with AVX2 and FMA, else 0, and then no
 * kernel of kernels/vectors is to be called. Never more than oneDNN takes (ONEDNN_MAX_CPU_ISA). */
int pri_lanes(void);

/* Channels of whole vectors of `lanes` floats. */
static inline int64_t pri_filled(int64_t channels, int lanes)
{
    return (channels + lanes - 1) / lanes * lanes;
}

/* Which of the sets, by the same rule. AVX512_BF16: as AVX-512, but bfloat16 by its instructions.
 */
typedef enum pri_vector_set {
    PRI_NO_VECTORS,
    PRI_AVX2,
    PRI_AVX512,
    PRI_AVX512_BF16
} pri_vector_set;
pri_vector_set pri_vectors(void);
/* Whether kernels take elements of this type: PRI_F32, and PRI_BF16 where there are instructions
 * for it; elsewhere bfloat16 is refused as a whole, or left to slower loops. */
bool pri_vectors_take(pri_dtype dtype);

/* Of a type: declares its tables (PRI_DEFINE_TABLE makes the one being compiled). */
#define PRI_DECLARE_TABLE(name) extern const name name##_avx512_bf16, name##_avx512, name##_avx2

/* The table of pri_vectors(), or NULL. */
#if defined(__x86_64__)
#define PRI_TABLE(name)                                                                            \
    (pri_vectors() == PRI_AVX512_BF16 ? &name##_avx512_bf16                                        \
     : pri_vectors() == PRI_AVX512    ? &name##_avx512                                             \
     : pri_vectors() == PRI_AVX2      ? &name##_avx2                                               \
                                      : NULL)
#else
#define PRI_TABLE(name) ((const name *)NULL)
#endif

#endif
