/* SPDX-License-Identifier: Apache-2.0 */
/* gram.h - second moments of a layer's inputs: the Hessian of its least-squares problem. */
#ifndef PRI_GRAM_H
#define PRI_GRAM_H

#include "data/data.h"
#include "engine/engine.h"

/* Fills an engine's first input with images from, from + 1, ... of a set (the last again where it
 * ends). */
pare_status pri_fill_input(pri_engine *engine, const pare_data *data,
                           const pri_preprocess *preprocess, int64_t from);

/* A layer that can be fitted: a product with constant weights nobody else reads. */
bool pri_is_fittable(const pri_call *call, pri_product *product);

/* The call of a step with its operands as they are now. */
pare_status pri_step_call(pri_call *call, pri_operand *in, pri_operand *out,
                          const pri_engine *engine, const pare_model *model, int step);

/* What a layer should give: `data` (the output's shape, in `layout`). Where the output is added to
 * a shortcut, behind a normalisation or not, the shortcut may be off already: the layer is then
 * asked to give data + (original_shortcut - shortcut) * scale[c], 1 / scale being what the output
 * is multiplied by on its way to the sum. */
typedef struct pri_wanted {
    const float *data;
    pri_layout layout;
    const float *shortcut, *original_shortcut; /* or NULL */
    pri_layout shortcut_layout, original_layout;
    const float *scale; /* by output channel, or NULL: 1 */
} pri_wanted;

/* Sums over rows of one group of a layer: gram (K+1 x K+1, upper triangle; the last row and column
 * belong to a constant 1) and, with `wanted`, cross (K+1 x outputs) = A' (wanted - given). At most
 * `max_rows` rows, in runs spread over the whole set, are read; `rows` says how many. */
typedef struct pri_gram {
    int64_t size; /* K + 1 */
    int64_t outputs;
    int64_t rows;
    float *gram, *cross;
} pri_gram;
pare_status pri_gram_make(pri_gram *gram, const pri_call *call, const pri_product *product,
                          int group, const pri_wanted *wanted, int64_t max_rows);
/* Sums of squares of each column over at most `max_rows` rows, for layers too wide for a gram. */
pare_status pri_column_squares(double *squares, int64_t *rows, const pri_call *call,
                               const pri_product *product, int group, int64_t max_rows);
void pri_gram_clear(pri_gram *gram);
/* The ridge for a problem of so many rows, as a share of the mean of the moments' diagonal: 1e-3,
 * and more where there are few rows for the columns, since least squares would then fit what is
 * chance. */
double pri_ridge(int64_t rows, int64_t columns);

#endif
