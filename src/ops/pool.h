/* SPDX-License-Identifier: Apache-2.0 */
/* pool.h - which input positions a pooled output reads, for the operators that pool. */
#ifndef PRI_POOL_H
#define PRI_POOL_H

#include "ops/op_support.h"

typedef struct pri_pool_params {
    pri_window window;
    bool is_max, is_global, counts_padding;
    int64_t power;        /* LpPool */
    bool is_column_major; /* of the indices MaxPool gives */
} pri_pool_params;

pare_status pri_pool_parse(const pri_node *node, int opset, void *params, pri_arena *arena,
                           pare_context *ctx);
/* The window completed to three spatial axes. */
pare_status pri_pool_window(const pri_call *call, pri_window *w, int64_t in[3], int64_t out[3]);
/* Sets out[0] for the window. */
pare_status pri_pool_shape(pri_call *call);

/* The input positions [from, to) with step of one window along one axis. */
typedef struct pri_span {
    int64_t from, to, step, padded; /* padded: positions counted with padding */
} pri_span;

typedef struct pri_place {
    pri_span axis[3];
    float divisor; /* of a mean */
} pri_place;

/* Where output position `position` reads. */
pri_place pri_pool_place(const pri_call *call, const pri_window *w, const int64_t in[3],
                         const int64_t out[3], int64_t position);

/* `index` runs over the input positions of place `pl`. */
#define PRI_FOR_WINDOW(pl, in, index)                                                              \
    for (int64_t d_ = (pl).axis[0].from; d_ < (pl).axis[0].to; d_ += (pl).axis[0].step)            \
        for (int64_t h_ = (pl).axis[1].from; h_ < (pl).axis[1].to; h_ += (pl).axis[1].step)        \
            for (int64_t w_ = (pl).axis[2].from, index = (d_ * (in)[1] + h_) * (in)[2] + w_;       \
                 w_ < (pl).axis[2].to; w_ += (pl).axis[2].step, index += (pl).axis[2].step)

/* MaxPool with its indices output, or of integers: plain layout (pool_index.c). */
pare_status pri_pool_indices(const pri_call *call);

#endif
