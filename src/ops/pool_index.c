/* SPDX-License-Identifier: Apache-2.0 */
/* pool_index.c - MaxPool with indices, MaxUnpool, LpPool: the poolings networks seldom use. */
#include <math.h>
#include <string.h>

#include "ops/elements.h"
#include "ops/pool.h"

/* Position `i` of a plane as ONNX numbers it, given that it numbers rows or columns first. */
static int64_t number_of(int64_t i, const int64_t in[3], bool is_column_major)
{
    if (!is_column_major)
        return i;
    const int64_t d = i / (in[1] * in[2]), h = i / in[2] % in[1], w = i % in[2];
    return d + h * in[0] + w * in[0] * in[1];
}

pare_status pri_pool_indices(const pri_call *call)
{
    const pri_pool_params *p = call->params;
    const pri_shape *x = &call->in[0].shape;
    const int64_t planes = x->dims[0] * x->dims[1];
    int64_t *indices = call->n_out > 1 && call->out[1].present ? call->out[1].data : NULL;
    pri_window w;
    int64_t in[3], out[3];

    PRI_TRY(pri_pool_window(call, &w, in, out));
    const int64_t area = in[0] * in[1] * in[2], positions = out[0] * out[1] * out[2];
    for (int64_t plane = 0; plane < planes; plane++) {
        for (int64_t q = 0; q < positions; q++) {
            const pri_place pl = pri_pool_place(call, &w, in, out, q);
            const int64_t at = plane * positions + q;
            double best = -INFINITY;
            int64_t found = -1;
            PRI_FOR_WINDOW(pl, in, i)
            {
                const double v = pri_get_number(&call->in[0], plane * area + i);
                if (found < 0 || v > best) {
                    best = v;
                    found = i;
                }
            }
            pri_set_number(&call->out[0], at, best);
            if (indices != NULL)
                indices[at] =
                    plane * area + number_of(pri_max_i64(found, 0), in, p->is_column_major);
        }
    }
    return PARE_OK;
}

/* --- MaxUnpool --- */

/* The shape the indices count in, and the one asked for (the same without an output_shape). */
static pare_status unpool_shapes(const pri_call *call, pri_shape *counted, pri_shape *out)
{
    const pri_pool_params *p = call->params;
    const pri_shape *x = &call->in[0].shape;
    const pri_window *w = &p->window;
    int64_t stated[PRI_MAX_RANK];
    int count;

    if (x->rank < 3 || x->rank > 5 || w->spatial != x->rank - 2)
        return pri_op_fail(call, PARE_ERROR_SHAPE, "its window does not fit rank %d", x->rank);
    *counted = *x;
    for (int k = 0; k < w->spatial; k++)
        counted->dims[2 + k] =
            (x->dims[2 + k] - 1) * w->stride[k] + w->kernel[k] - w->pad_begin[k] - w->pad_end[k];
    *out = *counted;
    PRI_TRY(pri_op_ints(call, 2, stated, PRI_MAX_RANK, &count));
    if (count >= 0)
        *out = pri_shape_of(count, stated);
    bool fits = out->rank == x->rank && out->dims[0] == x->dims[0] && out->dims[1] == x->dims[1];
    for (int a = 2; a < x->rank && fits; a++)
        fits = counted->dims[a] > 0 && out->dims[a] >= counted->dims[a] &&
               out->dims[a] <= 2 * counted->dims[a] + w->kernel[a - 2];
    return fits ? PARE_OK
                : pri_op_fail(call, PARE_ERROR_SHAPE, "the output shape does not fit the input");
}

static pare_status unpool_infer(pri_call *call)
{
    pri_shape counted;

    PRI_TRY(pri_need_float(call, 1));
    if (call->in[1].dtype != PRI_I64 || !pri_shape_equal(&call->in[0].shape, &call->in[1].shape))
        return pri_op_fail(call, PARE_ERROR_SHAPE, "the indices do not fit the input");
    call->out[0].dtype = PRI_F32;
    return unpool_shapes(call, &counted, &call->out[0].shape);
}

/* Element `index` of `counted` at the same coordinates in `out`; -1 outside. */
static int64_t place_in(const pri_shape *counted, const pri_shape *out, int64_t index)
{
    int64_t offset = 0, stride = 1;

    if (index < 0 || index >= pri_shape_count(counted))
        return -1;
    for (int a = counted->rank - 1; a >= 0; a--) {
        offset += index % counted->dims[a] * stride;
        index /= counted->dims[a];
        stride *= out->dims[a];
    }
    return offset;
}

static pare_status unpool(const pri_call *call, bool backward)
{
    const int64_t n = pri_shape_count(&call->in[0].shape);
    const int64_t *index = call->in[1].data;
    pri_shape counted, out;

    PRI_TRY(unpool_shapes(call, &counted, &out));
    if (!backward)
        memset(call->out[0].data, 0, (size_t)pri_shape_count(&out) * sizeof(float));
    for (int64_t i = 0; i < n; i++) {
        const int64_t to = place_in(&counted, &out, index[i]);
        if (to < 0)
            return pri_op_fail(call, PARE_ERROR_SHAPE, "index %lld is outside the output",
                               (long long)index[i]);
        if (backward)
            call->grad_in[0][i] += call->grad_out[0][to];
        else
            ((float *)call->out[0].data)[to] = ((const float *)call->in[0].data)[i];
    }
    return PARE_OK;
}

static pare_status unpool_forward(pri_call *call)
{
    return unpool(call, false);
}

static pare_status unpool_backward(pri_call *call)
{
    return call->grad_in[0] != NULL && call->grad_out[0] != NULL ? unpool(call, true) : PARE_OK;
}

static pare_status unpool_couple(const pri_call *call, pri_rules *rules)
{
    for (int a = 0; a < 2; a++)
        PRI_TRY(pri_rules_tie(rules, 0, a, 0, 1, a, 0, call->in[0].shape.dims[a]));
    return pri_couple_channels(call, rules);
}

static pare_status unpool_resize(const pri_call *call, const pri_cut *cut, pri_graph *graph,
                                 pri_node *node)
{
    const pri_shape after = pri_cut_shape(cut, PRI_OUT(0));

    if (pri_in(call, 2) == NULL || pri_follows_shapes(call->node, 2))
        return PARE_OK;
    return pri_op_restate(graph, node, "output_shape", 2, after.dims, after.rank);
}

const pri_op pri_op_max_unpool = {
    .name = "MaxUnpool",
    .summary = "elements put back where MaxPool took them",
    .min_opset = 9,
    .max_opset = 21,
    .min_in = 2,
    .max_in = 3,
    .n_out = 1,
    .params_size = sizeof(pri_pool_params),
    .backward_reads = PRI_READS_IN1,
    .parse = pri_pool_parse,
    .infer = unpool_infer,
    .forward = unpool_forward,
    .backward = unpool_backward,
    .couple = unpool_couple,
    .resize = unpool_resize,
};

/* --- LpPool: (sum |x|^p)^(1/p) --- */

static pare_status lp_infer(pri_call *call)
{
    PRI_TRY(pri_need_float(call, 1));
    return pri_pool_shape(call);
}

static pare_status lp_forward(pri_call *call)
{
    const double power = (double)((const pri_pool_params *)call->params)->power;
    const pri_shape *shape = &call->in[0].shape;
    const int64_t planes = shape->dims[0] * shape->dims[1];
    const float *x = call->in[0].data;
    pri_window w;
    int64_t in[3], out[3];

    PRI_TRY(pri_pool_window(call, &w, in, out));
    const int64_t area = in[0] * in[1] * in[2], positions = out[0] * out[1] * out[2];
    for (int64_t plane = 0; plane < planes; plane++) {
        for (int64_t q = 0; q < positions; q++) {
            const pri_place pl = pri_pool_place(call, &w, in, out, q);
            double sum = 0;
            PRI_FOR_WINDOW(pl, in, i)
            sum += pow(fabs((double)x[plane * area + i]), power);
            ((float *)call->out[0].data)[plane * positions + q] = (float)pow(sum, 1 / power);
        }
    }
    return PARE_OK;
}

/* d += g sign(x) |x|^(p-1) y^(1-p) */
static pare_status lp_backward(pri_call *call)
{
    const double power = (double)((const pri_pool_params *)call->params)->power;
    const pri_shape *shape = &call->in[0].shape;
    const int64_t planes = shape->dims[0] * shape->dims[1];
    const float *x = call->in[0].data, *y = call->out[0].data, *g = call->grad_out[0];
    float *d = call->grad_in[0];
    pri_window w;
    int64_t in[3], out[3];

    if (g == NULL || d == NULL)
        return PARE_OK;
    PRI_TRY(pri_pool_window(call, &w, in, out));
    const int64_t area = in[0] * in[1] * in[2], positions = out[0] * out[1] * out[2];
    for (int64_t plane = 0; plane < planes; plane++) {
        for (int64_t q = 0; q < positions; q++) {
            const pri_place pl = pri_pool_place(call, &w, in, out, q);
            const int64_t to = plane * positions + q;
            const double factor = y[to] > 0 ? g[to] * pow(y[to], 1 - power) : 0;
            PRI_FOR_WINDOW(pl, in, i)
            {
                const double v = x[plane * area + i];
                d[plane * area + i] +=
                    (float)(factor * pow(fabs(v), power - 1) * (v < 0 ? -1 : v > 0));
            }
        }
    }
    return PARE_OK;
}

#define LP_POOL(symbol, text, words)                                                               \
    const pri_op symbol = {.name = text,                                                           \
                           .summary = words,                                                       \
                           .min_opset = 2,                                                         \
                           .max_opset = 21,                                                        \
                           .min_in = 1,                                                            \
                           .max_in = 1,                                                            \
                           .n_out = 1,                                                             \
                           .params_size = sizeof(pri_pool_params),                                 \
                           .backward_reads = PRI_READS_IN0 | PRI_READS_OUT0,                       \
                           .parse = pri_pool_parse,                                                \
                           .infer = lp_infer,                                                      \
                           .forward = lp_forward,                                                  \
                           .backward = lp_backward,                                                \
                           .couple = pri_couple_channels}

LP_POOL(pri_op_lp_pool, "LpPool", "p-norm of a window");
LP_POOL(pri_op_global_lp_pool, "GlobalLpPool", "p-norm of each channel");
