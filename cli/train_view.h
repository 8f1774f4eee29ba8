/* SPDX-License-Identifier: Apache-2.0 */
/* train_view.h - what a training came to, for its reader. */
#ifndef PARE_CLI_TRAIN_VIEW_H
#define PARE_CLI_TRAIN_VIEW_H

#include "cli.h"

/* As text or, with --json, as a document; `out` is the file written, trims whether images could be
 * left out. The exit code. */
int train_print(const pare_train_result *result, const char *out, bool trims, int64_t seed,
                const pare_costs *costs);

#endif
