/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_golden.c - every model of the shared assets computes what an independent interpreter stored.
 *
 * The folder is walked: a model without stored outputs fails, except those pare must refuse.
 */
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"
#include "npz.h"

static const double tolerance =
    1e-4; /* of the output's range; the interpreter itself is 1.5e-5 off */

static void set_input(pri_engine *engine, const pri_tensor *bytes)
{
    float *x = pri_engine_input(engine, 0);
    const pri_shape shape = pri_engine_input_shape(engine, 0);

    assert_int_equal(pri_shape_count(&shape), pri_tensor_count(bytes));
    for (int64_t i = 0; i < pri_tensor_count(bytes); i++)
        x[i] = (float)((const unsigned char *)bytes->data)[i] / 255.0f;
}

static pri_tensor *read_array(const test_npz *npz, const char *what, int output)
{
    char name[32];
    pri_tensor *tensor = NULL;

    snprintf(name, sizeof name, "out%d_%s", output, what);
    test_ok(npz->ctx, test_npz_read(&tensor, npz, name));
    return tensor;
}

/* The largest difference of output k from the stored samples, relative to their range. */
static double difference(pri_engine *engine, const test_npz *npz, int k, const char *model)
{
    pri_tensor *shape = read_array(npz, "shape", k), *index = read_array(npz, "idx", k);
    pri_tensor *value = read_array(npz, "val", k);
    const pri_shape own = pri_engine_output_shape(engine, k);
    const float *y = pri_engine_output(engine, k);
    double low = INFINITY, high = -INFINITY, worst = 0;

    assert_true(shape != NULL && index != NULL && value != NULL);
    assert_int_equal(pri_tensor_count(shape), own.rank);
    for (int a = 0; a < own.rank; a++)
        assert_int_equal(pri_tensor_get_i64(shape, a), own.dims[a]);
    for (int64_t i = 0; i < pri_tensor_count(value); i++) {
        const int64_t at = pri_tensor_get_i64(index, i);
        const double expected = ((const float *)value->data)[i];
        assert_true(at >= 0 && at < pri_shape_count(&own));
        low = fmin(low, expected);
        high = fmax(high, expected);
        if (!isfinite(y[at]))
            fail_msg("%s: output %d is not finite at %lld", model, k, (long long)at);
        worst = fmax(worst, fabs(y[at] - expected));
    }
    pri_tensor_free(shape);
    pri_tensor_free(index);
    pri_tensor_free(value);
    return worst / fmax(high - low, fmax(fabs(low), fabs(high)));
}

static double run_model(pare_context *ctx, const char *path, const test_npz *npz, bool plain,
                        const char *name)
{
    const pri_engine_options options = {.plain = plain, .no_fusion = plain};
    pri_tensor *bytes = NULL;
    pare_model *model = NULL;
    pri_engine *engine = NULL;
    double worst = 0;

    test_ok(ctx, pare_model_load(&model, ctx, path));
    test_ok(ctx, test_npz_read(&bytes, npz, "input_u8"));
    assert_non_null(bytes);
    test_ok(ctx, pare_model_set_input_shape(model, 0, bytes->shape.rank, bytes->shape.dims));
    test_ok(ctx, pri_engine_new(&engine, model, &options));
    set_input(engine, bytes);
    test_ok(ctx, pri_engine_forward(engine));
    for (int k = 0; k < model->graph->n_outputs; k++)
        worst = fmax(worst, difference(engine, npz, k, name));
    pri_engine_free(engine);
    pare_model_free(model);
    pri_tensor_free(bytes);
    return worst;
}

static int check_model(pare_context *ctx, const char *path, const char *name)
{
    const char *only = getenv("PARE_MODEL");
    char file[300];
    test_npz npz;

    if (only != NULL && strstr(name, only) == NULL)
        return 0;
    snprintf(file, sizeof file, "golden/%.*s.npz", (int)(strlen(name) - strlen(".onnx")), name);
    const char *golden = test_shared(file);
    if (golden == NULL)
        fail_msg("%s has no stored outputs", name);
    test_ok(ctx, test_npz_open(&npz, ctx, golden));
    const double fused = run_model(ctx, path, &npz, false, name);
    const double plain = run_model(ctx, path, &npz, true, name);
    test_npz_close(&npz);
    const bool is_right = fused <= tolerance && plain <= tolerance;
    printf("%-45s %.1e (plain, not fused %.1e)%s\n", name, fused, plain,
           is_right ? "" : " TOO LARGE");
    return !is_right;
}

static void all_models_compute_what_is_stored(void **state)
{
    const char *shared = test_shared("models");
    char folder[1024], **names = NULL;
    int64_t count = 0;
    int wrong = 0;

    (void)state;
    if (shared == NULL)
        skip();
    snprintf(folder, sizeof folder, "%s", shared);
    pare_context *ctx = test_context();
    test_ok(ctx, pri_list_directory(&names, &count, ctx, folder));
    for (int64_t i = 0; i < count; i++) {
        char path[1400];
        if (strstr(names[i], ".onnx") == NULL || strstr(names[i], "silero") != NULL)
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        wrong += check_model(ctx, path, names[i]);
    }
    assert_int_equal(wrong, 0);
    pri_names_free(names, count);
    pare_context_free(ctx);
}

/* If and LSTM are beyond pare: the model loads, and running it names the node that stops it. */
static void silero_is_refused_with_a_node_named(void **state)
{
    const char *path = test_shared("models/silero_vad_16k_op15.onnx");
    pare_model *model = NULL;
    pri_engine *engine = NULL;

    (void)state;
    if (path == NULL)
        skip();
    pare_context *ctx = test_context();
    test_ok(ctx, pare_model_load(&model, ctx, path));
    test_ok(ctx, pare_model_set_input_shape(model, 0, 2, (const int64_t[]){1, 512}));
    test_ok(ctx, pare_model_set_input_shape(model, 1, 3, (const int64_t[]){2, 1, 128}));
    assert_int_equal(pri_engine_new(&engine, model, &(const pri_engine_options){0}),
                     PARE_ERROR_UNSUPPORTED);
    assert_null(engine);
    printf("silero_vad: %s\n", pare_context_message(ctx));
    assert_non_null(strstr(pare_context_message(ctx), "'/model/"));
    pare_model_free(model);
    pare_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_models_compute_what_is_stored),
        cmocka_unit_test(silero_is_refused_with_a_node_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
