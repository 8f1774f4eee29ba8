/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dnn_make.c - who computes the directions of a convolution: a kernel of our own where one is
 * asked for or faster, oneDNN the rest. See dnn.h.
 */
#include "kernels/choose.h"
#include "kernels/dnn_conv.h"

/* Whether depthwise.c computes it. Forwards alone oneDNN's is as fast, or faster where images stay
 * in a cache (MobileNetV2 at 128 x 128 on Sapphire Rapids, one image: 1.55 ms to 1.64, batch
 * 32: 52.0 to 52.1), but for bfloat16, which it would round products to. */
static bool by_depthwise(const pri_conv_problem *p, unsigned directions)
{
    return pri_depthwise_suits(p) &&
           (directions != PRI_CONV_FORWARD || p->src_type == PRI_BF16 || p->dst_type == PRI_BF16);
}

static pare_status make_depthwise(pri_conv *conv)
{
    PRI_TRY(pri_depthwise_new(&conv->depthwise, conv->ctx, &conv->problem));
    pri_conv_need(conv, pri_depthwise_scratch(conv->depthwise));
    return PARE_OK;
}

static pare_status make_winograd(pri_conv *conv)
{
    PRI_TRY(
        pri_winograd_new(&conv->winograd, conv->ctx, &conv->problem, conv->winograd_directions));
    pri_conv_need(conv, pri_winograd_scratch(conv->winograd));
    return PARE_OK;
}

/* Gradients of weights by amx_weights.c: where oneDNN, too, would use AMX. */
static bool gains_by_amx(const pri_conv_problem *p)
{
    return pri_dnn_has_amx() && pri_amx_weights_suits(p) && pri_amx_weights_gains(p);
}

/* Of a convolution that is described: it reads what other directions stage. */
static pare_status make_amx_weights(pri_conv *conv)
{
    PRI_TRY(pri_amx_weights_new(&conv->amx_weights, conv->ctx, &conv->problem));
    pri_conv_need(conv, conv->src.staged_bytes + conv->dst.staged_bytes +
                            pri_amx_weights_scratch(conv->amx_weights));
    return PARE_OK;
}

static pare_status make_gathered(pri_conv *conv)
{
    PRI_TRY(
        pri_gathered_new(&conv->gathered, conv->ctx, &conv->problem, conv->gathered_directions));
    pri_conv_need(conv, pri_gathered_scratch(conv->gathered));
    return PARE_OK;
}

/* Directions that are left: by the kernels that suit, the others by oneDNN. */
static pare_status make_direct(pri_conv *conv, unsigned directions)
{
    const pri_conv_problem *p = &conv->problem;
    const bool training = (directions & ~(unsigned)PRI_CONV_FORWARD) != 0;

    if ((directions & PRI_CONV_BACKWARD_WEIGHTS) != 0 && pri_pointwise_weights_suits(p)) {
        conv->has_pointwise_weights = true;
        pri_conv_need(conv, pri_pointwise_weights_scratch(p));
        directions &= ~(unsigned)PRI_CONV_BACKWARD_WEIGHTS;
    }
    if (training && pri_pointwise_product_suits(p)) {
        PRI_TRY(pri_pointwise_product_new(&conv->product, conv->ctx, p));
        directions &= (unsigned)PRI_CONV_BACKWARD_WEIGHTS;
    }
    conv->gathered_directions = training ? directions & pri_gathered_gains(p) : 0;
    if (conv->gathered_directions != 0)
        PRI_TRY(make_gathered(conv));
    directions &= ~conv->gathered_directions;
    if (directions == 0)
        return PARE_OK;
    PRI_TRY(pri_dnn_describe(conv));
    if ((directions & PRI_CONV_BACKWARD_WEIGHTS) != 0 && gains_by_amx(p)) {
        PRI_TRY(make_amx_weights(conv));
        directions &= ~(unsigned)PRI_CONV_BACKWARD_WEIGHTS;
    }
    return directions == 0 ? PARE_OK : pri_dnn_build(conv, directions, training);
}

static pare_status make_all(pri_conv *conv, unsigned directions)
{
    if (by_depthwise(&conv->problem, directions))
        PRI_TRY(make_depthwise(conv));
    if (conv->winograd_directions != 0)
        PRI_TRY(make_winograd(conv));
    return conv->depthwise != NULL ? PARE_OK
                                   : make_direct(conv, directions & ~conv->winograd_directions);
}

pare_status pri_conv_make(pri_conv **out, pare_context *ctx, const pri_conv_problem *problem,
                          unsigned directions, pri_conv_algorithm algorithm)
{
    *out = NULL;
    PRI_TRY(pri_dnn_start(ctx));
    pri_conv *conv = pri_alloc(ctx, 1, sizeof *conv);
    if (conv == NULL)
        return PARE_ERROR_MEMORY;
    conv->ctx = ctx;
    conv->problem = *problem;
    conv->winograd_directions = algorithm == PRI_CONV_WINOGRAD ? directions : 0;
    const pare_status status = make_all(conv, directions);
    if (status != PARE_OK) {
        pri_conv_free(conv);
        return status;
    }
    *out = conv;
    return PARE_OK;
}

pare_status pri_conv_new(pri_conv **out, pare_context *ctx, const pri_conv_problem *problem,
                         unsigned directions)
{
    return pri_conv_make(out, ctx, problem, directions, pri_conv_choose(ctx, problem, directions));
}

void pri_conv_free(pri_conv *conv)
{
    if (conv == NULL)
        return;
    pri_winograd_free(conv->winograd);
    pri_amx_weights_free(conv->amx_weights);
    pri_depthwise_free(conv->depthwise);
    pri_pointwise_product_free(conv->product);
    pri_gathered_free(conv->gathered);
    pri_dnn_clear(conv);
    pri_free(conv);
}
