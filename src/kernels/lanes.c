/* SPDX-License-Identifier: Apache-2.0 */
/* lanes.c - see lanes.h. */
#include "kernels/lanes.h"

#include <pthread.h>

#include "kernels/dnn.h"

static pri_vector_set set;
static pthread_once_t set_once = PTHREAD_ONCE_INIT;

static void find_set(void)
{
#if defined(__x86_64__)
    set = pri_dnn_has_avx512() ? (pri_dnn_has_bf16() ? PRI_AVX512_BF16 : PRI_AVX512)
          : pri_dnn_has_avx2() ? PRI_AVX2
                               : PRI_NO_VECTORS;
#endif
}

pri_vector_set pri_vectors(void)
{
    pthread_once(&set_once, find_set);
    return set;
}

int pri_lanes(void)
{
    const pri_vector_set vectors = pri_vectors();

    return vectors >= PRI_AVX512 ? 16 : vectors == PRI_AVX2 ? 8 : 0;
}

bool pri_vectors_take(pri_dtype dtype)
{
    return pri_vectors() != PRI_NO_VECTORS &&
           (dtype != PRI_BF16 || pri_vectors() == PRI_AVX512_BF16);
}
