/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dnn.h - convolutions through oneDNN.
 *
 * The only header that stands for oneDNN, which only dnn.c and dnn_run.c use; dnn_make.c decides
 * what kernels of our own compute instead, and dnn_api.h keeps what versions 2 and 3 of its C
 * interface do differently. Activations come in the layout stated; weights are packed into the
 * layout oneDNN chooses, once a weights version.
 */
#ifndef PRI_DNN_H
#define PRI_DNN_H

#include "kernels/layout.h"

enum { PRI_MAX_SPATIAL = 3 };

typedef enum pri_post_kind {
    PRI_POST_NONE,
    PRI_POST_RELU,
    PRI_POST_CLIP,
    PRI_POST_SIGMOID,
    PRI_POST_TANH,
    PRI_POST_HARDSWISH,
    PRI_POST_SWISH
} pri_post_kind;

/* dst[n][o][p] = post(sum_k W[o][k] src(n, k, p) + bias[o] (+ dst before)). */
typedef struct pri_conv_problem {
    int spatial; /* 1 to 3 */
    int64_t batch, groups, in_channels, out_channels;
    int64_t in[PRI_MAX_SPATIAL], out[PRI_MAX_SPATIAL], kernel[PRI_MAX_SPATIAL];
    int64_t stride[PRI_MAX_SPATIAL], dilation[PRI_MAX_SPATIAL]; /* 1 = dense */
    int64_t pad_begin[PRI_MAX_SPATIAL], pad_end[PRI_MAX_SPATIAL];
    pri_layout layout;
    bool is_narrow; /* inputs, weights and gradients of outputs are rounded to bfloat16 before they
                       are multiplied; sums are float32. Depthwise: may be multiplied as they are */
    /* with is_narrow, PRI_BF16: inputs, outputs and their gradients are handed in and out so; 0
       stands for PRI_F32 */
    pri_dtype src_type, dst_type;
    bool is_direct;   /* no faster algorithm that rounds more (Winograd) */
    bool may_measure; /* it will run many times: the algorithm may be one that was, or is now,
                         found the fastest (choose.h); otherwise by the rule */
    bool accumulates; /* adds to what dst holds */
    pri_post_kind post;
    float alpha, beta;
} pri_conv_problem;

enum { PRI_CONV_FORWARD = 1, PRI_CONV_BACKWARD_DATA = 2, PRI_CONV_BACKWARD_WEIGHTS = 4 };

/* bf16: direct, what is multiplied rounded to bfloat16. Winograd's is float32. */
typedef enum pri_conv_algorithm {
    PRI_CONV_DIRECT,
    PRI_CONV_WINOGRAD,
    PRI_CONV_BF16
} pri_conv_algorithm;
enum { PRI_CONV_ALGORITHMS = 3 };

typedef struct pri_conv pri_conv;

/* Makes the primitives of the directions asked for (bits), by the algorithm that choose.h says. */
pare_status pri_conv_new(pri_conv **out, pare_context *ctx, const pri_conv_problem *problem,
                         unsigned directions);
void pri_conv_free(pri_conv *conv);
/* By which algorithm it is computed. */
pri_conv_algorithm pri_conv_chosen(const pri_conv *conv);
/* Bytes read and written in one call of each of the directions to stage activations, rounded to
 * bfloat16 for its primitives; 0 where these read the caller's. Weights are not counted. after_data
 * as below. */
int64_t pri_conv_staged_bytes(const pri_conv *conv, unsigned directions, bool after_data);
/* Scratch any call needs, aligned to 64. */
size_t pri_conv_scratch(const pri_conv *conv);
/* Packs plain weights [O][I/groups][kernel...], each output row times scale[o] (NULL: 1), and
 * bias[o] (NULL: 0) as given. weights and scale have to stay until the next pack. `scratch` as
 * above. */
pare_status pri_conv_pack(pri_conv *conv, const float *weights, const float *scale,
                          const float *bias, void *scratch);
/* src, dst and their gradients: elements of the problem's types. */
pare_status pri_conv_forward(pri_conv *conv, const void *src, void *dst, void *scratch);
/* Overwrites diff_src. */
pare_status pri_conv_backward_data(pri_conv *conv, const void *diff_dst, void *diff_src,
                                   void *scratch);
/* Whether it can add to diff_src as well; then pri_conv_add_data does. */
bool pri_conv_adds_data(const pri_conv *conv);
pare_status pri_conv_add_data(pri_conv *conv, const void *diff_dst, void *diff_src, void *scratch);
/* Adds to plain gradients; diff_bias may be NULL. after_data: the call before was
 * pri_conv_backward_data with the same diff_dst and scratch, so that diff_dst need not be staged
 * again. */
pare_status pri_conv_backward_weights(pri_conv *conv, const void *src, const void *diff_dst,
                                      float *diff_weights, float *diff_bias, void *scratch,
                                      bool after_data);

/* Whether oneDNN makes code for AVX2 (with FMA), for AVX-512 (F, BW, VL, DQ). */
bool pri_dnn_has_avx2(void);
bool pri_dnn_has_avx512(void);
/* Whether the processor multiplies bfloat16 by itself (is_narrow would be slow elsewhere), whether
 * it has tiles for it (AMX), and whether it does so clearly faster than float32: with AMX, and with
 * AVX512_BF16 on AMD's processors (measured on Zen 4: 1.6 to 2 times), not on Intel's without AMX.
 */
bool pri_dnn_has_bf16(void);
bool pri_dnn_has_amx(void);
bool pri_dnn_gains_by_bf16(void);
/* "oneDNN 2.6.3" */
const char *pri_dnn_version(void);
/* The instruction set oneDNN makes code for: "avx512_core_bf16". Static. */
const char *pri_dnn_isa(void);

#endif
