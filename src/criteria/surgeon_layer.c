/* SPDX-License-Identifier: Apache-2.0 */
/* surgeon_layer.c - see surgeon_layer.h. */
#include "criteria/surgeon_layer.h"

#include <cblas.h>
#include <lapacke.h>
#include <stdlib.h>
#include <string.h>

/* Columns sorted by unit (stable), and the distinct units. */
static pare_status sort_columns(pri_surgeon_layer *layer, const int *unit_of)
{
    const int64_t k = layer->columns;
    int most = 0;

    for (int64_t i = 0; i < k; i++)
        most = unit_of[i] > most ? unit_of[i] : most;
    int64_t *count = pri_alloc(layer->ctx, (size_t)most + 2, sizeof *count);
    if (count == NULL)
        return PARE_ERROR_MEMORY;
    for (int64_t i = 0; i < k; i++)
        count[unit_of[i] + 1]++;
    for (int u = 0; u <= most; u++) {
        if (count[u + 1] > 0) {
            layer->units[layer->n_members] = u;
            layer->start[layer->n_members++] = count[u];
        }
        count[u + 1] += count[u];
    }
    layer->start[layer->n_members] = k;
    for (int64_t i = 0; i < k; i++)
        layer->order[count[unit_of[i]]++] = i;
    pri_free(count);
    return PARE_OK;
}

pare_status pri_surgeon_layer_new(pri_surgeon_layer *layer, pare_context *ctx, int64_t columns,
                                  int64_t outputs, const int *unit_of)
{
    const size_t k = (size_t)columns;

    *layer = (pri_surgeon_layer){.ctx = ctx, .columns = columns, .outputs = outputs, .scale = 1};
    layer->is_diagonal = columns > PRI_SURGEON_MOST_COLUMNS;
    layer->units = pri_alloc(ctx, k, sizeof(int));
    layer->start = pri_alloc(ctx, k + 1, sizeof(int64_t));
    layer->order = pri_alloc(ctx, k, sizeof(int64_t));
    layer->is_gone = pri_alloc(ctx, k, sizeof(bool));
    layer->cost = pri_alloc(ctx, k, sizeof(double));
    layer->weights = pri_alloc(ctx, k, (size_t)outputs * sizeof(double));
    if (layer->units == NULL || layer->start == NULL || layer->order == NULL ||
        layer->is_gone == NULL || layer->cost == NULL || layer->weights == NULL)
        return PARE_ERROR_MEMORY;
    return sort_columns(layer, unit_of);
}

static void set_weights(pri_surgeon_layer *layer, const float *weights, const double *root,
                        double *row)
{
    const int64_t outputs = layer->outputs;

    for (int64_t i = 0; i < layer->columns; i++) {
        double *to = layer->weights + i * outputs;
        for (int64_t o = 0; o < outputs; o++)
            row[o] = weights[layer->order[i] * outputs + o];
        if (root != NULL)
            cblas_dgemv(CblasRowMajor, CblasTrans, (int)outputs, (int)outputs, 1, root,
                        (int)outputs, row, 1, 0, to, 1);
        else
            memcpy(to, row, (size_t)outputs * sizeof *to);
    }
}

static double moment(const float *gram, int64_t n, int64_t i, int64_t j)
{
    return i <= j ? gram[i * n + j] : gram[j * n + i];
}

/* tr(W' C W), C being H about the mean, which the last column of H is. */
static double measure_energy(const pri_surgeon_layer *layer, const double *h, double *hw)
{
    const int n = (int)layer->columns + 1, outputs = (int)layer->outputs;

    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n - 1, outputs, n - 1, 1, h, n,
                layer->weights, outputs, 0, hw, outputs);
    double energy = cblas_ddot((n - 1) * outputs, hw, 1, layer->weights, 1);
    for (int o = 0; o < outputs; o++) {
        const double mean = cblas_ddot(n - 1, h + n - 1, n, layer->weights + o, outputs);
        energy -= mean * mean;
    }
    return energy;
}

static pare_status invert(pri_surgeon_layer *layer, double ridge)
{
    const int64_t n = layer->columns + 1;
    double *h = layer->inverse, mean = 0;

    for (int64_t i = 0; i < n - 1; i++)
        mean += h[i * n + i] / (double)(n - 1);
    for (int64_t i = 0; i < n; i++)
        h[i * n + i] += i < n - 1 ? ridge * mean + 1e-30 : 1e-12;
    if (LAPACKE_dpotrf(LAPACK_ROW_MAJOR, 'U', (int)n, h, (int)n) != 0 ||
        LAPACKE_dpotri(LAPACK_ROW_MAJOR, 'U', (int)n, h, (int)n) != 0)
        return PARE_ERROR_NUMERIC;
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = i + 1; j < n; j++)
            h[j * n + i] = h[i * n + j];
    }
    return PARE_OK;
}

pare_status pri_surgeon_layer_set(pri_surgeon_layer *layer, const float *gram, int64_t rows,
                                  const float *weights, const double *root, double ridge)
{
    const int64_t k = layer->columns, n = k + 1, outputs = layer->outputs;
    double *row = pri_alloc(layer->ctx, (size_t)outputs, sizeof *row);

    if (row == NULL)
        return PARE_ERROR_MEMORY;
    set_weights(layer, weights, root, row);
    pri_free(row);
    double *hw = pri_alloc(layer->ctx, (size_t)k, (size_t)outputs * sizeof *hw);
    layer->inverse = pri_alloc(layer->ctx, (size_t)n, (size_t)n * sizeof(double));
    if (layer->inverse == NULL || hw == NULL) {
        pri_free(hw);
        return PARE_ERROR_MEMORY;
    }
    for (int64_t i = 0; i < n; i++) {
        const int64_t a = i < k ? layer->order[i] : k;
        for (int64_t j = 0; j < n; j++)
            layer->inverse[i * n + j] =
                moment(gram, n, a, j < k ? layer->order[j] : k) / (double)rows;
    }
    layer->energy = measure_energy(layer, layer->inverse, hw);
    pri_free(hw);
    PRI_TRY(invert(layer, ridge));
    return pri_surgeon_layer_price(layer);
}

pare_status pri_surgeon_layer_set_diagonal(pri_surgeon_layer *layer, const double *squares,
                                           int64_t rows, const float *weights, const double *root)
{
    const int64_t outputs = layer->outputs;
    double *row = pri_alloc(layer->ctx, (size_t)outputs, sizeof *row);

    if (row == NULL)
        return PARE_ERROR_MEMORY;
    set_weights(layer, weights, root, row);
    pri_free(row);
    for (int m = 0; m < layer->n_members; m++) {
        layer->cost[m] = 0;
        for (int64_t i = layer->start[m]; i < layer->start[m + 1]; i++) {
            const double *w = layer->weights + i * outputs;
            layer->cost[m] +=
                squares[layer->order[i]] / (double)rows * cblas_ddot((int)outputs, w, 1, w, 1);
        }
        layer->energy += layer->cost[m];
    }
    return PARE_OK;
}

/* inv(H)_qq of a member, and inv(inv(H)_qq) times `rows` (b x width) in place; false when singular.
 */
static bool solve_block(const pri_surgeon_layer *layer, int member, double *block, double *rows,
                        int64_t width)
{
    const int64_t from = layer->start[member], b = layer->start[member + 1] - from;
    const int64_t n = layer->columns + 1;

    for (int64_t i = 0; i < b; i++)
        memcpy(block + i * b, layer->inverse + (from + i) * n + from, (size_t)b * sizeof *block);
    return LAPACKE_dposv(LAPACK_ROW_MAJOR, 'U', (int)b, (int)width, block, (int)b, rows,
                         (int)width) == 0;
}

static int64_t widest(const pri_surgeon_layer *layer)
{
    int64_t most = 0;

    for (int m = 0; m < layer->n_members; m++)
        most = pri_max_i64(most, layer->start[m + 1] - layer->start[m]);
    return most;
}

pare_status pri_surgeon_layer_price(pri_surgeon_layer *layer)
{
    const int64_t outputs = layer->outputs, b = widest(layer);

    if (layer->is_diagonal) {
        for (int m = 0; m < layer->n_members; m++)
            layer->cost[m] = layer->is_gone[m] ? 0 : layer->cost[m];
        return PARE_OK;
    }
    double *block = pri_alloc(layer->ctx, (size_t)b, (size_t)b * sizeof *block);
    double *rows = pri_alloc(layer->ctx, (size_t)b, (size_t)outputs * sizeof *rows);
    if (block == NULL || rows == NULL) {
        pri_free(block);
        pri_free(rows);
        return PARE_ERROR_MEMORY;
    }
    for (int m = 0; m < layer->n_members; m++) {
        const double *own = layer->weights + layer->start[m] * outputs;
        const int64_t count = (layer->start[m + 1] - layer->start[m]) * outputs;
        if (layer->is_gone[m]) {
            layer->cost[m] = 0;
            continue;
        }
        memcpy(rows, own, (size_t)count * sizeof *rows);
        if (solve_block(layer, m, block, rows, outputs)) /* otherwise the last price stands */
            layer->cost[m] = cblas_ddot((int)count, rows, 1, own, 1);
    }
    pri_free(block);
    pri_free(rows);
    return PARE_OK;
}

int pri_surgeon_layer_member(const pri_surgeon_layer *layer, int unit)
{
    int low = 0, high = layer->n_members - 1;

    while (low <= high) {
        const int middle = (low + high) / 2;
        if (layer->units[middle] == unit)
            return middle;
        if (layer->units[middle] < unit)
            low = middle + 1;
        else
            high = middle - 1;
    }
    return -1;
}

pare_status pri_surgeon_layer_remove(pri_surgeon_layer *layer, int member)
{
    const int64_t n = layer->columns + 1, outputs = layer->outputs;
    const int64_t from = layer->start[member], b = layer->start[member + 1] - from;

    layer->is_gone[member] = true;
    if (layer->is_diagonal)
        return PARE_OK;
    double *block = pri_alloc(layer->ctx, (size_t)b, (size_t)b * sizeof *block);
    double *old = pri_alloc(layer->ctx, (size_t)b, (size_t)n * sizeof *old);
    double *solved = pri_alloc(layer->ctx, (size_t)b, (size_t)n * sizeof *solved);
    pare_status status =
        block != NULL && old != NULL && solved != NULL ? PARE_OK : PARE_ERROR_MEMORY;
    if (status == PARE_OK) {
        memcpy(old, layer->inverse + from * n, (size_t)(b * n) * sizeof *old);
        memcpy(solved, old, (size_t)(b * n) * sizeof *solved);
    }
    if (status == PARE_OK && solve_block(layer, member, block, solved, n)) {
        double *own = layer->weights + from * outputs;
        double *rows = pri_alloc(layer->ctx, (size_t)b, (size_t)outputs * sizeof *rows);
        status = rows != NULL ? PARE_OK : PARE_ERROR_MEMORY;
        if (rows != NULL) {
            memcpy(rows, own, (size_t)(b * outputs) * sizeof *rows);
            cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)(n - 1), (int)outputs, (int)b,
                        -1, solved, (int)n, rows, (int)outputs, 1, layer->weights, (int)outputs);
            cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)n, (int)n, (int)b, -1, old,
                        (int)n, solved, (int)n, 1, layer->inverse, (int)n);
            memset(own, 0, (size_t)(b * outputs) * sizeof *own);
        }
        pri_free(rows);
    }
    pri_free(block);
    pri_free(old);
    pri_free(solved);
    return status;
}

void pri_surgeon_layer_clear(pri_surgeon_layer *layer)
{
    pri_free(layer->units);
    pri_free(layer->start);
    pri_free(layer->order);
    pri_free(layer->is_gone);
    pri_free(layer->inverse);
    pri_free(layer->weights);
    pri_free(layer->cost);
    memset(layer, 0, sizeof *layer);
}
