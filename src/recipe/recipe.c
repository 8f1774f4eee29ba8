/* SPDX-License-Identifier: Apache-2.0 */
/* recipe.c - rounds of pruning and training; see include/pare/recipe.h. */
#include <pare/recipe.h>

#include <math.h>
#include <string.h>

#include "data/data.h"
#include "groups/groups.h"
#include "kernels/channel_step.h"
#include "metrics/run.h"
#include "recipe/run_state.h"

typedef struct run {
    pare_context *ctx;
    const pare_model *original;
    const pare_data *train, *val;
    const pare_recipe *recipe;
    pare_recipe_result *result;
    pare_costs whole;
    double whole_quantity; /* the original's, of what the target counts; 0: unknown */
    pri_run_state state;
    char fingerprint[32];
    int rounds;
    double begin; /* on the clock; earlier by what a run took before it was interrupted */
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

/* The target's quantity of a model; channels as pare_prune counts them. */
static pare_status measure(double *out, const run *r, const pare_model *model)
{
    const pare_quantity quantity = r->recipe->prune.target.quantity;
    pare_costs costs;

    if (quantity == PARE_CHANNELS) {
        pri_groups *groups = NULL;
        PRI_TRY(pri_groups_new(&groups, model));
        *out = groups->n_units;
        pri_groups_free(groups);
        return PARE_OK;
    }
    PRI_TRY(pare_model_costs(model, &costs));
    *out = (double)(quantity == PARE_MACS         ? costs.macs
                    : quantity == PARE_PARAMETERS ? costs.parameters
                                                  : costs.bytes);
    return PARE_OK;
}

/* What round `round` asks of a model of which `now` is left. */
static pare_target target_of(const run *r, int round, double now)
{
    const pare_target *last = &r->recipe->prune.target;
    const double whole = r->whole_quantity;

    if (r->rounds == 1 || whole <= 0)
        return *last;
    const double share = last->is_share ? last->value : last->value / whole;
    pare_target target = {last->quantity, pow(share, (double)round / r->rounds) * whole, false};
    if (round == r->rounds)
        target.value = last->is_share ? last->value * whole : last->value;
    if (last->quantity == PARE_CHANNELS) {
        /* the last channel of a group is no longer counted, yet it is there */
        const double uncounted = whole - (double)r->result->pruning.removed - now;
        target.value = fmax(target.value - uncounted, 0.5);
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

static pare_status save_state(run *r)
{
    if (r->recipe->state == NULL)
        return PARE_OK;
    r->state.seconds = pri_clock_s() - r->begin;
    return pri_run_save(&r->state, r->recipe->state, r->fingerprint, r->result);
}

/* Replaces the model by `from` pruned, which keeps its channels where it only weakens them. */
static pare_status prune_to(run *r, const pare_model *from, const pare_prune_options *options,
                            bool keeps_channels)
{
    pare_prune_result result = {0};
    pare_model *pruned = NULL;

    PRI_TRY(pare_prune(&pruned, from, r->train, options, &result));
    pare_model_free(r->state.model);
    r->state.model = pruned;
    if (keeps_channels)
        forget_removed(&result);
    const pare_status status = merge_groups(&r->result->pruning, &result, r->ctx);
    pare_prune_result_clear(&result);
    return status;
}

static pare_status prune_round(run *r, int round)
{
    const pare_model *from = r->state.model != NULL ? r->state.model : r->original;
    pare_prune_options options = r->recipe->prune;
    const bool weakens = options.action == PARE_WEAKEN && r->rounds > 1;
    const bool is_last = round == r->rounds;
    double now;

    PRI_TRY(measure(&now, r, from));
    options.target = target_of(r, weakens ? r->rounds : round, now);
    if (weakens && !is_last)
        options.factor = 1 - (double)round / r->rounds;
    else if (weakens)
        options.action = PARE_DELETE;
    if (epochs_of(r, round) > 0 && options.reconstruct == 0)
        options.reconstruct = -1;                 /* training does more; a stated number stands */
    if (round > 1 && now <= options.target.value) /* the rounds before went beyond */
        pri_log(r->ctx, PARE_LOG_INFO, "round %d of %d: its target is met already", round,
                r->rounds);
    else
        PRI_TRY(prune_to(r, from, &options, weakens && !is_last));
    r->state.round = round;
    r->state.is_pruned = true;
    return save_state(r);
}

/* What brings a pruned network back to its original (measured in
 * bench/results/resnet56-cifar10.md). */
static void set_hints(pare_train_options *options)
{
    options->distill = options->distill == 0 ? 1 : options->distill;
    options->distill_inner = options->distill_inner == 0 ? 100 : options->distill_inner;
    options->optimizer = options->optimizer == NULL ? "adamw" : options->optimizer;
    options->weight_decay = options->weight_decay == 0 ? -1 : options->weight_decay;
    options->freeze_norm = true;
}

static pare_status train_round(run *r, int round)
{
    pare_train_options options = r->recipe->train;
    pare_train_result result;
    char *checkpoint = NULL;

    options.epochs = epochs_of(r, round);
    if (options.epochs <= 0)
        return PARE_OK;
    options.teacher = r->recipe->distill || r->recipe->hints ? r->original : NULL;
    if (r->recipe->hints)
        set_hints(&options);
    options.seed += (uint64_t)round * 7919;
    if (r->recipe->state != NULL) {
        checkpoint = pri_run_path(r->ctx, r->recipe->state, ".train");
        if (checkpoint == NULL)
            return PARE_ERROR_MEMORY;
        options.checkpoint = checkpoint;
        options.resume = true;
    }
    const pare_status status = pare_train(r->state.model, r->train, r->val, &options, &result);
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
    PRI_TRY(measure(&r->whole_quantity, r, r->original));
    if (r->recipe->state != NULL) {
        PRI_TRY(pri_run_fingerprint(r->fingerprint, r->original, r->recipe, r->train, r->val));
        PRI_TRY(pri_run_load(&r->state, r->ctx, r->recipe->state, r->fingerprint, r->result,
                             r->rounds, r->recipe->discard_state));
        r->begin -= r->state.seconds;
        if (r->state.model != NULL && r->recipe->prune.align == PARE_ALIGN_AUTO)
            r->result->pruning.channel_step = pri_channel_step(r->ctx);
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
    run r = {.begin = pri_clock_s(),
             .ctx = model->ctx,
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
    result->seconds = result->pruning.seconds = pri_clock_s() - r.begin;
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
