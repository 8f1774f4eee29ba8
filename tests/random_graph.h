/* SPDX-License-Identifier: Apache-2.0 */
/* random_graph.h - convolutional networks drawn from a seed, for property tests. */
#ifndef TEST_RANDOM_GRAPH_H
#define TEST_RANDOM_GRAPH_H

#include "build.h"

/* A model of a few blocks and one or two heads; the same seed gives the same model. Names of the
 * blocks drawn are written to `text`, for messages. */
pare_model *test_random_model(pare_context *ctx, uint64_t seed, char *text, size_t text_size);

#endif
