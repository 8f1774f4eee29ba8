/* SPDX-License-Identifier: Apache-2.0 */
/* file.c - POSIX implementation of file.h. */
#define _POSIX_C_SOURCE 200809L
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static pare_status fail_errno(pare_context *ctx, const char *what, const char *path)
{
    return pri_fail(ctx, PARE_ERROR_FILE, "cannot %s '%s': %s", what, path, strerror(errno));
}

static pare_status read_exactly(int fd, unsigned char *out, size_t size, pare_context *ctx,
                                const char *path)
{
    size_t done = 0;

    while (done < size) {
        const ssize_t n = read(fd, out + done, size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail_errno(ctx, "read", path);
        if (n == 0)
            return pri_fail(ctx, PARE_ERROR_FILE, "'%s' ends after %zu of %zu bytes", path, done,
                            size);
        done += (size_t)n;
    }
    return PARE_OK;
}

static pare_status open_regular(int *fd, int64_t *size, pare_context *ctx, const char *path)
{
    struct stat info;

    *fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*fd < 0)
        return fail_errno(ctx, "open", path);
    if (fstat(*fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        close(*fd);
        return pri_fail(ctx, PARE_ERROR_FILE, "'%s' is not a regular file", path);
    }
    *size = (int64_t)info.st_size;
    return PARE_OK;
}

pare_status pri_file_read(pri_bytes *out, pare_context *ctx, const char *path)
{
    int fd = -1;
    int64_t size = 0;

    *out = (pri_bytes){0};
    PRI_TRY(open_regular(&fd, &size, ctx, path));
    unsigned char *data = pri_alloc(ctx, (size_t)size + 1, 1);
    pare_status status = PARE_ERROR_MEMORY;
    if (data != NULL)
        status = read_exactly(fd, data, (size_t)size, ctx, path);
    close(fd);
    if (status != PARE_OK) {
        pri_free(data);
        return status;
    }
    *out = (pri_bytes){.data = data, .size_bytes = (size_t)size};
    return PARE_OK;
}

pare_status pri_file_read_part(void *out, pare_context *ctx, const char *path, int64_t offset,
                               int64_t size)
{
    int fd = -1;
    int64_t whole = 0;

    PRI_TRY(open_regular(&fd, &whole, ctx, path));
    pare_status status = PARE_OK;
    if (offset < 0 || size < 0 || offset > whole || size > whole - offset)
        status = pri_fail(ctx, PARE_ERROR_FORMAT,
                          "'%s' has %lld bytes, but %lld at offset %lld are referred to", path,
                          (long long)whole, (long long)size, (long long)offset);
    else if (lseek(fd, (off_t)offset, SEEK_SET) < 0)
        status = fail_errno(ctx, "seek in", path);
    else
        status = read_exactly(fd, out, (size_t)size, ctx, path);
    close(fd);
    return status;
}

void pri_bytes_clear(pri_bytes *bytes)
{
    pri_free(bytes->data);
    *bytes = (pri_bytes){0};
}

static pare_status write_all(int fd, const unsigned char *data, size_t size, pare_context *ctx,
                             const char *path)
{
    size_t done = 0;

    while (done < size) {
        const ssize_t n = write(fd, data + done, size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return fail_errno(ctx, "write", path);
        done += (size_t)n;
    }
    return PARE_OK;
}

static pare_status write_parts(int fd, const pri_file_part *parts, int n_parts, pare_context *ctx,
                               const char *path)
{
    for (int i = 0; i < n_parts; i++) {
        if (lseek(fd, (off_t)parts[i].offset, SEEK_SET) < 0)
            return fail_errno(ctx, "seek in", path);
        PRI_TRY(write_all(fd, parts[i].data, parts[i].size_bytes, ctx, path));
    }
    if (fsync(fd) != 0 && errno != EINVAL && errno != EROFS)
        return fail_errno(ctx, "write", path);
    return PARE_OK;
}

pare_status pri_file_write(pare_context *ctx, const char *path, const void *data, size_t size_bytes,
                           bool replace)
{
    const pri_file_part part = {.data = data, .size_bytes = size_bytes};

    return pri_file_write_parts(ctx, path, &part, 1, replace);
}

/* Of a file that is not complete; mkstemp replaces the last six letters. */
static const char ending[] = ".tmp-XXXXXX";

pare_status pri_file_write_parts(pare_context *ctx, const char *path, const pri_file_part *parts,
                                 int n_parts, bool replace)
{
    char temporary[4096];

    if (!replace && pri_file_exists(path))
        return pri_fail(ctx, PARE_ERROR_EXISTS, "'%s' exists; use --force to replace it", path);
    if (snprintf(temporary, sizeof temporary, "%s%s", path, ending) >= (int)sizeof temporary)
        return pri_fail(ctx, PARE_ERROR_FILE, "path '%s' is too long", path);
    const int fd = mkstemp(temporary);
    if (fd < 0)
        return fail_errno(ctx, "create", path);
    pare_status status = write_parts(fd, parts, n_parts, ctx, path);
    const mode_t mask = umask(0);
    umask(mask);
    if (status == PARE_OK && fchmod(fd, 0666 & ~mask) != 0)
        status = fail_errno(ctx, "set the mode of", path);
    if (close(fd) != 0 && status == PARE_OK)
        status = fail_errno(ctx, "write", path);
    if (status == PARE_OK && rename(temporary, path) != 0)
        status = fail_errno(ctx, "rename to", path);
    if (status != PARE_OK)
        unlink(temporary);
    return status;
}

int pri_file_lock(const char *path, double seconds)
{
    const double end = pri_clock_s() + seconds;
    const int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);

    /* asked again and again: a process that was stopped while it holds the lock stops nobody else
     */
    while (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) != 0) {
        if ((errno != EWOULDBLOCK && errno != EINTR) || pri_clock_s() > end) {
            close(lock);
            return -1;
        }
        (void)nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    return lock;
}

void pri_file_unlock(int lock)
{
    if (lock >= 0)
        close(lock);
}

void pri_file_remove(const char *path)
{
    (void)unlink(path);
}

void pri_file_remove_rests(pare_context *ctx, const char *path)
{
    const char *name = pri_name_of(path);
    const size_t length = strlen(name), fixed = strcspn(ending, "X");
    char *folder = pri_folder_of(ctx, path);
    char **names = NULL;
    int64_t count = 0;

    if (folder == NULL || pri_list_directory(&names, &count, ctx, folder) != PARE_OK)
        pri_forget(ctx);
    for (int64_t i = 0; i < count; i++) {
        if (strncmp(names[i], name, length) != 0 || strlen(names[i]) != length + strlen(ending) ||
            strncmp(names[i] + length, ending, fixed) != 0)
            continue;
        char *rest = pri_path_join(ctx, folder, names[i]);
        if (rest != NULL)
            pri_file_remove(rest);
        pri_free(rest);
    }
    pri_names_free(names, count);
    pri_free(folder);
}

bool pri_file_exists(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0;
}

int64_t pri_file_size(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0 ? (int64_t)info.st_size : -1;
}

bool pri_is_directory(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

pare_status pri_make_directory(pare_context *ctx, const char *path)
{
    if (mkdir(path, 0777) == 0 || (errno == EEXIST && pri_is_directory(path)))
        return PARE_OK;
    return fail_errno(ctx, "create directory", path);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

pare_status pri_list_directory(char ***names, int64_t *count, pare_context *ctx, const char *path)
{
    DIR *directory = opendir(path);
    size_t used = 0, capacity = 0;
    char **list = NULL;

    *names = NULL;
    *count = 0;
    if (directory == NULL)
        return fail_errno(ctx, "open directory", path);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (used == capacity) {
            capacity = capacity > 0 ? 2 * capacity : 64;
            char **grown = pri_realloc(ctx, list, capacity, sizeof *list);
            if (grown == NULL)
                goto out_of_memory;
            list = grown;
        }
        list[used] = pri_strdup(ctx, entry->d_name);
        if (list[used] == NULL)
            goto out_of_memory;
        used++;
    }
    closedir(directory);
    if (used > 0)
        qsort(list, used, sizeof *list, compare_names);
    *names = list;
    *count = (int64_t)used;
    return PARE_OK;

out_of_memory:
    closedir(directory);
    pri_names_free(list, (int64_t)used);
    return PARE_ERROR_MEMORY;
}

void pri_names_free(char **names, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        pri_free(names[i]);
    pri_free(names);
}

const char *pri_name_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

char *pri_folder_of(pare_context *ctx, const char *path)
{
    const char *slash = strrchr(path, '/');
    const size_t length = slash == NULL || slash == path ? 1 : (size_t)(slash - path);
    char *folder = pri_alloc(ctx, length + 1, 1);

    if (folder != NULL)
        memcpy(folder, slash != NULL ? path : ".", length);
    return folder;
}

char *pri_path_join(pare_context *ctx, const char *directory, const char *name)
{
    const size_t size = strlen(directory) + strlen(name) + 2;
    char *path = pri_alloc(ctx, size, 1);

    if (path != NULL)
        snprintf(path, size, "%s/%s", directory, name);
    return path;
}
