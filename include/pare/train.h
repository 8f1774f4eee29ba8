/* SPDX-License-Identifier: Apache-2.0 */
/*
 * train.h - training from scratch, fine-tuning, distillation.
 *
 * The loss is the sum over heads of cross-entropy (class head: labels; mask head: every pixel that
 * is not PARE_IGNORE, averaged over pixels), and, with a teacher, of the Kullback-Leibler divergence
 * from the teacher's softened outputs times the squared temperature (Hinton et al. 2015, section 2).
 * The step is SGD with Nesterov momentum; decay does not touch biases and normalisation parameters
 * (constants of rank < 2). A head that ends in Softmax is trained on its logits.
 */
#ifndef PARE_TRAIN_H
#define PARE_TRAIN_H

#include <pare/data.h>
#include <pare/model.h>

typedef struct pare_epoch {
    int epoch, epochs;     /* 1 .. epochs */
    double loss;           /* mean of the training steps */
    double val_nll;        /* validation: sum over heads of the negative log-likelihood */
    double val_accuracy;   /* class head; NAN without */
    double val_miou;       /* mask head; NAN without */
    double learning_rate;  /* of the last step */
    double images_per_second, seconds;
    bool is_best;
    double data_wait; /* share of the training time spent waiting for images */
} pare_epoch;

typedef void (*pare_epoch_fn)(void *user, const pare_epoch *epoch);

typedef struct pare_train_options {
    int epochs;             /* 0: 10 */
    int64_t batch;          /* 0: 64, at most the number of images */
    double learning_rate;   /* peak; 0: 0.05 */
    double momentum;        /* 0: 0.9; negative: none */
    double weight_decay;    /* 0: 5e-4; negative: none */
    const char *schedule;   /* "cosine" (default), "step" (tenth at 1/2 and 3/4), "constant" */
    double warmup;          /* epochs of linear warm-up */
    double label_smoothing; /* 0 .. 1 */
    double mask_weight;     /* of the mask head's loss; 0: 1 */
    double clip_norm;       /* gradients are scaled down to this global norm; 0: never */
    pare_augment augment;
    const pare_model *teacher; /* for distillation, or NULL */
    double distill;         /* share of the distillation loss, 0 .. 1; 0: 0.7 with a teacher */
    double temperature;     /* 0: 4 with a teacher */
    const char *checkpoint; /* file written after every epoch and on cancel; NULL: none */
    bool resume;            /* go on from `checkpoint` when it is there and belongs to this run */
    bool keep_last;         /* keep the last epoch's weights instead of the best validation's */
    uint64_t seed;
    pare_epoch_fn on_epoch; /* called after every epoch, or NULL */
    void *user;
} pare_train_options;

typedef struct pare_train_result {
    int epochs, best_epoch;
    double best_val_nll, best_val_accuracy, best_val_miou; /* NAN where there is none */
    double images_per_second, seconds;
    double data_wait; /* as in pare_epoch, of this call */
} pare_train_result;

/* Trains `model` in place. The weights kept are those of the epoch with the lowest validation
 * negative log-likelihood (`val` NULL: the last). The same seed, threads and machine give the same
 * bytes, also after a cancel and resume. PARE_ERROR_NUMERIC: the loss was no longer finite, the
 * weights are the last good ones. PARE_ERROR_CANCELLED: the checkpoint is written. */
PARE_API PARE_NODISCARD pare_status pare_train(pare_model *model, const pare_data *train,
                                               const pare_data *val,
                                               const pare_train_options *options,
                                               pare_train_result *result);

/* Re-estimates the running statistics of all normalisations on the images (a cumulative average over
 * batches), weights unchanged. *changed says whether it was kept: it is only where the negative
 * log-likelihood (of labels on `val`, or the divergence from `teacher`'s outputs when given) falls. */
PARE_API PARE_NODISCARD pare_status pare_recalibrate(pare_model *model, const pare_data *images,
                                                     const pare_data *val,
                                                     const pare_model *teacher, bool *changed);

#endif
