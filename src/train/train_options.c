/* SPDX-License-Identifier: Apache-2.0 */
/* train_options.c - defaults, and what makes no sense. */
#include <math.h>

#include "base/text.h"
#include "data/augment.h"
#include "train/loss_terms.h"
#include "train/trainer.h"

static double or_default(double value, double fallback)
{
    return value == 0 ? fallback : value < 0 ? 0 : value;
}

/* The names of tables, with what they hold when one is not there. */
static pare_status find_names(pri_trainer *t)
{
    const pare_train_options *o = &t->options;
    const pri_optimizer *optimizers;
    const pri_schedule *schedules;
    pri_text text;

    const int n_optimizers = pri_optimizer_list(&optimizers);
    const int n_schedules = pri_schedule_list(&schedules);
    t->optimizer = o->optimizer != NULL ? pri_optimizer_find(o->optimizer) : optimizers;
    t->schedule = o->schedule != NULL ? pri_schedule_find(o->schedule) : schedules;
    if (t->optimizer != NULL && t->schedule != NULL)
        return PARE_OK;
    pri_text_init(&text, t->ctx);
    if (t->optimizer == NULL) {
        for (int k = 0; k < n_optimizers; k++)
            pri_text_addf(&text, " %s", optimizers[k].name);
    } else {
        for (int k = 0; k < n_schedules; k++)
            pri_text_addf(&text, " %s", schedules[k].name);
    }
    const pare_status status =
        pri_fail(t->ctx, PARE_ERROR_ARGUMENT, "there is no %s '%s'; there is:%s",
                 t->optimizer == NULL ? "optimizer" : "schedule",
                 t->optimizer == NULL ? o->optimizer : o->schedule, pri_text_get(&text));
    pri_text_clear(&text);
    return status;
}

static pare_status check_shares(const pri_trainer *t)
{
    const pare_train_options *o = &t->options;

    if (o->beta2 >= 1 || o->average < 0 || o->average >= 1 || o->trim < 0 || o->trim > 0.5)
        return pri_fail(t->ctx, PARE_ERROR_ARGUMENT,
                        "beta2 and the decay of the average lie from 0 to below 1, the share to "
                        "leave out from 0 to a half");
    if (o->early_stop < 0 || o->trim_after < 0)
        return pri_fail(t->ctx, PARE_ERROR_ARGUMENT, "a number of epochs must not be negative");
    if (o->early_stop > 0 && t->val == NULL)
        return pri_fail(t->ctx, PARE_ERROR_ARGUMENT,
                        "stopping early needs validation images to judge by");
    if ((o->trim > 0 || o->noise_report != NULL) && (o->augment.mixup > 0 || o->augment.cutmix > 0))
        return pri_fail(t->ctx, PARE_ERROR_ARGUMENT,
                        "doubtful labels cannot be told where images are blended; train without "
                        "mixup and cutmix");
    return PARE_OK;
}

pare_status pri_trainer_fill_options(pri_trainer *t, const pare_train_options *given)
{
    pare_train_options *o = &t->options;

    *o = given != NULL ? *given : (pare_train_options){0};
    const double numbers[] = {o->learning_rate, o->momentum,  o->weight_decay, o->warmup,
                              o->mask_weight,   o->clip_norm, o->distill,      o->temperature,
                              o->distill_inner, o->beta2,     o->average,      o->trim};
    for (size_t i = 0; i < PRI_COUNT(numbers); i++) {
        if (!isfinite(numbers[i]))
            return pri_fail(t->ctx, PARE_ERROR_ARGUMENT,
                            "a training option is not a finite number");
    }
    PRI_TRY(pri_augment_check(t->ctx, &o->augment));
    if (o->epochs < 0 || o->batch < 0 || o->learning_rate < 0 || o->warmup < 0 ||
        o->clip_norm < 0 || o->temperature < 0)
        return pri_fail(t->ctx, PARE_ERROR_ARGUMENT,
                        "epochs, batch, learning rate, warm-up, clip norm and temperature must not "
                        "be negative");
    if (!(o->label_smoothing >= 0 && o->label_smoothing < 1) || o->distill > 1 || o->momentum >= 1)
        return pri_fail(t->ctx, PARE_ERROR_ARGUMENT,
                        "label smoothing, distillation share and momentum lie between 0 and 1");
    PRI_TRY(check_shares(t));
    PRI_TRY(find_names(t));
    PRI_TRY(pri_precision_parse(&t->is_bf16, t->ctx, o->precision));
    o->epochs = o->epochs == 0 ? 10 : o->epochs;
    o->batch = pri_min_i64(o->batch == 0 ? 64 : o->batch, t->train->count);
    o->learning_rate = or_default(o->learning_rate, t->optimizer->rate);
    o->momentum = or_default(o->momentum, 0.9);
    o->weight_decay = or_default(o->weight_decay, t->optimizer->decay);
    o->beta2 = or_default(o->beta2, 0.999);
    o->trim_after = o->trim_after > 0 ? o->trim_after : o->epochs / 3 > 2 ? o->epochs / 3 : 2;
    if (o->trim > 0 && o->epochs <= o->trim_after)
        return pri_fail(t->ctx, PARE_ERROR_ARGUMENT,
                        "doubtful images would be left out after epoch %d, but there are only %d",
                        o->trim_after, o->epochs);
    o->mask_weight = or_default(o->mask_weight, 1);
    o->distill = o->teacher != NULL ? or_default(o->distill, 0.7) : 0;
    o->distill_inner = o->teacher != NULL ? fmax(o->distill_inner, 0) : 0;
    o->temperature = or_default(o->temperature, o->teacher != NULL ? 4 : 1);
    if (o->resume && o->checkpoint == NULL)
        return pri_fail(t->ctx, PARE_ERROR_ARGUMENT, "resuming needs the name of the checkpoint");
    return PARE_OK;
}

bool pare_train_reads_loss(const char *text)
{
    pri_loss_mix mix;

    return pri_loss_parse(&mix, text);
}

bool pare_train_entry_at(pare_entry *out, pare_train_list list, int index)
{
    const pri_optimizer *optimizers;
    const pri_schedule *schedules;
    const pri_loss_kind *losses;
    const int counts[] = {[PARE_TRAIN_OPTIMIZERS] = pri_optimizer_list(&optimizers),
                          [PARE_TRAIN_SCHEDULES] = pri_schedule_list(&schedules),
                          [PARE_TRAIN_LOSSES] = pri_loss_kinds(&losses)};

    if (index < 0 || index >= counts[list])
        return false;
    switch (list) {
    case PARE_TRAIN_OPTIMIZERS:
        *out = (pare_entry){optimizers[index].name, optimizers[index].summary};
        break;
    case PARE_TRAIN_SCHEDULES:
        *out = (pare_entry){schedules[index].name, schedules[index].summary};
        break;
    case PARE_TRAIN_LOSSES: *out = (pare_entry){losses[index].name, losses[index].summary}; break;
    }
    return true;
}
