/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pieces.h - rows that are cut into pieces, each in an array of its own: concatenation, splitting
 * and their gradients.
 *
 * Channels-last activations that are joined along channels have rows of a few dozen bytes, as many
 * as there are positions. Some thousand bytes of rows at a time stay in the first cache while all
 * of their pieces move, so that each array is read or written once.
 */
#ifndef PRI_PIECES_H
#define PRI_PIECES_H

#include "tensor/tensor.h"

typedef struct pri_piece {
    void *data;      /* rows one after another; NULL: is skipped */
    int64_t count;   /* elements of a row */
    pri_dtype dtype; /* that of the whole, or both of PRI_F32 and PRI_BF16 */
    bool add;        /* to what is there (floats), instead of writing it */
} pri_piece;

/* Rows of `whole`, the pieces in order, from the pieces. */
void pri_pieces_join(void *whole, pri_dtype dtype, const pri_piece *pieces, int n, int64_t rows);
/* The way back: pieces from rows of `whole`. */
void pri_pieces_split(const void *whole, pri_dtype dtype, const pri_piece *pieces, int n,
                      int64_t rows);

#endif
