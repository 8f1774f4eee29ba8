/* SPDX-License-Identifier: Apache-2.0 */
/* arena.c - a list of blocks, each at least 64 KiB; allocation moves a cursor. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { BLOCK_BYTES = 64 * 1024, ALIGNMENT = 16 };

typedef struct block {
    struct block *next;
    size_t used, capacity;
    _Alignas(16) unsigned char data[];
} block;

struct pri_arena {
    pare_context *ctx;
    block *head;
};

pare_status pri_arena_new(pri_arena **out, pare_context *ctx)
{
    *out = pri_alloc(ctx, 1, sizeof **out);
    if (*out == NULL)
        return PARE_ERROR_MEMORY;
    (*out)->ctx = ctx;
    return PARE_OK;
}

void pri_arena_free(pri_arena *arena)
{
    if (arena == NULL)
        return;
    for (block *b = arena->head; b != NULL;) {
        block *next = b->next;
        pri_free(b);
        b = next;
    }
    pri_free(arena);
}

void *pri_arena_alloc(pri_arena *arena, size_t count, size_t size)
{
    size_t bytes = 0;

    if (size > 0 && count > (SIZE_MAX / 2) / size)
        return pri_alloc(arena->ctx, SIZE_MAX / 2, 2); /* fails with the message */
    bytes = (count * size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (bytes == 0)
        bytes = ALIGNMENT;
    if (arena->head == NULL || arena->head->capacity - arena->head->used < bytes) {
        const size_t capacity = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
        block *fresh = pri_alloc(arena->ctx, 1, sizeof *fresh + capacity);
        if (fresh == NULL)
            return NULL;
        fresh->capacity = capacity;
        fresh->next = arena->head;
        arena->head = fresh;
    }
    void *memory = arena->head->data + arena->head->used;
    arena->head->used += bytes;
    return memory;
}

char *pri_arena_strndup(pri_arena *arena, const char *text, size_t length)
{
    char *copy = pri_arena_alloc(arena, length + 1, 1);

    if (copy != NULL && length > 0)
        memcpy(copy, text, length);
    return copy;
}

char *pri_arena_strdup(pri_arena *arena, const char *text)
{
    return pri_arena_strndup(arena, text, strlen(text));
}

char *pri_arena_printf(pri_arena *arena, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    const int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length < 0)
        return NULL;
    char *text = pri_arena_alloc(arena, (size_t)length + 1, 1);
    if (text == NULL)
        return NULL;
    va_start(args, format);
    vsnprintf(text, (size_t)length + 1, format, args);
    va_end(args);
    return text;
}

pare_context *pri_arena_context(const pri_arena *arena)
{
    return arena->ctx;
}
