/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/quantile.h"
#include "base/random.h"
#include "base/text.h"

static void message_keeps_cause_and_circumstances(void **state)
{
    (void)state;
    pare_context *ctx = test_context();

    assert_int_equal(pri_fail(ctx, PARE_ERROR_SHAPE, "cause %d", 7), PARE_ERROR_SHAPE);
    pri_note(ctx, "while testing");
    assert_string_equal(pare_context_message(ctx), "cause 7\nwhile testing");
    pare_context_free(ctx);
}

static void allocation_can_be_made_to_fail(void **state)
{
    (void)state;
    pare_context *ctx = test_context();

    pri_fail_allocation(ctx, 2);
    void *first = pri_alloc(ctx, 1, 8);
    assert_non_null(first);
    assert_null(pri_alloc(ctx, 1, 8));
    assert_non_null(strstr(pare_context_message(ctx), "out of memory"));
    assert_null(pri_realloc(ctx, NULL, SIZE_MAX, 2));
    pri_free(first);
    pare_context_free(ctx);
}

static void arena_memory_is_zero_and_aligned(void **state)
{
    (void)state;
    pare_context *ctx = test_context();
    pri_arena *arena = NULL;

    test_ok(ctx, pri_arena_new(&arena, ctx));
    for (size_t size = 1; size < 200000; size = size * 3 + 1) {
        unsigned char *memory = pri_arena_alloc(arena, size, 1);
        assert_non_null(memory);
        assert_int_equal((uintptr_t)memory % 16, 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(memory[i], 0);
        memset(memory, 0xff, size);
    }
    assert_string_equal(pri_arena_printf(arena, "%s-%d", "x", 3), "x-3");
    pri_arena_free(arena);
    pare_context_free(ctx);
}

static void random_numbers_have_their_moments(void **state)
{
    (void)state;
    enum { N = 100000 };
    double sum = 0, square = 0, unit = 0;

    for (uint64_t i = 0; i < N; i++) {
        const double x = pri_random_normal(1, PRI_STREAM_TEST, i);
        sum += x;
        square += x * x;
        unit += pri_random_unit(2, PRI_STREAM_TEST, i);
    }
    assert_true(fabs(sum / N) < 0.02);
    assert_true(fabs(square / N - 1) < 0.03);
    assert_true(fabs(unit / N - 0.5) < 0.01);
    assert_true(pri_random_bits(1, 2, 3) == pri_random_bits(1, 2, 3));
    assert_true(pri_random_bits(1, 2, 3) != pri_random_bits(1, 3, 2));
}

static void quantiles_lie_between_neighbours(void **state)
{
    double values[] = {3, -1, 7, 2, 5};

    (void)state;
    pri_sort(values, 5);
    assert_true(values[0] == -1 && values[2] == 3 && values[4] == 7);
    assert_true(pri_quantile(values, 5, 0.5) == 3);
    assert_true(pri_quantile(values, 4, 0.5) == 2.5);
    assert_true(pri_quantile(values, 4, 0.25) == 1.25);
    assert_true(pri_quantile(values, 5, 1) == 7);
    assert_true(pri_quantile(values, 1, 0.75) == -1);
}

static void numbers_in_bytes_start_with_the_lowest(void **state)
{
    static const unsigned char bytes[] = {1, 2, 0xff, 0, 0, 0, 0, 0x80};

    (void)state;
    assert_true(pri_little(bytes, 1) == 1);
    assert_true(pri_little(bytes, 4) == 0xff0201);
    assert_true(pri_little(bytes, 8) == UINT64_C(0x8000000000ff0201));
}

static void paths_have_a_folder_and_a_name(void **state)
{
    static const char *const cases[][3] = {
        {"a", ".", "a"}, {"/a", "/", "a"}, {"x/y/a.b", "x/y", "a.b"}, {"x/", "x", ""}};
    pare_context *ctx = test_context();

    (void)state;
    for (size_t i = 0; i < PRI_COUNT(cases); i++) {
        char *folder = pri_folder_of(ctx, cases[i][0]);
        assert_string_equal(folder, cases[i][1]);
        assert_string_equal(pri_name_of(cases[i][0]), cases[i][2]);
        pri_free(folder);
    }
    pare_context_free(ctx);
}

static void permutation_holds_each_index_once(void **state)
{
    (void)state;
    int64_t order[1000];
    bool seen[1000] = {false};

    pri_random_permutation(order, 1000, 5, PRI_STREAM_TEST);
    for (int i = 0; i < 1000; i++) {
        assert_false(seen[order[i]]);
        seen[order[i]] = true;
    }
}

static void files_are_replaced_only_when_asked(void **state)
{
    (void)state;
    pare_context *ctx = test_context();
    const char *folder = test_folder();
    char *path = pri_path_join(ctx, folder, "file");
    pri_bytes bytes = {0};

    test_ok(ctx, pri_file_write(ctx, path, "one", 3, false));
    assert_int_equal(pri_file_write(ctx, path, "two", 3, false), PARE_ERROR_EXISTS);
    test_ok(ctx, pri_file_write(ctx, path, "three", 5, true));
    test_ok(ctx, pri_file_read(&bytes, ctx, path));
    assert_int_equal(bytes.size_bytes, 5);
    assert_memory_equal(bytes.data, "three", 6);
    pri_bytes_clear(&bytes);
    char part[3];
    test_ok(ctx, pri_file_read_part(part, ctx, path, 2, 3));
    assert_memory_equal(part, "ree", 3);
    assert_int_equal(pri_file_read_part(part, ctx, path, 3, 3), PARE_ERROR_FORMAT);
    assert_int_equal(pri_file_read(&bytes, ctx, folder), PARE_ERROR_FILE);
    char **names = NULL;
    int64_t count = 0;
    test_ok(ctx, pri_list_directory(&names, &count, ctx, folder));
    assert_int_equal(count, 1);
    assert_string_equal(names[0], "file");
    pri_names_free(names, count);
    pri_free(path);
    test_remove_folder(folder);
    pare_context_free(ctx);
}

static void text_escapes_html(void **state)
{
    (void)state;
    pare_context *ctx = test_context();
    pri_text text;

    pri_text_init(&text, ctx);
    pri_text_add_html(&text, "<a & \"b\">");
    assert_string_equal(pri_text_get(&text), "&lt;a &amp; &quot;b&quot;&gt;");
    for (int i = 0; i < 1000; i++)
        pri_text_addf(&text, "%04d", i);
    assert_int_equal(text.length, 29 + 4000);
    pri_text_clear(&text);
    pare_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(message_keeps_cause_and_circumstances),
        cmocka_unit_test(allocation_can_be_made_to_fail),
        cmocka_unit_test(arena_memory_is_zero_and_aligned),
        cmocka_unit_test(random_numbers_have_their_moments),
        cmocka_unit_test(quantiles_lie_between_neighbours),
        cmocka_unit_test(numbers_in_bytes_start_with_the_lowest),
        cmocka_unit_test(paths_have_a_folder_and_a_name),
        cmocka_unit_test(permutation_holds_each_index_once),
        cmocka_unit_test(files_are_replaced_only_when_asked),
        cmocka_unit_test(text_escapes_html),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
