/* SPDX-License-Identifier: Apache-2.0 */
/* layers.c - channels kept, one row a layer and one column a run, so that runs line up. */
#include <string.h>

#include "report/page.h"

static bool is_same(const char *a, const char *b)
{
    return strcmp(a != NULL ? a : "", b != NULL ? b : "") == 0;
}

/* The layer of that name in a run; at the same place in most cases. */
static const pare_report_layer *find_layer(const pare_report_run *run, const char *name, int guess)
{
    if (guess < run->n_layers && is_same(run->layers[guess].name, name))
        return &run->layers[guess];
    for (int i = 0; i < run->n_layers; i++) {
        if (is_same(run->layers[i].name, name))
            return &run->layers[i];
    }
    return NULL;
}

/* Whether an earlier run shows this layer already. */
static bool is_shown(const pare_report *report, int run, int index)
{
    const char *name = report->runs[run].layers[index].name;

    for (int r = 0; r < run; r++) {
        if (find_layer(&report->runs[r], name, index) != NULL)
            return true;
    }
    return false;
}

static void add_cell(pri_text *t, const pare_report_layer *layer, int run)
{
    if (layer == NULL || layer->before <= 0) {
        pri_text_add(t, "<td></td>");
        return;
    }
    pri_text_add(t, "<td><div class=\"kept\">");
    pri_report_add_bar(t, (double)layer->after / (double)layer->before, run);
    pri_text_add(t, "<span>");
    pri_markup_count(t, layer->after);
    pri_text_add(t, "<small> / ");
    pri_markup_count(t, layer->before);
    pri_text_add(t, "</small></span></div></td>");
}

void pri_report_add_layers(pri_text *t, const pare_report *report)
{
    int layers = 0;

    for (int r = 0; r < report->n_runs; r++)
        layers += report->runs[r].n_layers > 0;
    if (layers == 0)
        return;
    pri_text_add(t, "<section>\n<h2>Layers</h2>\n<p class=\"note\">Channels kept of each group of "
                    "layers that is pruned together, named by its first layer.</p>\n");
    pri_report_open_table(t, report, "Channels kept", "Layer", NULL, false);
    for (int r = 0; r < report->n_runs; r++) {
        for (int i = 0; i < report->runs[r].n_layers; i++) {
            const char *name = report->runs[r].layers[i].name;
            if (is_shown(report, r, i))
                continue;
            pri_text_add(t, "<tr><th scope=\"row\" class=\"layer\"><span title=\"");
            pri_markup_name(t, name, 200);
            pri_text_add(t, "\">");
            pri_markup_name(t, name, 80);
            pri_text_add(t, "</span></th>");
            for (int k = 0; k < report->n_runs; k++)
                add_cell(t, find_layer(&report->runs[k], name, i), k);
            pri_text_add(t, "</tr>\n");
        }
    }
    pri_report_close_table(t);
    pri_text_add(t, "</section>\n");
}
