/* SPDX-License-Identifier: Apache-2.0 */
/* prune_job.h - what `pare prune` does after its options are read. */
#ifndef PARE_PRUNE_JOB_H
#define PARE_PRUNE_JOB_H

#include "cli.h"

enum { PRUNE_MAX_RUNS = 8 };

typedef struct prune_arguments {
    const char *in, *out, *report, *plot, *command; /* command: the line as typed */
    cli_images images;      /* split: the one results are compared on */
    cli_requirements required;
    pare_strategy strategies[PRUNE_MAX_RUNS]; /* the first is the one written */
    int n_strategies;
    pare_recipe recipe;     /* but strategy */
    pare_compare_options compare;
    bool force, no_compare, dry_run;
} prune_arguments;

/* Runs everything and prints the result; the exit code. */
int prune_run(const prune_arguments *arguments, const char *target);

#endif
