/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loss_dice.c - the loss that is not a mean over positions: the overlap of each class.
 *
 * A first pass takes the sums of every image, a second one writes gradients. A head of one output
 * has two classes, no and yes.
 */
#include <math.h>
#include <string.h>

#include "base/vector_math.h"
#include "train/loss_terms.h"

/* A block of positions of one image. */
typedef struct block {
    int64_t first, count;
    int32_t label[PRI_LOSS_BLOCK]; /* -1: not counted */
    float max[PRI_LOSS_BLOCK], log_sum[PRI_LOSS_BLOCK];
} block;

/* The label with the larger share of a blended image. */
static int64_t main_label(const pri_loss *loss, int64_t n, int64_t p, int64_t limit)
{
    pri_loss_block at = {.image = n, .limit = limit};
    double weight;
    const int64_t first = pri_loss_label(loss, &at, p, &weight);

    if (loss->weights == NULL || loss->weights[n] >= 0.5f)
        return first;
    at.is_second = true;
    const int64_t second = pri_loss_label(loss, &at, p, &weight);
    return second >= 0 ? second : first;
}

static double class_weight(const pri_loss *loss, int64_t k)
{
    return loss->class_weights != NULL ? loss->class_weights[k] : 1;
}

static void look(block *b, const pri_loss *loss, int64_t n, int64_t from, int64_t limit)
{
    b->first = n * loss->classes * loss->positions + from;
    b->count = pri_min_i64(PRI_LOSS_BLOCK, loss->positions - from);
    for (int64_t i = 0; i < b->count; i++)
        b->label[i] = (int32_t)main_label(loss, n, from + i, limit);
    if (loss->classes > 1)
        pri_loss_log_sums(loss->logits + b->first, loss->classes, loss->positions, b->count, 1,
                          b->max, b->log_sum);
}

/* Probabilities of class k at the positions of the block. */
static void take_probabilities(float *to, const pri_loss *loss, const block *b, int64_t k)
{
    const float *z = loss->logits + b->first;

    if (loss->classes > 1) {
        pri_loss_probabilities(to, z + k * loss->positions, b->max, b->log_sum, b->count);
        return;
    }
    for (int64_t i = 0; i < b->count; i++)
        to[i] = pri_sigmoid(k == 1 ? z[i] : -z[i]);
}

/* Adds the sums of p t, of p and of t at the positions of a block. */
PRI_CLONES static void add_sums(double sums[3], const float *p, const int32_t *label, int32_t class,
                                int64_t count)
{
    float overlap = 0, own = 0, true_ones = 0;

#pragma omp simd reduction(+ : overlap, own, true_ones)
    for (int64_t i = 0; i < count; i++) {
        const float counted = label[i] < 0 ? 0 : p[i], is_true = label[i] == class ? 1.0f : 0.0f;
        overlap += is_true * counted;
        own += counted;
        true_ones += is_true;
    }
    sums[0] += (double)overlap;
    sums[1] += (double)own;
    sums[2] += (double)true_ones;
}

/* sums[3k ..]: these of class k over one image. */
static void sum_image(double *sums, const pri_loss *loss, int64_t n, int64_t limit, int64_t classes)
{
    float p[PRI_LOSS_BLOCK];
    block b;

    memset(sums, 0, 3 * (size_t)classes * sizeof *sums);
    for (int64_t from = 0; from < loss->positions; from += PRI_LOSS_BLOCK) {
        look(&b, loss, n, from, limit);
        for (int64_t k = 0; k < classes; k++) {
            take_probabilities(p, loss, &b, k);
            add_sums(sums + 3 * k, p, b.label, (int32_t)k, b.count);
        }
    }
}

/* Slopes of a class: where it is not that of the position, and where it is. */
typedef struct slope {
    float other, own;
} slope;

static slope slope_of(const double *slopes, int64_t k)
{
    return (slope){(float)slopes[3 * k], (float)slopes[3 * k + 1]};
}

PRI_CLONES static void add_mean(float *restrict mean, const float *restrict p,
                                const int32_t *restrict label, int32_t class, slope s,
                                int64_t count)
{
    PRI_SIMD
    for (int64_t i = 0; i < count; i++)
        mean[i] += (label[i] == class ? s.own : s.other) * p[i];
}

PRI_CLONES static void give(float *restrict g, const float *restrict p, const float *restrict mean,
                            const int32_t *restrict label, int32_t class, slope s, float factor,
                            int64_t count)
{
    PRI_SIMD
    for (int64_t i = 0; i < count; i++) {
        const float change = factor * p[i] * ((label[i] == class ? s.own : s.other) - mean[i]);
        g[i] += label[i] < 0 ? 0 : change;
    }
}

/* slopes[3k + [y = k]]: d(loss)/d(p_k) at a position of class y. With softmax,
 * d(loss)/d(z_k) = p_k (s_k - sum_j s_j p_j); with one output the same for k = yes is the
 * derivative by z. */
static void write_image(const pri_loss *loss, int64_t n, int64_t limit, const double *slopes,
                        double factor)
{
    const int64_t classes = pri_max_i64(loss->classes, 2);
    float p[PRI_LOSS_BLOCK];
    block b;

    for (int64_t from = 0; from < loss->positions; from += PRI_LOSS_BLOCK) {
        float mean[PRI_LOSS_BLOCK] = {0};
        look(&b, loss, n, from, limit);
        for (int64_t k = 0; k < classes; k++) {
            take_probabilities(p, loss, &b, k);
            add_mean(mean, p, b.label, (int32_t)k, slope_of(slopes, k), b.count);
        }
        for (int64_t k = classes - loss->classes; k < classes; k++) {
            float *g = loss->gradient + b.first + (loss->classes > 1 ? k * loss->positions : 0);
            take_probabilities(p, loss, &b, k);
            give(g, p, mean, b.label, (int32_t)k, slope_of(slopes, k), (float)factor, b.count);
        }
    }
}

double pri_loss_dice(const pri_loss *loss, const pri_loss_block *like)
{
    const int64_t classes = pri_max_i64(loss->classes, 2), row = 3 * classes;
    double *sums = loss->partial, occurring = 0, total = 0;

#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < loss->images; n++)
        sum_image(sums + n * row, loss, n, like->limit, classes);
    for (int64_t n = 1; n < loss->images; n++) {
        for (int64_t j = 0; j < row; j++)
            sums[j] += sums[n * row + j];
    }
    for (int64_t k = 0; k < classes; k++)
        occurring += sums[3 * k + 2] > 0 ? class_weight(loss, k) : 0;
    for (int64_t k = 0; k < classes; k++) {
        const double above = 2 * sums[3 * k] + 1, below = sums[3 * k + 1] + sums[3 * k + 2] + 1;
        const bool counts = sums[3 * k + 2] > 0 && occurring > 0;
        const double weight = counts ? class_weight(loss, k) / occurring : 0;
        total += weight * (1 - above / below);
        sums[3 * k] = weight * above / (below * below);
        sums[3 * k + 1] = sums[3 * k] - 2 * weight / below;
    }
    if (loss->gradient != NULL) {
#pragma omp parallel for schedule(static)
        for (int64_t n = 0; n < loss->images; n++)
            write_image(loss, n, like->limit, sums, like->factor);
    }
    return total;
}
