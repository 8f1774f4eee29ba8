/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.h - what training changes in a model, as one row of floats.
 *
 * Trained weights come first, running statistics after them, so that a velocity needs only the
 * first part. Snapshots and checkpoints are copies of that row.
 */
#ifndef PRI_STATE_H
#define PRI_STATE_H

#include "engine/engine.h"

typedef struct pri_state_part {
    pri_value *value;
    int64_t first, count; /* in the row */
    bool decays;          /* weight decay applies: rank >= 2 */
} pri_state_part;

typedef struct pri_state {
    pri_state_part *parts;
    int n_parts, n_trained; /* parts; the first n_trained have gradients */
    int64_t trained, total; /* floats */
} pri_state;

/* Gives every normalisation running statistics of its own: constants that only it reads. What the
 * model computes stays the same. */
pare_status pri_state_separate(pare_model *model);
/* Lists the weights a gradient of `engine` reaches and the statistics, and makes them the model's
 * own copies. PARE_ERROR_UNSUPPORTED when nothing can be trained. pri_state_clear. */
pare_status pri_state_collect(pri_state *out, pare_model *model, pri_engine *engine);
void pri_state_clear(pri_state *state);
void pri_state_read(const pri_state *state, float *row);
void pri_state_write(const pri_state *state, const float *row);
/* Hands the values over to the model this one was cloned from (values by id). */
pare_status pri_state_give(const pri_state *state, pare_model *original);

#endif
