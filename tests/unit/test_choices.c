/* SPDX-License-Identifier: Apache-2.0 */
/* test_choices.c - the table of choices and its file. */
#include "support.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "kernels/choices.h"

typedef struct place {
    pare_context *ctx;
    char folder[600], file[700]; /* in a folder of a folder, neither of which is there */
} place;

static void open_place(place *c)
{
    c->ctx = test_context();
    snprintf(c->folder, sizeof c->folder, "%s", test_folder());
    snprintf(c->file, sizeof c->file, "%s/cache/pare/choices.txt", c->folder);
}

static void close_place(place *c)
{
    test_remove_folder(c->folder);
    pare_context_free(c->ctx);
}

static bool says(const pri_choices *table, const char *key, const char *word)
{
    const char *found = pri_choices_find(table, key);

    return found != NULL && strcmp(found, word) == 0;
}

static void tables_come_back_from_their_file(void **state)
{
    place c;
    pri_choices *table = NULL, *again = NULL;

    (void)state;
    open_place(&c);
    test_ok(c.ctx, pri_choices_new(&table, c.ctx, c.file));
    test_ok(c.ctx, pri_choices_new(&again, c.ctx, c.file));
    assert_true(pri_choices_lock(table, c.ctx));
    assert_true(pri_choices_add(table, c.ctx, "one of 1x2", "winograd", "1 ms"));
    assert_true(pri_choices_add(table, c.ctx, "two", "bf16", ""));
    pri_choices_unlock(table);
    /* what another table knows by itself stays beside it */
    assert_true(pri_choices_lock(again, c.ctx));
    pri_choices_read(again, c.ctx);
    assert_true(pri_choices_add(again, c.ctx, "three", "direct", "2 ms, 3 ms"));
    pri_choices_free(table);
    pri_choices_free(again);
    test_ok(c.ctx, pri_choices_new(&table, c.ctx, c.file));
    assert_null(pri_choices_find(table, "one of 1x2"));
    pri_choices_read(table, c.ctx);
    assert_true(says(table, "one of 1x2", "winograd"));
    assert_true(says(table, "two", "bf16"));
    assert_true(says(table, "three", "direct"));
    assert_null(pri_choices_find(table, "one of"));
    pri_choices_free(table);
    close_place(&c);
}

static void damaged_lines_are_ignored(void **state)
{
    static const char text[] = "a = direct\n"
                               "b = Fast\n"
                               "c direct\n"
                               " = direct\n"
                               "# d = direct\n"
                               "e = winograd # of \1\n"
                               "f = direct\0x\n"
                               "a = winograd\n"
                               "g = bf16 # 1 ms = 1000 us\n"
                               "h = direct-ly\n"
                               "i = longerthanalloftheothers";
    place c;
    pri_choices *table = NULL;
    pri_bytes bytes;

    (void)state;
    open_place(&c);
    snprintf(c.file, sizeof c.file, "%s/choices.txt", c.folder);
    test_ok(c.ctx, pri_file_write(c.ctx, c.file, text, sizeof text - 1, true));
    test_ok(c.ctx, pri_choices_new(&table, c.ctx, c.file));
    pri_choices_read(table, c.ctx);
    assert_true(says(table, "a", "direct"));
    assert_true(says(table, "g", "bf16"));
    const char *const none[] = {"b", "c", "", "d", "# d", "e", "f", "h", "i"};
    for (size_t i = 0; i < PRI_COUNT(none); i++)
        assert_null(pri_choices_find(table, none[i]));
    assert_true(pri_choices_lock(table, c.ctx));
    assert_true(pri_choices_add(table, c.ctx, "j", "direct", ""));
    pri_choices_free(table);
    test_ok(c.ctx, pri_file_read(&bytes, c.ctx, c.file));
    assert_non_null(strstr((char *)bytes.data, "\na = direct\ng = bf16 # 1 ms = 1000 us\n"
                                               "j = direct\n"));
    assert_null(strstr((char *)bytes.data, "b = Fast"));
    pri_bytes_clear(&bytes);
    close_place(&c);
}

static void files_that_cannot_be_written_change_nothing(void **state)
{
    place c;
    pri_choices *table = NULL;
    char path[700];

    (void)state;
    open_place(&c);
    snprintf(path, sizeof path, "%s/taken", c.folder);
    test_ok(c.ctx, pri_make_directory(c.ctx, path));
    test_ok(c.ctx, pri_choices_new(&table, c.ctx, path));
    assert_true(pri_choices_lock(table, c.ctx));
    assert_false(pri_choices_add(table, c.ctx, "a", "direct", ""));
    assert_string_equal(pare_context_message(c.ctx), "");
    pri_choices_unlock(table);
    assert_null(pri_choices_find(table, "a"));
    assert_false(pri_choices_lock(table, c.ctx));
    pri_choices_free(table);
    close_place(&c);
}

static void locks_keep_others_out(void **state)
{
    place c;
    char path[700];

    (void)state;
    open_place(&c);
    snprintf(path, sizeof path, "%s/lock", c.folder);
    const int first = pri_file_lock(path, 0);
    assert_true(first >= 0);
    assert_int_equal(pri_file_lock(path, 0.02), -1);
    pri_file_unlock(first);
    const int second = pri_file_lock(path, 0);
    assert_true(second >= 0);
    pri_file_unlock(second);
    snprintf(path, sizeof path, "%s/nowhere/lock", c.folder);
    assert_int_equal(pri_file_lock(path, 1), -1);
    close_place(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_come_back_from_their_file),
        cmocka_unit_test(damaged_lines_are_ignored),
        cmocka_unit_test(files_that_cannot_be_written_change_nothing),
        cmocka_unit_test(locks_keep_others_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
