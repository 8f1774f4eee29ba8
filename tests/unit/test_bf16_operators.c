/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_bf16_operators.c - operators on activations kept in bfloat16, beside float32.
 *
 * Each case of gradient_cases.def whose operator takes bfloat16 runs between convolutions that
 * multiply by one. What comes in is rounded first, so that both engines choose the same side of
 * every kink and the same of equal maxima, and only roundings of results and gradients differ.
 */
#include "one_op.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/float_bits.h"
#include "base/random.h"
#include "engine/plan.h"
#include "kernels/dnn.h"

static const one_op_case cases[] = {
#include "../conformance/gradient_cases.def"
    /* windows with equal elements, of which the first gets the gradient */
    {"MaxPool", 13, "x2x3x9x9", "kernel_shape=[3,3] strides=[2,2] pads=[1,1,1,1]", "L"},
    {"MaxPool", 13, "x1x19x8x8", "kernel_shape=[4,4] strides=[1,1]", NULL},
    {"GlobalMaxPool", 13, "x2x5x9x9", "", NULL},
};

/* Relative, in the norm of squares; 0.009 was measured, where slopes and gradients are rounded and
 * sums of few elements cancel. */
static const double tolerance = 0.02;

static const pri_op *op_of(const one_op_case *it)
{
    const pri_op *op = pri_op_find("", it->op, it->opset);

    assert_non_null(op);
    return op;
}

static void skip_without(void)
{
    if (pri_dnn_has_bf16())
        return;
    printf("skipped: this processor does not multiply bfloat16\n");
    skip();
}

/* --- One operator, in float32 and bfloat16 --- */

static void run(one_op *p)
{
    for (int k = 0; k < p->n_activations; k++) {
        const pri_shape shape = pri_engine_input_shape(p->engine, k);
        float *x = pri_engine_input(p->engine, k);
        for (int64_t i = 0; i < pri_shape_count(&shape); i++)
            x[i] = pri_bf16_to_f32(pri_f32_to_bf16(x[i]));
    }
    test_ok(p->ctx, pri_engine_forward(p->engine));
    for (int k = 0; k < p->model->graph->n_outputs; k++) {
        const pri_shape shape = pri_engine_output_shape(p->engine, k);
        float *g = pri_engine_output_gradient(p->engine, k);
        assert_int_equal(pri_engine_output_dtype(p->engine, k), PRI_F32);
        for (int64_t i = 0; i < pri_shape_count(&shape); i++)
            g[i] = (float)pri_random_normal(100 + (uint64_t)k, PRI_STREAM_TEST, (uint64_t)i);
    }
    test_ok(p->ctx, pri_engine_backward(p->engine));
}

static void compare(const one_op *p, bool plain, const char *what, const float *narrow,
                    const float *wide, int64_t count)
{
    double error = 0, squares = 0;

    for (int64_t i = 0; i < count; i++) {
        error += ((double)narrow[i] - (double)wide[i]) * ((double)narrow[i] - (double)wide[i]);
        squares += (double)wide[i] * (double)wide[i];
    }
    const double distance = squares > 0 ? sqrt(error / squares) : sqrt(error);
    if (!(distance <= tolerance))
        fail_msg("%s opset %d (%s; %s) %s, wide %u, %s behind: %s off by %g", p->it->op,
                 p->it->opset, p->it->inputs, p->it->attributes, plain ? "plain" : "channels-last",
                 p->wide, p->behind.rank > 0 ? "one" : "none", what, distance);
}

static void compare_runs(const one_op *narrow, const one_op *wide, bool plain)
{
    char what[32];

    for (int k = 0; k < narrow->model->graph->n_outputs; k++) {
        const pri_shape shape = pri_engine_output_shape(narrow->engine, k);
        snprintf(what, sizeof what, "output %d", k);
        compare(narrow, plain, what, pri_engine_output(narrow->engine, k),
                pri_engine_output(wide->engine, k), pri_shape_count(&shape));
    }
    for (int k = 0; k < narrow->n_activations; k++) {
        pri_tap a, b;
        test_ok(narrow->ctx, pri_engine_tap(narrow->engine, k, &a));
        test_ok(narrow->ctx, pri_engine_tap(wide->engine, k, &b));
        snprintf(what, sizeof what, "gradient of x%d", k);
        compare(narrow, plain, what, a.gradient, b.gradient, pri_shape_count(&a.shape));
    }
    for (int i = 0; i < narrow->model->graph->n_values; i++) {
        const pri_value *a = narrow->model->graph->values[i], *b = wide->model->graph->values[i];
        const float *g = a->constant != NULL ? pri_engine_weight_gradient(narrow->engine, a) : NULL;
        if (g == NULL)
            continue;
        snprintf(what, sizeof what, "gradient of value %d", i);
        compare(narrow, plain, what, g, pri_engine_weight_gradient(wide->engine, b),
                pri_tensor_count(a->constant));
    }
}

/* --- Which values are kept so --- */

static int step_of(const pri_engine *engine, const char *op)
{
    for (int s = pri_engine_steps(engine) - 1; s >= 0; s--) {
        const pri_node *node = pri_engine_step_node(engine, s);
        if (node == NULL || strcmp(node->op_type, op) != 0)
            continue;
        /* the case's own, not the one that keeps another value in floats or wraps it */
        if (strcmp(op, "Conv") != 0 || node->inputs[0]->producer != NULL)
            return s;
    }
    fail();
    return -1;
}

static bool is_narrow(const pri_engine *engine, int step, int slot)
{
    pri_operand operand;

    test_ok(engine->ctx, pri_engine_operand(engine, step, slot, &operand));
    return operand.dtype == PRI_BF16;
}

/* Adds to *n the values that are bfloat16: those that come from a convolution that takes it, and
 * the one that goes to one, where the operator takes them and nothing else reads them. */
static void check_types(const one_op *p, int *n)
{
    const pri_node *node = NULL;
    const pri_engine *engine = p->engine;
    pri_operand in[PRI_MAX_OPERANDS], out[PRI_MAX_OPERANDS];
    pri_call call;
    int step = step_of(engine, p->it->op);

    if (strcmp(p->it->op, "Conv") == 0 && p->behind.rank > 0) { /* the last one is that behind */
        const pri_value *x = pri_engine_step_node(engine, step)->inputs[0];
        for (int s = 0; s < step; s++) {
            if (pri_engine_step_node(engine, s) == x->producer)
                step = s;
        }
    }
    node = pri_engine_step_node(engine, step);
    pri_call_of(&call, in, out, p->model, node, engine->facts);
    for (int k = 0; k < node->n_inputs; k++) {
        const pri_value *value = node->inputs[k];
        if (value == NULL || value->producer == NULL ||
            strcmp(value->producer->op_type, "Conv") != 0)
            continue;
        bool expected = node->op->takes_bf16(&call, k) && call.in[k].shape.dims[1] > 1;
        for (int a = 0; a < p->n_activations; a++) {
            if ((p->wide >> a & 1u) != 0 && value->producer->inputs[0] == p->activations[a])
                expected = false;
        }
        assert_int_equal(is_narrow(engine, step, k), expected);
        *n += expected;
    }
    const bool goes_on =
        p->behind.rank > 0 && p->behind.dims[1] > 1 && node->op->takes_bf16(&call, PRI_OUT(0));
    assert_int_equal(is_narrow(engine, step, PRI_OUT(0)), goes_on);
    *n += goes_on;
}

static void end(one_op *p)
{
    pri_engine_free(p->engine);
    pare_model_free(p->model);
}

/* One case with some operands in bfloat16 and some in float32. */
static void check_case(pare_context *ctx, const one_op_case *it, bool plain, unsigned wide_bits,
                       const pri_shape *behind, int *n)
{
    one_op narrow = {.ctx = ctx, .it = it, .wraps = true, .is_dense = true, .wide = wide_bits};

    if (behind != NULL)
        narrow.behind = *behind;
    one_op wide = narrow;
    narrow.is_narrow = true;
    one_op_start(&narrow, plain);
    one_op_start(&wide, plain);
    check_types(&narrow, n);
    run(&narrow);
    run(&wide);
    compare_runs(&narrow, &wide, plain);
    end(&narrow);
    end(&wide);
}

static pri_shape output_of(pare_context *ctx, const one_op_case *it, int *n_activations)
{
    one_op p = {.ctx = ctx, .it = it, .wraps = true};

    one_op_start(&p, false);
    const pri_shape shape = pri_engine_output_shape(p.engine, 0);
    *n_activations = p.n_activations;
    end(&p);
    return shape;
}

static void operators_agree_with_float32(void **state)
{
    const char *only = getenv("PARE_OP");
    int n = 0;

    skip_without();
    for (size_t i = 0; i < PRI_COUNT(cases); i++) {
        int n_activations;
        if (op_of(&cases[i])->takes_bf16 == NULL ||
            (only != NULL && strcmp(only, cases[i].op) != 0))
            continue;
        const pri_shape shape = output_of(*state, &cases[i], &n_activations);
        const bool is_image = shape.rank >= 3 && shape.rank <= 5;
        for (unsigned wide = 0; wide < 1u << (n_activations < 2 ? n_activations : 2); wide++) {
            for (int plain = 0; plain < (wide == 0 ? 2 : 1); plain++) {
                check_case(*state, &cases[i], plain == 1, wide, NULL, &n);
                if (is_image)
                    check_case(*state, &cases[i], plain == 1, wide, &shape, &n);
            }
        }
    }
    assert_true(only != NULL || n > 200); /* most of them were kept in bfloat16 at all */
}

/* What the caller reads or writes stays floats, and so does all without a way back. */
static void taps_and_inference_stay_float32(void **state)
{
    const int64_t dims[] = {2, 20, 6, 6}, kernel[] = {20, 20, 3, 3};

    skip_without();
    pri_graph *graph = test_graph(*state, 13);
    pri_value *x = test_input(graph, "x", 4, dims), *of[3];
    for (uint64_t k = 0; k < 3; k++) {
        pri_value *w = test_weight(graph, 4, kernel, k, 0.1);
        of[k] = test_op(graph, "Conv", "pads=[1,1,1,1]", TEST_LIST(k > 0 ? of[k - 1] : x, w));
        of[k] = test_op(graph, "Relu", "", TEST_LIST(of[k]));
    }
    test_output(graph, of[2]);
    pare_model *model = test_model(graph);
    for (int k = 0; k < 8; k++) { /* bits: a tap, a way back, bf16 */
        const bool has_tap = (k & 1) != 0, is_full = k >= 6;
        const pri_engine_options options = {.backward = (k & 2) != 0,
                                            .weight_gradients = (k & 2) != 0,
                                            .bf16 = (k & 4) != 0,
                                            .bf16_activations = true,
                                            .no_fusion = true,
                                            .taps = &of[1],
                                            .n_taps = has_tap};
        pri_engine *engine = NULL;
        int n = 0;
        test_ok(*state, pri_engine_new(&engine, model, &options));
        for (int s = 0; s < pri_engine_steps(engine); s++) {
            const pri_node *node = pri_engine_step_node(engine, s);
            if (node == NULL)
                continue;
            const bool is_read = node == of[2]->producer || (has_tap && node == of[1]->producer);
            assert_int_equal(is_narrow(engine, s, PRI_OUT(0)), is_full && !is_read);
            n++;
        }
        assert_int_equal(n, 6);
        pri_engine_free(engine);
    }
    pare_model_free(model);
}

static void every_operator_that_takes_bfloat16_has_a_case(void **state)
{
    const pri_op *const *ops;
    const int n = pri_op_list(&ops);
    int missing = 0;

    (void)state;
    for (int k = 0; k < n; k++) {
        bool found = ops[k]->takes_bf16 == NULL;
        for (size_t i = 0; i < PRI_COUNT(cases) && !found; i++)
            found = op_of(&cases[i]) == ops[k];
        if (!found)
            printf("%s takes bfloat16 and has no case in gradient_cases.def\n", ops[k]->name);
        missing += !found;
    }
    assert_int_equal(missing, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operator_that_takes_bfloat16_has_a_case),
        cmocka_unit_test(operators_agree_with_float32),
        cmocka_unit_test(taps_and_inference_stay_float32),
    };

    return cmocka_run_group_tests(tests, test_setup, test_teardown);
}
