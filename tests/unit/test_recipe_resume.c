/* SPDX-License-Identifier: Apache-2.0 */
/* test_recipe_resume.c - a run stopped within its training goes on to the same bytes, whatever the
 * file is like: weights that are computed, stated in half precision or read by nobody, and layers
 * without biases. */
#include "train_nets.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "onnx/onnx_io.h"

typedef struct watch {
    pare_context *ctx;
    int stop_at, seen; /* groups of steps; negative: never */
} watch;

static void on_steps(void *user, const pare_steps *steps)
{
    watch *w = user;

    (void)steps;
    if (w->seen++ == w->stop_at)
        pare_context_cancel(w->ctx);
}

static pri_value *half_weight(pri_graph *graph, const int64_t *dims)
{
    const pri_shape shape = pri_shape_of(4, dims);
    pri_tensor *tensor = NULL;

    test_ok(graph->ctx, pri_tensor_new(&tensor, graph->ctx, PRI_F16, &shape));
    for (int64_t i = 0; i < pri_tensor_count(tensor); i++)
        ((uint16_t *)tensor->data)[i] = pri_f32_to_f16((float)(i * 37 % 101 - 50) / 150);
    return pri_graph_add_constant(graph, "half", tensor);
}

/* As a file has it: conv, Relu, conv of cast half weights, Relu, mean, Gemm of transposed weights.
 */
static pare_model *odd_model(pare_context *ctx)
{
    pri_value *x;
    pri_graph *graph = train_graph(ctx, &x);
    unsigned char *bytes = NULL;
    pare_model *model = NULL;
    size_t size;

    train_weight(graph, "unread", 2, (const int64_t[]){3, 4}, 0, 1);
    x = train_convolution(graph, x, "first", 3, 16);
    x = train_node(graph, "Relu", 1, &x, "first_relu");
    pri_value *half = half_weight(graph, (const int64_t[]){16, 16, 3, 3});
    pri_value *cast = train_node(graph, "Cast", 1, &half, "cast");
    test_ok(ctx, pri_node_set_int(graph, cast->producer, "to", PRI_F32));
    x = train_node(graph, "Conv", 2, (pri_value *[]){x, cast}, "second");
    x = train_node(graph, "Relu", 1, &x, "second_relu");
    x = train_node(graph, "GlobalAveragePool", 1, &x, "mean");
    x = train_node(graph, "Flatten", 1, &x, "flat");
    pri_value *turned = train_weight(graph, "head", 2, (const int64_t[]){CLASSES, 16}, 0, 0.5);
    turned = train_node(graph, "Transpose", 1, &turned, "turned");
    pare_model *stated = train_finish(
        graph, train_node(graph, "Gemm", 2, (pri_value *[]){x, turned}, "scores"), 2, CLASSES);
    test_ok(ctx, pri_onnx_export_bytes(&bytes, &size, stated->graph));
    test_ok(ctx, pare_model_parse(&model, ctx, bytes, size));
    pri_free(bytes);
    pare_model_free(stated);
    return model;
}

/* Bytes of the result, or NULL when it was stopped. */
static unsigned char *run(size_t *size, const char *state, int stop_at)
{
    pare_context *ctx = test_context();
    pare_data *data = train_images(ctx, IMAGES, 1, false), *val = train_images(ctx, 16, 2, false);
    pare_model *model = odd_model(ctx), *pruned = NULL;
    watch w = {ctx, stop_at, 0};
    const pare_recipe recipe = {
        .prune = {.strategy = PARE_ML,
                  .target = {PARE_MACS, 0.5, true},
                  .align = 1,
                  .calibration = 32,
                  .seed = 1},
        .rounds = 2,
        .epochs = 2,
        .hints = true,
        .train = {.batch = 16, .clip_norm = 0.5, .on_steps = on_steps, .user = &w},
        .state = state};
    pare_recipe_result result = {0};
    unsigned char *bytes = NULL;
    const pare_status status = pare_run_recipe(&pruned, model, data, val, &recipe, &result);

    if (stop_at >= 0) {
        assert_int_equal(status, PARE_ERROR_CANCELLED);
    } else {
        test_ok(ctx, status);
        test_ok(ctx, pri_onnx_export_bytes(&bytes, size, pruned->graph));
        pare_recipe_result_clear(&result);
        pare_recipe_state_remove(ctx, state);
    }
    pare_model_free(pruned);
    pare_model_free(model);
    pare_data_free(data);
    pare_data_free(val);
    pare_context_free(ctx);
    return bytes;
}

static void a_run_stopped_in_training_ends_with_the_same_bytes(void **state)
{
    const char *folder = test_folder();
    char prefix[600];
    size_t sizes[2];

    (void)state;
    snprintf(prefix, sizeof prefix, "%s/run", folder);
    unsigned char *whole = run(&sizes[0], prefix, -1);
    for (int at = 2; at < 16; at += 5) { /* in both rounds, within epochs and at their ends */
        assert_null(run(&sizes[1], prefix, at));
        unsigned char *resumed = run(&sizes[1], prefix, -1);
        assert_int_equal(sizes[0], sizes[1]);
        assert_memory_equal(whole, resumed, sizes[0]);
        pri_free(resumed);
    }
    pri_free(whole);
    test_remove_folder(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_stopped_in_training_ends_with_the_same_bytes)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
