/* SPDX-License-Identifier: Apache-2.0 */
/* inspect_view.h - the ways `pare inspect` shows a model. */
#ifndef PARE_INSPECT_VIEW_H
#define PARE_INSPECT_VIEW_H

#include "cli.h"

/* The table of layers (with `all`, every node), totals and reasons. */
void inspect_print_layers(const pare_model *model, const pare_inspection *in,
                          const pare_costs *costs, bool all);
void inspect_print_groups(const pare_inspection *in);
/* Which group a node is in and what stands in the way; false when there is no such node. */
bool inspect_print_why(const pare_inspection *in, const char *name);
/* The graph in Graphviz's language; nodes of a group share a colour. */
void inspect_print_dot(const pare_inspection *in);
json_t *inspect_json(const pare_model *model, const pare_inspection *in, const pare_costs *costs);

/* "1x16x32x32", "?" when unknown, into text. */
enum { INSPECT_SHAPE_TEXT = 192 };
char *inspect_shape(char text[INSPECT_SHAPE_TEXT], int rank, const int64_t *dims);

#endif
