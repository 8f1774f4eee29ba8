/* SPDX-License-Identifier: Apache-2.0 */
/* blobs.h - made images that can be learned, networks for them, and what a pruning did to one. */
#ifndef TEST_BLOBS_H
#define TEST_BLOBS_H

#include "support.h"

#include <pare/pare.h>

/* Gray 16x16 images of blobs whose place tells one of four classes, with structure between pixels.
 */
pare_data *test_blobs(pare_context *ctx, int64_t count, uint64_t seed);
/* A fresh network of the catalog for them. */
pare_model *test_network(pare_context *ctx, const char *name);
/* Mean squared difference of the first outputs of two models on images. */
double test_output_error(pare_context *ctx, pare_model *a, pare_model *b, const pare_data *data);
/* What is left of a quantity, 0 .. 1. */
double test_achieved(const pare_prune_result *r, pare_quantity quantity);

#endif
