/* SPDX-License-Identifier: Apache-2.0 */
/* test_recipe.c - pruning on made models: targets, alignment, actions, repair, rounds, going on. */
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pare/pare.h>

#include "base/file.h"
#include "base/random.h"
#include "data/data.h"
#include "engine/engine.h"
#include "groups/groups.h"
#include "onnx/onnx_io.h"
#include "recipe/run_state.h"

/* Blobs whose place tells the class: learnable, and with structure between pixels. */
static pare_data *make_data(pare_context *ctx, int64_t count, uint64_t seed)
{
    pare_data *data = pri_alloc(ctx, 1, sizeof *data);
    enum { SIZE = 16 };

    assert_non_null(data);
    *data = (pare_data){
        .ctx = ctx, .count = count, .channels = 1, .height = SIZE, .width = SIZE, .classes = 4};
    data->pixels = pri_alloc(ctx, (size_t)count, SIZE * SIZE);
    data->labels = pri_alloc(ctx, (size_t)count, sizeof(int32_t));
    assert_true(data->pixels != NULL && data->labels != NULL);
    for (int64_t n = 0; n < count; n++) {
        const int label = (int)(n % 4);
        data->labels[n] = label;
        for (int i = 0; i < SIZE * SIZE; i++) {
            const double dy = i / SIZE - (label / 2 ? 11 : 4), dx = i % SIZE - (label % 2 ? 11 : 4);
            const double noise =
                30 * pri_random_normal(seed, PRI_STREAM_TEST, (uint64_t)(n * SIZE * SIZE + i));
            data->pixels[n * SIZE * SIZE + i] =
                (uint8_t)fmin(255, fmax(0, 60 + 150 * exp(-(dx * dx + dy * dy) / 20) + noise));
        }
    }
    return data;
}

static pare_model *make_model(pare_context *ctx, const char *name)
{
    pare_model *model = NULL;

    test_ok(ctx, pare_model_new(&model, ctx, name, 4, 1, 16, 16, 3));
    return model;
}

/* Mean squared difference of the first outputs of two models on images. */
static double output_error(pare_context *ctx, pare_model *a, pare_model *b, const pare_data *data)
{
    pare_model *models[2] = {a, b};
    pri_engine *engines[2];
    double sum = 0;

    for (int k = 0; k < 2; k++) {
        pri_preprocess preprocess;
        int64_t order[64];
        test_ok(ctx, pri_engine_new(&engines[k], models[k], &(pri_engine_options){.batch = 64}));
        test_ok(ctx, pri_preprocess_of(&preprocess, models[k]));
        for (int i = 0; i < 64; i++)
            order[i] = i;
        pri_data_batch(data, &preprocess, order, 64, NULL, 0, pri_engine_input(engines[k], 0), NULL,
                       NULL);
        test_ok(ctx, pri_engine_forward(engines[k]));
    }
    const pri_shape shape = pri_engine_output_shape(engines[0], 0);
    for (int64_t i = 0; i < pri_shape_count(&shape); i++) {
        const double d = pri_engine_output(engines[0], 0)[i] - pri_engine_output(engines[1], 0)[i];
        sum += d * d;
    }
    pri_engine_free(engines[0]);
    pri_engine_free(engines[1]);
    return sum / (double)pri_shape_count(&shape);
}

static void targets_are_read(void **state)
{
    static const struct {
        const char *text;
        pare_quantity quantity;
        double value;
        bool is_share;
    } good[] = {{"macs=50%", PARE_MACS, 0.5, true},
                {"params=0.3", PARE_PARAMETERS, 0.3, true},
                {"bytes=500k", PARE_BYTES, 5e5, false},
                {"macs=1.5M", PARE_MACS, 1.5e6, false},
                {"channels=60%", PARE_CHANNELS, 0.6, true}};
    static const char *const bad[] = {"macs",     "macs=",     "macs=abc", "macs=-3",
                                      "macs=0",   "macs=100%", "macs=5x",  "time=3",
                                      "macs=nan", "=3",        "macs=1"};
    pare_context *ctx = test_context();
    pare_target target;

    (void)state;
    for (size_t i = 0; i < PRI_COUNT(good); i++) {
        test_ok(ctx, pare_target_parse(&target, ctx, good[i].text));
        assert_int_equal(target.quantity, good[i].quantity);
        assert_true(fabs(target.value - good[i].value) < 1e-9 * good[i].value);
        assert_int_equal(target.is_share, good[i].is_share);
    }
    for (size_t i = 0; i < PRI_COUNT(bad); i++) {
        assert_int_equal(pare_target_parse(&target, ctx, bad[i]), PARE_ERROR_ARGUMENT);
        assert_non_null(strstr(pare_context_message(ctx), "="));
    }
    pare_context_free(ctx);
}

static double achieved(const pare_prune_result *r, pare_quantity quantity)
{
    switch (quantity) {
    case PARE_MACS: return (double)r->after.macs / (double)r->before.macs;
    case PARE_PARAMETERS: return (double)r->after.parameters / (double)r->before.parameters;
    case PARE_BYTES: return (double)r->after.bytes / (double)r->before.bytes;
    case PARE_CHANNELS: break;
    }
    return 1 - (double)r->removed / (double)r->units;
}

static void targets_are_met_within_a_percent(void **state)
{
    pare_context *ctx = test_context();
    pare_model *model = make_model(ctx, "resnet56");

    (void)state;
    for (int q = 0; q < 3; q++) {
        for (int layer = 0; layer < 2; layer++) {
            const pare_prune_options options = {.strategy = PARE_MAGNITUDE,
                                                .target = {(pare_quantity)q, 0.45, true},
                                                .per_layer = layer == 1};
            pare_prune_result result;
            pare_model *pruned = NULL;
            test_ok(ctx, pare_prune(&pruned, model, NULL, &options, &result));
            const double share = achieved(&result, (pare_quantity)q);
            assert_true(share > 0.445 && share < 0.4545);
            assert_true(result.oracle < 1e-4);
            pare_prune_result_clear(&result);
            pare_model_free(pruned);
        }
    }
    pare_model_free(model);
    pare_context_free(ctx);
}

/* Costs are of one sample, whatever batch the model declares. */
static void a_fixed_batch_changes_no_target(void **state)
{
    static const int64_t dims[] = {8, 1, 16, 16};

    (void)state;
    for (int rounds = 0; rounds < 3; rounds++) { /* 0: pare_prune with an absolute number */
        pare_context *ctx = test_context();
        pare_model *model = make_model(ctx, "resnet20"), *pruned = NULL;
        pare_recipe recipe = {.prune = {.strategy = PARE_MAGNITUDE,
                                        .target = {PARE_MACS, 0.5, true}},
                              .rounds = rounds};
        pare_recipe_result result = {0};
        pare_costs whole;
        test_ok(ctx, pare_model_set_input_shape(model, 0, 4, dims));
        test_ok(ctx, pare_model_costs(model, &whole));
        if (rounds == 0) {
            recipe.prune.target = (pare_target){PARE_MACS, 0.5 * (double)whole.macs, false};
            test_ok(ctx, pare_prune(&pruned, model, NULL, &recipe.prune, &result.pruning));
        } else {
            test_ok(ctx, pare_run_recipe(&pruned, model, NULL, NULL, &recipe, &result));
        }
        const double share = achieved(&result.pruning, PARE_MACS);
        assert_true(share > 0.495 && share < 0.505);
        pare_recipe_result_clear(&result);
        pare_model_free(pruned);
        pare_model_free(model);
        pare_context_free(ctx);
    }
}

static void aligned_counts_are_multiples(void **state)
{
    pare_context *ctx = test_context();
    pare_model *model = make_model(ctx, "resnet20"), *pruned = NULL;
    const pare_prune_options options = {
        .strategy = PARE_RANDOM, .target = {PARE_MACS, 0.5, true}, .align = 8, .seed = 5};
    pare_prune_result result;
    int cut = 0;

    (void)state;
    test_ok(ctx, pare_prune(&pruned, model, NULL, &options, &result));
    for (int g = 0; g < result.n_groups; g++) {
        assert_true(result.groups[g].after % 8 == 0 && result.groups[g].after > 0);
        cut += result.groups[g].after < result.groups[g].before;
    }
    assert_true(cut > 3);
    pare_prune_result_clear(&result);
    pare_model_free(pruned);
    pare_model_free(model);
    pare_context_free(ctx);
}

/* What is reported of several draws is of the one that is kept, here the first of three. */
static void the_kept_draw_is_reported(void **state)
{
    int n_kept_first = 0;

    (void)state;
    for (uint64_t seed = 1; seed < 7; seed++) {
        pare_context *ctx = test_context();
        pare_data *data = make_data(ctx, 64, 1);
        pare_model *model = make_model(ctx, "lenet5"), *models[2] = {NULL, NULL};
        pare_prune_result results[2];
        for (int k = 0; k < 2; k++) {
            const pare_prune_options options = {.strategy = PARE_RANDOM,
                                                .target = {PARE_MACS, 0.5, true},
                                                .draws = k == 0 ? 1 : 3,
                                                .no_refit = true,
                                                .no_recalibrate = true,
                                                .seed = seed};
            test_ok(ctx, pare_prune(&models[k], model, data, &options, &results[k]));
        }
        if (output_error(ctx, models[0], models[1], data) == 0) {
            n_kept_first++;
            assert_int_equal(results[0].removed, results[1].removed);
            assert_true(results[0].oracle == results[1].oracle);
            for (int g = 0; g < results[0].n_groups; g++)
                assert_int_equal(results[0].groups[g].after, results[1].groups[g].after);
        }
        for (int k = 0; k < 2; k++) {
            pare_prune_result_clear(&results[k]);
            pare_model_free(models[k]);
        }
        pare_model_free(model);
        pare_data_free(data);
        pare_context_free(ctx);
    }
    assert_true(n_kept_first > 0);
}

static void masking_computes_what_deleting_does(void **state)
{
    pare_context *ctx = test_context();
    pare_data *data = make_data(ctx, 64, 1);
    pare_model *model = make_model(ctx, "resnet20"), *models[2] = {NULL, NULL};
    pare_prune_options options = {.strategy = PARE_MAGNITUDE, .target = {PARE_MACS, 0.5, true}};
    pare_prune_result results[2];

    (void)state;
    for (int k = 0; k < 2; k++) {
        options.action = k == 0 ? PARE_DELETE : PARE_MASK;
        test_ok(ctx, pare_prune(&models[k], model, NULL, &options, &results[k]));
    }
    assert_true(results[0].after.macs < results[1].after.macs);
    assert_int_equal(results[1].after.macs, results[1].before.macs);
    assert_int_equal(results[0].removed, results[1].removed);
    assert_true(output_error(ctx, models[0], models[1], data) < 1e-9);
    assert_true(output_error(ctx, models[0], model, data) > 1e-6);
    for (int k = 0; k < 2; k++) {
        pare_prune_result_clear(&results[k]);
        pare_model_free(models[k]);
    }
    pare_model_free(model);
    pare_data_free(data);
    pare_context_free(ctx);
}

/* Each repair brings the outputs nearer to the original's than the one before. */
static void repairs_bring_outputs_back(void **state)
{
    static const char *const names[] = {"resnet20", "lenet5"};
    static const pare_strategy strategies[] = {PARE_RANDOM, PARE_MAGNITUDE, PARE_FISHER, PARE_ML,
                                               PARE_LOCAL_ML};

    (void)state;
    for (size_t m = 0; m < PRI_COUNT(names); m++) {
        pare_context *ctx = test_context();
        pare_data *data = make_data(ctx, 192, 1), *fresh = make_data(ctx, 64, 2);
        pare_model *model = make_model(ctx, names[m]);
        for (size_t s = 0; s < PRI_COUNT(strategies); s++) {
            double errors[3];
            for (int repair = 0; repair < 3; repair++) {
                const pare_prune_options options = {.strategy = strategies[s],
                                                    .target = {PARE_MACS, 0.6, true},
                                                    .no_refit = repair < 2,
                                                    .no_fold = repair < 1,
                                                    .no_recalibrate = true,
                                                    .reconstruct = -1,
                                                    .seed = 1};
                pare_prune_result result;
                pare_model *pruned = NULL;
                test_ok(ctx, pare_prune(&pruned, model, data, &options, &result));
                errors[repair] = output_error(ctx, model, pruned, fresh);
                pare_prune_result_clear(&result);
                pare_model_free(pruned);
            }
            assert_true(errors[1] < errors[0]);
            assert_true(errors[2] < 0.5 * errors[0]);
            if (strategies[s] >= PARE_ML) /* what a cut costs after a re-fit is what they look at */
                assert_true(errors[2] < 0.5 * errors[1]);
        }
        pare_model_free(model);
        pare_data_free(data);
        pare_data_free(fresh);
        pare_context_free(ctx);
    }
}

static void strategies_without_images_say_what_they_need(void **state)
{
    pare_context *ctx = test_context();
    pare_model *model = make_model(ctx, "lenet5"), *pruned = NULL;
    pare_data *data = make_data(ctx, 16, 1);
    pare_prune_result result;

    (void)state;
    for (int s = PARE_TAYLOR; s <= PARE_LOCAL_ML; s++) {
        const pare_prune_options options = {.strategy = (pare_strategy)s,
                                            .target = {PARE_MACS, 0.5, true}};
        assert_int_equal(pare_prune(&pruned, model, NULL, &options, &result), PARE_ERROR_ARGUMENT);
        assert_non_null(strstr(pare_context_message(ctx), "--data"));
        assert_null(pruned);
    }
    pri_free(data->labels);
    data->labels = NULL;
    const pare_prune_options taylor = {.strategy = PARE_TAYLOR, .target = {PARE_MACS, 0.5, true}};
    assert_int_equal(pare_prune(&pruned, model, data, &taylor, &result), PARE_ERROR_DATA);
    const pare_prune_options draws = {
        .strategy = PARE_RANDOM, .target = {PARE_MACS, 0.5, true}, .draws = 2};
    assert_int_equal(pare_prune(&pruned, model, data, &draws, &result), PARE_ERROR_DATA);
    assert_non_null(strstr(pare_context_message(ctx), "draws"));
    const pare_prune_options ml = {.strategy = PARE_ML, .target = {PARE_MACS, 0.5, true}};
    test_ok(ctx, pare_prune(&pruned, model, data, &ml, &result)); /* needs no labels */
    pare_prune_result_clear(&result);
    pare_model_free(pruned);
    pare_model_free(model);
    pare_data_free(data);
    pare_context_free(ctx);
}

/* --- Rounds --- */

typedef struct watch {
    pare_context *ctx;
    int cancel_after;
} watch;

static int n_rounds_seen;

static void on_round(void *user, const pare_round *round)
{
    watch *w = user;

    n_rounds_seen++;
    if (round->round == w->cancel_after)
        pare_context_cancel(w->ctx);
}

/* What a result says of the groups, in a sum. */
static double digest(const pare_prune_result *r)
{
    double sum = (double)r->units + 1e3 * (double)r->removed + r->oracle;

    for (int g = 0; g < r->n_groups; g++)
        sum += (g + 3) * (double)(r->groups[g].before * 5 + r->groups[g].after) +
               (double)strlen(r->groups[g].name);
    return sum;
}

static double pruning_seen; /* the digest of the last run */

/* Runs three rounds in a fresh context; the model's bytes, or NULL when it was cancelled. */
static unsigned char *run_rounds(size_t *size, pare_action action, const char *state_path,
                                 int cancel_after, double *accuracy)
{
    pare_context *ctx = test_context();
    pare_data *train = make_data(ctx, 160, 1), *val = make_data(ctx, 64, 2);
    pare_model *model = make_model(ctx, "resnet20"), *pruned = NULL;
    watch w = {ctx, cancel_after};
    const pare_recipe recipe = {.prune = {.strategy = PARE_MAGNITUDE,
                                          .action = action,
                                          .target = {PARE_MACS, 0.4, true},
                                          .seed = 1},
                                .rounds = 3,
                                .epochs = 1,
                                .distill = true,
                                .train = {.batch = 16, .learning_rate = 0.05, .seed = 1},
                                .state = state_path,
                                .on_round = on_round,
                                .user = &w};
    pare_recipe_result result;
    unsigned char *bytes = NULL;
    const pare_status status = pare_run_recipe(&pruned, model, train, val, &recipe, &result);

    if (cancel_after >= 0) {
        assert_int_equal(status, PARE_ERROR_CANCELLED);
    } else {
        test_ok(ctx, status);
        assert_int_equal(result.n_points, 4);
        for (int i = 1; i < 4; i++)
            assert_true(result.points[i].macs <= result.points[i - 1].macs + 1e-9);
        assert_true(result.points[3].macs > 0.396 && result.points[3].macs <= 0.4);
        *accuracy = result.points[3].accuracy;
        int64_t gone = 0;
        for (int g = 0; g < result.pruning.n_groups; g++)
            gone += result.pruning.groups[g].before - result.pruning.groups[g].after;
        assert_true(gone > 0 && gone == result.pruning.removed);
        pruning_seen = digest(&result.pruning);
        test_ok(ctx, pri_onnx_export_bytes(&bytes, size, pruned->graph));
        pare_recipe_result_clear(&result);
    }
    pare_model_free(pruned);
    pare_model_free(model);
    pare_data_free(train);
    pare_data_free(val);
    pare_context_free(ctx);
    return bytes;
}

static void an_interrupted_run_ends_with_the_same_bytes(void **state)
{
    char prefix[600], file[640];
    size_t sizes[2] = {0, 0};
    double accuracy = 0;
    const char *folder = test_folder();

    (void)state;
    snprintf(prefix, sizeof prefix, "%s/run", folder);
    snprintf(file, sizeof file, "%s.round", prefix);
    unsigned char *whole = run_rounds(&sizes[0], PARE_DELETE, NULL, -1, &accuracy);
    const double pruning = pruning_seen;
    for (int at = 1; at <= 2; at++) {
        assert_null(run_rounds(&sizes[1], PARE_DELETE, prefix, at, &accuracy));
        assert_true(pri_file_exists(file));
        unsigned char *resumed = run_rounds(&sizes[1], PARE_DELETE, prefix, -1, &accuracy);
        assert_int_equal(sizes[0], sizes[1]);
        assert_memory_equal(whole, resumed, sizes[0]);
        assert_true(pruning_seen == pruning);
        pri_free(resumed);
        if (at == 1) { /* a run that was done is not repeated, but gives its model again */
            n_rounds_seen = 0;
            resumed = run_rounds(&sizes[1], PARE_DELETE, prefix, -1, &accuracy);
            assert_int_equal(n_rounds_seen, 0);
            assert_int_equal(sizes[0], sizes[1]);
            assert_memory_equal(whole, resumed, sizes[0]);
            assert_true(pruning_seen == pruning);
            pri_free(resumed);
        }
        pare_context *ctx = test_context();
        pare_recipe_state_remove(ctx, prefix);
        pare_context_free(ctx);
        assert_false(pri_file_exists(file));
    }
    pri_free(whole);
    test_remove_folder(folder);
}

/* Few channels, many rounds, counts in steps: most rounds find their target met. */
static void rounds_that_have_nothing_to_prune_pass(void **state)
{
    static const pare_prune_options cases[] = {
        {.target = {PARE_MACS, 0.5, true}, .align = 8},
        {.target = {PARE_CHANNELS, 0.6, true}},
        {.target = {PARE_CHANNELS, 150, false}},
        {.target = {PARE_CHANNELS, 15, false}}, /* groups of one channel, which count no more */
        {.target = {PARE_CHANNELS, 5000, false}} /* there are fewer */
    };

    (void)state;
    for (size_t k = 0; k < PRI_COUNT(cases); k++) {
        pare_context *ctx = test_context();
        pare_model *model = make_model(ctx, "lenet5"), *pruned = NULL;
        pare_recipe recipe = {.prune = cases[k], .rounds = 40};
        pare_recipe_result result;
        recipe.prune.strategy = PARE_MAGNITUDE;
        const pare_status status = pare_run_recipe(&pruned, model, NULL, NULL, &recipe, &result);
        if (cases[k].target.value == 5000) {
            assert_int_equal(status, PARE_ERROR_TARGET);
            assert_non_null(strstr(pare_context_message(ctx), "nothing to prune"));
        } else {
            test_ok(ctx, status);
            pri_groups *groups = NULL;
            test_ok(ctx, pri_groups_new(&groups, model));
            const double kept = (double)groups->n_units - (double)result.pruning.removed;
            const pare_target *target = &cases[k].target;
            if (target->quantity == PARE_CHANNELS)
                assert_int_equal(floor(target->value * (target->is_share ? groups->n_units : 1)),
                                 kept);
            else
                assert_true(achieved(&result.pruning, PARE_MACS) <= 0.5);
            pri_groups_free(groups);
            pare_recipe_result_clear(&result);
        }
        pare_model_free(pruned);
        pare_model_free(model);
        pare_context_free(ctx);
    }
}

static void other_images_or_labels_are_another_run(void **state)
{
    pare_context *ctx = test_context();
    pare_data *data = make_data(ctx, 16, 1);
    pare_model *model = make_model(ctx, "lenet5");
    const pare_recipe recipe = {.rounds = 2};
    char texts[4][32];

    (void)state;
    for (int k = 0; k < 4; k++) {
        if (k == 2)
            data->pixels[16 * 16 * 16 - 1] ^= 1;
        if (k == 3)
            data->labels[15] = 0;
        test_ok(ctx, pri_run_fingerprint(texts[k], model, &recipe, data, data));
    }
    assert_string_equal(texts[0], texts[1]);
    assert_string_not_equal(texts[1], texts[2]);
    assert_string_not_equal(texts[2], texts[3]);
    pare_model_free(model);
    pare_data_free(data);
    pare_context_free(ctx);
}

static void a_training_state_of_another_run_is_no_obstacle(void **state)
{
    pare_context *ctx = test_context();
    pare_data *train = make_data(ctx, 64, 1), *val = make_data(ctx, 16, 2);
    pare_model *model = make_model(ctx, "lenet5");
    const char *folder = test_folder();
    char prefix[600], file[640];

    (void)state;
    snprintf(prefix, sizeof prefix, "%s/run", folder);
    snprintf(file, sizeof file, "%s.train", prefix);
    for (int k = 0; k < 2; k++) { /* without rounds of the other run, and with */
        const pare_recipe recipe = {.prune = {.strategy = PARE_MAGNITUDE,
                                              .target = {PARE_MACS, 0.5, true},
                                              .seed = (uint64_t)k},
                                    .epochs = 1,
                                    .train = {.batch = 16, .learning_rate = 0.01},
                                    .state = prefix};
        pare_recipe_result result;
        pare_model *pruned = NULL;
        test_ok(ctx, pri_file_write(ctx, file, "stale", 5, true));
        test_ok(ctx, pare_run_recipe(&pruned, model, train, val, &recipe, &result));
        pare_recipe_result_clear(&result);
        pare_model_free(pruned);
    }
    pare_model_free(model);
    pare_data_free(train);
    pare_data_free(val);
    pare_context_free(ctx);
    test_remove_folder(folder);
}

static void weakening_ends_in_a_cut(void **state)
{
    size_t size = 0;
    double accuracy = 0;
    unsigned char *bytes = run_rounds(&size, PARE_WEAKEN, NULL, -1, &accuracy);

    (void)state;
    assert_non_null(bytes);
    pri_free(bytes);
}

static void weakening_in_one_round_keeps_shapes(void **state)
{
    pare_context *ctx = test_context();
    pare_data *data = make_data(ctx, 64, 1);
    pare_model *model = make_model(ctx, "resnet20"), *models[2] = {NULL, NULL};
    pare_recipe_result results[2];

    (void)state;
    for (int k = 0; k < 2; k++) {
        const pare_recipe recipe = {.prune = {.strategy = PARE_MAGNITUDE,
                                              .action = PARE_WEAKEN,
                                              .factor = k == 0 ? 0.25 : 0.75,
                                              .target = {PARE_MACS, 0.5, true}}};
        test_ok(ctx, pare_run_recipe(&models[k], model, NULL, NULL, &recipe, &results[k]));
        assert_int_equal(results[k].pruning.after.macs, results[k].pruning.before.macs);
    }
    assert_true(output_error(ctx, models[0], model, data) >
                output_error(ctx, models[1], model, data));
    for (int k = 0; k < 2; k++) {
        pare_recipe_result_clear(&results[k]);
        pare_model_free(models[k]);
    }
    pare_model_free(model);
    pare_data_free(data);
    pare_context_free(ctx);
}

static void masking_in_rounds_or_with_training_is_refused(void **state)
{
    pare_context *ctx = test_context();
    pare_data *data = make_data(ctx, 16, 1);
    pare_model *model = make_model(ctx, "lenet5"), *pruned = NULL;
    pare_recipe_result result;

    (void)state;
    for (int k = 0; k < 3; k++) {
        const pare_recipe recipe = {
            .prune = {.action = PARE_MASK, .target = {PARE_MACS, 0.5, true}},
            .rounds = k == 0 ? 2 : 1,
            .epochs = k == 1,
            .final_epochs = k == 2};
        assert_int_equal(pare_run_recipe(&pruned, model, data, NULL, &recipe, &result),
                         PARE_ERROR_ARGUMENT);
        assert_non_null(strstr(pare_context_message(ctx), "weaken"));
    }
    pare_data_free(data);
    pare_model_free(model);
    pare_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_are_read),
        cmocka_unit_test(targets_are_met_within_a_percent),
        cmocka_unit_test(a_fixed_batch_changes_no_target),
        cmocka_unit_test(aligned_counts_are_multiples),
        cmocka_unit_test(the_kept_draw_is_reported),
        cmocka_unit_test(masking_computes_what_deleting_does),
        cmocka_unit_test(repairs_bring_outputs_back),
        cmocka_unit_test(strategies_without_images_say_what_they_need),
        cmocka_unit_test(an_interrupted_run_ends_with_the_same_bytes),
        cmocka_unit_test(rounds_that_have_nothing_to_prune_pass),
        cmocka_unit_test(other_images_or_labels_are_another_run),
        cmocka_unit_test(a_training_state_of_another_run_is_no_obstacle),
        cmocka_unit_test(weakening_ends_in_a_cut),
        cmocka_unit_test(weakening_in_one_round_keeps_shapes),
        cmocka_unit_test(masking_in_rounds_or_with_training_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
