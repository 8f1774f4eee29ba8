/* SPDX-License-Identifier: Apache-2.0 */
/* fisher.c - see fisher.h. Kunstner et al. 2019 compare the three; Martens 2020 gives the theory.
 */
#include "criteria/fisher.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "model/model.h"

typedef struct head {
    const float *logits;
    float *gradient;
    int64_t classes, positions;
    const int32_t *labels; /* of the data, or NULL */
    const uint8_t *masks;
    int64_t offset; /* of labels */
    uint64_t seed;
} head;

/* Random signs whose mean over classes is taken off: a shift of all logits changes no probability.
 */
static void project(const head *h, float *g, uint64_t index)
{
    const float size = 1 / sqrtf((float)h->positions);
    float mean = 0;
    uint64_t bits = 0;

    for (int64_t c = 0; c < h->classes; c++) {
        if (c % 64 == 0)
            bits = pri_random_bits(h->seed + (uint64_t)(c / 64), PRI_STREAM_PROJECTION, index);
        g[c * h->positions] = (bits >> (c % 64) & 1) != 0 ? size : -size;
        mean += g[c * h->positions] / (float)h->classes;
    }
    for (int64_t c = 0; c < h->classes && h->classes > 1; c++)
        g[c * h->positions] -= mean;
}

/* softmax - onehot(label); label < 0: drawn from the softmax. */
static void likelihood(const head *h, float *g, const float *logits, int64_t label, uint64_t index,
                       float weight)
{
    const int64_t stride = h->positions;
    double largest = -INFINITY, sum = 0;

    for (int64_t c = 0; c < h->classes; c++)
        largest = fmax(largest, logits[c * stride]);
    for (int64_t c = 0; c < h->classes; c++)
        sum += exp(logits[c * stride] - largest);
    double left = label >= 0 ? 0 : pri_random_unit(h->seed, PRI_STREAM_LABEL, index);
    for (int64_t c = 0; c < h->classes; c++) {
        const double p = exp(logits[c * stride] - largest) / sum;
        g[c * stride] = weight * (float)p;
        if (label < 0 && (left < p || c == h->classes - 1))
            label = c;
        left -= p;
    }
    g[label * stride] -= weight;
}

static void seed_image(const head *h, pare_fisher kind, int64_t n, int64_t image)
{
    const float *logits = h->logits + n * h->classes * h->positions;
    float *g = h->gradient + n * h->classes * h->positions;

    for (int64_t p = 0; p < h->positions; p++) {
        const uint64_t index = (uint64_t)(image * h->positions + p);
        int64_t label = -1;
        if (kind == PARE_FISHER_GAUSS_NEWTON) {
            project(h, g + p, index);
            continue;
        }
        if (kind == PARE_FISHER_TRUE) {
            likelihood(h, g + p, logits + p, -1, index, 1 / sqrtf((float)h->positions));
            continue;
        }
        if (h->positions > 1 && h->masks != NULL)
            label = h->masks[image * h->positions + p];
        else if (h->positions == 1 && h->labels != NULL)
            label = h->labels[image] + h->offset;
        if (label >= 0 && label < h->classes)
            likelihood(h, g + p, logits + p, label, index, 1 / (float)h->positions);
    }
}

pare_status pri_seed_gradients(pri_engine *engine, const pare_model *model, pare_fisher kind,
                               const pare_data *data, int64_t from, int64_t count, uint64_t seed,
                               uint64_t draw)
{
    int with_truth = 0;

    for (int k = 0; k < model->graph->n_outputs; k++) {
        const pri_shape shape = pri_engine_output_shape(engine, k);
        head h = {.gradient = pri_engine_output_gradient(engine, k),
                  .seed = seed + draw * 1000003 + (uint64_t)k * 7919};
        if (h.gradient == NULL || shape.rank < 1 || pri_engine_output_dtype(engine, k) != PRI_F32)
            continue;
        memset(h.gradient, 0, (size_t)pri_shape_count(&shape) * sizeof(float));
        if (shape.dims[0] != pri_engine_batch(engine))
            return pri_fail(model->ctx, PARE_ERROR_UNSUPPORTED,
                            "output '%s' does not have the images as its first axis",
                            model->graph->outputs[k]->name);
        h.logits = pri_engine_output(engine, k);
        h.classes = shape.rank > 1 ? shape.dims[1] : 1;
        h.positions = shape.rank > 2 ? pri_shape_span(&shape, 2, shape.rank) : 1;
        h.labels = h.positions == 1 ? data->labels : NULL;
        h.masks = h.positions == data->height * data->width ? data->masks : NULL;
        if (h.labels != NULL && kind == PARE_FISHER_EMPIRICAL)
            PRI_TRY(pri_class_offset(&h.offset, model, h.classes));
        with_truth += h.labels != NULL || (h.positions > 1 && h.masks != NULL);
#pragma omp parallel for schedule(static)
        for (int64_t n = 0; n < count; n++)
            seed_image(&h, kind, n, from + n);
    }
    if (kind == PARE_FISHER_EMPIRICAL && with_truth == 0)
        return pri_fail(model->ctx, PARE_ERROR_DATA,
                        "no output of the model fits the labels or masks of the images");
    return PARE_OK;
}
