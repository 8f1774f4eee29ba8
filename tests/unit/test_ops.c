/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_ops.c - operators alone: elements of small cases, and what must be refused.
 *
 * Activations hold ((7 i + 3 k) mod 11 - 5) / 4 at element i of activation k.
 */
#include "build.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"

/* Inputs: x2x3 activation, i1,2 int64 constant, f0.5 float constant, - none. */
typedef struct op_case {
    const char *op;
    int opset;
    const char *inputs, *attributes;
    int n_out;
    const char *shape, *elements;
} op_case;

static const op_case cases[] = {
#include "op_cases.def"
};

enum { MAX_INPUTS = 8, MAX_OUTPUTS = 4 };

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

static pri_value *read_numbers(pri_graph *graph, const char *text)
{
    int64_t integers[16];
    float floats[16];
    int count = 0;

    for (const char *at = text + 1; *at != '\0' && count < 16; count++) {
        char *end;
        floats[count] = strtof(at, &end);
        integers[count] = (int64_t)floats[count];
        at = *end == ',' ? end + 1 : end;
    }
    return text[0] == 'i' ? test_ints(graph, count, integers) : test_floats(graph, count, floats);
}

static pare_model *build(pare_context *ctx, const op_case *it)
{
    pri_graph *graph = test_graph(ctx, it->opset);
    pri_value *in[MAX_INPUTS] = {NULL}, *out[MAX_OUTPUTS] = {NULL};
    char text[256], *rest = NULL;
    int n_in = 0;

    snprintf(text, sizeof text, "%s", it->inputs);
    for (char *word = strtok_r(text, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        const pri_shape shape = read_shape(word + 1);
        if (word[0] == 'x')
            in[n_in] = test_input(graph, "", shape.rank, shape.dims);
        else if (word[0] != '-')
            in[n_in] = read_numbers(graph, word);
        n_in++;
    }
    for (int k = 0; k < it->n_out; k++)
        out[k] = pri_graph_add_value(graph, "");
    (void)test_node(graph, it->op, it->attributes, n_in, in, it->n_out, out);
    test_output(graph, out[it->n_out - 1]);
    return test_model(graph);
}

static double element(pri_engine *engine, int64_t i)
{
    const pri_tensor view = {.dtype = pri_engine_output_dtype(engine, 0),
                             .shape = pri_engine_output_shape(engine, 0),
                             .data = (void *)(uintptr_t)pri_engine_output(engine, 0)};

    return pri_tensor_get(&view, i);
}

static void check_case(pare_context *ctx, const op_case *it, bool plain)
{
    const pri_engine_options options = {.plain = plain};
    pare_model *model = build(ctx, it);
    pri_engine *engine = NULL;
    const char *at = it->elements;

    test_ok(ctx, pri_engine_new(&engine, model, &options));
    for (int k = 0; k < model->graph->n_inputs; k++) {
        const pri_shape shape = pri_engine_input_shape(engine, k);
        for (int64_t i = 0; i < pri_shape_count(&shape); i++)
            ((float *)pri_engine_input(engine, k))[i] = (float)((7 * i + 3 * k) % 11 - 5) / 4;
    }
    test_ok(ctx, pri_engine_forward(engine));
    const pri_shape shape = pri_engine_output_shape(engine, 0), expected = read_shape(it->shape);
    if (!pri_shape_equal(&shape, &expected)) {
        char text[PRI_SHAPE_TEXT];
        fail_msg("%s (%s; %s): shape %s", it->op, it->inputs, it->attributes,
                 pri_shape_text(text, &shape));
    }
    for (int64_t i = 0; i < pri_shape_count(&shape); i++) {
        char *end;
        const double value = strtod(at, &end), found = element(engine, i);
        at = *end == ',' ? end + 1 : end;
        if (!(fabs(found - value) <= 2e-5 * (1 + fabs(value))))
            fail_msg("%s opset %d (%s; %s): element %lld is %g, expected %g", it->op, it->opset,
                     it->inputs, it->attributes, (long long)i, found, value);
    }
    pri_engine_free(engine);
    pare_model_free(model);
}

static void operators_compute_what_they_should(void **state)
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

/* What a file may hold and pare must refuse with words, not run into. */
static void impossible_nodes_are_refused(void **state)
{
    static const op_case refused[] = {
        {"Gather", 13, "x2x3 i3", "axis=1", 1, "outside", ""},
        {"Split", 13, "x2x6 i1,2", "axis=1", 2, "add up", ""},
        {"Split", 13, "x2x6 i9223372036854775807,2", "axis=1", 2, "add up", ""},
        {"Split", 11, "x2x7", "axis=1", 2, "do not split", ""},
        {"Resize", 13, "x1x1x4x4 - f1,1,-2,2", "", 1, "scale 2", ""},
        {"Resize", 13, "x1x1x4x4 - f1,1,1e30,2", "", 1, "scale 2", ""},
        {"Resize", 13, "x1x1x4x4 - - i1,1,0,2", "", 1, "size 2", ""},
        {"Resize", 13, "x1x1x4x4", "", 1, "neither scales nor sizes", ""},
        {"Resize", 13, "x2x3x4x5 - f2,2,2,2", "", 1, "more than 3 axes", ""},
        {"ReduceMean", 13, "x2x3", "axes=[2]", 1, "out of range", ""},
        {"Softmax", 13, "x2x3", "axis=2", 1, "out of range", ""},
        {"Sum", 13, "x2x3 x2", "", 1, "does not broadcast", ""},
        {"Clip", 13, "x2x3 i1", "", 1, "bound 1 is int64", ""},
        {"Expand", 13, "x2x3 i4,5", "", 1, "does not fit the input", ""},
        {"Reshape", 13, "x2x3 i4,2", "", 1, "cannot turn", ""},
        {"TopK", 13, "x2x3 i4", "axis=1", 1, "cannot take 4 of 3", ""},
        {"CumSum", 14, "x2x3 i2", "", 1, "does not fit rank 2", ""},
        {"Einsum", 13, "x2x3 x4x2", "equation=ij,jk->ik", 1, "does not fit its inputs", ""},
        {"Einsum", 13, "x2x3", "equation=ij->ijk", 1, "does not fit its inputs", ""},
        {"Einsum", 13, "x2x3", "equation=..ij->i", 1, "does not fit its inputs", ""},
        {"Einsum", 13, "x1x1x1x1x1x1x1x1",
         "equation=...........................................................->...", 1,
         "does not fit its inputs", ""},
        {"Einsum", 13, "x2x3",
         "equation=ij->"
         "jjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjj"
         "jjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjj"
         "jjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjj"
         "jjjjjjjjjjjjjjjjjjjj",
         1, "longer than 255", ""},
        {"Pad", 13, "x2x3 i0,0,0,0 i1", "", 1, "the value is 1 of int64", ""},
        {"Pad", 13, "x2x3 i0,0,0,0 f1,2", "", 1, "the value is 2 of float32", ""},
        {"Pad", 13, "x2x3 i0,0,0", "", 1, "3 numbers for 2 axes", ""},
        {"Pad", 13, "x2x3 i0,-4,0,0", "", 1, "do not fit axis 1", ""},
        {"NonMaxSuppression", 11, "x1x6x4 x1x2x5 i3", "", 1, "do not fit each other", ""},
        {"MaxUnpool", 11, "x1x1x2x2 i1,2", "kernel_shape=[2,2]", 1, "indices do not fit", ""},
        {"QuantizeLinear", 13, "x2x3 f1,2", "axis=1", 1, "do not fit the input", ""},
        {"GatherND", 13, "x2x3 i0,1,2", "", 1, "do not fit the input", ""},
        {"Resize", 18, "x1x1x900x900 - - i1,1,2,2", "mode=linear antialias=1", 1, "shrinks", ""},
    };

    (void)state;
    pare_context *ctx = test_context();
    for (size_t i = 0; i < PRI_COUNT(refused); i++) {
        pare_model *model = build(ctx, &refused[i]);
        pri_engine *engine = NULL;
        const pare_status status = pri_engine_new(&engine, model, &(const pri_engine_options){0});
        if (status == PARE_OK || strstr(pare_context_message(ctx), refused[i].shape) == NULL)
            fail_msg("%s (%s; %s): expected '%s', got '%s'", refused[i].op, refused[i].inputs,
                     refused[i].attributes, refused[i].shape, pare_context_message(ctx));
        pri_engine_free(engine);
        pare_model_free(model);
    }
    assert_null(pri_op_find("", "Pad", 1)); /* its attribute has another name */
    pare_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operators_compute_what_they_should),
        cmocka_unit_test(impossible_nodes_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
