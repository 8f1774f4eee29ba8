/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net.h - a network under construction, written as a chain of layers.
 *
 * Every layer takes the feature map before it and returns the one it makes. The first failure
 * is kept in `status`; from then on layers do nothing, so that a builder reads as a list of
 * layers and its caller checks once.
 */
#ifndef PRI_NET_H
#define PRI_NET_H

#include "graph/graph.h"

typedef struct pri_net {
    pri_graph *graph;
    pare_status status; /* of the first failure */
    uint64_t seed;
    uint64_t n_random; /* weights drawn so far: each has a stream of its own */
    int64_t classes, channels, height, width;
    const char *next_value; /* what the next layer's value is called; NULL: as the layer */
    pri_value *zero, *six;  /* bounds of Relu6, made when first needed */
} pri_net;

/* A value with its shape: batch x channels x height x width, or batch x channels when flat. */
typedef struct pri_feature {
    pri_value *value;
    int64_t channels, height, width;
    bool is_flat;
} pri_feature;

/* A convolution; zero stands for: kernel 1, stride 1, groups 1. */
typedef struct pri_conv_spec {
    int64_t outputs, kernel, stride, padding, groups;
    bool has_bias;
    bool is_last; /* logits: no rectifier follows, so the gain is 1 instead of sqrt 2 */
} pri_conv_spec;

typedef enum pri_rectifier { PRI_NO_RECTIFIER, PRI_RELU, PRI_RELU6 } pri_rectifier;

/* A name made from a format, in the graph's arena; "" once something failed. */
const char *pri_net_name(pri_net *net, const char *format, ...) PARE_PRINTF(2, 3);

pri_feature pri_net_input(pri_net *net);
/* Weights "NAME.weight" (outputs x inputs / groups x k x k), "NAME.bias". */
pri_feature pri_net_conv(pri_net *net, pri_feature x, const char *name, const pri_conv_spec *spec);
/* Doubles height and width: kernel 2, stride 2, with a bias. */
pri_feature pri_net_up(pri_net *net, pri_feature x, const char *name, int64_t outputs,
                       bool is_last);
/* Normalisation with "NAME.weight", .bias, .running_mean, .running_var. */
pri_feature pri_net_norm(pri_net *net, pri_feature x, const char *name);
pri_feature pri_net_rectify(pri_net *net, pri_feature x, const char *name, pri_rectifier kind);
/* Convolution, normalisation, rectifier. */
pri_feature pri_net_conv_norm(pri_net *net, pri_feature x, const char *conv, const char *norm,
                              const pri_conv_spec *spec, pri_rectifier kind);
pri_feature pri_net_add(pri_net *net, pri_feature a, pri_feature b, const char *name);
pri_feature pri_net_concat(pri_net *net, pri_feature a, pri_feature b, const char *name);
pri_feature pri_net_max_pool(pri_net *net, pri_feature x, const char *name, int64_t kernel,
                             int64_t stride, int64_t padding);
pri_feature pri_net_global_pool(pri_net *net, pri_feature x, const char *name);
pri_feature pri_net_flatten(pri_net *net, pri_feature x, const char *name);
/* Gemm with "NAME.weight" (outputs x inputs) and "NAME.bias" on a flat feature. */
pri_feature pri_net_dense(pri_net *net, pri_feature x, const char *name, int64_t outputs,
                          bool is_last);
/* Global pooling, flattening, `classes` logits by the layer `name`: the output "scores". */
void pri_net_class_head(pri_net *net, pri_feature x, const char *name);
/* Makes the feature an output of the network. */
void pri_net_output(pri_net *net, pri_feature x);

#endif
