/* SPDX-License-Identifier: Apache-2.0 */
/*
 * amx_tile.h - the parts of amx_weights.c: how positions are laid out, how activations are packed
 * so, how packed ones are multiplied. Shared by the amx_*.c files alone.
 *
 * Rows of all images stand one below the other, PITCH positions each, those of the gradient of
 * outputs (dy) and those of inputs (x) at the same places, with so many zeros between rows and
 * between images that a tap's x is found at a fixed distance from its dy, across all borders. A
 * strided x is taken apart into one image for each phase (row and column modulo the stride). A
 * strip of rows is packed and multiplied at a time.
 *
 * dy is packed [block of 16 channels][step][16 channels][32 positions]; x as pairs of positions,
 * [block of 16 channels][copy][pair][16 channels][2], once with pairs that begin at even positions
 * and once at odd ones, where a phase needs both: a step of any tap then reads 16 whole lines.
 */
#ifndef PRI_AMX_TILE_H
#define PRI_AMX_TILE_H

#include "kernels/dnn.h"

enum { PRI_AMX_CHANNELS = 16, PRI_AMX_STEP = 32, PRI_AMX_TILE = 1024 /* bytes */ };
enum { PRI_AMX_KERNEL = 7, PRI_AMX_STRIDE = 4, PRI_AMX_TAPS = PRI_AMX_KERNEL * PRI_AMX_KERNEL };
enum { PRI_AMX_COPIES = 2 * PRI_AMX_STRIDE * PRI_AMX_STRIDE, PRI_AMX_BLOCKS = 16 };
/* Tiles of sums in one product. */
enum { PRI_AMX_SUMS = 5 };

/* One image of a phase in pairs that begin at positions of this parity. */
typedef struct pri_amx_copy {
    int64_t phase[2];
    int64_t parity;
} pri_amx_copy;

typedef struct pri_amx_tap {
    int copy;
    int64_t offset; /* bytes from a step's dy to its x */
} pri_amx_tap;

typedef struct pri_amx_shape {
    int64_t in_channels, out_channels, in_blocks, out_blocks;
    int64_t src[2], dst[2], stride[2]; /* rows and columns of an image */
    int64_t src_pixels, dst_pixels;    /* of all images; the last row may be short */
    int64_t low[2], high[2];           /* least and greatest shift of a tap, in positions */
    int64_t filled[2];                 /* rows and columns of a phase that taps read */
    int64_t pitch, image_rows, rows;   /* positions of a row; rows of an image, of all */
    bool by_row;                       /* steps end with their row: these are whole steps long */
    int taps, copies;
    pri_amx_tap tap[PRI_AMX_TAPS];
    pri_amx_copy copy[PRI_AMX_COPIES];
    int64_t strip_rows, strips, blocks;     /* sums are kept for each block of strips */
    int64_t strip_steps, chunk, copy_bytes; /* chunk: steps of one product */
} pri_amx_shape;

void pri_amx_lay_out(pri_amx_shape *s, const pri_conv_problem *problem);
/* Of one strip: packed dy, packed x. */
int64_t pri_amx_dy_bytes(const pri_amx_shape *s);
int64_t pri_amx_x_bytes(const pri_amx_shape *s);
int64_t pri_amx_steps(const pri_amx_shape *s, int64_t rows);
/* Bytes from the first step's x to that of step k. */
int64_t pri_amx_step_offset(const pri_amx_shape *s, int64_t k);

/* Rows of a strip, and of which blocks of outputs. */
typedef struct pri_amx_strip {
    int64_t first, rows;
    int64_t out_begin, out_end;
} pri_amx_strip;

void pri_amx_pack_dy(unsigned char *to, const pri_amx_shape *s, const uint16_t *dy,
                     const pri_amx_strip *strip);
void pri_amx_pack_x(unsigned char *to, const pri_amx_shape *s, const uint16_t *x,
                    const pri_amx_strip *strip);

/* Whether the processor has all this and the system has allowed it; asks the system once. */
bool pri_amx_runs(void);
/* Around products, on each thread. */
void pri_amx_begin(void);
void pri_amx_end(void);

/* sums[k] += of all steps, dy x: either one dy and `count` x, or `count` dy and one x. */
typedef struct pri_amx_product {
    int count;
    bool has_one_dy, begins; /* begins: sums hold nothing yet */
    const unsigned char *dy[PRI_AMX_SUMS], *x[PRI_AMX_SUMS];
    float *sums[PRI_AMX_SUMS]; /* 16 x 16: [output][input] */
    const int32_t *offsets;    /* of x, of each step; those of dy are PRI_AMX_TILE apart */
    int64_t steps;
} pri_amx_product;

void pri_amx_multiply(const pri_amx_product *p);
/* sums[o] += of all positions of a block of 16 channels of packed dy. */
void pri_amx_sum(float *sums, const unsigned char *dy, int64_t steps);

#endif
