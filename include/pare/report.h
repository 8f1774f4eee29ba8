/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report.h - one self-contained HTML page about a pruning.
 *
 * Inline SVG, no script needed, readable on a phone and in print. Everything in a pare_report is
 * borrowed for the call.
 */
#ifndef PARE_REPORT_H
#define PARE_REPORT_H

#include <pare/evaluate.h>

/* One point of a run: after round `round` (0: the original). */
typedef struct pare_report_point {
    int round;
    double macs, parameters; /* shares of the original, 0 .. 1 */
    double accuracy, miou;   /* validation or test; NAN where there is none */
    double val_nll;          /* NAN when unknown */
} pare_report_point;

typedef struct pare_report_layer {
    const char *name; /* group: the first layer that makes these channels */
    int64_t before, after;
} pare_report_layer;

/* One strategy. */
typedef struct pare_report_run {
    const char *name;
    const pare_report_point *points;
    int n_points;
    const pare_report_layer *layers;
    int n_layers;
    const pare_comparison *comparison; /* on the test images; NULL: not evaluated */
    double seconds;
} pare_report_run;

typedef struct pare_report_condition {
    const char *text; /* from pare_check_condition */
    const char *run;  /* name of the run it is about */
    bool met;
} pare_report_condition;

typedef struct pare_report {
    const char *title;
    const char *summary;   /* a sentence or two */
    const char *command;   /* what was typed, or NULL */
    const pare_data *data; /* for class names, or NULL */
    const pare_report_run *runs;
    int n_runs;
    const pare_report_condition *conditions;
    int n_conditions;
} pare_report;

/* Writes the page beside `path` and renames. */
PARE_API PARE_NODISCARD pare_status pare_report_write(pare_context *ctx, const char *path,
                                                      const pare_report *report, bool replace);
/* The trade-off plot alone (accuracy or mIoU against MACs for each run) as an SVG file. */
PARE_API PARE_NODISCARD pare_status pare_report_plot(pare_context *ctx, const char *path,
                                                     const pare_report *report, bool replace);

#endif
