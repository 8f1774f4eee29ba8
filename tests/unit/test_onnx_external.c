/* SPDX-License-Identifier: Apache-2.0 */
/* test_onnx_external.c - tensor data in files beside the model, read and written; newer versions.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <onnx/onnx.pb-c.h>

#include "base/file.h"
#include "build.h"
#include "engine/engine.h"
#include "onnx/onnx_io.h"

static char *join(const char *folder, const char *name)
{
    static char paths[4][2048];
    static int next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

/* x -> Conv (3 to 16) -> Conv (16 to 4) -> y; the weights are initialisers 0 and 1. */
static pri_graph *two_layers(pare_context *ctx, pri_dtype dtype)
{
    pri_graph *graph = test_graph(ctx, 17);
    pri_value *x = test_input(graph, "x", 4, (const int64_t[]){1, 3, 6, 6});
    pri_value *w1 = test_weight(graph, 4, (const int64_t[]){16, 3, 3, 3}, 1, 0.3);
    pri_value *w2 = test_weight(graph, 4, (const int64_t[]){4, 16, 3, 3}, 2, 0.3);
    pri_value *h = test_op(graph, "Conv", "", TEST_LIST(x, w1));

    test_output(graph, test_op(graph, "Conv", "", TEST_LIST(h, w2)));
    x->dtype = w1->dtype = w2->dtype = graph->outputs[0]->dtype = dtype;
    return graph;
}

static Onnx__ModelProto *unpacked(const pri_graph *graph)
{
    unsigned char *bytes = NULL;
    size_t size = 0;

    test_ok(graph->ctx, pri_onnx_export_bytes(&bytes, &size, graph));
    Onnx__ModelProto *model = onnx__model_proto__unpack(NULL, size, bytes);
    assert_non_null(model);
    pri_free(bytes);
    return model;
}

static void write_model(pare_context *ctx, Onnx__ModelProto *model, const char *path)
{
    const size_t size = onnx__model_proto__get_packed_size(model);
    unsigned char *bytes = malloc(size);

    assert_non_null(bytes);
    onnx__model_proto__pack(model, bytes);
    test_ok(ctx, pri_file_write(ctx, path, bytes, size, true));
    free(bytes);
}

static void add_entry(Onnx__TensorProto *tensor, const char *key, const char *value)
{
    Onnx__StringStringEntryProto *entry = malloc(sizeof *entry);
    const size_t n = tensor->n_external_data;

    onnx__string_string_entry_proto__init(entry);
    entry->key = strdup(key);
    entry->value = strdup(value);
    tensor->external_data = realloc(tensor->external_data, (n + 1) * sizeof *tensor->external_data);
    tensor->external_data[n] = entry;
    tensor->n_external_data = n + 1;
}

/* Moves the raw data of a tensor to a place in a file, which is written where `folder` is given. */
static void move_out(pare_context *ctx, Onnx__TensorProto *tensor, const char *folder,
                     const char *location, long offset)
{
    char number[32];

    if (folder != NULL) {
        const pri_file_part part = {tensor->raw_data.data, tensor->raw_data.len, offset};
        test_ok(ctx, pri_file_write_parts(ctx, join(folder, location), &part, 1, true));
    }
    add_entry(tensor, "location", location);
    snprintf(number, sizeof number, "%ld", offset);
    add_entry(tensor, "offset", number);
    snprintf(number, sizeof number, "%zu", tensor->raw_data.len);
    add_entry(tensor, "length", number);
    free(tensor->raw_data.data);
    tensor->has_raw_data = 0;
    tensor->raw_data = (ProtobufCBinaryData){0, NULL};
    tensor->has_data_location = 1;
    tensor->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
}

static void assert_same_weights(const pare_model *model, const pri_graph *graph)
{
    for (int n = 0; n < 2; n++) {
        const pri_tensor *a = model->graph->nodes[n]->inputs[1]->constant;
        const pri_tensor *b = graph->nodes[n]->inputs[1]->constant;
        assert_memory_equal(a->data, b->data, (size_t)pri_tensor_count(b) * sizeof(float));
    }
}

static int64_t count_files(pare_context *ctx, const char *folder)
{
    char **names = NULL;
    int64_t count = 0;

    test_ok(ctx, pri_list_directory(&names, &count, ctx, folder));
    pri_names_free(names, count);
    return count;
}

/* Two files, one in a sub-folder, both at an offset; written again as one file beside the model. */
static void test_round_trip(void **state)
{
    pare_context *ctx = test_context();
    const char *folder = strdup(test_folder());
    pri_graph *graph = two_layers(ctx, PRI_F32);
    Onnx__ModelProto *message = unpacked(graph);
    pare_model *model = NULL, *again = NULL;

    (void)state;
    test_ok(ctx, pri_make_directory(ctx, join(folder, "sub")));
    test_ok(ctx, pri_make_directory(ctx, join(folder, "out")));
    move_out(ctx, message->graph->initializer[0], folder, "a.bin", 130);
    move_out(ctx, message->graph->initializer[1], folder, "sub/b.bin", 4096);
    write_model(ctx, message, join(folder, "m.onnx"));
    test_ok(ctx, pare_model_load(&model, ctx, join(folder, "m.onnx")));
    assert_same_weights(model, graph);
    test_ok(ctx, pare_model_save(model, join(folder, "out/m.onnx"), false));
    assert_true(pri_file_exists(join(folder, "out/m.onnx.data")));
    assert_true(pri_file_size(join(folder, "out/m.onnx")) < 1000);
    /* nothing of it depends on the old files */
    assert_int_equal(rename(join(folder, "a.bin"), join(folder, "gone.bin")), 0);
    test_ok(ctx, pare_model_load(&again, ctx, join(folder, "out/m.onnx")));
    assert_same_weights(again, graph);
    /* over itself: the data has a new name, the old file goes with the model that named it */
    test_ok(ctx, pare_model_save(again, join(folder, "out/m.onnx"), true));
    assert_false(pri_file_exists(join(folder, "out/m.onnx.data")));
    assert_true(pri_file_exists(join(folder, "out/m.onnx.1.data")));
    test_ok(ctx, pare_model_save(again, join(folder, "out/m.onnx"), true));
    assert_true(pri_file_exists(join(folder, "out/m.onnx.data")));
    assert_int_equal(count_files(ctx, join(folder, "out")), 2);
    pri_onnx_remove(ctx, join(folder, "out/m.onnx"));
    assert_int_equal(count_files(ctx, join(folder, "out")), 0);
    onnx__model_proto__free_unpacked(message, NULL);
    pare_model_free(model);
    pare_model_free(again);
    pri_graph_free(graph);
    pare_context_free(ctx);
    test_remove_folder(folder);
    free((void *)(uintptr_t)folder);
}

/* A data file of the name pare would choose, but not of pare, may be another model's too. */
static void test_foreign_data_stays(void **state)
{
    pare_context *ctx = test_context();
    const char *folder = strdup(test_folder());
    pri_graph *graph = two_layers(ctx, PRI_F32);
    Onnx__ModelProto *message = unpacked(graph);
    pare_model *model = NULL, *other = NULL;

    (void)state;
    move_out(ctx, message->graph->initializer[0], folder, "m.onnx.data", 0);
    write_model(ctx, message, join(folder, "m.onnx"));
    write_model(ctx, message, join(folder, "other.onnx"));
    test_ok(ctx, pare_model_load(&model, ctx, join(folder, "m.onnx")));
    test_ok(ctx, pare_model_save(model, join(folder, "m.onnx"), true));
    test_ok(ctx, pare_model_load(&other, ctx, join(folder, "other.onnx")));
    assert_same_weights(other, graph);
    assert_int_equal(count_files(ctx, folder), 4);
    /* a model of one file replaces a split one with its data */
    pare_model *alone = test_model(graph);
    test_ok(ctx, pare_model_save(alone, join(folder, "m.onnx"), true));
    assert_false(pri_file_exists(join(folder, "m.onnx.1.data")));
    assert_int_equal(count_files(ctx, folder), 3);
    pri_onnx_remove(ctx, join(folder, "other.onnx"));
    pri_onnx_remove(ctx, join(folder, "m.onnx"));
    assert_int_equal(count_files(ctx, folder), 1);
    onnx__model_proto__free_unpacked(message, NULL);
    pare_model_free(model);
    pare_model_free(other);
    pare_model_free(alone);
    pare_context_free(ctx);
    test_remove_folder(folder);
    free((void *)(uintptr_t)folder);
}

/* A save that fails leaves nothing behind. */
static void test_failed_save(void **state)
{
    pare_context *ctx = test_context();
    const char *folder = strdup(test_folder());
    pri_graph *graph = two_layers(ctx, PRI_F32);
    Onnx__ModelProto *message = unpacked(graph);
    pare_model *model = NULL;

    (void)state;
    test_ok(ctx, pri_make_directory(ctx, join(folder, "out")));
    test_ok(ctx, pri_make_directory(ctx, join(folder, "out/m.onnx")));
    move_out(ctx, message->graph->initializer[0], folder, "a.bin", 0);
    write_model(ctx, message, join(folder, "m.onnx"));
    test_ok(ctx, pare_model_load(&model, ctx, join(folder, "m.onnx")));
    assert_int_equal(pare_model_save(model, join(folder, "out/m.onnx"), true), PARE_ERROR_FILE);
    assert_int_equal(count_files(ctx, join(folder, "out")), 1);
    assert_int_equal(pare_model_save(model, join(folder, "out/m.onnx"), false), PARE_ERROR_EXISTS);
    onnx__model_proto__free_unpacked(message, NULL);
    pare_model_free(model);
    pri_graph_free(graph);
    pare_context_free(ctx);
    test_remove_folder(folder);
    free((void *)(uintptr_t)folder);
}

typedef struct refusal {
    const char *location;
    long offset;
    pare_status status;
    const char *says;
} refusal;

static void test_refusals(void **state)
{
    static const refusal cases[] = {
        {"../outside.bin", 0, PARE_ERROR_FORMAT, "not inside the model's folder"},
        {"/etc/passwd", 0, PARE_ERROR_FORMAT, "not inside the model's folder"},
        {"sub/../../outside.bin", 0, PARE_ERROR_FORMAT, "not inside the model's folder"},
        {"link.bin", 0, PARE_ERROR_FORMAT, "not inside the model's folder"},
        {"none.bin", 0, PARE_ERROR_FILE, "is missing"},
        {"short.bin", 0, PARE_ERROR_FORMAT, "ends before"},
        {"", 0, PARE_ERROR_FORMAT, "has no location"},
        {"short.bin", -5, PARE_ERROR_FORMAT, "is no number"},
    };
    const char *base = strdup(test_folder());
    char folder[1024];

    (void)state;
    snprintf(folder, sizeof folder, "%s/model", base);
    for (size_t i = 0; i < PRI_COUNT(cases); i++) {
        pare_context *ctx = test_context();
        pri_graph *graph = two_layers(ctx, PRI_F32);
        Onnx__ModelProto *message = unpacked(graph);
        pare_model *model = NULL;
        unsigned char zeros[4096] = {0};
        test_ok(ctx, pri_make_directory(ctx, folder));
        test_ok(ctx, pri_make_directory(ctx, join(folder, "sub")));
        test_ok(ctx, pri_file_write(ctx, join(base, "outside.bin"), zeros, sizeof zeros, true));
        test_ok(ctx, pri_file_write(ctx, join(folder, "short.bin"), zeros, 100, true));
        (void)!symlink("../outside.bin", join(folder, "link.bin"));
        move_out(ctx, message->graph->initializer[0], NULL, cases[i].location, cases[i].offset);
        write_model(ctx, message, join(folder, "m.onnx"));
        assert_int_equal(pare_model_load(&model, ctx, join(folder, "m.onnx")), cases[i].status);
        assert_non_null(strstr(pare_context_message(ctx), cases[i].says));
        assert_null(model);
        onnx__model_proto__free_unpacked(message, NULL);
        pri_graph_free(graph);
        pare_context_free(ctx);
    }
    test_remove_folder(base);
    free((void *)(uintptr_t)base);
}

/* What is computed in another type is carried byte by byte, also when it lay outside. */
static void test_double_outside(void **state)
{
    pare_context *ctx = test_context();
    const char *folder = strdup(test_folder());
    pri_graph *graph = two_layers(ctx, PRI_F64);
    Onnx__ModelProto *message = unpacked(graph);
    Onnx__TensorProto *tensor = message->graph->initializer[0];
    pare_model *model = NULL;
    pri_bytes bytes = {0};

    (void)state;
    const double fine = 0.1;
    memcpy(tensor->raw_data.data, &fine, sizeof fine);
    move_out(ctx, tensor, folder, "a.bin", 0);
    write_model(ctx, message, join(folder, "m.onnx"));
    test_ok(ctx, pare_model_load(&model, ctx, join(folder, "m.onnx")));
    test_ok(ctx, pare_model_save(model, join(folder, "n.onnx"), false));
    assert_true(pri_file_size(join(folder, "n.onnx")) < 1000);
    test_ok(ctx, pri_file_read(&bytes, ctx, join(folder, "n.onnx.data")));
    bool has_fine = false;
    for (size_t i = 0; i + sizeof fine <= bytes.size_bytes; i++)
        has_fine = has_fine || memcmp(bytes.data + i, &fine, sizeof fine) == 0;
    assert_true(has_fine);
    pri_bytes_clear(&bytes);
    onnx__model_proto__free_unpacked(message, NULL);
    pare_model_free(model);
    pri_graph_free(graph);
    pare_context_free(ctx);
    test_remove_folder(folder);
    free((void *)(uintptr_t)folder);
}

/* 2.2 GB of weights in a sparse file: more than a single ONNX file can hold. */
static void test_large(void **state)
{
    enum { ROWS = 2300, COLUMNS = 250000 };
    const int64_t bytes = (int64_t)ROWS * COLUMNS * 4;
    struct statvfs disk;

    (void)state;
    if (getenv("PARE_LONG") == NULL) {
        fprintf(stderr, "skipped: a model over 2 GB (set PARE_LONG=1)\n");
        return;
    }
    const char *folder = strdup(test_folder());
    assert_int_equal(statvfs(folder, &disk), 0);
    if ((double)disk.f_bavail * (double)disk.f_frsize < 8e9) {
        fprintf(stderr, "skipped: a model over 2 GB (no space)\n");
    } else {
        pare_context *ctx = test_context();
        pri_graph *graph = test_graph(ctx, 17);
        pare_model *model = NULL, *again = NULL;
        pri_value *x = test_input(graph, "x", 2, (const int64_t[]){1, ROWS});
        pri_value *w = test_weight(graph, 2, (const int64_t[]){1, 1}, 1, 1);
        test_output(graph, test_op(graph, "MatMul", "", TEST_LIST(x, w)));
        Onnx__ModelProto *message = unpacked(graph);
        Onnx__TensorProto *tensor = message->graph->initializer[0];
        move_out(ctx, tensor, folder, "w.bin", 0);
        tensor->dims[0] = ROWS;
        tensor->dims[1] = COLUMNS;
        char length[32];
        snprintf(length, sizeof length, "%lld", (long long)bytes);
        free(tensor->external_data[2]->value);
        tensor->external_data[2]->value = strdup(length);
        assert_int_equal(truncate(join(folder, "w.bin"), bytes), 0);
        write_model(ctx, message, join(folder, "m.onnx"));
        test_ok(ctx, pare_model_load(&model, ctx, join(folder, "m.onnx")));
        test_ok(ctx, pare_model_save(model, join(folder, "n.onnx"), false));
        pare_model_free(model);
        assert_true(pri_file_size(join(folder, "n.onnx.data")) == bytes);
        test_ok(ctx, pare_model_load(&again, ctx, join(folder, "n.onnx")));
        pare_model_free(again);
        onnx__model_proto__free_unpacked(message, NULL);
        pri_graph_free(graph);
        pare_context_free(ctx);
    }
    test_remove_folder(folder);
    free((void *)(uintptr_t)folder);
}

/* A newer opset, a newer IR version and foreign domains load, are written as they are, and do not
 * run. */
static void test_newer_versions(void **state)
{
    static const char *const domains[] = {"com.example", ""};

    (void)state;
    for (int i = 0; i < 2; i++) {
        pare_context *ctx = pare_context_new(&ctx) == PARE_OK ? ctx : NULL;
        pri_graph *graph = test_graph(ctx, 17);
        pri_value *x = test_input(graph, "x", 4, (const int64_t[]){1, 3, 6, 6});
        pri_value *y = test_op(graph, "Relu", "", TEST_LIST(x));
        test_output(graph, y);
        y->producer->domain = domains[i];
        graph->opset = i == 0 ? 17 : 23;
        graph->ir_version = i == 0 ? 8 : 12;
        unsigned char *first = NULL, *second = NULL;
        size_t n_first = 0, n_second = 0;
        pare_model *model = NULL;
        pri_engine *engine = NULL;
        test_ok(ctx, pri_onnx_export_bytes(&first, &n_first, graph));
        test_ok(ctx, pare_model_parse(&model, ctx, first, n_first));
        test_ok(ctx, pri_onnx_export_bytes(&second, &n_second, model->graph));
        assert_int_equal(n_first, n_second);
        assert_memory_equal(first, second, n_first);
        assert_int_equal(pri_engine_new(&engine, model, &(pri_engine_options){0}),
                         PARE_ERROR_UNSUPPORTED);
        assert_non_null(strstr(pare_context_message(ctx), "is not supported in opset"));
        pri_free(first);
        pri_free(second);
        pare_model_free(model);
        pri_graph_free(graph);
        pare_context_free(ctx);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_round_trip),
                                       cmocka_unit_test(test_failed_save),
                                       cmocka_unit_test(test_foreign_data_stays),
                                       cmocka_unit_test(test_refusals),
                                       cmocka_unit_test(test_double_outside),
                                       cmocka_unit_test(test_newer_versions),
                                       cmocka_unit_test(test_large)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
