/* SPDX-License-Identifier: Apache-2.0 */
/* schedule.c - see schedule.h. */
#include "train/schedule.h"

#include <math.h>
#include <string.h>

/* Half a cosine from 1 at 0 to 0 at 1. */
static double fall(double share)
{
    return 0.5 * (1 + cos(acos(-1.0) * share));
}

/* Loshchilov & Hutter 2017 (SGDR), without restarts. */
static double cosine(int64_t step, int64_t total, int64_t warmup)
{
    return fall((double)(step - warmup) / (double)pri_max_i64(total - warmup, 1));
}

static double stairs(int64_t step, int64_t total, int64_t warmup)
{
    (void)warmup;
    return step * 4 >= total * 3 ? 0.01 : step * 2 >= total ? 0.1 : 1;
}

static double constant(int64_t step, int64_t total, int64_t warmup)
{
    (void)step;
    (void)total;
    (void)warmup;
    return 1;
}

/* Smith & Topin 2018 (super-convergence), both parts along a cosine as common frameworks have it:
 * from 1/25 up to 1, then down to 1e-4 of the first rate. */
static double one_cycle(int64_t step, int64_t total, int64_t warmup)
{
    const double first = 1.0 / 25, last = first * 1e-4;
    const int64_t rise = pri_min_i64(warmup > 0 ? warmup : total * 3 / 10, total - 1);

    if (step < rise)
        return first + (1 - first) * (1 - fall((double)step / (double)rise));
    return last +
           (1 - last) * fall((double)(step - rise) / (double)pri_max_i64(total - 1 - rise, 1));
}

static const pri_schedule schedules[] = {
    {"cosine", "falls along half a cosine to 0", false, cosine},
    {"step", "a tenth at 1/2 and again at 3/4 of the run", false, stairs},
    {"constant", "stays", false, constant},
    {"one-cycle", "rises over the first 3/10 (or the warm-up), then falls to almost 0", true,
     one_cycle}};

int pri_schedule_list(const pri_schedule **out)
{
    *out = schedules;
    return (int)PRI_COUNT(schedules);
}

const pri_schedule *pri_schedule_find(const char *name)
{
    for (size_t i = 0; i < PRI_COUNT(schedules); i++) {
        if (strcmp(name, schedules[i].name) == 0)
            return &schedules[i];
    }
    return NULL;
}

double pri_schedule_factor(const pri_schedule *schedule, int64_t step, int64_t total,
                           int64_t warmup)
{
    if (step < warmup && !schedule->rises)
        return (double)(step + 1) / (double)(warmup + 1);
    return schedule->factor(step, total, warmup);
}
