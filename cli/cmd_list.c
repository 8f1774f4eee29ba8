/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_list.c - `pare list`: what this build knows. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

static bool command_at(pare_entry *out, int index)
{
    const cli_entry *entry = &cli_commands()[index];

    *out = (pare_entry){entry->name, entry->summary};
    return entry->name != NULL;
}

static bool architecture_at(pare_entry *out, int index)
{
    return pare_entry_at(out, PARE_LIST_ARCHITECTURES, index);
}

static bool strategy_at(pare_entry *out, int index)
{
    return pare_entry_at(out, PARE_LIST_STRATEGIES, index);
}

static bool preprocessing_at(pare_entry *out, int index)
{
    return pare_entry_at(out, PARE_LIST_PREPROCESSING, index);
}

static bool format_at(pare_entry *out, int index)
{
    return pare_entry_at(out, PARE_LIST_FORMATS, index);
}

static bool optimizer_at(pare_entry *out, int index)
{
    return pare_train_entry_at(out, PARE_TRAIN_OPTIMIZERS, index);
}

static bool schedule_at(pare_entry *out, int index)
{
    return pare_train_entry_at(out, PARE_TRAIN_SCHEDULES, index);
}

static bool loss_at(pare_entry *out, int index)
{
    return pare_train_entry_at(out, PARE_TRAIN_LOSSES, index);
}

/* The lists of names; operators have a table of their own. */
static const struct {
    const char *name, *summary;
    bool (*at)(pare_entry *out, int index);
} lists[] = {
    {"architectures", "networks 'pare new' makes", architecture_at},
    {"strategies", "how 'pare prune' chooses channels", strategy_at},
    {"preprocessing", "how pixels become inputs (--preprocess)", preprocessing_at},
    {"formats", "what --data opens", format_at},
    {"optimizers", "how 'pare train' takes a step", optimizer_at},
    {"schedules", "how its learning rate moves", schedule_at},
    {"losses", "terms of --loss", loss_at},
    {"commands", "what pare can do", command_at},
};
enum { N_LISTS = (int)(sizeof lists / sizeof *lists) };

/* --- Operators --- */

/* "ai.onnx" is left out, other domains stand before the name. */
static void print_name(const pare_operator *op, char *text, size_t size)
{
    snprintf(text, size, "%s%s%s", op->domain, op->domain[0] != '\0' ? "." : "", op->name);
}

static void print_operators(void)
{
    pare_operator op;
    char name[96];

    printf("%-20s %-7s %-8s %-8s %s\n", "operator", "opsets", "gradient", "channels", "summary");
    for (int i = 0; pare_operator_at(&op, i); i++) {
        print_name(&op, name, sizeof name);
        printf("%-20s %2d-%-4d %-8s %-8s %s\n", name, op.min_opset, op.max_opset,
               op.has_gradient ? "yes" : "no", pare_coupling_name(op.coupling), op.summary);
    }
}

static void print_markdown(void)
{
    pare_operator op;
    char name[96];

    printf(
        "# Operators\n\nMade by `pare list ops --markdown`.\n\n"
        "Operators that are not listed are read, kept and written back unchanged; a model with "
        "them can\nbe inspected, and pruned where they do not stand in the way.\n\n"
        "Weights that a file computes from other constants (behind Identity, Transpose, Cast or\n"
        "DequantizeLinear) become float weights when a model is read, and are pruned and written as\n"
        "such; QuantizeLinear and DequantizeLinear between layers stay. Integers pass no gradient, so\n"
        "a model cannot be trained behind a QuantizeLinear.\n\n"
        "Shapes are fixed before a model runs: shapes, axes and indices of Reshape, Slice, TopK and\n"
        "the like must follow from constants and input shapes. NonMaxSuppression gives as many rows as\n"
        "could ever be selected, the last ones -1.\n\n"
        "| operator | opsets | gradient | channels | summary |\n|---|---|---|---|---|\n");
    for (int i = 0; pare_operator_at(&op, i); i++) {
        print_name(&op, name, sizeof name);
        printf("| %s | %d-%d | %s | %s | %s |\n", name, op.min_opset, op.max_opset,
               op.has_gradient ? "yes" : "no", pare_coupling_name(op.coupling), op.summary);
    }
    printf("\nThe column \"channels\" says what happens to channels when a model is pruned:\n\n");
    for (int k = PARE_COUPLING_LAYER; k <= PARE_COUPLING_BARRIER; k++)
        printf("- **%s**: %s\n", pare_coupling_name((pare_coupling)k),
               pare_coupling_summary((pare_coupling)k));
}

static json_t *operators_json(void)
{
    json_t *rows = json_array();
    pare_operator op;

    for (int i = 0; pare_operator_at(&op, i); i++)
        json_array_append_new(rows,
                              json_pack("{s:s, s:s, s:i, s:i, s:b, s:s, s:s}", "name", op.name,
                                        "domain", op.domain, "min_opset", op.min_opset, "max_opset",
                                        op.max_opset, "gradient", op.has_gradient, "coupling",
                                        pare_coupling_name(op.coupling), "summary", op.summary));
    return rows;
}

/* --- Lists --- */

static json_t *list_json(int list)
{
    json_t *rows = json_array();
    pare_entry entry;

    for (int i = 0; lists[list].at(&entry, i); i++)
        json_array_append_new(
            rows, json_pack("{s:s, s:s}", "name", entry.name, "summary", entry.summary));
    return rows;
}

static void print_list(int list)
{
    pare_entry entry;

    for (int i = 0; lists[list].at(&entry, i); i++)
        printf("%-24s %s\n", entry.name, entry.summary);
}

static int print_lists(void)
{
    if (cli_common.json) {
        json_t *root = json_pack("{s:s, s:o}", "schema", "pare.list/1", "ops", operators_json());
        for (int k = 0; k < N_LISTS; k++)
            json_object_set_new(root, lists[k].name, list_json(k));
        return cli_print_json(root);
    }
    printf("%-24s %s\n", "ops", "operators pare can run and prune");
    for (int k = 0; k < N_LISTS; k++)
        printf("%-24s %s\n", lists[k].name, lists[k].summary);
    return 0;
}

static int print_one(const char *name, int list)
{
    if (cli_common.json)
        return cli_print_json(json_pack("{s:s, s:o}", "schema", "pare.list/1", name,
                                        list < 0 ? operators_json() : list_json(list)));
    if (list < 0)
        print_operators();
    else
        print_list(list);
    return 0;
}

int cmd_list(int argc, char **argv)
{
    bool markdown = false;
    const cli_option options[] = {
        {"--markdown", 'b', &markdown, NULL, "the operators as a page of documentation"},
        {NULL, 0, NULL, NULL, NULL}};
    const char *const examples[] = {"pare list ops", "pare list architectures --json",
                                    "pare list ops --markdown > operators.md", NULL};
    const cli_command command = {
        "list",
        "[ops|architectures|strategies|preprocessing|formats|optimizers|schedules|losses|commands]",
        "Lists what this build knows; without a word, the lists.",
        options,
        0,
        1,
        examples};
    const char *words[1];
    int code, list = 0;

    const int n_words = cli_parse(&code, argc, argv, &command, words);
    if (n_words < 0)
        return code;
    if (markdown && (n_words == 0 || strcmp(words[0], "ops") != 0 || cli_common.json))
        return cli_usage(&command, "--markdown goes with 'ops' and without --json");
    if (n_words == 0)
        return print_lists();
    if (markdown)
        return print_markdown(), 0;
    if (strcmp(words[0], "ops") == 0)
        return print_one("ops", -1);
    while (list < N_LISTS && strcmp(words[0], lists[list].name) != 0)
        list++;
    return list < N_LISTS ? print_one(words[0], list)
                          : cli_usage(&command, "there is no list '%s'", words[0]);
}
