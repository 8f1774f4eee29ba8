/* SPDX-License-Identifier: Apache-2.0 */
/* prune_job.c - runs the recipe of each strategy, compares, writes model and report. */
#include "prune_job.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One strategy's run. */
typedef struct prune_result {
    const char *name;
    pare_model *model;
    pare_recipe_result result;
    pare_comparison comparison;
    bool has_comparison;
    cli_verdict verdicts[CLI_MAX_CONDITIONS];
} prune_result;

typedef struct job {
    const prune_arguments *a;
    pare_context *ctx;
    pare_model *model;
    pare_data *train, *val, *test;
    prune_result runs[PRUNE_MAX_RUNS];
} job;

static void close_job(job *j)
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

static pare_status open_split(pare_data **out, job *j, const char *split, int64_t limit)
{
    cli_images images = j->a->images;

    images.split = split;
    images.limit = limit;
    return cli_open_images(out, j->ctx, &images, &j->model, 1);
}

/* Training images, validation images where something is chosen by them, and those the result is
 * compared on. */
static pare_status open_data(job *j)
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

/* Where strategy k's rounds are kept, new; NULL: out of memory. */
static char *state_path(const prune_arguments *a, int k)
{
    const size_t size = strlen(a->out) + 32;
    char *path = malloc(size);

    if (path != NULL)
        snprintf(path, size, "%s.%s", a->out, pare_strategy_name(a->strategies[k]));
    return path;
}

static bool has_state(const pare_recipe *recipe)
{
    return recipe->rounds > 1 || recipe->epochs > 0 || recipe->final_epochs > 0;
}

/* Only when everything is written: until then, the same line typed again repeats no round. */
static void remove_states(const job *j)
{
    for (int k = 0; k < j->a->n_strategies && has_state(&j->a->recipe); k++) {
        char *path = state_path(j->a, k);
        if (path != NULL)
            pare_recipe_state_remove(j->ctx, path);
        free(path);
    }
}

static pare_status run_strategy(job *j, int k)
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
    if (has_state(&recipe)) {
        recipe.state = state = state_path(a, k);
        if (state == NULL)
            return PARE_ERROR_MEMORY;
    }
    pare_status status =
        pare_run_recipe(&run->model, j->model, j->train, j->val, &recipe, &run->result);
    free(state);
    if (status == PARE_OK && j->test != NULL) {
        status = pare_compare(&run->comparison, j->model, run->model, j->test, &a->compare);
        run->has_comparison = status == PARE_OK;
    }
    if (status == PARE_OK && run->has_comparison)
        status = cli_check_requirements(run->verdicts, j->ctx, &run->comparison, &a->required);
    return status;
}

/* --- Report --- */

typedef struct report_parts {
    pare_report report;
    pare_report_run runs[PRUNE_MAX_RUNS];
    pare_report_point *points[PRUNE_MAX_RUNS];
    pare_report_layer *layers[PRUNE_MAX_RUNS];
    pare_report_condition conditions[PRUNE_MAX_RUNS * CLI_MAX_CONDITIONS];
    char summary[512];
} report_parts;

static bool add_run(report_parts *parts, const prune_result *run, int k, int n_conditions)
{
    const pare_recipe_result *r = &run->result;
    pare_report_run *to = &parts->runs[k];

    parts->points[k] = calloc((size_t)r->n_points + 1, sizeof **parts->points);
    parts->layers[k] = calloc((size_t)r->pruning.n_groups + 1, sizeof **parts->layers);
    if (parts->points[k] == NULL || parts->layers[k] == NULL)
        return false;
    for (int i = 0; i < r->n_points; i++)
        parts->points[k][i] = (pare_report_point){r->points[i].round, r->points[i].macs,
                                                  r->points[i].parameters, r->points[i].accuracy,
                                                  r->points[i].miou, r->points[i].nll};
    for (int i = 0; i < r->pruning.n_groups; i++)
        parts->layers[k][i] = (pare_report_layer){r->pruning.groups[i].name,
                                                  r->pruning.groups[i].before,
                                                  r->pruning.groups[i].after};
    *to = (pare_report_run){.name = run->name,
                            .points = parts->points[k],
                            .n_points = r->n_points,
                            .layers = parts->layers[k],
                            .n_layers = r->pruning.n_groups,
                            .comparison = run->has_comparison ? &run->comparison : NULL,
                            .seconds = r->seconds};
    for (int i = 0; i < n_conditions && run->has_comparison; i++)
        parts->conditions[parts->report.n_conditions++] = (pare_report_condition){
            run->verdicts[i].text, run->name, run->verdicts[i].met};
    return true;
}

static pare_status write_report(job *j)
{
    const prune_arguments *a = j->a;
    report_parts *parts = calloc(1, sizeof *parts);
    bool is_whole = parts != NULL;

    for (int k = 0; k < a->n_strategies && is_whole; k++)
        is_whole = add_run(parts, &j->runs[k], k, a->required.count);
    pare_status status = is_whole ? PARE_OK : PARE_ERROR_MEMORY;
    if (is_whole) {
        const pare_prune_result *p = &j->runs[0].result.pruning;
        snprintf(parts->summary, sizeof parts->summary,
                 "%s was pruned with %s to %.1f %% of its multiply-accumulates and %.1f %% of its "
                 "parameters in %d round%s.",
                 a->in, j->runs[0].name, 100.0 * (double)p->after.macs / (double)p->before.macs,
                 100.0 * (double)p->after.parameters / (double)p->before.parameters,
                 a->recipe.rounds > 1 ? a->recipe.rounds : 1, a->recipe.rounds > 1 ? "s" : "");
        parts->report.title = "Pruning report";
        parts->report.summary = parts->summary;
        parts->report.command = a->command;
        parts->report.data = j->test;
        parts->report.runs = parts->runs;
        parts->report.n_runs = a->n_strategies;
        parts->report.conditions = parts->conditions;
        if (a->report != NULL)
            status = pare_report_write(j->ctx, a->report, &parts->report, a->force);
        if (status == PARE_OK && a->plot != NULL)
            status = pare_report_plot(j->ctx, a->plot, &parts->report, a->force);
    }
    for (int k = 0; k < PRUNE_MAX_RUNS && parts != NULL; k++) {
        free(parts->points[k]);
        free(parts->layers[k]);
    }
    free(parts);
    return status;
}

/* --- Output --- */

static void print_costs(const pare_prune_result *r)
{
    const struct {
        const char *name;
        int64_t before, after;
    } rows[] = {{"parameters", r->before.parameters, r->after.parameters},
                {"MACs", r->before.macs, r->after.macs},
                {"channels", r->before.channels, r->after.channels},
                {"file bytes", r->before.bytes, r->after.bytes},
                {"activation bytes", r->before.activation_bytes, r->after.activation_bytes}};

    printf("%-18s %15s %15s %12s\n", "", "original", "pruned", "kept");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        printf("%-18s %12lld    %12lld    %10.1f %%\n", rows[i].name, (long long)rows[i].before,
               (long long)rows[i].after,
               rows[i].before > 0 ? 100.0 * (double)rows[i].after / (double)rows[i].before : 100.0);
}

static void print_run(const job *j, const prune_result *run)
{
    const pare_prune_result *p = &run->result.pruning;

    printf("%s%s\n\n", j->a->n_strategies > 1 ? "--- " : "", run->name);
    if (run->has_comparison)
        cli_print_comparison(&run->comparison);
    else
        print_costs(p);
    printf("\n%lld of %lld prunable channels went; cut and masked model differ by %.2g of the "
           "output's range\n"
           "%.1f s: scores %.1f, re-fit %.1f, reconstruction %.1f%s\n",
           (long long)p->removed, (long long)p->units, p->oracle, run->result.seconds,
           p->score_seconds, p->refit_seconds, p->reconstruct_seconds,
           p->was_recalibrated ? "; normalisation statistics re-estimated" : "");
    for (int i = 0; i < j->a->required.count && run->has_comparison; i++)
        printf("%-8s %s\n", run->verdicts[i].met ? "met" : "NOT MET", run->verdicts[i].text);
    putchar('\n');
}

static json_t *run_json(const job *j, const prune_result *run)
{
    const char *const files[2] = {j->a->in, run == j->runs ? j->a->out : run->name};
    const pare_recipe_result *r = &run->result;
    json_t *points = json_array(), *groups = json_array();

    for (int i = 0; i < r->n_points; i++) {
        const pare_round *p = &r->points[i];
        json_t *row = json_pack("{s:i, s:f, s:f}", "round", p->round, "macs", p->macs,
                                "parameters", p->parameters);
        if (isfinite(p->accuracy))
            json_object_set_new(row, "accuracy", json_real(p->accuracy));
        if (isfinite(p->miou))
            json_object_set_new(row, "miou", json_real(p->miou));
        if (isfinite(p->nll))
            json_object_set_new(row, "nll", json_real(p->nll));
        json_array_append_new(points, row);
    }
    for (int i = 0; i < r->pruning.n_groups; i++)
        json_array_append_new(groups, json_pack("{s:s, s:I, s:I}", "name",
                                                r->pruning.groups[i].name, "before",
                                                (json_int_t)r->pruning.groups[i].before, "after",
                                                (json_int_t)r->pruning.groups[i].after));
    json_t *root = json_pack(
        "{s:s, s:o, s:o, s:I, s:I, s:f, s:b, s:f, s:f, s:f, s:f, s:o, s:o}", "strategy", run->name,
        "before", cli_costs_json(&r->pruning.before), "after", cli_costs_json(&r->pruning.after),
        "units", (json_int_t)r->pruning.units, "removed", (json_int_t)r->pruning.removed, "oracle",
        r->pruning.oracle, "recalibrated", (int)r->pruning.was_recalibrated, "seconds", r->seconds,
        "score_seconds", r->pruning.score_seconds, "refit_seconds", r->pruning.refit_seconds,
        "reconstruct_seconds", r->pruning.reconstruct_seconds, "rounds", points, "groups", groups);
    if (run->has_comparison)
        json_object_set_new(root, "comparison",
                            cli_comparison_json(&run->comparison, files, j->test, &j->a->required,
                                                run->verdicts));
    return root;
}

static void print_written(const prune_arguments *a)
{
    const char *const files[] = {a->dry_run ? NULL : a->out, a->report, a->plot};
    const char *before = "written: ";

    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (files[i] == NULL)
            continue;
        printf("%s%s", before, files[i]);
        before = ", ";
    }
    if (a->dry_run)
        printf("%snot written: %s", a->report != NULL || a->plot != NULL ? "\n" : "", a->out);
    putchar('\n');
}

static int print_all(const job *j)
{
    int code = 0;

    if (cli_common.json) {
        json_t *runs = json_array();
        for (int k = 0; k < j->a->n_strategies; k++)
            json_array_append_new(runs, run_json(j, &j->runs[k]));
        code = cli_print_json(json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:o}", "schema",
                                        "pare.prune/1", "version", pare_version(), "input",
                                        j->a->in, "output", j->a->out, "command", j->a->command,
                                        "seed", (json_int_t)j->a->recipe.prune.seed, "runs", runs));
    } else {
        for (int k = 0; k < j->a->n_strategies; k++)
            print_run(j, &j->runs[k]);
        print_written(j->a);
    }
    for (int i = 0; i < j->a->required.count && code == 0 && j->runs[0].has_comparison; i++)
        code = j->runs[0].verdicts[i].met ? 0 : EXIT_NOT_MET;
    return code;
}

/* What must not happen after hours of work happens first. */
static pare_status check_outputs(const job *j)
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

static int refuse_existing(const prune_arguments *a)
{
    const char *const files[] = {a->dry_run ? NULL : a->out, a->report, a->plot};

    for (size_t i = 0; i < sizeof files / sizeof *files && !a->force; i++) {
        if (files[i] != NULL && access(files[i], F_OK) == 0) {
            fprintf(stderr, "pare: '%s' exists; use --force to replace it\n", files[i]);
            return EXIT_FAILED;
        }
    }
    return 0;
}

int prune_run(const prune_arguments *arguments, const char *target)
{
    prune_arguments a = *arguments;
    job j = {.a = &a};
    int code = refuse_existing(&a);

    if (code != 0)
        return code;
    j.ctx = cli_context();
    if (j.ctx == NULL)
        return EXIT_FAILED;
    cli_shapes shapes = {0};
    pare_status status = pare_target_parse(&a.recipe.prune.target, j.ctx, target);
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
    if (status == PARE_OK)
        status = pare_model_set_metadata(j.runs[0].model, "pare.command", a.command);
    if (status == PARE_OK)
        status = pare_model_set_metadata(j.runs[0].model, "pare.version", pare_version());
    if (status == PARE_OK && !a.dry_run)
        status = pare_model_save(j.runs[0].model, a.out, a.force);
    if (status == PARE_OK && (a.report != NULL || a.plot != NULL))
        status = write_report(&j);
    if (status == PARE_OK)
        remove_states(&j);
    cli_end_progress();
    code = status == PARE_OK ? print_all(&j) : cli_fail(j.ctx, status);
    close_job(&j);
    return code;
}
