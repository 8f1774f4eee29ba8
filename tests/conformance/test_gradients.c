/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_gradients.c - every backward of the operator table against central differences.
 *
 * The loss is a fixed random combination of all outputs. Inputs lie on a grid of 1/16 off its
 * multiples and move by 1/64, so that no kink that lies on the grid (0, bounds, ties of
 * extremes) is crossed and the values moved are exact. An operator with a backward and without a
 * case fails.
 */
#include "build.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "criteria/gram.h"
#include "engine/engine.h"
#include "ops/op_support.h"

/*
 * Inputs, separated by blanks: x2x3 activation, w5x3 weight, c5 positive constant that has no
 * gradient, i1,2 int64 constant (i2x1:1,2 of that shape), f0.5,2 float constant, = the activation before once more, b3 bool
 * constant, - none.
 * Hints: + positive inputs, 1 one is added, s half as large, d all elements distinct (of up to three inputs), L four times as large, t training,
 * p plain layout only, 2..9 outputs.
 */
typedef struct gradient_case {
    const char *op;
    int opset;
    const char *inputs, *attributes, *hints;
} gradient_case;

static const gradient_case cases[] = {
#include "gradient_cases.def"
};

enum { MAX_INPUTS = 8, MAX_OUTPUTS = 9 };
static const double epsilon = 1.0 / 64;
/* Of the largest gradient of the input: third derivatives times epsilon^2 / 6, and float rounding
 * divided by epsilon. */
static const double tolerance = 3e-3;

typedef struct problem {
    pare_context *ctx;
    const gradient_case *it;
    bool wraps; /* identity convolutions before and behind, which bring channels-last */
    pare_model *model;
    pri_engine *engine;
    pri_value *activations[MAX_INPUTS], *weights[MAX_INPUTS];
    int n_activations, n_weights;
} problem;

static bool has_hint(const problem *p, char hint)
{
    return p->it->hints != NULL && strchr(p->it->hints, hint) != NULL;
}

static void fill(const problem *p, float *data, int64_t count, uint64_t seed)
{
    int64_t order[4096];

    assert_true(count <= 4096);
    pri_random_permutation(order, count, seed, PRI_STREAM_TEST);
    for (int64_t i = 0; i < count; i++) {
        const int64_t k = has_hint(p, 'd')
                              ? 3 * (order[i] - count / 2) + (int64_t)(seed % 3)
                              : pri_random_below(48, seed, PRI_STREAM_TEST, (uint64_t)i) - 24;
        float value = ((float)k + 0.5f) / 16;
        if (has_hint(p, '+'))
            value = fabsf(value) + 0.125f;
        if (has_hint(p, '1'))
            value += 1;
        if (has_hint(p, 's'))
            value /= 2;
        data[i] = has_hint(p, 'L') ? value * 4 : value;
    }
}

/* --- A model of one operator --- */

static pri_shape read_shape(const char *text)
{
    pri_shape shape = {0};

    for (const char *at = text; *at >= '0' && *at <= '9';) {
        char *end;
        shape.dims[shape.rank++] = strtoll(at, &end, 10);
        at = *end == 'x' ? end + 1 : end;
    }
    return shape;
}

/* x times one, in the layout convolutions prefer. */
static pri_value *identity(pri_graph *graph, pri_value *x, const pri_shape *shape)
{
    const int64_t channels = shape->dims[1];
    char attributes[32];
    pri_shape of_weight = {.rank = shape->rank, .dims = {channels, 1, 1, 1, 1}};
    pri_value *weight = test_weight(graph, of_weight.rank, of_weight.dims, 0, 0);

    for (int64_t c = 0; c < channels; c++)
        ((float *)weight->constant->data)[c] = 1;
    snprintf(attributes, sizeof attributes, "group=%lld", (long long)channels);
    return test_op(graph, "Conv", attributes, TEST_LIST(x, weight));
}

static pri_value *add_activation(problem *p, pri_graph *graph, const char *text)
{
    const pri_shape shape = read_shape(text);
    char name[16];

    snprintf(name, sizeof name, "x%d", p->n_activations);
    pri_value *x = test_input(graph, name, shape.rank, shape.dims);
    p->activations[p->n_activations++] = x;
    return p->wraps && shape.rank >= 3 && shape.rank <= 5 ? identity(graph, x, &shape) : x;
}

static pri_value *add_weight(problem *p, pri_graph *graph, const char *text, bool is_fixed)
{
    const pri_shape shape = read_shape(text);
    pri_value *weight = test_weight(graph, shape.rank, shape.dims, 0, 0);
    float *data = weight->constant->data;

    fill(p, data, pri_tensor_count(weight->constant), 90 + (uint64_t)p->n_weights);
    for (int64_t i = 0; is_fixed && i < pri_tensor_count(weight->constant); i++)
        data[i] = fabsf(data[i]) + 0.5f;
    if (!is_fixed)
        p->weights[p->n_weights++] = weight;
    return weight;
}

static pri_value *add_numbers(pri_graph *graph, const char *text, bool is_integer)
{
    const char *colon = strchr(text, ':');
    const pri_shape shape = read_shape(text);
    int64_t integers[32];
    float floats[32];
    int count = 0;

    text = colon != NULL ? colon + 1 : text;

    for (const char *at = text; *at != '\0' && count < 32; count++) {
        char *end;
        floats[count] = strtof(at, &end);
        integers[count] = (int64_t)floats[count];
        at = *end == ',' ? end + 1 : end;
    }
    pri_value *value =
        is_integer ? test_ints(graph, count, integers) : test_floats(graph, count, floats);
    if (colon != NULL) {
        assert_int_equal(pri_shape_count(&shape), count);
        value->constant->shape = shape;
    }
    return value;
}

static pri_value *add_condition(pri_graph *graph, const char *text)
{
    const pri_shape shape = read_shape(text);
    pri_value *noise = test_weight(graph, shape.rank, shape.dims, 5, 1.0);
    const float none = 0;
    pri_value *zero = test_floats(graph, 1, &none);

    return test_op(graph, "Greater", "", TEST_LIST(noise, zero));
}

static void build(problem *p)
{
    pri_graph *graph = test_graph(p->ctx, p->it->opset);
    pri_value *in[MAX_INPUTS] = {NULL}, *out[MAX_OUTPUTS] = {NULL};
    char text[256], *rest = NULL;
    int n_in = 0, n_out = 1;

    snprintf(text, sizeof text, "%s", p->it->inputs);
    for (char *word = strtok_r(text, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        switch (word[0]) {
        case 'x': in[n_in] = add_activation(p, graph, word + 1); break;
        case 'w':
        case 'c': in[n_in] = add_weight(p, graph, word + 1, word[0] == 'c'); break;
        case 'i':
        case 'f': in[n_in] = add_numbers(graph, word + 1, word[0] == 'i'); break;
        case 'b': in[n_in] = add_condition(graph, word + 1); break;
        case '=': in[n_in] = in[n_in - 1]; break;
        default: break;
        }
        n_in++;
    }
    for (const char *hint = p->it->hints != NULL ? p->it->hints : ""; *hint != '\0'; hint++)
        n_out = *hint >= '2' && *hint <= '9' ? *hint - '0' : n_out;
    for (int k = 0; k < n_out; k++)
        out[k] = pri_graph_add_value(graph, "");
    (void)test_node(graph, p->it->op, p->it->attributes, n_in, in, n_out, out);
    for (int k = 0; k < n_out; k++)
        test_output(graph, out[k]);
    p->model = test_model(graph);
}

static void start(problem *p, bool plain)
{
    build(p);
    const pri_engine_options options = {.backward = true,
                                        .weight_gradients = true,
                                        .training = has_hint(p, 't'),
                                        .plain = plain,
                                        .taps = p->activations,
                                        .n_taps = p->n_activations};
    test_ok(p->ctx, pri_engine_new(&p->engine, p->model, &options));
    pri_engine_set_step(p->engine, 7, 3);
    for (int k = 0; k < p->n_activations; k++) {
        const pri_shape shape = pri_engine_input_shape(p->engine, k);
        fill(p, pri_engine_input(p->engine, k), pri_shape_count(&shape), 10 + (uint64_t)k);
    }
}

/* --- Loss and its gradients --- */

static double coefficient(int output, int64_t i)
{
    return pri_random_normal(1000 + (uint64_t)output, PRI_STREAM_TEST, (uint64_t)i);
}

static double loss(problem *p)
{
    double sum = 0;

    test_ok(p->ctx, pri_engine_forward(p->engine));
    for (int k = 0; k < p->model->graph->n_outputs; k++) {
        const pri_shape shape = pri_engine_output_shape(p->engine, k);
        const float *y = pri_engine_output(p->engine, k);
        for (int64_t i = 0; i < pri_shape_count(&shape); i++)
            sum += coefficient(k, i) * y[i];
    }
    return sum;
}

static void run_backward(problem *p)
{
    (void)loss(p);
    for (int k = 0; k < p->model->graph->n_outputs; k++) {
        const pri_shape shape = pri_engine_output_shape(p->engine, k);
        float *g = pri_engine_output_gradient(p->engine, k);
        assert_non_null(g);
        for (int64_t i = 0; i < pri_shape_count(&shape); i++)
            g[i] = (float)coefficient(k, i);
    }
    test_ok(p->ctx, pri_engine_backward(p->engine));
}

static void compare(problem *p, float *data, int64_t count, const float *gradient,
                    const char *what, bool is_weight)
{
    double largest = 1;

    for (int64_t i = 0; i < count; i++)
        largest = fmax(largest, fabs(gradient[i]));
    for (int64_t i = 0; i < count; i++) {
        const float before = data[i];
        double sides[2];
        for (int s = 0; s < 2; s++) {
            data[i] = before + (float)(s == 0 ? -epsilon : epsilon);
            if (is_weight)
                pri_engine_refresh(p->engine);
            sides[s] = loss(p);
        }
        data[i] = before;
        const double expected = (sides[1] - sides[0]) / (2 * epsilon);
        if (!(fabs(expected - gradient[i]) <= tolerance * largest))
            fail_msg("%s opset %d (%s; %s)%s: gradient of %s at %lld is %g, differences say %g",
                     p->it->op, p->it->opset, p->it->inputs, p->it->attributes,
                     p->wraps ? " channels-last" : " plain", what, (long long)i, gradient[i],
                     expected);
    }
    if (is_weight)
        pri_engine_refresh(p->engine);
}

static float *copy_of(const float *data, int64_t count)
{
    float *copy = malloc((size_t)count * sizeof *copy);

    assert_non_null(copy);
    memcpy(copy, data, (size_t)count * sizeof *copy);
    return copy;
}

static void check_activations(problem *p)
{
    for (int k = 0; k < p->n_activations; k++) {
        char what[32];
        pri_tap tap;
        run_backward(p);
        test_ok(p->ctx, pri_engine_tap(p->engine, k, &tap));
        assert_non_null(tap.gradient);
        const int64_t count = pri_shape_count(&tap.shape);
        float *gradient = copy_of(tap.gradient, count);
        snprintf(what, sizeof what, "x%d", k);
        compare(p, pri_engine_input(p->engine, k), count, gradient, what, false);
        free(gradient);
    }
}

static void check_weights(problem *p)
{
    for (int k = 0; k < p->n_weights; k++) {
        char what[32];
        pri_tensor *tensor = p->weights[k]->constant;
        const int64_t count = pri_tensor_count(tensor);
        pri_engine_zero_gradients(p->engine);
        run_backward(p);
        const float *now = pri_engine_weight_gradient(p->engine, p->weights[k]);
        assert_non_null(now);
        float *once = copy_of(now, count);
        snprintf(what, sizeof what, "weight %d", k);
        compare(p, tensor->data, count, once, what, true);
        run_backward(p); /* adds to what is there */
        for (int64_t i = 0; i < count; i++)
            assert_true(fabs(now[i] - 2.0 * once[i]) <= 1e-4 * (1 + fabs(once[i])));
        free(once);
    }
}

/* --- Products --- */

/* What the columns of a product times its weights (and the bias) give must be what the operator gives;
 * criteria and re-fits rely on it. */
static void check_product_row(const pri_call *call, const pri_product *p, int group, int64_t row,
                              const float *columns)
{
    const pri_operand *out = &call->out[0];
    const float *weights = call->in[p->weight_slot].data;
    const int bias_slot = call->op->bias_slot;
    const float *bias =
        bias_slot > 0 && pri_in(call, bias_slot) != NULL ? pri_in(call, bias_slot)->data : NULL;
    const bool is_image = p->is_image;
    const pri_channels ch = is_image ? pri_channels_of(&out->shape, out->layout)
                                     : (pri_channels){.channels = p->outputs * p->groups, .inner = 1,
                                                      .channel_stride = 1};

    for (int64_t o = 0; o < p->outputs; o++) {
        const int64_t channel = group * p->outputs + o;
        double sum = bias != NULL ? bias[channel] : 0;
        for (int64_t k = 0; k < p->columns; k++)
            sum += (double)columns[k] * weights[pri_product_weight(p, group, o, k)];
        const float got = ((const float *)out->data)[row / ch.inner * ch.channels * ch.inner +
                                                     row % ch.inner * ch.inner_stride +
                                                     channel * ch.channel_stride];
        assert_true(fabs(sum - got) < 1e-4 * (1 + fabs(sum)));
    }
}

static int check_products(problem *p)
{
    int checked = 0;

    (void)loss(p);
    for (int s = 0; s < pri_engine_steps(p->engine); s++) {
        const pri_node *node = pri_engine_step_node(p->engine, s);
        pri_operand in[PRI_MAX_OPERANDS], out[PRI_MAX_OPERANDS];
        pri_product product;
        pri_call call;
        test_ok(p->ctx, pri_engine_run(p->engine, s, s + 1));
        if (node == NULL || node->op->product == NULL)
            continue;
        test_ok(p->ctx, pri_step_call(&call, in, out, p->engine, p->model, s));
        if (!node->op->product(&call, &product) || in[product.weight_slot].constant == NULL)
            continue;
        float *rows = malloc((size_t)(product.rows * product.columns + 1) * sizeof *rows);
        assert_non_null(rows);
        for (int g = 0; g < product.groups; g++) {
            node->op->columns(&call, g, 0, product.rows, rows);
            for (int64_t r = 0; r < product.rows; r++)
                check_product_row(&call, &product, g, r, rows + r * product.columns);
        }
        free(rows);
        checked++;
    }
    return checked;
}

static void products_are_what_operators_compute(void **state)
{
    int checked = 0;

    (void)state;
    pare_context *ctx = test_context();
    for (size_t i = 0; i < PRI_COUNT(cases); i++) {
        for (int wraps = 0; wraps < 2; wraps++) {
            problem p = {.ctx = ctx, .it = &cases[i], .wraps = wraps != 0};
            if (p.wraps && has_hint(&p, 'p'))
                continue;
            start(&p, !p.wraps);
            checked += check_products(&p);
            pri_engine_free(p.engine);
            pare_model_free(p.model);
        }
    }
    assert_true(checked >= 30);
    pare_context_free(ctx);
}

static void check_case(pare_context *ctx, const gradient_case *it, bool wraps)
{
    problem p = {.ctx = ctx, .it = it, .wraps = wraps};

    if (wraps && has_hint(&p, 'p'))
        return;
    start(&p, !wraps);
    check_activations(&p);
    check_weights(&p);
    pri_engine_free(p.engine);
    pare_model_free(p.model);
}

static void backward_is_the_derivative_of_forward(void **state)
{
    const char *only = getenv("PARE_OP");

    (void)state;
    pare_context *ctx = test_context();
    for (size_t i = 0; i < PRI_COUNT(cases); i++) {
        if (only != NULL && strcmp(only, cases[i].op) != 0)
            continue;
        check_case(ctx, &cases[i], false);
        check_case(ctx, &cases[i], true);
    }
    pare_context_free(ctx);
}

static void every_backward_has_a_case(void **state)
{
    const pri_op *const *ops;
    const int n = pri_op_list(&ops);
    int missing = 0;

    (void)state;
    for (int k = 0; k < n; k++) {
        bool found = ops[k]->backward == NULL;
        for (size_t i = 0; i < PRI_COUNT(cases) && !found; i++)
            found = strcmp(cases[i].op, ops[k]->name) == 0;
        if (!found)
            printf("%s has a backward and no case in gradient_cases.def\n", ops[k]->name);
        missing += !found;
    }
    assert_int_equal(missing, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_backward_has_a_case),
        cmocka_unit_test(backward_is_the_derivative_of_forward),
        cmocka_unit_test(products_are_what_operators_compute),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
