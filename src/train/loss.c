/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loss.c - see loss.h.
 *
 * Every image sums into its own place; these are added in order.
 */
#include <math.h>
#include <string.h>

#include "base/vector_math.h"
#include "train/loss_terms.h"

/* Sum of the weights of all labelled positions. */
static double sum_weights(const pri_loss *loss, const pri_loss_block *like)
{
    double sum = 0;

#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < loss->images; n++) {
        pri_loss_block block = *like;
        block.image = n;
        loss->partial[n] = 0;
        for (int64_t p = 0; p < loss->positions; p++) {
            double weight;
            loss->partial[n] += pri_loss_label(loss, &block, p, &weight) >= 0 ? weight : 0;
        }
    }
    for (int64_t n = 0; n < loss->images; n++)
        sum += loss->partial[n];
    return sum;
}

/* Loops along positions, for vectors: a row is one class of a block. */
PRI_CLONES static void take_largest(float *restrict max, const float *restrict z, int64_t count)
{
    PRI_SIMD
    for (int64_t i = 0; i < count; i++)
        max[i] = z[i] > max[i] ? z[i] : max[i];
}

PRI_CLONES static void add_exponentials(float *restrict sum, const float *restrict z,
                                        const float *restrict max, float heat, int64_t count)
{
    PRI_SIMD
    for (int64_t i = 0; i < count; i++)
        sum[i] += pri_exp((z[i] - max[i]) * heat);
}

PRI_CLONES static void take_logarithms(float *restrict to, const float *restrict from,
                                       int64_t count)
{
    PRI_SIMD
    for (int64_t i = 0; i < count; i++)
        to[i] = pri_logarithm(from[i]);
}

static void repeat(float *to, float value, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        to[i] = value;
}

/* One position: loops run along its classes. */
static void log_sum_of_one(const float *z, int64_t classes, float heat, float *max, float *log_sum)
{
    float all[PRI_LOSS_BLOCK], sums[PRI_LOSS_BLOCK] = {0}, largest = z[0], sum = 0;

    for (int64_t k = 1; k < classes; k++)
        largest = z[k] > largest ? z[k] : largest;
    repeat(all, largest, PRI_LOSS_BLOCK);
    for (int64_t k = 0; k < classes; k += PRI_LOSS_BLOCK)
        add_exponentials(sums, z + k, all, heat, pri_min_i64(PRI_LOSS_BLOCK, classes - k));
    for (int64_t i = 0; i < pri_min_i64(PRI_LOSS_BLOCK, classes); i++)
        sum += sums[i];
    *max = largest;
    *log_sum = logf(sum);
}

void pri_loss_log_sums(const float *z, int64_t classes, int64_t stride, int64_t count, float heat,
                       float *max, float *log_sum)
{
    float sum[PRI_LOSS_BLOCK] = {0};

    if (stride == 1) {
        log_sum_of_one(z, classes, heat, max, log_sum);
        return;
    }
    memcpy(max, z, (size_t)count * sizeof *max);
    for (int64_t k = 1; k < classes; k++)
        take_largest(max, z + k * stride, count);
    for (int64_t k = 0; k < classes; k++)
        add_exponentials(sum, z + k * stride, max, heat, count);
    take_logarithms(log_sum, sum, count);
}

PRI_CLONES void pri_loss_probabilities(float *restrict to, const float *restrict z,
                                       const float *restrict max, const float *restrict log_sum,
                                       int64_t count)
{
    PRI_SIMD
    for (int64_t i = 0; i < count; i++)
        to[i] = pri_exp(z[i] - max[i] - log_sum[i]);
}

/* g (+)= factor (p - even) for one class. */
PRI_CLONES static void give_ce_row(float *restrict g, const float *restrict p,
                                   const float *restrict factor, float even, bool add,
                                   int64_t count)
{
    if (add) {
        PRI_SIMD
        for (int64_t i = 0; i < count; i++)
            g[i] += factor[i] * (p[i] - even);
    } else {
        PRI_SIMD
        for (int64_t i = 0; i < count; i++)
            g[i] = factor[i] * (p[i] - even);
    }
}

/* d(loss)/d(z_k) = factor * (p_k - q_k); the factor of what has no label is 0. Rows are classes, or
 * the classes of one position by PRI_LOSS_BLOCK: then its numbers are repeated. */
static void give_ce_gradient(const pri_loss *loss, const pri_loss_block *block, float *max,
                             float *log_sum, float *factor, const int64_t *label)
{
    const float even = (float)(loss->smoothing / (double)loss->classes);
    const float right = (float)(1 - loss->smoothing);
    const bool is_one = loss->positions == 1;
    const int64_t step = is_one ? PRI_LOSS_BLOCK : 1;
    float p[PRI_LOSS_BLOCK];

    if (is_one) {
        repeat(max, max[0], PRI_LOSS_BLOCK);
        repeat(log_sum, log_sum[0], PRI_LOSS_BLOCK);
        repeat(factor, factor[0], PRI_LOSS_BLOCK);
    }
    for (int64_t k = 0; k < loss->classes; k += step) {
        const int64_t at = block->first + k * loss->positions;
        const int64_t n = is_one ? pri_min_i64(step, loss->classes - k) : block->count;
        pri_loss_probabilities(p, loss->logits + at, max, log_sum, n);
        give_ce_row(loss->gradient + at, p, factor, even, !block->is_first, n);
    }
    for (int64_t i = 0; i < block->count; i++)
        loss->gradient[block->first + label[i] * loss->positions + i] -= factor[i] * right;
}

/* Cross-entropy; labels of positions that have none stand for class 0 with a factor of 0. */
double pri_loss_add_ce(const pri_loss *loss, const pri_loss_block *block)
{
    const int64_t stride = loss->positions;
    const float *z = loss->logits + block->first;
    const double even = loss->smoothing / (double)loss->classes;
    float max[PRI_LOSS_BLOCK], log_sum[PRI_LOSS_BLOCK], factor[PRI_LOSS_BLOCK];
    int64_t labels[PRI_LOSS_BLOCK];
    double total = 0;

    pri_loss_log_sums(z, loss->classes, stride, block->count, 1, max, log_sum);
    for (int64_t i = 0; i < block->count; i++) {
        double weight = 0;
        const int64_t label = pri_loss_label(loss, block, block->from + i, &weight);
        labels[i] = pri_max_i64(label, 0);
        factor[i] = label < 0 ? 0 : (float)(block->factor * weight);
        if (label < 0)
            continue;
        double mean = 0;
        for (int64_t k = 0; k < loss->classes && even > 0; k++)
            mean += z[k * stride + i] - max[i];
        total += weight * (log_sum[i] - even * mean -
                           (1 - loss->smoothing) * (z[label * stride + i] - max[i]));
    }
    if (loss->gradient != NULL)
        give_ce_gradient(loss, block, max, log_sum, factor, labels);
    return total;
}

/* Divergence of a head of one output, of the two logits z and 0. */
static double add_soft_binary(const pri_loss *loss, const pri_loss_block *block)
{
    const double heat = 1 / loss->temperature;
    double total = 0;

    for (int64_t i = block->first; i < block->first + block->count; i++) {
        const double z = loss->logits[i] * heat, t = loss->teacher[i] * heat;
        const double own = 1 / (1 + exp(-z)), wanted = 1 / (1 + exp(-t));
        const double no_z = log1p(exp(-fabs(z))) + fmax(z, 0),
                     no_t = log1p(exp(-fabs(t))) + fmax(t, 0);
        total += wanted * (t - z) + no_z - no_t;
        if (loss->gradient != NULL)
            loss->gradient[i] += (float)(block->factor * loss->temperature * (own - wanted));
    }
    return total;
}

/* One class of a block: term += t (log t - log p), g += factor (p - t), of the logarithms own of p
 * and wanted of t. */
PRI_CLONES static void add_soft_row(float *restrict term, float *restrict g,
                                    const float *restrict own, const float *restrict wanted,
                                    float factor, int64_t count)
{
    PRI_SIMD
    for (int64_t i = 0; i < count; i++) {
        const float probability = pri_exp(wanted[i]);
        term[i] += probability * (wanted[i] - own[i]);
        g[i] += factor * (pri_exp(own[i]) - probability);
    }
}

PRI_CLONES static void take_log_probabilities(float *restrict to, const float *restrict z,
                                              const float *restrict max,
                                              const float *restrict log_sum, float heat,
                                              int64_t count)
{
    PRI_SIMD
    for (int64_t i = 0; i < count; i++)
        to[i] = (z[i] - max[i]) * heat - log_sum[i];
}

/* Divergence of one block, without T^2; its gradient with T^2 is T (p_k - t_k). */
static double add_soft(const pri_loss *loss, const pri_loss_block *block)
{
    const int64_t stride = loss->positions, count = block->count, first = block->first;
    const float *z = loss->logits + first, *t = loss->teacher + first;
    const float heat = (float)(1 / loss->temperature);
    const float factor = (float)(block->factor * loss->temperature);
    float max[2][PRI_LOSS_BLOCK], log_sum[2][PRI_LOSS_BLOCK], row[2][PRI_LOSS_BLOCK];
    float term[PRI_LOSS_BLOCK] = {0}, unused[PRI_LOSS_BLOCK] = {0};
    double total = 0;

    if (loss->classes == 1)
        return add_soft_binary(loss, block);
    pri_loss_log_sums(z, loss->classes, stride, count, heat, max[0], log_sum[0]);
    pri_loss_log_sums(t, loss->classes, stride, count, heat, max[1], log_sum[1]);
    for (int64_t k = 0; k < loss->classes; k++) {
        take_log_probabilities(row[0], z + k * stride, max[0], log_sum[0], heat, count);
        take_log_probabilities(row[1], t + k * stride, max[1], log_sum[1], heat, count);
        add_soft_row(term, loss->gradient != NULL ? loss->gradient + first + k * stride : unused,
                     row[0], row[1], factor, count);
    }
    for (int64_t i = 0; i < count; i++)
        total += (double)term[i];
    return total;
}

/* Sum over all blocks of all images. */
static double sum_blocks(const pri_loss *loss, const pri_loss_block *like,
                         double (*add)(const pri_loss *, const pri_loss_block *))
{
    double total = 0;

#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < loss->images; n++) {
        pri_loss_block block = *like;
        block.image = n;
        loss->partial[n] = 0;
        for (int64_t from = 0; from < loss->positions; from += PRI_LOSS_BLOCK) {
            block.from = from;
            block.count = pri_min_i64(PRI_LOSS_BLOCK, loss->positions - from);
            block.first = n * loss->classes * loss->positions + from;
            loss->partial[n] += add(loss, &block);
        }
    }
    for (int64_t n = 0; n < loss->images; n++)
        total += loss->partial[n];
    return total;
}

static void clear_gradient(const pri_loss *loss)
{
    memset(loss->gradient, 0,
           (size_t)(loss->images * loss->classes * loss->positions) * sizeof *loss->gradient);
}

static double add_hard(const pri_loss *loss)
{
    const pri_loss_mix plain = {.count = 1, .terms = {{.kind = 0, .weight = 1}}};
    const pri_loss_mix *mix = loss->mix.count > 0 ? &loss->mix : &plain;
    pri_loss_block block = {.limit = pri_loss_label_limit(mix, loss->classes)};
    const int n_passes = loss->weights != NULL ? 2 : 1;
    const pri_loss_kind *kinds;
    double labelled = 0, total = 0;

    for (int pass = 0; pass < n_passes; pass++) {
        block.is_second = pass == 1;
        labelled += sum_weights(loss, &block);
    }
    pri_loss_kinds(&kinds);
    const bool overwrites = labelled > 0 && kinds[mix->terms[0].kind].add == pri_loss_add_ce;
    if (!overwrites && loss->gradient != NULL)
        clear_gradient(loss);
    for (int t = 0; t < mix->count && labelled > 0; t++) {
        const pri_loss_kind *kind = &kinds[mix->terms[t].kind];
        block.parameter = mix->terms[t].parameter;
        block.factor = loss->hard * mix->terms[t].weight;
        if (kind->whole != NULL) {
            total += block.factor * kind->whole(loss, &block);
            continue;
        }
        block.factor /= labelled;
        for (int pass = 0; pass < n_passes; pass++) {
            block.is_second = pass == 1;
            block.is_first = overwrites && t == 0 && pass == 0;
            total += block.factor * sum_blocks(loss, &block, kind->add);
        }
    }
    return total;
}

double pri_loss_compute(const pri_loss *loss)
{
    double total = 0;

    if (loss->hard > 0)
        total += add_hard(loss);
    else if (loss->gradient != NULL)
        clear_gradient(loss);
    if (loss->teacher != NULL && loss->soft > 0) {
        const pri_loss_block block = {.factor =
                                          loss->soft / (double)(loss->images * loss->positions)};
        total += block.factor * loss->temperature * loss->temperature *
                 sum_blocks(loss, &block, add_soft);
    }
    return total;
}
