/* SPDX-License-Identifier: Apache-2.0 */
/* dnn_conv.h - the inside of a convolution, shared by dnn.c, dnn_make.c and dnn_run.c. */
#ifndef PRI_DNN_CONV_H
#define PRI_DNN_CONV_H

#include "kernels/amx_weights.h"
#include "kernels/depthwise.h"
#include "kernels/dnn.h"
#include "kernels/dnn_api.h"
#include "kernels/gathered.h"
#include "kernels/pointwise_product.h"
#include "kernels/pointwise_weights.h"
#include "kernels/winograd.h"

/* One direction: its primitive and the memories it works on. */
typedef struct pri_dnn_direction {
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t primitive;
    dnnl_memory_t a, b;          /* activations; their handles are set at each call */
    dnnl_memory_t weights, bias; /* packed and owned (forward, data) or in scratch (weights) */
    dnnl_memory_t scratchpad;
    size_t scratch_bytes, weights_bytes;
    dnnl_primitive_t reorder; /* plain <-> packed weights; NULL when they are the same */
} pri_dnn_direction;

/* Activations of one side. Primitives work on the caller's, unless they read bfloat16 where these
 * are floats: then a rounded copy is staged in scratch. */
typedef struct pri_dnn_side {
    memory_desc read_md, write_md; /* as primitives read and write */
    int64_t count;                 /* elements */
    bool is_staged;
    size_t staged_bytes; /* in scratch */
} pri_dnn_side;

struct pri_conv {
    pare_context *ctx;
    pri_conv_problem problem;
    int64_t weight_count, row_count; /* elements in all, of one output channel */
    pri_dnn_side src, dst;
    memory_desc read_weights, weights_any, bias; /* packed for reading, gradients of them */
    memory_desc plain;                           /* weights as ONNX has them */
    dnnl_dims_t stride, dilation, pad_begin, pad_end;
    dnnl_memory_t plain_memory;
    pri_dnn_direction forward, data, weights;
    pri_winograd *winograd; /* runs the directions of winograd_directions; or NULL */
    unsigned winograd_directions;
    pri_amx_weights *amx_weights;   /* runs the gradients of weights; or NULL */
    pri_depthwise *depthwise;       /* runs all directions; or NULL */
    pri_pointwise_product *product; /* runs the ways forwards and to the inputs; or NULL */
    bool has_pointwise_weights;     /* gradients of weights by pointwise_weights.h */
    pri_gathered *gathered;         /* runs the directions of gathered_directions; or NULL */
    unsigned gathered_directions;
    size_t scratch_bytes;
};

static inline size_t pri_dnn_round_up(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

/* Scratch is what the direction that needs most takes. */
static inline void pri_conv_need(pri_conv *conv, size_t bytes)
{
    if (bytes > conv->scratch_bytes)
        conv->scratch_bytes = bytes;
}

/* pri_conv_new by a given algorithm, which may not be able to: an error then. */
pare_status pri_conv_make(pri_conv **out, pare_context *ctx, const pri_conv_problem *problem,
                          unsigned directions, pri_conv_algorithm algorithm);

/* --- dnn.c --- */

/* Before anything else of oneDNN. */
pare_status pri_dnn_start(pare_context *ctx);
/* oneDNN's status as one of pare's, with a message. */
pare_status pri_dnn_check(pare_context *ctx, dnnl_status_t status, const char *what);
/* The stream everything runs in. */
dnnl_stream_t pri_dnn_stream(void);
/* Shapes of a convolution some direction of which works on what pri_dnn_side says; then the
 * primitives of `directions`. training: gradients will be asked for, of whomever. */
pare_status pri_dnn_describe(pri_conv *conv);
pare_status pri_dnn_build(pri_conv *conv, unsigned directions, bool training);
/* What of the two is there. */
void pri_dnn_clear(pri_conv *conv);

#endif
