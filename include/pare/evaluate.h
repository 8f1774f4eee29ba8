/* SPDX-License-Identifier: Apache-2.0 */
/* evaluate.h - scores of a classifier on labelled images, and comparing two. */
#ifndef PARE_EVALUATE_H
#define PARE_EVALUATE_H

#include <pare/data.h>
#include <pare/model.h>

typedef struct pare_scores {
    int64_t count;
    int64_t classes;
    double accuracy, top5;          /* 0 .. 1 */
    double nll;                     /* mean negative log-likelihood of the softmax, nats */
    double precision_macro, recall_macro, f1_macro; /* over classes that occur */
    int32_t *predicted;             /* count classes, owned; pare_scores_clear */
} pare_scores;

/* Runs the model's first output (N x classes logits) over all images. Preprocessing is the model's
 * metadata (0 .. 1 without any). */
PARE_API PARE_NODISCARD pare_status pare_evaluate(pare_scores *out, pare_model *model,
                                                  const pare_data *data);
PARE_API void pare_scores_clear(pare_scores *scores);

/* Exact two-sided McNemar test of two sets of predictions on the same images (McNemar 1947; binomial
 * with p = 1/2 over the images where only one is right). */
PARE_API double pare_mcnemar(const pare_scores *a, const pare_scores *b, const pare_data *data);

/* Median time of one forward pass of each model in pare's engine, in seconds, `rounds` runs
 * interleaved. */
PARE_API PARE_NODISCARD pare_status pare_measure_latency(double seconds[2], pare_model *a,
                                                         pare_model *b, int64_t batch, int rounds);

#endif
