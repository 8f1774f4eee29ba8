/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trainer.h - a training run: what trainer.c drives and checkpoint.c keeps.
 *
 * The run works on a clone (view); the model given gets the result when it is over. All randomness
 * is a function of seed, epoch and step, so a position, the rows of floats and what is known of
 * labels are the whole state.
 */
#ifndef PRI_TRAINER_H
#define PRI_TRAINER_H

#include <pare/train.h>

#include "data/prefetch.h"
#include "engine/twin.h"
#include "train/average.h"
#include "train/events.h"
#include "train/heads.h"
#include "train/noise.h"
#include "train/objective.h"
#include "train/optimizer.h"
#include "train/schedule.h"

/* Written to checkpoints as it is: 8-byte members only. */
typedef struct pri_position {
    int64_t epoch, step; /* next step of epoch 0, 1, ... */
    double loss_sum;     /* over the steps of this epoch */
    double seconds;      /* of training, also before a resume */
    int64_t images;      /* trained on in these */
    int64_t best_epoch;  /* 1, 2, ...; 0: none yet */
    double best_loss, best_nll, best_accuracy, best_miou;
    double first_loss; /* of the first step; negative before it */
} pri_position;

typedef struct pri_trainer {
    pare_context *ctx;
    const pare_model *model;
    const pare_data *train, *val;
    pare_train_options options; /* defaults filled in */
    const pri_optimizer *optimizer;
    const pri_schedule *schedule;
    pri_objective objective;
    pri_view view;
    bool is_bf16;
    pri_engine *engine;
    pri_view teacher_view;
    pri_watcher teacher;
    int teacher_head[2];
    pri_twin twin; /* inner values compared with the teacher's; none where not asked for */
    pri_state state;
    float *moments; /* state.trained times the optimiser's rows */
    pri_average average;
    pri_noise noise; /* of class labels; nothing where not asked for */
    pri_events events;
    double group_loss;    /* over the steps since callbacks were told ... */
    int64_t group_steps;  /* ... and their number */
    float *good;          /* state.total: best by validation, or of the last epoch */
    int64_t batch, steps; /* steps of an epoch */
    int64_t *permutation; /* of this epoch */
    int64_t in_use;       /* images of it that steps take */
    uint64_t epoch_seed;  /* of the changes of its images */
    pri_prefetch *prefetch;
    const pri_batch *truth; /* the batch of this step ... */
    const int64_t *order;   /* ... and its images; the loader's */
    bool shares_images;     /* the teacher sees the same numbers */
    double waited_s, passed_s;
    double lap_s; /* when the last part of `times` ended */
    pare_train_times times;
    double *partial;
    pri_position position;
} pri_trainer;

/* Hash of everything the run depends on but its options' checkpoint and callbacks. */
typedef struct pri_identity {
    uint64_t model, options, images, teacher;
} pri_identity;

/* Takes the options over with defaults filled in; PARE_ERROR_ARGUMENT for what makes no sense. */
pare_status pri_trainer_fill_options(pri_trainer *trainer, const pare_train_options *given);

/* Checks and makes all of a trainer of `model` whose ctx, train and val are set; close it
 * afterwards, also when this failed. */
pare_status pri_trainer_open(pri_trainer *trainer, pare_model *model,
                             const pare_train_options *options);
void pri_trainer_close(pri_trainer *trainer);

/* PARE_ERROR_NUMERIC with the place in the run. */
pare_status pri_trainer_not_finite(const pri_trainer *trainer, const char *what);
/* Scores the epoch just trained, or the average of its weights, and keeps these when they are the
 * best so far. Fills what `report` says of validation. */
pare_status pri_trainer_judge(pri_trainer *trainer, pare_epoch *report);
/* Looks at a step's loss and outputs before the weights change: notes margins of labels;
 * PARE_ERROR_NUMERIC when the loss has exploded. */
pare_status pri_trainer_watch(pri_trainer *trainer, double loss);
/* Tells callbacks and event files of steps, once a group is full, and of an epoch. */
pare_status pri_trainer_tell_step(pri_trainer *trainer, double loss, double rate,
                                  double images_per_second);
pare_status pri_trainer_tell_epoch(pri_trainer *trainer, const pare_epoch *epoch);

/* Shuffles the images of the epoch, without those that are left out, and lets the steps that are
 * left of it be prepared in the background (trainer->prefetch). */
pare_status pri_trainer_feed(pri_trainer *trainer);
void pri_trainer_identify(pri_identity *out, const pri_trainer *trainer);
/* Clears what killed runs left beside the checkpoint; PARE_ERROR_EXISTS (with resume
 * PARE_ERROR_FORMAT) where a file of another kind has its name. */
pare_status pri_checkpoint_prepare(const pri_trainer *trainer);
pare_status pri_checkpoint_write(const pri_trainer *trainer, const pri_identity *identity);
/* Restores weights, moments, best weights, what is known of labels, and position. PARE_ERROR_FORMAT
 * when the file is damaged, PARE_ERROR_ARGUMENT when it belongs to another run; the trainer is then
 * unchanged. */
pare_status pri_checkpoint_read(pri_trainer *trainer, const pri_identity *identity);

#endif
