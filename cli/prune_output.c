/* SPDX-License-Identifier: Apache-2.0 */
/* prune_output.c - what `pare prune` prints, as text and as JSON. */
#include "prune_job.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>

static void print_costs(const pare_prune_result *r)
{
    const struct {
        const char *name;
        int64_t before, after;
    } rows[] = {{"parameters", r->before.parameters, r->after.parameters},
                {"MACs", r->before.macs, r->after.macs},
                {"channels", r->before.channels, r->after.channels},
                {"file bytes", r->before.bytes, r->after.bytes},
                {"activation bytes", r->before.activation_bytes, r->after.activation_bytes}};

    printf("%-18s %15s %15s %12s\n", "", "original", "pruned", "kept");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        printf("%-18s %12lld    %12lld    %10.1f %%\n", rows[i].name, (long long)rows[i].before,
               (long long)rows[i].after,
               rows[i].before > 0 ? 100.0 * (double)rows[i].after / (double)rows[i].before : 100.0);
}

/* The widest step that a channel count is a multiple of. */
static int step_of(int64_t channels)
{
    return channels % 16 == 0 ? 16 : channels % 8 == 0 ? 8 : channels % 4 == 0 ? 4 : 1;
}

/* Of the groups that were cut, how many have channel counts engines like. */
static void print_align(const prune_job *j, const pare_prune_result *p)
{
    static const int steps[] = {16, 8, 4, 1};
    int counts[4] = {0}, n = 0; /* groups that were cut */

    if (j->a->recipe.prune.align != PARE_ALIGN_AUTO) {
        printf("channel counts: --align %lld\n", (long long)j->a->recipe.prune.align);
        return;
    }
    for (int i = 0; i < p->n_groups; i++) {
        for (int k = 0; k < 4 && p->groups[i].after < p->groups[i].before; k++) {
            const bool is_it = step_of(p->groups[i].after) == steps[k];
            counts[k] += is_it;
            n += is_it;
        }
    }
    printf(
        "channel counts: --align auto (steps of %d on this machine), of %d layer groups cut %d are "
        "at multiples of 16, %d of 8, %d of 4, %d others\n",
        p->channel_step, n, counts[0], counts[1], counts[2], counts[3]);
}

static void print_run(const prune_job *j, const prune_result *run)
{
    const pare_prune_result *p = &run->result.pruning;

    printf("%s%s\n\n", j->a->n_strategies > 1 ? "--- " : "", run->name);
    if (run->has_comparison)
        cli_print_comparison(&run->comparison);
    else
        print_costs(p);
    static const char *const fates[] = {
        [PARE_DELETE] = "went", [PARE_MASK] = "are masked", [PARE_WEAKEN] = "are weakened"};
    const pare_action action = j->a->recipe.prune.action;
    const bool is_cut = action == PARE_DELETE || (action == PARE_WEAKEN && j->a->recipe.rounds > 1);
    printf("\n%lld of %lld prunable channels %s; cut and masked model differ by %.2g of the "
           "output's range\n"
           "%.1f s: scores %.1f, re-fit %.1f, reconstruction %.1f%s\n",
           (long long)p->removed, (long long)p->units, fates[is_cut ? PARE_DELETE : action],
           p->oracle, run->result.seconds, p->score_seconds, p->refit_seconds,
           p->reconstruct_seconds,
           p->was_recalibrated ? "; normalisation statistics re-estimated" : "");
    print_align(j, p);
    for (int i = 0; i < j->a->required.count && run->has_comparison; i++)
        printf("%-8s %s\n", run->verdicts[i].met ? "met" : "NOT MET", run->verdicts[i].text);
    putchar('\n');
}

static json_t *run_json(const prune_job *j, const prune_result *run)
{
    const char *const files[2] = {j->a->in, run == j->runs ? j->a->out : run->name};
    const pare_recipe_result *r = &run->result;
    json_t *points = json_array(), *groups = json_array();

    for (int i = 0; i < r->n_points; i++) {
        const pare_round *p = &r->points[i];
        json_t *row = json_pack("{s:i, s:f, s:f}", "round", p->round, "macs", p->macs, "parameters",
                                p->parameters);
        if (isfinite(p->accuracy))
            json_object_set_new(row, "accuracy", json_real(p->accuracy));
        if (isfinite(p->miou))
            json_object_set_new(row, "miou", json_real(p->miou));
        if (isfinite(p->nll))
            json_object_set_new(row, "nll", json_real(p->nll));
        json_array_append_new(points, row);
    }
    for (int i = 0; i < r->pruning.n_groups; i++)
        json_array_append_new(groups,
                              json_pack("{s:s, s:I, s:I, s:i}", "name", r->pruning.groups[i].name,
                                        "before", (json_int_t)r->pruning.groups[i].before, "after",
                                        (json_int_t)r->pruning.groups[i].after, "align",
                                        step_of(r->pruning.groups[i].after)));
    json_t *root = json_pack(
        "{s:s, s:o, s:o, s:I, s:I, s:f, s:b, s:f, s:f, s:f, s:f, s:o, s:o}", "strategy", run->name,
        "before", cli_costs_json(&r->pruning.before), "after", cli_costs_json(&r->pruning.after),
        "units", (json_int_t)r->pruning.units, "removed", (json_int_t)r->pruning.removed, "oracle",
        r->pruning.oracle, "recalibrated", (int)r->pruning.was_recalibrated, "seconds", r->seconds,
        "score_seconds", r->pruning.score_seconds, "refit_seconds", r->pruning.refit_seconds,
        "reconstruct_seconds", r->pruning.reconstruct_seconds, "rounds", points, "groups", groups);
    const int64_t align = j->a->recipe.prune.align;
    json_object_set_new(root, "align",
                        align == PARE_ALIGN_AUTO ? json_string("auto") : json_integer(align));
    if (align == PARE_ALIGN_AUTO)
        json_object_set_new(root, "channel_step", json_integer(run->result.pruning.channel_step));
    if (run->has_comparison)
        json_object_set_new(
            root, "comparison",
            cli_comparison_json(&run->comparison, files, j->test, &j->a->required, run->verdicts));
    return root;
}

static void print_written(const prune_arguments *a)
{
    const char *const files[] = {a->dry_run ? NULL : a->out, a->report, a->plot};
    const char *before = "written: ";

    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (files[i] == NULL)
            continue;
        printf("%s%s", before, files[i]);
        before = ", ";
    }
    if (a->dry_run)
        printf("%snot written: %s", a->report != NULL || a->plot != NULL ? "\n" : "", a->out);
    putchar('\n');
}

int prune_print(const prune_job *j)
{
    int code = 0;

    if (cli_common.json) {
        json_t *runs = json_array();
        for (int k = 0; k < j->a->n_strategies; k++)
            json_array_append_new(runs, run_json(j, &j->runs[k]));
        code = cli_print_json(json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:o}", "schema",
                                        "pare.prune/1", "version", pare_version(), "input",
                                        j->a->in, "output", j->a->out, "command", j->a->command,
                                        "seed", (json_int_t)j->a->recipe.prune.seed, "runs", runs));
    } else {
        for (int k = 0; k < j->a->n_strategies; k++)
            print_run(j, &j->runs[k]);
        print_written(j->a);
    }
    for (int i = 0; i < j->a->required.count && code == 0 && j->runs[0].has_comparison; i++)
        code = j->runs[0].verdicts[i].met ? 0 : EXIT_NOT_MET;
    return code;
}
