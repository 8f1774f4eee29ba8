/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loss.c - see loss.h.
 *
 * Every image sums into its own place; these are added in order.
 */
#include <math.h>
#include <string.h>

#include "train/loss_terms.h"

/* Sum of the weights of all labelled positions. */
static double sum_weights(const pri_loss *loss, const pri_loss_block *like)
{
    pri_loss_block block = *like;
    double sum = 0;

    for (block.image = 0; block.image < loss->images; block.image++) {
        for (int64_t p = 0; p < loss->positions; p++) {
            double weight;
            sum += pri_loss_label(loss, &block, p, &weight) >= 0 ? weight : 0;
        }
    }
    return sum;
}

void pri_loss_log_sums(const float *z, int64_t classes, int64_t stride, int64_t count, float heat,
                       float *max, float *log_sum)
{
    float sum[PRI_LOSS_BLOCK] = {0};

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

/* Cross-entropy; d(loss)/d(z_k) = factor * w * (p_k - q_k). */
double pri_loss_add_ce(const pri_loss *loss, const pri_loss_block *block)
{
    const int64_t stride = loss->positions;
    const float *z = loss->logits + block->first;
    const double even = loss->smoothing / (double)loss->classes;
    float max[PRI_LOSS_BLOCK], log_sum[PRI_LOSS_BLOCK];
    double total = 0;

    pri_loss_log_sums(z, loss->classes, stride, block->count, 1, max, log_sum);
    for (int64_t i = 0; i < block->count; i++) {
        double weight;
        const int64_t label = pri_loss_label(loss, block, block->from + i, &weight);
        if (label < 0)
            continue;
        const double factor = block->factor * weight;
        double mean = 0;
        for (int64_t k = 0; k < loss->classes && even > 0; k++)
            mean += z[k * stride + i] - max[i];
        total += weight * (log_sum[i] - even * mean -
                           (1 - loss->smoothing) * (z[label * stride + i] - max[i]));
        if (loss->gradient == NULL)
            continue;
        float *g = loss->gradient + block->first + i;
        for (int64_t k = 0; k < loss->classes; k++)
            g[k * stride] +=
                (float)(factor * (expf(z[k * stride + i] - max[i] - log_sum[i]) - even));
        g[label * stride] -= (float)(factor * (1 - loss->smoothing));
    }
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

/* Divergence of one block, without T^2; its gradient with T^2 is T (p_k - t_k). */
static double add_soft(const pri_loss *loss, const pri_loss_block *block)
{
    const int64_t stride = loss->positions, count = block->count, first = block->first;
    const float *z = loss->logits + first, *t = loss->teacher + first;
    const float heat = (float)(1 / loss->temperature);
    const float factor = (float)(block->factor * loss->temperature);
    float max[2][PRI_LOSS_BLOCK], log_sum[2][PRI_LOSS_BLOCK];
    double total = 0;

    if (loss->classes == 1)
        return add_soft_binary(loss, block);
    pri_loss_log_sums(z, loss->classes, stride, count, heat, max[0], log_sum[0]);
    pri_loss_log_sums(t, loss->classes, stride, count, heat, max[1], log_sum[1]);
    for (int64_t k = 0; k < loss->classes; k++) {
        for (int64_t i = 0; i < count; i++) {
            const float own = (z[k * stride + i] - max[0][i]) * heat - log_sum[0][i];
            const float wanted = (t[k * stride + i] - max[1][i]) * heat - log_sum[1][i];
            const float probability = expf(wanted);
            total += (double)probability * (wanted - own);
            if (loss->gradient != NULL)
                loss->gradient[first + k * stride + i] += factor * (expf(own) - probability);
        }
    }
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
            total += block.factor * sum_blocks(loss, &block, kind->add);
        }
    }
    return total;
}

double pri_loss_compute(const pri_loss *loss)
{
    double total = 0;

    if (loss->gradient != NULL)
        memset(loss->gradient, 0,
               (size_t)(loss->images * loss->classes * loss->positions) * sizeof *loss->gradient);
    if (loss->hard > 0)
        total += add_hard(loss);
    if (loss->teacher != NULL && loss->soft > 0) {
        const pri_loss_block block = {.factor =
                                          loss->soft / (double)(loss->images * loss->positions)};
        total += block.factor * loss->temperature * loss->temperature *
                 sum_blocks(loss, &block, add_soft);
    }
    return total;
}
