/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loss.c - see loss.h.
 *
 * Positions are taken in blocks, so that the loops over classes run along memory whether a head has
 * one position or a whole image of them. Every image sums into its own place; these are added in
 * order.
 */
#include "train/loss.h"

#include <math.h>
#include <string.h>

#include <pare/data.h>

enum { BLOCK = 128 };

/* Class of position p of image n, or -1; `masks` or `labels` may be NULL. */
static int64_t class_at(const pri_loss *loss, const int32_t *labels, const uint8_t *masks,
                        int64_t n, int64_t p)
{
    int64_t label = -1;

    if (labels != NULL)
        label = labels[n];
    else if (masks != NULL && masks[n * loss->positions + p] != PARE_IGNORE)
        label = masks[n * loss->positions + p];
    return label < loss->classes ? label : -1;
}

static int64_t label_of(const pri_loss *loss, int64_t n, int64_t p)
{
    return class_at(loss, loss->labels, loss->masks, n, p);
}

/* Share of the first label of a position, and the other label. Where the image that was blended in
 * has none, the first counts whole. */
static double share_of(const pri_loss *loss, int64_t n, int64_t p, int64_t *second)
{
    const bool is_mixed = loss->weights != NULL && (loss->labels2 != NULL || loss->masks2 != NULL);

    *second = is_mixed ? class_at(loss, loss->labels2, loss->masks2, n, p) : -1;
    return *second >= 0 ? (double)loss->weights[n] : 1;
}

static int64_t count_labels(const pri_loss *loss)
{
    int64_t count = 0;

    for (int64_t n = 0; n < loss->images; n++) {
        for (int64_t p = 0; p < loss->positions; p++)
            count += label_of(loss, n, p) >= 0;
    }
    return count;
}

/* max[p] and log(sum_k exp((z_k - max) * heat)) of `count` neighbouring positions. */
static void log_sums(const float *z, int64_t classes, int64_t stride, int64_t count, float heat,
                     float *max, float *log_sum)
{
    float sum[BLOCK] = {0};

    memcpy(max, z, (size_t)count * sizeof *max);
    for (int64_t k = 1; k < classes; k++) {
        for (int64_t i = 0; i < count; i++)
            max[i] = z[k * stride + i] > max[i] ? z[k * stride + i] : max[i];
    }
    for (int64_t k = 0; k < classes; k++) {
        for (int64_t i = 0; i < count; i++)
            sum[i] += expf((z[k * stride + i] - max[i]) * heat);
    }
    for (int64_t i = 0; i < count; i++)
        log_sum[i] = logf(sum[i]);
}

/* Cross-entropy of one block; d(loss)/d(z_k) = factor * (p_k - q_k). */
static double add_hard(const pri_loss *loss, int64_t n, int64_t from, int64_t count, double factor)
{
    const int64_t stride = loss->positions, first = n * loss->classes * stride + from;
    const float *z = loss->logits + first;
    const double even = loss->smoothing / (double)loss->classes;
    float max[BLOCK], log_sum[BLOCK];
    double total = 0;

    log_sums(z, loss->classes, stride, count, 1, max, log_sum);
    for (int64_t i = 0; i < count; i++) {
        const int64_t label = label_of(loss, n, from + i);
        if (label < 0)
            continue;
        int64_t second;
        const double share = share_of(loss, n, from + i, &second);
        const double first_share = (1 - loss->smoothing) * share;
        const double second_share = (1 - loss->smoothing) * (1 - share);
        double mean = 0;
        for (int64_t k = 0; k < loss->classes && even > 0; k++)
            mean += z[k * stride + i] - max[i];
        total += log_sum[i] - even * mean - first_share * (z[label * stride + i] - max[i]);
        if (second >= 0)
            total -= second_share * (z[second * stride + i] - max[i]);
        if (loss->gradient == NULL)
            continue;
        float *g = loss->gradient + first + i;
        for (int64_t k = 0; k < loss->classes; k++)
            g[k * stride] += (float)(factor * (expf(z[k * stride + i] - max[i] - log_sum[i]) - even));
        g[label * stride] -= (float)(factor * first_share);
        if (second >= 0)
            g[second * stride] -= (float)(factor * second_share);
    }
    return total;
}

/* Divergence of one block, without T^2; its gradient with T^2 is T (p_k - t_k). */
static double add_soft(const pri_loss *loss, int64_t n, int64_t from, int64_t count, double factor)
{
    const int64_t stride = loss->positions, first = n * loss->classes * stride + from;
    const float *z = loss->logits + first, *t = loss->teacher + first;
    const float heat = (float)(1 / loss->temperature);
    float max[2][BLOCK], log_sum[2][BLOCK];
    double total = 0;

    log_sums(z, loss->classes, stride, count, heat, max[0], log_sum[0]);
    log_sums(t, loss->classes, stride, count, heat, max[1], log_sum[1]);
    for (int64_t k = 0; k < loss->classes; k++) {
        for (int64_t i = 0; i < count; i++) {
            const float own = (z[k * stride + i] - max[0][i]) * heat - log_sum[0][i];
            const float wanted = (t[k * stride + i] - max[1][i]) * heat - log_sum[1][i];
            const float probability = expf(wanted);
            total += (double)probability * (wanted - own);
            if (loss->gradient != NULL)
                loss->gradient[first + k * stride + i] +=
                    (float)(factor * loss->temperature) * (expf(own) - probability);
        }
    }
    return total;
}

double pri_loss_compute(const pri_loss *loss)
{
    const int64_t size = loss->classes * loss->positions;
    const int64_t labelled = loss->hard > 0 ? count_labels(loss) : 0;
    const double hard = labelled > 0 ? loss->hard / (double)labelled : 0;
    const double soft = loss->teacher != NULL && loss->soft > 0
                            ? loss->soft / (double)(loss->images * loss->positions)
                            : 0;
    double total = 0;

#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < loss->images; n++) {
        double *sums = loss->partial + 2 * n;
        sums[0] = sums[1] = 0;
        if (loss->gradient != NULL)
            memset(loss->gradient + n * size, 0, (size_t)size * sizeof *loss->gradient);
        for (int64_t from = 0; from < loss->positions; from += BLOCK) {
            const int64_t count = pri_min_i64(BLOCK, loss->positions - from);
            if (hard > 0)
                sums[0] += add_hard(loss, n, from, count, hard);
            if (soft > 0)
                sums[1] += add_soft(loss, n, from, count, soft);
        }
    }
    for (int64_t n = 0; n < loss->images; n++)
        total += hard * loss->partial[2 * n] +
                 soft * loss->temperature * loss->temperature * loss->partial[2 * n + 1];
    return total;
}
