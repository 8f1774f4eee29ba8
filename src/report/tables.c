/* SPDX-License-Identifier: Apache-2.0 */
/* tables.c - scores and costs: a row a quantity, a column a model. */
#include <math.h>
#include <string.h>

#include "report/page.h"

const pare_comparison *pri_report_any(const pare_report *report)
{
    for (int r = 0; r < report->n_runs; r++) {
        if (report->runs[r].comparison != NULL)
            return report->runs[r].comparison;
    }
    return NULL;
}

/* --- Parts of tables --- */

void pri_report_open_table(pri_text *t, const pare_report *report, const char *caption,
                           const char *first, const char *second, bool has_original)
{
    pri_text_addf(t,
                  "<div class=\"scroll\" role=\"region\" aria-label=\"%s\" tabindex=\"0\">\n"
                  "<table>\n<caption>%s</caption>\n<thead><tr><th scope=\"col\">%s</th>",
                  caption, caption, first);
    if (second != NULL)
        pri_text_addf(t, "<th scope=\"col\">%s</th>", second);
    if (has_original)
        pri_text_add(t, "<th scope=\"col\">Original</th>");
    for (int r = 0; r < report->n_runs; r++) {
        pri_text_addf(t,
                      "<th scope=\"col\" class=\"run\"><svg class=\"key\" viewBox=\"0 0 10 10\" "
                      "aria-hidden=\"true\"><circle class=\"f%d\" cx=\"5\" cy=\"5\" r=\"4\" />"
                      "</svg>",
                      r % PRI_REPORT_COLOURS);
        pri_report_run_name(t, report, r, 24);
        pri_text_add(t, "</th>");
    }
    pri_text_add(t, "</tr></thead>\n<tbody>\n");
}

void pri_report_close_table(pri_text *t)
{
    pri_text_add(t, "</tbody>\n</table>\n</div>\n");
}

void pri_report_add_bar(pri_text *t, double share, int run)
{
    const double part = isfinite(share) ? fmin(fmax(share, 0), 1) : 0;

    pri_text_add(t, "<svg class=\"bar\" viewBox=\"0 0 100 8\" preserveAspectRatio=\"none\" "
                    "aria-hidden=\"true\"><rect class=\"track\" width=\"100\" height=\"8\" />"
                    "<rect class=\"f");
    pri_text_addf(t, "%d\" height=\"8\" width=\"", run % PRI_REPORT_COLOURS);
    pri_markup_xy(t, 100 * part);
    pri_text_add(t, "\" /></svg>");
}

void pri_report_add_difference(pri_text *t, double difference, int decimals, bool more_is_better)
{
    const bool is_visible = fabs(difference) >= 0.5 * pow(10, -decimals);
    const char *sort = !is_visible ? "" : (difference > 0) == more_is_better ? " better" : " worse";

    if (!isfinite(difference))
        return;
    pri_text_addf(t, "<small class=\"diff%s\">", sort);
    pri_markup_signed(t, difference, decimals);
    pri_text_add(t, "</small>");
}

/* --- Scores --- */

typedef struct score {
    const char *label, *unit;
    size_t offset; /* in pare_scores */
    bool is_mask, is_share, more_is_better;
} score;

static const score scores[] = {
    {"Accuracy", "%", offsetof(pare_scores, accuracy), false, true, true},
    {"Top-5 accuracy", "%", offsetof(pare_scores, top5), false, true, true},
    {"Negative log-likelihood", "nats", offsetof(pare_scores, nll), false, false, false},
    {"Precision", "macro, %", offsetof(pare_scores, precision_macro), false, true, true},
    {"Recall", "macro, %", offsetof(pare_scores, recall_macro), false, true, true},
    {"F1", "macro, %", offsetof(pare_scores, f1_macro), false, true, true},
    {"Mean IoU", "%", offsetof(pare_scores, miou), true, true, true},
    {"Pixel accuracy", "%", offsetof(pare_scores, pixel_accuracy), true, true, true},
    {"Dice", "macro, %", offsetof(pare_scores, dice), true, true, true},
    {"Negative log-likelihood", "nats a pixel", offsetof(pare_scores, mask_nll), true, false,
     false}};

/* In the unit shown; NAN where the head was not scored. */
static double score_of(const pare_scores *s, const score *what)
{
    double value;

    if (s == NULL || (what->is_mask ? s->mask_classes : s->classes) == 0)
        return (double)NAN;
    memcpy(&value, (const char *)s + what->offset, sizeof value);
    return what->is_share ? 100 * value : value;
}

static const pare_scores *pruned_scores(const pare_report *report, int run)
{
    const pare_comparison *c = report->runs[run].comparison;

    return c != NULL ? &c->scores[1] : NULL;
}

static void add_score(pri_text *t, const pare_report *report, const pare_scores *original,
                      const score *what)
{
    const int decimals = what->is_share ? 2 : 4;
    const double before = score_of(original, what);

    pri_text_addf(t, "<tr><th scope=\"row\">%s <small>%s</small></th><td>", what->label,
                  what->unit);
    pri_markup_fixed(t, before, decimals);
    pri_text_add(t, "</td>");
    for (int r = 0; r < report->n_runs; r++) {
        const double after = score_of(pruned_scores(report, r), what);
        pri_text_add(t, "<td>");
        pri_markup_fixed(t, after, decimals);
        pri_report_add_difference(t, after - before, decimals, what->more_is_better);
        pri_text_add(t, "</td>");
    }
    pri_text_add(t, "</tr>\n");
}

/* A p-value in words. */
static void add_significance(pri_text *t, const pare_report *report, bool is_mask)
{
    pri_text_addf(t,
                  "<tr class=\"words\"><th scope=\"row\">Difference, %s <small>%s test, 5 %%"
                  "</small></th><td></td>",
                  is_mask ? "masks" : "labels", is_mask ? "Wilcoxon" : "McNemar");
    for (int r = 0; r < report->n_runs; r++) {
        const pare_comparison *c = report->runs[r].comparison;
        const double p = c == NULL ? (double)NAN : is_mask ? c->p_mask : c->p_class;
        pri_text_add(t, "<td>");
        if (isfinite(p)) {
            pri_text_add(t, p < 0.05 ? "significant" : "not significant");
            pri_text_add(t, p < 0.001 ? " <small>p &lt; 0.001</small>" : " <small>p = ");
            if (p >= 0.001) {
                pri_markup_fixed(t, p, 3);
                pri_text_add(t, "</small>");
            }
        }
        pri_text_add(t, "</td>");
    }
    pri_text_add(t, "</tr>\n");
}

void pri_report_add_scores(pri_text *t, const pare_report *report)
{
    const pare_comparison *any = pri_report_any(report);

    if (any == NULL)
        return;
    const pare_scores *original = &any->scores[0];
    pri_text_add(t, "<section>\n<h2>Scores</h2>\n<p class=\"note\">On ");
    pri_markup_count(t, original->count);
    pri_text_add(t, " test images; small figures are the difference "
                    "from the original.</p>\n");
    pri_report_open_table(t, report, "Scores of the original and of each run", "Score", NULL, true);
    for (size_t i = 0; i < PRI_COUNT(scores); i++) {
        if (isfinite(score_of(original, &scores[i])))
            add_score(t, report, original, &scores[i]);
    }
    if (original->classes > 0)
        add_significance(t, report, false);
    if (original->mask_classes > 0)
        add_significance(t, report, true);
    pri_report_close_table(t);
    pri_text_add(t, "</section>\n");
}

/* --- Costs --- */

typedef struct cost {
    const char *label, *unit;
    size_t offset; /* in pare_costs */
} cost;

static const cost costs[] = {
    {"MACs", "", offsetof(pare_costs, macs)},
    {"Parameters", "", offsetof(pare_costs, parameters)},
    {"Channels", "", offsetof(pare_costs, channels)},
    {"File", "B", offsetof(pare_costs, bytes)},
    {"Memory to run, batch 1", "B", offsetof(pare_costs, activation_bytes)}};

static double cost_of(const pare_costs *c, const cost *what)
{
    int64_t value;

    memcpy(&value, (const char *)c + what->offset, sizeof value);
    return (double)value;
}

/* "20.3 M  50.1 %" over a bar. */
static void add_cost_cell(pri_text *t, double before, double after, const char *unit, int run)
{
    pri_text_add(t, "<td>");
    if (isfinite(after) && before > 0) {
        pri_markup_si(t, after, unit);
        pri_text_add(t, "<small class=\"diff\">");
        pri_markup_fixed(t, 100 * after / before, 1);
        pri_text_add(t, " %</small>");
        pri_report_add_bar(t, after / before, run);
    }
    pri_text_add(t, "</td>");
}

static void add_latency(pri_text *t, const pare_report *report, const pare_comparison *any)
{
    pri_text_addf(t, "<tr><th scope=\"row\">Latency <small>batch %lld, median</small></th><td>",
                  (long long)any->batch);
    pri_markup_fixed(t, 1e3 * any->latency[0], 2);
    pri_text_add(t, "\xe2\x80\xafms</td>");
    for (int r = 0; r < report->n_runs; r++) {
        const pare_comparison *c = report->runs[r].comparison;
        pri_text_add(t, "<td>");
        if (c != NULL && c->latency[0] > 0) {
            /* a run is compared with the original it took turns with */
            const double share = c->latency[1] / c->latency[0];
            pri_markup_fixed(t, 1e3 * c->latency[1], 2);
            pri_text_add(t, "\xe2\x80\xafms<small class=\"diff\">");
            pri_markup_fixed(t, 100 * share, 1);
            pri_text_add(t, " %</small>");
            pri_report_add_bar(t, share, r);
        }
        pri_text_add(t, "</td>");
    }
    pri_text_add(t, "</tr>\n");
}

/* The shares of the last point, for runs that nobody compared with the original. */
static void add_shares(pri_text *t, const pare_report *report)
{
    for (int k = 0; k < 2; k++) {
        pri_text_addf(t, "<tr><th scope=\"row\">%s <small>kept</small></th>",
                      k == 0 ? "MACs" : "Parameters");
        for (int r = 0; r < report->n_runs; r++) {
            const pare_report_run *run = &report->runs[r];
            const pare_report_point *end =
                run->n_points > 0 ? &run->points[run->n_points - 1] : NULL;
            const double share = end == NULL ? (double)NAN : k == 0 ? end->macs : end->parameters;
            pri_text_add(t, "<td>");
            pri_markup_fixed(t, 100 * share, 1);
            pri_text_add(t, isfinite(share) ? " %" : "");
            pri_report_add_bar(t, share, r);
            pri_text_add(t, "</td>");
        }
        pri_text_add(t, "</tr>\n");
    }
}

static void add_costs(pri_text *t, const pare_report *report, const pare_comparison *any)
{
    const pare_comparison *timed = NULL;

    for (size_t i = 0; i < PRI_COUNT(costs); i++) {
        const double before = cost_of(&any->costs[0], &costs[i]);
        if (before <= 0)
            continue;
        pri_text_addf(t, "<tr><th scope=\"row\">%s</th><td>", costs[i].label);
        pri_markup_si(t, before, costs[i].unit);
        pri_text_add(t, "</td>");
        for (int r = 0; r < report->n_runs; r++) {
            const pare_comparison *c = report->runs[r].comparison;
            add_cost_cell(t, before, c != NULL ? cost_of(&c->costs[1], &costs[i]) : (double)NAN,
                          costs[i].unit, r);
        }
        pri_text_add(t, "</tr>\n");
    }
    for (int r = report->n_runs - 1; r >= 0; r--) {
        const pare_comparison *c = report->runs[r].comparison;
        timed = c != NULL && c->latency[0] > 0 ? c : timed;
    }
    if (timed != NULL)
        add_latency(t, report, timed);
}

void pri_report_add_costs(pri_text *t, const pare_report *report)
{
    const pare_comparison *any = pri_report_any(report);

    if (report->n_runs <= 0)
        return;
    pri_text_add(t, "<section>\n<h2>Costs</h2>\n<p class=\"note\">Of one image; shares and bars "
                    "are of the original.</p>\n");
    pri_report_open_table(t, report, "Costs of the original and of each run", "Cost", NULL,
                          any != NULL);
    if (any != NULL)
        add_costs(t, report, any);
    else
        add_shares(t, report);
    pri_report_close_table(t);
    pri_text_add(t, "</section>\n");
}
