/* SPDX-License-Identifier: Apache-2.0 */
/* progress.c - what is noted of a run, and what callers and event files hear of it. */
#include "train/trainer.h"

enum {
    GROUPS = 20,    /* of steps an epoch, at most */
    EXPLODED = 1000 /* times the first loss is too much */
};

pare_status pri_trainer_watch(pri_trainer *t, double loss)
{
    if (t->position.first_loss < 0)
        t->position.first_loss = loss;
    if (loss > EXPLODED * (t->position.first_loss + 1))
        return pri_fail(t->ctx, PARE_ERROR_NUMERIC,
                        "the loss has grown from %.3g to %.3g in step %lld of epoch %lld; try a "
                        "smaller learning rate",
                        t->position.first_loss, loss, (long long)t->position.step + 1,
                        (long long)t->position.epoch + 1);
    /* in the first of many epochs the network knows nothing yet */
    const bool is_early =
        t->position.epoch == 0 && t->options.epochs > 2 && t->options.trim_after > 1;
    for (int k = 0; k < t->view.n_heads && t->noise.samples != NULL && !is_early; k++) {
        if (!t->view.heads[k].is_mask)
            pri_noise_note(&t->noise, pri_engine_output(t->engine, k), t->view.heads[k].classes,
                           t->truth->labels, t->order, t->batch);
    }
    return PARE_OK;
}

pare_status pri_trainer_tell_step(pri_trainer *t, double loss, double rate,
                                  double images_per_second)
{
    const pri_position *at = &t->position;
    const int64_t size = (t->steps + GROUPS - 1) / GROUPS;

    t->group_loss += loss;
    t->group_steps++;
    if (at->step % size != 0 && at->step != t->steps)
        return PARE_OK;
    const pare_steps steps = {.epoch = (int)at->epoch + 1,
                              .epochs = t->options.epochs,
                              .step = at->step,
                              .steps = t->steps,
                              .loss = t->group_loss / (double)t->group_steps,
                              .learning_rate = rate,
                              .images_per_second = images_per_second};
    t->group_loss = 0;
    t->group_steps = 0;
    if (t->options.on_steps != NULL)
        t->options.on_steps(t->options.user, &steps);
    const int64_t done = at->epoch * t->steps + at->step;
    PRI_TRY(pri_events_add(&t->events, "train/loss", done, steps.loss));
    PRI_TRY(pri_events_add(&t->events, "train/learning_rate", done, rate));
    PRI_TRY(pri_events_add(&t->events, "train/images_per_second", done, images_per_second));
    return pri_events_flush(&t->events);
}

pare_status pri_trainer_tell_epoch(pri_trainer *t, const pare_epoch *epoch)
{
    const int64_t done = epoch->epoch * t->steps;

    if (t->options.on_epoch != NULL)
        t->options.on_epoch(t->options.user, epoch);
    PRI_TRY(pri_events_add(&t->events, "epoch/loss", done, epoch->loss));
    PRI_TRY(pri_events_add(&t->events, "val/loss", done, epoch->val_loss));
    PRI_TRY(pri_events_add(&t->events, "val/nll", done, epoch->val_nll));
    PRI_TRY(pri_events_add(&t->events, "val/accuracy", done, epoch->val_accuracy));
    PRI_TRY(pri_events_add(&t->events, "val/miou", done, epoch->val_miou));
    return pri_events_flush(&t->events);
}
