/* SPDX-License-Identifier: Apache-2.0 */
/* judge.c - what an epoch's weights are worth, and whether they are the ones to keep. */
#include <math.h>

#include <pare/evaluate.h>

#include "train/trainer.h"
#include "train/validate.h"

pare_status pri_trainer_not_finite(const pri_trainer *t, const char *what)
{
    return pri_fail(t->ctx, PARE_ERROR_NUMERIC,
                    "the %s is not finite in step %lld of epoch %lld; try a smaller learning rate",
                    what, (long long)t->position.step + 1, (long long)t->position.epoch + 1);
}

static bool is_finite_row(const float *row, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(row[i]))
            return false;
    }
    return true;
}

/* Scores of the weights as they stand. */
static pare_status score(pri_trainer *t, pare_epoch *report)
{
    bool has_single = false;

    report->val_loss = report->val_nll = report->val_accuracy = report->val_miou = NAN;
    if (t->val == NULL)
        return PARE_OK;
    for (int k = 0; k < t->view.n_heads; k++)
        has_single = has_single || t->view.heads[k].classes == 1;
    if (!has_single) {
        pare_scores scores = {0};
        const pare_status status = pare_evaluate(&scores, t->view.model, t->val);
        if (status == PARE_ERROR_NUMERIC)
            return pri_trainer_not_finite(t, "output for a validation image");
        PRI_TRY(status);
        const double nll = scores.classes > 0 ? scores.nll : 0;
        const double mask_nll = scores.mask_classes > 0 ? scores.mask_nll : 0;
        report->val_nll = nll + mask_nll;
        report->val_loss = nll + t->options.mask_weight * mask_nll;
        report->val_accuracy = scores.classes > 0 ? scores.accuracy : NAN;
        report->val_miou = scores.mask_classes > 0 ? scores.miou : NAN;
        pare_scores_clear(&scores);
    }
    if (!t->objective.is_plain) {
        pri_validation own;
        PRI_TRY(pri_validate(&own, &t->view, &t->objective, t->val, t->options.mask_weight));
        report->val_loss = own.loss;
        report->val_accuracy = has_single ? own.accuracy : report->val_accuracy;
        report->val_miou = has_single ? own.miou : report->val_miou;
    }
    return isfinite(report->val_loss) ? PARE_OK : pri_trainer_not_finite(t, "validation loss");
}

/* Scores the epoch and keeps its weights when they are the ones to return so far. */
static pare_status judge_weights(pri_trainer *t, pare_epoch *report)
{
    pri_position *at = &t->position;

    PRI_TRY(score(t, report));
    report->is_best = t->val == NULL || report->val_loss < at->best_loss;
    if (report->is_best) {
        at->best_epoch = at->epoch + 1;
        at->best_loss = report->val_loss;
        at->best_nll = report->val_nll;
        at->best_accuracy = report->val_accuracy;
        at->best_miou = report->val_miou;
    }
    if (report->is_best || t->options.keep_last) {
        pri_state_read(&t->state, t->good);
        if (!is_finite_row(t->good, t->state.total))
            return pri_trainer_not_finite(t, "largest weight");
    }
    return PARE_OK;
}

pare_status pri_trainer_judge(pri_trainer *t, pare_epoch *report)
{
    pri_average_enter(&t->average, &t->state);
    const pare_status status = judge_weights(t, report);
    pri_average_leave(&t->average, &t->state);
    return status;
}
