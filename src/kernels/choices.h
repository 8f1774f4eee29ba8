/* SPDX-License-Identifier: Apache-2.0 */
/*
 * choices.h - a table of choices in memory and in a text file.
 *
 * A line of the file is "KEY = WORD # NOTE", a word of small letters and digits; those that begin
 * with # are comments. Whatever else is there is ignored, and gone when the file is written next.
 * Of lines with the same key the first counts. Not for several threads at once; processes are kept
 * apart by a lock file beside it.
 */
#ifndef PRI_CHOICES_H
#define PRI_CHOICES_H

#include "base/base.h"

typedef struct pri_choices pri_choices;

enum { PRI_CHOICE_KEY = 320, PRI_CHOICE_WORD = 16, PRI_CHOICE_NOTE = 96 }; /* with their ends */

/* A table of the file at `path`, which need not be there, empty until it is read. */
pare_status pri_choices_new(pri_choices **out, pare_context *ctx, const char *path);
void pri_choices_free(pri_choices *choices); /* NULL is fine */
const char *pri_choices_path(const pri_choices *choices);
/* The word of a key; NULL: the table has none. Borrowed until the table changes. */
const char *pri_choices_find(const pri_choices *choices, const char *key);
/* Takes over keys that the file has and the table has not. */
void pri_choices_read(pri_choices *choices, pare_context *ctx);
/* Makes the file this process's, so that what is read after it stays until pri_choices_unlock.
 * Makes the file's folder and the one that is in where they are missing. False when that cannot be
 * or takes others too long; once it could not, it is not tried again. */
bool pri_choices_lock(pri_choices *choices, pare_context *ctx);
void pri_choices_unlock(pri_choices *choices);
/* Adds a key that is in neither table nor file, and writes all of the table; locked and read
 * before. False when that failed: the table is then as before, and counts as one that cannot be
 * locked. `note` is for readers of the file. */
bool pri_choices_add(pri_choices *choices, pare_context *ctx, const char *key, const char *word,
                     const char *note);

#endif
