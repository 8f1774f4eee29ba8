/* SPDX-License-Identifier: Apache-2.0 */
/* compare.c - two models on the same images. */
#include <pare/evaluate.h>

#include <string.h>

#include "metrics/run.h"

enum { DEFAULT_ROUNDS = 30 };

static pare_status take_latency(pare_comparison *out, pare_model *const models[2], int rounds)
{
    pri_latency latency;

    PRI_TRY(pri_measure_latency(&latency, models[0], models[1], out->batch, rounds));
    for (int k = 0; k < 2; k++) {
        out->latency[k] = latency.median[k];
        out->latency_low[k] = latency.low[k];
        out->latency_high[k] = latency.high[k];
    }
    out->ratio_low = latency.ratio_low;
    out->ratio_high = latency.ratio_high;
    return PARE_OK;
}

static pare_status measure(pare_comparison *out, pare_model *const models[2],
                           const pare_compare_options *options)
{
    const int rounds = options->latency_rounds > 0 ? options->latency_rounds : DEFAULT_ROUNDS;
    const int64_t declared = models[0]->graph->inputs[0]->shape.dims[0];

    if (options->latency_rounds < 0)
        return PARE_OK;
    out->batch = options->batch > 0 ? options->batch : 1;
    const pare_status status = take_latency(out, models, rounds);
    if (status != PARE_ERROR_SHAPE || options->batch > 0 || declared <= 1)
        return status;
    out->batch = declared; /* nobody asked for batch 1, and the graph cannot */
    pri_forget(models[0]->ctx);
    return take_latency(out, models, rounds);
}

pare_status pare_compare(pare_comparison *out, pare_model *original, pare_model *pruned,
                         const pare_data *data, const pare_compare_options *options)
{
    static const char *const names[2] = {"while evaluating the original",
                                         "while evaluating the pruned model"};
    pare_model *const given[2] = {original, pruned};
    pare_model *models[2] = {NULL, NULL};
    pare_status status = PARE_OK;

    memset(out, 0, sizeof *out);
    for (int k = 0; k < 2 && status == PARE_OK; k++) {
        status = pri_close_shape(&models[k], given[k], data);
        if (status == PARE_OK)
            status = pare_model_costs(models[k], &out->costs[k]);
        if (status == PARE_OK)
            status = pare_evaluate(&out->scores[k], models[k], data);
        if (status != PARE_OK)
            pri_note(original->ctx, "%s", names[k]);
    }
    if (status == PARE_OK) {
        out->p_class = pare_mcnemar(&out->scores[0], &out->scores[1], data);
        out->p_mask = pare_wilcoxon(&out->scores[0], &out->scores[1]);
        status = measure(out, models, options);
    }
    for (int k = 0; k < 2; k++)
        pare_model_free(models[k]);
    if (status != PARE_OK)
        pare_comparison_clear(out);
    return status;
}

void pare_comparison_clear(pare_comparison *comparison)
{
    pare_scores_clear(&comparison->scores[0]);
    pare_scores_clear(&comparison->scores[1]);
    memset(comparison, 0, sizeof *comparison);
}
