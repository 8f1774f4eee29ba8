/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base.h - errors, allocation, log, cancel: what every file of the library uses.
 *
 * The discoverer of an error writes the message (pri_fail); callers only add
 * circumstances (pri_note). Memory comes zeroed and its failure is already a
 * message. Nothing here knows what a neural network is.
 */
#ifndef PRI_BASE_H
#define PRI_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pare/context.h>
#include <pare/status.h>

/* Leaves the calling function with the status of a failed call. */
#define PRI_TRY(call)                                                                              \
    do {                                                                                           \
        const pare_status pri_try_status_ = (call);                                                \
        if (pri_try_status_ != PARE_OK)                                                            \
            return pri_try_status_;                                                                \
    } while (0)

/* Goes to `label` with `status` set by a failed call; for functions that clean up. */
#define PRI_CHECK(call, status, label)                                                             \
    do {                                                                                           \
        (status) = (call);                                                                         \
        if ((status) != PARE_OK)                                                                   \
            goto label;                                                                            \
    } while (0)

/* Sets the message and returns `status`, so that `return pri_fail(...)` reads well. */
pare_status pri_fail(pare_context *ctx, pare_status status, const char *format, ...)
    PARE_PRINTF(3, 4);
/* Adds a circumstance ("while importing 'm.onnx'") as a further line. */
void pri_note(pare_context *ctx, const char *format, ...) PARE_PRINTF(2, 3);
/* Forgets the message, for callers that try something and go on without it. */
void pri_forget(pare_context *ctx);

void pri_log(pare_context *ctx, pare_log_level level, const char *format, ...) PARE_PRINTF(3, 4);
void pri_progress(pare_context *ctx, const pare_progress *progress);
bool pri_is_cancelled(const pare_context *ctx);
/* PARE_ERROR_CANCELLED with a message when pare_context_cancel was called. */
pare_status pri_check_cancel(pare_context *ctx, const char *doing);

/* Zeroed memory for `count` elements of `size` bytes; NULL and a message on overflow
 * or exhaustion. Zero elements give a valid pointer. Free with pri_free. */
void *pri_alloc(pare_context *ctx, size_t count, size_t size);
/* Grows an array to `count` elements (new ones are not zeroed); NULL leaves the old one. */
void *pri_realloc(pare_context *ctx, void *old, size_t count, size_t size);
/* Memory aligned to 64 bytes, not zeroed; free with pri_free. */
void *pri_alloc_aligned(pare_context *ctx, size_t size_bytes);
void pri_free(void *memory);
char *pri_strdup(pare_context *ctx, const char *text);

/* For tests: lets the n-th following allocation fail (0 switches it off). */
void pri_fail_allocation(pare_context *ctx, int64_t nth);
/* Allocations made through this context so far. */
int64_t pri_count_allocations(const pare_context *ctx);

/* The most that a model may take beyond what its file holds: constants computed at once from shapes
 * (ConstantOfShape, Expand, Tile ...). 1 GiB unless set. */
int64_t pri_growth_limit(const pare_context *ctx);
void pri_set_growth_limit(pare_context *ctx, int64_t bytes);
/* Bytes of the largest allocation so far. */
size_t pri_largest_allocation(const pare_context *ctx);

/* a * b in *product; false on overflow or negative factors. */
bool pri_mul_i64(int64_t *product, int64_t a, int64_t b);

double pri_clock_s(void); /* monotonic seconds */
/* For timing what the context's threads compute: with one thread its processor time, so that what
 * others do on the machine does not count. */
double pri_work_clock_s(const pare_context *ctx);

/* Compiles a function for several instruction sets and takes the best at run time. Only for loops
 * without OpenMP regions: these would be compiled once. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) &&                             \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define PRI_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define PRI_CLONES
#endif
/* Before a loop: gcc has to be asked for vectors; clang makes them by itself and warns where it
 * cannot. */
#if defined(__GNUC__) && !defined(__clang__)
#define PRI_SIMD _Pragma("omp simd")
#else
#define PRI_SIMD
#endif

#define PRI_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* FNV-1a of bytes, going on from `hash`. */
#define PRI_HASH_START UINT64_C(0xcbf29ce484222325)
uint64_t pri_hash(uint64_t hash, const void *bytes, size_t size);

/* The number in 1 to 8 bytes, the lowest first. */
static inline uint64_t pri_little(const unsigned char *at, int bytes)
{
    uint64_t value = 0;

    for (int k = bytes - 1; k >= 0; k--)
        value = value << 8 | at[k];
    return value;
}

static inline int64_t pri_min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}
static inline int64_t pri_max_i64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

#endif
