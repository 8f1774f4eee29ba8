/* SPDX-License-Identifier: Apache-2.0 */
/*
 * amx_weights.c - see amx_weights.h.
 *
 * Blocks of strips go to threads, cut in parts of the outputs where threads are more; each packs
 * one strip after another and adds its products to the block's sums, [block of outputs][block of
 * inputs][tap][16 outputs][16 inputs]. What a product reads of a strip is cut so that it stays in
 * the first cache while other sums need it.
 */
#include "kernels/amx_weights.h"

#include <string.h>

#include "base/thread.h"
#include "kernels/amx_tile.h"

bool pri_amx_weights_gains(const pri_conv_problem *p)
{
    enum { FEW_CHANNELS = 8, LARGE_KERNEL = 25, MANY_OUTPUTS = 16 };

    return p->in_channels >= FEW_CHANNELS || p->kernel[0] * p->kernel[1] <= LARGE_KERNEL ||
           p->out_channels <= MANY_OUTPUTS;
}

#if defined(__x86_64__) && defined(__GNUC__) && defined(__linux__)
enum { SUMS = PRI_AMX_CHANNELS * PRI_AMX_CHANNELS }; /* of a tile */

struct pri_amx_weights {
    int threads;
    int64_t parts; /* of a block's outputs */
    pri_amx_shape shape;
    int32_t *offsets;
};

bool pri_amx_weights_suits(const pri_conv_problem *p)
{
    if (!p->is_narrow || p->spatial != 2 || p->groups != 1 || p->layout != PRI_CHANNELS_LAST)
        return false;
    for (int k = 0; k < 2; k++) {
        if (p->dilation[k] != 1 || p->kernel[k] > PRI_AMX_KERNEL || p->stride[k] > PRI_AMX_STRIDE ||
            p->out[k] < 1)
            return false;
    }
    return pri_amx_runs();
}

pare_status pri_amx_weights_new(pri_amx_weights **out, pare_context *ctx,
                                const pri_conv_problem *problem)
{
    pri_amx_weights *w = pri_alloc(ctx, 1, sizeof *w);

    *out = NULL;
    if (w == NULL)
        return PARE_ERROR_MEMORY;
    w->threads = pare_context_threads(ctx);
    pri_amx_lay_out(&w->shape, problem);
    w->parts =
        pri_min_i64(w->shape.out_blocks, (w->threads + w->shape.blocks - 1) / w->shape.blocks);
    w->offsets = pri_alloc(ctx, (size_t)w->shape.strip_steps, sizeof *w->offsets);
    if (w->offsets == NULL) {
        pri_amx_weights_free(w);
        return PARE_ERROR_MEMORY;
    }
    for (int64_t k = 0; k < w->shape.strip_steps; k++)
        w->offsets[k] = (int32_t)pri_amx_step_offset(&w->shape, k);
    *out = w;
    return PARE_OK;
}

void pri_amx_weights_free(pri_amx_weights *w)
{
    if (w == NULL)
        return;
    pri_free(w->offsets);
    pri_free(w);
}

/* --- Scratch: strips of the threads, then sums of the blocks --- */

static int64_t strip_bytes(const pri_amx_shape *s)
{
    return pri_amx_dy_bytes(s) + pri_amx_x_bytes(s);
}

static int64_t weight_sums(const pri_amx_shape *s)
{
    return s->out_blocks * s->in_blocks * s->taps * SUMS;
}

/* Floats of a block: sums of weights, then of the bias. */
static int64_t block_floats(const pri_amx_shape *s)
{
    return weight_sums(s) + s->out_blocks * PRI_AMX_CHANNELS;
}

size_t pri_amx_weights_scratch(const pri_amx_weights *w)
{
    const pri_amx_shape *s = &w->shape;

    return (size_t)(w->threads * strip_bytes(s)) +
           (size_t)(s->blocks * block_floats(s)) * sizeof(float);
}

/* --- A strip --- */

typedef struct packed {
    const pri_amx_weights *w;
    const unsigned char *dy, *x;
    float *sums; /* of the block */
    bool begins; /* which hold nothing yet */
    pri_amx_strip strip;
    int64_t steps;
} packed;

/* Sums number `pair`, a tap of a block of inputs, of a block of outputs: number k of a product. */
static void add_sum(pri_amx_product *p, const packed *t, int64_t block, int64_t pair)
{
    const pri_amx_shape *s = &t->w->shape;
    const pri_amx_tap *tap = &s->tap[pair % s->taps];
    const int64_t copy = pair / s->taps * s->copies + tap->copy;

    p->dy[p->count] = t->dy + block * s->strip_steps * PRI_AMX_TILE;
    p->x[p->count] = t->x + copy * s->copy_bytes + tap->offset;
    p->sums[p->count] = t->sums + (block * s->in_blocks * s->taps + pair) * SUMS;
    p->count++;
}

/* Group number k of `groups` about equally large ones of `count`. */
static int64_t group_begin(int64_t count, int64_t groups, int64_t k)
{
    return count * k / groups;
}

static void multiply_chunk(const packed *t, int64_t first, int64_t steps)
{
    const pri_amx_shape *s = &t->w->shape;
    const int64_t pairs = s->in_blocks * s->taps, out = t->strip.out_begin;
    const int64_t outputs = t->strip.out_end - out;
    const bool has_one_dy = pairs >= outputs || pairs > 2;
    const int64_t many = has_one_dy ? pairs : outputs, single = has_one_dy ? outputs : pairs;
    const int64_t groups = (many + PRI_AMX_SUMS - 1) / PRI_AMX_SUMS;

    for (int64_t g = 0; g < groups; g++) {
        for (int64_t one = 0; one < single; one++) {
            pri_amx_product p = {
                .has_one_dy = has_one_dy, .begins = t->begins && first == 0, .steps = steps};
            const int64_t end = group_begin(many, groups, g + 1);
            for (int64_t k = group_begin(many, groups, g); k < end; k++)
                add_sum(&p, t, out + (has_one_dy ? one : k), has_one_dy ? k : one);
            for (int k = 0; k < p.count; k++)
                p.dy[k] += first * PRI_AMX_TILE;
            p.offsets = t->w->offsets + first;
            pri_amx_multiply(&p);
        }
    }
}

static void multiply_strip(const packed *t, bool has_bias)
{
    const pri_amx_shape *s = &t->w->shape;

    for (int64_t first = 0; first < t->steps; first += t->w->shape.chunk)
        multiply_chunk(t, first, pri_min_i64(t->w->shape.chunk, t->steps - first));
    for (int64_t b = t->strip.out_begin; b < t->strip.out_end && has_bias; b++)
        pri_amx_sum(t->sums + weight_sums(s) + b * PRI_AMX_CHANNELS,
                    t->dy + b * s->strip_steps * PRI_AMX_TILE, t->steps);
}

/* --- All --- */

typedef struct operands {
    const uint16_t *src, *diff_dst;
    bool has_bias;
} operands;

/* Task number k: a part of a block. */
static void sum_part(const pri_amx_weights *w, const operands *o, int64_t k, unsigned char *room,
                     float *sums)
{
    const pri_amx_shape *s = &w->shape;
    const int64_t block = k / w->parts, part = k % w->parts;
    packed t = {.w = w,
                .dy = room,
                .x = room + pri_amx_dy_bytes(s),
                .sums = sums + block * block_floats(s),
                .strip.out_begin = s->out_blocks * part / w->parts,
                .strip.out_end = s->out_blocks * (part + 1) / w->parts};
    const int64_t begin = s->strips * block / s->blocks;
    const int64_t end = s->strips * (block + 1) / s->blocks;

    memset(t.sums + weight_sums(s) + t.strip.out_begin * PRI_AMX_CHANNELS, 0,
           (size_t)((t.strip.out_end - t.strip.out_begin) * PRI_AMX_CHANNELS) * sizeof(float));
    pri_amx_begin();
    for (int64_t strip = begin; strip < end; strip++) {
        t.begins = strip == begin;
        t.strip.first = strip * s->strip_rows;
        t.strip.rows = pri_min_i64(s->strip_rows, s->rows - t.strip.first);
        t.steps = pri_amx_steps(s, t.strip.rows);
        pri_amx_pack_dy(room, s, o->diff_dst, &t.strip);
        pri_amx_pack_x(room + pri_amx_dy_bytes(s), s, o->src, &t.strip);
        multiply_strip(&t, o->has_bias);
    }
    pri_amx_end();
}

/* Sums of all blocks, in their order, into those of the first. */
static void add_blocks(const pri_amx_shape *s, float *sums, int64_t from, int64_t count)
{
    for (int64_t b = 1; b < s->blocks; b++) {
        const float *more = sums + b * block_floats(s);
        for (int64_t k = from; k < from + count; k++)
            sums[k] += more[k];
    }
}

/* Adds a block of outputs, and one of inputs, to plain gradients. */
static void spread(float *weights, const pri_amx_shape *s, const float *sums, int64_t out,
                   int64_t in)
{
    const int64_t outputs = pri_min_i64(PRI_AMX_CHANNELS, s->out_channels - out * PRI_AMX_CHANNELS);
    const int64_t inputs = pri_min_i64(PRI_AMX_CHANNELS, s->in_channels - in * PRI_AMX_CHANNELS);

    for (int64_t o = 0; o < outputs; o++) {
        float *row =
            weights +
            ((out * PRI_AMX_CHANNELS + o) * s->in_channels + in * PRI_AMX_CHANNELS) * s->taps;
        for (int64_t i = 0; i < inputs; i++) {
            for (int t = 0; t < s->taps; t++)
                row[i * s->taps + t] += sums[(t * PRI_AMX_CHANNELS + o) * PRI_AMX_CHANNELS + i];
        }
    }
}

void pri_amx_weights_run(const pri_amx_weights *w, const uint16_t *src, const uint16_t *diff_dst,
                         float *diff_weights, float *diff_bias, void *scratch)
{
    const pri_amx_shape *s = &w->shape;
    const operands o = {src, diff_dst, diff_bias != NULL};
    unsigned char *rooms = scratch;
    float *sums = (float *)(void *)(rooms + w->threads * strip_bytes(s));
    const int64_t tiles = s->taps * SUMS;

#pragma omp parallel for schedule(static) num_threads(w->threads)
    for (int64_t k = 0; k < s->blocks * w->parts; k++)
        sum_part(w, &o, k, rooms + pri_thread() * strip_bytes(s), sums);
    if (diff_weights != NULL) {
#pragma omp parallel for schedule(static) num_threads(w->threads) if (weight_sums(s) > 65536)
        for (int64_t k = 0; k < s->out_blocks * s->in_blocks; k++) {
            add_blocks(s, sums, k * tiles, tiles);
            spread(diff_weights, s, sums + k * tiles, k / s->in_blocks, k % s->in_blocks);
        }
    }
    if (diff_bias == NULL)
        return;
    add_blocks(s, sums, weight_sums(s), s->out_blocks * PRI_AMX_CHANNELS);
    for (int64_t c = 0; c < s->out_channels; c++)
        diff_bias[c] += sums[weight_sums(s) + c];
}
#else
bool pri_amx_weights_suits(const pri_conv_problem *p)
{
    (void)p;
    return false;
}

pare_status pri_amx_weights_new(pri_amx_weights **out, pare_context *ctx,
                                const pri_conv_problem *problem)
{
    (void)problem;
    *out = NULL;
    return pri_fail(ctx, PARE_ERROR_UNSUPPORTED, "this processor has no AMX");
}

void pri_amx_weights_free(pri_amx_weights *w)
{
    (void)w;
}

size_t pri_amx_weights_scratch(const pri_amx_weights *w)
{
    (void)w;
    return 0;
}

void pri_amx_weights_run(const pri_amx_weights *w, const uint16_t *src, const uint16_t *diff_dst,
                         float *diff_weights, float *diff_bias, void *scratch)
{
    (void)w, (void)src, (void)diff_dst, (void)diff_weights, (void)diff_bias, (void)scratch;
}
#endif
