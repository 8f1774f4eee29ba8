/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - finds the command and runs it; the context every command uses. */
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

static pare_context *volatile running; /* what a signal cancels */
static bool line_is_open;              /* a progress line stands on the terminal */

static void on_interrupt(int number)
{
    (void)number;
    if (running != NULL)
        pare_context_cancel(running);
}

void cli_end_progress(void)
{
    if (line_is_open)
        fprintf(stderr, "\r\033[K");
    line_is_open = false;
}

static void on_log(void *user, pare_log_level level, const char *text)
{
    (void)user;
    if ((level > PARE_LOG_INFO && !cli_common.verbose) ||
        (cli_common.quiet && level > PARE_LOG_WARNING))
        return;
    cli_end_progress();
    fprintf(stderr, "%s%s\n", level == PARE_LOG_WARNING ? "warning: " : "", text);
}

/* At most ten lines a second, and always the last. */
static void on_progress(void *user, const pare_progress *p)
{
    static struct timespec last;
    struct timespec now;
    const bool is_last = p->total > 0 && p->done >= p->total;

    (void)user;
    if (cli_common.quiet || !isatty(STDERR_FILENO))
        return;
    clock_gettime(CLOCK_MONOTONIC, &now);
    const double passed =
        (double)(now.tv_sec - last.tv_sec) + 1e-9 * (double)(now.tv_nsec - last.tv_nsec);
    if (!is_last && passed < 0.1)
        return;
    last = now;
    if (is_last) {
        cli_end_progress();
        return;
    }
    fprintf(stderr, "\r\033[K%s %lld", p->stage, (long long)p->done);
    if (p->total > 0)
        fprintf(stderr, "/%lld", (long long)p->total);
    fprintf(stderr, " %s %s", p->unit, p->detail);
    fflush(stderr);
    line_is_open = true;
}

pare_context *cli_context(void)
{
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
    pare_context *ctx = NULL;

    if (pare_context_new(&ctx) != PARE_OK) {
        fprintf(stderr, "pare: out of memory\n");
        return NULL;
    }
    pare_context_set_log(ctx, on_log, NULL);
    pare_context_set_progress(ctx, on_progress, NULL);
    pare_context_set_threads(ctx, (int)cli_common.threads);
    if (cli_common.algorithms != NULL && strcmp(cli_common.algorithms, "measure") == 0)
        pare_context_set_algorithms(ctx, PARE_ALGORITHMS_MEASURED);
    running = ctx;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    return ctx;
}

/* From here on there is nothing to cancel: a signal ends the process. */
static void end_context(void)
{
    pare_context *ctx = running;

    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    running = NULL;
    pare_context_free(ctx);
}

int cli_fail(pare_context *ctx, pare_status status)
{
    cli_end_progress();
    fprintf(stderr, "pare: %s\n", pare_context_message(ctx));
    switch (status) {
    case PARE_ERROR_CANCELLED: return EXIT_INTERRUPTED;
    case PARE_ERROR_ARGUMENT: return EXIT_USAGE;
    default: return EXIT_FAILED;
    }
}

int cli_print_json(json_t *root)
{
    if (root == NULL) {
        fprintf(stderr, "pare: out of memory\n");
        return EXIT_FAILED;
    }
    const int failed = json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) != 0;
    putchar('\n');
    json_decref(root);
    return failed ? EXIT_FAILED : 0; /* main says why */
}

static const cli_entry commands[] = {
    {"inspect", "what a model is made of and costs", cmd_inspect},
    {"eval", "score a model on labelled images", cmd_eval},
    {"compare", "put two models side by side and check requirements", cmd_compare},
    {"prune", "cut channels out of a model and repair it", cmd_prune},
    {"train", "train a model from scratch or onward, with a teacher if wanted", cmd_train},
    {"run", "run a model on images or arrays", cmd_run},
    {"bench", "where the time of a model goes, operator by operator", cmd_bench},
    {"data", "check a set of images, or show what training sees of it", cmd_data},
    {"synth", "make a labelled set of images of shapes", cmd_synth},
    {"new", "make a fresh network by name", cmd_new},
    {"list", "operators, networks, strategies, formats, commands", cmd_list},
    {NULL, NULL, NULL},
};

const cli_entry *cli_commands(void)
{
    return commands;
}

static int usage(FILE *out)
{
    fprintf(out,
            "pare %s - prune neural networks: ONNX in, smaller and faster ONNX out\n\n"
            "usage: pare COMMAND ...   (pare COMMAND --help says more)\n\n",
            pare_version());
    for (int i = 0; commands[i].name != NULL; i++)
        fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].summary);
    fprintf(out, "\nexit codes: 0 done, 1 failed, 2 wrong usage, 3 a requirement is not met, "
                 "130 interrupted\n");
    return out == stdout ? 0 : EXIT_USAGE;
}

static int find_and_run(int argc, char **argv)
{
    for (int i = 0; commands[i].name != NULL; i++) {
        if (strcmp(argv[0], commands[i].name) != 0)
            continue;
        const int code = commands[i].run(argc, argv);
        cli_end_progress();
        end_context();
        return code;
    }
    const char *near = cli_nearest_command(argv[0]);
    if (near != NULL)
        fprintf(stderr, "pare: there is no command '%s'; did you mean %s?\n", argv[0], near);
    else
        fprintf(stderr, "pare: there is no command '%s'\n", argv[0]);
    fprintf(stderr, "see 'pare --help'\n");
    return EXIT_USAGE;
}

/* A result that did not reach its reader (full disk) is a failure. */
static int close_output(int code)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return code;
    fprintf(stderr, "pare: cannot write to standard output: %s\n", strerror(errno));
    return code == 0 ? EXIT_FAILED : code;
}

static int run(int argc, char **argv)
{
    char text[] = "--help", *help[] = {NULL, text};

    if (argc < 2)
        return usage(stderr);
    if (strcmp(argv[1], "--version") == 0)
        return printf("pare %s\n", pare_version()) > 0 ? 0 : EXIT_FAILED;
    if (argc == 3 && strcmp(argv[1], "help") == 0) {
        help[0] = argv[2];
        return find_and_run(2, help);
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0)
        return usage(stdout);
    return find_and_run(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
    cli_common.program = argv;
    return close_output(run(argc, argv));
}
