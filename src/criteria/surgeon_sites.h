/* SPDX-License-Identifier: Apache-2.0 */
/* surgeon_sites.h - the layers that read prunable units, measured on the calibration images. */
#ifndef PRI_SURGEON_SITES_H
#define PRI_SURGEON_SITES_H

#include "criteria/criteria.h"
#include "criteria/surgeon_layer.h"

typedef struct pri_surgeon_site {
    const pri_consumer *consumer;
    int record;          /* followed axis of the input */
    int first, n_layers; /* one layer a group of the convolution */
    double
        *curvature; /* n_layers x outputs x outputs: square root of the outputs' weight, or NULL */
    double energy;  /* how much the sum varies the outputs go into; 0: unknown, their own counts */
    int64_t outputs;
    bool is_image; /* outputs are axis 1 of what the node gives */
} pri_surgeon_site;

typedef struct pri_surgeon {
    const pri_scoring *asked;
    const pri_groups *groups;
    bool by_outputs;
    pri_surgeon_site *sites;
    int n_sites;
    pri_surgeon_layer *layers;
    int n_layers;
} pri_surgeon;

/* Finds the layers of the model and measures the moments of their inputs and how their outputs
 * count: with `by_outputs` by the curvature of the network's outputs; otherwise as the next layer
 * sees them, behind the normalisation and relative to how much the sum varies they go into; class
 * scores as a softmax sees them. Clear it also after a failure. */
pare_status pri_surgeon_open(pri_surgeon *surgeon, const pri_scoring *scoring, bool by_outputs);
void pri_surgeon_close(pri_surgeon *surgeon);

/* --- Between the files of the surgeon --- */

/* Bytes of activations a pass may use. */
#define PRI_SURGEON_BYTES 2e9
/* Cholesky factor R of each of a site's curvatures (R R' = G / count, lower), in its place. */
pare_status pri_site_factor(const pri_surgeon *surgeon, const pri_surgeon_site *site, double count);
/* surgeon_local.c: sets curvature and energy of all sites from the layers' own outputs. */
pare_status pri_sites_measure_local(pri_surgeon *surgeon);

#endif
