/* SPDX-License-Identifier: Apache-2.0 */
/* choose_time.c - times two algorithms of a convolution; see choose.h. */
#include <math.h>
#include <string.h>

#include "kernels/choose.h"
#include "kernels/dnn_conv.h"
#include "kernels/narrow.h"

/* Multiply-accumulates a thread does of what is timed at most, about a quarter of a second. Half of
 * a batch need not take half as long: Winograd's algorithm turns weights once however many images
 * there are, and both cut a problem up anew for each size. */
static const double macs_a_thread = 16e9;
enum { LEAST_ROWS = 32 }; /* that are left of an image */
/* Rounds: as many as time allows; of slow problems one where that is clear, otherwise three. */
enum { ROUNDS = 12, LEAST_ROUNDS = 3 };
static const double budget_s = 0.045, /* of running; making primitives takes the rest */
    least_s = 2e-4,                   /* below it the rule holds */
    gain = 1.08,                      /* that the other algorithm has to bring */
    clear = 1.3;

typedef struct trial {
    pri_conv *conv;
    double best; /* seconds of the whole problem; 0: not run yet */
} trial;

typedef struct bench {
    pare_context *ctx;
    pri_conv_problem part;
    unsigned directions;
    double scale; /* how many parts the problem is */
    /* one block of memory: */
    void *x, *y, *gradient_x, *gradient_y; /* of the problem's types */
    void *weights, *gradient_weights, *gradient_bias;
    void *scratch;
} bench;

static double macs_of(const pri_conv_problem *p, unsigned directions)
{
    const int n = ((directions & PRI_CONV_FORWARD) != 0) +
                  ((directions & PRI_CONV_BACKWARD_DATA) != 0) +
                  ((directions & PRI_CONV_BACKWARD_WEIGHTS) != 0);

    return (double)n * (double)(p->batch * p->out[0]) * (double)(p->out[1] * p->in_channels) *
           (double)(p->out_channels * p->kernel[0] * p->kernel[1]);
}

/* Halves the batch until it is short enough, then the rows of one image: a 3 x 3 kernel of stride 1
 * is as fast on them. */
static void take_part(bench *b, const pri_conv_problem *whole)
{
    const double most = macs_a_thread * pare_context_threads(b->ctx);
    pri_conv_problem *p = &b->part;

    *p = *whole;
    while (p->batch > 1 && macs_of(p, b->directions) > most)
        p->batch = (p->batch + 1) / 2;
    while (p->out[0] >= 2 * LEAST_ROWS && macs_of(p, b->directions) > most) {
        p->in[0] -= p->out[0] / 2;
        p->out[0] -= p->out[0] / 2;
    }
    b->scale = (double)whole->batch * (double)whole->out[0] / (double)(p->batch * p->out[0]);
}

static size_t bytes_of(pri_dtype type)
{
    return type == PRI_BF16 ? sizeof(uint16_t) : sizeof(float);
}

/* Numbers between -size and size: zeros and subnormal numbers would tell wrong times. */
static void fill(void *at, pri_dtype type, int64_t count, float size)
{
    enum { PERIOD = 4099 };
    float numbers[PERIOD];
    uint16_t narrow[PERIOD];
    uint32_t state = 12345;

    for (int i = 0; i < PERIOD; i++) {
        state = state * 1664525u + 1013904223u;
        numbers[i] = size * ((float)(state >> 8) / 8388608.0f - 1);
    }
    pri_narrow(narrow, numbers, PERIOD);
    const void *from = type == PRI_BF16 ? (const void *)narrow : (const void *)numbers;
    for (int64_t i = 0; i < count; i += PERIOD)
        memcpy((unsigned char *)at + (size_t)i * bytes_of(type), from,
               (size_t)pri_min_i64(PERIOD, count - i) * bytes_of(type));
}

static bool take_memory(bench *b, const pri_conv *first, const pri_conv *second)
{
    const pri_conv_problem *p = &b->part;
    const int64_t columns = p->in_channels * p->kernel[0] * p->kernel[1];
    const int64_t x = p->batch * p->in_channels * p->in[0] * p->in[1];
    const int64_t y = p->batch * p->out_channels * p->out[0] * p->out[1];
    const int64_t w = columns * p->out_channels;
    const struct {
        void **place;
        int64_t count;
        pri_dtype type;
    } arrays[] = {{&b->x, x, p->src_type},
                  {&b->y, y, p->dst_type},
                  {&b->gradient_x, x, p->src_type},
                  {&b->gradient_y, y, p->dst_type},
                  {&b->weights, w, PRI_F32},
                  {&b->gradient_weights, w, PRI_F32},
                  {&b->gradient_bias, p->out_channels, PRI_F32}};
    const size_t scratch = pri_conv_scratch(first) > pri_conv_scratch(second)
                               ? pri_conv_scratch(first)
                               : pri_conv_scratch(second);
    size_t total = pri_dnn_round_up(scratch);

    for (size_t k = 0; k < PRI_COUNT(arrays); k++)
        total += pri_dnn_round_up((size_t)arrays[k].count * bytes_of(arrays[k].type));
    unsigned char *at = pri_alloc_aligned(b->ctx, total);
    if (at == NULL)
        return false;
    b->scratch = at;
    memset(at, 0, scratch);
    at += pri_dnn_round_up(scratch);
    for (size_t k = 0; k < PRI_COUNT(arrays); k++) {
        *arrays[k].place = at;
        fill(at, arrays[k].type, arrays[k].count, at == b->weights ? 1 / sqrtf((float)columns) : 1);
        at += pri_dnn_round_up((size_t)arrays[k].count * bytes_of(arrays[k].type));
    }
    return true;
}

/* One step by one algorithm; weights are packed where a training step would find them changed, and
 * the first time. */
static pare_status run(const bench *b, trial *t)
{
    const bool has_data = (b->directions & PRI_CONV_BACKWARD_DATA) != 0;
    const bool has_weights = (b->directions & PRI_CONV_BACKWARD_WEIGHTS) != 0;
    const double begin = pri_work_clock_s(b->ctx);

    if (has_weights || t->best == 0)
        PRI_TRY(pri_conv_pack(t->conv, b->weights, NULL, NULL, b->scratch));
    const double packed = pri_work_clock_s(b->ctx);
    if ((b->directions & PRI_CONV_FORWARD) != 0)
        PRI_TRY(pri_conv_forward(t->conv, b->x, b->y, b->scratch));
    if (has_data)
        PRI_TRY(pri_conv_backward_data(t->conv, b->gradient_y, b->gradient_x, b->scratch));
    if (has_weights)
        PRI_TRY(pri_conv_backward_weights(t->conv, b->x, b->gradient_y, b->gradient_weights,
                                          b->gradient_bias, b->scratch, has_data));
    const double seconds =
        (has_weights ? packed - begin : 0) + b->scale * (pri_work_clock_s(b->ctx) - packed);
    t->best = t->best == 0 ? seconds : fmin(t->best, seconds);
    return PARE_OK;
}

/* In turns, so that what slows the machine down for a while slows down both. */
static pare_status run_in_turns(const bench *b, trial *rule, trial *other)
{
    const double end = pri_clock_s() + budget_s;

    for (int r = 0; r == 0 || (r < LEAST_ROUNDS && rule->best < 5 * least_s); r++)
        PRI_TRY(run(b, rule));
    if (rule->best < least_s)
        return PARE_OK;
    PRI_TRY(run(b, other));
    for (int r = 1; r < ROUNDS; r++) {
        const double ratio = rule->best / other->best;
        if (pri_clock_s() > end && (r >= LEAST_ROUNDS || ratio > clear || ratio < 1 / clear))
            break;
        PRI_TRY(run(b, other));
        PRI_TRY(run(b, rule));
    }
    return PARE_OK;
}

pri_conv_algorithm pri_conv_faster(double seconds[2], pare_context *ctx,
                                   const pri_conv_problem *problem, unsigned directions,
                                   pri_conv_algorithm rule, pri_conv_algorithm other)
{
    bench b = {.ctx = ctx, .directions = directions};
    trial first = {0}, second = {0};
    pri_conv_algorithm faster = rule;

    take_part(&b, problem);
    if (pri_conv_make(&first.conv, ctx, &b.part, directions, rule) != PARE_OK)
        faster = rule;
    else if (pri_conv_make(&second.conv, ctx, &b.part, directions, other) == PARE_OK &&
             take_memory(&b, first.conv, second.conv) &&
             run_in_turns(&b, &first, &second) == PARE_OK && second.best > 0 &&
             first.best >= least_s && first.best > gain * second.best)
        faster = other;
    seconds[0] = first.best;
    seconds[1] = second.best;
    pri_free(b.scratch);
    pri_conv_free(first.conv);
    pri_conv_free(second.conv);
    pri_forget(ctx); /* an algorithm that cannot do it, or no memory: the rule */
    return faster;
}
