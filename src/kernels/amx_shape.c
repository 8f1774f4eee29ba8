/* SPDX-License-Identifier: Apache-2.0 */
/* amx_shape.c - how positions are laid out; see amx_tile.h. */
#include "kernels/amx_tile.h"

/* A strip's packed activations stay in the second cache, of which there are 2 MB where there is
 * AMX, and so do the sums of all blocks of strips. Sums that are too many for it are gone through
 * less often: there is one block, whose strips are larger (4 x 512 -> 512 channels at 14 x 14: 1.7
 * times as fast on Sapphire Rapids). */
enum { STRIP_BYTES = 768 * 1024, LARGE_STRIP_BYTES = 3 * 1024 * 1024, SUMS_BYTES = 1024 * 1024 };
enum { FLAT_WIDTH = 256, CHUNK_STEPS = 16 };

static int64_t divided_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* Phase and shift of a tap along an axis: k - pad = shift * stride + phase. */
static int64_t phase_of(const pri_conv_problem *p, int axis, int64_t k)
{
    const int64_t rest = (k - p->pad_begin[axis]) % p->stride[axis];

    return rest < 0 ? rest + p->stride[axis] : rest;
}

static int64_t shift_of(const pri_conv_problem *p, int axis, int64_t k)
{
    return (k - p->pad_begin[axis] - phase_of(p, axis, k)) / p->stride[axis];
}

/* 1 x 1 over whole images: positions are one long row, cut into rows of whole steps. */
static bool is_flat(const pri_conv_problem *p)
{
    for (int k = 0; k < 2; k++) {
        if (p->kernel[k] != 1 || p->stride[k] != 1 || p->pad_begin[k] != 0 || p->in[k] != p->out[k])
            return false;
    }
    return true;
}

static void set_sizes(pri_amx_shape *s, const pri_conv_problem *p)
{
    s->in_channels = p->in_channels;
    s->out_channels = p->out_channels;
    s->in_blocks = divided_up(p->in_channels, PRI_AMX_CHANNELS);
    s->out_blocks = divided_up(p->out_channels, PRI_AMX_CHANNELS);
    s->src_pixels = p->batch * p->in[0] * p->in[1];
    s->dst_pixels = p->batch * p->out[0] * p->out[1];
    for (int k = 0; k < 2; k++) {
        s->src[k] = p->in[k];
        s->dst[k] = p->out[k];
        s->stride[k] = p->stride[k];
    }
    if (is_flat(p)) {
        s->dst[1] = pri_min_i64(FLAT_WIDTH, PRI_AMX_STEP * divided_up(s->dst_pixels, PRI_AMX_STEP));
        s->dst[0] = divided_up(s->dst_pixels, s->dst[1]);
        s->src[0] = s->dst[0];
        s->src[1] = s->dst[1];
    }
}

/* Shifts along an axis, and positions from a row (or image) to the next: those with an output,
 * those behind with an input that taps read, and zeros before the first. */
static int64_t set_shifts(pri_amx_shape *s, const pri_conv_problem *p, int axis)
{
    int64_t *low = &s->low[axis], *high = &s->high[axis], *filled = &s->filled[axis];
    const int64_t size = s->dst[axis];

    for (int64_t k = 0; k < p->kernel[axis]; k++) {
        *low = pri_min_i64(*low, shift_of(p, axis, k));
        *high = pri_max_i64(*high, shift_of(p, axis, k));
    }
    *filled = size;
    for (int64_t k = 0; k < p->kernel[axis]; k++) {
        const int64_t there =
            divided_up(s->src[axis] - phase_of(p, axis, k), s->stride[axis]); /* of this phase */
        *filled = pri_max_i64(*filled, pri_min_i64(size + shift_of(p, axis, k), there));
    }
    /* No pair that begins in one row may end in a number of the next. */
    if (axis == 1 && *high > 0 && *low == 0)
        *low = -1;
    return pri_max_i64(size + *high, *filled - *low);
}

static int copy_for(pri_amx_shape *s, const pri_amx_copy *wanted)
{
    for (int k = 0; k < s->copies; k++) {
        const pri_amx_copy *c = &s->copy[k];
        if (c->phase[0] == wanted->phase[0] && c->phase[1] == wanted->phase[1] &&
            c->parity == wanted->parity)
            return k;
    }
    s->copy[s->copies] = *wanted;
    return s->copies++;
}

static void set_taps(pri_amx_shape *s, const pri_conv_problem *p)
{
    for (int64_t kh = 0; kh < p->kernel[0]; kh++) {
        for (int64_t kw = 0; kw < p->kernel[1]; kw++) {
            const int64_t positions =
                (shift_of(p, 0, kh) - s->low[0]) * s->pitch + (shift_of(p, 1, kw) - s->low[1]);
            const pri_amx_copy copy = {{phase_of(p, 0, kh), phase_of(p, 1, kw)}, positions % 2};
            s->tap[s->taps++] = (pri_amx_tap){copy_for(s, &copy), positions / 2 * 64};
        }
    }
}

int64_t pri_amx_steps(const pri_amx_shape *s, int64_t rows)
{
    return s->by_row ? rows * (s->dst[1] / PRI_AMX_STEP)
                     : divided_up(rows * s->pitch, PRI_AMX_STEP);
}

int64_t pri_amx_step_offset(const pri_amx_shape *s, int64_t k)
{
    const int64_t a_row = s->dst[1] / PRI_AMX_STEP;

    return s->by_row ? k / a_row * (s->pitch / 2 * 64) + k % a_row * PRI_AMX_TILE
                     : k * PRI_AMX_TILE;
}

/* Blocks of strips, as many as their sums leave room for; strips that fit the cache, at least one a
 * block. Neither depends on the threads there are. */
static void set_strips(pri_amx_shape *s)
{
    const int64_t row_bytes =
        s->pitch * 2 * PRI_AMX_CHANNELS * (s->out_blocks + s->in_blocks * s->copies);
    const int64_t sums = s->out_blocks * s->in_blocks * s->taps * PRI_AMX_TILE;
    const int64_t span = s->high[0] - s->low[0];

    const int64_t room = sums > SUMS_BYTES ? LARGE_STRIP_BYTES : STRIP_BYTES;

    s->blocks = pri_max_i64(1, pri_min_i64(PRI_AMX_BLOCKS, SUMS_BYTES / sums));
    s->strip_rows = pri_max_i64(1, room / row_bytes - span);
    s->strip_rows = pri_min_i64(s->strip_rows, divided_up(s->rows, s->blocks));
    s->strips = divided_up(s->rows, s->strip_rows);
    s->blocks = pri_min_i64(s->blocks, s->strips);
    s->strip_steps = pri_amx_steps(s, s->strip_rows);
    /* All of a strip, unless packed activations are read for several blocks of outputs, and sums
     * are at hand: then as many as leave room for others in the first cache. */
    s->chunk = s->out_blocks == 1 || sums > SUMS_BYTES ? s->strip_steps
                                                       : pri_min_i64(s->strip_steps, CHUNK_STEPS);
    /* Half a step's positions, and the shift of the last tap, may lie behind the last row. */
    s->copy_bytes = divided_up((s->strip_rows + span) * s->pitch + s->high[1] - s->low[1], 2) * 64 +
                    2 * PRI_AMX_TILE;
}

void pri_amx_lay_out(pri_amx_shape *s, const pri_conv_problem *p)
{
    *s = (pri_amx_shape){0};
    set_sizes(s, p);
    s->image_rows = set_shifts(s, p, 0);
    s->pitch = set_shifts(s, p, 1);
    s->by_row = s->dst[1] % PRI_AMX_STEP == 0;
    /* Even where rows need not be told apart, or else a phase would be paired both ways. */
    if (s->by_row || s->stride[1] > 1 || s->low[1] == s->high[1])
        s->pitch += s->pitch % 2;
    s->rows = s->src_pixels / (p->in[0] * p->in[1]) * s->image_rows;
    if (is_flat(p))
        s->rows = s->image_rows;
    set_taps(s, p);
    set_strips(s);
}

int64_t pri_amx_dy_bytes(const pri_amx_shape *s)
{
    return s->out_blocks * s->strip_steps * PRI_AMX_TILE;
}

int64_t pri_amx_x_bytes(const pri_amx_shape *s)
{
    return s->in_blocks * s->copies * s->copy_bytes;
}
