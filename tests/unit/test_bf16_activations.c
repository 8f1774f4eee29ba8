/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_bf16_activations.c - training steps of whole networks whose activations are bfloat16, beside
 * float32. Operators by themselves: test_bf16_operators.c.
 */
#include "build.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pare/pare.h>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "base/random.h"
#include "engine/engine.h"
#include "kernels/dnn.h"

static void skip_without(void)
{
    if (pri_dnn_has_bf16())
        return;
    printf("skipped: this processor does not multiply bfloat16\n");
    skip();
}

/* --- Networks --- */

/* What the catalog has, or, with channels, one that is made below. */
typedef struct network {
    const char *name;
    int64_t classes, size, batch, channels;
    /* of the gradients of all weights with those of float32, at least: with running statistics,
     * with those of the batch */
    double cosine[2];
} network;

/*
 * Normalised by their batch, deep networks with random weights are chaotic: changing weights by no
 * more than bfloat16 rounds them turns the gradients of float32 about as far (cosines of 0.984,
 * 0.948 and 0.55 were measured, for 0.975, 0.928 and 0.48 in bfloat16). Their gradients are held
 * against that too, and the tight bounds are those of running statistics.
 */
static const network networks[] = {
    {"resnet20", 10, 32, 20, 0, {0.999, 0.95}},  {"unet", 2, 32, 4, 0, {0.999, 0.9}},
    {"mobilenetv2", 10, 32, 20, 0, {0.95, 0.4}}, {"odd", 5, 12, 10, 11, {0.999, 0.999}},
    {"odd", 5, 12, 10, 23, {0.999, 0.999}},      {"odd", 5, 12, 10, 45, {0.999, 0.999}}};

static pri_value *normalised(pri_graph *graph, pri_value *x, int64_t channels, uint64_t seed)
{
    pri_value *gamma = test_weight(graph, 1, &channels, seed, 0.2);
    pri_value *beta = test_weight(graph, 1, &channels, seed + 1, 0.2);
    pri_value *mean = test_weight(graph, 1, &channels, 0, 0);
    pri_value *variance = test_weight(graph, 1, &channels, 0, 0);

    for (int64_t c = 0; c < channels; c++) {
        ((float *)gamma->constant->data)[c] += 1;
        ((float *)variance->constant->data)[c] = 1;
    }
    return test_op(graph, "BatchNormalization", "", TEST_LIST(x, gamma, beta, mean, variance));
}

static pri_value *convolved(pri_graph *graph, pri_value *x, int64_t in, int64_t out, int64_t kernel,
                            uint64_t seed)
{
    const int64_t dims[] = {out, in, kernel, kernel};
    pri_value *w = test_weight(graph, 4, dims, seed, sqrt(2.0 / (double)(in * kernel * kernel)));

    return test_op(graph, "Conv", kernel == 3 ? "pads=[1,1,1,1]" : "", TEST_LIST(x, w));
}

/* Down and up again once, with a residual sum, at a number of channels that fills no vector. */
static pare_model *odd_network(pare_context *ctx, const network *it)
{
    const int64_t c = it->channels, dims[] = {it->batch, 3, it->size, it->size};
    const int64_t up_dims[] = {c, c, 2, 2}, bias_dims[] = {c};
    pri_graph *graph = test_graph(ctx, 13);
    pri_value *x = test_input(graph, "x", 4, dims);
    const float low = 0, high = 6;

    x = normalised(graph, convolved(graph, x, 3, c, 3, 1), c, 2);
    x = test_op(graph, "Relu", "", TEST_LIST(x));
    pri_value *down = test_op(graph, "MaxPool", "kernel_shape=[2,2] strides=[2,2]", TEST_LIST(x));
    pri_value *y = normalised(graph, convolved(graph, down, c, c, 3, 4), c, 5);
    y = test_op(graph, "Clip", "",
                TEST_LIST(y, test_floats(graph, 1, &low), test_floats(graph, 1, &high)));
    y = normalised(graph, convolved(graph, y, c, c, 1, 7), c, 8);
    y = test_op(graph, "Add", "", TEST_LIST(y, down));
    y = test_op(graph, "LeakyRelu", "alpha=0.1f", TEST_LIST(y));
    y = test_op(graph, "ConvTranspose", "strides=[2,2]",
                TEST_LIST(y, test_weight(graph, 4, up_dims, 10, 1 / sqrt((double)c)),
                          test_weight(graph, 1, bias_dims, 11, 0.1)));
    y = test_op(graph, "Concat", "axis=1", TEST_LIST(x, y));
    y = convolved(graph, y, 2 * c, c, 3, 12);
    y = test_op(graph, "Relu", "", TEST_LIST(y));
    pri_value *pooled =
        test_op(graph, "AveragePool", "kernel_shape=[3,3] strides=[3,3]", TEST_LIST(y));
    test_output(graph, convolved(graph, pooled, c, 5, 1, 13));
    test_output(graph, test_op(graph, "GlobalAveragePool", "", TEST_LIST(y)));
    return test_model(graph);
}

static pare_model *model_of(pare_context *ctx, const network *it)
{
    pare_model *model = NULL;

    if (it->channels > 0)
        return odd_network(ctx, it);
    test_ok(ctx, pare_model_new(&model, ctx, it->name, it->classes, 3, it->size, it->size, 5));
    return model;
}

/* --- A training step --- */

typedef struct step {
    pare_context *ctx;
    const network *net;
    pare_model *model;
    pri_engine *engine;
    pri_tap input;
    float *gradients; /* of all weights, one after another */
    int64_t count;
    double loss; /* a cross entropy, the mean over images and positions of each output */
} step;

/* Images of as many patterns as there are classes, and noise. */
static void fill_input(step *s)
{
    const pri_shape in = pri_engine_input_shape(s->engine, 0);
    const int64_t plane = in.dims[2] * in.dims[3];
    float *x = pri_engine_input(s->engine, 0);

    for (int64_t i = 0; i < pri_shape_count(&in); i++) {
        const int64_t image = i / (plane * in.dims[1]), channel = i / plane % in.dims[1];
        const double k = (double)(image % s->net->classes * 3 + channel + 1);
        const double row = (double)(i / in.dims[3] % in.dims[2]), column = (double)(i % in.dims[3]);
        x[i] = (float)(sin(0.11 * k * row + k) + cos(0.07 * k * column) +
                       0.3 * pri_random_normal(7, PRI_STREAM_TEST, (uint64_t)i));
    }
}

/* The loss of one output, and its gradient: the class is the image's pattern, in a mask squares. */
static double cross_entropy(float *g, const float *y, const pri_shape *shape)
{
    const int64_t classes = shape->dims[1], plane = pri_shape_span(shape, 2, shape->rank);
    const int64_t width = shape->rank == 4 ? shape->dims[3] : 1, count = shape->dims[0] * plane;
    double loss = 0;

    for (int64_t k = 0; k < count; k++) {
        const int64_t n = k / plane, q = k % plane, first = n * classes * plane + q;
        const int64_t label = (n + q % width / 8 + q / width / 8) % classes;
        double sum = 0;
        for (int64_t c = 0; c < classes; c++)
            sum += exp((double)y[first + c * plane]);
        for (int64_t c = 0; c < classes; c++) {
            const double p = exp((double)y[first + c * plane]) / sum;
            g[first + c * plane] = (float)((p - (c == label)) / (double)count);
            loss -= c == label ? log(p) / (double)count : 0;
        }
    }
    return loss;
}

static void run(step *s)
{
    fill_input(s);
    test_ok(s->ctx, pri_engine_forward(s->engine));
    s->loss = 0;
    for (int k = 0; k < s->model->graph->n_outputs; k++) {
        const pri_shape shape = pri_engine_output_shape(s->engine, k);
        assert_int_equal(pri_engine_output_dtype(s->engine, k), PRI_F32);
        s->loss += cross_entropy(pri_engine_output_gradient(s->engine, k),
                                 pri_engine_output(s->engine, k), &shape);
    }
    pri_engine_zero_gradients(s->engine);
    test_ok(s->ctx, pri_engine_backward(s->engine));
    test_ok(s->ctx, pri_engine_tap(s->engine, 0, &s->input));
}

static void collect(step *s)
{
    for (int fills = 0; fills < 2; fills++) {
        s->count = 0;
        for (int i = 0; i < s->model->graph->n_values; i++) {
            const pri_value *value = s->model->graph->values[i];
            const float *g =
                value->constant != NULL ? pri_engine_weight_gradient(s->engine, value) : NULL;
            const int64_t n = g != NULL ? pri_tensor_count(value->constant) : 0;
            if (fills == 1 && n > 0)
                memcpy(s->gradients + s->count, g, (size_t)n * sizeof *g);
            s->count += n;
        }
        if (fills == 0)
            s->gradients = malloc((size_t)s->count * sizeof(float));
        assert_non_null(s->gradients);
    }
}

typedef enum kind { WIDE, NARROW, DISTURBED } kind;

/* Weights of convolutions times 1 +- 2^-8 at most. */
static void disturb(pare_context *ctx, pare_model *model)
{
    for (int i = 0; i < model->graph->n_values; i++) {
        pri_value *value = model->graph->values[i];
        if (value->constant == NULL || value->constant->dtype != PRI_F32 ||
            value->constant->shape.rank != 4)
            continue;
        test_ok(ctx, pri_tensor_own(value->constant));
        for (int64_t k = 0; k < pri_tensor_count(value->constant); k++)
            ((float *)value->constant->data)[k] *=
                1 + (float)(pri_random_unit((uint64_t)i, PRI_STREAM_TEST, (uint64_t)k) - 0.5) / 128;
    }
}

static step new_step(pare_context *ctx, const network *it, kind of, bool training)
{
    step s = {.ctx = ctx, .net = it, .model = model_of(ctx, it)};
    const pri_engine_options options = {.batch = it->batch,
                                        .training = training,
                                        .backward = true,
                                        .weight_gradients = true,
                                        .taps = s.model->graph->inputs,
                                        .n_taps = 1,
                                        .bf16 = of == NARROW,
                                        .bf16_activations = of == NARROW};

    if (of == DISTURBED)
        disturb(ctx, s.model);
    test_ok(ctx, pri_engine_new(&s.engine, s.model, &options));
    run(&s);
    collect(&s);
    return s;
}

static void end(step *s)
{
    pri_engine_free(s->engine);
    pare_model_free(s->model);
    free(s->gradients);
}

static double cosine(const float *a, const float *b, int64_t count)
{
    double product = 0, first = 0, second = 0;

    for (int64_t i = 0; i < count; i++) {
        product += (double)a[i] * (double)b[i];
        first += (double)a[i] * (double)a[i];
        second += (double)b[i] * (double)b[i];
    }
    return product / sqrt(first * second);
}

static void check_gradients(pare_context *ctx, const network *it, bool training)
{
    step wide = new_step(ctx, it, WIDE, training), narrow = new_step(ctx, it, NARROW, training);
    step disturbed = new_step(ctx, it, DISTURBED, training);
    const double found = cosine(narrow.gradients, wide.gradients, wide.count);
    const double chaos = cosine(disturbed.gradients, wide.gradients, wide.count);
    const double bytes = (double)pri_engine_activation_bytes(narrow.engine) /
                         (double)pri_engine_activation_bytes(wide.engine);

    assert_int_equal(narrow.count, wide.count);
    if (getenv("PARE_TEST_VERBOSE") != NULL)
        printf("%s %lld: cosine %.5f (disturbed %.5f), loss %g for %g, bytes %.3f\n", it->name,
               (long long)it->channels, found, chaos, narrow.loss, wide.loss, bytes);
    assert_true(found > it->cosine[training]);
    assert_true(1 - found < 2 * (1 - chaos));
    assert_true(fabs(narrow.loss - wide.loss) < 0.02 * wide.loss);
    assert_true(narrow.loss != wide.loss);    /* it is bfloat16 at all */
    if (strcmp(it->name, "mobilenetv2") != 0) /* whose depthwise convolutions take floats */
        assert_true(bytes <= 0.65);
    end(&narrow);
    end(&wide);
    end(&disturbed);
}

static void gradients_are_close_to_those_of_float32(void **state)
{
    skip_without();
    for (size_t k = 0; k < 2 * PRI_COUNT(networks); k++)
        check_gradients(*state, &networks[k / 2], k % 2 == 1);
}

static void a_step_gives_the_same_bytes_again(void **state)
{
    skip_without();
    for (size_t k = 0; k < PRI_COUNT(networks); k++) {
        step once = new_step(*state, &networks[k], NARROW, true);
        step again = new_step(*state, &networks[k], NARROW, true);
        assert_memory_equal(once.gradients, again.gradients, (size_t)once.count * sizeof(float));
        assert_true(once.loss == again.loss);
        end(&once);
        end(&again);
    }
}

static void a_warm_step_allocates_nothing(void **state)
{
    skip_without();
    for (size_t k = 0; k < PRI_COUNT(networks); k++) {
        step s = new_step(*state, &networks[k], NARROW, true);
        const int64_t before = pri_count_allocations(*state);
        run(&s);
        assert_int_equal(pri_count_allocations(*state), before);
        end(&s);
    }
}

static bool are_same(const float *a, const float *b, int64_t count)
{
    return memcmp(a, b, (size_t)count * sizeof *a) == 0;
}

/* Threads may only change what they change in float32. Gradients of weights are left out of it:
 * oneDNN cuts their sums by threads, where Winograd's algorithm, which float32 uses from fewer
 * channels on, does not. */
static void two_threads_give_what_one_gives(void **state)
{
#ifdef _OPENMP
    const int threads = omp_get_max_threads();
    int n_same = 0;

    skip_without();
    for (size_t k = 0; k < PRI_COUNT(networks); k++) {
        bool outputs[2], gradients[2];
        for (int of = WIDE; of <= NARROW && networks[k].channels > 0; of++) {
            omp_set_num_threads(1);
            step one = new_step(*state, &networks[k], (kind)of, true);
            omp_set_num_threads(2);
            step two = new_step(*state, &networks[k], (kind)of, true);
            omp_set_num_threads(threads);
            outputs[of] = one.loss == two.loss;
            gradients[of] =
                are_same(one.input.gradient, two.input.gradient, pri_shape_count(&one.input.shape));
            assert_true(cosine(one.gradients, two.gradients, one.count) > 0.999999);
            end(&one);
            end(&two);
        }
        if (networks[k].channels == 0)
            continue;
        assert_true(outputs[NARROW] || !outputs[WIDE]);
        assert_true(gradients[NARROW] || !gradients[WIDE]);
        n_same += outputs[WIDE] + gradients[WIDE];
    }
    assert_true(n_same > 0);
#else
    (void)state;
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_close_to_those_of_float32),
        cmocka_unit_test(a_step_gives_the_same_bytes_again),
        cmocka_unit_test(a_warm_step_allocates_nothing),
        cmocka_unit_test(two_threads_give_what_one_gives),
    };

    return cmocka_run_group_tests(tests, test_setup, test_teardown);
}
