/* SPDX-License-Identifier: Apache-2.0 */
/* loss_terms.c - the losses beside cross-entropy, and the table of all; formulas in loss.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

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

/* With q = 1 - p_y: d(loss)/d(z_k) = (p_k - [k = y]) (q^g - g p_y q^(g-1) log p_y). */
double pri_loss_add_focal(const pri_loss *loss, const pri_loss_block *block)
{
    const int64_t stride = loss->positions;
    const float *z = loss->logits + block->first;
    const double gamma = block->parameter;
    float max[PRI_LOSS_BLOCK], log_sum[PRI_LOSS_BLOCK];
    double total = 0;

    pri_loss_log_sums(z, loss->classes, stride, block->count, 1, max, log_sum);
    for (int64_t i = 0; i < block->count; i++) {
        double weight;
        const int64_t label = pri_loss_label(loss, block, block->from + i, &weight);
        if (label < 0)
            continue;
        const double log_p = z[label * stride + i] - max[i] - log_sum[i];
        const double p = exp(log_p), q = fmax(1 - p, 1e-12), power = pow(q, gamma);
        total -= weight * power * log_p;
        if (loss->gradient == NULL)
            continue;
        const double slope = block->factor * weight * (power - gamma * p * power / q * log_p);
        float *g = loss->gradient + block->first + i;
        for (int64_t k = 0; k < loss->classes; k++)
            g[k * stride] += (float)(slope * expf(z[k * stride + i] - max[i] - log_sum[i]));
        g[label * stride] -= (float)slope;
    }
    return total;
}

static double target(const pri_loss *loss, int64_t label, int64_t k)
{
    return loss->classes == 1 ? (double)label : label == k;
}

/* Mean over outputs of a term of logit and target; `term` also gives its derivative by the logit.
 */
static double add_each(const pri_loss *loss, const pri_loss_block *block,
                       double (*term)(double *slope, double z, double t))
{
    const double share = 1 / (double)loss->classes;
    double total = 0;

    for (int64_t i = 0; i < block->count; i++) {
        double weight;
        const int64_t label = pri_loss_label(loss, block, block->from + i, &weight);
        if (label < 0)
            continue;
        weight *= share;
        for (int64_t k = 0; k < loss->classes; k++) {
            const int64_t at = block->first + k * loss->positions + i;
            double slope;
            total += weight * term(&slope, loss->logits[at], target(loss, label, k));
            if (loss->gradient != NULL)
                loss->gradient[at] += (float)(block->factor * weight * slope);
        }
    }
    return total;
}

static double bce(double *slope, double z, double t)
{
    const double small = exp(-fabs(z));

    *slope = (z >= 0 ? 1 : small) / (1 + small) - t;
    return fmax(z, 0) + log1p(small) - t * z;
}

static double squared(double *slope, double z, double t)
{
    *slope = 2 * (z - t);
    return (z - t) * (z - t);
}

double pri_loss_add_bce(const pri_loss *loss, const pri_loss_block *block)
{
    return add_each(loss, block, bce);
}

double pri_loss_add_mse(const pri_loss *loss, const pri_loss_block *block)
{
    return add_each(loss, block, squared);
}
