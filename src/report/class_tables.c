/* SPDX-License-Identifier: Apache-2.0 */
/* class_tables.c - what became of each class; folded, because there may be a thousand. */
#include <math.h>

#include "report/page.h"

/* What differs between labels and masks. */
typedef struct head {
    const char *title, *counted, *measure;
    bool is_mask;
} head;

static int64_t count_of(const pare_scores *s, const head *h)
{
    return h->is_mask ? s->mask_classes : s->classes;
}

static const pare_class_scores *row_of(const pare_scores *s, const head *h, int64_t k)
{
    const pare_class_scores *rows = h->is_mask ? s->per_mask_class : s->per_class;

    return rows != NULL && k < count_of(s, h) ? &rows[k] : NULL;
}

static double value_of(const pare_class_scores *row, const head *h)
{
    return row == NULL ? (double)NAN : 100 * (h->is_mask ? row->iou : row->f1);
}

static void add_class_name(pri_text *t, const pare_data *data, const head *h, int64_t k)
{
    const char *name = NULL;

    if (data != NULL)
        name = h->is_mask ? pare_data_mask_class_name(data, k) : pare_data_class_name(data, k);
    if (name != NULL)
        pri_markup_name(t, name, 60);
    else
        pri_text_addf(t, "%lld", (long long)k);
}

static void add_row(pri_text *t, const pare_report *report, const pare_scores *original,
                    const head *h, int64_t k)
{
    const pare_class_scores *row = row_of(original, h, k);
    const double before = value_of(row, h);

    pri_text_add(t, "<tr><th scope=\"row\">");
    add_class_name(t, report->data, h, k);
    pri_text_add(t, "</th><td>");
    pri_markup_count(t, row->support);
    pri_text_add(t, "</td><td>");
    pri_markup_fixed(t, before, 1);
    pri_text_add(t, "</td>");
    for (int r = 0; r < report->n_runs; r++) {
        const pare_comparison *c = report->runs[r].comparison;
        const double after = c != NULL ? value_of(row_of(&c->scores[1], h, k), h) : (double)NAN;
        pri_text_add(t, "<td>");
        pri_markup_fixed(t, after, 1);
        pri_report_add_difference(t, after - before, 1, true);
        pri_text_add(t, "</td>");
    }
    pri_text_add(t, "</tr>\n");
}

static void add_head(pri_text *t, const pare_report *report, const pare_scores *original,
                     const head *h)
{
    int64_t shown = 0;

    for (int64_t k = 0; k < count_of(original, h); k++) {
        const pare_class_scores *row = row_of(original, h, k);
        shown += row != NULL && row->support > 0;
    }
    if (shown == 0)
        return;
    pri_text_addf(t, "<details%s>\n<summary>%s <span>%lld</span></summary>\n",
                  shown <= 20 ? " open=\"open\"" : "", h->title, (long long)shown);
    pri_report_open_table(t, report, h->measure, "Class", h->counted, true);
    for (int64_t k = 0; k < count_of(original, h); k++) {
        const pare_class_scores *row = row_of(original, h, k);
        if (row != NULL && row->support > 0)
            add_row(t, report, original, h, k);
    }
    pri_report_close_table(t);
    pri_text_add(t, "</details>\n");
}

void pri_report_add_classes(pri_text *t, const pare_report *report)
{
    static const head heads[2] = {{"Classes of images", "Images", "F1, %", false},
                                  {"Classes of pixels", "Pixels", "IoU, %", true}};
    const pare_comparison *any = pri_report_any(report);

    if (any == NULL || (any->scores[0].per_class == NULL && any->scores[0].per_mask_class == NULL))
        return;
    pri_text_add(t, "<section>\n<h2>Classes</h2>\n");
    add_head(t, report, &any->scores[0], &heads[0]);
    add_head(t, report, &any->scores[0], &heads[1]);
    pri_text_add(t, "</section>\n");
}
