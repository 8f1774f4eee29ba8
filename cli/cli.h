/* SPDX-License-Identifier: Apache-2.0 */
/* cli.h - what the commands share: options, errors, progress. */
#ifndef PARE_CLI_H
#define PARE_CLI_H

#include <stdbool.h>
#include <stdint.h>

#include <pare/pare.h>

enum { EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_NOT_MET = 3, EXIT_INTERRUPTED = 130 };

/* One option of a command: text is stored where given, numbers are checked. */
typedef struct cli_option {
    const char *name;      /* "--data" */
    char kind;             /* 's' text, 'i' integer, 'f' number, 'b' switch */
    void *value;           /* const char **, int64_t *, double *, bool * */
} cli_option;

/* Fills options; the other words go to words[]. Returns their number, or -1 after a message. */
int cli_parse(int argc, char **argv, const cli_option *options, const char **words, int max_words);
/* Prints the context's message; the exit code of a status. */
int cli_fail(pare_context *ctx, pare_status status);
/* A context with log and progress on stderr, cancelled by Ctrl-C. NULL after a message. */
pare_context *cli_context(void);

int cmd_inspect(int argc, char **argv);
int cmd_eval(int argc, char **argv);
int cmd_prune(int argc, char **argv);
int cmd_compare(int argc, char **argv);
int cmd_train(int argc, char **argv);
int cmd_list(int argc, char **argv);

#endif
