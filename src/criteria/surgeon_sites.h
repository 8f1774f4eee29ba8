/* SPDX-License-Identifier: Apache-2.0 */
/* surgeon_sites.h - the layers that read prunable units, measured on the calibration images. */
#ifndef PRI_SURGEON_SITES_H
#define PRI_SURGEON_SITES_H

#include "criteria/criteria.h"
#include "criteria/surgeon_layer.h"

typedef struct pri_surgeon_site {
    const pri_consumer *consumer;
    int record;         /* followed axis of the input */
    int first, n_layers; /* one layer a group of the convolution */
    double *curvature;  /* n_layers x outputs x outputs, or NULL */
    int64_t outputs;
    bool is_image;      /* outputs are axis 1 of what the node gives */
} pri_surgeon_site;

typedef struct pri_surgeon {
    const pri_scoring *asked;
    const pri_groups *groups;
    pri_surgeon_site *sites;
    int n_sites;
    pri_surgeon_layer *layers;
    int n_layers;
} pri_surgeon;

/* Finds the layers of the model and measures input moments and, with `by_outputs`, the curvature of
 * what they give. Clear it also after a failure. */
pare_status pri_surgeon_open(pri_surgeon *surgeon, const pri_scoring *scoring, bool by_outputs);
void pri_surgeon_close(pri_surgeon *surgeon);

#endif
