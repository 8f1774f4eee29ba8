/* SPDX-License-Identifier: Apache-2.0 */
/* piece_rows.h - rows of a piece that are added or change their type; for pieces.c alone. */
#ifndef PRI_PIECE_ROWS_H
#define PRI_PIECE_ROWS_H

#include "kernels/lanes.h"
#include "tensor/tensor.h"

/* `rows` stretches of `count` elements; bytes from one to the next. */
typedef struct pri_piece_rows {
    unsigned char *to;
    const unsigned char *from;
    int64_t to_step, from_step, count, rows;
    pri_dtype to_type, from_type; /* PRI_F32 or PRI_BF16 */
    bool add;                     /* to what is there */
} pri_piece_rows;

typedef struct pri_piece_moves {
    void (*move)(const pri_piece_rows *rows);
} pri_piece_moves;
PRI_DECLARE_TABLE(pri_piece_moves);

#endif
