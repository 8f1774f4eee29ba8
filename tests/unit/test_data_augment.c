/* SPDX-License-Identifier: Apache-2.0 */
/* Random changes: the parser, each change's promise, masks that move along, blending. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "data/batch.h"
#include "support.h"
#include "train/loss.h"

enum { N = 24, H = 16, W = 20, AREA = H * W, C = 3 };

typedef struct set {
    pare_data data;
    uint8_t pixels[N * AREA * C], masks[N * AREA];
    int32_t labels[N];
    int64_t order[N];
} set;

typedef struct result {
    float images[N * AREA * C], weights[N];
    int32_t labels[N], labels2[N];
    uint8_t masks[N * AREA], masks2[N * AREA];
} result;

/* Blocks of 4x4 of one class; pixels are a function of the class. */
static set *new_set(pare_context *ctx)
{
    set *s = calloc(1, sizeof *s);

    assert_non_null(s);
    s->data = (pare_data){.ctx = ctx,
                          .count = N,
                          .channels = C,
                          .height = H,
                          .width = W,
                          .classes = N,
                          .mask_classes = 6,
                          .pixels = s->pixels,
                          .labels = s->labels,
                          .masks = s->masks};
    for (int n = 0; n < N; n++) {
        s->labels[n] = n;
        s->order[n] = n;
        for (int p = 0; p < AREA; p++) {
            const int block = n * 64 + p / W / 4 * 8 + p % W / 4;
            const int class = (int)pri_random_below(6, 1, PRI_STREAM_TEST, (uint64_t)block);
            s->masks[n * AREA + p] = (uint8_t) class;
            for (int c = 0; c < C; c++)
                s->pixels[(n * AREA + p) * C + c] = (uint8_t)(40 * class + 10 + 5 * c);
        }
    }
    return s;
}

static const pri_preprocess plain = {.scale = 1, .std = {1, 1, 1, 1}, .is_nhwc = true};

static void run(const set *s, const char *augment, uint64_t seed, result *out)
{
    const pri_batch batch = {out->images,  out->labels, out->labels2,
                             out->weights, out->masks,  out->masks2};
    pare_augment a = {0};
    pri_room room = {0};

    test_ok(s->data.ctx, pare_augment_parse(&a, s->data.ctx, augment));
    const pri_batch_job job = {&s->data, &plain, &a, seed};
    for (int n = 0; n < N; n++)
        test_ok(s->data.ctx, pri_batch_write(&batch, n, &job, s->order[n], &room));
    pri_room_clear(&room);
}

static void words_are_read_and_refused(void **state)
{
    static const struct {
        const char *text, *word;
    } bad[] = {{"rotat=10", "'rotate'"},        {"flipp", "'flip'"},
               {"rotate", "rotate=DEGREES"},    {"rotate=200", "180"},
               {"flip=1", "no value"},          {"crop=1.5", "crop=PIXELS"},
               {"rand=2", "rand=N:M"},          {"rand=2:11", "rand=N:M"},
               {"rand=99:2", "rand=N:M"},       {"mixup=nan", "mixup"},
               {"crop=99999999999999", "crop"}, {"=", "nearest"},
               {"flip,,crop=1", "nearest"}};
    pare_context *ctx = test_context();
    pare_augment a = {0};
    const char *word, *summary;

    (void)state;
    test_ok(ctx, pare_augment_parse(&a, ctx, NULL));
    test_ok(ctx, pare_augment_parse(&a, ctx,
                                    "flip,crop=4,rotate=10,rand=2:5.5,gray=0.1,resized_crop=.3"));
    assert_true(a.flip && a.crop == 4 && a.rotate == 10 && a.policy_count == 2);
    assert_true(a.policy_magnitude == 5.5f && a.grayscale == 0.1f && a.resized_crop == 0.3f &&
                !a.vflip);
    for (size_t i = 0; i < PRI_COUNT(bad); i++) {
        pare_augment kept = a;
        assert_int_equal(pare_augment_parse(&kept, ctx, bad[i].text), PARE_ERROR_ARGUMENT);
        if (strstr(pare_context_message(ctx), bad[i].word) == NULL)
            fail_msg("'%s' lacks '%s'", pare_context_message(ctx), bad[i].word);
        assert_memory_equal(&kept, &a, sizeof a);
    }
    for (int k = 0; pare_augment_describe(k, &word, &summary); k++)
        assert_true(strlen(word) > 0 && strlen(summary) > 0);
    assert_int_equal(pri_augment_check(ctx, &(pare_augment){.noise = -1}), PARE_ERROR_ARGUMENT);
    assert_int_equal(pri_augment_check(ctx, &(pare_augment){.hue = NAN}), PARE_ERROR_ARGUMENT);
    assert_int_not_equal(pri_augment_hash(1, &(pare_augment){.hue = 0.1f}),
                         pri_augment_hash(1, &(pare_augment){0}));
    pare_context_free(ctx);
}

static const char *const all_words[] = {
    "flip",
    "vflip",
    "crop=3",
    "resized_crop=0.4",
    "rotate=40",
    "brightness=0.2",
    "contrast=0.4",
    "saturation=0.8",
    "hue=0.5",
    "gray=0.5",
    "blur=2",
    "noise=0.1",
    "cutout=0.4",
    "mixup=0.4",
    "cutmix=1",
    "rand=2:8",
    "flip,vflip,crop=2,rotate=10,rand=1:4,cutmix=0.5,mixup=0.5"};

static void each_image_is_a_function_of_seed_and_number(void **state)
{
    pare_context *ctx = test_context();
    set *s = new_set(ctx);
    result *a = calloc(2, sizeof *a), *b = a + 1;

    (void)state;
    for (size_t i = 0; i < PRI_COUNT(all_words); i++) {
        pare_augment augment = {0};
        memset(a, 0, 2 * sizeof *a);
        run(s, all_words[i], 5, a);
        for (int n = 0; n < N / 2; n++) { /* another order, all threads, the other entrance */
            const int64_t kept = s->order[n];
            s->order[n] = s->order[N - 1 - n];
            s->order[N - 1 - n] = kept;
        }
        test_ok(ctx, pare_augment_parse(&augment, ctx, all_words[i]));
        test_ok(ctx, pri_data_batch(&s->data, &plain, s->order, N, &augment, 5, b->images,
                                    b->labels, b->masks));
        for (int n = 0; n < N; n++) {
            assert_memory_equal(a->images + (N - 1 - n) * AREA * C, b->images + n * AREA * C,
                                AREA * C * sizeof(float));
            assert_memory_equal(a->masks + (N - 1 - n) * AREA, b->masks + n * AREA, AREA);
        }
        for (int n = 0; n < N; n++)
            s->order[n] = n;
        run(s, all_words[i], 6, b);
        if (memcmp(a->images, b->images, sizeof a->images) == 0)
            fail_msg("'%s' does not depend on the seed", all_words[i]);
        run(s, "", 5, b);
        if (memcmp(a->images, b->images, sizeof a->images) == 0)
            fail_msg("'%s' changes nothing", all_words[i]);
    }
    free(a);
    free(s);
    pare_context_free(ctx);
}

static bool is_border(const uint8_t *mask, int p)
{
    const int y = p / W, x = p % W;

    for (int v = y - 1; v <= y + 1; v++) {
        for (int u = x - 1; u <= x + 1; u++) {
            if (v < 0 || u < 0 || v >= H || u >= W || mask[v * W + u] != mask[p])
                return true;
        }
    }
    return false;
}

/* Where all neighbours are of one class, pixels are those of that class; elsewhere they may be
 * interpolated. */
static void masks_move_with_pixels(void **state)
{
    static const char *const moves[] = {"flip",
                                        "vflip",
                                        "crop=5",
                                        "resized_crop=0.3",
                                        "rotate=90",
                                        "cutout=0.5",
                                        "flip,vflip,crop=4,resized_crop=0.5,rotate=30,cutout=0.3"};
    pare_context *ctx = test_context();
    set *s = new_set(ctx);
    result *r = calloc(1, sizeof *r);

    (void)state;
    for (size_t i = 0; i < PRI_COUNT(moves); i++) {
        int64_t agree = 0, total = 0, ignored = 0;
        run(s, moves[i], 3, r);
        for (int n = 0; n < N; n++) {
            for (int p = 0; p < AREA; p++) {
                const int class = r->masks[n * AREA + p];
                const float *x = r->images + (n * AREA + p) * C;
                const bool may_differ = i >= 2 && is_border(r->masks + n * AREA, p);
                ignored += class == PARE_IGNORE;
                if (may_differ)
                    continue;
                total++;
                for (int c = 0; c < C; c++)
                    agree += x[c] == (float)(class == PARE_IGNORE ? 0 : 40 * class + 10 + 5 * c);
            }
        }
        if (agree != C * total || total < N * AREA / 8)
            fail_msg("'%s': %lld of %lld values agree with their mask, %lld ignored", moves[i],
                     (long long)agree, (long long)(C * total), (long long)ignored);
        if (i < 2) { /* flips are exact */
            assert_int_equal(total, N * AREA);
            assert_int_equal(ignored, 0);
        }
    }
    free(r);
    free(s);
    pare_context_free(ctx);
}

static void vertical_flips_turn_half_of_the_images(void **state)
{
    pare_context *ctx = test_context();
    set *s = new_set(ctx);
    result *r = calloc(1, sizeof *r);
    int turned = 0;

    (void)state;
    run(s, "vflip", 9, r);
    for (int n = 0; n < N; n++) {
        const uint8_t *mask = r->masks + n * AREA;
        const bool is_turned = memcmp(mask, s->masks + n * AREA, AREA) != 0;
        for (int y = 0; y < H; y++)
            assert_memory_equal(mask + y * W, s->masks + n * AREA + (is_turned ? H - 1 - y : y) * W,
                                W);
        turned += is_turned;
    }
    assert_true(turned > 3 && turned < N - 3);
    free(r);
    free(s);
    pare_context_free(ctx);
}

static pri_canvas flat_canvas(uint8_t *pixels, float *rows, float *column, uint8_t r, uint8_t g,
                              uint8_t b)
{
    for (int p = 0; p < AREA; p++) {
        pixels[3 * p] = r;
        pixels[3 * p + 1] = g;
        pixels[3 * p + 2] = b;
    }
    return (pri_canvas){
        .pixels = pixels, .rows = rows, .column = column, .height = H, .width = W, .channels = 3};
}

static void colours_change_as_stated(void **state)
{
    uint8_t pixels[AREA * 3];
    float rows[AREA * 3], column[W];

    (void)state;
    pri_canvas c = flat_canvas(pixels, rows, column, 200, 100, 50);
    pri_canvas_saturate(&c, 0); /* 0.299 * 200 + 0.587 * 100 + 0.114 * 50 = 124.2 */
    assert_int_equal(pixels[0], 124);
    assert_int_equal(pixels[2], 124);
    c = flat_canvas(pixels, rows, column, 130, 110, 100);
    for (int k = 0; k < 3; k++) { /* three thirds of a circle */
        pri_canvas_turn_hue(&c, 2.0f / 3);
        assert_int_equal(abs(pixels[0] - 130) > 10, k < 2);
        assert_int_equal((299 * pixels[0] + 587 * pixels[1] + 114 * pixels[2]) / 2000, 57);
    }
    assert_in_range(pixels[1], 108, 112);
    assert_in_range(pixels[2], 98, 102);
    c = flat_canvas(pixels, rows, column, 200, 100, 50);
    pri_canvas_blur(&c, 2);
    assert_in_range(pixels[AREA], 0, 255);
    assert_int_equal(pixels[0], 200); /* a flat image stays as it is, also at the border */
    memset(pixels, 0, sizeof pixels);
    pixels[3 * (8 * W + 10)] = 255;
    pri_canvas_blur(&c, 1);
    const int middle = pixels[3 * (8 * W + 10)], beside = pixels[3 * (8 * W + 11)];
    assert_in_range(middle, 38, 43); /* 255 / (2 pi) = 40.6 */
    assert_in_range(beside, 23, 26); /* times exp(-1/2) = 24.6 */
    assert_int_equal(beside, pixels[3 * (7 * W + 10)]);
}

static void policies_of_no_strength_do_nothing(void **state)
{
    pare_context *ctx = test_context();
    set *s = new_set(ctx);
    uint8_t pixels[2][AREA * 3], masks[2][AREA];
    float rows[AREA * 3], column[W];

    (void)state;
    for (int k = 0; k < PRI_POLICY_CHANGES; k++) {
        pri_canvas c = {.pixels = pixels[0],
                        .spare = pixels[1],
                        .mask = masks[0],
                        .spare_mask = masks[1],
                        .rows = rows,
                        .column = column,
                        .height = H,
                        .width = W,
                        .channels = 3};
        memcpy(c.pixels, s->pixels, sizeof pixels[0]);
        memcpy(c.mask, s->masks, sizeof masks[0]);
        pri_canvas_policy(&c, k, 0, 1);
        assert_memory_equal(c.mask, s->masks, AREA);
        const bool is_same = memcmp(c.pixels, s->pixels, sizeof pixels[0]) == 0;
        assert_int_equal(is_same, k < 12); /* autocontrast and equalize have no strength */
        pri_canvas_policy(&c, k, 1, 1);
        if (k > 0 && memcmp(c.pixels, s->pixels, sizeof pixels[0]) == 0)
            fail_msg("change %d does nothing at full strength", k);
    }
    free(s);
    pare_context_free(ctx);
}

/* --- Blending --- */

static void mixup_blends_images_and_labels(void **state)
{
    pare_context *ctx = test_context();
    set *s = new_set(ctx);
    result *r = calloc(1, sizeof *r);
    double sum = 0;

    (void)state;
    run(s, "mixup=1", 2, r);
    for (int n = 0; n < N; n++) {
        const float w = r->weights[n];
        const int64_t other = r->labels2[n]; /* labels are the images' numbers */
        assert_int_equal(r->labels[n], n);
        assert_true(w >= 0 && w <= 1);
        sum += (double)w;
        assert_memory_equal(r->masks + n * AREA, s->masks + n * AREA, AREA);
        assert_memory_equal(r->masks2 + n * AREA, s->masks + other * AREA, AREA);
        for (int i = 0; i < AREA * C; i++) {
            const float wanted =
                w * s->pixels[n * AREA * C + i] + (1 - w) * s->pixels[other * AREA * C + i];
            assert_true(fabsf(r->images[n * AREA * C + i] - wanted) < 1e-3f);
        }
    }
    assert_true(sum > 0.3 * N && sum < 0.7 * N);
    free(r);
    free(s);
    pare_context_free(ctx);
}

static void cutmix_weighs_by_area(void **state)
{
    pare_context *ctx = test_context();
    set *s = new_set(ctx);
    result *r = calloc(1, sizeof *r);
    int mixed = 0;

    (void)state;
    for (int n = 0; n < N; n++) { /* every image of its own colour */
        memset(s->pixels + n * AREA * C, 2 * n + 1, AREA * C);
        memset(s->masks + n * AREA, n, AREA);
    }
    run(s, "cutmix=1", 2, r);
    for (int n = 0; n < N; n++) {
        int foreign = 0;
        for (int p = 0; p < AREA; p++) {
            const int class = r->masks[n * AREA + p];
            foreign += class != n;
            assert_true(class == n || class == r->labels2[n]);
            assert_true(r->images[(n * AREA + p) * C + 1] == (float)(2 * class + 1));
        }
        if (r->labels2[n] != n)
            assert_true(fabsf(r->weights[n] - (1 - (float)foreign / AREA)) < 1e-5f);
        assert_memory_equal(r->masks + n * AREA, r->masks2 + n * AREA, AREA);
        mixed += foreign > 0;
    }
    assert_true(mixed > N / 2);
    free(r);
    free(s);
    pare_context_free(ctx);
}

static void losses_of_blended_images_weigh_both_labels(void **state)
{
    enum { IMAGES = 3, K = 4, P = 5 };
    float logits[IMAGES * K * P], gradient[IMAGES * K * P];
    const float pair[2] = {0, (float)log(3)}, weights[IMAGES] = {0.75f, 0.5f, 1}, share = 0.75f;
    const int32_t label = 1, label2 = 0;
    double partial[2 * IMAGES];
    uint8_t masks[2][IMAGES * P];
    pri_loss loss = {.images = 1,
                     .classes = 2,
                     .positions = 1,
                     .logits = pair,
                     .labels = &label,
                     .labels2 = &label2,
                     .weights = &share,
                     .hard = 1,
                     .temperature = 1,
                     .partial = partial};

    (void)state;
    assert_true(fabs(pri_loss_compute(&loss) - 0.75 * log(4.0 / 3) - 0.25 * log(4)) < 1e-6);
    for (int i = 0; i < IMAGES * K * P; i++)
        logits[i] = (float)pri_random_normal(1, PRI_STREAM_TEST, (uint64_t)i);
    for (int i = 0; i < 2 * IMAGES * P; i++)
        masks[i % 2][i / 2] = i % 9 == 0 ? PARE_IGNORE : (uint8_t)(i % K);
    loss = (pri_loss){.images = IMAGES,
                      .classes = K,
                      .positions = P,
                      .logits = logits,
                      .masks = masks[0],
                      .masks2 = masks[1],
                      .weights = weights,
                      .smoothing = 0.1,
                      .hard = 2,
                      .temperature = 1,
                      .partial = partial,
                      .gradient = gradient};
    (void)pri_loss_compute(&loss);
    loss.gradient = NULL;
    for (int i = 0; i < IMAGES * K * P; i++) {
        const float at = logits[i];
        logits[i] = at + 0.02f;
        const double above = pri_loss_compute(&loss);
        logits[i] = at - 0.02f;
        const double below = pri_loss_compute(&loss);
        logits[i] = at;
        assert_true(fabs((above - below) / 0.04 - (double)gradient[i]) < 5e-5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_read_and_refused),
        cmocka_unit_test(each_image_is_a_function_of_seed_and_number),
        cmocka_unit_test(masks_move_with_pixels),
        cmocka_unit_test(vertical_flips_turn_half_of_the_images),
        cmocka_unit_test(colours_change_as_stated),
        cmocka_unit_test(policies_of_no_strength_do_nothing),
        cmocka_unit_test(mixup_blends_images_and_labels),
        cmocka_unit_test(cutmix_weighs_by_area),
        cmocka_unit_test(losses_of_blended_images_weigh_both_labels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
