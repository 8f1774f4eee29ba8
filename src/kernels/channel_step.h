/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel_step.h - the step in which the time of convolutions grows with their channels: 16 where a
 * vector holds 16 numbers, 8 where it holds 8. Channels that do not fill a step cost what a full
 * one costs, so that cuts that end inside of one save nothing.
 */
#ifndef PRI_CHANNEL_STEP_H
#define PRI_CHANNEL_STEP_H

#include "base/base.h"

/* 16, 8 or 4. Measured once a machine and remembered (choose.h), or by pri_channel_step_rule. */
int pri_channel_step(pare_context *ctx);
/* Numbers in a vector of the instructions oneDNN makes code with. */
int pri_channel_step_rule(void);

/* Times are taken of convolutions of PRI_STEP_FIRST to PRI_STEP_LAST channels, at these counts. */
enum { PRI_STEP_FIRST = 32, PRI_STEP_LAST = 48, PRI_STEP_COUNTS = 8 };
extern const int pri_step_counts[PRI_STEP_COUNTS];
/* The largest step of which channels inside cost at least nearly as much as all of it: seconds for
 * pri_step_counts; 0 where the times make no sense. */
int pri_channel_step_of(const double seconds[PRI_STEP_COUNTS]);

#endif
