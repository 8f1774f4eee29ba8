/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prune.h - choose channels, cut them out, repair what is left.
 */
#ifndef PARE_PRUNE_H
#define PARE_PRUNE_H

#include <pare/data.h>
#include <pare/model.h>

typedef enum pare_strategy {
    PARE_RANDOM,    /* seeded order; the best of `draws` on the calibration likelihood */
    PARE_MAGNITUDE, /* group L2 norm, relative to the mean of its group (Fang et al. 2023, 3.3) */
    PARE_BN_SCALE,  /* mean |gamma| of the group's normalisations (Liu et al. 2017) */
    PARE_TAYLOR,    /* |sum a g| of the log-likelihood of the labels (Molchanov et al. 2017) */
    PARE_ML,        /* group Fisher, Gauss-Newton of the outputs: E_r (sum a g)^2 with random
                       projections r of the logits; needs no labels (Liu et al. 2021, eq. 4) */
    PARE_LOCAL_ML   /* structured optimal brain surgeon, relative to the layer's output energy
                       (Hassibi, Stork 1993; blocks as in Kurtic et al. 2022, eq. 4) */
} pare_strategy;

/* "random", "magnitude", ... ; false when unknown. */
PARE_API bool pare_strategy_parse(pare_strategy *out, const char *name);
PARE_API const char *pare_strategy_name(pare_strategy strategy);

typedef struct pare_prune_options {
    pare_strategy strategy;
    bool per_layer;       /* the same fraction of every group instead of a global order */
    bool per_mac;         /* divide scores by the MACs a unit saves */
    char target[16];      /* "macs", "params" or "channels" */
    double fraction;      /* of that to keep, 0 .. 1 */
    int draws;            /* of random; 0 = 1 */
    int64_t calibration;  /* images used at most; 0 = 1024 */
    bool no_refit;        /* leave out the least-squares re-fit */
    uint64_t seed;
} pare_prune_options;

typedef struct pare_prune_result {
    pare_costs before, after;
    int64_t units, removed; /* prunable units, and how many went */
    double oracle;          /* largest difference of masked and cut model, of the range */
    double seconds;
} pare_prune_result;

/* Makes a pruned copy. `calibration` may be NULL for random with one draw, magnitude and bn-scale
 * with no_refit. The cut model is checked against the masked one on random inputs;
 * PARE_ERROR_VERIFY would mean a bug. PARE_ERROR_TARGET: the target cannot be reached. */
PARE_API PARE_NODISCARD pare_status pare_prune(pare_model **out, const pare_model *model,
                                               const pare_data *calibration,
                                               const pare_prune_options *options,
                                               pare_prune_result *result);

#endif
