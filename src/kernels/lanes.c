/* SPDX-License-Identifier: Apache-2.0 */
/* lanes.c - see lanes.h. */
#include "kernels/lanes.h"

#include <pthread.h>

#include "kernels/dnn.h"

static int lanes;
static pthread_once_t lanes_once = PTHREAD_ONCE_INIT;

static void find_lanes(void)
{
#if defined(__x86_64__)
    lanes = pri_dnn_has_avx512() ? 16 : pri_dnn_has_avx2() ? 8 : 0;
#endif
}

int pri_lanes(void)
{
    pthread_once(&lanes_once, find_lanes);
    return lanes;
}
