/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pointwise_product.c - see pointwise_product.h.
 *
 * Both ways are one product with other weights. Blocks of positions are shared between threads;
 * each position is summed by itself and in order, so that threads do not change it.
 */
#include "kernels/pointwise_product.h"

#include <stdint.h>
#include <string.h>

#include "kernels/pointwise.h"
#include "kernels/vectors/pointwise_tile.h"

enum { BLOCK = 8 * PRI_POINTWISE_ROWS, LINE = 16 /* floats */ };
/* Sapphire Rapids, batch 32, time by oneDNN's, forwards: 16 to 96 channels at 64 x 64 pixels 0.8,
 * 96 to 16 0.82, 32 to 16 0.65, 24 to 144 at 32 x 32 0.75, 144 to 24 0.69, 32 to 192 at 16 x 16
 * 0.89, but 64 to 64 at 32 x 32 as long. MOST_PRODUCTS: in out / (in + out), products to an
 * element read or written; MOST_WEIGHTS stay in the first cache. */
enum { MOST_PRODUCTS = 28, MOST_WEIGHTS = 6144 };
/* Elements of results that no cache will hold until they are read. Sapphire Rapids, 16 to 96
 * channels, 32 x 64 x 64 pixels: 4.8 ms instead of 6.2, and the reader takes as long; of 24 to 144
 * at 32 x 32 (19 MB) the 0.4 ms that are gained are lost by the reader. */
enum { LEAST_STREAMED = 8 * 1024 * 1024 };

struct pri_pointwise_product {
    pri_conv_problem p;
    int64_t in_filled, out_filled; /* channels in whole vectors */
    float *forward, *data;         /* weights, [in][out_filled] and [out][in_filled] */
    float *bias, *zero;            /* out_filled, in_filled */
};

bool pri_pointwise_product_suits(const pri_conv_problem *p)
{
    const int64_t in = p->in_channels, out = p->out_channels;

    return pri_is_pointwise(p) && !p->accumulates &&
           (p->post == PRI_POST_NONE || p->post == PRI_POST_RELU || p->post == PRI_POST_CLIP) &&
           in <= MOST_WEIGHTS / out && in * out <= MOST_PRODUCTS * (in + out);
}

pare_status pri_pointwise_product_new(pri_pointwise_product **out, pare_context *ctx,
                                      const pri_conv_problem *problem)
{
    const int64_t ins = problem->in_channels, outs = problem->out_channels;
    const int64_t in_filled = pri_filled(ins, pri_lanes()),
                  out_filled = pri_filled(outs, pri_lanes());
    const size_t bytes = (size_t)((ins + 1) * out_filled + (outs + 1) * in_filled) * sizeof(float);

    *out = NULL;
    pri_pointwise_product *product = pri_alloc(ctx, 1, sizeof *product);
    if (product == NULL)
        return PARE_ERROR_MEMORY;
    float *room = pri_alloc_aligned(ctx, bytes);
    if (room == NULL) {
        pri_free(product);
        return PARE_ERROR_MEMORY;
    }
    memset(room, 0, bytes);
    product->p = *problem;
    product->in_filled = in_filled;
    product->out_filled = out_filled;
    product->forward = room;
    product->data = room + ins * out_filled;
    product->bias = product->data + outs * in_filled;
    product->zero = product->bias + out_filled;
    *out = product;
    return PARE_OK;
}

void pri_pointwise_product_free(pri_pointwise_product *product)
{
    if (product == NULL)
        return;
    pri_free(product->forward);
    pri_free(product);
}

void pri_pointwise_product_pack(pri_pointwise_product *product, const float *weights,
                                const float *scale, const float *bias)
{
    const int64_t in = product->p.in_channels, out = product->p.out_channels;

    for (int64_t o = 0; o < out; o++) {
        for (int64_t i = 0; i < in; i++) {
            const float w = weights[o * in + i] * (scale != NULL ? scale[o] : 1);
            product->forward[i * product->out_filled + o] = w;
            product->data[o * product->in_filled + i] = w;
        }
        product->bias[o] = bias != NULL ? bias[o] : 0;
    }
}

/* All of `all.count` positions. */
static void run(pri_pointwise_rows all)
{
    const pri_pointwise_tiles *tiles = PRI_TABLE(pri_pointwise_tiles);

    all.streams = all.to % LINE == 0 && (uintptr_t)all.y % (LINE * sizeof(float)) == 0 &&
                  all.count * all.to >= LEAST_STREAMED;
#pragma omp parallel for schedule(static)
    for (int64_t at = 0; at < all.count; at += BLOCK) {
        pri_pointwise_rows rows = all;
        rows.x += at * all.from;
        rows.y += at * all.to;
        rows.count = pri_min_i64(BLOCK, all.count - at);
        tiles->multiply(&rows);
    }
}

void pri_pointwise_product_forward(const pri_pointwise_product *product, const float *src,
                                   float *dst)
{
    const pri_conv_problem *p = &product->p;

    run((pri_pointwise_rows){.x = src,
                             .y = dst,
                             .weights = product->forward,
                             .bias = product->bias,
                             .from = p->in_channels,
                             .to = p->out_channels,
                             .filled = product->out_filled,
                             .count = pri_pointwise_positions(p),
                             .post = p->post,
                             .alpha = p->alpha,
                             .beta = p->beta});
}

void pri_pointwise_product_backward_data(const pri_pointwise_product *product,
                                         const float *diff_dst, float *diff_src)
{
    const pri_conv_problem *p = &product->p;

    run((pri_pointwise_rows){.x = diff_dst,
                             .y = diff_src,
                             .weights = product->data,
                             .bias = product->zero,
                             .from = p->out_channels,
                             .to = p->in_channels,
                             .filled = product->in_filled,
                             .count = pri_pointwise_positions(p)});
}
