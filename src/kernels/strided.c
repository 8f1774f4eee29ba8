/* SPDX-License-Identifier: Apache-2.0 */
/* strided.c - loop nests over strided arrays. */
#include "kernels/strided.h"

#include <stdlib.h>
#include <string.h>

enum { CHUNK = 8192 };

static void swap_axes(pri_nest *nest, int a, int b)
{
    const int64_t size = nest->dims[a];

    nest->dims[a] = nest->dims[b];
    nest->dims[b] = size;
    for (int k = 0; k < nest->n; k++) {
        const int64_t stride = nest->strides[k][a];
        nest->strides[k][a] = nest->strides[k][b];
        nest->strides[k][b] = stride;
    }
}

/* Larger strides of the first operand that tells them apart come first. */
static bool comes_before(const pri_nest *nest, int a, int b)
{
    for (int k = 0; k < nest->n; k++) {
        const int64_t x = llabs(nest->strides[k][a]), y = llabs(nest->strides[k][b]);
        if (x != y && x != 0 && y != 0)
            return x > y;
    }
    return a < b;
}

static void sort_axes(pri_nest *nest)
{
    for (int i = 1; i < nest->rank; i++) {
        for (int j = i; j > 0 && !comes_before(nest, j - 1, j); j--)
            swap_axes(nest, j - 1, j);
    }
}

static bool can_merge(const pri_nest *nest, int a)
{
    for (int k = 0; k < nest->n; k++) {
        if (nest->strides[k][a] != nest->strides[k][a + 1] * nest->dims[a + 1])
            return false;
    }
    return true;
}

static void merge_axes(pri_nest *nest)
{
    for (int a = nest->rank - 2; a >= 0; a--) {
        if (!can_merge(nest, a))
            continue;
        nest->dims[a] *= nest->dims[a + 1];
        for (int k = 0; k < nest->n; k++)
            nest->strides[k][a] = nest->strides[k][a + 1];
        for (int b = a + 1; b + 1 < nest->rank; b++) {
            nest->dims[b] = nest->dims[b + 1];
            for (int k = 0; k < nest->n; k++)
                nest->strides[k][b] = nest->strides[k][b + 1];
        }
        nest->rank--;
    }
}

void pri_nest_make(pri_nest *nest, int rank, const int64_t *dims, int n,
                   const int64_t *const *strides)
{
    int64_t outer = 1;

    memset(nest, 0, sizeof *nest);
    nest->n = n;
    for (int a = 0; a < rank; a++) {
        if (dims[a] == 1)
            continue;
        nest->dims[nest->rank] = dims[a];
        for (int k = 0; k < n; k++)
            nest->strides[k][nest->rank] = strides[k][a];
        nest->rank++;
    }
    if (nest->rank == 0) {
        nest->rank = 1;
        nest->dims[0] = 1;
    }
    sort_axes(nest);
    merge_axes(nest);
    for (int a = 0; a + 1 < nest->rank; a++)
        outer *= nest->dims[a];
    const int64_t length = nest->dims[nest->rank - 1];
    nest->chunk = length > CHUNK ? CHUNK : pri_max_i64(length, 1);
    nest->chunks = (length + nest->chunk - 1) / nest->chunk;
    nest->rows = outer * nest->chunks;
}

int64_t pri_nest_row(const pri_nest *nest, int64_t row, int64_t offsets[PRI_NEST_OPERANDS])
{
    const int last = nest->rank - 1;
    const int64_t piece = nest->chunks > 1 ? row % nest->chunks : 0;
    int64_t rest = nest->chunks > 1 ? row / nest->chunks : row;

    for (int k = 0; k < nest->n; k++)
        offsets[k] = piece * nest->chunk * nest->strides[k][last];
    for (int a = last - 1; a >= 0; a--) {
        const int64_t index = rest % nest->dims[a];
        rest /= nest->dims[a];
        for (int k = 0; k < nest->n; k++)
            offsets[k] += index * nest->strides[k][a];
    }
    return pri_min_i64(nest->chunk, nest->dims[last] - piece * nest->chunk);
}

#define COPY_ROW(type)                                                                             \
    do {                                                                                           \
        type *to = (type *)dst + at[0];                                                            \
        const type *from = (const type *)src + at[1];                                              \
        for (int64_t i = 0; i < length; i++)                                                       \
            to[i * step_to] = from[i * step_from];                                                 \
    } while (0)

void pri_nest_copy(const pri_nest *nest, void *dst, const void *src, size_t element_bytes)
{
    const int64_t step_to = nest->strides[0][nest->rank - 1];
    const int64_t step_from = nest->strides[1][nest->rank - 1];

#pragma omp parallel for schedule(static) if (nest->rows * nest->chunk > 32768)
    for (int64_t row = 0; row < nest->rows; row++) {
        int64_t at[PRI_NEST_OPERANDS];
        const int64_t length = pri_nest_row(nest, row, at);
        if (step_to == 1 && step_from == 1) {
            memcpy((char *)dst + (size_t)at[0] * element_bytes,
                   (const char *)src + (size_t)at[1] * element_bytes,
                   (size_t)length * element_bytes);
            continue;
        }
        switch (element_bytes) {
        case 1: COPY_ROW(uint8_t); break;
        case 2: COPY_ROW(uint16_t); break;
        case 4: COPY_ROW(uint32_t); break;
        default: COPY_ROW(uint64_t); break;
        }
    }
}

void pri_nest_add(const pri_nest *nest, float *dst, const float *src, float factor)
{
    const int64_t step_to = nest->strides[0][nest->rank - 1];
    const int64_t step_from = nest->strides[1][nest->rank - 1];
    bool is_alone = true;

    for (int a = 0; a < nest->rank; a++)
        is_alone = is_alone && nest->strides[0][a] != 0;
#pragma omp parallel for schedule(static) if (is_alone && nest->rows * nest->chunk > 32768)
    for (int64_t row = 0; row < nest->rows; row++) {
        int64_t at[PRI_NEST_OPERANDS];
        const int64_t length = pri_nest_row(nest, row, at);
        float *to = dst + at[0];
        const float *from = src + at[1];
        if (step_to == 1 && step_from == 1) {
            for (int64_t i = 0; i < length; i++)
                to[i] += factor * from[i];
        } else if (step_to == 0) {
            double sum = 0;
            for (int64_t i = 0; i < length; i++)
                sum += from[i * step_from];
            *to += factor * (float)sum;
        } else {
            for (int64_t i = 0; i < length; i++)
                to[i * step_to] += factor * from[i * step_from];
        }
    }
}
