/* SPDX-License-Identifier: Apache-2.0 */
/* score_heads.c - see score_heads.h. */
#include "metrics/score_heads.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 256 }; /* pixels whose running maxima stay in the first-level cache */

/* Looks back through nodes that only move data. Other operators between Softmax and the output make
 * it something else. */
static bool ends_in_softmax(const pri_value *value)
{
    const pri_node *node = value->producer;

    while (node != NULL && node->op != NULL && node->op->is_movement && node->n_inputs >= 1 &&
           node->inputs[0] != NULL) {
        for (int k = 1; k < node->n_inputs; k++) {
            if (node->inputs[k] != NULL && node->inputs[k]->constant == NULL)
                return false;
        }
        node = node->inputs[0]->producer;
    }
    return node != NULL && strcmp(node->op_type, "Softmax") == 0;
}

void pri_find_heads(pri_score_head *class_head, pri_score_head *mask_head, const pare_model *model,
                    const pri_engine *engine, bool is_nhwc)
{
    class_head->output = mask_head->output = -1;
    for (int k = model->graph->n_outputs - 1; k >= 0; k--) {
        const pri_shape s = pri_engine_output_shape(engine, k);
        const int channel = is_nhwc ? 3 : 1, row = is_nhwc ? 1 : 2;
        if (pri_engine_output_dtype(engine, k) != PRI_F32 || s.rank < 2 ||
            s.dims[0] != pri_engine_batch(engine) || pri_shape_count(&s) <= 0)
            continue;
        pri_score_head head = {.output = k,
                               .classes = s.rank == 4 ? s.dims[channel] : s.dims[1],
                               .is_probability = ends_in_softmax(model->graph->outputs[k]),
                               .is_channels_last = is_nhwc};
        if (s.rank == 2 || (s.rank == 4 && s.dims[row] == 1 && s.dims[row + 1] == 1)) {
            *class_head = head;
        } else if (s.rank == 4) {
            head.height = s.dims[row];
            head.width = s.dims[row + 1];
            *mask_head = head;
        }
    }
}

/* -ln p; p rounds to 0 in float where a network is sure and wrong. */
static double nll_of_probability(float p)
{
    return isfinite(p) ? -log(fmax((double)p, (double)FLT_MIN)) : (double)NAN;
}

pri_row_score pri_score_row(const float *outputs, const pri_score_head *head, int64_t truth)
{
    pri_row_score score = {0};
    double sum = 0;

    for (int64_t k = 1; k < head->classes; k++) {
        if (outputs[k] > outputs[score.predicted])
            score.predicted = k;
    }
    const double largest = outputs[score.predicted];
    for (int64_t k = 0; k < head->classes; k++) {
        score.rank += outputs[k] > outputs[truth] || (k < truth && outputs[k] == outputs[truth]);
        sum += exp(outputs[k] - largest);
    }
    score.nll = head->is_probability ? nll_of_probability(outputs[truth])
                                     : log(sum) + largest - outputs[truth];
    return score;
}

/* Pixels from .. from + n - 1. Classes are the outer loop: their planes lie apart. */
static void score_chunk(pri_class_counts *counts, double *nll, const float *outputs,
                        const pri_score_head *head, const uint8_t *mask, int64_t from, int n)
{
    const int64_t pixel_step = head->is_channels_last ? head->classes : 1;
    const int64_t class_step = head->is_channels_last ? 1 : head->height * head->width;
    float largest[CHUNK], sum[CHUNK];
    int32_t best[CHUNK];

    outputs += from * pixel_step;
    for (int i = 0; i < n; i++) {
        largest[i] = outputs[i * pixel_step];
        best[i] = 0;
        sum[i] = 0;
    }
    for (int64_t k = 1; k < head->classes; k++) {
        const float *plane = outputs + k * class_step;
        for (int i = 0; i < n; i++) {
            const bool is_larger = plane[i * pixel_step] > largest[i];
            best[i] = is_larger ? (int32_t)k : best[i];
            largest[i] = is_larger ? plane[i * pixel_step] : largest[i];
        }
    }
    for (int64_t k = 0; k < head->classes && !head->is_probability; k++) {
        const float *plane = outputs + k * class_step;
        for (int i = 0; i < n; i++)
            sum[i] += expf(plane[i * pixel_step] - largest[i]);
    }
    for (int i = 0; i < n; i++) {
        const int truth = mask[from + i];
        if (truth == PARE_IGNORE)
            continue;
        const float x = outputs[i * pixel_step + truth * class_step];
        *nll += head->is_probability ? nll_of_probability(x)
                                     : log((double)sum[i]) + (double)largest[i] - (double)x;
        counts->truth[truth]++;
        counts->said[best[i]]++;
        counts->both[truth] += best[i] == truth;
    }
}

void pri_score_mask(pri_class_counts *counts, double *nll, const float *outputs,
                    const pri_score_head *head, const uint8_t *mask)
{
    const int64_t area = head->height * head->width;

    *nll = 0;
    for (int64_t at = 0; at < area; at += CHUNK)
        score_chunk(counts, nll, outputs, head, mask, at, (int)pri_min_i64(CHUNK, area - at));
}
