/* SPDX-License-Identifier: Apache-2.0 */
/* thread.h - which thread of a parallel region this is. */
#ifndef PRI_THREAD_H
#define PRI_THREAD_H

#ifdef _OPENMP
#include <omp.h>
#endif

/* From 0; below the number of threads the region asked for. */
static inline int pri_thread(void)
{
#ifdef _OPENMP
    return omp_get_thread_num();
#else
    return 0;
#endif
}

#endif
