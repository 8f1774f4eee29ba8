/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_recompute.c - activations computed again: the same bytes as when they are kept, in less
 * memory.
 */
#include "train_nets.h"

#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "engine/engine.h"
#include "kernels/dnn.h"
#include "random_graph.h"

/* One of two copies of a network: activations kept, or computed again. */
typedef struct side {
    pare_model *model;
    pri_engine *engine;
} side;

typedef pare_model *make_fn(pare_context *ctx, uint64_t seed);

/* --- Networks --- */

static pare_model *by_name(pare_context *ctx, const char *name, int64_t size)
{
    pare_model *model = NULL;

    test_ok(ctx, pare_model_new(&model, ctx, name, 10, 3, size, size, 3));
    return model;
}

static pare_model *make_resnet20(pare_context *ctx, uint64_t seed)
{
    (void)seed;
    return by_name(ctx, "resnet20", 16);
}

static pare_model *make_unet(pare_context *ctx, uint64_t seed)
{
    (void)seed;
    return by_name(ctx, "unet", 32);
}

static pare_model *make_mobilenet(pare_context *ctx, uint64_t seed)
{
    (void)seed;
    return by_name(ctx, "mobilenetv2", 32);
}

static pare_model *make_duo(pare_context *ctx, uint64_t seed)
{
    (void)seed;
    return by_name(ctx, "duo", 48);
}

/* Blocks of convolution, normalisation, Relu and Dropout with a sum around them. */
static pare_model *make_dropout(pare_context *ctx, uint64_t seed)
{
    pri_value *x;
    pri_graph *graph = train_graph(ctx, &x);
    char name[32];

    (void)seed;
    x = train_convolution(graph, x, "stem", 3, 8);
    for (int k = 0; k < 6; k++) {
        snprintf(name, sizeof name, "block%d", k);
        pri_value *y = train_convolution(graph, x, name, 8, 8);
        y = train_normalise(graph, y, name, 8, NULL, NULL);
        snprintf(name, sizeof name, "drop%d", k);
        y = train_node(graph, "Dropout", 1, &y, name);
        snprintf(name, sizeof name, "sum%d", k);
        x = train_node(graph, "Add", 2, (pri_value *[]){x, y}, name);
    }
    x = train_convolution(graph, x, "last", 8, 2);
    return train_finish(graph, x, 4, 2);
}

/* Two normalisations move the same statistics. */
static pare_model *make_shared(pare_context *ctx, uint64_t seed)
{
    (void)seed;
    return train_network(ctx, 6, false, true);
}

static pare_model *make_random(pare_context *ctx, uint64_t seed)
{
    char text[512];

    return test_random_model(ctx, seed, text, sizeof text);
}

/* --- Two copies side by side --- */

static const pri_engine_options training = {
    .batch = 3, .training = true, .backward = true, .weight_gradients = true};

static void open_side(side *s, pare_context *ctx, make_fn *make, uint64_t seed,
                      pri_engine_options options)
{
    pri_value *tap;

    s->model = make(ctx, seed);
    const pri_graph *graph = s->model->graph;
    /* a value in the middle stays readable */
    tap = graph->nodes[graph->n_nodes / 2]->outputs[0];
    options.taps = &tap;
    options.n_taps = 1;
    if (graph->inputs[0]->shape.dims[0] != PRI_DYNAMIC)
        options.batch = 0;
    test_ok(ctx, pri_engine_new(&s->engine, s->model, &options));
}

static void close_side(side *s)
{
    pri_engine_free(s->engine);
    pare_model_free(s->model);
}

static void fill(float *to, const pri_shape *shape, uint64_t seed)
{
    for (int64_t i = 0; to != NULL && i < pri_shape_count(shape); i++)
        to[i] = (float)pri_random_normal(seed, PRI_STREAM_TEST, (uint64_t)i);
}

/* Forward, a gradient at all outputs and at the tap, backward, whole or step by step. */
static void run_step(const side *s, uint64_t step, bool by_steps)
{
    pare_context *ctx = s->model->ctx;
    pri_engine *engine = s->engine;
    const int n = pri_engine_steps(engine);
    pri_tap tap;

    for (int k = 0; k < s->model->graph->n_inputs; k++) {
        const pri_shape shape = pri_engine_input_shape(engine, k);
        fill(pri_engine_input(engine, k), &shape, 10 * step);
    }
    pri_engine_set_step(engine, 5, step);
    test_ok(ctx, pri_engine_forward(engine));
    for (int k = 0; k < s->model->graph->n_outputs; k++) {
        const pri_shape shape = pri_engine_output_shape(engine, k);
        fill(pri_engine_output_gradient(engine, k), &shape, 10 * step + 1);
    }
    test_ok(ctx, pri_engine_tap(engine, 0, &tap));
    fill(pri_engine_tap_gradient(engine, 0), &tap.shape, 10 * step + 2);
    pri_engine_zero_gradients(engine);
    if (!by_steps)
        test_ok(ctx, pri_engine_backward(engine));
    for (int k = n - 1; by_steps && k >= 0; k--)
        test_ok(ctx, pri_engine_run_back(engine, k, k + 1));
}

static void descend(const side *s)
{
    const pri_graph *graph = s->model->graph;

    for (int i = 0; i < graph->n_values; i++) {
        pri_value *value = graph->values[i];
        const float *gradient =
            value->constant != NULL ? pri_engine_weight_gradient(s->engine, value) : NULL;
        if (gradient == NULL)
            continue;
        test_ok(s->model->ctx, pri_tensor_own(value->constant));
        float *w = value->constant->data;
        for (int64_t k = 0; k < pri_tensor_count(value->constant); k++)
            w[k] -= 1e-4f * gradient[k];
    }
    pri_engine_refresh(s->engine);
}

static void assert_same(const void *a, const void *b, size_t bytes, const char *what, uint64_t seed)
{
    if (memcmp(a, b, bytes) != 0)
        fail_msg("seed %llu: %s is not the same", (unsigned long long)seed, what);
}

/* Outputs, the tap and its gradient, gradients of weights, weights and statistics. */
static void compare(const side *a, const side *b, uint64_t seed)
{
    const pri_graph *graph = a->model->graph;
    pri_tap taps[2];

    for (int k = 0; k < graph->n_outputs; k++) {
        const pri_shape shape = pri_engine_output_shape(a->engine, k);
        const size_t size = pri_dtype_bytes(pri_engine_output_dtype(a->engine, k));
        assert_same(pri_engine_output(a->engine, k), pri_engine_output(b->engine, k),
                    (size_t)pri_shape_count(&shape) * size, "an output", seed);
    }
    test_ok(a->model->ctx, pri_engine_tap(a->engine, 0, &taps[0]));
    test_ok(b->model->ctx, pri_engine_tap(b->engine, 0, &taps[1]));
    const size_t bytes = (size_t)pri_shape_count(&taps[0].shape) * sizeof(float);
    if (taps[0].gradient != NULL) { /* a tap of floats */
        assert_same(taps[0].data, taps[1].data, bytes, "the tap", seed);
        assert_same(taps[0].gradient, taps[1].gradient, bytes, "the tap's gradient", seed);
    }
    for (int i = 0; i < graph->n_values; i++) {
        const pri_value *x = graph->values[i], *y = b->model->graph->values[i];
        if (x->constant == NULL)
            continue;
        const size_t size = (size_t)pri_tensor_count(x->constant);
        const float *dx = pri_engine_weight_gradient(a->engine, x);
        assert_same(x->constant->data, y->constant->data,
                    size * pri_dtype_bytes(x->constant->dtype), x->name, seed);
        if (dx != NULL)
            assert_same(dx, pri_engine_weight_gradient(b->engine, y), size * sizeof(float), x->name,
                        seed);
    }
}

/* Some steps of both; says whether anything was dropped. */
static bool agree(make_fn *make, uint64_t seed, pri_engine_options options, int segments)
{
    pare_context *ctx = test_context();
    side kept, again;

    open_side(&kept, ctx, make, seed, options);
    options.recompute = true;
    options.segments = segments;
    open_side(&again, ctx, make, seed, options);
    for (uint64_t step = 0; step < 3; step++) {
        run_step(&kept, step, false);
        run_step(&again, step, step == 1);
        compare(&kept, &again, seed);
        descend(&kept);
        descend(&again);
    }
    assert_int_equal(pri_engine_kept_bytes(again.engine), pri_engine_activation_bytes(kept.engine));
    const bool is_less =
        pri_engine_activation_bytes(again.engine) < pri_engine_activation_bytes(kept.engine);
    close_side(&kept);
    close_side(&again);
    pare_context_free(ctx);
    return is_less;
}

static void all_bytes_are_the_same(void **state)
{
    static make_fn *const nets[] = {make_resnet20, make_unet, make_mobilenet, make_duo,
                                    make_dropout};

    (void)state;
    for (size_t k = 0; k < PRI_COUNT(nets); k++) {
        assert_true(agree(nets[k], 0, training, 0));
        (void)agree(nets[k], 0, training, 5);
    }
    (void)agree(make_shared, 0, training, 3);
    (void)agree(make_shared, 0, training, 1000);
}

static void other_ways_to_run_agree_too(void **state)
{
    pri_engine_options options = training;

    (void)state;
    options.no_fusion = true;
    assert_true(agree(make_resnet20, 0, options, 0));
    options.plain = true;
    assert_true(agree(make_duo, 0, options, 0));
    options = training;
    options.bf16 = pri_dnn_has_bf16();
    assert_true(agree(make_unet, 0, options, 0));
    options = training;
    options.training = false; /* normalisation held still */
    assert_true(agree(make_resnet20, 0, options, 0));
    options.weight_gradients = false;
    (void)agree(make_resnet20, 0, options, 4);
    options.training = true;
    (void)agree(make_resnet20, 0, options, 4);
}

static void networks_of_any_kind_agree(void **state)
{
    static const int segments[] = {0, 2, 3, 6, 1000};

    (void)state;
    for (uint64_t seed = 0; seed < 40; seed++)
        (void)agree(make_random, seed, training, segments[seed % PRI_COUNT(segments)]);
}

/* --- Memory --- */

static double share_of(pare_context *ctx, const char *name, int64_t size, int64_t batch)
{
    pri_engine_options options = training;
    pri_engine *engine = NULL;
    pare_model *model = by_name(ctx, name, size);

    options.batch = batch;
    options.plan_only = options.recompute = true;
    test_ok(ctx, pri_engine_new(&engine, model, &options));
    const double share =
        (double)pri_engine_activation_bytes(engine) / (double)pri_engine_kept_bytes(engine);
    pri_engine_free(engine);
    pare_model_free(model);
    return share;
}

/* Bounds a few percent above what was reached. */
static void memory_falls(void **state)
{
    pare_context *ctx = *state;

    assert_true(share_of(ctx, "resnet20", 32, 8) < 0.37);
    assert_true(share_of(ctx, "resnet56", 32, 8) < 0.23);
    assert_true(share_of(ctx, "mobilenetv2", 32, 8) < 0.25);
    assert_true(share_of(ctx, "unet", 64, 2) < 0.45);
    assert_true(share_of(ctx, "lenet-300-100", 32, 8) <= 1);
}

static void a_warm_step_allocates_nothing(void **state)
{
    pri_engine_options options = training;
    side s;

    options.recompute = true;
    open_side(&s, *state, make_resnet20, 0, options);
    run_step(&s, 0, false);
    descend(&s);
    const int64_t before = pri_count_allocations(*state);
    run_step(&s, 1, false);
    assert_int_equal(pri_count_allocations(*state), before);
    close_side(&s);
}

/* Making an engine: every allocation fails in turn. */
static void allocations_may_fail(void **state)
{
    pri_engine_options options = training;
    pare_context *ctx = *state;
    pare_model *model = make_dropout(ctx, 0);
    pare_status status = PARE_ERROR_MEMORY;

    options.recompute = true;
    for (int64_t nth = 1; status != PARE_OK; nth++) {
        pri_engine *engine = NULL;
        pri_fail_allocation(ctx, nth);
        status = pri_engine_new(&engine, model, &options);
        pri_fail_allocation(ctx, 0);
        assert_true(status == PARE_OK || status == PARE_ERROR_MEMORY);
        assert_true((engine != NULL) == (status == PARE_OK));
        pri_engine_free(engine);
    }
    pare_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_bytes_are_the_same),
        cmocka_unit_test(other_ways_to_run_agree_too),
        cmocka_unit_test(networks_of_any_kind_agree),
        cmocka_unit_test_setup_teardown(memory_falls, test_setup, test_teardown),
        cmocka_unit_test_setup_teardown(a_warm_step_allocates_nothing, test_setup, test_teardown),
        cmocka_unit_test_setup_teardown(allocations_may_fail, test_setup, test_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
