/* SPDX-License-Identifier: Apache-2.0 */
/* run_state.h - what an interrupted recipe left behind, and going on from it. */
#ifndef PRI_RUN_STATE_H
#define PRI_RUN_STATE_H

#include <pare/recipe.h>

#include "base/base.h"

/* Where a run stands. */
typedef struct pri_run_state {
    int round; /* 1 .. rounds: the round under way; 0: nothing done yet; rounds + 1: all done */
    bool is_pruned;    /* this round's pruning is done: `model` waits for its training */
    pare_model *model; /* owned; NULL: start from the original */
    double seconds;    /* that the run took so far */
} pri_run_state;

/* A text that two runs share only when they would do the same: a hash of the model's bytes, the
 * options and the images with their labels and masks. */
pare_status pri_run_fingerprint(char text[32], const pare_model *model, const pare_recipe *recipe,
                                const pare_data *train, const pare_data *val);
/* Reads PREFIX.round when it is there and of this run; otherwise the state is empty. Fills the
 * points (room for rounds + 1) and what was pruned so far: groups, units, removed, oracle, seconds
 * and whether statistics were re-estimated. PARE_ERROR_EXISTS where PREFIX.round is of another run
 * (replaces: is left to be replaced) or of none, or PREFIX.train no checkpoint. */
pare_status pri_run_load(pri_run_state *out, pare_context *ctx, const char *prefix,
                         const char *fingerprint, pare_recipe_result *result, int rounds,
                         bool replaces);
/* Writes PREFIX.round and takes the model as it reads back. */
pare_status pri_run_save(pri_run_state *state, const char *prefix, const char *fingerprint,
                         const pare_recipe_result *result);
/* Removes PREFIX.train. */
void pri_run_remove_training(pare_context *ctx, const char *prefix);
/* Removes PREFIX.round and PREFIX.train. */
void pri_run_remove(pare_context *ctx, const char *prefix);
/* PREFIX followed by `suffix` in new memory. */
char *pri_run_path(pare_context *ctx, const char *prefix, const char *suffix);

#endif
