/* SPDX-License-Identifier: Apache-2.0 */
/* prune_job.c - runs the recipe of each strategy, compares, writes the model. */
#include "prune_job.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void close_job(prune_job *j)
{
    for (int i = 0; i < PRUNE_MAX_RUNS; i++) {
        pare_comparison_clear(&j->runs[i].comparison);
        pare_recipe_result_clear(&j->runs[i].result);
        pare_model_free(j->runs[i].model);
    }
    pare_data_free(j->train);
    pare_data_free(j->val);
    pare_data_free(j->test);
    pare_model_free(j->model);
}

/* --- Images --- */

static pare_status open_split(pare_data **out, prune_job *j, const char *split, int64_t limit)
{
    cli_images images = j->a->images;

    images.split = split;
    images.limit = limit;
    return cli_open_images(out, j->ctx, &images, &j->model, 1);
}

/* Training images, validation images where something is chosen by them, and those the result is
 * compared on. */
static pare_status open_data(prune_job *j)
{
    const prune_arguments *a = j->a;
    const bool trains = a->recipe.epochs > 0 || a->recipe.final_epochs > 0;

    if (a->images.path == NULL)
        return a->images.preprocess != NULL
                   ? pare_model_set_preprocess(j->model, a->images.preprocess)
                   : PARE_OK;
    pare_status status = open_split(&j->train, j, "train", a->images.limit);
    if (status == PARE_OK && (trains || a->report != NULL || a->plot != NULL))
        status = open_split(&j->val, j, "val", 0);
    if (status == PARE_OK && !a->no_compare)
        status = open_split(&j->test, j, a->images.split, 0);
    return status;
}

/* --- Runs --- */

static void on_epoch(void *user, const pare_epoch *epoch)
{
    (void)user;
    cli_print_epoch(epoch);
}

static void on_round(void *user, const pare_round *round)
{
    const prune_result *run = user;

    if (cli_common.quiet || round->rounds == 1)
        return;
    cli_end_progress();
    fprintf(stderr, "%s: round %d/%d  MACs %.1f %%  parameters %.1f %%", run->name, round->round,
            round->rounds, 100 * round->macs, 100 * round->parameters);
    if (isfinite(round->accuracy))
        fprintf(stderr, "  accuracy %.2f %%", 100 * round->accuracy);
    if (isfinite(round->miou))
        fprintf(stderr, "  mIoU %.2f %%", 100 * round->miou);
    fputc('\n', stderr);
}

/* Where strategy k's rounds are kept, new; NULL: out of memory. suffix: of one of the files, or "".
 */
static char *state_path(const prune_arguments *a, int k, const char *suffix)
{
    const size_t size = strlen(a->out) + 64;
    char *path = malloc(size);

    if (path != NULL)
        snprintf(path, size, "%s.%s%s", a->out, pare_strategy_name(a->strategies[k]), suffix);
    return path;
}

/* A dry run leaves what belongs to a real one alone. */
static bool has_state(const prune_arguments *a, const pare_recipe *recipe)
{
    return !a->dry_run && (recipe->rounds > 1 || recipe->epochs > 0 || recipe->final_epochs > 0);
}

/* Only when everything is written: until then, the same line typed again repeats no round. */
static void remove_states(const prune_job *j)
{
    for (int k = 0; k < j->a->n_strategies && has_state(j->a, &j->a->recipe); k++) {
        char *path = state_path(j->a, k, "");
        if (path != NULL)
            pare_recipe_state_remove(j->ctx, path);
        free(path);
    }
}

/* What the file says of how it was made. */
static pare_status sign(pare_model *model, const prune_arguments *a)
{
    const pare_status status = pare_model_set_metadata(model, "pare.command", a->command);

    return status == PARE_OK ? pare_model_set_metadata(model, "pare.version", pare_version())
                             : status;
}

/* A target in bytes is of the file with what sign adds to it. */
static pare_status leave_room(pare_target *target, const prune_job *j)
{
    pare_costs before, after;
    pare_model *copy = NULL;

    if (target->quantity != PARE_BYTES)
        return PARE_OK;
    pare_status status = pare_model_costs(j->model, &before);
    if (status == PARE_OK)
        status = pare_model_clone(&copy, j->model);
    if (status == PARE_OK)
        status = sign(copy, j->a);
    if (status == PARE_OK)
        status = pare_model_costs(copy, &after);
    pare_model_free(copy);
    if (status == PARE_OK) {
        target->value *= target->is_share ? (double)before.bytes : 1;
        target->value -= (double)(after.bytes - before.bytes);
        target->is_share = false;
    }
    return status;
}

static pare_status run_strategy(prune_job *j, int k)
{
    const prune_arguments *a = j->a;
    prune_result *run = &j->runs[k];
    pare_recipe recipe = a->recipe;
    char *state = NULL;

    run->name = pare_strategy_name(a->strategies[k]);
    recipe.prune.strategy = a->strategies[k];
    if (a->strategies[k] != PARE_RANDOM)
        recipe.prune.draws = 0;
    recipe.train.on_epoch = on_epoch;
    recipe.on_round = on_round;
    recipe.user = run;
    const pare_status measured = leave_room(&recipe.prune.target, j);
    if (measured != PARE_OK)
        return measured;
    if (has_state(a, &recipe)) {
        recipe.state = state = state_path(a, k, "");
        recipe.discard_state = a->force;
        if (state == NULL)
            return PARE_ERROR_MEMORY;
    }
    pare_status status =
        pare_run_recipe(&run->model, j->model, j->train, j->val, &recipe, &run->result);
    free(state);
    if (status == PARE_OK)
        status = sign(run->model, a);
    if (status == PARE_OK)
        status = pare_model_costs(run->model, &run->result.pruning.after);
    if (status == PARE_OK && j->test != NULL) {
        status = pare_compare(&run->comparison, j->model, run->model, j->test, &a->compare);
        run->has_comparison = status == PARE_OK;
    }
    if (status == PARE_OK && run->has_comparison)
        status = cli_check_requirements(run->verdicts, j->ctx, &run->comparison, &a->required);
    return status;
}

/* --- The job --- */

/* What must not happen after hours of work happens first. */
static pare_status check_outputs(const prune_job *j)
{
    const prune_arguments *a = j->a;
    cli_verdict *room = calloc(CLI_MAX_CONDITIONS, sizeof *room);

    if (room == NULL)
        return PARE_ERROR_MEMORY;
    const pare_status status =
        cli_read_requirements(room, j->ctx, &a->required, a->compare.latency_rounds >= 0);
    free(room);
    return status;
}

static int check_files(const prune_arguments *a)
{
    const cli_file files[] = {
        {"MODEL", a->in, .in_place = true},
        {"-o", a->dry_run ? NULL : a->out, .is_written = true, .in_place = true},
        {"--report", a->report, .is_written = true},
        {"--plot", a->plot, .is_written = true}};
    enum { STATED = sizeof files / sizeof *files };
    cli_file all[STATED + 2 * PRUNE_MAX_RUNS];
    char *states[2 * PRUNE_MAX_RUNS] = {NULL};
    int n = STATED;

    memcpy(all, files, sizeof files);
    for (int k = 0; k < a->n_strategies && has_state(a, &a->recipe); k++) {
        for (int i = 2 * k; i < 2 * k + 2; i++) {
            states[i] = state_path(a, k, i % 2 == 0 ? ".round" : ".train");
            all[n++] = (cli_file){"the state of the run", states[i], .is_written = true,
                                  .may_exist = true};
        }
    }
    const int code = cli_check_files(all, n, a->force);
    for (int i = 0; i < 2 * PRUNE_MAX_RUNS; i++)
        free(states[i]);
    return code;
}

/* Channel counts that engines like cost little of the exact target, so they are the default where
 * speed is what is asked for: MACs are counted, or rounds of training make up for it. */
static void choose_align(prune_arguments *a)
{
    pare_prune_options *o = &a->recipe.prune;
    const bool has_rounds = a->recipe.rounds > 1;
    const bool deletes = o->action == PARE_DELETE || (o->action == PARE_WEAKEN && has_rounds);

    if (a->chooses_align)
        o->align = deletes && (o->target.quantity == PARE_MACS || has_rounds) ? PARE_ALIGN_AUTO : 1;
}

int prune_run(const prune_arguments *arguments, const char *target)
{
    prune_arguments a = *arguments;
    prune_job j = {.a = &a};
    int code = check_files(&a);

    if (code != 0)
        return code;
    j.ctx = cli_context();
    if (j.ctx == NULL)
        return EXIT_FAILED;
    cli_shapes shapes = {0};
    pare_status status = pare_target_parse(&a.recipe.prune.target, j.ctx, target);
    choose_align(&a);
    if (status == PARE_OK)
        status = check_outputs(&j);
    if (status == PARE_OK)
        status = pare_model_load(&j.model, j.ctx, a.in);
    if (status == PARE_OK)
        cli_keep_inputs(&shapes, j.model);
    if (status == PARE_OK && a.images.input != NULL)
        status = pare_model_set_inputs(j.model, a.images.input);
    if (status == PARE_OK)
        status = open_data(&j);
    for (int k = 0; k < a.n_strategies && status == PARE_OK; k++)
        status = run_strategy(&j, k);
    if (status == PARE_OK && a.images.input != NULL)
        status = cli_restore_inputs(j.runs[0].model, &shapes);
    if (status == PARE_OK && !a.dry_run)
        status = pare_model_save(j.runs[0].model, a.out, a.force);
    if (status == PARE_OK && (a.report != NULL || a.plot != NULL))
        status = prune_write_report(&j);
    if (status == PARE_OK)
        remove_states(&j);
    cli_end_progress();
    code = status == PARE_OK ? prune_print(&j) : cli_fail(j.ctx, status);
    close_job(&j);
    return code;
}
