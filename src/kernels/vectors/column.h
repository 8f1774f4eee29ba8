/* SPDX-License-Identifier: Apache-2.0 */
/* column.h - short stretches of elements that are added or change their type, for pieces.c. */
#ifndef PRI_COLUMN_H
#define PRI_COLUMN_H

#include "kernels/lanes.h"
#include "tensor/tensor.h"

/* `rows` stretches of `count` elements; bytes from one to the next. */
typedef struct pri_column {
    unsigned char *to;
    const unsigned char *from;
    int64_t to_step, from_step, count, rows;
    pri_dtype to_type, from_type; /* PRI_F32 or PRI_BF16 */
    bool add;                     /* to what is there */
} pri_column;

typedef struct pri_columns {
    void (*move)(const pri_column *column);
} pri_columns;
PRI_TABLES(pri_columns);

#endif
