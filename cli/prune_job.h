/* SPDX-License-Identifier: Apache-2.0 */
/* prune_job.h - what `pare prune` does after its options are read. */
#ifndef PARE_PRUNE_JOB_H
#define PARE_PRUNE_JOB_H

#include "cli.h"

enum { PRUNE_MAX_RUNS = 8 };

typedef struct prune_arguments {
    const char *in, *out, *report, *plot, *command; /* command: the line as typed */
    cli_images images;                              /* split: the one results are compared on */
    cli_requirements required;
    pare_strategy strategies[PRUNE_MAX_RUNS]; /* the first is the one written */
    int n_strategies;
    pare_recipe recipe; /* but strategy */
    pare_compare_options compare;
    bool force, no_compare, dry_run;
    bool chooses_align; /* nobody said --align */
} prune_arguments;

/* One strategy's run. */
typedef struct prune_result {
    const char *name;
    pare_model *model;
    pare_recipe_result result;
    pare_comparison comparison;
    bool has_comparison;
    cli_verdict verdicts[CLI_MAX_CONDITIONS];
} prune_result;

typedef struct prune_job {
    const prune_arguments *a;
    pare_context *ctx;
    pare_model *model;
    pare_data *train, *val, *test;
    prune_result runs[PRUNE_MAX_RUNS];
} prune_job;

/* Runs everything and prints the result; the exit code. */
int prune_run(const prune_arguments *arguments, const char *target);
/* Writes the page and the plot that were asked for. */
pare_status prune_write_report(prune_job *j);
/* Prints the result; the exit code. */
int prune_print(const prune_job *j);

#endif
