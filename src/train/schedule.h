/* SPDX-License-Identifier: Apache-2.0 */
/* schedule.h - the learning rate of each step, as a share of its peak. */
#ifndef PRI_SCHEDULE_H
#define PRI_SCHEDULE_H

#include "base/base.h"

/* A shape of the learning rate over a run. */
typedef struct pri_schedule {
    const char *name, *summary;
    bool rises; /* has a rise of its own, which a warm-up lengthens or shortens */
    /* Factor at `step` of `total`; steps below `warmup` come only where it rises. */
    double (*factor)(int64_t step, int64_t total, int64_t warmup);
} pri_schedule;

/* All of them; returns their number. The first is the default. */
int pri_schedule_list(const pri_schedule **out);
const pri_schedule *pri_schedule_find(const char *name); /* NULL when there is none */
/* Factor of the peak rate at step 0 .. total-1; the first `warmup` steps rise linearly unless the
 * schedule rises by itself. */
double pri_schedule_factor(const pri_schedule *schedule, int64_t step, int64_t total,
                           int64_t warmup);

#endif
