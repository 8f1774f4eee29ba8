/* SPDX-License-Identifier: Apache-2.0 */
/* case_files.h - the files of one of ONNX's own test cases. */
#ifndef TEST_CASE_FILES_H
#define TEST_CASE_FILES_H

#include "graph/graph.h"
#include "support.h"

/* Reads folder/test_data_set_0/WHAT_K.pb; false when it is absent or no tensor. */
bool test_read_pb(pri_tensor **out, pare_context *ctx, const char *folder, const char *what, int k);
/* Reads folder/model.onnx; NULL, with the context's message, when pare does not read it. */
pri_graph *test_read_case(pare_context *ctx, const char *folder);

#endif
