/* SPDX-License-Identifier: Apache-2.0 */
/* build.c - see build.h. */
#include "build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"

pri_graph *test_graph(pare_context *ctx, int opset)
{
    pri_graph *graph = NULL;

    test_ok(ctx, pri_graph_new(&graph, ctx));
    graph->opset = opset;
    graph->ir_version = 8;
    graph->name = "test";
    graph->source = "test";
    return graph;
}

pri_value *test_input(pri_graph *graph, const char *name, int rank, const int64_t *dims)
{
    const pri_shape shape = pri_shape_of(rank, dims);
    pri_value *value = pri_graph_add_value(graph, name);

    assert_non_null(value);
    test_ok(graph->ctx, pri_graph_add_input(graph, value, PRI_F32, &shape));
    return value;
}

static pri_value *constant(pri_graph *graph, pri_dtype dtype, const pri_shape *shape,
                           const void *data)
{
    pri_tensor *tensor = NULL;

    test_ok(graph->ctx, pri_tensor_new(&tensor, graph->ctx, dtype, shape));
    if (data != NULL)
        memcpy(tensor->data, data, (size_t)pri_tensor_count(tensor) * pri_dtype_bytes(dtype));
    pri_value *value = pri_graph_add_constant(graph, "", tensor);
    assert_non_null(value);
    return value;
}

pri_value *test_ints(pri_graph *graph, int count, const int64_t *values)
{
    const pri_shape shape = {.rank = 1, .dims = {count}};

    return constant(graph, PRI_I64, &shape, values);
}

pri_value *test_floats(pri_graph *graph, int count, const float *values)
{
    const pri_shape shape = {.rank = 1, .dims = {count}};

    return constant(graph, PRI_F32, &shape, values);
}

pri_value *test_weight(pri_graph *graph, int rank, const int64_t *dims, uint64_t seed, double scale)
{
    const pri_shape shape = pri_shape_of(rank, dims);
    pri_value *value = constant(graph, PRI_F32, &shape, NULL);
    float *data = value->constant->data;

    for (int64_t i = 0; i < pri_tensor_count(value->constant); i++)
        data[i] = (float)(scale * pri_random_normal(seed, PRI_STREAM_TEST, (uint64_t)i));
    return value;
}

static void set_list(pri_graph *graph, pri_node *node, const char *name, const char *text)
{
    int64_t values[64];
    int count = 0;

    for (const char *at = text + 1; *at != ']' && *at != '\0' && count < 64;) {
        char *end;
        values[count++] = strtoll(at, &end, 10);
        at = *end == ',' ? end + 1 : end;
    }
    test_ok(graph->ctx, pri_node_set_ints(graph, node, name, values, count));
}

static void set_attribute(pri_graph *graph, pri_node *node, const char *name, const char *text)
{
    char *end;

    if (text[0] == '[') {
        set_list(graph, node, name, text);
        return;
    }
    const double number = strtod(text, &end);
    if (end != text && *end == '\0')
        test_ok(graph->ctx, pri_node_set_int(graph, node, name, (int64_t)number));
    else if (end != text && strcmp(end, "f") == 0)
        test_ok(graph->ctx, pri_node_set_float(graph, node, name, (float)number));
    else
        test_ok(graph->ctx, pri_node_set_string(graph, node, name, text));
}

pri_node *test_node(pri_graph *graph, const char *op_type, const char *attributes, int n_in,
                    pri_value *const *in, int n_out, pri_value *const *out)
{
    char text[512], name[64], *rest = NULL;

    snprintf(name, sizeof name, "%s_%d", op_type, graph->n_nodes);
    pri_node *node = pri_graph_add_node(graph, op_type, name, n_in, in, n_out, out);
    assert_non_null(node);
    snprintf(text, sizeof text, "%s", attributes != NULL ? attributes : "");
    for (char *word = strtok_r(text, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        char *equals = strchr(word, '=');
        assert_non_null(equals);
        *equals = '\0';
        set_attribute(graph, node, word, equals + 1);
    }
    return node;
}

pri_value *test_op(pri_graph *graph, const char *op_type, const char *attributes, int n_in,
                   pri_value *const *in)
{
    pri_value *out = pri_graph_add_value(graph, "");

    assert_non_null(out);
    (void)test_node(graph, op_type, attributes, n_in, in, 1, &out);
    return out;
}

void test_output(pri_graph *graph, pri_value *value)
{
    test_ok(graph->ctx, pri_graph_add_output(graph, value, PRI_F32, NULL));
}

pare_model *test_model(pri_graph *graph)
{
    pare_context *ctx = graph->ctx;
    pare_model *model = NULL;

    test_ok(ctx, pri_model_from_graph(&model, graph));
    for (int i = 0; i < model->graph->n_nodes; i++) {
        if (model->graph->nodes[i]->op == NULL)
            test_ok(ctx, pri_model_bind_node(model, model->graph->nodes[i]));
    }
    return model;
}
