/* SPDX-License-Identifier: Apache-2.0 */
/* run_input.h - what --input of `pare run` names: images, or an array for each input. */
#ifndef PARE_RUN_INPUT_H
#define PARE_RUN_INPUT_H

#include "cli.h"

/* The file of "[NAME=]FILE". */
const char *run_file_of(const char *input);
bool run_is_array(const char *input);
/* Reads the arrays, gives the model their shapes and opens a session that holds them. Every input
 * takes one array; half and double precision become single, which is what pare computes in.
 * EXIT_FAILED after a message, otherwise 0; *out is the caller's. */
int run_open_arrays(pare_session **out, pare_context *ctx, pare_model *model,
                    const cli_list *inputs);

#endif
