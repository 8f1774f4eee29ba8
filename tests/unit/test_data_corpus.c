/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_data_corpus.c - arrays, archives, manifests and lists as they are, cut short, and with bytes
 * changed. The fuzzer's function does the work; it traps where something does not hold.
 */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/random.h"
#include "data/archive.h"
#include "support.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* A copy of its own of the first `size` bytes, so that sanitizers see what is read beyond; with
 * `changes` of them replaced. */
static void try_part(const pri_bytes *file, size_t size, uint64_t seed, uint64_t changes)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);

    assert_non_null(copy);
    memcpy(copy, file->data, size);
    for (uint64_t k = 0; k < changes && size > 0; k++)
        copy[pri_random_below((int64_t)size, seed, PRI_STREAM_TEST, 2 * k)] =
            (uint8_t)pri_random_below(256, seed, PRI_STREAM_TEST, 2 * k + 1);
    (void)LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static void corpus_is_read_or_refused(void **state)
{
    enum { DAMAGED = 100, SMALL = 1024 };
    pare_context *ctx = test_context();
    char **names = NULL;
    int64_t count = 0;

    (void)state;
    test_ok(ctx, pri_list_directory(&names, &count, ctx, TEST_CORPUS));
    assert_true(count >= 10);
    for (int64_t i = 0; i < count; i++) {
        char *path = pri_path_join(ctx, TEST_CORPUS, names[i]);
        pri_bytes bytes = {0};
        test_ok(ctx, pri_file_read(&bytes, ctx, path));
        try_part(&bytes, bytes.size_bytes, 0, 0);
        try_part(&bytes, bytes.size_bytes / 2, 0, 0);
        for (uint64_t k = 1; k <= DAMAGED && bytes.size_bytes <= SMALL; k++) {
            try_part(&bytes, bytes.size_bytes, k, 1 + k % 3);
            try_part(&bytes, bytes.size_bytes * k / DAMAGED, k, 0);
        }
        pri_bytes_clear(&bytes);
        pri_free(path);
    }
    pri_names_free(names, count);
    pare_context_free(ctx);
}

/* 200 entries that all unpack the same 16 MB. */
static void archives_hold_no_member_twice(void **state)
{
    pare_context *ctx = test_context();
    char *path = pri_path_join(ctx, TEST_CORPUS, "shared-member.npz");
    pri_member *members = NULL;
    pri_bytes bytes = {0};
    int64_t count = 0;

    (void)state;
    test_ok(ctx, pri_file_read(&bytes, ctx, path));
    assert_int_equal(
        pri_members_list(&members, &count, ctx, bytes.data, bytes.size_bytes, "shared"),
        PARE_ERROR_FORMAT);
    assert_non_null(strstr(pare_context_message(ctx), "overlap"));
    pri_members_free(members, count);
    pri_bytes_clear(&bytes);
    pri_free(path);
    pare_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(corpus_is_read_or_refused),
        cmocka_unit_test(archives_hold_no_member_twice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
