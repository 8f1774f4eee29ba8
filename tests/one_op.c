/* SPDX-License-Identifier: Apache-2.0 */
/* one_op.c - see one_op.h. */
#include "one_op.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"

bool one_op_has(const one_op *p, char hint)
{
    return p->it->hints != NULL && strchr(p->it->hints, hint) != NULL;
}

static void fill(const one_op *p, float *data, int64_t count, uint64_t seed)
{
    int64_t order[4096];

    assert_true(count <= 4096);
    pri_random_permutation(order, count, seed, PRI_STREAM_TEST);
    for (int64_t i = 0; i < count; i++) {
        const int64_t k = one_op_has(p, 'd')
                              ? 3 * (order[i] - count / 2) + (int64_t)(seed % 3)
                              : pri_random_below(48, seed, PRI_STREAM_TEST, (uint64_t)i) - 24;
        float value = ((float)k + 0.5f) / 16;
        if (one_op_has(p, '+'))
            value = fabsf(value) + 0.125f;
        if (one_op_has(p, '1'))
            value += 1;
        if (one_op_has(p, 's'))
            value /= 2;
        data[i] = one_op_has(p, 'L') ? value * 4 : value;
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
static pri_value *identity(pri_graph *graph, pri_value *x, const pri_shape *shape, bool is_dense)
{
    const int64_t channels = shape->dims[1], inputs = is_dense ? channels : 1;
    char attributes[32];
    pri_shape of_weight = {.rank = shape->rank, .dims = {channels, inputs, 1, 1, 1}};
    pri_value *weight = test_weight(graph, of_weight.rank, of_weight.dims, 0, 0);

    for (int64_t c = 0; c < channels; c++)
        ((float *)weight->constant->data)[is_dense ? c * (channels + 1) : c] = 1;
    snprintf(attributes, sizeof attributes, "group=%lld", (long long)(channels / inputs));
    return test_op(graph, "Conv", attributes, TEST_LIST(x, weight));
}

/* Reads activation k of the operator, when that is asked for, and takes only floats. */
static void add_reader(const one_op *p, pri_graph *graph, int k)
{
    const float one = 1;

    if ((p->wide >> k & 1u) != 0)
        test_output(graph,
                    test_op(graph, "Mul", "", TEST_LIST(p->read[k], test_floats(graph, 1, &one))));
}

static pri_value *add_activation(one_op *p, pri_graph *graph, const char *text)
{
    const pri_shape shape = read_shape(text);
    const int k = p->n_activations++;
    char name[16];

    snprintf(name, sizeof name, "x%d", k);
    pri_value *x = test_input(graph, name, shape.rank, shape.dims);
    p->activations[k] = p->read[k] = x;
    if (p->wraps && shape.rank >= 3 && shape.rank <= 5)
        p->read[k] = identity(graph, x, &shape, p->is_dense);
    if (k % 2 == 1)
        add_reader(p, graph, k);
    return p->read[k];
}

static pri_value *add_weight(one_op *p, pri_graph *graph, const char *text, bool is_fixed)
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

static void build(one_op *p)
{
    pri_graph *graph = test_graph(p->ctx, p->it->opset);
    pri_value *in[ONE_OP_INPUTS] = {NULL}, *out[ONE_OP_OUTPUTS] = {NULL};
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
    for (int k = 0; k < p->n_activations; k += 2)
        add_reader(p, graph, k);
    if (p->behind.rank > 0)
        out[0] = identity(graph, out[0], &p->behind, true);
    for (int k = 0; k < n_out; k++)
        test_output(graph, out[k]);
    p->model = test_model(graph);
}

void one_op_start(one_op *p, bool plain)
{
    build(p);
    const pri_engine_options options = {.backward = true,
                                        .weight_gradients = true,
                                        .training = one_op_has(p, 't'),
                                        .plain = plain,
                                        .bf16 = p->is_narrow,
                                        .bf16_activations = p->is_narrow,
                                        .taps = p->activations,
                                        .n_taps = p->n_activations};
    test_ok(p->ctx, pri_engine_new(&p->engine, p->model, &options));
    pri_engine_set_step(p->engine, 7, 3);
    for (int k = 0; k < p->n_activations; k++) {
        const pri_shape shape = pri_engine_input_shape(p->engine, k);
        fill(p, pri_engine_input(p->engine, k), pri_shape_count(&shape), 10 + (uint64_t)k);
    }
}
