/* SPDX-License-Identifier: Apache-2.0 */
/* einsum.h - the equation of an Einsum: which letter each axis has. */
#ifndef PRI_EINSUM_H
#define PRI_EINSUM_H

#include "ops/op_support.h"

enum { PRI_EINSUM_INPUTS = 8, PRI_EINSUM_LETTERS = 24 };

typedef struct pri_einsum {
    int n_in, n_letters;
    int64_t size[PRI_EINSUM_LETTERS];
    int of_in[PRI_EINSUM_INPUTS][PRI_MAX_RANK]; /* letter of each axis */
    int of_out[PRI_MAX_RANK];
    int rank_out;
} pri_einsum;

/* Reads the equation for the shapes of the call. */
pare_status pri_einsum_read(pri_einsum *e, const pri_call *call);
/* Whether input k has the letter, and whether the output has it. */
bool pri_einsum_reads(const pri_einsum *e, const pri_call *call, int k, int letter);
bool pri_einsum_gives(const pri_einsum *e, int letter);

/* einsum_run.c */
pare_status pri_einsum_prepare(pri_call *call);
pare_status pri_einsum_forward(pri_call *call);
pare_status pri_einsum_backward(pri_call *call);

#endif
