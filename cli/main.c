/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - finds the command and runs it. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

static pare_context *running;

static void on_interrupt(int number)
{
    (void)number;
    if (running != NULL)
        pare_context_cancel(running);
}

static void on_log(void *user, pare_log_level level, const char *text)
{
    (void)user;
    if (level <= PARE_LOG_INFO)
        fprintf(stderr, "%s%s\n", level == PARE_LOG_WARNING ? "warning: " : "", text);
}

static void on_progress(void *user, const pare_progress *p)
{
    (void)user;
    if (!isatty(STDERR_FILENO))
        return;
    fprintf(stderr, "\r\033[K%s %lld/%lld %s %s", p->stage, (long long)p->done,
            (long long)p->total, p->unit, p->detail);
    if (p->done >= p->total)
        fprintf(stderr, "\r\033[K");
    fflush(stderr);
}

pare_context *cli_context(void)
{
    struct sigaction action = {.sa_handler = on_interrupt};

    if (pare_context_new(&running) != PARE_OK) {
        fprintf(stderr, "pare: out of memory\n");
        return NULL;
    }
    pare_context_set_log(running, on_log, NULL);
    pare_context_set_progress(running, on_progress, NULL);
    sigaction(SIGINT, &action, NULL);
    return running;
}

int cli_fail(pare_context *ctx, pare_status status)
{
    fprintf(stderr, "pare: %s\n", pare_context_message(ctx));
    switch (status) {
    case PARE_ERROR_CANCELLED: return EXIT_INTERRUPTED;
    case PARE_ERROR_ARGUMENT: return EXIT_USAGE;
    default: return EXIT_FAILED;
    }
}

static bool store(const cli_option *option, const char *text)
{
    char *end = NULL;

    errno = 0;
    if (option->kind == 's')
        *(const char **)option->value = text;
    else if (option->kind == 'i')
        *(int64_t *)option->value = strtoll(text, &end, 10);
    else
        *(double *)option->value = strtod(text, &end);
    if (option->kind == 's' || (end != text && *end == '\0' && errno == 0))
        return true;
    fprintf(stderr, "pare: '%s' is no number for %s\n", text, option->name);
    return false;
}

int cli_parse(int argc, char **argv, const cli_option *options, const char **words, int max_words)
{
    int n_words = 0;

    for (int i = 1; i < argc; i++) {
        const cli_option *option = options;
        if (argv[i][0] != '-' || argv[i][1] == '\0') {
            if (n_words == max_words) {
                fprintf(stderr, "pare: '%s' is one word too many\n", argv[i]);
                return -1;
            }
            words[n_words++] = argv[i];
            continue;
        }
        while (option->name != NULL && strcmp(option->name, argv[i]) != 0)
            option++;
        if (option->name == NULL) {
            fprintf(stderr, "pare: %s has no option %s; see --help\n", argv[0], argv[i]);
            return -1;
        }
        if (option->kind == 'b') {
            *(bool *)option->value = true;
            continue;
        }
        if (i + 1 == argc) {
            fprintf(stderr, "pare: %s wants a value\n", argv[i]);
            return -1;
        }
        if (!store(option, argv[++i]))
            return -1;
    }
    return n_words;
}

static const struct {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"inspect", "what a model is made of and costs", cmd_inspect},
    {"eval", "score a model on labelled images", cmd_eval},
    {"prune", "cut channels out of a model and repair it", cmd_prune},
};

static int usage(FILE *out)
{
    fprintf(out, "pare %s - prune neural networks: ONNX in, smaller and faster ONNX out\n\n"
                 "usage: pare COMMAND ...   (pare COMMAND --help says more)\n\n",
            pare_version());
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].summary);
    return out == stdout ? 0 : EXIT_USAGE;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return usage(stderr);
    if (strcmp(argv[1], "--version") == 0)
        return printf("pare %s\n", pare_version()) > 0 ? 0 : EXIT_FAILED;
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)
        return usage(stdout);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(argv[1], commands[i].name) != 0)
            continue;
        const int code = commands[i].run(argc - 1, argv + 1);
        pare_context_free(running);
        return code;
    }
    fprintf(stderr, "pare: no command '%s'\n", argv[1]);
    return usage(stderr);
}
