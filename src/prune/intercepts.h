/* SPDX-License-Identifier: Apache-2.0 */
/*
 * intercepts.h - a place for what pruning leaves constant.
 *
 * Channels that go take their mean with them. A layer can make up for that in its bias, or in the
 * mean of a normalisation right behind it; where an exporter left out the bias and no normalisation
 * follows, the mean would be lost. Zero biases are therefore given to such layers before anything
 * is analysed, and taken away again where they stayed zero.
 */
#ifndef PRI_INTERCEPTS_H
#define PRI_INTERCEPTS_H

#include "model/model.h"

/* The value that takes an intercept, and its sign there: the node's bias, or the mean of the
 * normalisation that alone reads its output; NULL where there is neither. */
pri_value *pri_intercept_of(const pri_node *node, float *sign);
/* Gives every layer with constant float weights and no place for an intercept a bias of zeros. */
pare_status pri_add_intercepts(pare_model *model);
/* Takes biases that are all zero away from nodes that have none in `original`, a model of the same
 * node ids. */
pare_status pri_drop_intercepts(pare_model *model, const pare_model *original);

#endif
