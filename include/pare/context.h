/* SPDX-License-Identifier: Apache-2.0 */
/*
 * context.h - the one object every other object is made with.
 *
 * It carries the last error message, the log and progress callbacks, the
 * number of threads and the cancel flag. A context belongs to one thread at a
 * time; different contexts share nothing. The library prints nothing and never
 * exits: everything it has to say goes through these callbacks.
 */
#ifndef PARE_CONTEXT_H
#define PARE_CONTEXT_H

#include <stdint.h>

#include <pare/status.h>

typedef struct pare_context pare_context;

typedef enum pare_log_level {
    PARE_LOG_ERROR,
    PARE_LOG_WARNING,
    PARE_LOG_INFO,
    PARE_LOG_DEBUG
} pare_log_level;

/* One report of a long operation. Borrowed for the call only. */
typedef struct pare_progress {
    const char *stage;  /* what is being done: "train", "evaluate", "refit" */
    const char *detail; /* free text such as "epoch 2/5 loss 0.41", or "" */
    int64_t done;       /* units finished, 0 .. total */
    int64_t total;      /* units in all; 0 when unknown */
    const char *unit;   /* "images", "steps", "layers" */
} pare_progress;

typedef void (*pare_log_fn)(void *user, pare_log_level level, const char *text);
typedef void (*pare_progress_fn)(void *user, const pare_progress *progress);

/* A new context with as many threads as OpenMP gives. *out is the caller's, free
 * it with pare_context_free after every object made with it. */
PARE_API PARE_NODISCARD pare_status pare_context_new(pare_context **out);
PARE_API void pare_context_free(pare_context *ctx); /* NULL is fine */

/* The message of the last failed call, without a trailing newline. The first line
 * says what failed, the following lines under which circumstances. Never NULL;
 * borrowed until the next call that fails. */
PARE_API const char *pare_context_message(const pare_context *ctx);

PARE_API void pare_context_set_log(pare_context *ctx, pare_log_fn log, void *user);
PARE_API void pare_context_set_progress(pare_context *ctx, pare_progress_fn fn, void *user);

/* Threads for all that follows on the calling thread; 0 = as many as OpenMP gives
 * (OMP_NUM_THREADS). How long they spin when they wait for one another is libgomp's GOMP_SPINCOUNT,
 * read from the environment when it is loaded; its default suits only a machine that does nothing
 * else, the pare command runs with 3000. */
PARE_API void pare_context_set_threads(pare_context *ctx, int threads);
PARE_API int pare_context_threads(const pare_context *ctx);

/* How the algorithm of a convolution is chosen where several can compute it. Algorithms round
 * differently. */
typedef enum pare_algorithms {
    PARE_ALGORITHMS_RULE,    /* by the shape alone */
    PARE_ALGORITHMS_MEASURED /* the fastest: timed when a shape is met for the first time, and
                                remembered in $XDG_CACHE_HOME/pare or ~/.cache/pare, so that the
                                next run on this machine gives the same bytes; by the rule where
                                that folder cannot be written */
} pare_algorithms;
/* For engines made from now on; PARE_ALGORITHMS_RULE unless set. */
PARE_API void pare_context_set_algorithms(pare_context *ctx, pare_algorithms how);
PARE_API pare_algorithms pare_context_algorithms(const pare_context *ctx);

/* Asks the running operation to stop at the next safe place; it then returns
 * PARE_ERROR_CANCELLED. Safe to call from a signal handler or another thread. */
PARE_API void pare_context_cancel(pare_context *ctx);

/* Version of the library ("0.1.0"), and a line naming library, oneDNN, BLAS and
 * processor features for reports. Static. */
PARE_API const char *pare_version(void);

#endif
