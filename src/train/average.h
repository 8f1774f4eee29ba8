/* SPDX-License-Identifier: Apache-2.0 */
/*
 * average.h - a running average of what training changes.
 *
 * average = d average + (1 - d) weights after every step, running statistics included (Polyak &
 * Juditsky 1992, with the exponential weights that are usual today). At step t, d is at most
 * (1 + t) / (10 + t), so that the first steps are forgotten soon.
 */
#ifndef PRI_AVERAGE_H
#define PRI_AVERAGE_H

#include "train/state.h"

typedef struct pri_average {
    double decay; /* 0: there is no average and nothing below */
    float *row;   /* state.total: the average */
    float *raw;   /* the weights themselves while the average stands in their place */
} pri_average;

/* Starts at the weights there are. pri_average_close. */
pare_status pri_average_open(pri_average *out, pare_context *ctx, const pri_state *state,
                             double decay);
void pri_average_close(pri_average *average);
/* After step number `step`, 0, 1, ... of the run. */
void pri_average_step(pri_average *average, const pri_state *state, int64_t step);
/* Puts the average in the place of the weights, and the weights back. */
void pri_average_enter(const pri_average *average, const pri_state *state);
void pri_average_leave(const pri_average *average, const pri_state *state);

#endif
