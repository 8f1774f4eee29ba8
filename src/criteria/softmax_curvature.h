/* SPDX-License-Identifier: Apache-2.0 */
/*
 * softmax_curvature.h - the local likelihood of a layer that gives a network's class scores.
 *
 * What reads the scores z is a softmax, p = softmax(z), and the divergence an error d of the scores
 * makes is, to second order, 1/2 d' (diag(p) - p p') d: only differences between classes that are
 * possible at a place count (Kunstner et al. 2019, section 2.2). Where there is one score, p =
 * sigmoid(z) and the weight is p (1 - p).
 */
#ifndef PRI_SOFTMAX_CURVATURE_H
#define PRI_SOFTMAX_CURVATURE_H

#include "engine/engine.h"

/* Whether the node's output channels become the channels (axis 1) of an output of the model,
 * through operators without weights only. */
bool pri_gives_classes(const pri_node *node);
/* Means over images and positions of a tap of class scores: `curvature` (classes x classes) of
 * diag(p) - p p', *energy of z' (diag(p) - p p') z. */
pare_status pri_softmax_curvature(double *curvature, double *energy, pare_context *ctx,
                                  const pri_tap *scores);

#endif
