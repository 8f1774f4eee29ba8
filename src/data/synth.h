/* SPDX-License-Identifier: Apache-2.0 */
/*
 * synth.h - made images: which shapes there are, and how one image is drawn.
 *
 * An image is a function of seed, split, number, size and difficulty alone, so images can be drawn
 * in any order and by any number of threads.
 */
#ifndef PRI_SYNTH_H
#define PRI_SYNTH_H

#include "base/base.h"

/* Written first into the folder of a set; the set is complete when every split has its labels.tsv,
 * which are written last. */
#define PRI_SYNTH_RECIPE "synth.txt"
/* A path that begins like this is no file: its images are drawn where they are asked for. */
#define PRI_SYNTH_SCHEME "synth:"

enum { PRI_SYNTH_CLASSES = 10, PRI_SYNTH_BAR = PRI_SYNTH_CLASSES, PRI_SYNTH_BLOB };

const char *pri_synth_name(int kind); /* "disc", "ring", ... */
/* Whether a point lies in a shape (0 .. 9, or PRI_SYNTH_BAR, a rectangle that is no class) of
 * radius about 1 round the origin; y points down. */
bool pri_synth_is_inside(int kind, double x, double y);

typedef struct pri_synth_job {
    uint64_t seed;
    int split; /* 0 train, 1 val, 2 test */
    int64_t number;
    int64_t size;
    double difficulty; /* 0 .. 1 */
    int label;
} pri_synth_job;

/* Draws size x size RGB pixels and the mask: 0, or 1 + label where the shape is seen. `work` holds
 * pri_synth_work(size) floats. */
void pri_synth_draw(uint8_t *pixels, uint8_t *mask, float *work, const pri_synth_job *job);
int64_t pri_synth_work(int64_t size);

/* Whether every split in the folder of a set has its list. */
bool pri_synth_is_complete(pare_context *ctx, const char *directory);

#endif
