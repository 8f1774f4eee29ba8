/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trainer.h - a training run: what trainer.c drives and checkpoint.c keeps.
 *
 * The run works on a clone (view); the model given gets the result when it is over. All randomness
 * is a function of seed, epoch and step, so a position and the rows of floats are the whole state.
 */
#ifndef PRI_TRAINER_H
#define PRI_TRAINER_H

#include <pare/train.h>

#include "data/prefetch.h"
#include "train/heads.h"
#include "train/optimizer.h"
#include "train/state.h"

/* Written to checkpoints as it is: 8-byte members only. */
typedef struct pri_position {
    int64_t epoch, step;  /* next step of epoch 0, 1, ... */
    double loss_sum;      /* over the steps of this epoch */
    double seconds;       /* of training, also before a resume */
    int64_t images;       /* trained on in these */
    int64_t best_epoch;   /* 1, 2, ...; 0: none yet */
    double best_nll, best_accuracy, best_miou;
} pri_position;

typedef struct pri_trainer {
    pare_context *ctx;
    const pare_model *model;
    const pare_data *train, *val;
    pare_train_options options; /* defaults filled in */
    pri_schedule schedule;
    pri_view view;
    pri_engine *engine;
    pri_view teacher_view;
    pri_watcher teacher;
    int teacher_head[2];
    pri_state state;
    float *velocity;      /* state.trained */
    float *good;          /* state.total: best by validation, or of the last epoch */
    int64_t batch, steps; /* steps of an epoch */
    int64_t *permutation; /* of this epoch */
    uint64_t epoch_seed;  /* of the changes of its images */
    pri_prefetch *prefetch;
    const pri_batch *truth; /* the batch of this step */
    bool shares_images;     /* the teacher sees the same numbers */
    double waited_s, passed_s;
    double *partial;
    pri_position position;
} pri_trainer;

/* Hash of everything the run depends on but its options' checkpoint and callbacks. */
typedef struct pri_identity {
    uint64_t model, options, images, teacher;
} pri_identity;

/* Lets the steps of the epoch that are left be prepared in the background (trainer->prefetch). */
pare_status pri_trainer_feed(pri_trainer *trainer);
void pri_trainer_identify(pri_identity *out, const pri_trainer *trainer);
pare_status pri_checkpoint_write(const pri_trainer *trainer, const pri_identity *identity);
/* Restores weights, velocity, best weights and position. PARE_ERROR_FORMAT when the file is damaged,
 * PARE_ERROR_ARGUMENT when it belongs to another run; the trainer is then unchanged. */
pare_status pri_checkpoint_read(pri_trainer *trainer, const pri_identity *identity);

#endif
