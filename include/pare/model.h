/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model.h - load, look at and save a network.
 *
 * A model is an ONNX graph with its weights. Everything pare does not change
 * (unknown operators, attributes, doc strings, names) is written back as read.
 */
#ifndef PARE_MODEL_H
#define PARE_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pare/context.h>

enum { PARE_MAX_RANK = 8 };

typedef struct pare_model pare_model;

/* Reads an ONNX file (opset from 7, IR from 3, external data beside it). Unknown operators and
 * newer versions (opset above 21) load and are kept; running them is refused later. *out is the
 * caller's: pare_model_free. */
PARE_API PARE_NODISCARD pare_status pare_model_load(pare_model **out, pare_context *ctx,
                                                    const char *path);
/* The same from memory; external data is refused. */
PARE_API PARE_NODISCARD pare_status pare_model_parse(pare_model **out, pare_context *ctx,
                                                     const void *bytes, size_t size_bytes);
/* Writes beside `path` and renames. Data that came from files beside the model, or is too large for
 * one file, goes to "<path>.data". Without `replace` an existing file is PARE_ERROR_EXISTS. */
PARE_API PARE_NODISCARD pare_status pare_model_save(const pare_model *model, const char *path,
                                                    bool replace);
/* A copy that shares weights until one of the two is changed. */
PARE_API PARE_NODISCARD pare_status pare_model_clone(pare_model **out, const pare_model *model);
PARE_API void pare_model_free(pare_model *model); /* NULL is fine */

/* A fresh network by name ("resnet20", see pare_architecture_name), He-initialised from `seed`. The
 * batch dimension is dynamic. `channels, height, width` describe the input image. */
PARE_API PARE_NODISCARD pare_status pare_model_new(pare_model **out, pare_context *ctx,
                                                   const char *architecture, int64_t classes,
                                                   int64_t channels, int64_t height, int64_t width,
                                                   uint64_t seed);
/* Name and one-line summary of architecture `index`; NULL past the last. */
PARE_API const char *pare_architecture_name(int index);
PARE_API const char *pare_architecture_summary(int index);

/* Metadata of the file (key/value); NULL when absent; borrowed until the model changes. Setting
 * NULL removes a key. */
PARE_API const char *pare_model_metadata(const pare_model *model, const char *key);
PARE_API PARE_NODISCARD pare_status pare_model_set_metadata(pare_model *model, const char *key,
                                                            const char *value);

/* Costs of one sample (batch dimension 1) at the declared input size. */
typedef struct pare_costs {
    int64_t parameters;       /* elements of float weights the outputs depend on */
    int64_t macs;             /* multiply-accumulates of convolutions and matrix products */
    int64_t channels;         /* output channels of prunable layers (Conv, Gemm, MatMul...) */
    int64_t bytes;            /* bytes of the ONNX file if saved now */
    int64_t activation_bytes; /* peak of pare's inference engine, batch 1 */
} pare_costs;
PARE_API PARE_NODISCARD pare_status pare_model_costs(const pare_model *model, pare_costs *out);

/* Shape of input or output `index` as declared; a dynamic dimension is -1. Returns the rank,
 * -1 when there is no such input or no shape. */
PARE_API int pare_model_input_shape(const pare_model *model, int index,
                                    int64_t dims[PARE_MAX_RANK]);
PARE_API int pare_model_output_shape(const pare_model *model, int index,
                                     int64_t dims[PARE_MAX_RANK]);
PARE_API const char *pare_model_input_name(const pare_model *model, int index);  /* or NULL */
PARE_API const char *pare_model_output_name(const pare_model *model, int index); /* or NULL */
/* Name the file gives a dimension that it leaves open ("batch", "height"); NULL without one. */
PARE_API const char *pare_model_input_symbol(const pare_model *model, int index, int axis);
/* Fixes the dynamic (or changes the declared) dimensions of input `index` before running;
 * dimensions of other inputs that have the same name in the file become the same. */
PARE_API PARE_NODISCARD pare_status pare_model_set_input_shape(pare_model *model, int index,
                                                               int rank, const int64_t *dims);
/* The same in words: "[NAME:]1x3x224x224", several with commas; without a name, of the first input.
 * PARE_ERROR_ARGUMENT where that is no shape, PARE_ERROR_SHAPE where it does not fit the model. */
PARE_API PARE_NODISCARD pare_status pare_model_set_inputs(pare_model *model, const char *shapes);

#endif
