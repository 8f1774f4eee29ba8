/* SPDX-License-Identifier: Apache-2.0 */
/* page.c - puts the page together: head, verdicts, cards, sections, how it was made. */
#include "report/page.h"

#include <math.h>
#include <string.h>

#include "base/file.h"

void pri_report_run_name(pri_text *t, const pare_report *report, int run, int max)
{
    const char *name = report->runs[run].name;

    if (name != NULL && *name != '\0')
        pri_markup_name(t, name, max);
    else
        pri_text_addf(t, "run %d", run + 1);
}

/* --- Top --- */

static const char *title_of(const pare_report *report)
{
    return report->title != NULL && *report->title != '\0' ? report->title : "Pruning report";
}

static void add_top(pri_text *t, const pare_report *report)
{
    pri_text_add(t, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\" />\n"
                    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\" />\n"
                    "<meta name=\"color-scheme\" content=\"light dark\" />\n<title>");
    pri_markup_name(t, title_of(report), 0);
    pri_text_add(t, "</title>\n<style>\n");
    for (int i = 0; pri_report_style[i] != NULL; i++)
        pri_text_add(t, pri_report_style[i]);
    pri_text_add(t, pri_plot_style);
    pri_text_add(t, "</style>\n</head>\n<body>\n");
    pri_text_addf(t, "<main class=\"%s\">\n",
                  report->n_runs > 2    ? "many"
                  : report->n_runs == 1 ? "single"
                                        : "few");
    pri_text_add(t, "<header>\n<p class=\"eyebrow\">pare report</p>\n<h1>");
    pri_markup_name(t, title_of(report), 0);
    pri_text_add(t, "</h1>\n");
    if (report->summary != NULL && *report->summary != '\0') {
        pri_text_add(t, "<p class=\"lead\">");
        pri_markup_name(t, report->summary, 0);
        pri_text_add(t, "</p>\n");
    }
    pri_text_add(t, "</header>\n");
}

/* A condition's words with arrows and minus signs as print has them. */
static void add_sentence(pri_text *t, const char *sentence)
{
    const char *from = sentence != NULL ? sentence : "";

    for (const char *at; (at = strchr(from, '-')) != NULL; from = at + 1) {
        char piece[PARE_CONDITION_TEXT];
        const size_t length = (size_t)(at - from);
        if (length >= sizeof piece)
            break;
        memcpy(piece, from, length);
        piece[length] = '\0';
        pri_markup_name(t, piece, 0);
        if (at[1] == '>') {
            pri_text_add(t, "\xe2\x86\x92");
            at++;
        } else {
            pri_text_add(t, at[1] >= '0' && at[1] <= '9' ? "\xe2\x88\x92" : "-");
        }
    }
    pri_markup_name(t, from, 0);
}

static void add_verdicts(pri_text *t, const pare_report *report)
{
    int met = 0;

    if (report->n_conditions <= 0)
        return;
    for (int i = 0; i < report->n_conditions; i++)
        met += report->conditions[i].met;
    pri_text_addf(t, "<section class=\"verdicts %s\">\n<h2>",
                  met == report->n_conditions ? "all-met" : "some-missed");
    if (met == report->n_conditions && met == 1)
        pri_text_add(t, "The requirement is met");
    else if (met == report->n_conditions && met == 2)
        pri_text_add(t, "Both requirements are met");
    else if (met == report->n_conditions)
        pri_text_addf(t, "All %d requirements are met", met);
    else
        pri_text_addf(t, "%d of %d requirement%s met", met, report->n_conditions,
                      report->n_conditions == 1 ? " is" : "s are");
    pri_text_add(t, "</h2>\n<ul>\n");
    for (int i = 0; i < report->n_conditions; i++) {
        const pare_report_condition *c = &report->conditions[i];
        pri_text_addf(t,
                      "<li class=\"%s\"><span class=\"mark\" aria-hidden=\"true\">%s</span>"
                      "<span class=\"state\">%s</span><span>",
                      c->met ? "yes" : "no", c->met ? "\xe2\x9c\x93" : "\xe2\x9c\x97",
                      c->met ? "met" : "not met");
        if (c->run != NULL && *c->run != '\0' && report->n_runs > 1) {
            pri_text_add(t, "<b>");
            pri_markup_name(t, c->run, 40);
            pri_text_add(t, "</b> ");
        }
        add_sentence(t, c->text);
        pri_text_add(t, "</span></li>\n");
    }
    pri_text_add(t, "</ul>\n</section>\n");
}

/* --- Cards: the figures one asks for first --- */

static void open_figure(pri_text *t, const char *label)
{
    pri_text_addf(t, "<div><dt>%s</dt><dd>", label);
}

static void add_change(pri_text *t, const char *label, double before, double after)
{
    if (!isfinite(before) || !isfinite(after))
        return;
    open_figure(t, label);
    pri_markup_fixed(t, 100 * after, 1);
    pri_text_add(t, "<small> %</small>");
    pri_report_add_difference(t, 100 * (after - before), 1, true);
    pri_text_add(t, "</dd></div>");
}

static double first_finite(const pare_report_run *run, bool is_miou)
{
    for (int i = 0; i < run->n_points; i++) {
        const double value = is_miou ? run->points[i].miou : run->points[i].accuracy;
        if (isfinite(value))
            return value;
    }
    return (double)NAN;
}

static void add_card_scores(pri_text *t, const pare_report_run *run)
{
    const pare_comparison *c = run->comparison;

    if (c != NULL && c->scores[0].classes > 0)
        add_change(t, "Accuracy", c->scores[0].accuracy, c->scores[1].accuracy);
    if (c != NULL && c->scores[0].mask_classes > 0)
        add_change(t, "Mean IoU", c->scores[0].miou, c->scores[1].miou);
    if (c != NULL || run->n_points == 0)
        return;
    const pare_report_point *end = &run->points[run->n_points - 1];
    add_change(t, "Accuracy", first_finite(run, false), end->accuracy);
    add_change(t, "Mean IoU", first_finite(run, true), end->miou);
}

static void add_card(pri_text *t, const pare_report *report, int r)
{
    const pare_report_run *run = &report->runs[r];
    const pare_comparison *c = run->comparison;
    double macs = run->n_points > 0 ? run->points[run->n_points - 1].macs : (double)NAN;

    if (c != NULL && c->costs[0].macs > 0)
        macs = (double)c->costs[1].macs / (double)c->costs[0].macs;
    pri_text_addf(t, "<article class=\"card b%d\">\n<h3>", r % PRI_REPORT_COLOURS);
    pri_report_run_name(t, report, r, 60);
    pri_text_add(t, "</h3>\n<dl>");
    if (isfinite(macs)) {
        open_figure(t, "MACs kept");
        pri_markup_fixed(t, 100 * macs, 1);
        pri_text_add(t, "<small> %</small></dd></div>");
    }
    add_card_scores(t, run);
    if (c != NULL && c->latency[0] > 0 && c->latency[1] > 0) {
        open_figure(t, "Speed");
        pri_markup_fixed(t, c->latency[0] / c->latency[1], 2);
        pri_text_add(t, "<small>\xc3\x97</small></dd></div>");
    }
    pri_text_add(t, "</dl>\n</article>\n");
}

static void add_cards(pri_text *t, const pare_report *report)
{
    if (report->n_runs <= 0) {
        pri_text_add(t, "<p class=\"note\">There are no runs to report.</p>\n");
        return;
    }
    pri_text_add(t, "<section class=\"cards\">\n<h2 class=\"hidden\">Results</h2>\n");
    for (int r = 0; r < report->n_runs; r++)
        add_card(t, report, r);
    pri_text_add(t, "</section>\n");
}

static pare_status add_plots(pri_text *t, const pare_report *report)
{
    const bool has[2] = {pri_plot_has(report, PRI_PLOT_ACCURACY),
                         pri_plot_has(report, PRI_PLOT_MIOU)};

    if (!has[0] && !has[1])
        return PARE_OK;
    pri_text_add(
        t, "<section>\n<h2>Trade-off</h2>\n<p class=\"note\">What is left of the score "
           "on the validation images as MACs go, a point a round.</p>\n<div class=\"plots\">\n");
    if (has[0])
        PRI_TRY(pri_plot_add(t, report, PRI_PLOT_ACCURACY, -1));
    if (has[1])
        PRI_TRY(pri_plot_add(t, report, PRI_PLOT_MIOU, -1));
    pri_text_add(t, "</div>\n</section>\n");
    return PARE_OK;
}

/* --- Bottom --- */

static void add_duration(pri_text *t, double seconds)
{
    if (seconds < 120) {
        pri_markup_fixed(t, seconds, seconds < 10 ? 1 : 0);
        pri_text_add(t, " s");
    } else if (seconds < 7200) {
        pri_markup_fixed(t, seconds / 60, 0);
        pri_text_add(t, " min");
    } else {
        pri_markup_fixed(t, seconds / 3600, 1);
        pri_text_add(t, " h");
    }
}

static void add_made(pri_text *t, const pare_report *report)
{
    bool is_timed = false;

    pri_text_add(t, "<footer>\n<h2>How this was made</h2>\n<dl>\n");
    if (report->command != NULL && *report->command != '\0') {
        pri_text_add(t, "<dt>Command</dt><dd><pre><code>");
        pri_markup_name(t, report->command, 0);
        pri_text_add(t, "</code></pre></dd>\n");
    }
    if (report->data != NULL) {
        pri_text_add(t, "<dt>Images</dt><dd>");
        pri_markup_count(t, pare_data_count(report->data));
        pri_text_addf(t, " of %lld \xc3\x97 %lld pixels</dd>\n",
                      (long long)pare_data_height(report->data),
                      (long long)pare_data_width(report->data));
    }
    for (int r = 0; r < report->n_runs; r++)
        is_timed = is_timed || report->runs[r].seconds > 0;
    if (is_timed)
        pri_text_add(t, "<dt>Time</dt><dd>");
    for (int r = 0; r < report->n_runs && is_timed; r++) {
        pri_text_add(t, r > 0 ? ", " : "");
        pri_report_run_name(t, report, r, 40);
        pri_text_add(t, " ");
        add_duration(t, report->runs[r].seconds);
    }
    if (is_timed)
        pri_text_add(t, "</dd>\n");
    pri_text_add(t, "<dt>Version</dt><dd>pare ");
    pri_markup_name(t, pare_version(), 0);
    pri_text_add(t, "</dd>\n</dl>\n</footer>\n</main>\n</body>\n</html>\n");
}

/* --- Files --- */

static pare_status write_text(const pri_text *t, const char *path, bool replace)
{
    PRI_TRY(pri_text_status(t));
    return pri_file_write(t->ctx, path, pri_text_get(t), t->length, replace);
}

static pare_status check_target(pare_context *ctx, const char *path, bool replace)
{
    if (!replace && pri_file_exists(path))
        return pri_fail(ctx, PARE_ERROR_EXISTS, "'%s' exists; use --force to replace it", path);
    return PARE_OK;
}

pare_status pare_report_write(pare_context *ctx, const char *path, const pare_report *report,
                              bool replace)
{
    pri_text t;

    PRI_TRY(check_target(ctx, path, replace));
    pri_text_init(&t, ctx);
    add_top(&t, report);
    add_verdicts(&t, report);
    add_cards(&t, report);
    pare_status status = add_plots(&t, report);
    pri_report_add_scores(&t, report);
    pri_report_add_costs(&t, report);
    pri_report_add_layers(&t, report);
    pri_report_add_classes(&t, report);
    add_made(&t, report);
    if (status == PARE_OK)
        status = write_text(&t, path, replace);
    pri_text_clear(&t);
    return status;
}

pare_status pare_report_plot(pare_context *ctx, const char *path, const pare_report *report,
                             bool replace)
{
    const bool has[2] = {pri_plot_has(report, PRI_PLOT_ACCURACY),
                         pri_plot_has(report, PRI_PLOT_MIOU)};
    const int one = pri_plot_height(report), height = one * (has[0] && has[1] ? 2 : 1);
    pare_status status = PARE_OK;
    pri_text t;

    if (!has[0] && !has[1])
        return pri_fail(ctx, PARE_ERROR_ARGUMENT, "there is no score to plot against MACs");
    PRI_TRY(check_target(ctx, path, replace));
    pri_text_init(&t, ctx);
    pri_text_addf(&t,
                  "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
                  "viewBox=\"0 0 %d %d\" font-family=\"system-ui, sans-serif\" "
                  "font-size=\"13\">\n<style>\n%s</style>\n"
                  "<rect class=\"paper\" width=\"100%%\" height=\"100%%\" fill=\"#ffffff\" />\n",
                  PRI_PLOT_WIDTH, height, PRI_PLOT_WIDTH, height, pri_plot_style);
    if (has[0])
        status = pri_plot_add(&t, report, PRI_PLOT_ACCURACY, 0);
    if (has[1] && status == PARE_OK)
        status = pri_plot_add(&t, report, PRI_PLOT_MIOU, has[0] ? one : 0);
    pri_text_add(&t, "</svg>\n");
    if (status == PARE_OK)
        status = write_text(&t, path, replace);
    pri_text_clear(&t);
    return status;
}
