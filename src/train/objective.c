/* SPDX-License-Identifier: Apache-2.0 */
/* objective.c - see objective.h. */
#include "train/objective.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/loss_terms.h"

static pare_status read_mix(pri_loss_mix *out, pare_context *ctx, const char *text)
{
    const pri_loss_kind *kinds;
    char names[128] = "";

    if (pri_loss_parse(out, text))
        return PARE_OK;
    const int n = pri_loss_kinds(&kinds);
    for (int k = 0; k < n; k++) {
        strcat(names, k == 0 ? "" : k + 1 < n ? ", " : " and ");
        strcat(names, kinds[k].name);
    }
    return pri_fail(
        ctx, PARE_ERROR_ARGUMENT,
        "cannot read the loss '%s'; it is a sum of at most %d terms such as 'ce+0.5*dice' or "
        "'focal=2' of %s",
        text, PRI_LOSS_TERMS, names);
}

pare_status pri_objective_open(pri_objective *out, pri_view *view,
                               const pare_train_options *options)
{
    pare_context *ctx = view->model->ctx;
    const char *texts[2] = {options->loss, options->mask_loss};

    *out = (pri_objective){.is_plain = true};
    texts[1] = texts[1] != NULL ? texts[1] : texts[0];
    for (int k = 0; k < 2; k++)
        PRI_TRY(read_mix(&out->mix[k], ctx, texts[k] != NULL ? texts[k] : "ce"));
    for (int k = 0; k < view->n_heads; k++) {
        pri_head *head = &view->heads[k];
        pri_loss_mix *mix = &out->mix[head->is_mask];
        if (head->classes == 1 && texts[head->is_mask] == NULL)
            PRI_TRY(read_mix(mix, ctx, "bce"));
        head->labels = pri_loss_label_limit(mix, head->classes);
        if (head->labels == 0)
            return pri_fail(ctx, PARE_ERROR_ARGUMENT,
                            "the loss '%s' needs a head of more than one output; this one takes "
                            "bce, dice or mse",
                            texts[head->is_mask]);
        out->is_plain = out->is_plain && mix->count == 1 && mix->terms[0].kind == 0;
    }
    return PARE_OK;
}

void pri_objective_close(pri_objective *objective)
{
    pri_free(objective->weights[0]);
    pri_free(objective->weights[1]);
    *objective = (pri_objective){0};
}

/* n / (K n_k): every class weighs the same in all, and the mean weight of a sample is 1. Classes
 * that do not occur weigh 1. */
static pare_status balance(float *weights, int64_t classes, const pri_head *head,
                           const pare_data *data)
{
    const bool is_mask = head->is_mask;
    const int64_t count = data->count * (is_mask ? data->height * data->width : 1);
    double *counts = pri_alloc(data->ctx, (size_t)classes, sizeof *counts);
    double all = 0, occurring = 0;

    if (counts == NULL)
        return PARE_ERROR_MEMORY;
    for (int64_t i = 0; i < count; i++) {
        const int64_t label = !is_mask                        ? data->labels[i]
                              : data->masks[i] == PARE_IGNORE ? -1
                                                              : data->masks[i];
        if (label < 0 || label + head->offset >= classes)
            continue;
        counts[label + head->offset]++;
        all++;
    }
    for (int64_t k = 0; k < classes; k++)
        occurring += counts[k] > 0;
    for (int64_t k = 0; k < classes; k++)
        weights[k] = counts[k] > 0 ? (float)(all / (occurring * counts[k])) : 1;
    pri_free(counts);
    return PARE_OK;
}

static bool are_zero(const float *weights, int64_t classes)
{
    for (int64_t k = 0; k < classes; k++) {
        if (weights[k] > 0)
            return false;
    }
    return true;
}

/* Numbers between commas and white space; their count, or -1. */
static int64_t read_numbers(float *out, int64_t max, const char *text)
{
    int64_t count = 0;

    for (;;) {
        char *end;
        text += strspn(text, ", \t\r\n");
        if (*text == '\0')
            return count;
        const double number = strtod(text, &end);
        if (end == text || !(number >= 0) || !(number <= 1e9) || count == max)
            return -1;
        out[count++] = (float)number;
        text = end;
    }
}

pare_status pri_objective_weigh(pri_objective *objective, const pri_view *view,
                                const pare_data *data, const char *weights)
{
    pare_context *ctx = view->model->ctx;
    bool is_used = false;

    for (int k = 0; k < view->n_heads && weights != NULL; k++) {
        const pri_head *head = &view->heads[k];
        const int64_t classes = pri_max_i64(head->classes, 2);
        const bool has_truth = head->is_mask ? data->masks != NULL : data->labels != NULL;
        if (!has_truth || head->labels > classes)
            continue;
        float *row = pri_alloc(ctx, (size_t)classes + 1, sizeof *row);
        objective->weights[head->is_mask] = row;
        if (row == NULL)
            return PARE_ERROR_MEMORY;
        if (strcmp(weights, "auto") == 0) {
            PRI_TRY(balance(row, classes, head, data));
        } else if (read_numbers(row, classes + 1, weights) != classes) {
            pri_free(row); /* they may be another head's */
            objective->weights[head->is_mask] = NULL;
            continue;
        }
        if (are_zero(row, classes))
            return pri_fail(ctx, PARE_ERROR_ARGUMENT, "class weights are all 0");
        is_used = true;
        objective->is_plain = false;
    }
    return weights == NULL || is_used
               ? PARE_OK
               : pri_fail(
                     ctx, PARE_ERROR_ARGUMENT,
                     "class weights are 'auto', or as many numbers (none negative) as a head has "
                     "classes, and are for losses of classes");
}
