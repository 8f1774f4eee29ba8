/* SPDX-License-Identifier: Apache-2.0 */
/* build.h - small graphs for tests, stated in few words. Everything fails the test when it fails.
 */
#ifndef TEST_BUILD_H
#define TEST_BUILD_H

#include "model/model.h"
#include "support.h"

/* A graph of this opset of ai.onnx; give it to test_model. */
pri_graph *test_graph(pare_context *ctx, int opset);
/* A float input of the graph. */
pri_value *test_input(pri_graph *graph, const char *name, int rank, const int64_t *dims);
/* Initialisers: int64 of one axis, float of one axis, normal float numbers times `scale`. */
pri_value *test_ints(pri_graph *graph, int count, const int64_t *values);
pri_value *test_floats(pri_graph *graph, int count, const float *values);
pri_value *test_weight(pri_graph *graph, int rank, const int64_t *dims, uint64_t seed,
                       double scale);
/* A node with attributes stated as "name=3 name=0.5f name=[1,2] name=text", ints unless marked. */
pri_node *test_node(pri_graph *graph, const char *op_type, const char *attributes, int n_in,
                    pri_value *const *in, int n_out, pri_value *const *out);
/* The same with one new output, which it returns. */
pri_value *test_op(pri_graph *graph, const char *op_type, const char *attributes, int n_in,
                   pri_value *const *in);
void test_output(pri_graph *graph, pri_value *value);
pare_model *test_model(pri_graph *graph);

#define TEST_LIST(...)                                                                             \
    (int)(sizeof((pri_value *[]){__VA_ARGS__}) / sizeof(pri_value *)), (pri_value *[])             \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

#endif
