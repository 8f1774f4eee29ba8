/* SPDX-License-Identifier: Apache-2.0 */
/* scatter.h - what operators that put elements by index share. */
#ifndef PRI_SCATTER_H
#define PRI_SCATTER_H

#include "ops/elements.h"

/* What becomes of an element and its update. */
typedef enum pri_reduction {
    PRI_REPLACE,
    PRI_ADD,
    PRI_MULTIPLY,
    PRI_LARGER,
    PRI_SMALLER
} pri_reduction;

/* Reads the attribute; false when its word is unknown. */
bool pri_scatter_parse(pri_reduction *out, const pri_node *node);
/* Element `at` of `from` meets element `to` of `out`. */
void pri_scatter_put(const pri_operand *out, int64_t to, const pri_operand *from, int64_t at,
                     pri_reduction reduction);
/* Scratch for the gradient of in[0]. Gradients pass through "none" and "add" alone. */
pare_status pri_scatter_prepare(pri_call *call);

#endif
