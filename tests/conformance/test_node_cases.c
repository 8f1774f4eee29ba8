/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_node_cases.c - ONNX's own node tests: every folder with model.onnx and test_data_set_0.
 *
 * A case is run as the file states it; where pare wants shapes, axes and indices before running,
 * with its integer inputs as constants; and where the data decide a shape, with all inputs as
 * constants. Nothing may fail, and a case may be skipped only for a reason in accepted_skips.def.
 */
#include "case_files.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "engine/engine.h"

static const char *const usual_places[] = {
    "/usr/include/onnx/backend/test/data/node",
    "/usr/share/onnx/backend/test/data/node",
    "/usr/local/share/onnx/backend/test/data/node",
};

/* Part of a reason, or a case, and why nobody misses it. */
static const struct {
    const char *reason, *because;
} accepted[] = {
#include "accepted_skips.def"
};

enum { MAX_TENSORS = 16, MAX_REASONS = 256, REASON = 160 };
static const double relative = 1e-3, absolute = 1e-7; /* as ONNX's own runner */

typedef enum freezing { FREEZE_NOTHING, FREEZE_INTEGERS, FREEZE_ALL, FREEZINGS } freezing;

typedef struct node_case {
    pare_context *ctx;
    char folder[512];
    const char *name;
    pri_tensor *inputs[MAX_TENSORS], *outputs[MAX_TENSORS];
    char reason[512]; /* why it did not run, or what differs */
} node_case;

typedef struct tally {
    int passed[FREEZINGS], skipped, failed, refused;
    char reasons[MAX_REASONS][REASON];
    int counts[MAX_REASONS], n_reasons;
} tally;

static pri_graph *open_graph(node_case *c)
{
    pri_graph *graph = test_read_case(c->ctx, c->folder);

    if (graph == NULL)
        snprintf(c->reason, sizeof c->reason, "%s", pare_context_message(c->ctx));
    return graph;
}

/* --- What pare does not know --- */

static bool knows_operators(node_case *c, const pri_graph *graph)
{
    for (int i = 0; i < graph->n_nodes; i++) {
        const pri_node *node = graph->nodes[i];
        if (pri_op_find(node->domain, node->op_type, graph->opset) != NULL)
            continue;
        snprintf(c->reason, sizeof c->reason, "operator %s%s%s", node->domain,
                 node->domain[0] != '\0' ? "." : "", node->op_type);
        return false;
    }
    return true;
}

static bool is_number(pri_dtype dtype)
{
    return pri_dtype_bytes(dtype) > 0;
}

static bool has_plain_types(node_case *c, const pri_graph *graph)
{
    if (strstr(c->name, "BFLOAT16") != NULL) {
        snprintf(c->reason, sizeof c->reason, "bfloat16 stored as integers");
        return false;
    }
    for (int k = 0; k < graph->n_inputs + graph->n_outputs; k++) {
        const bool is_input = k < graph->n_inputs;
        const pri_dtype dtype =
            (is_input ? graph->inputs[k] : graph->outputs[k - graph->n_inputs])->dtype;
        if (is_number(dtype))
            continue;
        snprintf(c->reason, sizeof c->reason, "%s of the model",
                 dtype == PRI_STRING ? "strings as values" : "sequences or optional values");
        return false;
    }
    return true;
}

/* --- One run --- */

static bool is_frozen(freezing how, const pri_tensor *tensor)
{
    return how == FREEZE_ALL || (how == FREEZE_INTEGERS && tensor->dtype != PRI_F32);
}

/* Gives inputs the shapes of the data; turns those to freeze into constants. */
static void fix_inputs(node_case *c, pri_graph *graph, freezing how, int *fed)
{
    int n = 0;

    for (int k = 0, slot = 0; k < graph->n_inputs; slot++, k++) {
        pri_value *value = graph->inputs[k];
        const pri_tensor *data = c->inputs[slot];
        value->has_shape = true;
        value->shape = data->shape;
        if (!is_frozen(how, data)) {
            fed[n] = slot;
            graph->inputs[n++] = value;
            continue;
        }
        value->is_input = false;
        value->is_initializer = true;
        test_ok(c->ctx, pri_tensor_share(&value->constant, data));
    }
    graph->n_inputs = n;
}

static bool is_float(pri_dtype dtype)
{
    return dtype == PRI_F32 || dtype == PRI_F64 || dtype == PRI_F16 || dtype == PRI_BF16;
}

static bool is_close(const pri_tensor *found, const pri_tensor *expected, int64_t i)
{
    if (!is_float(expected->dtype))
        return pri_tensor_get_i64(found, i) == pri_tensor_get_i64(expected, i);
    const double u = pri_tensor_get(found, i), v = pri_tensor_get(expected, i);
    if (isnan(v) || isinf(v))
        return isnan(v) ? isnan(u) != 0 : u == v;
    return fabs(u - v) <= absolute + relative * fabs(v);
}

/* Where the data decide how many rows there are, an engine gives all there could be, the last ones
 * -1. */
static bool is_padded(const pri_shape *found, const pri_shape *expected, const pri_tensor *data)
{
    if (found->rank != 2 || expected->rank != 2 || found->dims[0] < expected->dims[0] ||
        found->dims[1] != expected->dims[1])
        return false;
    for (int64_t i = pri_shape_count(expected); i < pri_shape_count(found); i++) {
        if (pri_tensor_get(data, i) != -1)
            return false;
    }
    return true;
}

static bool has_output(node_case *c, pri_engine *engine, int k)
{
    const pri_tensor *expected = c->outputs[k];
    const pri_shape shape = pri_engine_output_shape(engine, k);
    const pri_dtype dtype = pri_engine_output_dtype(engine, k);
    char a[PRI_SHAPE_TEXT], b[PRI_SHAPE_TEXT];
    pri_tensor *found = NULL;

    test_ok(c->ctx, pri_tensor_new(&found, c->ctx, expected->dtype, &shape));
    if (pri_tensor_count(found) > 0 && pri_dtype_bytes(dtype) == pri_dtype_bytes(expected->dtype))
        memcpy(found->data, pri_engine_output(engine, k),
               (size_t)pri_tensor_count(found) * pri_dtype_bytes(dtype));
    bool ok = dtype == expected->dtype && (pri_shape_equal(&shape, &expected->shape) ||
                                           is_padded(&shape, &expected->shape, found));
    if (!ok) {
        pri_tensor_free(found);
        snprintf(c->reason, sizeof c->reason, "output %d is %s %s, expected %s %s", k,
                 pri_dtype_name(dtype), pri_shape_text(a, &shape), pri_dtype_name(expected->dtype),
                 pri_shape_text(b, &expected->shape));
        return false;
    }
    for (int64_t i = 0; i < pri_tensor_count(expected) && ok; i++) {
        ok = is_close(found, expected, i);
        if (!ok)
            snprintf(c->reason, sizeof c->reason, "output %d at %lld is %g, expected %g", k,
                     (long long)i, pri_tensor_get(found, i), pri_tensor_get(expected, i));
    }
    pri_tensor_free(found);
    return ok;
}

typedef enum verdict { PASSED, REFUSED, DIFFERS } verdict;

static verdict run_engine(node_case *c, pare_model *model, const int *fed)
{
    pri_engine *engine = NULL;
    verdict result = PASSED;

    const pri_engine_options options = {.training = strstr(c->name, "_training_mode") != NULL};

    pare_status status = pri_engine_new(&engine, model, &options);
    for (int k = 0; k < model->graph->n_inputs && status == PARE_OK; k++) {
        const pri_tensor *data = c->inputs[fed[k]];
        if (pri_tensor_count(data) > 0)
            memcpy(pri_engine_input(engine, k), data->data,
                   (size_t)pri_tensor_count(data) * pri_dtype_bytes(data->dtype));
    }
    if (status == PARE_OK)
        status = pri_engine_forward(engine);
    if (status != PARE_OK) {
        snprintf(c->reason, sizeof c->reason, "%s", pare_context_message(c->ctx));
        result = REFUSED;
    }
    for (int k = 0; k < model->graph->n_outputs && result == PASSED; k++) {
        if (c->outputs[k] != NULL && !has_output(c, engine, k))
            result = DIFFERS;
    }
    pri_engine_free(engine);
    return result;
}

static verdict run_once(node_case *c, freezing how)
{
    pri_graph *graph = open_graph(c);
    pare_model *model = NULL;
    int fed[MAX_TENSORS];

    if (graph == NULL)
        return REFUSED;
    fix_inputs(c, graph, how, fed);
    test_ok(c->ctx, pri_model_from_graph(&model, graph));
    const verdict result = run_engine(c, model, fed);
    pare_model_free(model);
    return result;
}

/* --- One case --- */

static void load_tensors(node_case *c, const pri_graph *graph)
{
    assert_true(graph->n_inputs <= MAX_TENSORS && graph->n_outputs <= MAX_TENSORS);
    for (int k = 0; k < graph->n_inputs; k++) {
        if (!test_read_pb(&c->inputs[k], c->ctx, c->folder, "input", k))
            fail_msg("%s: input %d cannot be read", c->name, k);
    }
    for (int k = 0; k < graph->n_outputs; k++)
        (void)test_read_pb(&c->outputs[k], c->ctx, c->folder, "output", k);
    assert_non_null(c->outputs[0]);
}

static void count_reason(tally *t, const node_case *c)
{
    const char *colon = strstr(c->reason, ": ");
    char text[REASON];
    int k = 0;

    snprintf(text, sizeof text, "%.150s", colon != NULL ? colon + 2 : c->reason);
    text[strcspn(text, "\n")] = '\0';
    while (k < t->n_reasons && strcmp(t->reasons[k], text) != 0)
        k++;
    assert_true(k < MAX_REASONS);
    if (k == t->n_reasons)
        snprintf(t->reasons[t->n_reasons++], REASON, "%s", text);
    t->counts[k]++;
    t->skipped++;
}

static bool is_disputed(node_case *c)
{
    for (size_t i = 0; i < PRI_COUNT(accepted); i++) {
        if (strcmp(accepted[i].reason, c->name) == 0) {
            snprintf(c->reason, sizeof c->reason, "%s", c->name);
            return true;
        }
    }
    return false;
}

static void check_case(tally *t, node_case *c)
{
    pri_graph *graph = open_graph(c);
    verdict result = REFUSED;

    if (graph == NULL || is_disputed(c) || !has_plain_types(c, graph) ||
        !knows_operators(c, graph)) {
        pri_graph_free(graph);
        count_reason(t, c);
        return;
    }
    load_tensors(c, graph);
    pri_graph_free(graph);
    for (int how = FREEZE_NOTHING; how < FREEZINGS && result == REFUSED; how++) {
        result = run_once(c, (freezing)how);
        t->passed[how] += result == PASSED;
    }
    if (result == REFUSED)
        count_reason(t, c);
    t->failed += result == DIFFERS;
    if (result == DIFFERS || (result == REFUSED && getenv("PARE_VERBOSE") != NULL))
        printf("%s %s: %s\n", result == DIFFERS ? "FAILED" : "skipped", c->name, c->reason);
    for (int k = 0; k < MAX_TENSORS; k++) {
        pri_tensor_free(c->inputs[k]);
        pri_tensor_free(c->outputs[k]);
    }
}

static const char *because(const char *reason)
{
    for (size_t i = 0; i < PRI_COUNT(accepted); i++) {
        if (strstr(reason, accepted[i].reason) != NULL)
            return accepted[i].because;
    }
    return NULL;
}

static void report(tally *t)
{
    printf(
        "node cases: %d passed (%d as stated, %d with integer inputs constant, %d with all inputs "
        "constant), %d skipped, %d failed\n",
        t->passed[0] + t->passed[1] + t->passed[2], t->passed[0], t->passed[1], t->passed[2],
        t->skipped, t->failed);
    for (int k = 0; k < t->n_reasons; k++) {
        const char *why = because(t->reasons[k]);
        t->refused += why == NULL ? t->counts[k] : 0;
        printf("  %s%4d  %s%s%s\n", why == NULL ? "NOT ACCEPTED " : "", t->counts[k], t->reasons[k],
               why != NULL ? "; " : "", why != NULL ? why : "");
    }
}

static const char *find_folder(void)
{
    const char *stated = getenv("PARE_ONNX_NODE_TESTS");

    if (stated != NULL)
        return stated;
    for (size_t i = 0; i < PRI_COUNT(usual_places); i++) {
        if (pri_is_directory(usual_places[i]))
            return usual_places[i];
    }
    return NULL;
}

static void node_cases_compute_what_onnx_says(void **state)
{
    const char *folder = find_folder(), *only = getenv("PARE_CASE");
    char **names = NULL;
    int64_t count = 0;
    tally t = {0};

    (void)state;
    if (folder == NULL) {
        printf("skipped: no ONNX node tests (install libonnx-testdata, or set PARE_ONNX_NODE_TESTS "
               "to the folder that holds test_abs)\n");
        skip();
    }
    pare_context *ctx = test_context();
    pare_context_set_log(ctx, NULL, NULL);
    test_ok(ctx, pri_list_directory(&names, &count, ctx, folder));
    for (int64_t i = 0; i < count; i++) {
        node_case c = {.ctx = ctx, .name = names[i]};
        if (strncmp(names[i], "test_", 5) != 0 || (only != NULL && strstr(names[i], only) == NULL))
            continue;
        snprintf(c.folder, sizeof c.folder, "%s/%s", folder, names[i]);
        check_case(&t, &c);
    }
    report(&t);
    pri_names_free(names, count);
    pare_context_free(ctx);
    assert_int_equal(t.failed, 0);
    assert_int_equal(t.refused, 0);
    assert_true(only != NULL || t.passed[0] + t.passed[1] + t.passed[2] >= 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(node_cases_compute_what_onnx_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
