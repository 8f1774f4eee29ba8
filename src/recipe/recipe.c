/* SPDX-License-Identifier: Apache-2.0 */
/* recipe.c - rounds of pruning and training; see include/pare/recipe.h. */
#include <pare/recipe.h>

#include <math.h>
#include <string.h>

#include "data/data.h"
#include "metrics/run.h"
#include "recipe/run_state.h"

typedef struct run {
    pare_context *ctx;
    const pare_model *original;
    const pare_data *train, *val;
    const pare_recipe *recipe;
    pare_recipe_result *result;
    pare_costs whole;
    pri_run_state state;
    char fingerprint[32];
    int rounds;
} run;

static pare_status add_point(run *r, int round)
{
    pare_round *p = &r->result->points[r->result->n_points];
    pare_scores scores = {0};
    pare_costs costs;
    pare_model *model = NULL;

    *p = (pare_round){.round = round, .rounds = r->rounds};
    p->accuracy = p->miou = p->nll = (double)NAN;
    PRI_TRY(pare_model_clone(&model, round == 0 ? r->original : r->state.model));
    pare_status status = pare_model_costs(model, &costs);
    if (status == PARE_OK && r->val != NULL)
        status = pare_evaluate(&scores, model, r->val);
    pare_model_free(model);
    PRI_TRY(status);
    p->macs = r->whole.macs > 0 ? (double)costs.macs / (double)r->whole.macs : 1;
    p->parameters =
        r->whole.parameters > 0 ? (double)costs.parameters / (double)r->whole.parameters : 1;
    if (scores.classes > 0)
        p->accuracy = scores.accuracy;
    if (scores.mask_classes > 0)
        p->miou = scores.miou;
    if (r->val != NULL)
        p->nll = scores.nll + scores.mask_nll;
    pare_scores_clear(&scores);
    r->result->n_points++;
    if (r->recipe->on_round != NULL)
        r->recipe->on_round(r->recipe->user, p);
    return PARE_OK;
}

static double whole_of(const run *r)
{
    switch (r->recipe->prune.target.quantity) {
    case PARE_MACS: return (double)r->whole.macs;
    case PARE_PARAMETERS: return (double)r->whole.parameters;
    case PARE_BYTES: return (double)r->whole.bytes;
    case PARE_CHANNELS: break;
    }
    return 0;
}

/* What round `round` asks of the model as it is. Channels are counted by pare_prune alone, so their
 * share is taken of what is there. */
static pare_target target_of(const run *r, int round)
{
    const pare_target *last = &r->recipe->prune.target;
    pare_target target = *last;
    const double whole = whole_of(r);

    if (round == r->rounds && whole > 0) {
        target.value = last->is_share ? last->value * whole : last->value;
        target.is_share = false;
        return target;
    }
    if (whole > 0) {
        const double share = last->is_share ? last->value : last->value / whole;
        target.value = pow(share, (double)round / r->rounds) * whole;
        target.is_share = false;
    } else if (last->is_share) {
        target.value = pow(last->value, 1.0 / r->rounds);
    }
    return target;
}

/* The group of the whole run that `now` goes on with: the first of its name, which may stand for
 * several since names are cut, that has its size and that no other went on with. */
static pare_pruned_group *find_group(const pare_prune_result *all, const pare_pruned_group *now,
                                     const bool *is_matched)
{
    for (int i = 0; i < all->n_groups; i++) {
        pare_pruned_group *group = &all->groups[i];
        if (!is_matched[i] && group->after == now->before && strcmp(group->name, now->name) == 0)
            return group;
    }
    return NULL;
}

/* Group sizes of the whole run: `before` of the first round, `after` of the last. */
static pare_status merge_groups(pare_prune_result *all, pare_prune_result *now, pare_context *ctx)
{
    if (all->groups == NULL) {
        *all = *now;
        now->groups = NULL;
        return PARE_OK;
    }
    bool *is_matched = pri_alloc(ctx, (size_t)all->n_groups + 1, sizeof *is_matched);
    if (is_matched == NULL)
        return PARE_ERROR_MEMORY;
    for (int k = 0; k < now->n_groups; k++) {
        pare_pruned_group *group = find_group(all, &now->groups[k], is_matched);
        if (group == NULL)
            continue;
        is_matched[group - all->groups] = true;
        group->after = now->groups[k].after;
    }
    pri_free(is_matched);
    all->removed += now->removed;
    all->oracle = fmax(all->oracle, now->oracle);
    all->after = now->after;
    all->score_seconds += now->score_seconds;
    all->refit_seconds += now->refit_seconds;
    all->reconstruct_seconds += now->reconstruct_seconds;
    all->was_recalibrated = now->was_recalibrated;
    return PARE_OK;
}

/* Weakened channels are all there still. */
static void forget_removed(pare_prune_result *result)
{
    for (int g = 0; g < result->n_groups; g++)
        result->groups[g].after = result->groups[g].before;
    result->removed = 0;
}

static int epochs_of(const run *r, int round)
{
    return round == r->rounds && r->recipe->final_epochs > 0 ? r->recipe->final_epochs
                                                              : r->recipe->epochs;
}

static pare_status save_state(const run *r)
{
    if (r->recipe->state == NULL)
        return PARE_OK;
    return pri_run_save(&r->state, r->recipe->state, r->fingerprint, r->result);
}

static pare_status prune_round(run *r, int round)
{
    pare_prune_options options = r->recipe->prune;
    const pare_model *from = r->state.model != NULL ? r->state.model : r->original;
    pare_prune_result result = {0};
    pare_model *pruned = NULL;

    const bool weakens = options.action == PARE_WEAKEN && r->rounds > 1;
    if (weakens && round < r->rounds) {
        options.factor = 1 - (double)round / r->rounds;
        options.target = target_of(r, r->rounds);
    } else {
        options.target = target_of(r, round);
        if (weakens)
            options.action = PARE_DELETE;
    }
    if (epochs_of(r, round) > 0 && options.reconstruct == 0)
        options.reconstruct = -1; /* training does more; a stated number stands */
    PRI_TRY(pare_prune(&pruned, from, r->train, &options, &result));
    pare_model_free(r->state.model);
    r->state.model = pruned;
    if (weakens && round < r->rounds)
        forget_removed(&result);
    const pare_status status = merge_groups(&r->result->pruning, &result, r->ctx);
    pare_prune_result_clear(&result);
    PRI_TRY(status);
    r->state.round = round;
    r->state.is_pruned = true;
    return save_state(r);
}

static pare_status train_round(run *r, int round)
{
    pare_train_options options = r->recipe->train;
    pare_train_result result;
    char *checkpoint = NULL;

    options.epochs = epochs_of(r, round);
    if (options.epochs <= 0)
        return PARE_OK;
    options.teacher = r->recipe->distill ? r->original : NULL;
    options.seed += (uint64_t)round * 7919;
    if (r->recipe->state != NULL) {
        checkpoint = pri_run_path(r->ctx, r->recipe->state, ".train");
        if (checkpoint == NULL)
            return PARE_ERROR_MEMORY;
        options.checkpoint = checkpoint;
        options.resume = true;
    }
    const pare_status status =
        pare_train(r->state.model, r->train, r->val, &options, &result);
    pri_free(checkpoint);
    return status;
}

static pare_status do_round(run *r, int round)
{
    if (!r->state.is_pruned) {
        if (r->recipe->state != NULL) /* a training state there is of another round or run */
            pri_run_remove_training(r->ctx, r->recipe->state);
        PRI_TRY(prune_round(r, round));
    }
    PRI_TRY(train_round(r, round));
    r->state.is_pruned = false;
    PRI_TRY(add_point(r, round));
    r->state.round = round + 1;
    return save_state(r);
}

static pare_status check_recipe(const run *r)
{
    const pare_recipe *recipe = r->recipe;

    if (recipe->rounds < 0 || recipe->rounds > 1000 || recipe->epochs < 0)
        return pri_fail(r->ctx, PARE_ERROR_ARGUMENT, "%d rounds of %d epochs make no sense",
                        recipe->rounds, recipe->epochs);
    if ((recipe->epochs > 0 || recipe->final_epochs > 0) && r->train == NULL)
        return pri_fail(r->ctx, PARE_ERROR_ARGUMENT, "training between rounds needs --data");
    if (recipe->prune.action == PARE_MASK &&
        (r->rounds > 1 || recipe->epochs > 0 || recipe->final_epochs > 0))
        return pri_fail(r->ctx, PARE_ERROR_ARGUMENT,
                        "masking takes one round without training, since training would fill the "
                        "masked channels again; use delete or weaken");
    return PARE_OK;
}

static pare_status start(run *r)
{
    const size_t room = (size_t)r->rounds + 2;

    PRI_TRY(check_recipe(r));
    r->result->points = pri_alloc(r->ctx, room, sizeof *r->result->points);
    if (r->result->points == NULL)
        return PARE_ERROR_MEMORY;
    PRI_TRY(pare_model_costs(r->original, &r->whole));
    if (r->recipe->state != NULL) {
        PRI_TRY(pri_run_fingerprint(r->fingerprint, r->original, r->recipe, r->train, r->val));
        PRI_TRY(pri_run_load(&r->state, r->ctx, r->recipe->state, r->fingerprint, r->result,
                             r->rounds));
    }
    if (r->state.model != NULL)
        return PARE_OK;
    r->state.round = 1;
    return add_point(r, 0);
}

pare_status pare_run_recipe(pare_model **out, const pare_model *model, const pare_data *train,
                            const pare_data *val, const pare_recipe *recipe,
                            pare_recipe_result *result)
{
    const double begin = pri_clock_s();
    run r = {.ctx = model->ctx,
             .original = model,
             .train = train,
             .val = val,
             .recipe = recipe,
             .result = result,
             .rounds = recipe->rounds > 0 ? recipe->rounds : 1};

    pare_model *closed = NULL; /* with the size of the images where the model leaves it open */
    pare_status status = PARE_OK;

    *out = NULL;
    memset(result, 0, sizeof *result);
    if (train != NULL) {
        status = pare_model_clone(&closed, model);
        if (status == PARE_OK) {
            pare_model *copy = closed;
            status = pri_close_shape(&closed, copy, train);
            pare_model_free(copy);
            r.original = closed;
        }
    }
    if (status == PARE_OK)
        status = start(&r);
    for (int round = r.state.round; status == PARE_OK && round <= r.rounds; round++)
        status = do_round(&r, round);
    if (status == PARE_OK) {
        result->pruning.before = r.whole;
        status = pare_model_costs(r.state.model, &result->pruning.after);
    }
    pare_model_free(closed);
    if (status != PARE_OK) {
        pare_model_free(r.state.model);
        pare_recipe_result_clear(result);
        return status;
    }
    *out = r.state.model;
    pri_reopen_shape(*out, model);
    result->seconds = result->pruning.seconds = pri_clock_s() - begin;
    return PARE_OK;
}

void pare_recipe_state_remove(pare_context *ctx, const char *state)
{
    pri_run_remove(ctx, state);
}

void pare_recipe_result_clear(pare_recipe_result *result)
{
    pare_prune_result_clear(&result->pruning);
    pri_free(result->points);
    result->points = NULL;
    result->n_points = 0;
}
