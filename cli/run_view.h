/* SPDX-License-Identifier: Apache-2.0 */
/* run_view.h - outputs of a run as people read them: best classes, masks. */
#ifndef PARE_RUN_VIEW_H
#define PARE_RUN_VIEW_H

#include "cli.h"

/* Instead of the number of a row: the output has none for each image, all of it is meant. */
enum { PARE_RUN_WHOLE = -1 };

/* Prints what row `row` of an output says: the `top` best classes of a class head, the share of
 * each class of a mask head, otherwise the range. */
void run_print_row(const pare_tensor *output, int64_t row, int64_t top);
/* The same as JSON; NULL: out of memory. */
json_t *run_row_json(const pare_tensor *output, int64_t row, int64_t top);
/* The class of each pixel of row 0 of a mask head, new (free); NULL when the output is none, its
 * classes do not fit into bytes, or memory is short. */
uint8_t *run_mask_of(const pare_tensor *output, int64_t *height, int64_t *width);

#endif
