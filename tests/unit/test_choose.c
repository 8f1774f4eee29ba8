/* SPDX-License-Identifier: Apache-2.0 */
/* test_choose.c - which algorithm convolutions are computed by, and how that is remembered. */
#include "naive_conv.h"
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "kernels/choose.h"
#include "kernels/winograd.h"

enum { ALL = PRI_CONV_FORWARD | PRI_CONV_BACKWARD_DATA | PRI_CONV_BACKWARD_WEIGHTS };

/* Some tenths of a millisecond and more: worth measuring. */
static pri_conv_problem worth_measuring(void)
{
    pri_conv_problem p = naive_conv_problem(8, 32, 48, 28, 28, 3);

    p.may_measure = true;
    return p;
}

typedef struct cache {
    pare_context *ctx; /* one that measures */
    char folder[600];  /* XDG_CACHE_HOME */
    char file[1200];
} cache;

/* A cache folder of its own, which is not there yet. Skips the test where there is no choice. */
static void open_cache(cache *c)
{
    const pri_conv_problem base = worth_measuring();

    if (!pri_winograd_suits(&base)) {
        printf("skipped: this processor has neither AVX2 nor AVX-512\n");
        skip();
    }
    snprintf(c->folder, sizeof c->folder, "%s/cache", test_folder());
    setenv("XDG_CACHE_HOME", c->folder, 1);
    c->ctx = test_context();
    pare_context_set_algorithms(c->ctx, PARE_ALGORITHMS_MEASURED);
    char *path = pri_choices_default_path(c->ctx);
    assert_non_null(path);
    snprintf(c->file, sizeof c->file, "%s", path);
    pri_free(path);
}

static void close_cache(cache *c)
{
    *strrchr(c->folder, '/') = '\0';
    test_remove_folder(c->folder);
    pare_context_free(c->ctx);
    unsetenv("XDG_CACHE_HOME");
}

/* As a new process would: the table is read from the file again. */
static void start_anew(const cache *c)
{
    const pri_conv_problem base = worth_measuring();

    setenv("XDG_CACHE_HOME", "/proc/none", 1);
    (void)pri_conv_choose(c->ctx, &base, PRI_CONV_FORWARD);
    setenv("XDG_CACHE_HOME", c->folder, 1);
}

static void write_choices(const cache *c, const char *text)
{
    char command[1400];

    snprintf(command, sizeof command, "mkdir -p '%s/pare'", c->folder);
    assert_int_equal(system(command), 0);
    test_ok(c->ctx, pri_file_write(c->ctx, c->file, text, strlen(text), true));
    start_anew(c);
}

static pri_conv_algorithm made_by(pare_context *ctx, const pri_conv_problem *problem,
                                  unsigned directions)
{
    pri_conv *conv = NULL;

    test_ok(ctx, pri_conv_new(&conv, ctx, problem, directions));
    const pri_conv_algorithm chosen = pri_conv_chosen(conv);
    pri_conv_free(conv);
    return chosen;
}

static void files_lie_in_the_cache_folder(void **state)
{
    const pri_conv_problem base = worth_measuring();
    pare_context *ctx = test_context();
    const char *home = getenv("HOME");
    char kept[1024];

    (void)state;
    snprintf(kept, sizeof kept, "%s", home != NULL ? home : "");
    setenv("HOME", "/home/who", 1);
    const char *const caches[] = {"", "relative", "/some/cache"};
    for (size_t i = 0; i < PRI_COUNT(caches); i++) {
        const char *begin = i == 2 ? "/some/cache/pare/" : "/home/who/.cache/pare/";
        setenv("XDG_CACHE_HOME", caches[i], 1);
        char *path = pri_choices_default_path(ctx);
        assert_non_null(path);
        assert_memory_equal(path, begin, strlen(begin));
        assert_non_null(strstr(path, pri_dnn_isa()));
        assert_null(strchr(path + strlen(begin), '/'));
        pri_free(path);
    }
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    assert_null(pri_choices_default_path(ctx));
    pare_context_set_algorithms(ctx, PARE_ALGORITHMS_MEASURED);
    assert_int_equal(pri_conv_choose(ctx, &base, ALL), pri_conv_rule(&base));
    setenv("HOME", kept, 1);
    pare_context_free(ctx);
}

static void keys_tell_problems_apart(void **state)
{
    const pri_conv_problem base = worth_measuring();
    pri_conv_problem problems[11];
    char keys[13][PRI_CONV_KEY];

    (void)state;
    for (int i = 0; i < 11; i++)
        problems[i] = base;
    problems[1].batch = 9;
    problems[2].in_channels = 33;
    problems[3].out_channels = 49;
    problems[4].in[0] = problems[4].out[0] = 27;
    problems[5].is_narrow = true;
    problems[6].accumulates = true;
    problems[7].post = PRI_POST_RELU;
    problems[8].pad_begin[1] = 0;
    problems[9].is_narrow = problems[10].is_narrow = true;
    problems[9].src_type = problems[10].dst_type = PRI_BF16;
    for (int i = 0; i < 11; i++)
        pri_conv_key(keys[i], &problems[i], ALL, 1);
    pri_conv_key(keys[11], &base, ALL, 2);
    pri_conv_key(keys[12], &base, PRI_CONV_FORWARD, 1);
    for (int i = 0; i < 13; i++) {
        for (int k = 0; k < i; k++)
            assert_string_not_equal(keys[i], keys[k]);
        assert_null(strchr(keys[i], '='));
        assert_true(strlen(keys[i]) < 250);
    }
}

static void the_rule_holds_unless_measuring_is_asked_for(void **state)
{
    const pri_conv_problem base = worth_measuring();
    cache c;

    (void)state;
    open_cache(&c);
    pare_context *ctx = test_context();
    assert_int_equal(pare_context_algorithms(ctx), PARE_ALGORITHMS_RULE);
    assert_int_equal(pri_conv_choose(ctx, &base, ALL), PRI_CONV_WINOGRAD);
    pri_conv_problem problem = base;
    problem.is_narrow = true;
    assert_int_equal(pri_conv_choose(ctx, &problem, ALL),
                     pri_dnn_has_amx() ? PRI_CONV_BF16 : PRI_CONV_WINOGRAD);
    problem.in_channels = 24;
    assert_int_equal(pri_conv_choose(ctx, &problem, ALL), PRI_CONV_BF16);
    problem = base;
    problem.in_channels = 8;
    assert_int_equal(pri_conv_choose(ctx, &problem, ALL), PRI_CONV_DIRECT);
    /* and for engines that are only planned */
    problem = base;
    problem.may_measure = false;
    assert_int_equal(pri_conv_choose(c.ctx, &problem, ALL), PRI_CONV_WINOGRAD);
    assert_false(pri_file_exists(c.folder));
    pare_context_free(ctx);
    close_cache(&c);
}

static void measured_choices_are_written_and_kept(void **state)
{
    const pri_conv_problem base = worth_measuring();
    cache c;
    pri_bytes first, second;
    char key[PRI_CONV_KEY + 1];

    (void)state;
    open_cache(&c);
    start_anew(&c);
    const pri_conv_algorithm chosen = pri_conv_choose(c.ctx, &base, ALL);
    test_ok(c.ctx, pri_file_read(&first, c.ctx, c.file));
    pri_conv_key(key, &base, ALL, pare_context_threads(c.ctx));
    assert_non_null(strstr((char *)first.data, key));
    start_anew(&c);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pri_conv_choose(c.ctx, &base, ALL), chosen);
    test_ok(c.ctx, pri_file_read(&second, c.ctx, c.file));
    assert_string_equal(second.data, first.data);
    pri_bytes_clear(&first);
    pri_bytes_clear(&second);
    close_cache(&c);
}

static void the_faster_has_to_be_clearly_faster(void **state)
{
    const pri_conv_problem base = worth_measuring();
    cache c;
    double seconds[2];
    pri_conv_problem large = base, small = base;

    (void)state;
    open_cache(&c);
    large.batch = 64;
    large.in[0] = large.out[0] = large.in[1] = large.out[1] = 112; /* a part of it is timed */
    const pri_conv_problem *const problems[] = {&base, &large};
    for (int i = 0; i < 2; i++) {
        const pri_conv_algorithm faster =
            pri_conv_faster(seconds, c.ctx, problems[i], ALL, PRI_CONV_DIRECT, PRI_CONV_WINOGRAD);
        if (seconds[1] == 0) {
            assert_int_equal(faster, PRI_CONV_DIRECT); /* without AVX2 */
            continue;
        }
        assert_int_equal(faster,
                         seconds[0] > 1.08 * seconds[1] ? PRI_CONV_WINOGRAD : PRI_CONV_DIRECT);
    }
    small.batch = 1;
    small.in[0] = small.out[0] = small.in[1] = small.out[1] = 4;
    assert_int_equal(
        pri_conv_faster(seconds, c.ctx, &small, ALL, PRI_CONV_DIRECT, PRI_CONV_WINOGRAD),
        PRI_CONV_DIRECT);
    close_cache(&c);
}

static void no_folder_no_measurement(void **state)
{
    const pri_conv_problem base = worth_measuring();
    cache c;
    char path[700];

    (void)state;
    open_cache(&c);
    snprintf(path, sizeof path, "%s", c.folder);
    *strrchr(path, '/') = '\0';
    snprintf(path + strlen(path), 20, "/file");
    test_ok(c.ctx, pri_file_write(c.ctx, path, "x", 1, false));
    snprintf(path + strlen(path), 20, "/below");
    setenv("XDG_CACHE_HOME", path, 1);
    for (int i = 0; i < 2; i++)
        assert_int_equal(made_by(c.ctx, &base, ALL), pri_conv_rule(&base));
    assert_string_equal(pare_context_message(c.ctx), "");
    close_cache(&c);
}

/* Whatever the rule and the times say; but only what can compute the problem. */
static void remembered_choices_are_followed(void **state)
{
    const pri_conv_problem base = worth_measuring();
    cache c;
    char key[PRI_CONV_KEY], text[PRI_CONV_KEY + 32];
    pri_conv_problem narrow = base, few = base;
    pri_conv_algorithm other;

    (void)state;
    open_cache(&c);
    pri_conv_key(key, &base, ALL, pare_context_threads(c.ctx));
    snprintf(text, sizeof text, "%s = direct\n", key);
    write_choices(&c, text);
    assert_int_equal(made_by(c.ctx, &base, ALL), PRI_CONV_DIRECT);
    snprintf(text, sizeof text, "%s = bf16\n", key);
    write_choices(&c, text);
    assert_int_equal(pri_conv_choose(c.ctx, &base, ALL), PRI_CONV_WINOGRAD);
    few.in_channels = 8;
    pri_conv_key(key, &few, PRI_CONV_FORWARD, pare_context_threads(c.ctx));
    snprintf(text, sizeof text, "%s = winograd\n", key);
    write_choices(&c, text);
    assert_int_equal(pri_conv_choose(c.ctx, &few, PRI_CONV_FORWARD), PRI_CONV_WINOGRAD);
    few.may_measure = false;
    assert_int_equal(pri_conv_choose(c.ctx, &few, PRI_CONV_FORWARD), PRI_CONV_DIRECT);
    few.may_measure = few.is_direct = true;
    assert_int_equal(pri_conv_choose(c.ctx, &few, PRI_CONV_FORWARD), PRI_CONV_DIRECT);
    narrow.is_narrow = true;
    pri_conv_key(key, &narrow, ALL, pare_context_threads(c.ctx));
    assert_true(pri_conv_other(&other, &narrow));
    snprintf(text, sizeof text, "%s = %s # 1 ms\n", key, pri_conv_algorithm_name(other));
    write_choices(&c, text);
    assert_int_equal(pri_conv_choose(c.ctx, &narrow, ALL), other);
    close_cache(&c);
}

/* While this process has its table open. */
static void what_others_write_meanwhile_counts(void **state)
{
    const pri_conv_problem base = worth_measuring();
    cache c;
    char key[PRI_CONV_KEY], text[PRI_CONV_KEY + 32];
    pri_conv_problem first = base, third = base;
    pri_bytes bytes;

    (void)state;
    open_cache(&c);
    start_anew(&c);
    first.batch = 1;
    third.batch = 2;
    (void)pri_conv_choose(c.ctx, &first, ALL);
    pri_conv_key(key, &base, ALL, pare_context_threads(c.ctx));
    snprintf(text, sizeof text, "%s = direct\n", key);
    test_ok(c.ctx, pri_file_write(c.ctx, c.file, text, strlen(text), true));
    assert_int_equal(pri_conv_choose(c.ctx, &base, ALL), PRI_CONV_DIRECT);
    (void)pri_conv_choose(c.ctx, &third, ALL);
    test_ok(c.ctx, pri_file_read(&bytes, c.ctx, c.file));
    assert_non_null(strstr((char *)bytes.data, text));
    for (int i = 0; i < 2; i++) {
        pri_conv_key(key, i == 0 ? &first : &third, ALL, pare_context_threads(c.ctx));
        assert_non_null(strstr((char *)bytes.data, key));
    }
    pri_bytes_clear(&bytes);
    close_cache(&c);
}

/* Several processes that begin without a file: they compute in the same way. */
static void processes_agree(void **state)
{
    const pri_conv_problem base = worth_measuring();
    enum { PROCESSES = 3, SHAPES = 4 };
    cache c;
    unsigned char chosen[PROCESSES][SHAPES];
    int ends[2], code;

    (void)state;
    open_cache(&c);
    start_anew(&c);
    for (int p = 0; p < PROCESSES; p++) {
        assert_int_equal(pipe(ends), 0);
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            unsigned char made[SHAPES];
            for (int k = 0; k < SHAPES; k++) {
                pri_conv_problem problem = base;
                problem.in_channels = 8 + 4 * k; /* about where the rule changes its mind */
                made[k] = (unsigned char)pri_conv_choose(c.ctx, &problem, ALL);
            }
            _exit(write(ends[1], made, SHAPES) == SHAPES ? 0 : 1);
        }
        close(ends[1]);
        dup2(ends[0], 100 + p);
        close(ends[0]);
    }
    for (int p = 0; p < PROCESSES; p++) {
        assert_int_equal(read(100 + p, chosen[p], SHAPES), SHAPES);
        close(100 + p);
        assert_true(wait(&code) > 0 && code == 0);
        assert_memory_equal(chosen[p], chosen[0], SHAPES);
    }
    const int64_t size = pri_file_size(c.file);
    for (int k = 0; k < SHAPES; k++) { /* the file has them all */
        pri_conv_problem problem = base;
        problem.in_channels = 8 + 4 * k;
        start_anew(&c);
        assert_int_equal(pri_conv_choose(c.ctx, &problem, ALL), chosen[0][k]);
        assert_int_equal(pri_file_size(c.file), size);
    }
    close_cache(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(processes_agree), /* first: before this process has threads */
        cmocka_unit_test(files_lie_in_the_cache_folder),
        cmocka_unit_test(keys_tell_problems_apart),
        cmocka_unit_test(the_rule_holds_unless_measuring_is_asked_for),
        cmocka_unit_test(measured_choices_are_written_and_kept),
        cmocka_unit_test(the_faster_has_to_be_clearly_faster),
        cmocka_unit_test(what_others_write_meanwhile_counts),
        cmocka_unit_test(no_folder_no_measurement),
        cmocka_unit_test(remembered_choices_are_followed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
