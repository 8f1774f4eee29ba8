/* SPDX-License-Identifier: Apache-2.0 */
/* prune.c - score, select, mask, re-fit, cut, verify. */
#include <pare/evaluate.h>
#include <pare/prune.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "criteria/criteria.h"
#include "model/model.h"
#include "prune/refit.h"
#include "prune/select.h"

static const char *const names[] = {[PARE_RANDOM] = "random",     [PARE_MAGNITUDE] = "magnitude",
                                    [PARE_BN_SCALE] = "bn-scale", [PARE_TAYLOR] = "taylor",
                                    [PARE_ML] = "ml",             [PARE_LOCAL_ML] = "local-ml"};

bool pare_strategy_parse(pare_strategy *out, const char *name)
{
    for (size_t i = 0; i < PRI_COUNT(names); i++) {
        if (strcmp(names[i], name) == 0) {
            *out = (pare_strategy)i;
            return true;
        }
    }
    return false;
}

const char *pare_strategy_name(pare_strategy strategy)
{
    return (size_t)strategy < PRI_COUNT(names) ? names[strategy] : "unknown";
}

typedef struct job {
    pare_context *ctx;
    const pare_model *model;
    const pare_prune_options *options;
    pare_data *data; /* the calibration images used, or NULL */
    pri_preprocess preprocess;
    pri_groups *groups;
    double *scores;
    bool *removed;
} job;

static pare_status score(const job *j, uint64_t seed)
{
    switch (j->options->strategy) {
    case PARE_RANDOM: return pri_score_random(j->scores, j->groups, seed);
    case PARE_MAGNITUDE: return pri_score_magnitude(j->scores, j->groups);
    case PARE_BN_SCALE: return pri_score_bn_scale(j->scores, j->groups);
    case PARE_TAYLOR:
        return pri_score_gradient(j->scores, j->groups, j->data, &j->preprocess, false, seed);
    case PARE_ML:
        return pri_score_gradient(j->scores, j->groups, j->data, &j->preprocess, true, seed);
    case PARE_LOCAL_ML: return pri_score_obs(j->scores, j->groups, j->data, &j->preprocess);
    }
    return pri_fail(j->ctx, PARE_ERROR_ARGUMENT, "there is no strategy %d",
                    (int)j->options->strategy);
}

static pri_target target_of(const job *j)
{
    const char *name = j->options->target;

    return strcmp(name, "params") == 0     ? PRI_TARGET_PARAMETERS
           : strcmp(name, "channels") == 0 ? PRI_TARGET_CHANNELS
                                           : PRI_TARGET_MACS;
}

static pare_status choose(const job *j, uint64_t seed)
{
    PRI_TRY(score(j, seed));
    return pri_select(j->removed, j->groups, j->scores,
                      &(pri_selection){.target = target_of(j),
                                       .fraction = j->options->fraction,
                                       .per_layer = j->options->per_layer,
                                       .per_mac = j->options->per_mac});
}

/* Masked, re-fitted and cut; the oracle compares the two. */
static pare_status make(pare_model **out, const job *j, double *oracle)
{
    pare_model *masked = NULL, *cut = NULL;

    PRI_TRY(pare_model_clone(&masked, j->model));
    pare_status status = pri_groups_mask_consumers(j->groups, masked, j->removed);
    if (status == PARE_OK && !j->options->no_refit)
        status = pri_refit(masked, j->groups, j->removed, j->data, &j->preprocess);
    if (status == PARE_OK)
        status = pare_model_clone(&cut, masked);
    if (status == PARE_OK)
        status = pri_groups_cut(j->groups, cut, j->removed);
    if (status == PARE_OK)
        status = pri_groups_verify(masked, cut, j->options->seed, 1e-4, oracle);
    pare_model_free(masked);
    if (status != PARE_OK) {
        pare_model_free(cut);
        return status;
    }
    *out = cut;
    return PARE_OK;
}

/* The best of several random draws by likelihood on the calibration images. */
static pare_status draw(pare_model **out, const job *j, double *oracle)
{
    const int draws = j->options->draws > 1 && j->data != NULL ? j->options->draws : 1;
    double best = INFINITY;

    for (int d = 0; d < draws; d++) {
        pare_model *model = NULL;
        pare_scores scores = {0};
        double worst = 0;
        PRI_TRY(choose(j, j->options->seed + (uint64_t)d));
        PRI_TRY(make(&model, j, &worst));
        if (draws > 1) {
            const pare_status status = pare_evaluate(&scores, model, j->data);
            if (status != PARE_OK) {
                pare_model_free(model);
                return status;
            }
        }
        if (*out == NULL || scores.nll < best) {
            pare_model_free(*out);
            *out = model;
            best = scores.nll;
            *oracle = worst;
        } else {
            pare_model_free(model);
        }
        pare_scores_clear(&scores);
    }
    return PARE_OK;
}

static pare_status open_job(job *j, const pare_data *calibration)
{
    const pare_prune_options *o = j->options;
    const bool needs_data = !o->no_refit || o->strategy >= PARE_TAYLOR || o->draws > 1;

    if (!(o->fraction > 0 && o->fraction < 1))
        return pri_fail(j->ctx, PARE_ERROR_ARGUMENT,
                        "the target must keep between 0 %% and 100 %%, not %g %%",
                        100 * o->fraction);
    if (needs_data && calibration == NULL)
        return pri_fail(j->ctx, PARE_ERROR_ARGUMENT,
                        "%s needs images: give --data, or leave the re-fit out with --no-refit",
                        pare_strategy_name(o->strategy));
    if (needs_data) {
        PRI_TRY(pri_preprocess_parse(&j->preprocess, j->ctx,
                                     pare_model_metadata(j->model, PRI_PREPROCESS_KEY)));
        PRI_TRY(pare_data_slice(&j->data, calibration, 0,
                                o->calibration > 0 ? o->calibration : 1024));
    }
    PRI_TRY(pri_groups_new(&j->groups, j->model));
    j->scores = pri_alloc(j->ctx, (size_t)j->groups->n_units, sizeof *j->scores);
    j->removed = pri_alloc(j->ctx, (size_t)j->groups->n_units, sizeof *j->removed);
    return j->scores != NULL && j->removed != NULL ? PARE_OK : PARE_ERROR_MEMORY;
}

pare_status pare_prune(pare_model **out, const pare_model *model, const pare_data *calibration,
                       const pare_prune_options *options, pare_prune_result *result)
{
    const double start = pri_clock_s();
    job j = {.ctx = model->ctx, .model = model, .options = options};

    *out = NULL;
    memset(result, 0, sizeof *result);
    pare_status status = open_job(&j, calibration);
    if (status == PARE_OK)
        status = draw(out, &j, &result->oracle);
    if (status == PARE_OK)
        status = pare_model_costs(model, &result->before);
    if (status == PARE_OK)
        status = pare_model_costs(*out, &result->after);
    for (int u = 0; status == PARE_OK && u < j.groups->n_units; u++) {
        result->units += j.groups->units[u].pin < 0;
        result->removed += j.removed[u];
    }
    pri_groups_free(j.groups);
    pri_free(j.scores);
    pri_free(j.removed);
    pare_data_free(j.data);
    if (status != PARE_OK) {
        pare_model_free(*out);
        *out = NULL;
    }
    result->seconds = pri_clock_s() - start;
    return status;
}
