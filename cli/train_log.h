/* SPDX-License-Identifier: Apache-2.0 */
/* train_log.h - the course of a training as lines of JSON. */
#ifndef PARE_CLI_TRAIN_LOG_H
#define PARE_CLI_TRAIN_LOG_H

#include <stdio.h>

#include "cli.h"

typedef struct train_log {
    FILE *file; /* NULL: none */
    const char *path;
    bool failed;
} train_log;

/* Starts a file, or goes on with it; EXIT_FAILED after a message, otherwise 0. `path` may be NULL.
 */
int train_log_open(train_log *out, const char *path, bool append);
/* Callbacks of a training whose user is a train_log; the second also prints to stderr. */
void train_log_steps(void *log, const pare_steps *steps);
void train_log_epoch(void *log, const pare_epoch *epoch);
/* EXIT_FAILED after a message when a line was lost, otherwise 0. */
int train_log_close(train_log *log);

#endif
