/* SPDX-License-Identifier: Apache-2.0 */
/*
 * evaluate.h - scores of a network on labelled images, and comparing two networks.
 *
 * An output N x K (or N x K x 1 x 1) is a class head, an output N x K x H x W a mask head: logits
 * or probabilities, one a class. A network may have one of each; outputs past the first of a kind
 * are not scored.
 */
#ifndef PARE_EVALUATE_H
#define PARE_EVALUATE_H

#include <pare/data.h>
#include <pare/model.h>

/* One class: precision = tp / (tp + fp), recall = tp / (tp + fn), f1 their harmonic mean (equal to
 * Dice), iou = tp / (tp + fp + fn). 0 where nothing is counted. */
typedef struct pare_class_scores {
    int64_t support; /* images or pixels of this class */
    double precision, recall, f1, iou;
} pare_class_scores;

typedef struct pare_scores {
    int64_t count; /* images */
    /* class head; classes == 0: none, or the set has no labels */
    int64_t classes;
    double accuracy, top5;                          /* 0 .. 1 */
    double nll;                                     /* mean negative log-likelihood, nats */
    double precision_macro, recall_macro, f1_macro; /* over classes that occur */
    pare_class_scores *per_class;                   /* classes, owned */
    int32_t *predicted;                             /* count, owned */
    /* mask head; mask_classes == 0: none, or the set has no masks */
    int64_t mask_classes;
    double miou, pixel_accuracy, dice, mask_nll; /* miou and dice: mean over classes that occur */
    double class_average_accuracy;               /* mean recall over classes that occur */
    pare_class_scores *per_mask_class;           /* mask_classes, owned */
    double *pixel_accuracy_of;                   /* of each image (count), owned */
} pare_scores;

/* Runs the model over all images. Preprocessing is the model's metadata (0 .. 1 without any).
 * PARE_ERROR_SHAPE when the images do not fit, PARE_ERROR_DATA when labels are out of range or the
 * set has neither what the class head nor what the mask head needs. */
PARE_API PARE_NODISCARD pare_status pare_evaluate(pare_scores *out, pare_model *model,
                                                  const pare_data *data);
PARE_API void pare_scores_clear(pare_scores *scores);

/* Exact two-sided McNemar test of two sets of predictions on the same images (McNemar 1947;
 * binomial with p = 1/2 over the images where only one is right). 1 without class heads. */
PARE_API double pare_mcnemar(const pare_scores *a, const pare_scores *b, const pare_data *data);
/* Two-sided Wilcoxon signed-rank test (Wilcoxon 1945, normal approximation with tie correction) of
 * the two models' pixel accuracies image by image. 1 without mask heads. */
PARE_API double pare_wilcoxon(const pare_scores *a, const pare_scores *b);

/* Median time of one forward pass of each model in pare's engine, in seconds, `rounds` runs
 * interleaved. */
PARE_API PARE_NODISCARD pare_status pare_measure_latency(double seconds[2], pare_model *a,
                                                         pare_model *b, int64_t batch, int rounds);

/* --- Side by side --- */

typedef struct pare_comparison {
    pare_scores scores[2]; /* original, pruned */
    pare_costs costs[2];
    double latency[2];                      /* seconds, median, interleaved; 0 when not measured */
    double latency_low[2], latency_high[2]; /* quartiles */
    double ratio_low, ratio_high;           /* quartiles of pruned / original turn by turn */
    int64_t batch;                          /* of the latency */
    double p_class, p_mask;                 /* McNemar, Wilcoxon */
} pare_comparison;

typedef struct pare_compare_options {
    int latency_rounds; /* 0: 30; negative: do not measure */
    int64_t batch;      /* of the latency; 0: 1 */
} pare_compare_options;

PARE_API PARE_NODISCARD pare_status pare_compare(pare_comparison *out, pare_model *original,
                                                 pare_model *pruned, const pare_data *data,
                                                 const pare_compare_options *options);
PARE_API void pare_comparison_clear(pare_comparison *comparison);

/* Checks one condition NAME OP VALUE, for example "accuracy>=-1%" (not more than one point below
 * the original), "accuracy>=0.9" or "accuracy>=90%" (a value without sign is absolute), "macs<=50%"
 * and "latency<=0.6x" (of the original), "p_class>=0.05". Names: accuracy top5 nll precision recall
 * f1 miou pixel_accuracy dice parameters macs bytes activation_bytes latency p_class p_mask. A
 * signed percentage is a difference in points, x or % of a cost a share of the original. *met says
 * whether it holds; `text` (PARE_CONDITION_TEXT bytes) says both sides in words.
 * PARE_ERROR_ARGUMENT when it cannot be read. */
enum { PARE_CONDITION_TEXT = 160 };
PARE_API PARE_NODISCARD pare_status pare_check_condition(bool *met, char *text, pare_context *ctx,
                                                         const pare_comparison *comparison,
                                                         const char *condition);

#endif
