/* SPDX-License-Identifier: Apache-2.0 */
/* loss_terms.c - the losses beside cross-entropy, and the table of all; formulas in loss.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/vector_math.h"
#include "train/loss_terms.h"

static const pri_loss_kind kinds[] = {
    {"ce", "cross-entropy of softmax, with label smoothing", false, false, -1, 0, pri_loss_add_ce,
     NULL},
    {"focal", "cross-entropy that counts what is right already less, focal=GAMMA", false, false, 2,
     16, pri_loss_add_focal, NULL},
    {"bce", "binary cross-entropy of each output", true, false, -1, 0, pri_loss_add_bce, NULL},
    {"mse", "squared difference from label or one-hot label", true, true, -1, 0, pri_loss_add_mse,
     NULL},
    {"dice", "overlap of each class over the batch", true, false, -1, 0, NULL, pri_loss_dice}};

int pri_loss_kinds(const pri_loss_kind **out)
{
    *out = kinds;
    return (int)PRI_COUNT(kinds);
}

int64_t pri_loss_scratch(int64_t images, int64_t classes)
{
    return images * (1 + 3 * pri_max_i64(classes, 2));
}

int64_t pri_loss_label_limit(const pri_loss_mix *mix, int64_t classes)
{
    bool any_number = mix->count > 0;

    for (int t = 0; t < mix->count; t++) {
        const pri_loss_kind *kind = &kinds[mix->terms[t].kind];
        if (classes == 1 && !kind->takes_one_output)
            return 0;
        any_number = any_number && kind->takes_any_number;
    }
    if (classes > 1)
        return classes;
    return mix->count == 0 ? 0 : any_number ? INT32_MAX : 2;
}

/* --- Reading --- */

static int find_kind(const char *name, size_t length)
{
    for (size_t i = 0; i < PRI_COUNT(kinds); i++) {
        if (strlen(kinds[i].name) == length && strncmp(name, kinds[i].name, length) == 0)
            return (int)i;
    }
    return -1;
}

bool pri_loss_parse(pri_loss_mix *out, const char *text)
{
    *out = (pri_loss_mix){0};
    while (out->count < PRI_LOSS_TERMS) {
        double weight = 1;
        char *end;
        if (strchr("0123456789.", *text) != NULL && *text != '\0') {
            weight = strtod(text, &end);
            if (*end != '*' || !(weight > 0) || !(weight <= 1e6))
                return false;
            text = end + 1;
        }
        const size_t length = strcspn(text, "=+");
        const int kind = find_kind(text, length);
        if (kind < 0)
            return false;
        double parameter = kinds[kind].parameter;
        text += length;
        if (*text == '=') {
            parameter = strtod(text + 1, &end);
            if (kinds[kind].parameter < 0 || end == text + 1 || !(parameter >= 0) ||
                !(parameter <= kinds[kind].largest))
                return false;
            text = end;
        }
        out->terms[out->count].kind = kind;
        out->terms[out->count].weight = weight;
        out->terms[out->count++].parameter = parameter;
        if (*text == '\0')
            return true;
        if (*text++ != '+')
            return false;
    }
    return false;
}

/* --- Terms --- */

/* Labels and weights of a block; positions that have none stand for class 0 and weigh nothing. */
typedef struct labelled {
    int32_t label[PRI_LOSS_BLOCK];
    float weight[PRI_LOSS_BLOCK];
} labelled;

static void read_labels(labelled *out, const pri_loss *loss, const pri_loss_block *block)
{
    for (int64_t i = 0; i < block->count; i++) {
        double weight = 0;
        const int64_t label = pri_loss_label(loss, block, block->from + i, &weight);
        out->label[i] = (int32_t)pri_max_i64(label, 0);
        out->weight[i] = label < 0 ? 0 : (float)weight;
    }
}

static double sum_of(const float *terms, int64_t count)
{
    double sum = 0;

    for (int64_t i = 0; i < count; i++)
        sum += (double)terms[i];
    return sum;
}

/* With p of the label and q = 1 - p: term = -w q^g log p, slope = w (q^g - g p q^(g-1) log p). */
PRI_CLONES static void focal_terms(float *restrict term, float *restrict slope,
                                   const float *restrict log_p, const float *restrict weight,
                                   float gamma, int64_t count)
{
    PRI_SIMD
    for (int64_t i = 0; i < count; i++) {
        const float p = pri_exp(log_p[i]), wrong = 1 - p, q = wrong < 1e-7f ? 1e-7f : wrong;
        const float power = pri_exp(gamma * pri_logarithm(q));
        term[i] = -weight[i] * power * log_p[i];
        slope[i] = weight[i] * (power - gamma * p * power / q * log_p[i]);
    }
}

/* g += factor * slope * p, of one class. */
PRI_CLONES static void add_scaled(float *restrict g, const float *restrict p,
                                  const float *restrict slope, float factor, int64_t count)
{
    PRI_SIMD
    for (int64_t i = 0; i < count; i++)
        g[i] += factor * slope[i] * p[i];
}

/* d(loss)/d(z_k) = slope (p_k - [k = y]). */
double pri_loss_add_focal(const pri_loss *loss, const pri_loss_block *block)
{
    const int64_t stride = loss->positions, count = block->count;
    const float *z = loss->logits + block->first;
    const float factor = (float)block->factor;
    float max[PRI_LOSS_BLOCK], log_sum[PRI_LOSS_BLOCK], row[PRI_LOSS_BLOCK];
    float term[PRI_LOSS_BLOCK], slope[PRI_LOSS_BLOCK];
    labelled l;

    read_labels(&l, loss, block);
    pri_loss_log_sums(z, loss->classes, stride, count, 1, max, log_sum);
    for (int64_t i = 0; i < count; i++)
        row[i] = z[l.label[i] * stride + i] - max[i] - log_sum[i];
    focal_terms(term, slope, row, l.weight, (float)block->parameter, count);
    for (int64_t k = 0; k < loss->classes && loss->gradient != NULL; k++) {
        pri_loss_probabilities(row, z + k * stride, max, log_sum, count);
        add_scaled(loss->gradient + block->first + k * stride, row, slope, factor, count);
    }
    for (int64_t i = 0; i < count && loss->gradient != NULL; i++)
        loss->gradient[block->first + l.label[i] * stride + i] -= factor * slope[i];
    return sum_of(term, count);
}

/* What an output should say: whether it is the label's, or, where it is alone, the label. */
static void take_targets(float *to, const pri_loss *loss, const labelled *l, int64_t k,
                         int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        to[i] = loss->classes == 1 ? (float)l->label[i] : (float)(l->label[i] == k);
}

/* term += w (log(1 + e^z) - t z), g += factor w (sigmoid(z) - t), of one class. */
PRI_CLONES static void add_bce_row(float *restrict term, float *restrict g, const float *restrict z,
                                   const float *restrict target, const float *restrict weight,
                                   float factor, int64_t count)
{
    PRI_SIMD
    for (int64_t i = 0; i < count; i++) {
        const float size = fabsf(z[i]), above = 0.5f * (z[i] + size);
        const float log_sum = above + pri_logarithm(1 + pri_exp(-size));
        term[i] += weight[i] * (log_sum - target[i] * z[i]);
        g[i] += factor * weight[i] * (pri_sigmoid(z[i]) - target[i]);
    }
}

double pri_loss_add_bce(const pri_loss *loss, const pri_loss_block *block)
{
    const double share = 1 / (double)loss->classes;
    float term[PRI_LOSS_BLOCK] = {0}, unused[PRI_LOSS_BLOCK] = {0}, target[PRI_LOSS_BLOCK];
    labelled l;

    read_labels(&l, loss, block);
    for (int64_t k = 0; k < loss->classes; k++) {
        const int64_t at = block->first + k * loss->positions;
        take_targets(target, loss, &l, k, block->count);
        add_bce_row(term, loss->gradient != NULL ? loss->gradient + at : unused, loss->logits + at,
                    target, l.weight, (float)(block->factor * share), block->count);
    }
    return share * sum_of(term, block->count);
}

double pri_loss_add_mse(const pri_loss *loss, const pri_loss_block *block)
{
    const double share = 1 / (double)loss->classes;
    double total = 0;

    for (int64_t i = 0; i < block->count; i++) {
        double weight;
        const int64_t label = pri_loss_label(loss, block, block->from + i, &weight);
        for (int64_t k = 0; k < loss->classes && label >= 0; k++) {
            const int64_t at = block->first + k * loss->positions + i;
            const double target = loss->classes == 1 ? (double)label : label == k;
            const double off = loss->logits[at] - target;
            total += share * weight * off * off;
            if (loss->gradient != NULL)
                loss->gradient[at] += (float)(block->factor * share * weight * 2 * off);
        }
    }
    return total;
}
