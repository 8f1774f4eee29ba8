/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prune.h - choose channels, cut them out, repair what is left.
 *
 * Everything is computed on a masked model of the original shapes; only then channels are cut out,
 * and the cut model is compared with the masked one on random inputs (the oracle).
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
    PARE_FISHER,    /* group Fisher: E (sum a g)^2 over all consumers of a unit, that is the second
                       derivative of the log-likelihood by a mask on it (Theis et al. 2018; Liu et al.
                       2021, eq. 4); nothing adapts */
    PARE_ML,      /* maximum likelihood: the second-order loss of the network's log-likelihood when
                     the other weights of each layer that reads the unit adapt, 1/2 w'(inv(F)_qq)^-1 w
                     (Hassibi, Stork 1993; Singh, Alistarh 2020, eq. 7), F Kronecker-factored into
                     input moments and output gradients (Martens, Grosse 2015), greedily with
                     downdates */
    PARE_LOCAL_ML /* local maximum likelihood: the same for each layer's own outputs, Gaussian about
                     what they were as the next layer sees them (behind the normalisation, relative
                     to how much the residual sum varies they go into), class scores as a softmax
                     sees them; one inverse a layer (Frantar, Alistarh 2022, algorithm 1, in blocks)
                   */
} pare_strategy;

/* "random", "magnitude", ... ; false when unknown. */
PARE_API bool pare_strategy_parse(pare_strategy *out, const char *name);
PARE_API const char *pare_strategy_name(pare_strategy strategy);
PARE_API const char *pare_strategy_summary(pare_strategy strategy);

/* Which Fisher information `ml` and `fisher` use (Kunstner et al. 2019). */
typedef enum pare_fisher {
    PARE_FISHER_GAUSS_NEWTON, /* of the logits; needs no labels, does not degenerate on memorised
                                 data */
    PARE_FISHER_TRUE,         /* labels drawn from the network's own softmax */
    PARE_FISHER_EMPIRICAL     /* the data's labels */
} pare_fisher;

/* What happens to the chosen channels. */
typedef enum pare_action {
    PARE_DELETE, /* cut out: the file becomes smaller and faster */
    PARE_MASK,   /* what makes them is set to zero, shapes stay */
    PARE_WEAKEN  /* what makes them is multiplied by `factor`, shapes stay */
} pare_action;

typedef enum pare_quantity { PARE_MACS, PARE_PARAMETERS, PARE_BYTES, PARE_CHANNELS } pare_quantity;

/* Alignment chosen for each group, since engines compute on vectors of channels: multiples of this
 * machine's step (16, 8 or 4 channels; pare_prune_result.channel_step) in groups of two steps or
 * more, of 4 in narrower ones, none below 8. Finer steps are taken only where the target is not
 * reached otherwise. */
enum { PARE_ALIGN_AUTO = -1 };

/* What is to be kept: a share of the original, or a number. */
typedef struct pare_target {
    pare_quantity quantity;
    double value;
    bool is_share; /* value is 0 .. 1 of the original */
} pare_target;

/* Reads "macs=50%", "params=0.3", "bytes=500k", "channels=60%" (a number up to 1 is a share; k, M
 * and G are powers of 1000). PARE_ERROR_ARGUMENT with a message otherwise. */
PARE_API PARE_NODISCARD pare_status pare_target_parse(pare_target *out, pare_context *ctx,
                                                      const char *text);

typedef struct pare_prune_options {
    pare_strategy strategy;
    pare_fisher fisher;
    pare_action action;
    double factor; /* of PARE_WEAKEN; 0 .. 1 */
    pare_target target;
    bool per_layer;      /* the same share of every group instead of one global order */
    bool ignore_cost;    /* do not divide scores by what a unit saves of the target's quantity */
    int64_t align;       /* channels kept in a group are a multiple of this where possible; 0: 1; or
                            PARE_ALIGN_AUTO */
    int draws;           /* of random, others have one; more than one needs labels or masks; 0: 1 */
    int steps;           /* scoring, cutting a part and re-fitting are repeated; 0: 1 */
    int64_t calibration; /* images used at most; 0: 1024 */
    bool no_fold;        /* do not add the mean of removed channels to their consumers' biases */
    bool no_refit;       /* no least-squares re-fit */
    bool no_recalibrate; /* do not try to re-estimate normalisation statistics */
    int reconstruct;     /* passes over the calibration images in which all weights together are
                            fitted to the original's outputs and inner sums, without labels;
                            0: chosen (20; none where a recipe trains after it), negative: none */
    const char *precision; /* of reconstruction: "f32" (default), "bf16", "auto" (see train.h) */
    uint64_t seed;
} pare_prune_options;

/* One group of channels before and after. */
typedef struct pare_pruned_group {
    char name[64];
    int64_t before, after;
} pare_pruned_group;

typedef struct pare_prune_result {
    pare_costs before, after;
    int64_t units, removed; /* prunable units, and how many went */
    double oracle;          /* largest difference of masked and cut model, of the range */
    bool was_recalibrated;
    double seconds; /* in all, and of the parts: */
    double score_seconds, refit_seconds, reconstruct_seconds;
    int channel_step;          /* with PARE_ALIGN_AUTO: the machine's, measured once with
                                  PARE_ALGORITHMS_MEASURED, else by its vectors; otherwise 0 */
    pare_pruned_group *groups; /* owned; pare_prune_result_clear */
    int n_groups;
} pare_prune_result;
PARE_API void pare_prune_result_clear(pare_prune_result *result);

/* Makes a pruned copy. `calibration` may be NULL for random with one draw, magnitude and bn-scale;
 * nothing is repaired then. The cut model is checked against the masked one on random inputs;
 * PARE_ERROR_VERIFY would mean a bug. PARE_ERROR_TARGET: the target cannot be reached, the message
 * says what can. */
PARE_API PARE_NODISCARD pare_status pare_prune(pare_model **out, const pare_model *model,
                                               const pare_data *calibration,
                                               const pare_prune_options *options,
                                               pare_prune_result *result);

#endif
