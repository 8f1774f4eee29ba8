/* SPDX-License-Identifier: Apache-2.0 */
/* winograd_run.c - see winograd_run.h. */
#include "winograd_run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "kernels/narrow.h"

/* --- Operands with something around them --- */

enum { AROUND = 256 };

static size_t bytes_of(const test_array *a)
{
    return (size_t)a->count * pri_dtype_bytes(a->dtype);
}

static void *taken(size_t bytes)
{
    void *room = malloc(bytes > 0 ? bytes : 1);

    assert_non_null(room);
    return room;
}

/* Normal numbers, as far as the type holds them; seed 0: NaN. */
static test_array array_of(int64_t count, pri_dtype dtype, uint64_t seed)
{
    test_array a = {.dtype = dtype, .count = count};
    const size_t bytes = bytes_of(&a);

    a.room = taken(bytes + 2 * AROUND + 64);
    memset(a.room, 0xff, bytes + 2 * AROUND + 64);
    a.data = a.room + (64 - (uintptr_t)a.room % 64) + AROUND + pri_dtype_bytes(dtype);
    a.floats = taken((size_t)count * sizeof(float));
    for (int64_t i = 0; i < count; i++) {
        float value = NAN;
        if (seed > 0)
            value = (float)pri_random_normal(seed, PRI_STREAM_TEST, (uint64_t)i);
        const uint16_t half = pri_f32_to_bf16(value);
        a.floats[i] = dtype == PRI_BF16 ? pri_bf16_to_f32(half) : value;
        if (seed > 0)
            memcpy(a.data + (size_t)i * pri_dtype_bytes(dtype),
                   dtype == PRI_BF16 ? (const void *)&half : (const void *)&value,
                   pri_dtype_bytes(dtype));
    }
    return a;
}

double test_element(const test_array *a, int64_t i)
{
    return a->dtype == PRI_BF16 ? (double)PRI_LOAD(a->data, i, true)
                                : (double)PRI_LOAD((const void *)a->data, i, false);
}

static void assert_nothing_around(const test_array *a)
{
    const unsigned char *end = a->data + bytes_of(a);

    for (const unsigned char *at = a->data - AROUND; at < a->data; at++)
        assert_int_equal(*at, 0xff);
    for (const unsigned char *at = end; at < end + AROUND - 64; at++)
        assert_int_equal(*at, 0xff);
}

static void drop(test_array *a)
{
    free(a->room);
    free(a->floats);
}

/* --- One convolution --- */

winograd_run winograd_run_new(const pri_conv_problem *p)
{
    const int64_t in = p->batch * p->in[0] * p->in[1] * p->in_channels;
    const int64_t out = p->batch * p->out[0] * p->out[1] * p->out_channels;
    const int64_t weights = 9 * p->in_channels * p->out_channels;

    return (winograd_run){.p = *p,
                          .has_scale = (p->in_channels + p->batch) % 2 == 0,
                          .x = array_of(in, p->src_type, 1),
                          .g = array_of(out, p->dst_type, 2),
                          .w = array_of(weights, PRI_F32, 3),
                          .scale = array_of(p->out_channels, PRI_F32, 4),
                          .bias = array_of(p->out_channels, PRI_F32, 5),
                          .y = array_of(out, p->dst_type, p->accumulates ? 6 : 0),
                          .gx = array_of(in, p->src_type, p->accumulates ? 9 : 0),
                          .gw = array_of(weights, PRI_F32, 7), /* gradients are added to these */
                          .gb = array_of(p->out_channels, PRI_F32, 8)};
}

void winograd_run_end(winograd_run *r)
{
    test_array *const all[] = {&r->x, &r->g,  &r->w,  &r->scale, &r->bias,
                               &r->y, &r->gx, &r->gw, &r->gb};

    for (size_t k = 0; k < PRI_COUNT(all); k++) {
        assert_nothing_around(all[k]);
        drop(all[k]);
    }
}

/* Runs the directions `asked` of one that was made for `made`. */
void winograd_convolve(pare_context *ctx, winograd_run *r, unsigned made, unsigned asked)
{
    pri_winograd *w = NULL;

    assert_true(pri_winograd_suits(&r->p));
    test_ok(ctx, pri_winograd_new(&w, ctx, &r->p, made));
    const size_t bytes = pri_winograd_scratch(w);
    unsigned char *room = taken(bytes + 2 * AROUND + 64);
    unsigned char *scratch = room + AROUND + (64 - (uintptr_t)(room + AROUND) % 64);
    memset(room, 0xff, bytes + 2 * AROUND + 64);
    pri_winograd_pack(w, (const float *)(void *)r->w.data,
                      r->has_scale ? (const float *)(void *)r->scale.data : NULL,
                      (const float *)(void *)r->bias.data);
    if ((asked & WINOGRAD_F) != 0)
        pri_winograd_forward(w, r->x.data, r->y.data, scratch);
    if ((asked & WINOGRAD_D) != 0)
        pri_winograd_backward_data(w, r->g.data, r->gx.data, r->p.accumulates, scratch);
    if ((asked & WINOGRAD_W) != 0)
        pri_winograd_backward_weights(w, r->x.data, r->g.data, (float *)(void *)r->gw.data,
                                      (float *)(void *)r->gb.data, scratch);
    for (int k = 0; k < AROUND; k++)
        assert_true(scratch[-1 - k] == 0xff && scratch[bytes + (size_t)k] == 0xff);
    free(room);
    pri_winograd_free(w);
}

void assert_same_results(const winograd_run *a, const winograd_run *b)
{
    const test_array *const results[][2] = {
        {&a->y, &b->y}, {&a->gx, &b->gx}, {&a->gw, &b->gw}, {&a->gb, &b->gb}};

    for (size_t k = 0; k < PRI_COUNT(results); k++)
        assert_memory_equal(results[k][0]->data, results[k][1]->data, bytes_of(results[k][0]));
}

/* --- Problems --- */

const int64_t winograd_channels[WINOGRAD_CHANNELS] = {1, 15, 16, 17, 31, 33, 48, 65};

int64_t winograd_pick(int64_t below, uint64_t *draws)
{
    return pri_random_below(below, 21, PRI_STREAM_TEST, (*draws)++);
}

pri_conv_problem winograd_drawn(uint64_t *draws)
{
    static const pri_post_kind posts[] = {PRI_POST_NONE, PRI_POST_RELU, PRI_POST_RELU,
                                          PRI_POST_CLIP};
    pri_conv_problem p = naive_conv_problem(1, 1, 1, 4, 4, 3);

    p.in_channels = winograd_channels[winograd_pick(WINOGRAD_CHANNELS, draws)];
    p.out_channels = winograd_channels[winograd_pick(WINOGRAD_CHANNELS, draws)];
    p.batch = winograd_pick(2, draws) == 0 ? 1 : 5;
    p.src_type = winograd_pick(2, draws) == 0 ? PRI_F32 : test_narrow_type();
    p.dst_type = winograd_pick(2, draws) == 0 ? PRI_F32 : test_narrow_type();
    p.accumulates = winograd_pick(2, draws) == 0;
    const int64_t post = winograd_pick(4, draws);
    p.post = posts[post];
    p.alpha = p.post == PRI_POST_CLIP ? -1.5f : post == 2 ? 0.125f : 0;
    p.beta = 6;
    return p;
}

void winograd_skip_without(void)
{
    uint64_t draws = 0;
    const pri_conv_problem p = winograd_drawn(&draws);

    if (pri_winograd_suits(&p))
        return;
    printf("skipped: this processor has neither AVX2 nor AVX-512\n");
    skip();
}
