/* SPDX-License-Identifier: Apache-2.0 */
/*
 * roofline.h - what the machine can do at best, measured.
 *
 * The two limits of the roofline model (Williams, Waterman, Patterson 2009): how fast numbers that
 * are at hand can be multiplied and added, and how fast memory gives and takes them.
 */
#ifndef PRI_ROOFLINE_H
#define PRI_ROOFLINE_H

#include "base/base.h"

typedef struct pri_roofline {
    double macs;  /* multiply-accumulates a second: the best of two dense convolutions of many
                     channels whose operands fit into a cache */
    double bytes; /* a second, read and written: sums of two arrays far larger than caches */
} pri_roofline;

/* With the context's threads; bf16: numbers multiplied are bfloat16. Takes about half a second and
 * 200 MB; on more than one thread it is right only if nothing else runs. */
pare_status pri_measure_roofline(pri_roofline *out, pare_context *ctx, bool bf16);

#endif
