/* SPDX-License-Identifier: Apache-2.0 */
/* test_recipe.c - rounds of pruning and training: targets, going on, weakening. */
#include "blobs.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "data/data.h"
#include "groups/groups.h"
#include "onnx/onnx_io.h"
#include "recipe/run_state.h"

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
    pare_data *train = test_blobs(ctx, 160, 1), *val = test_blobs(ctx, 64, 2);
    pare_model *model = test_network(ctx, "resnet20"), *pruned = NULL;
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
        {.target = {PARE_CHANNELS, 15, false}},  /* groups of one channel, which count no more */
        {.target = {PARE_CHANNELS, 5000, false}} /* there are fewer */
    };

    (void)state;
    for (size_t k = 0; k < PRI_COUNT(cases); k++) {
        pare_context *ctx = test_context();
        pare_model *model = test_network(ctx, "lenet5"), *pruned = NULL;
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
                assert_true(test_achieved(&result.pruning, PARE_MACS) <= 0.5);
            pri_groups_free(groups);
            pare_recipe_result_clear(&result);
        }
        pare_model_free(pruned);
        pare_model_free(model);
        pare_context_free(ctx);
    }
}

/* What a resumed run says of its time is of all of it. */
static void seconds_are_kept_with_the_state(void **state)
{
    pare_context *ctx = test_context();
    pare_data *train = test_blobs(ctx, 64, 1);
    pare_model *model = test_network(ctx, "lenet5");
    const char *folder = test_folder();
    char prefix[600];
    pare_recipe_result results[2];

    (void)state;
    snprintf(prefix, sizeof prefix, "%s/run", folder);
    for (int k = 0; k < 2; k++) { /* the second finds all done */
        const pare_recipe recipe = {
            .prune = {.strategy = PARE_ML, .target = {PARE_MACS, 0.5, true}, .reconstruct = 1},
            .rounds = 2,
            .state = prefix};
        pare_model *pruned = NULL;
        test_ok(ctx, pare_run_recipe(&pruned, model, train, train, &recipe, &results[k]));
        pare_model_free(pruned);
    }
    const pare_prune_result *a = &results[0].pruning, *b = &results[1].pruning;
    assert_true(a->score_seconds > 0 && a->score_seconds == b->score_seconds);
    assert_true(a->refit_seconds > 0 && a->refit_seconds == b->refit_seconds);
    assert_true(a->reconstruct_seconds > 0 && a->reconstruct_seconds == b->reconstruct_seconds);
    assert_true(results[1].seconds > a->score_seconds + a->refit_seconds + a->reconstruct_seconds);
    for (int k = 0; k < 2; k++)
        pare_recipe_result_clear(&results[k]);
    pare_model_free(model);
    pare_data_free(train);
    pare_context_free(ctx);
    test_remove_folder(folder);
}

static void other_images_or_labels_are_another_run(void **state)
{
    pare_context *ctx = test_context();
    pare_data *data = test_blobs(ctx, 16, 1);
    pare_model *model = test_network(ctx, "lenet5");
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

static pare_status run_beside(pare_context *ctx, const char *prefix, uint64_t seed, bool discards)
{
    pare_data *train = test_blobs(ctx, 64, 1), *val = test_blobs(ctx, 16, 2);
    pare_model *model = test_network(ctx, "lenet5"), *pruned = NULL;
    const pare_recipe recipe = {
        .prune = {.strategy = PARE_MAGNITUDE, .target = {PARE_MACS, 0.5, true}, .seed = seed},
        .epochs = 1,
        .train = {.batch = 16, .learning_rate = 0.01},
        .state = prefix,
        .discard_state = discards};
    pare_recipe_result result;
    const pare_status status = pare_run_recipe(&pruned, model, train, val, &recipe, &result);

    if (status == PARE_OK)
        pare_recipe_result_clear(&result);
    pare_model_free(pruned);
    pare_model_free(model);
    pare_data_free(train);
    pare_data_free(val);
    return status;
}

/* Checkpoints of other trainings are replaced, states of other runs when that is wanted, anything
 * else never. */
static void what_lies_where_a_state_goes_is_looked_at(void **state)
{
    static const char stale[] = "PARETRN\0of another run";
    pare_context *ctx = test_context();
    pare_model *foreign = test_network(ctx, "lenet5");
    const char *folder = test_folder();
    char prefix[600], training[640], rounds[640];

    (void)state;
    snprintf(prefix, sizeof prefix, "%s/run", folder);
    snprintf(training, sizeof training, "%s.train", prefix);
    snprintf(rounds, sizeof rounds, "%s.round", prefix);
    test_ok(ctx, pri_file_write(ctx, training, "dear", 4, true));
    assert_int_equal(run_beside(ctx, prefix, 0, true), PARE_ERROR_EXISTS);
    assert_non_null(strstr(pare_context_message(ctx), training));
    assert_int_equal(pri_file_size(training), 4);
    test_ok(ctx, pri_file_write(ctx, training, stale, sizeof stale, true));
    test_ok(ctx, run_beside(ctx, prefix, 0, false));
    assert_int_equal(run_beside(ctx, prefix, 1, false), PARE_ERROR_EXISTS);
    assert_non_null(strstr(pare_context_message(ctx), "of another run"));
    test_ok(ctx, run_beside(ctx, prefix, 0, false)); /* it is all there still */
    test_ok(ctx, run_beside(ctx, prefix, 1, true));
    test_ok(ctx, pare_model_save(foreign, rounds, true));
    assert_int_equal(run_beside(ctx, prefix, 1, true), PARE_ERROR_EXISTS);
    assert_non_null(strstr(pare_context_message(ctx), "a model of its own"));
    pare_model_free(foreign);
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
    pare_data *data = test_blobs(ctx, 64, 1);
    pare_model *model = test_network(ctx, "resnet20"), *models[2] = {NULL, NULL};
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
    assert_true(test_output_error(ctx, models[0], model, data) >
                test_output_error(ctx, models[1], model, data));
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
    pare_data *data = test_blobs(ctx, 16, 1);
    pare_model *model = test_network(ctx, "lenet5"), *pruned = NULL;
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
        cmocka_unit_test(an_interrupted_run_ends_with_the_same_bytes),
        cmocka_unit_test(rounds_that_have_nothing_to_prune_pass),
        cmocka_unit_test(seconds_are_kept_with_the_state),
        cmocka_unit_test(other_images_or_labels_are_another_run),
        cmocka_unit_test(what_lies_where_a_state_goes_is_looked_at),
        cmocka_unit_test(weakening_ends_in_a_cut),
        cmocka_unit_test(weakening_in_one_round_keeps_shapes),
        cmocka_unit_test(masking_in_rounds_or_with_training_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
