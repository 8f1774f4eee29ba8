/* SPDX-License-Identifier: Apache-2.0 */
/* npz.h - reads NumPy archives (zip of .npy), for comparing with stored outputs. */
#ifndef TEST_NPZ_H
#define TEST_NPZ_H

#include "base/file.h"
#include "tensor/tensor.h"

typedef struct test_npz {
    pare_context *ctx;
    pri_bytes file;
} test_npz;

pare_status test_npz_open(test_npz *out, pare_context *ctx, const char *path);
void test_npz_close(test_npz *npz);
/* The array `name` (uint8, int64 or float32, C order); *out is NULL when there is none. */
pare_status test_npz_read(pri_tensor **out, const test_npz *npz, const char *name);

#endif
