/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file.h - whole files in, whole files out.
 *
 * What is written goes to a temporary name beside the target and is renamed
 * when it is complete, so a full disk, a signal or a crash leaves the old file.
 */
#ifndef PRI_FILE_H
#define PRI_FILE_H

#include "base/base.h"

typedef struct pri_bytes {
    unsigned char *data; /* owned; one zero byte follows the content */
    size_t size_bytes;
} pri_bytes;

pare_status pri_file_read(pri_bytes *out, pare_context *ctx, const char *path);
/* Reads part of a file; fails when it is shorter than offset + size. */
pare_status pri_file_read_part(void *out, pare_context *ctx, const char *path, int64_t offset,
                               int64_t size);
void pri_bytes_clear(pri_bytes *bytes);

/* Bytes that go to one place of a file. */
typedef struct pri_file_part {
    const void *data;
    size_t size_bytes;
    int64_t offset;
} pri_file_part;

/* Writes atomically. Without `replace`, an existing file is PARE_ERROR_EXISTS. */
pare_status pri_file_write(pare_context *ctx, const char *path, const void *data, size_t size_bytes,
                           bool replace);
/* The same for parts in ascending order; what lies between them is zero. */
pare_status pri_file_write_parts(pare_context *ctx, const char *path, const pri_file_part *parts,
                                 int n_parts, bool replace);
/* Keeps other processes and threads from locking the same path, a file of no content that is made
 * where there is none. Waits at most so many seconds; -1 when it cannot be had, without a message.
 * Give it back with pri_file_unlock; a process that ends does so by itself. */
int pri_file_lock(const char *path, double seconds);
void pri_file_unlock(int lock);         /* -1 is fine */
void pri_file_remove(const char *path); /* a file that is not there is fine */
/* Removes what killed processes left of writing this file; failures are of no account. */
void pri_file_remove_rests(pare_context *ctx, const char *path);
bool pri_file_exists(const char *path);
int64_t pri_file_size(const char *path); /* -1 when there is none */
bool pri_is_directory(const char *path);
pare_status pri_make_directory(pare_context *ctx, const char *path); /* existing is fine */
/* Names in a directory without "." and "..", sorted by byte; free with pri_names_free. */
pare_status pri_list_directory(char ***names, int64_t *count, pare_context *ctx, const char *path);
void pri_names_free(char **names, int64_t count);
/* The last part of a path, borrowed. */
const char *pri_name_of(const char *path);
/* The folder a path lies in ("." for a bare name), in new memory. */
char *pri_folder_of(pare_context *ctx, const char *path);
/* "dir/name" in new memory. */
char *pri_path_join(pare_context *ctx, const char *directory, const char *name);

#endif
