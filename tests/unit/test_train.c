/* SPDX-License-Identifier: Apache-2.0 */
/* test_train.c - whole training runs on networks made here. */
#include "train_nets.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <pare/pare.h>

#include "base/file.h"
#include "engine/engine.h"

/* Softmax regression by hand, in double, beside two steps of pare_train. */
static void two_steps_match_a_double_computation(void **state)
{
    enum { K = 2, D = 3 * SIZE * SIZE };
    static double w[D][K], v[D][K], b[K], vb[K];
    pri_value *x;

    (void)state;
    pare_context *ctx = test_context();
    pri_graph *graph = train_graph(ctx, &x);
    x = train_node(graph, "Flatten", 1, &x, "flat");
    pri_value *const inputs[] = {x, train_weight(graph, "w", 2, (const int64_t[]){D, K}, 0, 0.1),
                                 train_weight(graph, "b", 1, (const int64_t[]){K}, 0, 0.1)};
    x = train_node(graph, "Gemm", 3, inputs, "logits");
    pare_model *model = train_finish(graph, x, 2, K);
    pare_data *data = train_images(ctx, 4, 5, false);
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
                in[d] =
                    data->pixels[(n * SIZE * SIZE + d % (SIZE * SIZE)) * 3 + d / (SIZE * SIZE)] /
                    255.0;
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
    const pare_train_options options = {.epochs = 2,
                                        .batch = 4,
                                        .learning_rate = 0.1,
                                        .momentum = 0.8,
                                        .weight_decay = 0.01,
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

static void a_small_network_learns_a_small_set(void **state)
{
    pare_context *ctx = test_context();
    pare_model *model = train_network(ctx, 8, false, false), *before = NULL, *untouched = NULL;
    pare_data *train = train_images(ctx, IMAGES, 1, false);
    pare_data *val = train_images(ctx, 32, 2, false);
    pare_train_options options = {.epochs = 20, .batch = 16, .learning_rate = 0.1};
    pare_train_result result;
    pare_scores scores;
    train_watch w = {0};

    (void)state;
    options.on_epoch = train_on_epoch;
    options.user = &w;
    test_ok(ctx, pare_model_clone(&before, model));
    untouched = train_network(ctx, 8, false, false);
    test_ok(ctx, pare_train(model, train, val, &options, &result));
    assert_int_equal(w.epochs, 20);
    assert_true(w.last_loss < 0.2 * w.first_loss);
    test_ok(ctx, pare_evaluate(&scores, model, val));
    assert_true(scores.accuracy > 0.95);
    assert_true(fabs(scores.nll - result.best_val_nll) < 1e-4);
    assert_true(result.best_val_accuracy == scores.accuracy && result.epochs == 20);
    const pare_train_times *t = &result.times;
    const double sum = t->data + t->forward + t->loss + t->backward + t->update;
    assert_true(t->data >= 0 && t->forward > 0 && t->loss > 0 && t->backward > 0 && t->update > 0);
    assert_true(t->validation > 0 && t->teacher == 0 && sum <= result.seconds);
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
    pare_train_options other = train_basic;
    pare_context *ctx = test_context();
    pare_model *a = train_small_run(ctx, &train_basic, NULL),
               *b = train_small_run(ctx, &train_basic, NULL);

    (void)state;
    other.seed++;
    pare_model *c = train_small_run(ctx, &other, NULL);
    assert_same_weights(a, b, true);
    assert_same_weights(a, c, false);
    pare_model_free(a);
    pare_model_free(b);
    pare_model_free(c);
    pare_context_free(ctx);
}

static void a_student_follows_a_teacher_that_stays_as_it_was(void **state)
{
    pare_context *ctx = test_context();
    pare_model *teacher = train_network(ctx, 12, true, false), *same = NULL;
    pare_model *student = train_network(ctx, 6, false, false);
    pare_data *data = train_images(ctx, IMAGES, 1, false);
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
    pare_model *before = train_network(ctx, 6, false, false);
    const pare_train_options options = {
        .epochs = 3, .batch = 16, .learning_rate = 1e30, .schedule = "constant"};
    pare_status status;
    pare_model *model = train_small_run(ctx, &options, &status);

    (void)state;
    assert_int_equal(status, PARE_ERROR_NUMERIC);
    assert_non_null(strstr(pare_context_message(ctx), "smaller learning rate"));
    assert_same_weights(model, before, true);
    pare_model_free(model);
    pare_model_free(before);
    pare_context_free(ctx);
}

/* Nothing but a product, so that what is infinite stays so; one step an epoch, whose loss is that
 * of the first weights. */
static void outputs_that_are_not_finite_in_validation_stop_it(void **state)
{
    pare_context *ctx = test_context();
    pare_data *train = train_images(ctx, IMAGES, 1, false), *val = train_images(ctx, 32, 2, false);
    const pare_train_options options = {
        .epochs = 3, .batch = IMAGES, .learning_rate = 3e38, .schedule = "constant"};
    pri_value *x;
    pri_graph *graph = train_graph(ctx, &x);
    pri_value *inputs[2] = {
        train_node(graph, "Flatten", 1, &x, "row"),
        train_weight(graph, "weights", 2, (const int64_t[]){3 * SIZE * SIZE, CLASSES}, 0, 0.1)};
    pare_model *model =
        train_finish(graph, train_node(graph, "Gemm", 2, inputs, "scores"), 2, CLASSES);

    (void)state;
    assert_int_equal(pare_train(model, train, val, &options, NULL), PARE_ERROR_NUMERIC);
    assert_non_null(strstr(pare_context_message(ctx), "validation image"));
    assert_non_null(strstr(pare_context_message(ctx), "smaller learning rate"));
    pare_model_free(model);
    pare_data_free(train);
    pare_data_free(val);
    pare_context_free(ctx);
}

static void a_softmax_head_trains_like_its_logits(void **state)
{
    pare_context *ctx = test_context();
    pare_model *a = train_network(ctx, 6, false, false), *b = train_network(ctx, 6, true, false);
    pare_data *data = train_images(ctx, IMAGES, 1, false);

    (void)state;
    test_ok(ctx, pare_train(a, data, NULL, &train_basic, NULL));
    test_ok(ctx, pare_train(b, data, NULL, &train_basic, NULL));
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
    pare_model *shared = train_network(ctx, 6, false, true);
    pare_model *plain = train_network(ctx, 6, false, false);
    pare_data *data = train_images(ctx, IMAGES, 1, false);

    (void)state;
    test_ok(ctx, pare_train(shared, data, NULL, &train_basic, NULL));
    test_ok(ctx, pare_train(plain, data, NULL, &train_basic, NULL));
    for (int i = 0; i < plain->graph->n_nodes; i++) {
        const pri_node *a = plain->graph->nodes[i];
        for (int j = 0; j < shared->graph->n_nodes; j++) {
            const pri_node *b = shared->graph->nodes[j];
            for (int k = 0; strcmp(a->name, b->name) == 0 && k < a->n_inputs; k++) {
                if (a->inputs[k]->constant != NULL)
                    assert_memory_equal(a->inputs[k]->constant->data, b->inputs[k]->constant->data,
                                        (size_t)pri_tensor_count(a->inputs[k]->constant) *
                                            sizeof(float));
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
    pri_graph *graph = train_graph(ctx, &x);
    pare_data *data = train_images(ctx, IMAGES, 1, true);
    uint8_t probe[SIZE * SIZE];
    float pixels[3 * SIZE * SIZE];
    train_watch w = {0};

    (void)state;
    x = train_convolution(graph, x, "conv1", 3, 8);
    x = train_normalise(graph, x, "conv1", 8, NULL, NULL);
    x = train_convolution(graph, x, "conv2", 8, 2);
    pare_model *model = train_finish(graph, x, 4, 2);
    const pare_train_options options = {
        .epochs = 10, .batch = 16, .learning_rate = 0.1, .on_epoch = train_on_epoch, .user = &w};
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
        train_assert_refused(ctx, &table[i].options, PARE_ERROR_ARGUMENT, table[i].word);
    pare_model *model = train_network(ctx, 6, false, false);
    pare_data *data = train_images(ctx, 8, 1, false);
    data->classes = CLASSES + 1;
    assert_int_equal(pare_train(model, data, NULL, &train_basic, NULL), PARE_ERROR_DATA);
    pri_free(data->labels);
    data->labels = NULL;
    assert_int_equal(pare_train(model, data, NULL, &train_basic, NULL), PARE_ERROR_DATA);
    pare_data_free(data);
    pare_model_free(model);
    pare_context_free(ctx);
}

static void short_memory_is_reported_and_leaks_nothing(void **state)
{
    const pare_train_options options = {.epochs = 1, .batch = 16};
    pare_context *ctx = test_context();
    pare_data *data = train_images(ctx, 16, 1, false);
    pare_status status = PARE_ERROR_MEMORY;
    int64_t nth = 1;

    (void)state;
    for (; status != PARE_OK; nth += 5) {
        pare_model *model = train_network(ctx, 4, false, true);
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
        cmocka_unit_test(two_steps_match_a_double_computation),
        cmocka_unit_test(a_small_network_learns_a_small_set),
        cmocka_unit_test(the_same_seed_gives_the_same_bytes),
        cmocka_unit_test(a_student_follows_a_teacher_that_stays_as_it_was),
        cmocka_unit_test(a_loss_that_is_not_finite_stops_with_good_weights),
        cmocka_unit_test(outputs_that_are_not_finite_in_validation_stop_it),
        cmocka_unit_test(a_softmax_head_trains_like_its_logits),
        cmocka_unit_test(statistics_read_through_identity_are_separated),
        cmocka_unit_test(a_mask_head_learns),
        cmocka_unit_test(impossible_options_are_refused),
        cmocka_unit_test(short_memory_is_reported_and_leaks_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
