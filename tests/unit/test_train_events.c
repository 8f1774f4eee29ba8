/* SPDX-License-Identifier: Apache-2.0 */
/* test_train_events.c - event files read back: framing, checksums, messages. */
#include "train_nets.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "train/events.h"

static uint64_t little(const unsigned char *bytes, int count)
{
    uint64_t value = 0;

    for (int i = 0; i < count; i++)
        value |= (uint64_t)bytes[i] << 8 * i;
    return value;
}

static uint64_t varint(const unsigned char **at)
{
    uint64_t value = 0;
    int shift = 0;

    do
        value |= (uint64_t)(**at & 127) << shift, shift += 7;
    while (*(*at)++ >= 128);
    return value;
}

typedef struct event {
    char version[32], tag[64];
    int64_t step;
    double wall_time;
    float value;
} event;

/* Fields in any order, as a reader of protocol buffers takes them; messages of the kinds known
 * here. */
static void parse(event *out, const unsigned char *at, const unsigned char *end, int depth)
{
    while (at < end) {
        const uint64_t key = varint(&at);
        const int field = (int)(key >> 3), type = (int)(key & 7);
        if (type == 0) {
            assert_true(depth == 0 && field == 2);
            out->step = (int64_t)varint(&at);
        } else if (type == 1) {
            assert_true(depth == 0 && field == 1);
            memcpy(&out->wall_time, at, 8);
            at += 8;
        } else if (type == 5) {
            assert_true(depth == 2 && field == 2);
            memcpy(&out->value, at, 4);
            at += 4;
        } else {
            assert_int_equal(type, 2);
            const size_t size = (size_t)varint(&at);
            assert_true(at + size <= end);
            if (depth == 0 && field == 3)
                memcpy(out->version, at, size);
            else if (depth == 2 && field == 1)
                memcpy(out->tag, at, size);
            else
                parse(out, at, at + size, depth + 1);
            at += size;
        }
    }
    assert_true(at == end);
}

/* All events of the only file of a folder; returns their number. */
static int read_events(pare_context *ctx, const char *folder, event *out, int max)
{
    pri_bytes file = {0};
    char **names, *path;
    int64_t n_files;
    int count = 0;

    test_ok(ctx, pri_list_directory(&names, &n_files, ctx, folder));
    assert_int_equal(n_files, 1);
    assert_memory_equal(names[0], "events.out.tfevents.", 20);
    path = pri_path_join(ctx, folder, names[0]);
    test_ok(ctx, pri_file_read(&file, ctx, path));
    for (size_t at = 0; at < file.size_bytes;) {
        const unsigned char *record = file.data + at;
        assert_true(file.size_bytes - at > 16 && count < max);
        const size_t length = (size_t)little(record, 8);
        assert_true(length <= file.size_bytes - at - 16);
        assert_true(little(record + 8, 4) == pri_crc32c_masked(record, 8));
        assert_true(little(record + 12 + length, 4) == pri_crc32c_masked(record + 12, length));
        memset(&out[count], 0, sizeof *out);
        parse(&out[count++], record + 12, record + 12 + length, 0);
        at += 16 + length;
    }
    pri_bytes_clear(&file);
    pri_names_free(names, n_files);
    pri_free(path);
    return count;
}

static void checksums_are_those_of_the_standard(void **state)
{
    unsigned char bytes[32] = {0};

    (void)state;
    assert_true(pri_crc32c("123456789", 9) == 0xe3069283u);
    assert_true(pri_crc32c(bytes, 32) == 0x8a9136aau); /* RFC 3720, B.4 */
    memset(bytes, 0xff, 32);
    assert_true(pri_crc32c(bytes, 32) == 0x62a8ab43u);
    assert_true(pri_crc32c_masked("123456789", 9) ==
                (uint32_t)((0xe3069283u >> 15 | 0xe3069283u << 17) + 0xa282ead8u));
}

static void numbers_come_back(void **state)
{
    const char *folder = test_folder();
    pare_context *ctx = test_context();
    pri_events events;
    event read[8];

    (void)state;
    test_ok(ctx, pri_events_open(&events, ctx, folder));
    test_ok(ctx, pri_events_add(&events, "train/loss", 0, 0.25));
    test_ok(ctx, pri_events_add(&events, "val/nothing", 1, NAN));
    test_ok(ctx, pri_events_add(&events, "lr", INT64_C(1) << 40, -3e-7));
    test_ok(ctx, pri_events_flush(&events));
    pri_events_close(&events);
    assert_int_equal(read_events(ctx, folder, read, 8), 3);
    assert_string_equal(read[0].version, "brain.Event:2");
    assert_string_equal(read[1].tag, "train/loss");
    assert_true(read[1].value == 0.25f && read[1].step == 0 && read[1].wall_time > 1e9);
    assert_string_equal(read[2].tag, "lr");
    assert_true(read[2].value == -3e-7f && read[2].step == INT64_C(1) << 40);
    pare_context_free(ctx);
    test_remove_folder(folder);
}

static void on_steps(void *user, const pare_steps *steps)
{
    int *count = user;

    assert_true(steps->step == *count % 4 + 1 && steps->steps == 4);
    ++*count;
    assert_true(isfinite(steps->loss) && steps->learning_rate > 0);
}

static void a_run_tells_steps_and_epochs(void **state)
{
    const char *folder = test_folder();
    pare_context *ctx = test_context();
    pare_train_options options = train_basic;
    event read[100];
    int count = 0, losses = 0, accuracies = 0;

    (void)state;
    options.tensorboard = folder;
    options.on_steps = on_steps;
    options.user = &count;
    pare_model *model = train_small_run(ctx, &options, NULL);
    assert_int_equal(count, 16);
    const int n = read_events(ctx, folder, read, 100);
    for (int i = 0; i < n; i++) {
        losses += strcmp(read[i].tag, "train/loss") == 0 && read[i].step == losses + 1;
        accuracies +=
            strcmp(read[i].tag, "val/accuracy") == 0 && read[i].step == 4 * accuracies + 4;
        assert_null(strstr(read[i].tag, "miou"));
    }
    assert_true(losses == 16 && accuracies == 4);
    pare_model_free(model);
    options.tensorboard = "/dev/null/events";
    train_assert_refused(ctx, &options, PARE_ERROR_FILE, "/dev/null/events");
    pare_context_free(ctx);
    test_remove_folder(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checksums_are_those_of_the_standard),
        cmocka_unit_test(numbers_come_back),
        cmocka_unit_test(a_run_tells_steps_and_epochs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
