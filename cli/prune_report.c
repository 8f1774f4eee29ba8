/* SPDX-License-Identifier: Apache-2.0 */
/* prune_report.c - the page and the plot of a `pare prune`. */
#include "prune_job.h"

#include <stdio.h>
#include <stdlib.h>

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

pare_status prune_write_report(prune_job *j)
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
