/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plot.c - what is left of a score when MACs go, one line a run.
 *
 * MACs fall from left to right, the way a run goes, so that the ends of the lines lie at the right,
 * where their names stand; a legend would have to be matched by colour. Sizes leave room for text
 * that the style sheet enlarges on a phone.
 */
#include <math.h>

#include "report/page.h"
#include "report/scale.h"

enum { LEFT = 52, TOP = 26, BOTTOM = 50, INNER_HEIGHT = 236, LABEL_GAP = 18, NAME_MAX = 14 };

typedef struct plot {
    const pare_report *report;
    pri_plot_kind kind;
    pri_scale x, y;       /* per cent */
    double width, height; /* of the inner part */
} plot;

static double score_of(const pare_report_point *p, pri_plot_kind kind)
{
    return 100 * (kind == PRI_PLOT_ACCURACY ? p->accuracy : p->miou);
}

static bool is_drawn(const pare_report_point *p, pri_plot_kind kind)
{
    return isfinite(p->macs) && isfinite(score_of(p, kind));
}

/* The last point that can be drawn, NULL without. */
static const pare_report_point *last_point(const pare_report_run *run, pri_plot_kind kind)
{
    for (int i = run->n_points - 1; i >= 0; i--) {
        if (is_drawn(&run->points[i], kind))
            return &run->points[i];
    }
    return NULL;
}

bool pri_plot_has(const pare_report *report, pri_plot_kind kind)
{
    for (int r = 0; r < report->n_runs; r++) {
        if (last_point(&report->runs[r], kind) != NULL)
            return true;
    }
    return false;
}

/* Grows with the number of labels. */
int pri_plot_height(const pare_report *report)
{
    const int labels = LABEL_GAP * report->n_runs;

    return TOP + BOTTOM + (labels > INNER_HEIGHT ? labels : INNER_HEIGHT);
}

static void set_scales(plot *p)
{
    double low_x = INFINITY, high_x = 100, low_y = INFINITY, high_y = -INFINITY;
    int longest = 0;

    for (int r = 0; r < p->report->n_runs; r++) {
        const pare_report_run *run = &p->report->runs[r];
        for (int i = 0; i < run->n_points; i++) {
            if (!is_drawn(&run->points[i], p->kind))
                continue;
            low_x = fmin(low_x, 100 * run->points[i].macs);
            high_x = fmax(high_x, 100 * run->points[i].macs);
            low_y = fmin(low_y, score_of(&run->points[i], p->kind));
            high_y = fmax(high_y, score_of(&run->points[i], p->kind));
        }
        longest = (int)fmax(longest, pri_markup_length(run->name, NAME_MAX));
    }
    const double pad_y = fmax(0.12 * (high_y - low_y), 0.2), pad_x = 0.06 * (high_x - low_x);
    p->width = PRI_PLOT_WIDTH - LEFT - 78 - 8.3 * fmax(longest, 5);
    p->height = pri_plot_height(p->report) - TOP - BOTTOM;
    p->x = pri_scale_of(fmax(low_x - pad_x, 0), high_x, 6);
    p->y = pri_scale_of(fmax(low_y - pad_y, 0), high_y + pad_y, 6);
}

static double place_x(const plot *p, double value)
{
    return LEFT + p->width * (p->x.high - value) / (p->x.high - p->x.low);
}

static double place_y(const plot *p, double value)
{
    return TOP + p->height * (p->y.high - value) / (p->y.high - p->y.low);
}

static void add_point(pri_text *t, double x, double y)
{
    pri_markup_xy(t, x);
    pri_text_add(t, " ");
    pri_markup_xy(t, y);
}

static void add_line(pri_text *t, const char *attributes, double x1, double y1, double x2,
                     double y2)
{
    pri_text_addf(t, "<path %s d=\"M", attributes);
    add_point(t, x1, y1);
    pri_text_add(t, "L");
    add_point(t, x2, y2);
    pri_text_add(t, "\" />\n");
}

/* Opens a text element; what it says and its end are the caller's. */
static void open_text(pri_text *t, const char *attributes, double x, double y)
{
    pri_text_addf(t, "<text %s x=\"", attributes);
    pri_markup_xy(t, x);
    pri_text_add(t, "\" y=\"");
    pri_markup_xy(t, y);
    pri_text_add(t, "\">");
}

/* --- Parts --- */

static void add_axes(pri_text *t, const plot *p)
{
    const double bottom = TOP + p->height, right = LEFT + p->width;

    for (int i = 0; i < p->y.ticks; i++) {
        const double value = p->y.first + i * p->y.step, y = place_y(p, value);
        add_line(t, "class=\"grid\" stroke=\"#e3e1da\" fill=\"none\"", LEFT, y, right, y);
        open_text(t, "class=\"tick\" fill=\"#66645e\" text-anchor=\"end\"", LEFT - 8, y + 4);
        pri_markup_fixed(t, value, p->y.decimals);
        pri_text_add(t, "</text>\n");
    }
    for (int i = 0; i < p->x.ticks; i++) {
        const double value = p->x.first + i * p->x.step, x = place_x(p, value);
        add_line(t, "class=\"axis\" stroke=\"#8d8b84\" fill=\"none\"", x, bottom, x, bottom + 5);
        open_text(t, "class=\"tick\" fill=\"#66645e\" text-anchor=\"middle\"", x, bottom + 20);
        pri_markup_fixed(t, value, p->x.decimals);
        pri_text_add(t, "</text>\n");
    }
    add_line(t, "class=\"axis\" stroke=\"#8d8b84\" fill=\"none\"", LEFT, bottom, right, bottom);
    open_text(t, "class=\"name\" fill=\"#66645e\" text-anchor=\"middle\"", LEFT + p->width / 2,
              bottom + 42);
    pri_text_add(t, "MACs, % of the original</text>\n");
    open_text(t, "class=\"name\" fill=\"#66645e\"", 4, 14);
    pri_text_addf(t, "%s, %%</text>\n", p->kind == PRI_PLOT_ACCURACY ? "Accuracy" : "mIoU");
}

/* The level of the original: the first point of round 0; NULL: it is not drawn. */
static const pare_report_point *original_of(const plot *p)
{
    for (int r = 0; r < p->report->n_runs; r++) {
        const pare_report_run *run = &p->report->runs[r];
        for (int i = 0; i < run->n_points; i++) {
            if (run->points[i].round == 0 && is_drawn(&run->points[i], p->kind))
                return &run->points[i];
        }
    }
    return NULL;
}

static void add_original(pri_text *t, const plot *p)
{
    const pare_report_point *original = original_of(p);

    if (original == NULL)
        return;
    const double y = place_y(p, score_of(original, p->kind));
    add_line(t, "class=\"level\" stroke=\"#8d8b84\" stroke-dasharray=\"2 4\" fill=\"none\"", LEFT,
             y, LEFT + p->width, y);
}

/* Over the lines, and on the side of the level where no run ends. */
static void name_original(pri_text *t, const plot *p)
{
    const pare_report_point *original = original_of(p);
    bool is_above = true;

    if (original == NULL)
        return;
    for (int r = 0; r < p->report->n_runs; r++) {
        const pare_report_point *end = last_point(&p->report->runs[r], p->kind);
        if (end != NULL && score_of(end, p->kind) > score_of(original, p->kind))
            is_above = false;
    }
    open_text(t, "class=\"tick halo\" fill=\"#66645e\" text-anchor=\"end\"", LEFT + p->width - 2,
              place_y(p, score_of(original, p->kind)) + (is_above ? -6 : 15));
    pri_text_add(t, "original</text>\n");
}

static void add_run(pri_text *t, const plot *p, int r)
{
    const pare_report_run *run = &p->report->runs[r];
    const int c = r % PRI_REPORT_COLOURS;
    const char *separator = "M";

    pri_text_addf(t,
                  "<path class=\"s%d\" fill=\"none\" stroke=\"%s\" stroke-width=\"2\" "
                  "stroke-linejoin=\"round\" d=\"",
                  c, pri_report_colours[c]);
    for (int i = 0; i < run->n_points; i++) {
        if (!is_drawn(&run->points[i], p->kind))
            continue;
        pri_text_add(t, separator);
        add_point(t, place_x(p, 100 * run->points[i].macs),
                  place_y(p, score_of(&run->points[i], p->kind)));
        separator = "L";
    }
    pri_text_add(t, "\" />\n");
    for (int i = 0; i < run->n_points; i++) {
        const pare_report_point *point = &run->points[i];
        if (!is_drawn(point, p->kind))
            continue;
        pri_text_addf(t, "<circle class=\"dot f%d\" fill=\"%s\" stroke=\"#ffffff\" r=\"4\" cx=\"",
                      c, pri_report_colours[c]);
        pri_markup_xy(t, place_x(p, 100 * point->macs));
        pri_text_add(t, "\" cy=\"");
        pri_markup_xy(t, place_y(p, score_of(point, p->kind)));
        pri_text_add(t, "\"><title>");
        pri_report_run_name(t, p->report, r, 0);
        pri_text_addf(t, ", round %d: ", point->round);
        pri_markup_fixed(t, score_of(point, p->kind), 2);
        pri_text_add(t, " % at ");
        pri_markup_fixed(t, 100 * point->macs, 1);
        pri_text_add(t, " % of the MACs</title></circle>\n");
    }
}

/* Names and last scores in a column at the right, kept apart, each joined with its line's end. */
static void add_label(pri_text *t, const plot *p, int r, double y)
{
    const pare_report_point *end = last_point(&p->report->runs[r], p->kind);
    const int c = r % PRI_REPORT_COLOURS;
    const double x = LEFT + p->width + 16, from_x = place_x(p, 100 * end->macs) + 6;
    const double from_y = place_y(p, score_of(end, p->kind));

    pri_text_addf(t,
                  "<path class=\"s%d leader\" fill=\"none\" stroke=\"%s\" stroke-width=\"1\" "
                  "stroke-dasharray=\"1 3\" d=\"M",
                  c, pri_report_colours[c]);
    add_point(t, from_x, from_y);
    pri_text_add(t, "L");
    add_point(t, fmax(from_x, LEFT + p->width), from_y);
    pri_text_add(t, "L");
    add_point(t, x - 4, y);
    pri_text_add(t, "\" />\n");
    pri_text_addf(t, "<text class=\"label t%d\" fill=\"%s\" x=\"", c, pri_report_colours[c]);
    pri_markup_xy(t, x);
    pri_text_add(t, "\" y=\"");
    pri_markup_xy(t, y + 4);
    pri_text_add(t, "\">");
    pri_report_run_name(t, p->report, r, NAME_MAX);
    pri_text_add(t, " <tspan class=\"value\" fill=\"#66645e\">");
    pri_markup_fixed(t, score_of(end, p->kind), 1);
    pri_text_add(t, "</tspan></text>\n");
}

static pare_status add_labels(pri_text *t, const plot *p)
{
    const size_t n = (size_t)p->report->n_runs;
    double *positions = pri_alloc(t->ctx, n, sizeof *positions);
    int *order = pri_alloc(t->ctx, 2 * n, sizeof *order); /* and the run of each label */
    int labels = 0;

    for (int r = 0; r < (int)n && positions != NULL && order != NULL; r++) {
        const pare_report_point *end = last_point(&p->report->runs[r], p->kind);
        if (end == NULL)
            continue;
        positions[labels] = place_y(p, score_of(end, p->kind));
        order[(int)n + labels++] = r;
    }
    const bool is_short = positions == NULL || order == NULL;
    if (!is_short) {
        pri_spread(positions, order, labels, LABEL_GAP, TOP, TOP + p->height);
        for (int k = 0; k < labels; k++)
            add_label(t, p, order[(int)n + k], positions[k]);
    }
    pri_free(positions);
    pri_free(order);
    return is_short ? PARE_ERROR_MEMORY : PARE_OK;
}

/* The plot in words, for those who do not see it. */
static void add_description(pri_text *t, const plot *p)
{
    const char *name = p->kind == PRI_PLOT_ACCURACY ? "accuracy" : "miou";

    pri_text_addf(t, "<title id=\"%s-title\">%s against MACs</title>\n<desc id=\"%s-text\">", name,
                  p->kind == PRI_PLOT_ACCURACY ? "Accuracy" : "Mean IoU", name);
    for (int r = 0; r < p->report->n_runs; r++) {
        const pare_report_point *end = last_point(&p->report->runs[r], p->kind);
        if (end == NULL)
            continue;
        pri_report_run_name(t, p->report, r, 0);
        pri_text_add(t, ": ");
        pri_markup_fixed(t, score_of(end, p->kind), 2);
        pri_text_add(t, " % at ");
        pri_markup_fixed(t, 100 * end->macs, 1);
        pri_text_add(t, " % of the MACs. ");
    }
    pri_text_add(t, "</desc>\n");
}

pare_status pri_plot_add(pri_text *t, const pare_report *report, pri_plot_kind kind, int y)
{
    const char *name = kind == PRI_PLOT_ACCURACY ? "accuracy" : "miou";
    plot p = {.report = report, .kind = kind};

    set_scales(&p);
    if (y >= 0)
        pri_text_addf(t, "<svg y=\"%d\" width=\"%d\" height=\"%d\"", y, PRI_PLOT_WIDTH,
                      pri_plot_height(report));
    else
        pri_text_add(t, "<svg xmlns=\"http://www.w3.org/2000/svg\"");
    pri_text_addf(t,
                  " class=\"plot\" viewBox=\"0 0 %d %d\" role=\"img\" "
                  "aria-labelledby=\"%s-title %s-text\">\n",
                  PRI_PLOT_WIDTH, pri_plot_height(report), name, name);
    add_description(t, &p);
    add_axes(t, &p);
    add_original(t, &p);
    for (int r = 0; r < report->n_runs; r++)
        add_run(t, &p, r);
    name_original(t, &p);
    PRI_TRY(add_labels(t, &p));
    pri_text_add(t, "</svg>\n");
    return PARE_OK;
}
