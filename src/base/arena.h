/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena.h - memory that is freed all at once.
 *
 * For structure with one lifetime: the nodes, values and names of a graph.
 * Nothing in an arena is freed alone; large data belongs in a pri_buffer.
 */
#ifndef PRI_ARENA_H
#define PRI_ARENA_H

#include "base/base.h"

typedef struct pri_arena pri_arena;

pare_status pri_arena_new(pri_arena **out, pare_context *ctx);
void pri_arena_free(pri_arena *arena); /* NULL is fine */

/* Zeroed, aligned to 16 bytes; NULL and a message in the context when memory is short. */
void *pri_arena_alloc(pri_arena *arena, size_t count, size_t size);
char *pri_arena_strdup(pri_arena *arena, const char *text);
/* Copies `length` bytes of text and terminates them. */
char *pri_arena_strndup(pri_arena *arena, const char *text, size_t length);
char *pri_arena_printf(pri_arena *arena, const char *format, ...) PARE_PRINTF(2, 3);
pare_context *pri_arena_context(const pri_arena *arena);

#endif
