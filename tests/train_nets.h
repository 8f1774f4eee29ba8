/* SPDX-License-Identifier: Apache-2.0 */
/* train_nets.h - small networks, images and runs that the tests of training share. */
#ifndef TEST_TRAIN_NETS_H
#define TEST_TRAIN_NETS_H

#include "support.h"

#include <pare/pare.h>

#include "data/data.h"
#include "model/model.h"

enum { SIZE = 8, CLASSES = 4, IMAGES = 64 };

/* --- Networks --- */

/* A graph with the input x, N x 3 x SIZE x SIZE. */
pri_graph *train_graph(pare_context *ctx, pri_value **x);
/* Normal numbers that depend on the name. */
pri_value *train_weight(pri_graph *graph, const char *name, int rank, const int64_t *dims,
                        double mean, double deviation);
pri_value *train_node(pri_graph *graph, const char *type, int n, pri_value *const *inputs,
                      const char *output);
/* 3x3, same size, without bias. */
pri_value *train_convolution(pri_graph *graph, pri_value *x, const char *name, int64_t in,
                             int64_t out);
/* BatchNormalization and Relu; statistics may be handed in. */
pri_value *train_normalise(pri_graph *graph, pri_value *x, const char *name, int64_t channels,
                           pri_value *mean, pri_value *variance);
pare_model *train_finish(pri_graph *graph, pri_value *output, int rank, int64_t classes);
/* conv - bn - relu, twice, then mean, Gemm and perhaps Softmax. With `shared`, both normalisations
 * read the same statistics through Identity nodes, as exporters write them. */
pare_model *train_network(pare_context *ctx, int64_t channels, bool softmax, bool shared);
void assert_same_weights(const pare_model *a, const pare_model *b, bool same);

/* --- Images --- */

/* Class k: a quarter of the image in a colour of its own; the mask marks it. */
pare_data *train_images(pare_context *ctx, int64_t count, uint64_t seed, bool masks);

/* --- Runs --- */

typedef struct train_watch {
    double first_loss, last_loss;
    int epochs, best;
    const char *copy_from, *copy_to; /* checkpoint kept after epoch 1, as if killed later */
    pare_context *ctx;
} train_watch;
void train_on_epoch(void *user, const pare_epoch *epoch);

extern const pare_train_options train_basic;
/* Trains a fresh small network on IMAGES images; fails the test when that fails, unless `status`
 * takes the result. */
pare_model *train_small_run(pare_context *ctx, const pare_train_options *options,
                            pare_status *status);
/* Training with these options must end with `expected` and a message that has `word`. */
void train_assert_refused(pare_context *ctx, const pare_train_options *options,
                          pare_status expected, const char *word);

#endif
