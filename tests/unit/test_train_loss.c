/* SPDX-License-Identifier: Apache-2.0 */
/* test_train_loss.c - losses against finite differences and formulas. */
#include "train_nets.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <pare/pare.h>

#include "base/random.h"
#include "train/loss.h"

/* --- Losses and steps --- */

static void check_gradient(pri_loss *loss, float *logits, int64_t count)
{
    float *gradient = loss->gradient;
    double largest = 0;

    assert_true(isfinite(pri_loss_compute(loss)));
    loss->gradient = NULL;
    for (int64_t i = 0; i < count; i++) {
        const float at = logits[i], h = 0.02f;
        logits[i] = at + h;
        const double above = pri_loss_compute(loss);
        logits[i] = at - h;
        const double below = pri_loss_compute(loss);
        logits[i] = at;
        largest = fmax(largest, fabs(gradient[i]));
        assert_true(fabs((above - below) / (2 * h) - gradient[i]) < 5e-5);
    }
    assert_true(largest > 0.01);
    loss->gradient = gradient;
}

static void loss_gradients_agree_with_finite_differences(void **state)
{
    enum { N = 3, K = 5, P = 131 };
    static float logits[N * K * P], teacher[N * K * P], gradient[N * K * P];
    static uint8_t masks[N * P];
    double partial[N * (1 + 3 * K)];
    const int32_t labels[N] = {4, -1, 0};

    (void)state;
    for (int i = 0; i < N * K * P; i++) {
        logits[i] = (float)pri_random_normal(1, PRI_STREAM_TEST, (uint64_t)i);
        teacher[i] = (float)(2 * pri_random_normal(2, PRI_STREAM_TEST, (uint64_t)i));
    }
    for (int i = 0; i < N * P; i++)
        masks[i] = i % 7 == 0 ? PARE_IGNORE : (uint8_t)(i % K);
    pri_loss loss = {.images = N,
                     .classes = K,
                     .positions = 1,
                     .logits = logits,
                     .labels = labels,
                     .hard = 1,
                     .temperature = 1,
                     .partial = partial,
                     .gradient = gradient};
    check_gradient(&loss, logits, N * K);
    assert_true(gradient[K] == 0); /* an image without a label teaches nothing */
    loss.smoothing = 0.1;
    loss.teacher = teacher;
    loss.soft = 0.7;
    loss.temperature = 3;
    check_gradient(&loss, logits, N * K);
    loss = (pri_loss){.images = N,
                      .classes = K,
                      .positions = P,
                      .logits = logits,
                      .masks = masks,
                      .hard = 40,
                      .temperature = 1,
                      .partial = partial,
                      .gradient = gradient};
    check_gradient(&loss, logits, N * K * P);
    loss.teacher = teacher;
    loss.soft = 30;
    loss.hard = 0;
    loss.temperature = 2;
    check_gradient(&loss, logits, N * K * P);
}

/* Cross-entropy and its gradients in doubles; the loss is labelled everywhere but every seventh. */
static void check_cross_entropy(const pri_loss *loss)
{
    const int64_t stride = loss->positions;
    const double even = loss->smoothing / (double)loss->classes;
    double total = 0, labelled = 0;

    for (int64_t i = 0; i < loss->images * stride; i++)
        labelled += loss->masks[i] != PARE_IGNORE;
    for (int64_t i = 0; i < loss->images * stride; i++) {
        const int64_t first = i / stride * loss->classes * stride + i % stride;
        const float *z = loss->logits + first, *g = loss->gradient + first;
        const bool counts = loss->masks[i] != PARE_IGNORE;
        double sum = 0;
        for (int64_t k = 0; k < loss->classes; k++)
            sum += exp((double)z[k * stride]);
        for (int64_t k = 0; k < loss->classes; k++) {
            const double p = exp((double)z[k * stride]) / sum;
            const double q = even + (loss->masks[i] == k ? 1 - loss->smoothing : 0);
            total -= counts ? q * log(p) / labelled : 0;
            assert_true(fabs(g[k * stride] - (counts ? (p - q) / labelled : 0)) < 3e-6 / labelled);
        }
    }
    assert_true(fabs(total - pri_loss_compute(loss)) < 1e-6 * total);
}

static void cross_entropy_agrees_with_doubles(void **state)
{
    enum { COUNT = 2, MOST = 300 };
    static const int64_t classes[] = {2, 11, 128, 129, MOST};
    static const int64_t positions[] = {1, 2, 16, 131, MOST};
    static float z[COUNT * MOST * MOST], g[COUNT * MOST * MOST];
    static uint8_t mask[COUNT * MOST];
    double partial[COUNT * (1 + 3 * MOST)];

    (void)state;
    for (int i = 0; i < COUNT * MOST * MOST; i++)
        z[i] = (float)(3 * pri_random_normal(7, PRI_STREAM_TEST, (uint64_t)i));
    for (size_t k = 0; k < PRI_COUNT(classes) * PRI_COUNT(positions); k++) {
        pri_loss loss = {.images = COUNT,
                         .classes = classes[k / PRI_COUNT(positions)],
                         .positions = positions[k % PRI_COUNT(positions)],
                         .logits = z,
                         .masks = mask,
                         .hard = 1,
                         .temperature = 1,
                         .smoothing = k % 2 == 0 ? 0.1 : 0,
                         .partial = partial,
                         .gradient = g};
        for (int64_t i = 0; i < COUNT * MOST; i++)
            mask[i] = i % 7 == 1 ? PARE_IGNORE : (uint8_t)(i * 5 % pri_min_i64(loss.classes, 200));
        assert_true(isfinite(pri_loss_compute(&loss)));
        check_cross_entropy(&loss);
        const float kept = z[0];
        z[0] = NAN; /* of a position with a label: whoever trains has to see it */
        loss.gradient = NULL;
        assert_true(isnan(pri_loss_compute(&loss)));
        z[0] = kept;
    }
}

static void losses_are_what_the_formulas_say(void **state)
{
    const float logits[2] = {0, (float)log(3)}, teacher[2] = {0, 0};
    const int32_t label[1] = {1};
    double partial[16];
    pri_loss loss = {.images = 1,
                     .classes = 2,
                     .positions = 1,
                     .logits = logits,
                     .labels = label,
                     .hard = 1,
                     .temperature = 1,
                     .partial = partial};

    (void)state;
    assert_true(fabs(pri_loss_compute(&loss) - log(4.0 / 3)) < 1e-6);
    loss.smoothing = 0.5;
    assert_true(fabs(pri_loss_compute(&loss) - (0.75 * log(4.0 / 3) + 0.25 * log(4.0))) < 1e-6);
    loss.hard = 0;
    loss.soft = 1;
    loss.teacher = teacher;
    assert_true(fabs(pri_loss_compute(&loss) - 0.5 * (log(2.0) + log(2.0 / 3))) < 1e-6);
}

enum { N = 3, K = 4, P = 150 };
static float logits[N * K * P], teacher[N * K * P], gradient[N * K * P];
static uint8_t masks[N * P];
static double scratch[N * (1 + 3 * K)];

/* A loss over random logits; every seventh position is not labelled. */
static pri_loss random_loss(const char *mix, int64_t classes, double hard)
{
    pri_loss loss = {.images = N,
                     .classes = classes,
                     .positions = P,
                     .logits = logits,
                     .masks = masks,
                     .hard = hard,
                     .temperature = 1,
                     .partial = scratch,
                     .gradient = gradient};

    for (int i = 0; i < N * K * P; i++) {
        logits[i] = (float)pri_random_normal(3, PRI_STREAM_TEST, (uint64_t)i);
        teacher[i] = (float)(2 * pri_random_normal(4, PRI_STREAM_TEST, (uint64_t)i));
    }
    for (int i = 0; i < N * P; i++)
        masks[i] = i % 7 == 0 ? PARE_IGNORE
                              : (uint8_t)(i % 5 == 0 ? 1 : i % (int)(classes > 1 ? classes : 2));
    assert_int_equal(pri_loss_scratch(N, K), (int64_t)PRI_COUNT(scratch));
    assert_true(pri_loss_parse(&loss.mix, mix));
    return loss;
}

static void every_term_agrees_with_finite_differences(void **state)
{
    static const float weights[K] = {0.5f, 2, 1, 0.25f};
    static const char *const many[] = {"ce",      "focal",       "focal=0.5",
                                       "focal=4", "bce",         "mse",
                                       "dice",    "ce+0.5*dice", "2*bce+dice+0.1*mse+focal=1"};
    static const char *const single[] = {"bce", "mse", "dice", "bce+dice"};

    (void)state;
    for (size_t k = 0; k < PRI_COUNT(many); k++) {
        pri_loss loss = random_loss(many[k], K, 40);
        check_gradient(&loss, logits, N * K * P);
        assert_true(gradient[0] == 0); /* the first position is not labelled */
        loss.class_weights = weights;
        check_gradient(&loss, logits, N * K * P);
    }
    for (size_t k = 0; k < PRI_COUNT(single); k++) {
        pri_loss loss = random_loss(single[k], 1, 40);
        check_gradient(&loss, logits, N * P);
        loss.class_weights = weights;
        loss.teacher = teacher;
        loss.soft = 20;
        loss.temperature = 2;
        check_gradient(&loss, logits, N * P);
    }
}

/* Blended images: shares of two labels. */
static void blended_labels_count_by_their_shares(void **state)
{
    static const char *const mixes[] = {"ce", "focal", "bce+mse", "dice"};
    static const float shares[N] = {0.75f, 0.3f, 1};
    static uint8_t others[N * P];
    const float two[2] = {0, (float)log(3)}, share = 0.75f;
    const int32_t yes = 1, no = 0, none = -1;

    (void)state;
    for (int i = 0; i < N * P; i++)
        others[i] = i % 11 == 0 ? PARE_IGNORE : (uint8_t)(i % 3);
    for (size_t k = 0; k < PRI_COUNT(mixes); k++) {
        pri_loss loss = random_loss(mixes[k], K, 40);
        loss.masks2 = others;
        loss.weights = shares;
        check_gradient(&loss, logits, N * K * P);
    }
    pri_loss loss = {.images = 1,
                     .classes = 2,
                     .positions = 1,
                     .logits = two,
                     .labels = &yes,
                     .labels2 = &no,
                     .weights = &share,
                     .hard = 1,
                     .temperature = 1,
                     .partial = scratch};
    assert_true(fabs(pri_loss_compute(&loss) - (0.75 * log(4.0 / 3) + 0.25 * log(4))) < 1e-6);
    loss.labels2 = &none;
    assert_true(fabs(pri_loss_compute(&loss) - log(4.0 / 3)) < 1e-6);
    loss.labels = &none;
    loss.labels2 = &no;
    assert_true(pri_loss_compute(&loss) == 0);
}

static double value_of(const char *mix, int64_t classes, const float *z, int32_t label)
{
    pri_loss loss = {.images = 1,
                     .classes = classes,
                     .positions = 1,
                     .logits = z,
                     .labels = &label,
                     .hard = 1,
                     .temperature = 1,
                     .partial = scratch};

    assert_true(pri_loss_parse(&loss.mix, mix));
    return pri_loss_compute(&loss);
}

static void terms_are_what_the_formulas_say(void **state)
{
    const float two[2] = {0, (float)log(3)}, one[1] = {(float)log(3)};

    (void)state;
    assert_true(fabs(value_of("ce", 2, two, 0) - log(4)) < 1e-6);
    assert_true(fabs(value_of("focal=2", 2, two, 1) - 0.0625 * log(4.0 / 3)) < 1e-6);
    assert_true(fabs(value_of("focal=2", 2, two, 0) - 0.5625 * log(4)) < 1e-6);
    assert_true(fabs(value_of("bce", 1, one, 1) - log(4.0 / 3)) < 1e-6);
    assert_true(fabs(value_of("bce", 1, one, 0) - log(4)) < 1e-6);
    assert_true(fabs(value_of("bce", 2, two, 1) - 0.5 * (log(2) + log(4.0 / 3))) < 1e-6);
    assert_true(fabs(value_of("mse", 1, one, 7) - pow(log(3) - 7, 2)) < 1e-5);
    assert_true(fabs(value_of("mse", 2, two, 0) - 0.5 * (1 + log(3) * log(3))) < 1e-6);
    assert_true(fabs(value_of("dice", 2, two, 1) - (1 - 2.5 / 2.75)) < 1e-6);
    assert_true(fabs(value_of("dice", 1, one, 1) - (1 - 2.5 / 2.75)) < 1e-6);
    assert_true(fabs(value_of("ce+0.5*dice", 2, two, 1) - log(4.0 / 3) - 0.5 * (1 - 2.5 / 2.75)) <
                1e-6);
}

/* Weights make it a weighted mean: only their ratio matters where all positions are labelled. */
static void class_weights_weigh_a_mean(void **state)
{
    const float z[4] = {0, (float)log(3), 0, 0}, weights[2] = {3, 1};
    const int32_t labels[2] = {1, 0};
    pri_loss loss = {.images = 2,
                     .classes = 2,
                     .positions = 1,
                     .logits = z,
                     .labels = labels,
                     .class_weights = weights,
                     .hard = 1,
                     .temperature = 1,
                     .partial = scratch};

    (void)state;
    assert_true(fabs(pri_loss_compute(&loss) - (log(4.0 / 3) + 3 * log(2)) / 4) < 1e-6);
}

static void losses_are_read_or_refused(void **state)
{
    static const char *const bad[] = {
        "",     "cross", "ce+", "+ce",   "ce=2",   "focal=",         "focal=-1",  "focal=99",
        "0*ce", "2ce",   "2*",  "ce ce", "nan*ce", "ce+ce+ce+ce+ce", "focal=nan", "1e9*ce"};
    pri_loss_mix mix;

    (void)state;
    for (size_t k = 0; k < PRI_COUNT(bad); k++)
        assert_false(pri_loss_parse(&mix, bad[k]));
    assert_true(pri_loss_parse(&mix, "focal+0.5*dice") && mix.count == 2);
    assert_true(mix.terms[0].parameter == 2 && mix.terms[1].weight == 0.5);
    assert_int_equal(pri_loss_label_limit(&mix, 1), 0);
    assert_int_equal(pri_loss_label_limit(&mix, 9), 9);
    assert_true(pri_loss_parse(&mix, "bce+dice"));
    assert_int_equal(pri_loss_label_limit(&mix, 1), 2);
    assert_true(pri_loss_parse(&mix, "mse"));
    assert_int_equal(pri_loss_label_limit(&mix, 1), INT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loss_gradients_agree_with_finite_differences),
        cmocka_unit_test(cross_entropy_agrees_with_doubles),
        cmocka_unit_test(losses_are_what_the_formulas_say),
        cmocka_unit_test(every_term_agrees_with_finite_differences),
        cmocka_unit_test(blended_labels_count_by_their_shares),
        cmocka_unit_test(terms_are_what_the_formulas_say),
        cmocka_unit_test(class_weights_weigh_a_mean),
        cmocka_unit_test(losses_are_read_or_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
