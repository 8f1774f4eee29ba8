/* SPDX-License-Identifier: Apache-2.0 */
/*
 * strided.h - loops over several arrays of one shape with strides of their own.
 *
 * A nest is the shape with axes of one element dropped, axes sorted by the strides of
 * operand 0 and neighbours merged, cut into rows: what broadcasting, slicing, padding,
 * concatenation and reduction have in common.
 */
#ifndef PRI_STRIDED_H
#define PRI_STRIDED_H

#include "tensor/tensor.h"

enum { PRI_NEST_OPERANDS = 3 };

typedef struct pri_nest {
    int rank; /* >= 1; the last axis is the row */
    int n;    /* operands */
    int64_t dims[PRI_MAX_RANK];
    int64_t strides[PRI_NEST_OPERANDS][PRI_MAX_RANK]; /* elements */
    int64_t chunk;                                    /* elements of a row taken at once */
    int64_t chunks;                                   /* of one row */
    int64_t rows;                                     /* pieces in all: what to loop over */
} pri_nest;

/* strides[k] may hold 0 (repeated) or negative values. */
void pri_nest_make(pri_nest *nest, int rank, const int64_t *dims, int n,
                   const int64_t *const *strides);
/* Where piece `row` starts in each operand; returns its length. The step inside it is
 * nest->strides[k][nest->rank - 1]. */
int64_t pri_nest_row(const pri_nest *nest, int64_t row, int64_t offsets[PRI_NEST_OPERANDS]);

/* dst = src over the nest (operand 0 is dst, 1 is src), elements of 1, 2, 4 or 8 bytes. */
void pri_nest_copy(const pri_nest *nest, void *dst, const void *src, size_t element_bytes);
/* dst += src in float. dst may repeat elements (stride 0): then it runs on one thread. */
void pri_nest_add(const pri_nest *nest, float *dst, const float *src, float factor);

#endif
