/* SPDX-License-Identifier: Apache-2.0 */
/* text.h - a growing string, for messages, tables, JSON and HTML. */
#ifndef PRI_TEXT_H
#define PRI_TEXT_H

#include "base/base.h"

typedef struct pri_text {
    pare_context *ctx;
    char *data; /* terminated; NULL while empty */
    size_t length, capacity;
    bool failed; /* an allocation failed: everything since is lost */
} pri_text;

void pri_text_init(pri_text *text, pare_context *ctx);
void pri_text_clear(pri_text *text);
void pri_text_add(pri_text *text, const char *piece);
void pri_text_addf(pri_text *text, const char *format, ...) PARE_PRINTF(2, 3);
/* Adds with &, <, >, " and ' written as entities. */
void pri_text_add_html(pri_text *text, const char *piece);
/* PARE_ERROR_MEMORY when anything was lost; otherwise the text is whole. */
pare_status pri_text_status(const pri_text *text);
/* The string, "" when empty; borrowed. */
const char *pri_text_get(const pri_text *text);
/* Hands the string over (free with pri_free) and empties the text; NULL when it failed. */
char *pri_text_take(pri_text *text);

#endif
