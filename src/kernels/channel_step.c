/* SPDX-License-Identifier: Apache-2.0 */
/* channel_step.c - see channel_step.h. */
#include "kernels/channel_step.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/choose.h"
#include "kernels/dnn_conv.h"

const int pri_step_counts[PRI_STEP_COUNTS] = {32, 33, 34, 36, 40, 44, 47, 48};

static const int steps[] = {16, 8, 4};

int pri_channel_step_rule(void)
{
    const char *isa = pri_dnn_isa();

    return strncmp(isa, "avx512", 6) == 0 ? 16 : strncmp(isa, "avx2", 4) == 0 ? 8 : 4;
}

static double time_at(const double seconds[PRI_STEP_COUNTS], int count)
{
    for (int k = 0; k < PRI_STEP_COUNTS; k++) {
        if (pri_step_counts[k] == count)
            return seconds[k];
    }
    return 0;
}

/* Mean share of a step's time that channels inside of it cost: 1 where each costs what all do,
 * about 0.45 where time grows evenly. */
static double share_inside(const double seconds[PRI_STEP_COUNTS], int step)
{
    double sum = 0;
    int n = 0;

    for (int k = 0; k < PRI_STEP_COUNTS; k++) {
        const int from = pri_step_counts[k] / step * step, to = from + step;
        if (from == pri_step_counts[k] || time_at(seconds, to) <= 0)
            continue;
        const double base = time_at(seconds, from), whole = time_at(seconds, to) - base;
        if (base <= 0 || whole <= 0)
            return 0;
        sum += (seconds[k] - base) / whole;
        n++;
    }
    return n > 0 ? sum / n : 0;
}

int pri_channel_step_of(const double seconds[PRI_STEP_COUNTS])
{
    /* two half steps give 0.67 for the whole one (AVX2: 0.66); AVX-512 measured 0.80 to 0.87 */
    const double least = 0.73;

    if (seconds[0] <= 0 || seconds[PRI_STEP_COUNTS - 1] <= seconds[0])
        return 0;
    for (size_t i = 0; i + 1 < PRI_COUNT(steps); i++) {
        if (share_inside(seconds, steps[i]) >= least)
            return steps[i];
    }
    return 4;
}

/* --- Times --- */

/* Convolutions of 3 x 3 on made-up images, all channels of them. */
typedef struct bench {
    pri_conv *convs[PRI_STEP_COUNTS];
    float *x, *y, *weights;
    void *scratch;
} bench;

enum { SIDE = 28, ROUNDS = 41, MOST_PIXELS = SIDE * SIDE * PRI_STEP_LAST };

static void bench_end(bench *b)
{
    for (int k = 0; k < PRI_STEP_COUNTS; k++)
        pri_conv_free(b->convs[k]);
    pri_free(b->x);
    pri_free(b->y);
    pri_free(b->weights);
    pri_free(b->scratch);
}

static pare_status bench_begin(bench *b, pare_context *ctx)
{
    size_t scratch_bytes = 64;

    for (int k = 0; k < PRI_STEP_COUNTS; k++) {
        const pri_conv_problem p = {.spatial = 2,
                                    .batch = 1,
                                    .groups = 1,
                                    .in_channels = pri_step_counts[k],
                                    .out_channels = pri_step_counts[k],
                                    .in = {SIDE, SIDE},
                                    .out = {SIDE, SIDE},
                                    .kernel = {3, 3},
                                    .stride = {1, 1},
                                    .dilation = {1, 1},
                                    .pad_begin = {1, 1},
                                    .pad_end = {1, 1},
                                    .layout = PRI_CHANNELS_LAST,
                                    .is_direct = true,
                                    .post = PRI_POST_RELU};
        PRI_TRY(pri_conv_make(&b->convs[k], ctx, &p, PRI_CONV_FORWARD, PRI_CONV_DIRECT));
        if (pri_conv_scratch(b->convs[k]) > scratch_bytes)
            scratch_bytes = pri_conv_scratch(b->convs[k]);
    }
    b->x = pri_alloc_aligned(ctx, MOST_PIXELS * sizeof *b->x);
    b->y = pri_alloc_aligned(ctx, MOST_PIXELS * sizeof *b->y);
    b->weights = pri_alloc(ctx, 9 * PRI_STEP_LAST * PRI_STEP_LAST, sizeof *b->weights);
    b->scratch = pri_alloc_aligned(ctx, scratch_bytes);
    if (b->x == NULL || b->y == NULL || b->weights == NULL || b->scratch == NULL)
        return PARE_ERROR_MEMORY;
    memset(b->x, 0, MOST_PIXELS * sizeof *b->x);
    for (int k = 0; k < PRI_STEP_COUNTS; k++)
        PRI_TRY(pri_conv_pack(b->convs[k], b->weights, NULL, NULL, b->scratch));
    return PARE_OK;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Times of all counts in turns, as medians of what they are of the first one's in the same round:
 * what else runs slows a round down, or one of its runs. */
static pare_status take_times(double times[PRI_STEP_COUNTS], bench *b)
{
    double shares[PRI_STEP_COUNTS][ROUNDS];

    for (int round = -1; round < ROUNDS; round++) { /* the first one warms up */
        double first = 0;
        for (int k = 0; k < PRI_STEP_COUNTS; k++) {
            const double start = pri_clock_s();
            PRI_TRY(pri_conv_forward(b->convs[k], b->x, b->y, b->scratch));
            const double seconds = pri_clock_s() - start;
            first = k == 0 ? seconds : first;
            if (round >= 0)
                shares[k][round] = first > 0 ? seconds / first : 0;
        }
    }
    for (int k = 0; k < PRI_STEP_COUNTS; k++) {
        qsort(shares[k], ROUNDS, sizeof shares[k][0], by_size);
        times[k] = shares[k][ROUNDS / 2];
    }
    return PARE_OK;
}

/* Something other than the rule has to be seen twice. */
static pare_status find_step(int *step, double times[PRI_STEP_COUNTS], bench *b)
{
    *step = pri_channel_step_rule();
    PRI_TRY(take_times(times, b));
    const int first = pri_channel_step_of(times);
    if (first == 0 || first == *step)
        return PARE_OK;
    PRI_TRY(take_times(times, b));
    if (pri_channel_step_of(times) == first)
        *step = first;
    return PARE_OK;
}

static bool measure(char word[PRI_CHOICE_WORD], char note[PRI_CHOICE_NOTE], pare_context *ctx,
                    const void *what)
{
    bench b = {0};
    double times[PRI_STEP_COUNTS] = {0};
    pare_status status = bench_begin(&b, ctx);
    (void)what;

    int step = 0;
    if (status == PARE_OK)
        status = find_step(&step, times, &b);
    bench_end(&b);
    if (status != PARE_OK) {
        pri_forget(ctx);
        return false;
    }
    snprintf(word, PRI_CHOICE_WORD, "%d", step);
    for (int k = 0, used = 0; k < PRI_STEP_COUNTS && used < PRI_CHOICE_NOTE; k++)
        used += snprintf(note + used, PRI_CHOICE_NOTE - (size_t)used, "%s%.2f",
                         k > 0 ? " " : "times ", times[k]);
    return true;
}

int pri_channel_step(pare_context *ctx)
{
    char key[PRI_CHOICE_KEY], word[PRI_CHOICE_WORD];

    snprintf(key, sizeof key, "step of channels threads %d", pare_context_threads(ctx));
    if (!pri_remember(word, ctx, key, measure, NULL))
        return pri_channel_step_rule();
    for (size_t i = 0; i < PRI_COUNT(steps); i++) {
        if (atoi(word) == steps[i])
            return steps[i];
    }
    return pri_channel_step_rule(); /* a file may say anything */
}
