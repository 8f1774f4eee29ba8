/* SPDX-License-Identifier: Apache-2.0 */
/* text.c - doubling buffer behind text.h. */
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void pri_text_init(pri_text *text, pare_context *ctx)
{
    *text = (pri_text){.ctx = ctx};
}

void pri_text_clear(pri_text *text)
{
    pri_free(text->data);
    *text = (pri_text){.ctx = text->ctx};
}

static bool reserve(pri_text *text, size_t more)
{
    if (text->failed)
        return false;
    if (text->length + more + 1 <= text->capacity)
        return true;
    size_t capacity = text->capacity > 0 ? text->capacity : 256;
    while (capacity < text->length + more + 1)
        capacity *= 2;
    char *grown = pri_realloc(text->ctx, text->data, capacity, 1);
    if (grown == NULL) {
        text->failed = true;
        return false;
    }
    text->data = grown;
    text->capacity = capacity;
    return true;
}

static void add_bytes(pri_text *text, const char *bytes, size_t count)
{
    if (!reserve(text, count))
        return;
    memcpy(text->data + text->length, bytes, count);
    text->length += count;
    text->data[text->length] = '\0';
}

void pri_text_add(pri_text *text, const char *piece)
{
    add_bytes(text, piece, strlen(piece));
}

void pri_text_addf(pri_text *text, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    const int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length < 0 || !reserve(text, (size_t)length))
        return;
    va_start(args, format);
    vsnprintf(text->data + text->length, (size_t)length + 1, format, args);
    va_end(args);
    text->length += (size_t)length;
}

void pri_text_add_html(pri_text *text, const char *piece)
{
    for (const char *c = piece; *c != '\0'; c++) {
        switch (*c) {
        case '&': pri_text_add(text, "&amp;"); break;
        case '<': pri_text_add(text, "&lt;"); break;
        case '>': pri_text_add(text, "&gt;"); break;
        case '"': pri_text_add(text, "&quot;"); break;
        case '\'': pri_text_add(text, "&#39;"); break;
        default: add_bytes(text, c, 1);
        }
    }
}

pare_status pri_text_status(const pri_text *text)
{
    return text->failed ? PARE_ERROR_MEMORY : PARE_OK;
}

const char *pri_text_get(const pri_text *text)
{
    return text->data != NULL ? text->data : "";
}

char *pri_text_take(pri_text *text)
{
    char *data = NULL;

    if (!text->failed)
        data = text->data != NULL ? text->data : pri_strdup(text->ctx, "");
    else
        pri_free(text->data);
    *text = (pri_text){.ctx = text->ctx};
    return data;
}
