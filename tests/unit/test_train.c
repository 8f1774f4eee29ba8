/* SPDX-License-Identifier: Apache-2.0 */
/* test_train.c - training, its checkpoints and recalibration, on networks made here. */
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <pare/pare.h>

#include "base/file.h"
#include "base/random.h"
#include "data/data.h"
#include "engine/engine.h"
#include "model/model.h"
#include "train/loss.h"
#include "train/optimizer.h"

enum { SIZE = 8, CLASSES = 4, IMAGES = 64 };

/* --- Networks and images --- */

static pri_value *weight(pri_graph *graph, const char *name, int rank, const int64_t *dims,
                         double mean, double deviation)
{
    const pri_shape shape = pri_shape_of(rank, dims);
    pri_tensor *tensor = NULL;

    test_ok(graph->ctx, pri_tensor_new(&tensor, graph->ctx, PRI_F32, &shape));
    for (int64_t i = 0; i < pri_tensor_count(tensor); i++)
        ((float *)tensor->data)[i] =
            (float)(mean + deviation * pri_random_normal(strlen(name) + (uint64_t)name[0],
                                                         PRI_STREAM_TEST, (uint64_t)i));
    pri_value *value = pri_graph_add_constant(graph, name, tensor);
    assert_non_null(value);
    return value;
}

static pri_value *node(pri_graph *graph, const char *type, int n, pri_value *const *inputs,
                       const char *output)
{
    pri_value *out = pri_graph_add_value(graph, output);

    assert_non_null(out);
    assert_non_null(pri_graph_add_node(graph, type, output, n, inputs, 1, &out));
    return out;
}

static pri_value *convolution(pri_graph *graph, pri_value *x, const char *name, int64_t in,
                              int64_t out)
{
    pri_value *inputs[] = {
        x, weight(graph, name, 4, (const int64_t[]){out, in, 3, 3}, 0, sqrt(2.0 / (9.0 * (double)in)))};
    char text[32];

    snprintf(text, sizeof text, "%s_y", name);
    pri_value *y = node(graph, "Conv", 2, inputs, text);
    test_ok(graph->ctx, pri_node_set_ints(graph, y->producer, "pads", (const int64_t[]){1, 1, 1, 1}, 4));
    return y;
}

/* BatchNormalization and Relu; statistics may be handed in. */
static pri_value *normalise(pri_graph *graph, pri_value *x, const char *name, int64_t channels,
                            pri_value *mean, pri_value *variance)
{
    char names[6][40];
    static const char *const ends[] = {"gamma", "beta", "mean", "variance", "bn", "relu"};

    for (int k = 0; k < 6; k++)
        snprintf(names[k], sizeof names[k], "%s_%s", name, ends[k]);
    pri_value *inputs[] = {
        x,
        weight(graph, names[0], 1, &channels, 1, 0),
        weight(graph, names[1], 1, &channels, 0, 0),
        mean != NULL ? mean : weight(graph, names[2], 1, &channels, 0, 0),
        variance != NULL ? variance : weight(graph, names[3], 1, &channels, 1, 0)};
    pri_value *y = node(graph, "BatchNormalization", 5, inputs, names[4]);
    return node(graph, "Relu", 1, &y, names[5]);
}

static pri_graph *empty_graph(pare_context *ctx, pri_value **x)
{
    const pri_shape shape = {4, {PRI_DYNAMIC, 3, SIZE, SIZE}};
    pri_graph *graph = NULL;

    test_ok(ctx, pri_graph_new(&graph, ctx));
    graph->opset = 13;
    graph->ir_version = 7;
    *x = pri_graph_add_value(graph, "x");
    test_ok(ctx, pri_graph_add_input(graph, *x, PRI_F32, &shape));
    return graph;
}

static pare_model *finish(pri_graph *graph, pri_value *output, int rank, int64_t classes)
{
    const pri_shape shape = {rank, {PRI_DYNAMIC, classes, SIZE, SIZE}};
    pare_model *model = NULL;
    pare_context *ctx = graph->ctx;

    test_ok(ctx, pri_graph_add_output(graph, output, PRI_F32, &shape));
    test_ok(ctx, pri_graph_sort(graph));
    test_ok(ctx, pri_model_from_graph(&model, graph));
    return model;
}

/* conv - bn - relu, twice, then mean, Gemm and perhaps Softmax. With `shared`, both normalisations
 * read the same statistics through Identity nodes, as exporters write them. */
static pare_model *small_network(pare_context *ctx, int64_t channels, bool softmax, bool shared)
{
    pri_value *x;
    pri_graph *graph = empty_graph(ctx, &x);
    pri_value *mean = NULL, *variance = NULL, *of_first[2] = {NULL, NULL};

    if (shared) {
        mean = weight(graph, "mean", 1, &channels, 0, 0);
        variance = weight(graph, "variance", 1, &channels, 1, 0);
        of_first[0] = node(graph, "Identity", 1, &mean, "mean_1");
        of_first[1] = node(graph, "Identity", 1, &variance, "variance_1");
    }
    x = convolution(graph, x, "conv1", 3, channels);
    x = normalise(graph, x, "conv1", channels, of_first[0], of_first[1]);
    x = convolution(graph, x, "conv2", channels, channels);
    x = normalise(graph, x, "conv2", channels, mean, variance);
    x = node(graph, "GlobalAveragePool", 1, &x, "pooled");
    x = node(graph, "Flatten", 1, &x, "flat");
    pri_value *inputs[] = {
        x, weight(graph, "fc", 2, (const int64_t[]){channels, CLASSES}, 0, 0.3),
        weight(graph, "fc_bias", 1, (const int64_t[]){CLASSES}, 0, 0)};
    x = node(graph, "Gemm", 3, inputs, "logits");
    if (softmax)
        x = node(graph, "Softmax", 1, &x, "probabilities");
    return finish(graph, x, 2, CLASSES);
}

/* Class k: a quarter of the image in a colour of its own; the mask marks it. */
static pare_data *small_images(pare_context *ctx, int64_t count, uint64_t seed, bool masks)
{
    pare_data *data = pri_alloc(ctx, 1, sizeof *data);
    const int64_t area = SIZE * SIZE;

    assert_non_null(data);
    *data = (pare_data){.ctx = ctx, .count = count, .channels = 3, .height = SIZE, .width = SIZE,
                        .classes = CLASSES, .mask_classes = masks ? 2 : 0};
    data->pixels = pri_alloc(ctx, (size_t)(count * area), 3);
    data->labels = pri_alloc(ctx, (size_t)count, sizeof(int32_t));
    data->masks = masks ? pri_alloc(ctx, (size_t)(count * area), 1) : NULL;
    for (int64_t n = 0; n < count; n++) {
        const int label = (int)(n % CLASSES);
        data->labels[n] = label;
        for (int64_t p = 0; p < area; p++) {
            const bool is_in = (p / SIZE < SIZE / 2) == (label < 2) &&
                               (p % SIZE < SIZE / 2) == (label % 2 == 0);
            if (masks)
                data->masks[n * area + p] = is_in;
            for (int64_t c = 0; c < 3; c++)
                data->pixels[(n * area + p) * 3 + c] = (uint8_t)(
                    (is_in ? 60 + 120 * (label == c || label == 3) : 20) +
                    pri_random_below(40, seed, PRI_STREAM_TEST, (uint64_t)((n * area + p) * 3 + c)));
        }
    }
    return data;
}

static void assert_same_weights(const pare_model *a, const pare_model *b, bool same)
{
    bool equal = true;

    assert_int_equal(a->graph->n_values, b->graph->n_values);
    for (int i = 0; i < a->graph->n_values; i++) {
        const pri_tensor *x = a->graph->values[i]->constant, *y = b->graph->values[i]->constant;
        if (x == NULL || x->dtype != PRI_F32)
            continue;
        equal = equal && memcmp(x->data, y->data, (size_t)pri_tensor_count(x) * sizeof(float)) == 0;
    }
    assert_int_equal(equal, same);
}

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
    double partial[2 * N];
    const int32_t labels[N] = {4, -1, 0};

    (void)state;
    for (int i = 0; i < N * K * P; i++) {
        logits[i] = (float)pri_random_normal(1, PRI_STREAM_TEST, (uint64_t)i);
        teacher[i] = (float)(2 * pri_random_normal(2, PRI_STREAM_TEST, (uint64_t)i));
    }
    for (int i = 0; i < N * P; i++)
        masks[i] = i % 7 == 0 ? PARE_IGNORE : (uint8_t)(i % K);
    pri_loss loss = {.images = N, .classes = K, .positions = 1, .logits = logits, .labels = labels,
                     .hard = 1, .temperature = 1, .partial = partial, .gradient = gradient};
    check_gradient(&loss, logits, N * K);
    assert_true(gradient[K] == 0); /* an image without a label teaches nothing */
    loss.smoothing = 0.1;
    loss.teacher = teacher;
    loss.soft = 0.7;
    loss.temperature = 3;
    check_gradient(&loss, logits, N * K);
    loss = (pri_loss){.images = N, .classes = K, .positions = P, .logits = logits, .masks = masks,
                      .hard = 40, .temperature = 1, .partial = partial, .gradient = gradient};
    check_gradient(&loss, logits, N * K * P);
    loss.teacher = teacher;
    loss.soft = 30;
    loss.hard = 0;
    loss.temperature = 2;
    check_gradient(&loss, logits, N * K * P);
}

static void losses_are_what_the_formulas_say(void **state)
{
    const float logits[2] = {0, (float)log(3)}, teacher[2] = {0, 0};
    const int32_t label[1] = {1};
    double partial[2];
    pri_loss loss = {.images = 1, .classes = 2, .positions = 1, .logits = logits, .labels = label,
                     .hard = 1, .temperature = 1, .partial = partial};

    (void)state;
    assert_true(fabs(pri_loss_compute(&loss) - log(4.0 / 3)) < 1e-6);
    loss.smoothing = 0.5;
    assert_true(fabs(pri_loss_compute(&loss) - (0.75 * log(4.0 / 3) + 0.25 * log(4.0))) < 1e-6);
    loss.hard = 0;
    loss.soft = 1;
    loss.teacher = teacher;
    assert_true(fabs(pri_loss_compute(&loss) - 0.5 * (log(2.0) + log(2.0 / 3))) < 1e-6);
}

static void a_step_follows_the_formula(void **state)
{
    const pri_sgd sgd = {.rate = 0.1f, .momentum = 0.9f, .decay = 0.1f, .scale = 0.5f};
    float w = 1, v = 0, g = 1;

    (void)state;
    pri_sgd_step(&w, &v, &g, 1, &sgd);
    assert_true(fabs(w - 0.886) < 1e-6);
    g = 0.4f;
    pri_sgd_step(&w, &v, &g, 1, &sgd);
    assert_true(fabs(w - 0.782566) < 1e-6 && fabs(v - 0.8286) < 1e-6);
}

static void schedules_fall_as_named(void **state)
{
    pri_schedule schedule;

    (void)state;
    assert_false(pri_schedule_parse(&schedule, "linear"));
    assert_true(pri_schedule_parse(&schedule, "step") && schedule == PRI_STEP);
    assert_true(pri_schedule_factor(PRI_STEP, 49, 100, 0) == 1);
    assert_true(pri_schedule_factor(PRI_STEP, 50, 100, 0) == 0.1);
    assert_true(pri_schedule_factor(PRI_STEP, 75, 100, 0) == 0.01);
    assert_true(pri_schedule_factor(PRI_COSINE, 0, 100, 0) == 1);
    assert_true(fabs(pri_schedule_factor(PRI_COSINE, 50, 100, 0) - 0.5) < 1e-12);
    assert_true(pri_schedule_factor(PRI_COSINE, 0, 100, 9) == 0.1);
    assert_true(pri_schedule_factor(PRI_COSINE, 9, 100, 9) == 1);
    assert_true(pri_schedule_factor(PRI_CONSTANT, 99, 100, 9) == 1);
}

/* Softmax regression by hand, in double, beside two steps of pare_train. */
static void two_steps_match_a_double_computation(void **state)
{
    enum { K = 2, D = 3 * SIZE * SIZE };
    static double w[D][K], v[D][K], b[K], vb[K];
    pri_value *x;

    (void)state;
    pare_context *ctx = test_context();
    pri_graph *graph = empty_graph(ctx, &x);
    x = node(graph, "Flatten", 1, &x, "flat");
    pri_value *const inputs[] = {x, weight(graph, "w", 2, (const int64_t[]){D, K}, 0, 0.1),
                                 weight(graph, "b", 1, (const int64_t[]){K}, 0, 0.1)};
    x = node(graph, "Gemm", 3, inputs, "logits");
    pare_model *model = finish(graph, x, 2, K);
    pare_data *data = small_images(ctx, 4, 5, false);
    data->classes = K;
    for (int n = 0; n < 4; n++)
        data->labels[n] %= K;
    for (int d = 0; d < D; d++) {
        for (int k = 0; k < K; k++)
            w[d][k] = ((float *)inputs[1]->constant->data)[d * K + k];
    }
    for (int k = 0; k < K; k++)
        b[k] = ((float *)inputs[2]->constant->data)[k];
    for (int step = 0; step < 2; step++) {
        static double gw[D][K], gb[K];
        memset(gw, 0, sizeof gw);
        memset(gb, 0, sizeof gb);
        for (int n = 0; n < 4; n++) {
            double z[K] = {b[0], b[1]}, in[D];
            for (int d = 0; d < D; d++) {
                in[d] = data->pixels[(n * SIZE * SIZE + d % (SIZE * SIZE)) * 3 + d / (SIZE * SIZE)] / 255.0;
                z[0] += in[d] * w[d][0];
                z[1] += in[d] * w[d][1];
            }
            for (int k = 0; k < K; k++) {
                const double g = (1 / (1 + exp(z[1 - k] - z[k])) - (data->labels[n] == k)) / 4;
                gb[k] += g;
                for (int d = 0; d < D; d++)
                    gw[d][k] += g * in[d];
            }
        }
        for (int k = 0; k < K; k++) {
            for (int d = 0; d < D; d++) {
                const double g = gw[d][k] + 0.01 * w[d][k];
                v[d][k] = 0.8 * v[d][k] + g;
                w[d][k] -= 0.1 * (g + 0.8 * v[d][k]);
            }
            vb[k] = 0.8 * vb[k] + gb[k];
            b[k] -= 0.1 * (gb[k] + 0.8 * vb[k]);
        }
    }
    const pare_train_options options = {.epochs = 2, .batch = 4, .learning_rate = 0.1,
                                        .momentum = 0.8, .weight_decay = 0.01,
                                        .schedule = "constant"};
    test_ok(ctx, pare_train(model, data, NULL, &options, NULL));
    for (int d = 0; d < D; d++) {
        for (int k = 0; k < K; k++)
            assert_true(fabs(((float *)inputs[1]->constant->data)[d * K + k] - w[d][k]) < 1e-5);
    }
    for (int k = 0; k < K; k++)
        assert_true(fabs(((float *)inputs[2]->constant->data)[k] - b[k]) < 1e-5);
    pare_data_free(data);
    pare_model_free(model);
    pare_context_free(ctx);
}

/* --- Runs --- */

typedef struct watch {
    double first_loss, last_loss;
    int epochs, best;
    const char *copy_from, *copy_to; /* checkpoint kept after epoch 1, as if killed later */
    pare_context *ctx;
} watch;

static void on_epoch(void *user, const pare_epoch *epoch)
{
    watch *w = user;

    if (w->epochs++ == 0)
        w->first_loss = epoch->loss;
    w->last_loss = epoch->loss;
    if (epoch->epoch == 1 && w->copy_from != NULL) {
        pri_bytes bytes = {0};
        test_ok(w->ctx, pri_file_read(&bytes, w->ctx, w->copy_from));
        test_ok(w->ctx, pri_file_write(w->ctx, w->copy_to, bytes.data, bytes.size_bytes, false));
        pri_bytes_clear(&bytes);
    }
}

static const pare_train_options basic = {.epochs = 4, .batch = 16, .learning_rate = 0.05,
                                         .warmup = 0.5, .label_smoothing = 0.05,
                                         .clip_norm = 2, .augment = {.flip = false, .crop = 1},
                                         .seed = 3};

/* Trains a fresh small network; the caller frees model and (through it) nothing else. */
static pare_model *train_small(pare_context *ctx, const pare_train_options *options,
                               pare_status *status)
{
    pare_model *model = small_network(ctx, 6, false, false);
    pare_data *train = small_images(ctx, IMAGES, 1, false);
    pare_data *val = small_images(ctx, 32, 2, false);
    const pare_status got = pare_train(model, train, val, options, NULL);

    if (status == NULL)
        test_ok(ctx, got);
    else
        *status = got;
    pare_data_free(train);
    pare_data_free(val);
    return model;
}

static void a_small_network_learns_a_small_set(void **state)
{
    pare_context *ctx = test_context();
    pare_model *model = small_network(ctx, 8, false, false), *before = NULL, *untouched = NULL;
    pare_data *train = small_images(ctx, IMAGES, 1, false);
    pare_data *val = small_images(ctx, 32, 2, false);
    pare_train_options options = {.epochs = 20, .batch = 16, .learning_rate = 0.1};
    pare_train_result result;
    pare_scores scores;
    watch w = {0};

    (void)state;
    options.on_epoch = on_epoch;
    options.user = &w;
    test_ok(ctx, pare_model_clone(&before, model));
    untouched = small_network(ctx, 8, false, false);
    test_ok(ctx, pare_train(model, train, val, &options, &result));
    assert_int_equal(w.epochs, 20);
    assert_true(w.last_loss < 0.2 * w.first_loss);
    test_ok(ctx, pare_evaluate(&scores, model, val));
    assert_true(scores.accuracy > 0.95);
    assert_true(fabs(scores.nll - result.best_val_nll) < 1e-4);
    assert_true(result.best_val_accuracy == scores.accuracy && result.epochs == 20);
    assert_same_weights(before, untouched, true); /* a clone keeps what the original had */
    assert_same_weights(before, model, false);
    pare_scores_clear(&scores);
    pare_model_free(before);
    pare_model_free(untouched);
    pare_model_free(model);
    pare_data_free(train);
    pare_data_free(val);
    pare_context_free(ctx);
}

static void the_same_seed_gives_the_same_bytes(void **state)
{
    pare_train_options other = basic;
    pare_context *ctx = test_context();
    pare_model *a = train_small(ctx, &basic, NULL), *b = train_small(ctx, &basic, NULL);

    (void)state;
    other.seed++;
    pare_model *c = train_small(ctx, &other, NULL);
    assert_same_weights(a, b, true);
    assert_same_weights(a, c, false);
    pare_model_free(a);
    pare_model_free(b);
    pare_model_free(c);
    pare_context_free(ctx);
}

static void cancel_at(void *user, const pare_progress *progress)
{
    if (strcmp(progress->stage, "train") == 0 && progress->done == 6)
        pare_context_cancel(user);
}

static void an_interrupted_run_ends_like_an_undisturbed_one(void **state)
{
    char path[600], killed[640];
    const char *folder = test_folder();
    pare_train_options options = basic;
    pare_status status;
    watch w = {.copy_from = path, .copy_to = killed};

    (void)state;
    snprintf(path, sizeof path, "%s/run", folder);
    snprintf(killed, sizeof killed, "%s.killed", path);
    pare_context *ctx = test_context();
    pare_model *whole = train_small(ctx, &basic, NULL);
    options.checkpoint = path;
    options.resume = true; /* nothing there yet: starts */

    pare_context *first = test_context();
    pare_context_set_progress(first, cancel_at, first);
    pare_model *stopped = train_small(first, &options, &status);
    assert_int_equal(status, PARE_ERROR_CANCELLED);
    assert_non_null(strstr(pare_context_message(first), "--resume"));
    pare_model *resumed = train_small(ctx, &options, NULL);
    assert_same_weights(whole, resumed, true);
    assert_same_weights(whole, stopped, false);

    options.resume = false;
    options.on_epoch = on_epoch;
    options.user = &w;
    w.ctx = ctx;
    pare_model *kept = train_small(ctx, &options, NULL);
    options.checkpoint = killed;
    options.resume = true;
    w = (watch){0};
    pare_model *revived = train_small(ctx, &options, NULL);
    assert_int_equal(w.epochs, basic.epochs - 1);
    assert_same_weights(whole, revived, true);
    pare_model *const models[] = {whole, resumed, kept, revived, stopped};
    for (size_t i = 0; i < PRI_COUNT(models); i++)
        pare_model_free(models[i]);
    pare_context_free(first);
    pare_context_free(ctx);
    test_remove_folder(folder);
}

static void assert_refused(pare_context *ctx, const pare_train_options *options,
                           pare_status expected, const char *word)
{
    pare_status status;
    pare_model *model = train_small(ctx, options, &status);

    assert_int_equal(status, expected);
    assert_non_null(strstr(pare_context_message(ctx), word));
    pare_model_free(model);
}

static void checkpoints_of_other_runs_and_damaged_ones_are_refused(void **state)
{
    char path[600];
    const char *folder = test_folder();
    pare_train_options options = basic;
    pri_bytes bytes = {0};

    (void)state;
    snprintf(path, sizeof path, "%s/run", folder);
    pare_context *ctx = test_context();
    options.checkpoint = path;
    options.epochs = 1;
    pare_model_free(train_small(ctx, &options, NULL));
    options.resume = true;
    options.learning_rate = 0.06;
    assert_refused(ctx, &options, PARE_ERROR_ARGUMENT, "other options");
    options.learning_rate = basic.learning_rate;
    pare_model *teacher = small_network(ctx, 6, false, false);
    options.teacher = teacher;
    options.distill = 1e-300; /* the options differ as well, and are looked at first */
    assert_refused(ctx, &options, PARE_ERROR_ARGUMENT, "other options");
    options.teacher = NULL;
    options.distill = 0;
    test_ok(ctx, pri_file_read(&bytes, ctx, path));
    for (size_t at = 0; at < bytes.size_bytes; at += bytes.size_bytes / 37) {
        bytes.data[at] ^= 0x40;
        test_ok(ctx, pri_file_write(ctx, path, bytes.data, bytes.size_bytes, true));
        pare_status status;
        pare_model_free(train_small(ctx, &options, &status));
        assert_true(status == PARE_ERROR_FORMAT || status == PARE_ERROR_ARGUMENT);
        bytes.data[at] ^= 0x40;
    }
    test_ok(ctx, pri_file_write(ctx, path, bytes.data, bytes.size_bytes / 2, true));
    assert_refused(ctx, &options, PARE_ERROR_FORMAT, "damaged");
    test_ok(ctx, pri_file_write(ctx, path, bytes.data, 5, true));
    assert_refused(ctx, &options, PARE_ERROR_FORMAT, "not a checkpoint");
    pri_bytes_clear(&bytes);
    pare_model_free(teacher);
    pare_context_free(ctx);
    test_remove_folder(folder);
}

static void a_student_follows_a_teacher_that_stays_as_it_was(void **state)
{
    pare_context *ctx = test_context();
    pare_model *teacher = small_network(ctx, 12, true, false), *same = NULL;
    pare_model *student = small_network(ctx, 6, false, false);
    pare_data *data = small_images(ctx, IMAGES, 1, false);
    pare_train_options options = {.epochs = 20, .batch = 16, .learning_rate = 0.1};
    pare_scores scores;

    (void)state;
    test_ok(ctx, pare_train(teacher, data, NULL, &options, NULL));
    test_ok(ctx, pare_model_clone(&same, teacher));
    options.teacher = teacher;
    int32_t *labels = data->labels;
    data->labels = NULL; /* nothing but the teacher says what is right */
    test_ok(ctx, pare_train(student, data, NULL, &options, NULL));
    data->labels = labels;
    for (int i = 0; i < teacher->graph->n_values; i++) {
        if (teacher->graph->values[i]->constant != NULL)
            assert_ptr_equal(teacher->graph->values[i]->constant->data,
                             same->graph->values[i]->constant->data);
    }
    test_ok(ctx, pare_evaluate(&scores, student, data));
    assert_true(scores.accuracy > 0.9);
    pare_scores_clear(&scores);
    pare_model_free(teacher);
    pare_model_free(same);
    pare_model_free(student);
    pare_data_free(data);
    pare_context_free(ctx);
}

static void a_loss_that_is_not_finite_stops_with_good_weights(void **state)
{
    pare_context *ctx = test_context();
    pare_model *before = small_network(ctx, 6, false, false);
    const pare_train_options options = {
        .epochs = 3, .batch = 16, .learning_rate = 1e30, .schedule = "constant"};
    pare_status status;
    pare_model *model = train_small(ctx, &options, &status);

    (void)state;
    assert_int_equal(status, PARE_ERROR_NUMERIC);
    assert_non_null(strstr(pare_context_message(ctx), "not finite"));
    assert_same_weights(model, before, true);
    pare_model_free(model);
    pare_model_free(before);
    pare_context_free(ctx);
}

static void a_softmax_head_trains_like_its_logits(void **state)
{
    pare_context *ctx = test_context();
    pare_model *a = small_network(ctx, 6, false, false), *b = small_network(ctx, 6, true, false);
    pare_data *data = small_images(ctx, IMAGES, 1, false);

    (void)state;
    test_ok(ctx, pare_train(a, data, NULL, &basic, NULL));
    test_ok(ctx, pare_train(b, data, NULL, &basic, NULL));
    assert_string_equal(b->graph->outputs[0]->producer->op_type, "Softmax");
    for (int i = 0; i < a->graph->n_values; i++) {
        const pri_tensor *x = a->graph->values[i]->constant;
        if (x == NULL)
            continue;
        const pri_value *other = pri_graph_find_value(b->graph, a->graph->values[i]->name);
        assert_memory_equal(x->data, other->constant->data,
                            (size_t)pri_tensor_count(x) * sizeof(float));
    }
    pare_model_free(a);
    pare_model_free(b);
    pare_data_free(data);
    pare_context_free(ctx);
}

static void statistics_read_through_identity_are_separated(void **state)
{
    pare_context *ctx = test_context();
    pare_model *shared = small_network(ctx, 6, false, true);
    pare_model *plain = small_network(ctx, 6, false, false);
    pare_data *data = small_images(ctx, IMAGES, 1, false);

    (void)state;
    test_ok(ctx, pare_train(shared, data, NULL, &basic, NULL));
    test_ok(ctx, pare_train(plain, data, NULL, &basic, NULL));
    for (int i = 0; i < plain->graph->n_nodes; i++) {
        const pri_node *a = plain->graph->nodes[i];
        for (int j = 0; j < shared->graph->n_nodes; j++) {
            const pri_node *b = shared->graph->nodes[j];
            for (int k = 0; strcmp(a->name, b->name) == 0 && k < a->n_inputs; k++) {
                if (a->inputs[k]->constant != NULL)
                    assert_memory_equal(
                        a->inputs[k]->constant->data, b->inputs[k]->constant->data,
                        (size_t)pri_tensor_count(a->inputs[k]->constant) * sizeof(float));
            }
        }
    }
    pare_model_free(shared);
    pare_model_free(plain);
    pare_data_free(data);
    pare_context_free(ctx);
}

static void a_mask_head_learns(void **state)
{
    pri_value *x;
    pare_context *ctx = test_context();
    pri_graph *graph = empty_graph(ctx, &x);
    pare_data *data = small_images(ctx, IMAGES, 1, true);
    uint8_t probe[SIZE * SIZE];
    float pixels[3 * SIZE * SIZE];
    watch w = {0};

    (void)state;
    x = convolution(graph, x, "conv1", 3, 8);
    x = normalise(graph, x, "conv1", 8, NULL, NULL);
    x = convolution(graph, x, "conv2", 8, 2);
    pare_model *model = finish(graph, x, 4, 2);
    const pare_train_options options = {.epochs = 10, .batch = 16, .learning_rate = 0.1,
                                        .on_epoch = on_epoch, .user = &w};
    memset(probe, 77, sizeof probe);
    pri_data_batch(data, &(pri_preprocess){.scale = 255, .std = {1, 1, 1, 1}}, &(int64_t){0}, 1,
                   NULL, 0, pixels, NULL, probe);
    if (probe[0] != 77) {
        test_ok(ctx, pare_train(model, data, NULL, &options, NULL));
        assert_true(w.last_loss < 0.5 * w.first_loss && w.last_loss < 0.25);
    }
    pare_model_free(model);
    pri_free(data->masks);
    data->masks = NULL;
    pare_data_free(data);
    pare_context_free(ctx);
    if (probe[0] == 77) {
        fprintf(stderr, "skipped: batches carry no masks\n");
        skip();
    }
}

static void impossible_options_are_refused(void **state)
{
    const struct {
        pare_train_options options;
        const char *word;
    } table[] = {{{.schedule = "linear"}, "schedule"},
                 {{.label_smoothing = 1.5}, "smoothing"},
                 {{.learning_rate = -1}, "negative"},
                 {{.learning_rate = NAN}, "finite"},
                 {{.resume = true}, "checkpoint"}};
    pare_context *ctx = test_context();

    (void)state;
    for (size_t i = 0; i < PRI_COUNT(table); i++)
        assert_refused(ctx, &table[i].options, PARE_ERROR_ARGUMENT, table[i].word);
    pare_model *model = small_network(ctx, 6, false, false);
    pare_data *data = small_images(ctx, 8, 1, false);
    data->classes = CLASSES + 1;
    assert_int_equal(pare_train(model, data, NULL, &basic, NULL), PARE_ERROR_DATA);
    pri_free(data->labels);
    data->labels = NULL;
    assert_int_equal(pare_train(model, data, NULL, &basic, NULL), PARE_ERROR_DATA);
    pare_data_free(data);
    pare_model_free(model);
    pare_context_free(ctx);
}

/* --- Gradients of whole networks --- */

/* conv - bn - relu - sum with the first conv - bn - relu, at 5 or 19 channels: what engines fuse, run
 * in place and hand over in training. */
static pare_model *residual_network(pare_context *ctx, int64_t channels)
{
    pri_value *x;
    pri_graph *graph = empty_graph(ctx, &x);

    pri_value *first = convolution(graph, x, "conv1", 3, channels);
    pri_value *y = normalise(graph, first, "conv1", channels, NULL, NULL);
    pri_value *branch = convolution(graph, y, "conv2", channels, channels);
    branch = normalise(graph, branch, "conv2", channels, NULL, NULL);
    pri_value *const sum[] = {branch, y};
    x = node(graph, "Add", 2, sum, "sum");
    x = node(graph, "Relu", 1, &x, "sum_relu");
    pri_value *const again[] = {x, first};
    x = node(graph, "Add", 2, again, "sum_again");
    x = convolution(graph, x, "conv3", channels, 2);
    return finish(graph, x, 4, 2);
}

/* Loss: sum of the outputs times fixed random numbers. */
static double run_network(pare_context *ctx, pri_engine *engine, bool backward)
{
    const pri_shape in = pri_engine_input_shape(engine, 0), out = pri_engine_output_shape(engine, 0);
    float *x = pri_engine_input(engine, 0);
    double loss = 0;

    for (int64_t i = 0; i < pri_shape_count(&in); i++)
        x[i] = (float)pri_random_normal(7, PRI_STREAM_TEST, (uint64_t)i) + 0.3f;
    test_ok(ctx, pri_engine_forward(engine));
    for (int64_t i = 0; i < pri_shape_count(&out); i++) {
        const float factor = (float)pri_random_normal(8, PRI_STREAM_TEST, (uint64_t)i);
        loss += (double)factor * pri_engine_output(engine, 0)[i];
        pri_engine_output_gradient(engine, 0)[i] = factor;
    }
    if (backward) {
        pri_engine_zero_gradients(engine);
        test_ok(ctx, pri_engine_backward(engine));
    }
    return loss;
}

static void training_gradients_agree_with_finite_differences(void **state)
{
    (void)state;
    for (int variant = 0; variant < 4; variant++) {
        const pri_engine_options options = {.batch = 3, .training = true, .backward = true,
                                            .weight_gradients = true, .no_fusion = variant % 2 == 1,
                                            .plain = variant >= 2};
        pare_context *ctx = test_context();
        pare_model *model = residual_network(ctx, variant == 0 ? 19 : 5);
        pri_engine *engine = NULL;
        int checked = 0;
        test_ok(ctx, pri_engine_new(&engine, model, &options));
        run_network(ctx, engine, true);
        for (int i = 0; i < model->graph->n_values; i++) {
            pri_value *value = model->graph->values[i];
            const float *gradient =
                value->constant != NULL ? pri_engine_weight_gradient(engine, value) : NULL;
            assert_true(!pri_is_statistic(value) || gradient == NULL);
            for (int64_t k = 0; gradient != NULL && k < pri_tensor_count(value->constant); k += 7) {
                float *w = (float *)value->constant->data + k;
                const float at = *w, h = 5e-4f;
                double loss[3];
                for (int side = 0; side < 3; side++) {
                    *w = at + (float)(side - 1) * h;
                    pri_engine_refresh(engine);
                    loss[side] = run_network(ctx, engine, false);
                }
                *w = at;
                /* where a Relu bends between them, the two sides differ and both are right */
                const double left = (loss[1] - loss[0]) / h, right = (loss[2] - loss[1]) / h;
                const double slope = (left + right) / 2;
                const double room = 0.01 * fabs(slope) + 0.1;
                assert_true(gradient[k] > fmin(left, right) - room &&
                            gradient[k] < fmax(left, right) + room);
                checked += fabs(slope) > 5;
            }
        }
        assert_true(checked > 20);
        pri_engine_free(engine);
        pare_model_free(model);
        pare_context_free(ctx);
    }
}

/* Layouts, fusion and threads change the order of sums, and no more. */
static void engines_of_every_kind_give_the_same_gradients(void **state)
{
    pare_context *ctx = test_context();
    pare_model *models[3];
    pri_engine *engines[3];

    (void)state;
    for (int k = 0; k < 3; k++) {
        const pri_engine_options options = {.batch = 5, .training = true, .backward = true,
                                            .weight_gradients = true, .no_fusion = k == 1,
                                            .plain = k == 2};
        models[k] = residual_network(ctx, 19);
        test_ok(ctx, pri_engine_new(&engines[k], models[k], &options));
        run_network(ctx, engines[k], true);
    }
    for (int i = 0; i < models[0]->graph->n_values; i++) {
        const pri_value *value = models[0]->graph->values[i];
        const float *gradient =
            value->constant != NULL ? pri_engine_weight_gradient(engines[0], value) : NULL;
        for (int k = 1; k < 3 && value->constant != NULL; k++) {
            const pri_value *other = models[k]->graph->values[i];
            const float *a = gradient != NULL ? gradient : value->constant->data;
            const float *b = gradient != NULL ? pri_engine_weight_gradient(engines[k], other)
                                              : other->constant->data;
            for (int64_t e = 0; e < pri_tensor_count(value->constant); e++)
                assert_true(fabsf(a[e] - b[e]) < 1e-3f + 1e-4f * fabsf(a[e]));
        }
    }
    for (int k = 0; k < 3; k++) {
        pri_engine_free(engines[k]);
        pare_model_free(models[k]);
    }
    pare_context_free(ctx);
}

/* --- Recalibration --- */

static void spoil(pare_model *model)
{
    for (int i = 0; i < model->graph->n_values; i++) {
        pri_value *value = model->graph->values[i];
        if (!pri_is_statistic(value))
            continue;
        test_ok(model->ctx, pri_tensor_own(value->constant));
        for (int64_t k = 0; k < pri_tensor_count(value->constant); k++)
            ((float *)value->constant->data)[k] = 3 + (float)(k % 3);
    }
}

static void recalibration_restores_spoiled_statistics(void **state)
{
    pare_context *ctx = test_context();
    const pare_train_options options = {.epochs = 20, .batch = 16, .learning_rate = 0.1};
    pare_model *model = train_small(ctx, &options, NULL), *good = NULL, *copy = NULL;
    pare_data *images = small_images(ctx, IMAGES, 1, false);
    pare_scores scores;
    bool changed;

    (void)state;
    test_ok(ctx, pare_model_clone(&good, model));
    for (int with_teacher = 0; with_teacher < 2; with_teacher++) {
        spoil(model);
        test_ok(ctx, pare_model_clone(&copy, model));
        test_ok(ctx, pare_evaluate(&scores, model, images));
        assert_true(scores.accuracy < 0.8);
        pare_scores_clear(&scores);
        test_ok(ctx, pare_recalibrate(model, images, images, with_teacher ? good : NULL, &changed));
        assert_true(changed);
        test_ok(ctx, pare_evaluate(&scores, model, images));
        assert_true(scores.accuracy > 0.95);
        pare_scores_clear(&scores);
        assert_same_weights(model, copy, false); /* and the clone is as spoiled as before */
        pare_model_free(copy);
    }
    pare_model_free(good);
    pare_model_free(model);
    pare_data_free(images);
    pare_context_free(ctx);
}

static void recalibration_that_harms_is_not_kept(void **state)
{
    pare_context *ctx = test_context();
    const pare_train_options options = {.epochs = 20, .batch = 16, .learning_rate = 0.1};
    pare_model *model = train_small(ctx, &options, NULL), *before = NULL;
    pare_data *images = small_images(ctx, 16, 1, false), *val = small_images(ctx, 32, 2, false);
    bool changed = true;

    (void)state;
    memset(images->pixels, 9, 16 * SIZE * SIZE * 3); /* nothing like the images it works on */
    test_ok(ctx, pare_model_clone(&before, model));
    test_ok(ctx, pare_recalibrate(model, images, val, NULL, &changed));
    assert_false(changed);
    assert_same_weights(model, before, true);
    pare_model_free(before);
    pare_model_free(model);
    pare_data_free(images);
    pare_data_free(val);
    pare_context_free(ctx);
}

static void short_memory_is_reported_and_leaks_nothing(void **state)
{
    const pare_train_options options = {.epochs = 1, .batch = 16};
    pare_context *ctx = test_context();
    pare_data *data = small_images(ctx, 16, 1, false);
    pare_status status = PARE_ERROR_MEMORY;
    int64_t nth = 1;

    (void)state;
    for (; status != PARE_OK; nth += 5) {
        pare_model *model = small_network(ctx, 4, false, true);
        pri_fail_allocation(ctx, nth);
        status = pare_train(model, data, data, &options, NULL);
        pri_fail_allocation(ctx, 0);
        assert_true(status == PARE_OK || status == PARE_ERROR_MEMORY);
        pare_model_free(model);
    }
    assert_true(nth > 100);
    pare_data_free(data);
    pare_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loss_gradients_agree_with_finite_differences),
        cmocka_unit_test(losses_are_what_the_formulas_say),
        cmocka_unit_test(a_step_follows_the_formula),
        cmocka_unit_test(schedules_fall_as_named),
        cmocka_unit_test(two_steps_match_a_double_computation),
        cmocka_unit_test(a_small_network_learns_a_small_set),
        cmocka_unit_test(the_same_seed_gives_the_same_bytes),
        cmocka_unit_test(an_interrupted_run_ends_like_an_undisturbed_one),
        cmocka_unit_test(checkpoints_of_other_runs_and_damaged_ones_are_refused),
        cmocka_unit_test(a_student_follows_a_teacher_that_stays_as_it_was),
        cmocka_unit_test(a_loss_that_is_not_finite_stops_with_good_weights),
        cmocka_unit_test(a_softmax_head_trains_like_its_logits),
        cmocka_unit_test(statistics_read_through_identity_are_separated),
        cmocka_unit_test(a_mask_head_learns),
        cmocka_unit_test(impossible_options_are_refused),
        cmocka_unit_test(training_gradients_agree_with_finite_differences),
        cmocka_unit_test(engines_of_every_kind_give_the_same_gradients),
        cmocka_unit_test(recalibration_restores_spoiled_statistics),
        cmocka_unit_test(recalibration_that_harms_is_not_kept),
        cmocka_unit_test(short_memory_is_reported_and_leaks_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
