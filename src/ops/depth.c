/* SPDX-License-Identifier: Apache-2.0 */
/*
 * depth.c - DepthToSpace, SpaceToDepth and Tile: rearrangements as strided copies.
 *
 * DepthToSpace splits channels into block x block x rest and interleaves the blocks with rows and
 * columns; SpaceToDepth is its inverse. Tile repeats: axes of stride 0 in the input.
 */
#include <string.h>

#include "kernels/strided.h"
#include "ops/op_support.h"

typedef struct box {
    int rank;
    int64_t dims[PRI_MAX_RANK], in[PRI_MAX_RANK], out[PRI_MAX_RANK];
} box;

static void add_axis(box *b, int64_t size, int64_t in, int64_t out)
{
    b->dims[b->rank] = size;
    b->in[b->rank] = in;
    b->out[b->rank++] = out;
}

static bool is_column_order(const pri_node *node) /* CRD */
{
    return strcmp(pri_node_attr_string(node, "mode", "DCR"), "CRD") == 0;
}

/* The rearrangement seen from the deep side: `deep` has block^2 times the channels of `wide`. */
static void depth_box(box *b, const pri_shape *deep, const pri_shape *wide, int64_t block,
                      bool column_order, bool deep_is_input)
{
    const int64_t rest = wide->dims[1];
    int64_t d[PRI_MAX_RANK], w[PRI_MAX_RANK];

    pri_shape_strides(d, deep);
    pri_shape_strides(w, wide);
    /* channel = (i block + j) rest + c, or (c block + i) block + j */
    const int64_t di = d[1] * (column_order ? block : block * rest);
    const int64_t dj = d[1] * (column_order ? 1 : rest);
    const int64_t dc = d[1] * (column_order ? block * block : 1);
    const int64_t sizes[6] = {deep->dims[0], rest, deep->dims[2], block, deep->dims[3], block};
    const int64_t of_deep[6] = {d[0], dc, d[2], di, d[3], dj};
    const int64_t of_wide[6] = {w[0], w[1], w[2] * block, w[2], w[3] * block, w[3]};
    for (int a = 0; a < 6; a++)
        add_axis(b, sizes[a], deep_is_input ? of_deep[a] : of_wide[a],
                 deep_is_input ? of_wide[a] : of_deep[a]);
}

static pare_status depth_shape(const pri_call *call, pri_shape *shape)
{
    const pri_shape *x = &call->in[0].shape;
    const int64_t block = pri_node_attr_int(call->node, "blocksize", 0);
    const bool to_space = call->op->name[0] == 'D';

    if (x->rank != 4 || block < 1 || block > 1 << 15)
        return pri_op_fail(call, PARE_ERROR_SHAPE, "rank %d with blocks of %lld", x->rank,
                           (long long)block);
    if (to_space ? x->dims[1] % (block * block) != 0
                 : x->dims[2] % block != 0 || x->dims[3] % block != 0)
        return pri_op_fail(call, PARE_ERROR_SHAPE, "the input does not divide into blocks of %lld",
                           (long long)block);
    *shape = *x;
    shape->dims[1] = to_space ? x->dims[1] / (block * block) : x->dims[1] * block * block;
    for (int a = 2; a < 4; a++)
        shape->dims[a] = to_space ? x->dims[a] * block : x->dims[a] / block;
    return PARE_OK;
}

static pare_status tile_shape(const pri_call *call, pri_shape *shape, int64_t repeats[PRI_MAX_RANK])
{
    const pri_shape *x = &call->in[0].shape;
    int count;

    PRI_TRY(pri_op_ints(call, 1, repeats, PRI_MAX_RANK, &count));
    if (count != x->rank || 2 * count > PRI_MAX_RANK)
        return pri_op_fail(call, PARE_ERROR_SHAPE, "%d repeats for rank %d (at most %d)", count,
                           x->rank, PRI_MAX_RANK / 2);
    *shape = *x;
    for (int a = 0; a < count; a++) {
        if (repeats[a] < 0 || !pri_mul_i64(&shape->dims[a], x->dims[a], repeats[a]))
            return pri_op_fail(call, PARE_ERROR_SHAPE, "repeats axis %d %lld times", a,
                               (long long)repeats[a]);
    }
    return PARE_OK;
}

static pare_status infer(pri_call *call)
{
    int64_t repeats[PRI_MAX_RANK];

    call->out[0].dtype = call->in[0].dtype;
    return call->op->name[0] == 'T' ? tile_shape(call, &call->out[0].shape, repeats)
                                    : depth_shape(call, &call->out[0].shape);
}

static pare_status box_of(const pri_call *call, box *b)
{
    const pri_shape *x = &call->in[0].shape, *y = &call->out[0].shape;
    const bool to_space = call->op->name[0] == 'D';
    int64_t repeats[PRI_MAX_RANK], of_x[PRI_MAX_RANK], of_y[PRI_MAX_RANK];
    pri_shape shape;

    b->rank = 0;
    if (call->op->name[0] != 'T') {
        depth_box(b, to_space ? x : y, to_space ? y : x,
                  pri_node_attr_int(call->node, "blocksize", 1),
                  to_space && is_column_order(call->node), to_space);
        return PARE_OK;
    }
    PRI_TRY(tile_shape(call, &shape, repeats));
    pri_shape_strides(of_x, x);
    pri_shape_strides(of_y, y);
    for (int a = 0; a < x->rank; a++) {
        add_axis(b, repeats[a], 0, of_y[a] * x->dims[a]);
        add_axis(b, x->dims[a], of_x[a], of_y[a]);
    }
    return PARE_OK;
}

static pare_status run(const pri_call *call, bool backward)
{
    box b;
    pri_nest nest;

    PRI_TRY(box_of(call, &b));
    if (pri_shape_count(&call->out[0].shape) == 0)
        return PARE_OK;
    const int64_t *const strides[2] = {backward ? b.in : b.out, backward ? b.out : b.in};
    pri_nest_make(&nest, b.rank, b.dims, 2, strides);
    if (!backward)
        pri_nest_copy(&nest, call->out[0].data, call->in[0].data,
                      pri_dtype_bytes(call->out[0].dtype));
    else if (call->grad_in[0] != NULL && call->grad_out[0] != NULL)
        pri_nest_add(&nest, call->grad_in[0], call->grad_out[0], 1.0f);
    return PARE_OK;
}

static pare_status forward(pri_call *call)
{
    return run(call, false);
}

static pare_status backward(pri_call *call)
{
    return run(call, true);
}

/* Channels may go, single rows and columns of a block may not. */
static pare_status depth_couple(const pri_call *call, pri_rules *rules)
{
    static const char reason[] = "interleaves channels with rows and columns";

    (void)call;
    for (int a = 2; a < 4; a++) {
        PRI_TRY(pri_rules_pin(rules, 0, a, reason));
        PRI_TRY(pri_rules_pin(rules, PRI_OUT(0), a, reason));
    }
    return PARE_OK;
}

#define REARRANGE(symbol, text, words, first, most, couple_hook)                                   \
    const pri_op symbol = {.name = text,                                                           \
                           .summary = words,                                                       \
                           .min_opset = first,                                                     \
                           .max_opset = 21,                                                        \
                           .min_in = most,                                                         \
                           .max_in = most,                                                         \
                           .n_out = 1,                                                             \
                           .is_movement = true,                                                    \
                           .infer = infer,                                                         \
                           .forward = forward,                                                     \
                           .backward = backward,                                                   \
                           .couple = couple_hook}

REARRANGE(pri_op_depth_to_space, "DepthToSpace", "blocks of channels become blocks of pixels", 1, 1,
          depth_couple);
REARRANGE(pri_op_space_to_depth, "SpaceToDepth", "blocks of pixels become channels", 1, 1,
          depth_couple);
REARRANGE(pri_op_tile, "Tile", "repeats the input along its axes", 6, 2, NULL);
