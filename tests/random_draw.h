/* SPDX-License-Identifier: Apache-2.0 */
/* random_draw.h - what the files of random_graph.h share: a drawing in progress, layers, blocks. */
#ifndef TEST_RANDOM_DRAW_H
#define TEST_RANDOM_DRAW_H

#include "build.h"

typedef struct random_drawing {
    pri_graph *graph;
    uint64_t seed, n; /* n: numbers drawn */
    bool is_open;     /* the batch dimension is */
} random_drawing;

typedef struct random_map {
    pri_value *value;
    int64_t c, h, w;
} random_map;

/* --- random_layers.c --- */

/* Below `bound`. */
int64_t random_draw(random_drawing *d, int64_t bound);
bool random_flip(random_drawing *d);
/* Normal numbers, scaled for layers of `fan_in` inputs. */
pri_value *random_weight(random_drawing *d, int rank, const int64_t *dims, int64_t fan_in);
/* Numbers round 1, for scales, slopes and variances. */
pri_value *random_near_one(random_drawing *d, int rank, const int64_t *dims);
pri_value *random_ints(random_drawing *d, int count, const int64_t *values);
/* A divisor of n. */
int64_t random_divisor(random_drawing *d, int64_t n);
/* A number of channels. */
int64_t random_width(random_drawing *d);
random_map random_conv(random_drawing *d, random_map x, int64_t out, int64_t kernel, int64_t stride,
                       int64_t groups);
random_map random_batch_norm(random_drawing *d, random_map x);
random_map random_activation(random_drawing *d, random_map x);
/* Convolution, perhaps a normalisation, an activation. */
random_map random_layer(random_drawing *d, random_map x, int64_t out);
pri_value *random_concat(random_drawing *d, const char *axis, int n, pri_value *const *in);
/* A part of the channels by Slice. */
random_map random_slice(random_drawing *d, random_map x, int64_t from, int64_t to);
/* Splits the channels in two by Split. */
void random_split(random_drawing *d, random_map x, int64_t first, bool is_stated,
                  random_map out[2]);
pri_value *random_reshape(random_drawing *d, pri_value *x, int count, const int64_t *dims);
/* ReduceMean as the opset states it. */
pri_value *random_mean(random_drawing *d, pri_value *x, int count, const int64_t *axes, bool keeps);
pri_value *random_pooled(random_drawing *d, random_map x);
pri_value *random_gemm(random_drawing *d, pri_value *x, int64_t in, int64_t out);
pri_value *random_matmul(random_drawing *d, pri_value *x, int64_t in, int64_t out);
/* An operator of two inputs, either way round. */
pri_value *random_two(random_drawing *d, const char *op, pri_value *a, pri_value *b);

/* --- Blocks: a feature map in, another one out --- */

typedef struct random_block {
    const char *name;
    random_map (*draw)(random_drawing *d, random_map x);
} random_block;

random_map random_plain(random_drawing *d, random_map x);
random_map random_resize(random_drawing *d, random_map x);
/* The blocks of random_blocks.c, random_moves.c, random_gates.c and random_norms.c; return their
 * number. */
int random_layer_blocks(const random_block **out);
int random_move_blocks(const random_block **out);
int random_gate_blocks(const random_block **out);
int random_norm_blocks(const random_block **out);

#endif
