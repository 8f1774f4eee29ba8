/* SPDX-License-Identifier: Apache-2.0 */
/* case_files.c - see case_files.h. */
#include "case_files.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "onnx/onnx_io.h"
#include "onnx/onnx_tensor.h"

bool test_read_pb(pri_tensor **out, pare_context *ctx, const char *folder, const char *what, int k)
{
    char path[640];
    pri_bytes bytes = {0};

    *out = NULL;
    snprintf(path, sizeof path, "%s/test_data_set_0/%s_%d.pb", folder, what, k);
    if (!pri_file_exists(path))
        return false;
    test_ok(ctx, pri_file_read(&bytes, ctx, path));
    Onnx__TensorProto *message = onnx__tensor_proto__unpack(NULL, bytes.size_bytes, bytes.data);
    if (message != NULL)
        (void)pri_onnx_read_tensor(out, ctx, message, NULL);
    if (message != NULL)
        onnx__tensor_proto__free_unpacked(message, NULL);
    pri_bytes_clear(&bytes);
    return *out != NULL;
}

/* Cases of operators that never changed are marked with the first opset that had them; pare starts
 * at 7. */
static void raise_opset(Onnx__ModelProto *model)
{
    for (size_t i = 0; i < model->n_opset_import; i++) {
        Onnx__OperatorSetIdProto *import = model->opset_import[i];
        if ((import->domain == NULL || import->domain[0] == '\0') && import->version < 7)
            import->version = 7;
    }
}

pri_graph *test_read_case(pare_context *ctx, const char *folder)
{
    char path[640];
    pri_bytes file = {0};
    pri_graph *graph = NULL;

    snprintf(path, sizeof path, "%s/model.onnx", folder);
    test_ok(ctx, pri_file_read(&file, ctx, path));
    Onnx__ModelProto *model = onnx__model_proto__unpack(NULL, file.size_bytes, file.data);
    pri_bytes_clear(&file);
    assert_non_null(model);
    raise_opset(model);
    uint8_t *bytes = malloc(onnx__model_proto__get_packed_size(model));
    assert_non_null(bytes);
    const size_t size = onnx__model_proto__pack(model, bytes);
    onnx__model_proto__free_unpacked(model, NULL);
    const pare_status status = pri_onnx_import_bytes(&graph, ctx, bytes, size, folder, NULL);
    free(bytes);
    return status == PARE_OK ? graph : NULL;
}
