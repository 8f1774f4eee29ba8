/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recipe.h - pruning in rounds with training between.
 *
 * Round r of R prunes what the model has become to the target's share to the power r / R and trains
 * it; a round whose target is met already, since the rounds before overshot theirs, only trains.
 * The original is the teacher where hints or distillation are asked for. With PARE_WEAKEN the
 * channels that the final target would remove are weakened more from round to round (factor 1 - r /
 * R), chosen anew each time, and cut out in the last one (He et al. 2018, soft filter pruning); in
 * one round they are weakened by the stated factor and stay. PARE_MASK takes one round without
 * training.
 */
#ifndef PARE_RECIPE_H
#define PARE_RECIPE_H

#include <pare/evaluate.h>
#include <pare/prune.h>
#include <pare/train.h>

/* Where a run stands: round 0 is the original, r the model after round r. */
typedef struct pare_round {
    int round, rounds;
    double macs, parameters;    /* shares of the original */
    double accuracy, miou, nll; /* on the validation images; NAN where there is none */
} pare_round;

typedef void (*pare_round_fn)(void *user, const pare_round *round);

typedef struct pare_recipe {
    pare_prune_options prune;
    int rounds;       /* 0: 1 */
    int epochs;       /* of training after each round; 0: none */
    int final_epochs; /* after the last round instead; 0: as the others */
    bool distill;     /* the original teaches by its outputs */
    bool hints;       /* the original teaches by its outputs and inner values, and labels are not
                         needed: what `train` leaves open becomes distill 1, distill_inner 100,
                         adamw, no weight decay; normalisations are frozen */
    pare_train_options train; /* epochs, teacher, checkpoint and resume are set by the recipe */
    const char *state;  /* path prefix of files from which an interrupted run goes on (STATE.round
                           and STATE.train); NULL: none. They stay when the run is done, see
                           pare_recipe_state_remove. */
    bool discard_state; /* states of another run are replaced; otherwise PARE_ERROR_EXISTS, as
                           always where a file there is none at all */
    pare_round_fn on_round;
    void *user;
} pare_recipe;

typedef struct pare_recipe_result {
    pare_prune_result pruning; /* groups from the original to the last model; costs likewise */
    pare_round *points;        /* rounds + 1, owned */
    int n_points;
    double seconds;
} pare_recipe_result;
PARE_API void pare_recipe_result_clear(pare_recipe_result *result);

/* Runs a recipe. `train` is used for calibration and training, `val` for choosing epochs and for
 * the points; both may be NULL where the strategy needs no images and no epochs are asked for. When
 * the state files of the same run are there (same model, options and images), it goes on from them;
 * after a run that was done it gives the same model again at once. PARE_ERROR_CANCELLED: they were
 * left behind. */
PARE_API PARE_NODISCARD pare_status pare_run_recipe(pare_model **out, const pare_model *model,
                                                    const pare_data *train, const pare_data *val,
                                                    const pare_recipe *recipe,
                                                    pare_recipe_result *result);
/* Removes the state files of a run, which is for when its model is safe. */
PARE_API void pare_recipe_state_remove(pare_context *ctx, const char *state);

#endif
