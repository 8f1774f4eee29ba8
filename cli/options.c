/* SPDX-License-Identifier: Apache-2.0 */
/* options.c - reads a command line by its table, and prints the table as help. */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

cli_settings cli_common;
static bool wants_help;

static const cli_option common[] = {
    {"--threads", 'i', &cli_common.threads, "N", "threads to use (default: all processors)"},
    {"--json", 'b', &cli_common.json, NULL, "print the result as one JSON document"},
    {"--quiet", 'b', &cli_common.quiet, NULL, "no progress and no notes on stderr"},
    {"--verbose", 'b', &cli_common.verbose, NULL, "details too, such as each file left out"},
    {"--help", 'b', &wants_help, NULL, "show this text"},
    {NULL, 0, NULL, NULL, NULL}};

/* --- Help --- */

static void print_option(const cli_option *option)
{
    char left[64];
    const char *line = option->help;

    snprintf(left, sizeof left, "%s %s", option->name,
             option->argument != NULL ? option->argument : "");
    printf("  %-24s ", left);
    for (const char *end; (end = strchr(line, '\n')) != NULL; line = end + 1)
        printf("%.*s\n%27s", (int)(end - line), line, "");
    printf("%s", line);
    if (option->kind == 'i' && *(int64_t *)option->value != 0)
        printf(" (default %lld)", (long long)*(int64_t *)option->value);
    if (option->kind == 'f' && *(double *)option->value != 0 && !isnan(*(double *)option->value))
        printf(" (default %g)", *(double *)option->value);
    if (option->kind == 's' && *(const char **)option->value != NULL)
        printf(" (default %s)", *(const char **)option->value);
    putchar('\n');
}

static void print_help(const cli_command *command)
{
    printf("usage: pare %s %s [options]\n\n%s\n\noptions:\n", command->name, command->words,
           command->about);
    for (const cli_option *o = command->options; o->name != NULL; o++)
        print_option(o);
    for (const cli_option *o = common; o->name != NULL; o++)
        print_option(o);
    printf("\nexamples:\n");
    for (int i = 0; command->examples[i] != NULL; i++)
        printf("  %s\n", command->examples[i]);
}

/* --- Reading --- */

/* Edits (insertions, deletions, substitutions) from a to b, both shorter than 32. */
static int distance(const char *a, const char *b)
{
    int row[33];
    const int n = (int)strlen(b);

    if (n > 32 || strlen(a) > 32)
        return 99;
    for (int j = 0; j <= n; j++)
        row[j] = j;
    for (int i = 1; a[i - 1] != '\0'; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= n; j++) {
            const int up = row[j];
            const int best = up < row[j - 1] ? up + 1 : row[j - 1] + 1;
            const int same = diagonal + (a[i - 1] != b[j - 1]);
            row[j] = same < best ? same : best;
            diagonal = up;
        }
    }
    return row[n];
}

static const cli_option *find(const cli_option *list, const char *name, size_t length)
{
    for (; list->name != NULL; list++) {
        if (strlen(list->name) == length && strncmp(list->name, name, length) == 0)
            return list;
    }
    return NULL;
}

static const char *nearest(const cli_command *command, const char *name)
{
    const char *best = NULL;
    int least = 4;

    for (int k = 0; k < 2; k++) {
        for (const cli_option *o = k == 0 ? command->options : common; o->name != NULL; o++) {
            const int d = distance(name, o->name);
            if (d < least) {
                least = d;
                best = o->name;
            }
        }
    }
    return best;
}

const char *cli_nearest_command(const char *name)
{
    const char *best = NULL;
    int least = 3;

    for (const cli_entry *entry = cli_commands(); entry->name != NULL; entry++) {
        const int d = distance(name, entry->name);
        if (d < least) {
            least = d;
            best = entry->name;
        }
    }
    return best;
}

double cli_stated(double value)
{
    return isnan(value) ? 0 : value == 0 ? -1 : value;
}

int cli_usage(const cli_command *command, const char *format, ...)
{
    va_list args;

    fprintf(stderr, "pare %s: ", command->name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\nsee 'pare %s --help'\n", command->name);
    return EXIT_USAGE;
}

static bool store(const cli_option *option, const char *text)
{
    char *end = NULL;

    errno = 0;
    if (option->kind == 'l') {
        cli_list *list = option->value;
        list->items[list->count++] = text;
        return true;
    }
    if (option->kind == 's')
        *(const char **)option->value = text;
    else if (option->kind == 'i')
        *(int64_t *)option->value = strtoll(text, &end, 10);
    else
        *(double *)option->value = strtod(text, &end);
    if (option->kind == 'f' && !isfinite(*(double *)option->value))
        return false;
    return option->kind == 's' || (end != text && *end == '\0' && errno == 0);
}

/* One option at argv[i]; returns how many words it took, 0 after a message. */
static int read_option(int argc, char **argv, int i, const cli_command *command)
{
    const char *equals = strchr(argv[i], '=');
    const size_t length = equals != NULL ? (size_t)(equals - argv[i]) : strlen(argv[i]);
    const cli_option *option = find(command->options, argv[i], length);

    if (option == NULL)
        option = find(common, argv[i], length);
    if (option == NULL) {
        const char *near = nearest(command, argv[i]);
        (void)cli_usage(command,
                        near != NULL ? "there is no option '%s'; did you mean %s?"
                                     : "there is no option '%s'",
                        argv[i], near);
        return 0;
    }
    if (option->kind == 'b') {
        if (equals != NULL)
            return cli_usage(command, "%s takes no value", option->name), 0;
        *(bool *)option->value = true;
        return 1;
    }
    if (equals == NULL && i + 1 == argc)
        return cli_usage(command, "%s wants a value (%s)", option->name, option->argument), 0;
    const char *text = equals != NULL ? equals + 1 : argv[i + 1];
    if (option->kind == 'l' && ((const cli_list *)option->value)->count == CLI_LIST_MAX)
        return cli_usage(command, "%s is given more than %d times", option->name, CLI_LIST_MAX), 0;
    if (!store(option, text))
        return cli_usage(command, "'%s' is no number for %s", text, option->name), 0;
    return equals != NULL ? 1 : 2;
}

int cli_parse(int *code, int argc, char **argv, const cli_command *command, const char **words)
{
    int n_words = 0;

    *code = EXIT_USAGE;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_help(command);
            *code = 0;
            return -1;
        }
    }
    for (int i = 1; i < argc;) {
        if (argv[i][0] == '-' && argv[i][1] != '\0') {
            const int took = read_option(argc, argv, i, command);
            if (took == 0)
                return -1;
            i += took;
            continue;
        }
        if (n_words == command->max_words)
            return cli_usage(command, "'%s' is one word too many", argv[i]), -1;
        words[n_words++] = argv[i++];
    }
    if (n_words < command->min_words)
        return cli_usage(command, "%s is missing", command->words), -1;
    if (cli_common.threads < 0 || cli_common.threads > 4096)
        return cli_usage(command, "--threads wants a number from 1 to 4096"), -1;
    if (cli_common.algorithms != NULL && strcmp(cli_common.algorithms, "measure") != 0 &&
        strcmp(cli_common.algorithms, "rule") != 0)
        return cli_usage(command, "--algorithms is measure or rule, not '%s'",
                         cli_common.algorithms),
               -1;
    if (cli_common.threads != 1)
        cli_shorten_waits();
    return n_words;
}
