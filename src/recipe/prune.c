/* SPDX-License-Identifier: Apache-2.0 */
/* prune.c - one pruning: score, select, mask, re-fit, cut, verify, repair. */
#include <pare/evaluate.h>
#include <pare/prune.h>
#include <pare/train.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "criteria/criteria.h"
#include "criteria/surgeon.h"
#include "metrics/run.h"
#include "kernels/channel_step.h"
#include "prune/intercepts.h"
#include "prune/reconstruct.h"
#include "prune/refit.h"
#include "prune/select.h"

enum { CALIBRATION = 1024, RECONSTRUCT_PASSES = 20 };

typedef struct job {
    pare_context *ctx;
    const pare_model *given;
    pare_model *model;    /* a clone of it, with a place for an intercept in every layer */
    pare_model *original; /* a clone of that which engines may use */
    const pare_prune_options *options;
    pare_prune_result *result;
    pare_data *data; /* the calibration images used, or NULL */
    pri_preprocess preprocess;
    bool is_bf16;
    pri_groups *groups;
    pri_goal goal;
    double *scores;
    bool *removed;
} job;

/* --- Choosing --- */

static pare_status score(const job *j, pare_model *masked, const pri_goal *goal, uint64_t seed,
                         bool *is_order)
{
    const pri_scoring scoring = {.groups = j->groups,
                                 .masked = masked,
                                 .removed = j->removed,
                                 .data = j->data,
                                 .preprocess = &j->preprocess,
                                 .fisher = j->options->fisher,
                                 .goal = *goal,
                                 .seed = seed};

    *is_order = false;
    switch (j->options->strategy) {
    case PARE_RANDOM: *is_order = true; return pri_score_random(j->scores, &scoring);
    case PARE_MAGNITUDE: return pri_score_magnitude(j->scores, &scoring);
    case PARE_BN_SCALE: return pri_score_bn_scale(j->scores, &scoring);
    case PARE_TAYLOR: return pri_score_gradient(j->scores, &scoring, true);
    case PARE_FISHER: return pri_score_gradient(j->scores, &scoring, false);
    case PARE_ML: *is_order = true; return pri_score_surgeon(j->scores, &scoring, true);
    case PARE_LOCAL_ML: *is_order = true; return pri_score_surgeon(j->scores, &scoring, false);
    }
    return pri_fail(j->ctx, PARE_ERROR_ARGUMENT, "there is no strategy %d",
                    (int)j->options->strategy);
}

static int steps_of(const job *j)
{
    return j->options->steps > 0 ? j->options->steps : 1;
}

/* Takes units away in steps; `masked` adapts after each. */
static pare_status shrink(job *j, pare_model *masked, uint64_t seed)
{
    const int steps = steps_of(j);

    memset(j->removed, 0, (size_t)j->groups->n_units * sizeof *j->removed);
    for (int k = 1; k <= steps; k++) {
        pri_goal goal = j->goal;
        bool is_order;
        const double start = pri_clock_s();
        goal.keep = goal.whole * pow(j->goal.keep / goal.whole, (double)k / steps);
        PRI_TRY(score(j, masked, &goal, seed, &is_order));
        const pare_status selected = pri_select(j->removed, j->groups, j->scores, &goal, is_order);
        if (selected == PARE_ERROR_TARGET)
            pri_note_open_sizes(j->model);
        PRI_TRY(selected);
        PRI_TRY(pri_groups_mask_consumers(j->groups, masked, j->removed));
        const double scored = pri_clock_s();
        j->result->score_seconds += scored - start;
        if (j->data != NULL && !(j->options->no_refit && j->options->no_fold))
            PRI_TRY(pri_refit(masked, j->original, j->groups, j->removed, j->data, &j->preprocess,
                              j->options->no_refit ? PRI_REFIT_INTERCEPT : PRI_REFIT_WEIGHTS));
        j->result->refit_seconds += pri_clock_s() - scored;
    }
    return PARE_OK;
}

/* --- What happens to the chosen --- */

static pare_status cut_out(pare_model **out, job *j, pare_model *masked)
{
    PRI_TRY(pare_model_clone(out, masked));
    PRI_TRY(pri_groups_cut(j->groups, *out, j->removed));
    return pri_groups_verify(masked, *out, j->options->seed, 1e-4, &j->result->oracle);
}

static pare_status repair(job *j, pare_model *model)
{
    const pare_prune_options *o = j->options;
    const double start = pri_clock_s();

    if (j->data == NULL)
        return PARE_OK;
    if (!o->no_refit && o->reconstruct >= 0)
        PRI_TRY(pri_reconstruct(model, j->original, j->data, &j->preprocess,
                                o->reconstruct > 0 ? o->reconstruct : RECONSTRUCT_PASSES,
                                j->is_bf16, o->seed));
    pare_status status = PARE_OK;
    if (!o->no_recalibrate)
        status =
            pare_recalibrate(model, j->data, j->data, j->original, &j->result->was_recalibrated);
    if (status ==
        PARE_ERROR_UNSUPPORTED) { /* nothing to re-estimate, or outputs that are no heads */
        pri_forget(j->ctx);
        status = PARE_OK;
    }
    j->result->reconstruct_seconds += pri_clock_s() - start;
    return status;
}

static pare_status make(pare_model **out, job *j, uint64_t seed)
{
    pare_model *masked = NULL;

    PRI_TRY(pare_model_clone(&masked, j->model));
    pare_status status = shrink(j, masked, seed);
    if (status == PARE_OK && j->options->action == PARE_DELETE)
        status = cut_out(out, j, masked);
    if (status == PARE_OK && j->options->action == PARE_DELETE)
        status = repair(j, *out);
    if (status == PARE_OK && j->options->action == PARE_MASK) {
        status = pri_groups_scale_producers(j->groups, masked, j->removed, 0);
        *out = masked;
        masked = NULL;
    }
    if (status == PARE_OK && j->options->action == PARE_WEAKEN) {
        status = pare_model_clone(out, j->model);
        if (status == PARE_OK)
            status =
                pri_groups_scale_producers(j->groups, *out, j->removed, (float)j->options->factor);
    }
    pare_model_free(masked);
    if (status == PARE_OK)
        status = pri_drop_intercepts(*out, j->given);
    if (status != PARE_OK) {
        pare_model_free(*out);
        *out = NULL;
    }
    return status;
}

/* Other strategies would draw the same again. */
static int draws_of(const pare_prune_options *o)
{
    return o->strategy == PARE_RANDOM && o->draws > 1 ? o->draws : 1;
}

/* What the draw kept so far left in the job; the next one overwrites it there. */
typedef struct kept_draw {
    bool *removed;
    double oracle, nll;
    bool was_recalibrated;
} kept_draw;

static void keep_draw(kept_draw *best, const job *j, double nll)
{
    memcpy(best->removed, j->removed, (size_t)j->groups->n_units * sizeof *j->removed);
    best->oracle = j->result->oracle;
    best->was_recalibrated = j->result->was_recalibrated;
    best->nll = nll;
}

static pare_status draw_all(pare_model **out, job *j, kept_draw *best)
{
    const int draws = draws_of(j->options);

    for (int d = 0; d < draws; d++) {
        pare_model *model = NULL;
        pare_scores scores = {0};
        PRI_TRY(make(&model, j, j->options->seed + (uint64_t)d));
        if (draws > 1) {
            const pare_status status = pare_evaluate(&scores, model, j->data);
            if (status != PARE_OK) {
                pare_model_free(model);
                pri_note(j->ctx, "while choosing among random draws");
                return status;
            }
        }
        const double nll = scores.nll + scores.mask_nll;
        if (*out == NULL || nll < best->nll) {
            pare_model_free(*out);
            *out = model;
            keep_draw(best, j, nll);
        } else {
            pare_model_free(model);
        }
        pare_scores_clear(&scores);
    }
    memcpy(j->removed, best->removed, (size_t)j->groups->n_units * sizeof *j->removed);
    j->result->oracle = best->oracle;
    j->result->was_recalibrated = best->was_recalibrated;
    return PARE_OK;
}

/* The best of several random draws by likelihood on the calibration images. */
static pare_status draw(pare_model **out, job *j)
{
    kept_draw best = {.removed =
                          pri_alloc(j->ctx, (size_t)j->groups->n_units, sizeof *best.removed)};

    if (best.removed == NULL)
        return PARE_ERROR_MEMORY;
    const pare_status status = draw_all(out, j, &best);
    pri_free(best.removed);
    return status;
}

/* --- The job --- */

/* What the model costs by pare_model_costs, which counts one sample; the goal counts the declared
 * batch, and a stated number is of one sample. */
static double stated_whole(const job *j)
{
    switch (j->goal.quantity) {
    case PARE_MACS: return (double)j->result->before.macs;
    case PARE_PARAMETERS: return (double)j->result->before.parameters;
    case PARE_BYTES:
    case PARE_CHANNELS: break;
    }
    return j->goal.whole;
}

static pare_status set_goal(job *j)
{
    const pare_prune_options *o = j->options;
    int64_t *kept = pri_alloc(j->ctx, (size_t)j->groups->n_axes, sizeof *kept);

    if (kept == NULL)
        return PARE_ERROR_MEMORY;
    pri_groups_count(j->groups, j->removed, kept);
    j->goal = (pri_goal){.quantity = o->target.quantity,
                         .bytes = (double)j->result->before.bytes,
                         .parameters = (double)pri_groups_parameters(j->groups, kept),
                         .per_layer = o->per_layer,
                         .ignore_cost = o->ignore_cost,
                         .align = o->align == PARE_ALIGN_AUTO ? 0
                                  : o->align > 1              ? o->align
                                                              : 1};
    if (o->align == PARE_ALIGN_AUTO)
        j->goal.channel_step = j->result->channel_step = pri_channel_step(j->ctx);
    j->goal.whole = pri_goal_measure(&j->goal, j->groups, j->removed, kept);
    const double stated = stated_whole(j);
    j->goal.keep = o->target.is_share ? o->target.value * j->goal.whole
                   : stated > 0       ? o->target.value * j->goal.whole / stated
                                      : o->target.value;
    pri_free(kept);
    if (j->goal.whole <= 0)
        return pri_fail(
            j->ctx, PARE_ERROR_SHAPE,
            "what the model costs is unknown because an input leaves its size open; state "
            "it, for example with --input %s:1x3x224x224, or give images",
            j->model->graph->n_inputs > 0 ? j->model->graph->inputs[0]->name : "NAME");
    if (!(j->goal.keep > 0) || j->goal.keep >= j->goal.whole)
        return pri_fail(j->ctx, PARE_ERROR_TARGET,
                        "the target keeps %.4g of %.4g: there is nothing to prune", j->goal.keep,
                        j->goal.whole);
    return PARE_OK;
}

static pare_status check_options(const job *j, const pare_data *calibration)
{
    const pare_prune_options *o = j->options;
    const bool draws = draws_of(o) > 1;
    const bool needs_data = o->strategy >= PARE_TAYLOR || draws;

    if (o->action == PARE_WEAKEN && !(o->factor >= 0 && o->factor < 1))
        return pri_fail(j->ctx, PARE_ERROR_ARGUMENT,
                        "weakening wants a factor from 0 to below 1, not %g", o->factor);
    if (needs_data && calibration == NULL)
        return pri_fail(
            j->ctx, PARE_ERROR_ARGUMENT,
            "%s needs images: give --data; random with one draw, magnitude and bn-scale "
            "do without",
            draws ? "choosing among draws" : pare_strategy_name(o->strategy));
    if (calibration == NULL && o->action != PARE_WEAKEN && !(o->no_refit && o->no_fold))
        pri_log(j->ctx, PARE_LOG_INFO,
                "no images were given: what is left is not adapted to the cut (see --data)");
    if (calibration != NULL && calibration->labels == NULL && calibration->masks == NULL &&
        (draws || o->strategy == PARE_TAYLOR ||
         (o->fisher == PARE_FISHER_EMPIRICAL &&
          (o->strategy == PARE_ML || o->strategy == PARE_FISHER))))
        return pri_fail(j->ctx, PARE_ERROR_DATA,
                        "%s needs labels or masks; ml with the Gauss-Newton Fisher does not",
                        draws ? "choosing among draws" : pare_strategy_name(o->strategy));
    return PARE_OK;
}

static pare_status open_job(job *j, const pare_data *calibration)
{
    const pare_prune_options *o = j->options;

    PRI_TRY(check_options(j, calibration));
    PRI_TRY(pri_precision_parse(&j->is_bf16, j->ctx, o->precision));
    PRI_TRY(pare_model_clone(&j->model, j->given));
    if (calibration != NULL && !(o->no_refit && o->no_fold))
        PRI_TRY(pri_add_intercepts(j->model));
    PRI_TRY(pare_model_clone(&j->original, j->model));
    if (calibration != NULL) {
        PRI_TRY(pri_check_input(j->original, calibration));
        PRI_TRY(pri_preprocess_of(&j->preprocess, j->model));
        PRI_TRY(pare_data_sample(&j->data, calibration,
                                 o->calibration > 0 ? o->calibration : CALIBRATION, o->seed));
    }
    PRI_TRY(pare_model_costs(j->given, &j->result->before));
    PRI_TRY(pri_groups_new(&j->groups, j->model));
    j->scores = pri_alloc(j->ctx, (size_t)j->groups->n_units, sizeof *j->scores);
    j->removed = pri_alloc(j->ctx, (size_t)j->groups->n_units, sizeof *j->removed);
    if (j->scores == NULL || j->removed == NULL)
        return PARE_ERROR_MEMORY;
    return set_goal(j);
}

static pare_status list_groups(const job *j)
{
    pare_prune_result *r = j->result;

    r->groups = pri_alloc(j->ctx, (size_t)j->groups->n_groups, sizeof *r->groups);
    if (r->groups == NULL)
        return PARE_ERROR_MEMORY;
    for (int g = 0; g < j->groups->n_groups; g++) {
        const pri_group *group = &j->groups->groups[g];
        pare_pruned_group *row = &r->groups[r->n_groups];
        if (group->n_free == 0)
            continue;
        snprintf(row->name, sizeof row->name, "%s", group->name);
        row->before = row->after = group->n_units;
        for (int i = 0; i < group->n_units; i++)
            row->after -= j->removed[group->units[i]];
        r->units += group->n_free;
        r->removed += row->before - row->after;
        r->n_groups++;
    }
    return PARE_OK;
}

pare_status pare_prune(pare_model **out, const pare_model *model, const pare_data *calibration,
                       const pare_prune_options *options, pare_prune_result *result)
{
    const double start = pri_clock_s();
    job j = {.ctx = model->ctx, .given = model, .options = options, .result = result};

    *out = NULL;
    memset(result, 0, sizeof *result);
    pare_status status = open_job(&j, calibration);
    if (status == PARE_OK)
        status = draw(out, &j);
    if (status == PARE_OK)
        status = pare_model_costs(*out, &result->after);
    if (status == PARE_OK)
        status = list_groups(&j);
    pri_groups_free(j.groups);
    pri_free(j.scores);
    pri_free(j.removed);
    pare_data_free(j.data);
    pare_model_free(j.original);
    pare_model_free(j.model);
    if (status != PARE_OK) {
        pare_model_free(*out);
        *out = NULL;
        pare_prune_result_clear(result);
    }
    result->seconds = pri_clock_s() - start;
    return status;
}

void pare_prune_result_clear(pare_prune_result *result)
{
    pri_free(result->groups);
    result->groups = NULL;
    result->n_groups = 0;
}
