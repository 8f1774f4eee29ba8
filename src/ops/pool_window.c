/* SPDX-License-Identifier: Apache-2.0 */
/* pool_window.c - see pool.h. */
#include "ops/pool.h"

#include <string.h>

pare_status pri_pool_parse(const pri_node *node, int opset, void *params, pri_arena *arena,
                           pare_context *ctx)
{
    pri_pool_params *p = params;

    (void)opset;
    (void)arena;
    p->is_max = strstr(node->op_type, "Max") != NULL;
    p->is_global = strncmp(node->op_type, "Global", 6) == 0;
    p->power = pri_node_attr_int(node, "p", 2);
    p->is_column_major = pri_node_attr_int(node, "storage_order", 0) != 0;
    if (p->power < 1)
        return pri_parse_fail(ctx, node, "p is %lld", (long long)p->power);
    p->counts_padding = pri_node_attr_int(node, "count_include_pad", 0) != 0;
    return p->is_global ? PARE_OK : pri_window_parse(&p->window, node, ctx);
}

/* The window completed to three spatial axes. */
pare_status pri_pool_window(const pri_call *call, pri_window *w, int64_t in[3], int64_t out[3])
{
    const pri_pool_params *p = call->params;
    const pri_shape *x = &call->in[0].shape;

    *w = p->window;
    if (p->is_global) {
        if (x->rank < 3 || x->rank > 5)
            return pri_op_fail(call, PARE_ERROR_SHAPE, "input has rank %d", x->rank);
        for (int k = 0; k < 3; k++) {
            w->kernel[k] = k < x->rank - 2 ? x->dims[2 + k] : 1;
            w->stride[k] = w->dilation[k] = 1;
        }
    }
    PRI_TRY(pri_window_apply(call, w, x, out));
    for (int k = 0; k < 3; k++) {
        in[k] = k < w->spatial ? x->dims[2 + k] : 1;
        if (k >= w->spatial)
            out[k] = 1;
    }
    return PARE_OK;
}

pare_status pri_pool_shape(pri_call *call)
{
    pri_window w;
    int64_t in[3], out[3];

    PRI_TRY(pri_pool_window(call, &w, in, out));
    call->out[0].dtype = call->in[0].dtype;
    call->out[0].shape = call->in[0].shape;
    for (int k = 0; k < w.spatial; k++)
        call->out[0].shape.dims[2 + k] = out[k];
    return PARE_OK;
}

static pri_span span_of(const pri_window *w, int k, int64_t size, int64_t at)
{
    pri_span s = {at * w->stride[k] - w->pad_begin[k], 0, w->dilation[k], 0};
    const int64_t end = s.from + (w->kernel[k] - 1) * s.step + 1;

    for (int64_t i = s.from; i < end; i += s.step)
        s.padded += i < size + w->pad_end[k];
    s.to = pri_min_i64(end, size);
    while (s.from < 0)
        s.from += s.step;
    return s;
}

pri_place pri_pool_place(const pri_call *call, const pri_window *w, const int64_t in[3],
                         const int64_t out[3], int64_t position)
{
    const pri_pool_params *p = call->params;
    const int64_t at[3] = {position / (out[1] * out[2]), position / out[2] % out[1],
                           position % out[2]};
    pri_place result = {.divisor = 1};
    int64_t count = 1;

    for (int k = 0; k < 3; k++) {
        pri_span *s = &result.axis[k];
        *s = span_of(w, k, in[k], at[k]);
        count *= p->counts_padding ? s->padded
                                   : pri_max_i64(0, (s->to - s->from + s->step - 1) / s->step);
    }
    result.divisor = (float)pri_max_i64(1, count);
    return result;
}
