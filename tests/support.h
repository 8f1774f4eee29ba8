/* SPDX-License-Identifier: Apache-2.0 */
/* support.h - what every test uses: cmocka in the right order, a context, a temporary folder. */
#ifndef TEST_SUPPORT_H
#define TEST_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base.h"
#include "tensor/tensor.h"

/* A context whose warnings go to stderr; free with pare_context_free. */
pare_context *test_context(void);
/* A group's set-up and teardown: *state is a context. */
int test_setup(void **state);
int test_teardown(void **state);
/* Fails the test with the context's message when status is not PARE_OK. */
void test_ok(pare_context *ctx, pare_status status);
/* A fresh folder below TMPDIR; borrowed until the next call. test_remove_folder deletes it. */
const char *test_folder(void);
void test_remove_folder(const char *path);
/* Path below the shared assets, or NULL (after printing a skip line) where they are absent;
 * borrowed until the next call. */
const char *test_shared(const char *name);
/* PRI_BF16 where the kernels of kernels/vectors take it, else PRI_F32. */
pri_dtype test_narrow_type(void);

#endif
