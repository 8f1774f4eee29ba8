/* SPDX-License-Identifier: Apache-2.0 */
/*
 * surgeon_layer.h - one layer's least-squares problem, and what it costs to take inputs away.
 *
 * With second moments H of the inputs (a constant 1 included, so that the bias adapts too) and
 * weights W, removing the columns q while all others adapt costs tr(W_q' (inv(H)_qq)^-1 W_q); the
 * others become W - inv(H)_:q (inv(H)_qq)^-1 W_q and inv(H) loses the same columns (Hassibi, Stork
 * 1993, for blocks; Frantar, Alistarh 2022, eq. 3, 4). Weights are kept multiplied by the square
 * root of the outputs' curvature, so the cost is that of a Kronecker-factored Hessian (Martens,
 * Grosse 2015).
 */
#ifndef PRI_SURGEON_LAYER_H
#define PRI_SURGEON_LAYER_H

#include "base/base.h"

typedef struct pri_surgeon_layer {
    pare_context *ctx;
    int64_t columns, outputs;
    int n_members;    /* units that feed this layer ... */
    int *units;       /* ... ascending */
    int64_t *start;   /* n_members + 1: columns of member m are order[start[m] .. start[m+1]-1] */
    int64_t *order;   /* the layer's columns, sorted by unit */
    bool *is_gone;    /* by member */
    double *inverse;  /* (columns + 1)^2, columns as in `order`, the constant last */
    double *weights;  /* columns x outputs */
    double *cost;     /* by member, current */
    double scale;     /* costs are multiplied by this */
    double energy;    /* how much the outputs varied before anything went, summed */
    bool is_diagonal; /* too wide for moments: set_diagonal is to be used, nothing compensates */
} pri_surgeon_layer;

enum { PRI_SURGEON_MOST_COLUMNS = 6000 };

/* Memory for a layer whose columns belong to unit_of[k]. */
pare_status pri_surgeon_layer_new(pri_surgeon_layer *layer, pare_context *ctx, int64_t columns,
                                  int64_t outputs, const int *unit_of);
/* Takes in `gram` (upper triangle, columns + 1 square, of `rows` rows) and weights (columns x
 * outputs), multiplied from the right by `root` (outputs square, or NULL); `ridge` times the mean
 * of the diagonal is added to the moments. PARE_ERROR_NUMERIC when the moments cannot be inverted.
 */
pare_status pri_surgeon_layer_set(pri_surgeon_layer *layer, const float *gram, int64_t rows,
                                  const float *weights, const double *root, double ridge);
/* The same for a wide layer from each column's sum of squares: cost = tr(W_q' diag(H_qq) W_q). */
pare_status pri_surgeon_layer_set_diagonal(pri_surgeon_layer *layer, const double *squares,
                                           int64_t rows, const float *weights, const double *root);
/* Costs of all members anew. */
pare_status pri_surgeon_layer_price(pri_surgeon_layer *layer);
/* Index of a unit among the members, or -1. */
int pri_surgeon_layer_member(const pri_surgeon_layer *layer, int unit);
/* Takes a member's columns away and lets the others adapt; costs are stale afterwards. */
pare_status pri_surgeon_layer_remove(pri_surgeon_layer *layer, int member);
void pri_surgeon_layer_clear(pri_surgeon_layer *layer);

#endif
