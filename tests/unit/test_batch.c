/* SPDX-License-Identifier: Apache-2.0 */
/* Batches: preprocessing, layouts, random changes; and fitting images to a model. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "data/data.h"
#include "ref/images.h"

enum { N = 40, H = 7, W = 9, AREA = H * W };

/* Random images of `channels`, labels n % 5 and random masks of 6 classes, in plain memory. */
typedef struct sample {
    pare_data data;
    uint8_t pixels[N * AREA * 3], masks[N * AREA];
    int32_t labels[N];
    int64_t order[N];
    float out[N * AREA * 3];
    uint8_t out_masks[N * AREA];
    int32_t out_labels[N];
} sample;

static sample *new_sample(pare_context *ctx, int channels)
{
    sample *s = calloc(1, sizeof *s);

    assert_non_null(s);
    s->data = (pare_data){.ctx = ctx,
                          .count = N,
                          .channels = channels,
                          .height = H,
                          .width = W,
                          .classes = 5,
                          .mask_classes = 6,
                          .pixels = s->pixels,
                          .labels = s->labels,
                          .masks = s->masks};
    for (int i = 0; i < N * AREA * 3; i++)
        s->pixels[i] = (uint8_t)pri_random_below(256, 1, PRI_STREAM_TEST, (uint64_t)i);
    for (int i = 0; i < N * AREA; i++)
        s->masks[i] = (uint8_t)pri_random_below(6, 2, PRI_STREAM_TEST, (uint64_t)i);
    for (int n = 0; n < N; n++) {
        s->labels[n] = n % 5;
        s->order[n] = (n * 7 + 3) % N;
    }
    return s;
}

static void run(sample *s, const char *preprocess, const pare_augment *augment, uint64_t seed)
{
    pri_preprocess parsed;

    test_ok(s->data.ctx, pri_preprocess_parse(&parsed, s->data.ctx, preprocess));
    pri_data_batch(&s->data, &parsed, s->order, N, augment, seed, s->out, s->out_labels,
                   s->out_masks);
}

static void plain_batches_follow_the_formula(void **state)
{
    static const float mean[3] = {0.1f, 0.2f, 0.3f}, std[3] = {0.5f, 0.25f, 2};
    pare_context *ctx = test_context();
    sample *s = new_sample(ctx, 3);

    (void)state;
    for (int variant = 0; variant < 4; variant++) {
        const bool bgr = variant % 2 == 1, nhwc = variant >= 2;
        char text[128];
        snprintf(text, sizeof text, "scale=100,mean=.1 .2 .3,std=.5 .25 2,order=%s,layout=%s",
                 bgr ? "bgr" : "rgb", nhwc ? "nhwc" : "nchw");
        run(s, text, NULL, 0);
        for (int n = 0; n < N; n++) {
            assert_int_equal(s->out_labels[n], s->order[n] % 5);
            assert_memory_equal(s->out_masks + n * AREA, s->masks + s->order[n] * AREA, AREA);
            for (int p = 0; p < AREA; p++) {
                for (int c = 0; c < 3; c++) {
                    const int pixel = s->pixels[(s->order[n] * AREA + p) * 3 + (bgr ? 2 - c : c)];
                    const float x = s->out[n * AREA * 3 + (nhwc ? p * 3 + c : c * AREA + p)];
                    assert_true(fabsf(x - ((float)pixel / 100 - mean[c]) / std[c]) < 2e-5f);
                }
            }
        }
    }
    free(s);
    pare_context_free(ctx);
}

static void sets_without_labels_and_masks_say_so(void **state)
{
    pare_context *ctx = test_context();
    sample *s = new_sample(ctx, 1);

    (void)state;
    s->data.labels = NULL;
    s->data.masks = NULL;
    run(s, "none", NULL, 0);
    assert_int_equal(s->out_labels[3], -1);
    assert_int_equal(s->out_masks[3], PARE_IGNORE);
    free(s);
    pare_context_free(ctx);
}

/* Images that are their masks: whatever happens to one must happen to the other. Outside, pixels
 * are 0 and masks PARE_IGNORE, so values are moved up by one to tell them apart. */
static void masks_move_with_their_image(void **state)
{
    static const pare_augment kinds[] = {
        {.flip = true}, {.crop = 3}, {.flip = true, .crop = 4}, {.flip = true, .crop = 30}};
    static const char *const layouts[] = {"none", "scale=1,layout=nhwc"};
    pare_context *ctx = test_context();

    (void)state;
    for (int channels = 1; channels <= 3; channels += 2) {
        sample *s = new_sample(ctx, channels);
        int outside = 0, inside = 0, moved = 0;
        for (int i = 0; i < N * AREA; i++)
            memset(s->pixels + i * channels, s->masks[i] + 1, (size_t)channels);
        for (size_t k = 0; k < 2 * PRI_COUNT(kinds); k++) {
            const bool nhwc = k % 2 == 1;
            run(s, layouts[k % 2], &kinds[k / 2], 11);
            for (int i = 0; i < N * AREA * channels; i++) {
                const int n = i / (AREA * channels), j = i % (AREA * channels);
                const int p = nhwc ? j / channels : j % AREA;
                const int mask = s->out_masks[n * AREA + p];
                assert_int_equal((int)s->out[i], mask == PARE_IGNORE ? 0 : mask + 1);
                outside += mask == PARE_IGNORE;
                inside += mask != PARE_IGNORE;
                moved += mask != s->masks[s->order[n] * AREA + p];
            }
        }
        assert_true(outside > 0 && inside > 0 && moved > outside);
        free(s);
    }
    pare_context_free(ctx);
}

/* A flip is a mirror image or nothing, one in two. */
static void flips_are_exact(void **state)
{
    pare_context *ctx = test_context();
    sample *s = new_sample(ctx, 1);
    int flipped = 0;

    (void)state;
    run(s, "none", &(pare_augment){.flip = true}, 4);
    for (int n = 0; n < N; n++) {
        const uint8_t *image = s->pixels + s->order[n] * AREA;
        const bool is_flipped = s->out[n * AREA] != image[0] || s->out[n * AREA + 1] != image[1];
        for (int p = 0; p < AREA; p++)
            assert_int_equal((int)s->out[n * AREA + p],
                             image[is_flipped ? p / W * W + W - 1 - p % W : p]);
        flipped += is_flipped;
    }
    assert_true(flipped > N / 4 && flipped < 3 * N / 4);
    free(s);
    pare_context_free(ctx);
}

static double mean_of(const float *x, int count)
{
    double sum = 0;

    for (int i = 0; i < count; i++)
        sum += x[i];
    return sum / count;
}

/* Brightness moves the mean and nothing else, contrast everything but the mean. */
static void colours_change_as_stated(void **state)
{
    pare_context *ctx = test_context();
    sample *s = new_sample(ctx, 1);
    double largest[2] = {0, 0};

    (void)state;
    run(s, "none", &(pare_augment){.brightness = 0.2f}, 8);
    for (int n = 0; n < N; n++) {
        const uint8_t *image = s->pixels + s->order[n] * AREA;
        const float added = s->out[n * AREA] - image[0];
        assert_true(fabsf(added) <= 0.2f * 255 + 1e-3f);
        for (int p = 0; p < AREA; p++)
            assert_true(fabsf(s->out[n * AREA + p] - (float)image[p] - added) < 1e-3f);
        largest[0] = fmax(largest[0], fabsf(added));
    }
    run(s, "none", &(pare_augment){.contrast = 0.5f}, 8);
    for (int n = 0; n < N; n++) {
        const uint8_t *image = s->pixels + s->order[n] * AREA;
        const float *out = s->out + n * AREA;
        double mean = 0;
        for (int p = 0; p < AREA; p++)
            mean += (double)image[p] / AREA;
        assert_true(fabs(mean_of(out, AREA) - mean) < 0.01);
        const double factor = (out[5] - mean) / (image[5] - mean);
        assert_true(factor > 0.49 && factor < 1.51);
        assert_true(fabs(out[9] - mean - factor * (image[9] - mean)) < 0.05);
        largest[1] = fmax(largest[1], fabs(factor - 1));
    }
    assert_true(largest[0] > 30 && largest[1] > 0.3);
    free(s);
    pare_context_free(ctx);
}

static void noise_is_nearly_normal(void **state)
{
    enum { COUNT = N * AREA * 3 };
    pare_context *ctx = test_context();
    sample *s = new_sample(ctx, 3);
    double sum = 0, square = 0, neighbours = 0, fourth = 0, last = 0;

    (void)state;
    memset(s->pixels, 100, sizeof s->pixels);
    run(s, "none", &(pare_augment){.noise = 0.1f}, 2);
    for (int i = 0; i < COUNT; i++) {
        const double z = (s->out[i] - 100) / 25.5;
        sum += z;
        square += z * z;
        fourth += z * z * z * z;
        neighbours += z * last;
        last = z;
    }
    assert_true(fabs(sum / COUNT) < 0.05);
    assert_true(fabs(square / COUNT - 1) < 0.05);
    assert_true(fabs(fourth / COUNT - 2.85) < 0.3);
    assert_true(fabs(neighbours / COUNT) < 0.05);
    free(s);
    pare_context_free(ctx);
}

/* What becomes of an image depends on the seed and its number, not on its place or company. */
static void changes_depend_on_seed_and_number_alone(void **state)
{
    const pare_augment all = {
        .flip = true, .crop = 2, .brightness = 0.1f, .contrast = 0.2f, .noise = 0.05f};
    pare_context *ctx = test_context();
    sample *s = new_sample(ctx, 3);
    float alone[AREA * 3];
    pri_preprocess preprocess;

    (void)state;
    test_ok(ctx, pri_preprocess_parse(&preprocess, ctx, "imagenet"));
    run(s, "imagenet", &all, 3);
    for (int n = 0; n < N; n++) {
        pri_data_batch(&s->data, &preprocess, &s->order[n], 1, &all, 3, alone, NULL, NULL);
        assert_memory_equal(alone, s->out + n * AREA * 3, sizeof alone);
    }
    pri_data_batch(&s->data, &preprocess, &s->order[0], 1, &all, 4, alone, NULL, NULL);
    assert_memory_not_equal(alone, s->out, sizeof alone);
    free(s);
    pare_context_free(ctx);
}

/* --- Preprocessing and models --- */

static void preprocessing_text_is_checked(void **state)
{
    static const char *const good[] = {"unit",
                                       "none",
                                       "cifar10",
                                       "imagenet",
                                       "scale=1",
                                       "mean=0.5 0.4 0.3",
                                       "size=8x9,order=rgb,layout=nchw"};
    static const char *const bad[] = {
        "",           ",",         "scale=0",  "scale=-1",       "scale=nan",
        "std=0",      "mean=",     "mean=a",   "order=grb",      "order=bgrx",
        "layout=hwc", "size=8",    "size=8x",  "size=0x8",       "size=8x99999999",
        "size=8x8x8", "imagenet2", "scale=1,", "scale=1;mean=0", "mean=1 2 3 4 5"};
    pare_context *ctx = test_context();
    pri_preprocess p;

    (void)state;
    for (size_t i = 0; i < PRI_COUNT(good); i++)
        test_ok(ctx, pri_preprocess_parse(&p, ctx, good[i]));
    assert_true(p.height == 8 && p.width == 9 && !p.is_bgr && !p.is_nhwc && p.states_layout);
    assert_true(p.scale == 255 && p.mean[2] == 0 && p.std[2] == 1);
    for (size_t i = 0; i < PRI_COUNT(bad); i++) {
        if (pri_preprocess_parse(&p, ctx, bad[i]) != PARE_ERROR_ARGUMENT)
            fail_msg("'%s' was accepted", bad[i]);
    }
    pare_context_free(ctx);
}

static pare_data_options fitted(pare_model *model, int rank, const int64_t *dims,
                                const char *preprocess)
{
    pare_data_options options = {0};
    pare_context *ctx = test_context();

    test_ok(ctx, pare_model_set_input_shape(model, 0, rank, dims));
    test_ok(ctx, pare_model_set_preprocess(model, preprocess));
    test_ok(ctx, pare_data_fit_options(&options, model));
    pare_context_free(ctx);
    return options;
}

static void options_fit_the_model(void **state)
{
    const char *path = test_shared("models/resnet20_cifar10.onnx");
    pare_model *model = NULL;

    (void)state;
    if (path == NULL)
        skip();
    pare_context *ctx = test_context();
    test_ok(ctx, pare_model_load(&model, ctx, path));
    pare_data_options o = fitted(model, 4, (int64_t[]){-1, 3, 32, 40}, "unit");
    assert_true(o.channels == 3 && o.height == 32 && o.width == 40);
    o = fitted(model, 4, (int64_t[]){1, 24, 32, 1}, "unit"); /* channels last, as the shape shows */
    assert_true(o.channels == 1 && o.height == 24 && o.width == 32);
    o = fitted(model, 4, (int64_t[]){1, 3, 16, 3}, "layout=nhwc");
    assert_true(o.channels == 3 && o.height == 3 && o.width == 16);
    o = fitted(model, 4, (int64_t[]){-1, 3, -1, -1}, "unit");
    assert_true(o.channels == 3 && o.height == 0 && o.width == 0);
    o = fitted(model, 4, (int64_t[]){-1, 3, -1, -1}, "size=24x48");
    assert_true(o.channels == 3 && o.height == 24 && o.width == 48);
    o = (pare_data_options){.channels = 1, .height = 5};
    test_ok(ctx, pare_data_fit_options(&o, model));
    assert_true(o.channels == 1 && o.height == 5 && o.width == 48);
    test_ok(ctx, pare_model_set_input_shape(model, 0, 4, (int64_t[]){-1, 3, 32, 32}));
    assert_int_equal(pare_data_fit_options(&o, model), PARE_ERROR_SHAPE);
    pare_model_free(model);
    pare_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_batches_follow_the_formula),
        cmocka_unit_test(sets_without_labels_and_masks_say_so),
        cmocka_unit_test(masks_move_with_their_image),
        cmocka_unit_test(flips_are_exact),
        cmocka_unit_test(colours_change_as_stated),
        cmocka_unit_test(noise_is_nearly_normal),
        cmocka_unit_test(changes_depend_on_seed_and_number_alone),
        cmocka_unit_test(preprocessing_text_is_checked),
        cmocka_unit_test(options_fit_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
