/* SPDX-License-Identifier: Apache-2.0 */
/* base.c - the context and the services of base.h. */
#include "base/base.h"

#include <omp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { MESSAGE_BYTES = 4096 };

struct pare_context {
    char message[MESSAGE_BYTES];
    pare_log_fn log;
    void *log_user;
    pare_progress_fn progress;
    void *progress_user;
    int threads, default_threads;
    pare_algorithms algorithms;
    volatile sig_atomic_t cancelled;
    int64_t allocations;
    int64_t fail_at; /* allocation number that fails; 0 = none */
    size_t largest;  /* allocation */
    int64_t growth_limit;
};

static const char *const status_texts[] = {
    [PARE_OK] = "ok",
    [PARE_ERROR_ARGUMENT] = "wrong argument",
    [PARE_ERROR_MEMORY] = "out of memory",
    [PARE_ERROR_FILE] = "file error",
    [PARE_ERROR_EXISTS] = "file exists",
    [PARE_ERROR_FORMAT] = "malformed file",
    [PARE_ERROR_UNSUPPORTED] = "not supported",
    [PARE_ERROR_SHAPE] = "shape mismatch",
    [PARE_ERROR_DATA] = "unusable data",
    [PARE_ERROR_TARGET] = "target not reachable",
    [PARE_ERROR_NUMERIC] = "numeric failure",
    [PARE_ERROR_VERIFY] = "verification failed",
    [PARE_ERROR_CANCELLED] = "interrupted",
    [PARE_ERROR_INTERNAL] = "internal error",
};

const char *pare_status_text(pare_status status)
{
    if ((size_t)status >= PRI_COUNT(status_texts))
        return "unknown status";
    return status_texts[status];
}

pare_status pare_context_new(pare_context **out)
{
    pare_context *ctx = calloc(1, sizeof *ctx);

    *out = ctx;
    if (ctx == NULL)
        return PARE_ERROR_MEMORY;
    ctx->threads = ctx->default_threads = omp_get_max_threads();
    ctx->growth_limit = INT64_C(1) << 30;
    return PARE_OK;
}

void pare_context_free(pare_context *ctx)
{
    free(ctx);
}

const char *pare_context_message(const pare_context *ctx)
{
    return ctx->message;
}

void pare_context_set_log(pare_context *ctx, pare_log_fn log, void *user)
{
    ctx->log = log;
    ctx->log_user = user;
}

void pare_context_set_progress(pare_context *ctx, pare_progress_fn fn, void *user)
{
    ctx->progress = fn;
    ctx->progress_user = user;
}

void pare_context_set_threads(pare_context *ctx, int threads)
{
    ctx->threads = threads > 0 ? threads : ctx->default_threads;
    omp_set_num_threads(ctx->threads);
}

int pare_context_threads(const pare_context *ctx)
{
    return ctx->threads;
}

void pare_context_set_algorithms(pare_context *ctx, pare_algorithms how)
{
    ctx->algorithms = how;
}

pare_algorithms pare_context_algorithms(const pare_context *ctx)
{
    return ctx->algorithms;
}

void pare_context_cancel(pare_context *ctx)
{
    ctx->cancelled = 1;
}

bool pri_is_cancelled(const pare_context *ctx)
{
    return ctx->cancelled != 0;
}

pare_status pri_check_cancel(pare_context *ctx, const char *doing)
{
    if (!pri_is_cancelled(ctx))
        return PARE_OK;
    return pri_fail(ctx, PARE_ERROR_CANCELLED, "interrupted while %s", doing);
}

/* --- Messages --- */

pare_status pri_fail(pare_context *ctx, pare_status status, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(ctx->message, MESSAGE_BYTES, format, args);
    va_end(args);
    return status;
}

void pri_note(pare_context *ctx, const char *format, ...)
{
    const size_t used = strlen(ctx->message);
    va_list args;

    if (used + 2 >= MESSAGE_BYTES)
        return;
    ctx->message[used] = '\n';
    va_start(args, format);
    vsnprintf(ctx->message + used + 1, MESSAGE_BYTES - used - 1, format, args);
    va_end(args);
}

void pri_forget(pare_context *ctx)
{
    ctx->message[0] = '\0';
}

void pri_log(pare_context *ctx, pare_log_level level, const char *format, ...)
{
    char text[MESSAGE_BYTES];
    va_list args;

    if (ctx->log == NULL)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    ctx->log(ctx->log_user, level, text);
}

void pri_progress(pare_context *ctx, const pare_progress *progress)
{
    if (ctx->progress != NULL)
        ctx->progress(ctx->progress_user, progress);
}

/* --- Memory --- */

static bool allocation_fails(pare_context *ctx, size_t bytes)
{
    ctx->allocations++;
    if (bytes > ctx->largest)
        ctx->largest = bytes;
    return ctx->fail_at > 0 && ctx->allocations == ctx->fail_at;
}

static void *report_exhausted(pare_context *ctx, size_t count, size_t size)
{
    (void)pri_fail(ctx, PARE_ERROR_MEMORY, "out of memory: %zu x %zu bytes asked for", count, size);
    return NULL;
}

void *pri_alloc(pare_context *ctx, size_t count, size_t size)
{
    void *memory = NULL;

    if (size > 0 && count > SIZE_MAX / size)
        return report_exhausted(ctx, count, size);
    if (!allocation_fails(ctx, count * size))
        memory = calloc(count > 0 ? count : 1, size > 0 ? size : 1);
    return memory != NULL ? memory : report_exhausted(ctx, count, size);
}

void *pri_realloc(pare_context *ctx, void *old, size_t count, size_t size)
{
    void *memory = NULL;

    if (size > 0 && count > SIZE_MAX / size)
        return report_exhausted(ctx, count, size);
    if (!allocation_fails(ctx, count * size))
        memory = realloc(old, count * size > 0 ? count * size : 1);
    return memory != NULL ? memory : report_exhausted(ctx, count, size);
}

/* Activations and weights are walked through in long strides: large ones want large pages. */
enum { HUGE_PAGE = 2 << 20 };

void *pri_alloc_aligned(pare_context *ctx, size_t size_bytes)
{
    const size_t unit = size_bytes >= (size_t)2 * HUGE_PAGE ? HUGE_PAGE : 64;
    void *memory = NULL;

    if (size_bytes > SIZE_MAX - unit)
        return report_exhausted(ctx, 1, size_bytes);
    if (!allocation_fails(ctx, size_bytes))
        memory = aligned_alloc(unit, (size_bytes / unit + 1) * unit);
#ifdef MADV_HUGEPAGE
    if (memory != NULL && unit == HUGE_PAGE) /* a wish: whatever comes of it is fine */
        (void)madvise(memory, (size_bytes / unit + 1) * unit, MADV_HUGEPAGE);
#endif
    return memory != NULL ? memory : report_exhausted(ctx, 1, size_bytes);
}

void pri_free(void *memory)
{
    free(memory);
}

char *pri_strdup(pare_context *ctx, const char *text)
{
    const size_t size = strlen(text) + 1;
    char *copy = pri_alloc(ctx, size, 1);

    if (copy != NULL)
        memcpy(copy, text, size);
    return copy;
}

void pri_fail_allocation(pare_context *ctx, int64_t nth)
{
    ctx->fail_at = nth > 0 ? ctx->allocations + nth : 0;
}

int64_t pri_count_allocations(const pare_context *ctx)
{
    return ctx->allocations;
}

int64_t pri_growth_limit(const pare_context *ctx)
{
    return ctx->growth_limit;
}

void pri_set_growth_limit(pare_context *ctx, int64_t bytes)
{
    ctx->growth_limit = bytes;
}

size_t pri_largest_allocation(const pare_context *ctx)
{
    return ctx->largest;
}

/* --- Numbers and time --- */

bool pri_mul_i64(int64_t *product, int64_t a, int64_t b)
{
    if (a < 0 || b < 0 || (b != 0 && a > INT64_MAX / b))
        return false;
    *product = a * b;
    return true;
}

double pri_clock_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

double pri_work_clock_s(const pare_context *ctx)
{
    struct timespec now;

    if (ctx->threads != 1 || clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) != 0)
        return pri_clock_s();
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

uint64_t pri_hash(uint64_t hash, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    return hash;
}
