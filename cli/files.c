/* SPDX-License-Identifier: Apache-2.0 */
/* files.c - the files a command is told to read and write, looked at before its work. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

static bool are_same(const char *a, const char *b)
{
    struct stat x, y;

    return strcmp(a, b) == 0 ||
           (stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino);
}

/* 0 where a file can be made at a path, otherwise errno. */
static int why_not(const char *path)
{
    char *folder = strdup(path);
    struct stat info;

    if (stat(path, &info) == 0) {
        free(folder);
        return S_ISDIR(info.st_mode) ? EISDIR : 0;
    }
    if (folder == NULL)
        return ENOMEM;
    char *slash = strrchr(folder, '/');
    if (slash != NULL)
        slash[slash == folder] = '\0';
    const int code = access(slash != NULL ? folder : ".", W_OK | X_OK) == 0 ? 0 : errno;
    free(folder);
    return code;
}

static int check_file(const cli_file *file, bool force)
{
    if (access(file->path, F_OK) == 0 && !file->may_exist && !force) {
        fprintf(stderr, "pare: '%s' exists; use --force to replace it%s\n", file->path,
                file->resumes ? ", --resume to go on with it" : "");
        return EXIT_FAILED;
    }
    const int code = why_not(file->path);
    if (code == 0)
        return 0;
    fprintf(stderr, "pare: cannot write '%s' (%s): %s\n", file->path, file->option, strerror(code));
    return EXIT_FAILED;
}

int cli_check_files(const cli_file *files, int n, bool force)
{
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < i && files[i].path != NULL; k++) {
            const bool is_fine = (!files[i].is_written && !files[k].is_written) ||
                                 (files[i].in_place && files[k].in_place);
            if (files[k].path == NULL || is_fine || !are_same(files[i].path, files[k].path))
                continue;
            fprintf(stderr, "pare: %s and %s are the same file, '%s'\n", files[k].option,
                    files[i].option, files[i].path);
            return EXIT_USAGE;
        }
    }
    for (int i = 0; i < n; i++) {
        const int code =
            files[i].path != NULL && files[i].is_written ? check_file(&files[i], force) : 0;
        if (code != 0)
            return code;
    }
    return 0;
}

char *cli_read_text(const char *path, const char *what)
{
    enum { ROOM = 1 << 16 };
    char *text = calloc(1, ROOM);
    FILE *file = text != NULL ? fopen(path, "r") : NULL;
    const size_t length = file != NULL ? fread(text, 1, ROOM - 1, file) : 0;

    if (file != NULL && !ferror(file) && length < ROOM - 1) {
        fclose(file);
        return text;
    }
    fprintf(stderr, "pare: cannot read %s from '%s'\n", what, path);
    if (file != NULL)
        fclose(file);
    free(text);
    return NULL;
}
