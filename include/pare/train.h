/* SPDX-License-Identifier: Apache-2.0 */
/*
 * train.h - training from scratch, fine-tuning, distillation.
 *
 * The loss is the sum over heads of cross-entropy or what `loss` states (class head: labels; mask
 * head: every pixel that is not PARE_IGNORE, averaged over pixels), and, with a teacher, of the
 * Kullback-Leibler divergence from the teacher's softened outputs times the squared temperature
 * (Hinton et al. 2015, section 2). Weight decay does not touch biases and normalisation parameters
 * (constants of rank < 2). A head that ends in Softmax is trained on its logits, as is a head of
 * one output that ends in Sigmoid.
 */
#ifndef PARE_TRAIN_H
#define PARE_TRAIN_H

#include <pare/catalog.h>
#include <pare/data.h>
#include <pare/model.h>

typedef struct pare_epoch {
    int epoch, epochs;    /* 1 .. epochs */
    double loss;          /* mean of the training steps */
    double val_loss;      /* validation: the loss trained for, sum over heads; NAN without images */
    double val_nll;       /* sum over heads of the negative log-likelihood; NAN where a head has one
                             output */
    double val_accuracy;  /* class head; NAN without */
    double val_miou;      /* mask head; NAN without */
    double learning_rate; /* of the last step */
    double images_per_second, seconds;
    bool is_best;
    double data_wait; /* share of the training time spent waiting for images */
} pare_epoch;

typedef void (*pare_epoch_fn)(void *user, const pare_epoch *epoch);

/* A group of neighbouring steps within an epoch. */
typedef struct pare_steps {
    int epoch, epochs;    /* 1 .. epochs */
    int64_t step, steps;  /* the last of the group, 1 .. steps of an epoch */
    double loss;          /* mean over the group */
    double learning_rate; /* of the last step */
    double images_per_second;
} pare_steps;

typedef void (*pare_steps_fn)(void *user, const pare_steps *steps);

typedef struct pare_train_options {
    int epochs;            /* 0: 10 */
    int64_t batch;         /* 0: 64, at most the number of images */
    const char *optimizer; /* "sgd" (default: Nesterov momentum) or "adamw" (decoupled decay) */
    double learning_rate;  /* peak; 0: 0.05, with adamw 0.001 */
    double momentum;       /* of adamw its beta1; 0: 0.9; negative: none */
    double beta2;          /* of adamw; 0: 0.999; negative: none */
    double weight_decay;   /* 0: 5e-4, with adamw 0.01; negative: none */
    const char *schedule;  /* "cosine" (default), "step" (tenth at 1/2 and 3/4), "constant",
                              "one-cycle" (rises over 3/10 of the run, then falls) */
    double warmup;         /* epochs of linear warm-up; of one-cycle the rise */
    const char *precision; /* "f32" (default), "bf16": what convolutions multiply, activations
                              between operators and their gradients are bfloat16; sums,
                              statistics and weights stay float32; "auto": bf16
                              on processors that gain by it */
    bool recompute;   /* activations are dropped after the forward pass and computed again where
                         that takes less memory; the weights are the same to the bit */
    const char *loss; /* sum of terms such as "ce+0.5*dice" or "focal=2": ce, focal=GAMMA, bce,
                         mse, dice (formulas in docs/training.md); NULL: ce, and bce for heads
                         of one output */
    const char *mask_loss; /* of the mask head; NULL: the same */
    /* "auto": images / (classes * images of the class), or as many numbers as a head has classes,
     * between commas or white space; NULL: 1 */
    const char *class_weights;
    double average; /* decay of a running average of weights and statistics, say 0.999, that is
                       validated and kept in place of the weights; 0: none */
    int early_stop; /* ends after so many epochs without a better validation; 0: never */
    double label_smoothing; /* 0 .. 1 */
    double mask_weight;     /* of the mask head's loss; 0: 1; negative: none */
    double clip_norm;       /* gradients are scaled down to this global norm; 0: never */
    pare_augment augment;
    const pare_model *teacher; /* for distillation, or NULL */
    double distill;            /* share of the distillation loss, 0 .. 1; 0: 0.7 with a teacher;
                                  negative: none */
    double temperature;        /* 0: 4 with a teacher */
    /* factor of a further loss: squared differences from the teacher, relative to its mean square,
     * of the logits, and of residual sums that both have under one name and in one shape, averaged
     * (hints, Romero et al. 2015). Where it dwarfs the others, labels are not needed. 0 or
     * negative: none */
    double distill_inner;
    bool freeze_norm; /* normalisations use their running statistics, which stay as they are, and
                         dropout drops nothing: for small batches and short fine-tuning */
    const char *checkpoint; /* file written after every epoch and on cancel, never over one of
                               another kind; NULL: none */
    bool resume;            /* go on from `checkpoint` when it is there and belongs to this run */
    bool keep_last;         /* keep the last epoch's weights instead of the best validation's */
    uint64_t seed;
    const char *tensorboard;  /* folder that gets an event file with loss, rate and scores; NULL */
    const char *noise_report; /* file that gets, worst first, the images whose class label training
                                 did not believe (docs/training.md); NULL; neither this nor
                                 `trim` goes with images that are blended */
    double trim;      /* at most this share of the images, of those the report would list, is
                         left out from epoch `trim_after` + 1 on; 0: none */
    int trim_after;   /* epochs; 0: a third of them, at least two */
    bool insert_norm; /* normalisations are put behind convolutions that have none, so that the
                         function stays what it is, and folded back into them afterwards */
    pare_steps_fn on_steps; /* called about twenty times an epoch, or NULL */
    pare_epoch_fn on_epoch; /* called after every epoch, or NULL */
    void *user;
} pare_train_options;

/* What `optimizer`, `schedule` and `loss` can name. */
typedef enum pare_train_list {
    PARE_TRAIN_OPTIMIZERS,
    PARE_TRAIN_SCHEDULES,
    PARE_TRAIN_LOSSES
} pare_train_list;
/* Entry `index`, 0, 1, ...; false past the last. The first is the default. */
PARE_API bool pare_train_entry_at(pare_entry *out, pare_train_list list, int index);
/* Whether a text is a sum of terms that `loss` takes; a network may still not fit it. */
PARE_API bool pare_train_reads_loss(const char *text);

/* Seconds of the parts of a training, by the clock. */
typedef struct pare_train_times {
    double data;    /* waiting for images and handing them over; they are prepared meanwhile */
    double teacher; /* its forward passes */
    double forward, loss, backward;
    double update; /* norm of the gradient, optimiser, average of the weights */
    double validation;
} pare_train_times;

typedef struct pare_train_result {
    int epochs, best_epoch;
    /* NAN where there is none */
    double best_val_loss, best_val_nll, best_val_accuracy, best_val_miou;
    int64_t left_out; /* images, by `trim` */
    double images_per_second, seconds;
    double data_wait;       /* as in pare_epoch, of this call */
    pare_train_times times; /* of this call */
} pare_train_result;

/* Trains `model` in place. The weights kept are those of the epoch with the lowest validation loss
 * (`val` NULL: the last). The same seed, threads and machine give the same bytes, also after a
 * cancel or a kill and resume. PARE_ERROR_NUMERIC: loss or gradient was no longer finite, or the
 * loss a thousand times that of the first step; the weights are the best so far (best_epoch 0: as
 * they were). PARE_ERROR_CANCELLED: the checkpoint is written. */
PARE_API PARE_NODISCARD pare_status pare_train(pare_model *model, const pare_data *train,
                                               const pare_data *val,
                                               const pare_train_options *options,
                                               pare_train_result *result);

/* Whether a file is the checkpoint of a training, of whichever; false where there is none. */
PARE_API bool pare_train_is_checkpoint(pare_context *ctx, const char *path);

/* Re-estimates the running statistics of all normalisations on the images (a cumulative average
 * over batches), weights unchanged. *changed says whether it was kept: it is only where the
 * negative log-likelihood (of labels on `val`, or the divergence from `teacher`'s outputs when
 * given) falls. */
PARE_API PARE_NODISCARD pare_status pare_recalibrate(pare_model *model, const pare_data *images,
                                                     const pare_data *val,
                                                     const pare_model *teacher, bool *changed);

#endif
