/* SPDX-License-Identifier: Apache-2.0 */
/*
 * einsum_run.c - runs an Einsum, as matrix products where it is one.
 *
 * Two inputs whose letters are all of four kinds (in both and in the result; in one and in the
 * result, each way; in both and summed) are copied into [batch][m][k] and [batch][k][n],
 * multiplied, and copied out. Everything else is a loop over all letters.
 */
#include <cblas.h>
#include <string.h>

#include "kernels/strided.h"
#include "ops/einsum.h"
#include "ops/elements.h"

/* --- Strides --- */

/* What one step of each letter is in a tensor whose axes have these letters. */
static void letter_strides(const pri_einsum *e, const pri_shape *shape, const int *letters,
                           int64_t strides[PRI_EINSUM_LETTERS])
{
    int64_t natural[PRI_MAX_RANK];

    pri_shape_strides(natural, shape);
    memset(strides, 0, PRI_EINSUM_LETTERS * sizeof *strides);
    for (int a = 0; a < shape->rank; a++) {
        if (shape->dims[a] == e->size[letters[a]])
            strides[letters[a]] += natural[a];
    }
}

/* --- Matrix products --- */

typedef struct matrices {
    int n[4], letters[4][PRI_EINSUM_LETTERS]; /* batch, m, n, k */
    int64_t size[4];
} matrices;

enum { BATCH, ROWS, COLUMNS, SUMMED };

static bool find_matrices(matrices *m, const pri_einsum *e, const pri_call *call)
{
    *m = (matrices){.size = {1, 1, 1, 1}};
    if (call->n_in != 2)
        return false;
    for (int letter = 0; letter < e->n_letters; letter++) {
        const bool a = pri_einsum_reads(e, call, 0, letter);
        const bool b = pri_einsum_reads(e, call, 1, letter), out = pri_einsum_gives(e, letter);
        if (!out && !(a && b))
            return false;
        const int kind = !out ? SUMMED : a && b ? BATCH : a ? ROWS : COLUMNS;
        m->letters[kind][m->n[kind]++] = letter;
        m->size[kind] *= e->size[letter];
    }
    for (int kind = 0; kind < 4; kind++) {
        if (m->size[kind] > INT32_MAX)
            return false;
    }
    return m->n[BATCH] + m->n[ROWS] + m->n[SUMMED] <= PRI_MAX_RANK &&
           m->n[BATCH] + m->n[COLUMNS] + m->n[SUMMED] <= PRI_MAX_RANK &&
           m->n[BATCH] + m->n[ROWS] + m->n[COLUMNS] <= PRI_MAX_RANK;
}

/* The nest between a tensor and its packed form, whose letters are of the kinds first, second,
 * third; operand 0 is the packed one, or the tensor when `outwards`. */
static void pack_nest(pri_nest *nest, const pri_einsum *e, const matrices *m, const int kinds[3],
                      const int64_t *strides, bool outwards)
{
    int64_t dims[PRI_MAX_RANK], packed[PRI_MAX_RANK], loose[PRI_MAX_RANK], step = 1;
    int rank = 0;

    for (int part = 0; part < 3; part++) {
        for (int i = 0; i < m->n[kinds[part]]; i++) {
            const int letter = m->letters[kinds[part]][i];
            dims[rank] = e->size[letter];
            loose[rank++] = strides[letter];
        }
    }
    for (int a = rank - 1; a >= 0; a--) {
        packed[a] = step;
        step *= dims[a];
    }
    const int64_t *const both[2] = {outwards ? loose : packed, outwards ? packed : loose};
    pri_nest_make(nest, rank, dims, 2, both);
}

static const int kinds_of[3][3] = {
    {BATCH, ROWS, SUMMED}, {BATCH, SUMMED, COLUMNS}, {BATCH, ROWS, COLUMNS}};

/* Packed operand `which` (0, 1 inputs, 2 output) in scratch, and how many elements it has. */
static int64_t packed_count(const matrices *m, int which)
{
    const int *kinds = kinds_of[which];

    return m->size[kinds[0]] * m->size[kinds[1]] * m->size[kinds[2]];
}

static float *packed_at(const pri_call *call, const matrices *m, int which)
{
    float *at = call->scratch;

    for (int k = 0; k < which; k++)
        at += (packed_count(m, k) + 15) / 16 * 16;
    return at;
}

static void pack(const pri_call *call, const pri_einsum *e, const matrices *m, int which,
                 const float *from)
{
    const pri_shape *shape = which < 2 ? &call->in[which].shape : &call->out[0].shape;
    const int *letters = which < 2 ? e->of_in[which] : e->of_out;
    int64_t strides[PRI_EINSUM_LETTERS];
    pri_nest nest;

    letter_strides(e, shape, letters, strides);
    pack_nest(&nest, e, m, kinds_of[which], strides, false);
    pri_nest_copy(&nest, packed_at(call, m, which), from, sizeof(float));
}

static void unpack(const pri_call *call, const pri_einsum *e, const matrices *m, int which,
                   float *to, bool adds)
{
    const pri_shape *shape = which < 2 ? &call->in[which].shape : &call->out[0].shape;
    const int *letters = which < 2 ? e->of_in[which] : e->of_out;
    int64_t strides[PRI_EINSUM_LETTERS];
    pri_nest nest;

    letter_strides(e, shape, letters, strides);
    pack_nest(&nest, e, m, kinds_of[which], strides, true);
    if (adds)
        pri_nest_add(&nest, to, packed_at(call, m, which), 1.0f);
    else
        pri_nest_copy(&nest, to, packed_at(call, m, which), sizeof(float));
}

static bool is_empty(const matrices *m)
{
    return m->size[0] * m->size[1] * m->size[2] * m->size[3] == 0;
}

static void multiply(const pri_call *call, const pri_einsum *e, const matrices *m)
{
    const int rows = (int)m->size[ROWS], columns = (int)m->size[COLUMNS];
    const int summed = (int)m->size[SUMMED];
    const float *a = packed_at(call, m, 0), *b = packed_at(call, m, 1);
    float *y = packed_at(call, m, 2);

    pack(call, e, m, 0, call->in[0].data);
    pack(call, e, m, 1, call->in[1].data);
    for (int64_t i = 0; i < m->size[BATCH]; i++)
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, columns, summed, 1.0f,
                    a + i * rows * summed, summed, b + i * summed * columns, columns, 0.0f,
                    y + i * rows * columns, columns);
    unpack(call, e, m, 2, call->out[0].data, false);
}

/* dA = dY B', dB = A' dY, each in place of the operand it belongs to. */
static void multiply_back(const pri_call *call, const pri_einsum *e, const matrices *m)
{
    const int rows = (int)m->size[ROWS], columns = (int)m->size[COLUMNS];
    const int summed = (int)m->size[SUMMED];
    float *a = packed_at(call, m, 0), *b = packed_at(call, m, 1);
    const float *g = packed_at(call, m, 2);

    pack(call, e, m, 2, call->grad_out[0]);
    for (int k = 0; k < 2; k++) {
        if (call->grad_in[k] == NULL)
            continue;
        pack(call, e, m, 1 - k, call->in[1 - k].data);
        for (int64_t i = 0; i < m->size[BATCH]; i++) {
            float *at_a = a + i * rows * summed, *at_b = b + i * summed * columns;
            const float *at_g = g + i * rows * columns;
            if (k == 0)
                cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, summed, columns, 1.0f,
                            at_g, columns, at_b, columns, 0.0f, at_a, summed);
            else
                cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, summed, columns, rows, 1.0f,
                            at_a, summed, at_g, columns, 0.0f, at_b, columns);
        }
        unpack(call, e, m, k, call->grad_in[k], true);
    }
}

/* --- Everything else --- */

typedef struct loop {
    int n;
    int64_t count, dims[PRI_EINSUM_LETTERS];
    int64_t strides[PRI_EINSUM_INPUTS + 1][PRI_EINSUM_LETTERS]; /* the output's last */
} loop;

static void make_loop(loop *l, const pri_einsum *e, const pri_call *call)
{
    *l = (loop){.n = e->n_letters, .count = 1};
    memcpy(l->dims, e->size, sizeof l->dims);
    for (int i = 0; i < l->n; i++)
        l->count *= l->dims[i];
    for (int k = 0; k < call->n_in; k++)
        letter_strides(e, &call->in[k].shape, e->of_in[k], l->strides[k]);
    letter_strides(e, &call->out[0].shape, e->of_out, l->strides[call->n_in]);
}

static void offsets_of(const loop *l, int n, int64_t index, int64_t *offsets)
{
    memset(offsets, 0, (size_t)n * sizeof *offsets);
    for (int i = l->n - 1; i >= 0; i--) {
        const int64_t at = index % l->dims[i];
        index /= l->dims[i];
        for (int k = 0; k < n; k++)
            offsets[k] += at * l->strides[k][i];
    }
}

static void run_loop(const pri_call *call, const pri_einsum *e)
{
    float *y = call->out[0].data;
    int64_t at[PRI_EINSUM_INPUTS + 1];
    loop l;

    make_loop(&l, e, call);
    memset(y, 0, (size_t)pri_shape_count(&call->out[0].shape) * sizeof *y);
    for (int64_t i = 0; i < l.count; i++) {
        float product = 1;
        offsets_of(&l, call->n_in + 1, i, at);
        for (int k = 0; k < call->n_in; k++)
            product *= ((const float *)call->in[k].data)[at[k]];
        y[at[call->n_in]] += product;
    }
}

static void run_any(const pri_call *call, const pri_einsum *e)
{
    const int64_t n = pri_shape_count(&call->out[0].shape);
    int64_t at[PRI_EINSUM_INPUTS + 1];
    loop l;

    make_loop(&l, e, call);
    for (int64_t i = 0; i < n; i++)
        pri_set_number(&call->out[0], i, 0);
    for (int64_t i = 0; i < l.count; i++) {
        double product = 1;
        offsets_of(&l, call->n_in + 1, i, at);
        for (int k = 0; k < call->n_in; k++)
            product *= pri_get_number(&call->in[k], at[k]);
        const int64_t to = at[call->n_in];
        pri_set_number(&call->out[0], to, pri_get_number(&call->out[0], to) + product);
    }
}

static void run_loop_back(const pri_call *call, const pri_einsum *e)
{
    int64_t at[PRI_EINSUM_INPUTS + 1];
    loop l;

    make_loop(&l, e, call);
    for (int64_t i = 0; i < l.count; i++) {
        offsets_of(&l, call->n_in + 1, i, at);
        for (int k = 0; k < call->n_in; k++) {
            float product = call->grad_out[0][at[call->n_in]];
            for (int j = 0; j < call->n_in; j++)
                product *= j != k ? ((const float *)call->in[j].data)[at[j]] : 1.0f;
            if (call->grad_in[k] != NULL)
                call->grad_in[k][at[k]] += product;
        }
    }
}

/* --- Hooks --- */

pare_status pri_einsum_prepare(pri_call *call)
{
    pri_einsum e;
    matrices m;

    PRI_TRY(pri_einsum_read(&e, call));
    if (!find_matrices(&m, &e, call))
        return PARE_OK;
    for (int k = 0; k < 3; k++)
        call->scratch_bytes += (size_t)((packed_count(&m, k) + 15) / 16 * 16) * sizeof(float);
    return PARE_OK;
}

pare_status pri_einsum_forward(pri_call *call)
{
    pri_einsum e;
    matrices m;

    PRI_TRY(pri_einsum_read(&e, call));
    if (call->in[0].dtype != PRI_F32)
        run_any(call, &e);
    else if (find_matrices(&m, &e, call) && !is_empty(&m))
        multiply(call, &e, &m);
    else
        run_loop(call, &e);
    return PARE_OK;
}

pare_status pri_einsum_backward(pri_call *call)
{
    pri_einsum e;
    matrices m;

    if (call->grad_out[0] == NULL)
        return PARE_OK;
    PRI_TRY(pri_einsum_read(&e, call));
    if (find_matrices(&m, &e, call) && !is_empty(&m))
        multiply_back(call, &e, &m);
    else
        run_loop_back(call, &e);
    return PARE_OK;
}
