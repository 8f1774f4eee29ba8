/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_external.h - tensor data in files beside the model (only within src/onnx). */
#ifndef PRI_ONNX_EXTERNAL_H
#define PRI_ONNX_EXTERNAL_H

#include <limits.h>

#include <onnx/onnx.pb-c.h>

#include "base/arena.h"
#include "base/file.h"

bool pri_onnx_is_external(const Onnx__TensorProto *message);

typedef struct pri_onnx_place {
    char path[PATH_MAX];
    int64_t offset, size_bytes;
} pri_onnx_place;

/* Where the data of an external tensor lies: a file in `folder` or below it (NULL: refused) that
 * holds at least the stated range. `size_bytes` is what the tensor needs, -1 where only the file
 * knows. */
pare_status pri_onnx_find_place(pri_onnx_place *out, pare_context *ctx,
                                const Onnx__TensorProto *message, const char *folder,
                                int64_t size_bytes);
/* Reads external data into the message wherever export would hand the message on as it is: all but
 * top-level initialisers that are computed with in the file's type. *has_external: there was any.
 */
pare_status pri_onnx_take_inside(bool *has_external, pare_context *ctx, Onnx__ModelProto *model,
                                 const char *folder);

/* A file beside a model, made while the model is written. */
typedef struct pri_onnx_external {
    pare_context *ctx;
    char *location; /* its name, without a folder; owned, as are the parts */
    pri_file_part *parts;
    int n_parts, capacity;
    int64_t size_bytes;
} pri_onnx_external;

/* Chooses a name that is free: "<name of path>.data", or with a number. */
pare_status pri_onnx_external_init(pri_onnx_external *external, pare_context *ctx,
                                   const char *path);
void pri_onnx_external_clear(pri_onnx_external *external);
/* Lets a message refer to the file instead of holding its raw data, unless that is small. */
pare_status pri_onnx_move_outside(pri_onnx_external *external, pri_arena *arena,
                                  Onnx__TensorProto *message);
/* The path of the file beside `path`; the caller's (pri_free). */
char *pri_onnx_external_path(const pri_onnx_external *external, const char *path);
/* The metadata in which a model names the data file that pare wrote with it: that file goes when
 * the model is replaced, all others may be read by other models too. */
#define PRI_ONNX_DATA_KEY "pare.data"
/* The data file that pare wrote for the model at `path`, NULL when there is none; the caller's. */
char *pri_onnx_old_external(pare_context *ctx, const char *path);

#endif
