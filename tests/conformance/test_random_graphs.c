/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_random_graphs.c - coupling tells the truth, on networks drawn from seeds.
 *
 * For each network random units are removed: the cut model must compute what the masked one
 * computes, cost what was predicted, and survive its file. PARE_SEED starts elsewhere, PARE_GRAPHS
 * says how many; a failure names its seed.
 */
#include "random_graph.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "engine/engine.h"
#include "groups/groups.h"

static const double tolerance = 1e-4;

typedef struct experiment {
    pare_context *ctx;
    uint64_t seed;
    char blocks[256];
    pare_model *model, *masked, *cut, *loaded;
    pri_groups *groups;
    bool *removed;
    int64_t *kept;
    int n_removed;
} experiment;

/* What a run over many networks adds up to: a test that never cuts anything proves nothing. */
typedef struct tally {
    int graphs, alive, units, removed, changed, controls;
    double worst;
} tally;

static void check(const experiment *e, pare_status status, const char *what)
{
    if (status != PARE_OK)
        fail_msg("seed %llu (%s): %s: %s", (unsigned long long)e->seed, e->blocks, what,
                 pare_context_message(e->ctx));
}

static void require(const experiment *e, bool holds, const char *what)
{
    if (!holds)
        fail_msg("seed %llu (%s): %s", (unsigned long long)e->seed, e->blocks, what);
}

/* --- Choice --- */

static bool leaves_something(const experiment *e, int unit, int sign)
{
    const pri_unit *u = &e->groups->units[unit];
    bool result = true;

    for (int64_t i = 0; i < u->n_elements; i++)
        e->kept[e->groups->axis_of[u->elements[i]]] -= sign;
    for (int64_t i = 0; i < u->n_elements; i++)
        result = result && e->kept[e->groups->axis_of[u->elements[i]]] >= 1;
    return result;
}

static void choose_units(experiment *e)
{
    const double fraction = 0.1 + 0.8 * pri_random_unit(e->seed, PRI_STREAM_PRUNE, 0);
    int64_t *order = malloc((size_t)e->groups->n_units * sizeof *order);

    e->removed = calloc((size_t)e->groups->n_units + 1, sizeof *e->removed);
    e->kept = calloc((size_t)e->groups->n_axes + 1, sizeof *e->kept);
    assert_true(order != NULL && e->removed != NULL && e->kept != NULL);
    pri_groups_count(e->groups, e->removed, e->kept);
    pri_random_permutation(order, e->groups->n_units, e->seed, PRI_STREAM_PRUNE);
    for (int k = 0; k < e->groups->n_units; k++) {
        const int unit = (int)order[k];
        if (e->groups->units[unit].pin >= 0 ||
            pri_random_unit(e->seed, PRI_STREAM_PRUNE + 100, (uint64_t)k) > fraction)
            continue;
        e->removed[unit] = leaves_something(e, unit, 1);
        if (!e->removed[unit])
            (void)leaves_something(e, unit, -1);
        e->n_removed += e->removed[unit];
    }
    free(order);
}

/* --- Checks --- */

static void open_experiment(experiment *e, pare_context *ctx, uint64_t seed)
{
    *e = (experiment){.ctx = ctx, .seed = seed};
    e->model = test_random_model(ctx, seed, e->blocks, sizeof e->blocks);
    check(e, pri_groups_new(&e->groups, e->model), "groups");
    choose_units(e);
}

static void close_experiment(experiment *e)
{
    pri_groups_free(e->groups);
    pare_model_free(e->model);
    pare_model_free(e->masked);
    pare_model_free(e->cut);
    pare_model_free(e->loaded);
    free(e->removed);
    free(e->kept);
}

static double cut_and_verify(experiment *e)
{
    double worst;

    check(e, pare_model_clone(&e->masked, e->model), "clone");
    check(e, pare_model_clone(&e->cut, e->model), "clone");
    check(e, pri_groups_mask_consumers(e->groups, e->masked, e->removed), "mask");
    check(e, pri_groups_cut(e->groups, e->cut, e->removed), "cut");
    check(e, pri_groups_verify(e->masked, e->cut, e->seed, tolerance, &worst), "verify");
    return worst;
}

static void check_costs(const experiment *e)
{
    pare_costs costs;
    int64_t *kept = calloc((size_t)e->groups->n_axes + 1, sizeof *kept);

    assert_non_null(kept);
    pri_groups_count(e->groups, e->removed, kept);
    for (int a = 0; a < e->groups->n_axes; a++)
        require(e, kept[a] >= 1 && kept[a] == e->kept[a], "an axis lost all its channels");
    check(e, pare_model_costs(e->cut, &costs), "costs");
    if (costs.macs != pri_groups_macs(e->groups, kept) ||
        costs.parameters != pri_groups_parameters(e->groups, kept))
        fail_msg("seed %llu (%s): %lld MACs and %lld parameters were predicted, the cut model has "
                 "%lld and %lld",
                 (unsigned long long)e->seed, e->blocks,
                 (long long)pri_groups_macs(e->groups, kept),
                 (long long)pri_groups_parameters(e->groups, kept), (long long)costs.macs,
                 (long long)costs.parameters);
    free(kept);
}

static void check_file(experiment *e, const char *folder)
{
    char path[600];
    double worst;

    snprintf(path, sizeof path, "%s/cut.onnx", folder);
    check(e, pare_model_save(e->cut, path, true), "save");
    check(e, pare_model_load(&e->loaded, e->ctx, path), "load");
    check(e, pri_groups_verify(e->masked, e->loaded, e->seed + 1, tolerance, &worst),
          "verify what was loaded");
}

/* A model with an open batch must still run at another one. */
static void check_batch(const experiment *e)
{
    const pri_engine_options options = {.batch = 2};
    pri_engine *engine = NULL;

    if (e->model->graph->inputs[0]->shape.dims[0] != PRI_DYNAMIC)
        return;
    if (pri_engine_new(&engine, e->model, &options) == PARE_OK) {
        pri_engine_free(engine);
        check(e, pri_engine_new(&engine, e->cut, &options), "batch of two");
    }
    pri_engine_free(engine);
    pri_forget(e->ctx);
}

static bool differ(const experiment *e, pare_model *a, pare_model *b, uint64_t seed_a,
                   uint64_t seed_b, bool each)
{
    pare_model *const models[2] = {a, b};
    const uint64_t seeds[2] = {seed_a, seed_b};
    pri_engine *engines[2] = {NULL, NULL};
    bool any = false, all = true;

    for (int k = 0; k < 2; k++) {
        check(e, pri_engine_new(&engines[k], models[k], &(const pri_engine_options){0}), "engine");
        const pri_shape shape = pri_engine_input_shape(engines[k], 0);
        float *x = pri_engine_input(engines[k], 0);
        for (int64_t i = 0; i < pri_shape_count(&shape); i++)
            x[i] = (float)pri_random_normal(seeds[k], PRI_STREAM_TEST, (uint64_t)i);
        check(e, pri_engine_forward(engines[k]), "forward");
    }
    for (int k = 0; k < a->graph->n_outputs; k++) {
        const pri_shape shape = pri_engine_output_shape(engines[0], k);
        const size_t bytes = (size_t)pri_shape_count(&shape) * sizeof(float);
        const bool same =
            memcmp(pri_engine_output(engines[0], k), pri_engine_output(engines[1], k), bytes) == 0;
        any = any || !same;
        all = all && !same;
    }
    pri_engine_free(engines[0]);
    pri_engine_free(engines[1]);
    return each ? all : any;
}

/* Whether the oracle notices that an element of a weight of the cut model moves by `step`. */
static bool is_noticed(const experiment *e, float step)
{
    pri_value *weights[256];
    const int n = pri_model_weights(e->cut, weights, 256);
    double worst;

    for (int w = n < 256 ? n - 1 : 255; w >= 0; w--) {
        pri_tensor *tensor = weights[w]->constant;
        if (tensor->shape.rank < 2)
            continue;
        check(e, pri_tensor_own(tensor), "own");
        for (int64_t i = 0; i < pri_tensor_count(tensor) && i < 8; i++) {
            float *element = (float *)tensor->data + i;
            const float before = *element;
            *element += step;
            const pare_status status =
                pri_groups_verify(e->masked, e->cut, e->seed, tolerance, &worst);
            *element = before;
            pri_forget(e->ctx);
            if (status == PARE_ERROR_VERIFY)
                return true;
        }
    }
    return false;
}

/* The oracle must notice a wrong weight. Units that are off for all inputs need a large step. */
static void check_control(const experiment *e)
{
    require(e, is_noticed(e, 0.5f) || is_noticed(e, 50) || is_noticed(e, -50),
            "the oracle does not notice a changed weight");
}

static void run_seed(pare_context *ctx, uint64_t seed, const char *folder, tally *sum)
{
    experiment e;

    open_experiment(&e, ctx, seed);
    sum->worst = fmax(sum->worst, cut_and_verify(&e));
    check_costs(&e);
    check_file(&e, folder);
    check_batch(&e);
    sum->alive += differ(&e, e.model, e.model, 1, 2, true);
    if (e.n_removed > 0)
        sum->changed += differ(&e, e.model, e.masked, 1, 1, false);
    if (seed % 4 == 0 && differ(&e, e.masked, e.masked, 1, 2, false)) {
        check_control(&e);
        sum->controls++;
    }
    sum->graphs++;
    sum->units += e.groups->n_units;
    sum->removed += e.n_removed;
    close_experiment(&e);
}

static void coupling_tells_the_truth(void **state)
{
    const char *first = getenv("PARE_SEED"), *number = getenv("PARE_GRAPHS");
    const uint64_t seed = first != NULL ? strtoull(first, NULL, 10) : 1;
    const uint64_t count = number != NULL ? strtoull(number, NULL, 10) : 300;
    char folder[512];
    tally sum = {0};

    (void)state;
    pare_context *ctx = test_context();
    snprintf(folder, sizeof folder, "%s", test_folder());
    for (uint64_t s = seed; s < seed + count; s++)
        run_seed(ctx, s, folder, &sum);
    test_remove_folder(folder);
    printf("%d graphs from seed %llu, %d with all outputs alive: %d units, %d removed, %d outputs "
           "changed by it, %d controls, largest difference %.1e\n",
           sum.graphs, (unsigned long long)seed, sum.alive, sum.units, sum.removed, sum.changed,
           sum.controls, sum.worst);
    if (count >= 100) {
        /* a few networks die of their activations; the input has to reach the others */
        assert_true(sum.alive > 19 * sum.graphs / 20);
        assert_true(sum.removed > 10 * sum.graphs && sum.changed > sum.graphs / 2);
        assert_true(sum.controls > sum.graphs / 8);
    }
    pare_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(coupling_tells_the_truth),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
