/* SPDX-License-Identifier: Apache-2.0 */
/* The prefetching loader: content, order, blending, errors, cancel, early ends. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "data/prefetch.h"
#include "ref/images.h"

enum { N = 30, H = 8, W = 8, AREA = H * W, BATCH = 7, STEPS = 20 };

typedef struct set {
    pare_data data;
    uint8_t pixels[N * AREA], masks[N * AREA];
    int32_t labels[N];
} set;

static set *new_set(pare_context *ctx)
{
    set *s = calloc(1, sizeof *s);

    assert_non_null(s);
    s->data = (pare_data){.ctx = ctx,
                          .count = N,
                          .channels = 1,
                          .height = H,
                          .width = W,
                          .classes = N,
                          .mask_classes = 3,
                          .pixels = s->pixels,
                          .labels = s->labels,
                          .masks = s->masks};
    for (int i = 0; i < N * AREA; i++) {
        s->pixels[i] = (uint8_t)pri_random_bits(1, PRI_STREAM_TEST, (uint64_t)i);
        s->masks[i] = (uint8_t)pri_random_below(3, 2, PRI_STREAM_TEST, (uint64_t)i);
    }
    for (int n = 0; n < N; n++)
        s->labels[n] = n;
    return s;
}

static const pri_preprocess plain = {.scale = 255, .std = {1, 1, 1, 1}};

static uint64_t plan(void *user, int64_t b, int64_t *order)
{
    (void)user;
    for (int i = 0; i < BATCH; i++)
        order[i] = (b * BATCH + i * 5) % N;
    return (uint64_t)b / 3;
}

static pri_prefetch_options options_for(const set *s, const pare_augment *augment, int threads)
{
    return (pri_prefetch_options){.data = &s->data,
                                  .preprocess = &plain,
                                  .augment = augment,
                                  .batch = BATCH,
                                  .count = STEPS,
                                  .plan = plan,
                                  .wants_truth = true,
                                  .threads = threads};
}

static void batches_are_those_made_alone(void **state)
{
    static const pare_augment kinds[] = {
        {0}, {.flip = true, .crop = 2, .noise = 0.1f}, {.rotate = 20, .mixup = 0.5f, .cutmix = 1}};
    pare_context *ctx = test_context();
    set *s = new_set(ctx);

    (void)state;
    for (size_t k = 0; k < PRI_COUNT(kinds); k++) {
        for (int threads = 1; threads <= 4; threads++) {
            const pri_prefetch_options options = options_for(s, &kinds[k], threads);
            pri_prefetch *p = NULL;
            pri_room room = {0};
            test_ok(ctx, pri_prefetch_open(&p, ctx, &options));
            for (int b = 0; b < STEPS; b++) {
                const pri_batch *got;
                const int64_t *order;
                int64_t wanted[BATCH];
                float images[AREA], weight;
                int32_t label, label2;
                uint8_t mask[AREA], mask2[AREA];
                const uint64_t seed = plan(NULL, b, wanted);
                const pri_batch_job job = {&s->data, &plain, &kinds[k], seed};
                const pri_batch one = {images, &label, &label2, &weight, mask, mask2};
                test_ok(ctx, pri_prefetch_next(p, &got, &order));
                for (int i = 0; i < BATCH; i++) {
                    assert_int_equal(order[i], wanted[i]);
                    test_ok(ctx, pri_batch_write(&one, 0, &job, wanted[i], &room));
                    assert_memory_equal(got->images + i * AREA, images, sizeof images);
                    assert_memory_equal(got->masks + i * AREA, mask, AREA);
                    assert_int_equal(got->labels[i], label);
                    assert_int_equal(got->weights != NULL, k == 2);
                    if (k == 2) {
                        assert_int_equal(got->labels2[i], label2);
                        assert_true(got->weights[i] == weight);
                        assert_memory_equal(got->masks2 + i * AREA, mask2, AREA);
                    }
                }
            }
            assert_true(pri_prefetch_waited_s(p) >= 0);
            pri_prefetch_close(p);
            pri_room_clear(&room);
        }
    }
    free(s);
    pare_context_free(ctx);
}

static void may_end_at_any_batch(void **state)
{
    pare_context *ctx = test_context();
    set *s = new_set(ctx);

    (void)state;
    for (int stop = 0; stop < 6; stop++) {
        pri_prefetch_options options = options_for(s, NULL, 3);
        pri_prefetch *p = NULL;
        options.first = 2;
        test_ok(ctx, pri_prefetch_open(&p, ctx, &options));
        for (int b = 0; b < stop; b++) {
            const pri_batch *got;
            const int64_t *order;
            test_ok(ctx, pri_prefetch_next(p, &got, &order));
            assert_int_equal(order[0], (b + 2) * BATCH % N);
        }
        pri_prefetch_close(p);
    }
    pri_prefetch_close(NULL);
    free(s);
    pare_context_free(ctx);
}

static void a_cancel_is_seen(void **state)
{
    pare_context *ctx = test_context();
    set *s = new_set(ctx);
    const pri_prefetch_options options = options_for(s, NULL, 2);
    const pri_batch *got;
    pri_prefetch *p = NULL;
    pare_status status = PARE_OK;

    (void)state;
    test_ok(ctx, pri_prefetch_open(&p, ctx, &options));
    pare_context_cancel(ctx);
    for (int b = 0; b < STEPS && status == PARE_OK; b++) /* batches that are ready may still come */
        status = pri_prefetch_next(p, &got, NULL);
    assert_true(status == PARE_OK || status == PARE_ERROR_CANCELLED);
    pri_prefetch_close(p);
    free(s);
    pare_context_free(ctx);
}

/* A folder above its budget, of which a file goes away after opening. */
static void files_that_vanish_are_an_error(void **state)
{
    char name[32];
    const pri_batch *got;
    pri_prefetch *p = NULL;
    pare_data *data = NULL;
    pare_status status = PARE_OK;
    int good = 0;
    test_files files;

    (void)state;
    test_files_init(&files);
    for (int n = 0; n < N; n++) {
        snprintf(name, sizeof name, "d/test/c%d/%02d.png", n % 3, n);
        test_write_flat(&files, name, H, W, false, (uint8_t)n);
    }
    test_ok(files.ctx, pare_data_open(&data, files.ctx, test_path(&files, "d"),
                                      &(pare_data_options){.memory = 1}));
    assert_int_equal(pare_data_count(data), N);
    assert_null(data->pixels);
    pri_prefetch_options options = {.data = data,
                                    .preprocess = &plain,
                                    .batch = BATCH,
                                    .count = STEPS,
                                    .plan = plan,
                                    .wants_truth = true,
                                    .threads = 3};
    test_ok(files.ctx, pri_prefetch_open(&p, files.ctx, &options));
    for (int b = 0; b < STEPS; b++)
        test_ok(files.ctx, pri_prefetch_next(p, &got, NULL));
    assert_true(got->images[0] >= 0 && got->images[0] < 1);
    pri_prefetch_close(p);
    remove(test_path(&files, "d/test/c2/20.png"));
    test_ok(files.ctx, pri_prefetch_open(&p, files.ctx, &options));
    for (; good < STEPS && status == PARE_OK; good++)
        status = pri_prefetch_next(p, &got, NULL);
    assert_int_equal(status, PARE_ERROR_DATA);
    assert_non_null(strstr(pare_context_message(files.ctx), "20.png"));
    pri_prefetch_close(p);
    pare_data_free(data);
    test_files_clear(&files);
}

/* --- Sets that are not held --- */

static void large_sets_are_decoded_when_used(void **state)
{
    pare_data *held = NULL, *part = NULL, *sample = NULL, *sample_held = NULL;
    const pri_preprocess bytes = {.scale = 1, .std = {1, 1, 1, 1}};
    const int64_t order[6] = {5, 0, 3, 1, 4, 2};
    float a[6 * 20], b[6 * 20];
    test_files files;

    (void)state;
    test_files_init(&files);
    test_write_numbered(&files, 6);
    test_write_text(&files, "m/test.csv",
                    "i0.png,0\ni1.png,1\ni2.png,2\ni3.png,3\ni4.png,4\ni5.png,5\n");
    test_ok(files.ctx, pare_data_open(&held, files.ctx, test_path(&files, "m"), NULL));
    pare_data_options options = {.memory = 3 * 20 * 2};
    test_ok(files.ctx, pare_data_open(&part, files.ctx, test_path(&files, "m"), &options));
    assert_null(part->pixels);
    pri_data_batch(held, &bytes, order, 6, NULL, 0, a, NULL, NULL);
    pri_data_batch(part, &bytes, order, 6, NULL, 0, b, NULL, NULL);
    assert_memory_equal(a, b, sizeof a);
    assert_true(a[0] == 50);
    test_ok(files.ctx, pare_data_sample(&sample, part, 4, 1));
    test_ok(files.ctx, pare_data_sample(&sample_held, held, 4, 1));
    pare_data_free(part);
    pri_data_batch(sample_held, &bytes, (const int64_t[]){0, 1, 2, 3}, 4, NULL, 0, a, NULL, NULL);
    pri_data_batch(sample, &bytes, (const int64_t[]){0, 1, 2, 3}, 4, NULL, 0, b, NULL, NULL);
    assert_memory_equal(a, b, 4 * 20 * sizeof *a);
    remove(test_path(&files, "m/i5.png"));
    test_ok(files.ctx, pare_data_open(&part, files.ctx, test_path(&files, "m"), &options));
    remove(test_path(&files, "m/i4.png"));
    assert_int_not_equal(pri_data_batch(part, &bytes, order + 1, 5, NULL, 0, b, NULL, NULL),
                         PARE_OK);
    assert_non_null(strstr(pare_context_message(files.ctx), "i4.png"));
    pare_data_free(part);
    pare_data_free(sample);
    pare_data_free(sample_held);
    pare_data_free(held);
    test_files_clear(&files);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_are_those_made_alone),
        cmocka_unit_test(may_end_at_any_batch),
        cmocka_unit_test(a_cancel_is_seen),
        cmocka_unit_test(files_that_vanish_are_an_error),
        cmocka_unit_test(large_sets_are_decoded_when_used),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
