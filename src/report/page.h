/* SPDX-License-Identifier: Apache-2.0 */
/* page.h - the parts of a report, each adding its markup to a text. */
#ifndef PRI_PAGE_H
#define PRI_PAGE_H

#include "report/markup.h"

/* Style sheets: of the page in pieces up to NULL, and what its plots need when they stand alone. */
extern const char *const pri_report_style[];
extern const char pri_plot_style[];
/* Colours of the runs where style sheets are not read. */
extern const char *const pri_report_colours[PRI_REPORT_COLOURS];

/* "run 3" where a run has no name. */
void pri_report_run_name(pri_text *t, const pare_report *report, int run, int max);

/* --- plot.c --- */

typedef enum pri_plot_kind { PRI_PLOT_ACCURACY, PRI_PLOT_MIOU } pri_plot_kind;
enum { PRI_PLOT_WIDTH = 480 };
/* Whether any run has such a point. */
bool pri_plot_has(const pare_report *report, pri_plot_kind kind);
int pri_plot_height(const pare_report *report);
/* An svg element; `y` places it in another one, negative: it stands in a page. */
pare_status pri_plot_add(pri_text *t, const pare_report *report, pri_plot_kind kind, int y);

/* --- tables.c, layers.c, classes.c: nothing where there is nothing to show --- */
void pri_report_add_scores(pri_text *t, const pare_report *report);
void pri_report_add_costs(pri_text *t, const pare_report *report);
void pri_report_add_layers(pri_text *t, const pare_report *report);
void pri_report_add_classes(pri_text *t, const pare_report *report);

/* The first comparison there is, NULL without: where the original's numbers come from. */
const pare_comparison *pri_report_any(const pare_report *report);
/* Opens a table in a box that scrolls: caption, header "`first`, Original?, run ...". */
void pri_report_open_table(pri_text *t, const pare_report *report, const char *caption,
                           const char *first, const char *second, bool has_original);
void pri_report_close_table(pri_text *t);
/* A bar of `share` (0 .. 1) of its cell in the colour of a run. */
void pri_report_add_bar(pri_text *t, double share, int run);
/* "+0.42" in a small line, marked as better or worse. */
void pri_report_add_difference(pri_text *t, double difference, int decimals, bool more_is_better);

#endif
