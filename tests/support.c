/* SPDX-License-Identifier: Apache-2.0 */
/* support.c - see support.h. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "kernels/lanes.h"

static void print_log(void *user, pare_log_level level, const char *text)
{
    (void)user;
    if (level <= PARE_LOG_WARNING)
        fprintf(stderr, "%s\n", text);
}

pare_context *test_context(void)
{
    pare_context *ctx = NULL;

    assert_int_equal(pare_context_new(&ctx), PARE_OK);
    pare_context_set_log(ctx, print_log, NULL);
    return ctx;
}

int test_setup(void **state)
{
    *state = test_context();
    return 0;
}

int test_teardown(void **state)
{
    pare_context_free(*state);
    return 0;
}

void test_ok(pare_context *ctx, pare_status status)
{
    if (status != PARE_OK)
        fail_msg("%s: %s", pare_status_text(status), pare_context_message(ctx));
}

const char *test_folder(void)
{
    static char path[512];
    const char *base = getenv("TMPDIR");

    snprintf(path, sizeof path, "%s/pare-test-XXXXXX", base != NULL ? base : P_tmpdir);
    assert_non_null(mkdtemp(path));
    return path;
}

void test_remove_folder(const char *path)
{
    char command[600];

    snprintf(command, sizeof command, "rm -rf '%s'", path);
    assert_int_equal(system(command), 0);
}

const char *test_shared(const char *name)
{
    static char path[1024];
    const char *base = getenv("PARE_SHARED");

    snprintf(path, sizeof path, "%s/%s", base != NULL ? base : "../shared", name);
    if (pri_file_exists(path))
        return path;
    fprintf(stderr, "skipped: no '%s' (set PARE_SHARED to the folder of shared assets)\n", path);
    return NULL;
}

pri_dtype test_narrow_type(void)
{
    return pri_vectors_take(PRI_BF16) ? PRI_BF16 : PRI_F32;
}
