/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status.h - what a call can return.
 *
 * Every function of the library that can fail returns a pare_status; the
 * sentence for people stands in the context (pare_context_message).
 */
#ifndef PARE_STATUS_H
#define PARE_STATUS_H

#if defined(__GNUC__)
#define PARE_API __attribute__((visibility("default")))
#define PARE_NODISCARD __attribute__((warn_unused_result))
#define PARE_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define PARE_API
#define PARE_NODISCARD
#define PARE_PRINTF(text, first)
#endif

typedef enum pare_status {
    PARE_OK = 0,
    PARE_ERROR_ARGUMENT,    /* the caller asked for something impossible or contradictory */
    PARE_ERROR_MEMORY,      /* an allocation failed */
    PARE_ERROR_FILE,        /* a file cannot be opened, read or written */
    PARE_ERROR_EXISTS,      /* the output exists and overwriting was not asked for */
    PARE_ERROR_FORMAT,      /* a file is not what it should be (truncated, malformed) */
    PARE_ERROR_UNSUPPORTED, /* well formed, but pare cannot do it (operator, opset, type) */
    PARE_ERROR_SHAPE,       /* shapes of model, node or data do not fit together */
    PARE_ERROR_DATA,        /* images or labels are unusable (empty set, label out of range) */
    PARE_ERROR_TARGET,      /* the pruning target cannot be reached */
    PARE_ERROR_NUMERIC,     /* NaN, infinity, a matrix that cannot be factored */
    PARE_ERROR_VERIFY,    /* the oracle found the pruned model to differ: a bug, nothing written */
    PARE_ERROR_CANCELLED, /* stopped by pare_context_cancel */
    PARE_ERROR_INTERNAL   /* a library underneath failed in a way that should not happen */
} pare_status;

/* The name of a status in words ("shape mismatch"); never NULL, static. */
PARE_API const char *pare_status_text(pare_status status);

#endif
