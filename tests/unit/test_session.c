/* SPDX-License-Identifier: Apache-2.0 */
/* test_session.c - inference through the public interface, NumPy files, time step by step. */
#include "build.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <pare/pare.h>

#include "base/file.h"
#include "data/image.h"
#include "npz.h"
#include "ref/images.h"

/* x (open batch x 2 x 4 x 4) -> Conv 1x1 with weights (1, -1) -> Relu, named "y". */
static pare_model *difference_model(pare_context *ctx)
{
    static const int64_t dims[] = {-1, 2, 4, 4}, kernel[] = {1, 2, 1, 1};
    pri_graph *graph = test_graph(ctx, 13);
    pri_value *x = test_input(graph, "x", 4, dims);
    pri_value *w = test_weight(graph, 4, kernel, 1, 1);

    ((float *)w->constant->data)[0] = 1;
    ((float *)w->constant->data)[1] = -1;
    pri_value *sum = test_op(graph, "Conv", "", TEST_LIST(x, w));
    pri_value *y = pri_graph_add_value(graph, "y");
    test_node(graph, "Relu", "", TEST_LIST(sum), TEST_LIST(y));
    test_output(graph, y);
    return test_model(graph);
}

static pare_session *open_session(pare_context *ctx, int64_t batch)
{
    pare_model *model = difference_model(ctx);
    pare_session *session = NULL;

    test_ok(ctx, pare_session_new(&session, model, &(pare_session_options){.batch = batch}));
    pare_model_free(model); /* the session does not need it */
    return session;
}

/* --- Sessions --- */

static void session_runs_what_the_model_says(void **state)
{
    pare_context *ctx = test_context();
    pare_session *session = open_session(ctx, 3);
    pare_tensor x, y;

    (void)state;
    assert_true(pare_session_input(&x, session, 0));
    assert_true(pare_session_output(&y, session, 0));
    assert_string_equal(x.name, "x");
    assert_string_equal(y.name, "y");
    assert_int_equal(x.type, PARE_FLOAT32);
    assert_int_equal(x.size_bytes, 3 * 2 * 16 * sizeof(float));
    assert_int_equal(y.rank, 4);
    assert_int_equal(y.dims[0], 3);
    assert_int_equal(y.dims[1], 1);
    for (int round = 0; round < 2; round++) {
        float *in = x.data;
        for (int i = 0; i < 3 * 32; i++)
            in[i] = (float)((i * 37 + round * 11) % 50);
        float expected[3 * 16];
        for (int i = 0; i < 3 * 16; i++) {
            const float *image = in + i / 16 * 32;
            expected[i] = fmaxf(image[i % 16] - image[16 + i % 16], 0);
        }
        test_ok(ctx, pare_session_run(session));
        for (int i = 0; i < 3 * 16; i++)
            assert_true(fabsf(((const float *)y.data)[i] - expected[i]) < 1e-5F);
    }
    pare_session_free(session);
    pare_context_free(ctx);
}

static void session_ends_its_lists(void **state)
{
    pare_context *ctx = test_context();
    pare_session *session = open_session(ctx, 0);
    pare_tensor t;

    (void)state;
    assert_true(pare_session_input(&t, session, 0));
    assert_int_equal(t.dims[0], 1); /* an open batch is one */
    assert_false(pare_session_input(&t, session, 1));
    assert_false(pare_session_input(&t, session, -1));
    assert_false(pare_session_output(&t, session, 1));
    assert_int_equal(pare_session_find_input(session, "x"), 0);
    assert_int_equal(pare_session_find_input(session, "y"), -1);
    pare_session_free(session);
    pare_session_free(NULL);
    pare_context_free(ctx);
}

static void session_keeps_its_weights(void **state)
{
    pare_context *ctx = test_context();
    pare_model *model = difference_model(ctx);
    pare_session *session = NULL;
    pare_tensor x, y;

    (void)state;
    test_ok(ctx, pare_session_new(&session, model, NULL));
    pri_value *w = model->graph->nodes[0]->inputs[1];
    test_ok(ctx, pri_tensor_own(w->constant));
    ((float *)w->constant->data)[0] = 100;
    assert_true(pare_session_input(&x, session, 0) && pare_session_output(&y, session, 0));
    for (int i = 0; i < 32; i++)
        ((float *)x.data)[i] = i < 16 ? 3 : 1;
    test_ok(ctx, pare_session_run(session));
    assert_true(fabsf(((const float *)y.data)[5] - 2) < 1e-6F);
    pare_session_free(session);
    pare_model_free(model);
    pare_context_free(ctx);
}

/* What files declare as halves or doubles is computed, and so given, in single precision. */
static void inputs_of_other_precisions_are_single(void **state)
{
    static const pri_dtype dtypes[] = {PRI_F16, PRI_F64, PRI_BF16};
    static const int64_t dims[] = {2, 3};
    pare_context *ctx = test_context();

    (void)state;
    for (size_t k = 0; k < PRI_COUNT(dtypes); k++) {
        pri_graph *graph = test_graph(ctx, 13);
        pri_value *x = test_input(graph, "x", 2, dims);
        pare_session *session = NULL;
        pare_tensor in, out;
        x->dtype = dtypes[k];
        test_output(graph, test_op(graph, "Relu", "", TEST_LIST(x)));
        pare_model *model = test_model(graph);
        test_ok(ctx, pare_session_new(&session, model, NULL));
        assert_true(pare_session_input(&in, session, 0) && pare_session_output(&out, session, 0));
        assert_int_equal(in.type, PARE_FLOAT32);
        assert_int_equal(in.size_bytes, 6 * sizeof(float));
        for (int i = 0; i < 6; i++)
            ((float *)in.data)[i] = (float)i - 2;
        test_ok(ctx, pare_session_run(session));
        assert_int_equal(out.type, PARE_FLOAT32);
        for (int i = 0; i < 6; i++)
            assert_true(fabsf(((const float *)out.data)[i] - fmaxf((float)i - 2, 0)) < 1e-6F);
        pare_session_free(session);
        pare_model_free(model);
    }
    pare_context_free(ctx);
}

static void session_refuses_what_it_cannot_run(void **state)
{
    static const int64_t dims[] = {1, 4};
    pare_context *ctx = test_context();
    pri_graph *graph = test_graph(ctx, 13);
    pri_value *x = test_input(graph, "x", 2, dims);
    pare_session *session = NULL;

    (void)state;
    test_output(graph, test_op(graph, "Unheard", "", TEST_LIST(x)));
    pare_model *model = NULL;
    test_ok(ctx, pri_model_from_graph(&model, graph));
    assert_int_not_equal(pare_session_new(&session, model, NULL), PARE_OK);
    assert_null(session);
    assert_non_null(strstr(pare_context_message(ctx), "Unheard"));
    assert_int_equal(pare_session_new(&session, model, &(pare_session_options){.batch = -1}),
                     PARE_ERROR_ARGUMENT);
    pare_model_free(model);
    pare_context_free(ctx);
}

static void session_survives_failed_allocations(void **state)
{
    pare_context *ctx = test_context();
    pare_model *model = difference_model(ctx);

    (void)state;
    pare_context_set_log(ctx, NULL, NULL);
    for (int64_t nth = 1; nth < 1000; nth++) {
        pare_session *session = NULL;
        pri_fail_allocation(ctx, nth);
        const pare_status status = pare_session_new(&session, model, NULL);
        pri_fail_allocation(ctx, 0);
        pare_session_free(session);
        if (status == PARE_OK) {
            assert_true(nth > 5);
            break;
        }
        assert_int_equal(status, PARE_ERROR_MEMORY);
    }
    pare_model_free(model);
    pare_context_free(ctx);
}

/* --- Images --- */

/* Red and green of an image through a network that passes pixels. */
static void images_become_inputs(void **state)
{
    static const int64_t dims[] = {2, 3, -1, -1};
    const uint8_t pixels[2][4 * 5 * 3] = {{255, 51, 0}, {0, 102, 255}};
    test_files files;
    const char *paths[2];
    char names[2][256];

    (void)state;
    test_files_init(&files);
    for (int i = 0; i < 2; i++) {
        const pri_image image = {
            .pixels = (uint8_t *)(uintptr_t)pixels[i], .height = 4, .width = 5, .channels = 3};
        unsigned char *png = NULL;
        size_t size;
        snprintf(names[i], sizeof names[i], "%s", test_path(&files, i == 0 ? "a.png" : "b.png"));
        paths[i] = names[i];
        test_ok(files.ctx, pri_png_encode(&png, &size, files.ctx, &image, NULL, 0));
        test_ok(files.ctx, pri_file_write(files.ctx, paths[i], png, size, false));
        pri_free(png);
    }
    pri_graph *graph = test_graph(files.ctx, 13);
    pri_value *x = test_input(graph, "x", 4, dims);
    test_output(graph, test_op(graph, "Relu", "", TEST_LIST(x)));
    pare_model *model = test_model(graph);
    pare_data *data = NULL;
    pare_session *session = NULL;
    pare_tensor y;
    test_ok(files.ctx, pare_model_set_preprocess(model, "unit"));
    test_ok(files.ctx, pare_data_open_images(&data, files.ctx, paths, 2, NULL));
    assert_int_equal(pare_data_count(data), 2);
    assert_int_equal(pare_data_classes(data), 0);
    test_ok(files.ctx, pare_session_new(&session, model, &(pare_session_options){.images = data}));
    test_ok(files.ctx, pare_session_set_images(session, data, 1));
    test_ok(files.ctx, pare_session_run(session));
    assert_true(pare_session_output(&y, session, 0));
    assert_int_equal(y.dims[2], 4);
    assert_int_equal(y.dims[3], 5);
    const float *out = y.data; /* both rows are image 1: it is the last */
    for (int row = 0; row < 2; row++) {
        assert_true(fabsf(out[row * 60]) < 1e-6F);
        assert_true(fabsf(out[row * 60 + 20] - 0.4F) < 1e-6F);
        assert_true(fabsf(out[row * 60 + 40] - 1) < 1e-6F);
    }
    assert_int_equal(pare_session_set_images(session, data, 2), PARE_ERROR_ARGUMENT);
    pare_session_free(session);
    pare_model_free(model);
    pare_data_free(data);
    test_files_clear(&files);
}

static void images_that_do_not_decode_are_refused(void **state)
{
    test_files files;
    pare_data *data = NULL;

    (void)state;
    test_files_init(&files);
    const char *path = test_path(&files, "no.png");
    test_ok(files.ctx, pri_file_write(files.ctx, path, "text", 4, false));
    assert_int_equal(pare_data_open_images(&data, files.ctx, &path, 1, NULL), PARE_ERROR_DATA);
    assert_null(data);
    assert_non_null(strstr(pare_context_message(files.ctx), "no.png"));
    test_files_clear(&files);
}

static void masks_are_read_back_as_written(void **state)
{
    uint8_t mask[6 * 7];
    test_files files;
    pri_image image = {0};

    (void)state;
    for (size_t i = 0; i < sizeof mask; i++)
        mask[i] = (uint8_t)(i * 6);
    test_files_init(&files);
    const char *path = test_path(&files, "m.png");
    test_ok(files.ctx, pare_mask_write(files.ctx, path, mask, 6, 7, false));
    assert_int_equal(pare_mask_write(files.ctx, path, mask, 6, 7, false), PARE_ERROR_EXISTS);
    assert_int_equal(pare_mask_write(files.ctx, path, mask, 0, 7, true), PARE_ERROR_ARGUMENT);
    test_ok(files.ctx, pri_mask_read(&image, files.ctx, path));
    assert_int_equal(image.height, 6);
    assert_memory_equal(image.pixels, mask, sizeof mask);
    pri_image_clear(&image);
    test_files_clear(&files);
}

/* --- Arrays --- */

static void arrays_are_read_back_as_written(void **state)
{
    static const pare_type types[] = {PARE_FLOAT32, PARE_INT64, PARE_UINT8, PARE_BOOL,
                                      PARE_FLOAT64};
    unsigned char bytes[6 * 8];
    test_files files;

    (void)state;
    test_files_init(&files);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i % 2);
    const char *path = test_path(&files, "a.npy");
    for (size_t k = 0; k < PRI_COUNT(types); k++) {
        for (int rank = 0; rank <= 3; rank++) {
            pare_tensor back, array = {.name = "a", .type = types[k], .rank = rank, .data = bytes};
            static const int64_t dims[4][3] = {{0}, {6}, {2, 3}, {1, 6, 1}};
            memcpy(array.dims, dims[rank], sizeof dims[rank]);
            array.size_bytes =
                pri_dtype_bytes((pri_dtype)types[k]) * (rank == 0 ? (size_t)1 : (size_t)6);
            test_ok(files.ctx, pare_arrays_write(files.ctx, path, &array, 1, true));
            test_ok(files.ctx, pare_array_read(&back, files.ctx, path));
            assert_string_equal(back.name, "a.npy");
            assert_int_equal(back.type, types[k]);
            assert_int_equal(back.rank, rank);
            assert_memory_equal(back.dims, array.dims, sizeof back.dims);
            assert_int_equal(back.size_bytes, array.size_bytes);
            assert_memory_equal(back.data, bytes, back.size_bytes);
            pare_array_clear(&back);
        }
    }
    test_files_clear(&files);
}

static void archives_hold_all_arrays(void **state)
{
    float floats[4] = {1, -2, 3.5F, 4};
    int64_t ints[3] = {7, -8, 9};
    const pare_tensor arrays[] = {{"first", PARE_FLOAT32, 2, {2, 2}, floats, sizeof floats},
                                  {"a/b", PARE_INT64, 1, {3}, ints, sizeof ints},
                                  {"empty", PARE_FLOAT32, 1, {0}, NULL, 0}};
    test_files files;
    test_npz npz;
    pri_tensor *tensor = NULL;

    (void)state;
    test_files_init(&files);
    const char *path = test_path(&files, "all.npz");
    test_ok(files.ctx, pare_arrays_write(files.ctx, path, arrays, 3, false));
    assert_int_equal(pare_arrays_write(files.ctx, path, arrays, 3, false), PARE_ERROR_EXISTS);
    test_ok(files.ctx, test_npz_open(&npz, files.ctx, path));
    test_ok(files.ctx, test_npz_read(&tensor, &npz, "first"));
    assert_int_equal(tensor->shape.dims[1], 2);
    assert_memory_equal(tensor->data, floats, sizeof floats);
    pri_tensor_free(tensor);
    test_ok(files.ctx, test_npz_read(&tensor, &npz, "a/b"));
    assert_memory_equal(tensor->data, ints, sizeof ints);
    pri_tensor_free(tensor);
    test_npz_close(&npz);
    assert_int_equal(pare_arrays_write(files.ctx, test_path(&files, "x.npy"), arrays, 2, false),
                     PARE_ERROR_ARGUMENT);
    assert_int_equal(pare_arrays_write(files.ctx, test_path(&files, "x.txt"), arrays, 1, false),
                     PARE_ERROR_ARGUMENT);
    test_files_clear(&files);
}

static pare_status read_bytes(const test_files *files, const void *bytes, size_t size)
{
    const char *path = test_path(files, "bad.npy");
    pare_tensor array;

    test_ok(files->ctx, pri_file_write(files->ctx, path, bytes, size, true));
    const pare_status status = pare_array_read(&array, files->ctx, path);
    pare_array_clear(&array);
    return status;
}

/* A version 1 header of `text` and `size` zero bytes of elements. */
static pare_status read_header(const test_files *files, const char *text, size_t size)
{
    unsigned char file[512] = "\x93NUMPY\1";
    const size_t length = strlen(text);

    file[8] = (unsigned char)length;
    memcpy(file + 10, text, length);
    return read_bytes(files, file, 10 + length + size);
}

static void damaged_arrays_are_refused(void **state)
{
#define DESCR "{'descr': '<f4', 'fortran_order': False, 'shape': "
    static const struct {
        const char *header;
        size_t size;
    } bad[] = {{DESCR "(2,), }", 4},
               {DESCR "(2,), }", 12},
               {DESCR "(-1,), }", 4},
               {DESCR "(2", 8},
               {DESCR "2, }", 8},
               {DESCR "(99999999999,), }", 4},
               {"{'shape': (1,), }", 4},
               {"", 0},
               {DESCR "(65536, 65536, 65536, 65536), }", 0},
               {"{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }", 4},
               {"{'descr': '<f4', 'fortran_order': True, 'shape': (1, 1), }", 4},
               {"{'descr': '<f4', 'fortran_order': Maybe, 'shape': (1,), }", 4},
               {DESCR "(0, 9223372036854775807), }", 0},
               {DESCR "(1,1,1,1,1,1,1,1,1), }", 4}};
    test_files files;

    (void)state;
    test_files_init(&files);
    assert_int_equal(read_header(&files, DESCR "(2,), }", 8), PARE_OK);
    /* what a single axis has nothing of, and blanks that NumPy allows */
    assert_int_equal(read_header(&files, "{'fortran_order' : True,'shape':(2 ,),'descr':'<f4'}", 8),
                     PARE_OK);
    for (size_t i = 0; i < PRI_COUNT(bad); i++)
        assert_int_not_equal(read_header(&files, bad[i].header, bad[i].size), PARE_OK);
    unsigned char whole[] = "\x93NUMPY\1\0\x3a\0" DESCR "(2,), }\0\0\0\0\0\0\0";
    for (size_t size = 0; size + 1 < sizeof whole; size++)
        assert_int_not_equal(read_bytes(&files, whole, size), PARE_OK);
    test_files_clear(&files);
#undef DESCR
}

/* --- Time --- */

static void profile_names_fused_steps(void **state)
{
    pare_context *ctx = test_context();
    pare_model *model = difference_model(ctx);
    pare_profile profile;
    bool has_conv = false;

    (void)state;
    test_ok(ctx,
            pare_profile_model(&profile, model, &(pare_profile_options){.batch = 2, .rounds = 5}));
    assert_int_equal(profile.batch, 2);
    assert_int_equal(profile.rounds, 5);
    assert_true(profile.forward > 0 && profile.backward == 0);
    assert_true(profile.forward_low <= profile.forward && profile.forward <= profile.forward_high);
    for (int s = 0; s < profile.n_steps; s++) {
        assert_true(profile.steps[s].forward >= 0);
        has_conv = has_conv || strcmp(profile.steps[s].op_type, "Conv+Relu") == 0;
    }
    assert_true(has_conv);
    pare_profile_clear(&profile);
    assert_int_equal(pare_profile_model(&profile, model, &(pare_profile_options){.rounds = -1}),
                     PARE_ERROR_ARGUMENT);
    pare_model_free(model);
    pare_context_free(ctx);
}

static void profile_of_training_has_gradients(void **state)
{
    pare_context *ctx = test_context();
    pare_model *model = NULL;
    pare_profile profile;
    double sum = 0;
    int with_gradient = 0;

    (void)state;
    test_ok(ctx, pare_model_new(&model, ctx, "resnet20", 10, 3, 16, 16, 1));
    test_ok(ctx, pare_profile_model(&profile, model,
                                    &(pare_profile_options){.rounds = 2, .training = true}));
    for (int s = 0; s < profile.n_steps; s++) {
        sum += profile.steps[s].backward;
        with_gradient +=
            strcmp(profile.steps[s].op_type, "Conv") == 0 && profile.steps[s].backward > 0;
    }
    assert_true(profile.backward > 0 && sum > 0);
    assert_int_equal(with_gradient, 21); /* its 19 convolutions and two of shortcuts */
    pare_profile_clear(&profile);
    pare_model_free(model);
    pare_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(session_runs_what_the_model_says),
        cmocka_unit_test(session_ends_its_lists),
        cmocka_unit_test(session_keeps_its_weights),
        cmocka_unit_test(inputs_of_other_precisions_are_single),
        cmocka_unit_test(session_refuses_what_it_cannot_run),
        cmocka_unit_test(session_survives_failed_allocations),
        cmocka_unit_test(images_become_inputs),
        cmocka_unit_test(images_that_do_not_decode_are_refused),
        cmocka_unit_test(masks_are_read_back_as_written),
        cmocka_unit_test(arrays_are_read_back_as_written),
        cmocka_unit_test(archives_hold_all_arrays),
        cmocka_unit_test(damaged_arrays_are_refused),
        cmocka_unit_test(profile_names_fused_steps),
        cmocka_unit_test(profile_of_training_has_gradients),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
