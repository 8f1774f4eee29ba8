/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run_state.c - see run_state.h.
 *
 * The state is the model itself as an ONNX file, with fingerprint, stage, points and what was
 * pruned in its metadata; it is replaced atomically, so a kill at any moment leaves the stage
 * before or after.
 */
#include "recipe/run_state.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "data/augment.h"
#include "data/data.h"
#include "model/model.h"
#include "kernels/channel_step.h"
#include "onnx/onnx_io.h"

#define KEY "pare.run"

static uint64_t hash_data(uint64_t h, const pare_data *data)
{
    return data != NULL ? pri_data_hash(h, data) : h;
}

pare_status pri_run_fingerprint(char text[32], const pare_model *model, const pare_recipe *recipe,
                                const pare_data *train, const pare_data *val)
{
    const pare_prune_options *p = &recipe->prune;
    const pare_train_options *t = &recipe->train;
    unsigned char *bytes = NULL;
    size_t size = 0;
    pri_text all;

    PRI_TRY(pri_onnx_export_bytes(&bytes, &size, model->graph));
    uint64_t h = pri_hash(PRI_HASH_START, bytes, size);
    pri_free(bytes);
    pri_text_init(&all, model->ctx);
    pri_text_addf(&all, "%s %d %d %d %d %a %d %a %d %d %d %lld %d %d %lld %d %d %d %llu ",
                  pare_version(), (int)p->strategy, (int)p->fisher, (int)p->action,
                  (int)p->target.quantity, p->target.value, p->target.is_share, p->factor,
                  p->per_layer, p->ignore_cost, p->draws, (long long)p->align, p->steps,
                  p->reconstruct, (long long)p->calibration, p->no_fold, p->no_refit,
                  p->no_recalibrate, (unsigned long long)p->seed);
    pri_text_addf(&all, "%d %d %d %d %lld %a %a %a %s %a %a %a %a %a %a %d %llu", recipe->rounds,
                  recipe->epochs, recipe->final_epochs, recipe->distill + 2 * recipe->hints,
                  (long long)t->batch, t->learning_rate, t->momentum, t->weight_decay,
                  t->schedule != NULL ? t->schedule : "", t->warmup, t->label_smoothing,
                  t->mask_weight, t->clip_norm, t->distill, t->temperature, t->keep_last,
                  (unsigned long long)t->seed);
    pri_text_addf(&all, " %llx", (unsigned long long)pri_augment_hash(1, &t->augment));
    const char *const words[] = {t->optimizer,     t->loss,      t->mask_loss,
                                 t->class_weights, t->precision, p->precision};
    for (size_t k = 0; k < PRI_COUNT(words); k++)
        pri_text_addf(&all, " %s", words[k] != NULL ? words[k] : "-");
    pri_text_addf(&all, " %a %a %d %a %d %d %a %d", t->beta2, t->average, t->early_stop, t->trim,
                  t->trim_after, t->insert_norm, t->distill_inner, t->freeze_norm);
    if (p->align == PARE_ALIGN_AUTO)
        pri_text_addf(&all, " %d", pri_channel_step(model->ctx));
    const pare_status status = pri_text_status(&all);
    h = pri_hash(h, pri_text_get(&all), all.length);
    pri_text_clear(&all);
    h = hash_data(hash_data(h, train), val);
    snprintf(text, 32, "%016llx", (unsigned long long)h);
    return status;
}

char *pri_run_path(pare_context *ctx, const char *prefix, const char *suffix)
{
    const size_t size = strlen(prefix) + strlen(suffix) + 1;
    char *path = pri_alloc(ctx, size, 1);

    if (path != NULL)
        snprintf(path, size, "%s%s", prefix, suffix);
    return path;
}

/* "FINGERPRINT ROUND PRUNED SECONDS N_POINTS" and the points, "round rounds macs parameters
 * accuracy miou nll" each; returns what follows them, NULL when the text is of another run. */
static const char *read_points(pri_run_state *out, const char *text, const char *fingerprint,
                               pare_recipe_result *result, int rounds)
{
    char found[32];
    int pruned = 0, used = 0, n = 0;

    if (sscanf(text, "%31s %d %d %lf %d%n", found, &out->round, &pruned, &out->seconds, &n,
               &used) != 5 ||
        strcmp(found, fingerprint) != 0 || out->round < 1 || out->round > rounds + 1 ||
        (out->round > rounds && pruned != 0) || n < 0 || n > rounds + 1)
        return NULL;
    out->is_pruned = pruned != 0;
    for (int i = 0; i < n; i++) {
        pare_round *p = &result->points[i];
        text += used;
        if (sscanf(text, " %d %d %lf %lf %lf %lf %lf%n", &p->round, &p->rounds, &p->macs,
                   &p->parameters, &p->accuracy, &p->miou, &p->nll, &used) != 7)
            return NULL;
    }
    result->n_points = n;
    return text + used;
}

/* "LENGTH:NAME BEFORE AFTER"; what follows, or NULL. A name may hold anything, so its length stands
 * before it. */
static const char *read_group(pare_pruned_group *group, const char *text)
{
    int length = 0, used = 0;
    long long before, after;

    if (sscanf(text, " %d:%n", &length, &used) != 1 || used == 0 || length < 0 ||
        (size_t)length >= sizeof group->name || strlen(text + used) < (size_t)length)
        return NULL;
    text += used;
    memcpy(group->name, text, (size_t)length);
    group->name[length] = '\0';
    text += length;
    if (sscanf(text, " %lld %lld%n", &before, &after, &used) != 2)
        return NULL;
    group->before = before;
    group->after = after;
    return text + used;
}

/* "UNITS REMOVED ORACLE RECALIBRATED", seconds of scores, re-fit and reconstruction, "N_GROUPS" and
 * the groups; false when the text is not that. */
static bool read_pruning(pare_prune_result *out, pare_context *ctx, const char *text)
{
    long long units, removed;
    int recalibrated, n, used = 0;

    if (sscanf(text, " %lld %lld %lf %d %lf %lf %lf %d%n", &units, &removed, &out->oracle,
               &recalibrated, &out->score_seconds, &out->refit_seconds, &out->reconstruct_seconds,
               &n, &used) != 8 ||
        n < 0 || (size_t)n > strlen(text))
        return false;
    out->units = units;
    out->removed = removed;
    out->was_recalibrated = recalibrated != 0;
    out->groups = pri_alloc(ctx, (size_t)n + 1, sizeof *out->groups);
    if (out->groups == NULL)
        return false;
    for (text += used; out->n_groups < n && text != NULL; out->n_groups++)
        text = read_group(&out->groups[out->n_groups], text);
    return text != NULL;
}

static bool read_text(pri_run_state *out, pare_context *ctx, const char *text,
                      const char *fingerprint, pare_recipe_result *result, int rounds)
{
    const char *rest = text != NULL ? read_points(out, text, fingerprint, result, rounds) : NULL;

    return rest != NULL && read_pruning(&result->pruning, ctx, rest);
}

static pare_status start_anew(pri_run_state *out, pare_context *ctx, const char *path,
                              pare_recipe_result *result)
{
    pri_log(ctx, PARE_LOG_INFO, "'%s' is of another run; starting anew", path);
    pare_model_free(out->model);
    *out = (pri_run_state){0};
    pare_prune_result_clear(&result->pruning);
    result->pruning = (pare_prune_result){0};
    result->n_points = 0;
    return PARE_OK;
}

/* No training may write where something else lies. */
static pare_status check_training(pare_context *ctx, const char *prefix)
{
    char *path = pri_run_path(ctx, prefix, ".train");

    if (path == NULL)
        return PARE_ERROR_MEMORY;
    const pare_status status =
        pri_file_exists(path) && !pare_train_is_checkpoint(ctx, path)
            ? pri_fail(ctx, PARE_ERROR_EXISTS,
                       "'%s' is to be the checkpoint of the run's training, but is a file of "
                       "another kind; move it away or write elsewhere",
                       path)
            : PARE_OK;
    pri_free(path);
    return status;
}

pare_status pri_run_load(pri_run_state *out, pare_context *ctx, const char *prefix,
                         const char *fingerprint, pare_recipe_result *result, int rounds,
                         bool replaces)
{
    *out = (pri_run_state){0};
    PRI_TRY(check_training(ctx, prefix));
    char *path = pri_run_path(ctx, prefix, ".round");
    if (path == NULL)
        return PARE_ERROR_MEMORY;
    pare_status status = PARE_OK;
    if (pri_file_exists(path)) {
        status = pare_model_load(&out->model, ctx, path);
        const char *text = status == PARE_OK ? pare_model_metadata(out->model, KEY) : NULL;
        if (status == PARE_OK && text == NULL)
            status = pri_fail(ctx, PARE_ERROR_EXISTS,
                              "'%s' is to be the state of the run, but is a model of its own; move "
                              "it away or write elsewhere",
                              path);
        else if (status == PARE_OK && !read_text(out, ctx, text, fingerprint, result, rounds))
            status = replaces ? start_anew(out, ctx, path, result)
                              : pri_fail(ctx, PARE_ERROR_EXISTS,
                                         "'%s' is the state of another run (options, images or "
                                         "model differ); repeat that command, or use --force to "
                                         "start anew",
                                         path);
        else if (status != PARE_OK)
            pri_note(ctx, "while going on from '%s'; remove it to start anew", path);
    }
    pri_free(path);
    if (status == PARE_OK && out->model != NULL) {
        status = pare_model_set_metadata(out->model, KEY, NULL);
        if (out->round > rounds)
            pri_log(ctx, PARE_LOG_INFO, "all rounds are done already");
        else
            pri_log(ctx, PARE_LOG_INFO, "going on with round %d of %d%s", out->round, rounds,
                    out->is_pruned ? ", training" : "");
    }
    return status;
}

/* Takes the model as it was written: order of its values and rounding to the file's types are then
 * those a run that goes on from the file has. */
static pare_status read_back(pri_run_state *state, pare_context *ctx, const char *path)
{
    pare_model *model = NULL;

    PRI_TRY(pare_model_load(&model, ctx, path));
    const pare_status status = pare_model_set_metadata(model, KEY, NULL);
    if (status != PARE_OK) {
        pare_model_free(model);
        return status;
    }
    pare_model_free(state->model);
    state->model = model;
    return PARE_OK;
}

pare_status pri_run_save(pri_run_state *state, const char *prefix, const char *fingerprint,
                         const pare_recipe_result *result)
{
    const pare_prune_result *pruning = &result->pruning;
    pare_context *ctx = state->model->ctx;
    char *path = pri_run_path(ctx, prefix, ".round");
    pare_model *copy = NULL;
    pri_text text;

    pri_text_init(&text, ctx);
    pri_text_addf(&text, "%s %d %d %.17g %d", fingerprint, state->round, state->is_pruned,
                  state->seconds, result->n_points);
    for (int i = 0; i < result->n_points; i++) {
        const pare_round *p = &result->points[i];
        pri_text_addf(&text, " %d %d %.17g %.17g %.17g %.17g %.17g", p->round, p->rounds, p->macs,
                      p->parameters, p->accuracy, p->miou, p->nll);
    }
    pri_text_addf(&text, " %lld %lld %.17g %d %.17g %.17g %.17g %d", (long long)pruning->units,
                  (long long)pruning->removed, pruning->oracle, pruning->was_recalibrated,
                  pruning->score_seconds, pruning->refit_seconds, pruning->reconstruct_seconds,
                  pruning->n_groups);
    for (int g = 0; g < pruning->n_groups; g++) {
        const pare_pruned_group *group = &pruning->groups[g];
        pri_text_addf(&text, " %d:%s %lld %lld", (int)strlen(group->name), group->name,
                      (long long)group->before, (long long)group->after);
    }
    pare_status status = path != NULL ? pri_text_status(&text) : PARE_ERROR_MEMORY;
    if (status == PARE_OK)
        status = pare_model_clone(&copy, state->model);
    if (status == PARE_OK)
        status = pare_model_set_metadata(copy, KEY, pri_text_get(&text));
    if (status == PARE_OK)
        status = pare_model_save(copy, path, true);
    pare_model_free(copy);
    if (status == PARE_OK)
        status = read_back(state, ctx, path);
    pri_text_clear(&text);
    pri_free(path);
    return status;
}

void pri_run_remove_training(pare_context *ctx, const char *prefix)
{
    char *path = pri_run_path(ctx, prefix, ".train");

    if (path != NULL)
        pri_file_remove(path);
    pri_free(path);
}

void pri_run_remove(pare_context *ctx, const char *prefix)
{
    char *path = pri_run_path(ctx, prefix, ".round");

    if (path != NULL) {
        pri_onnx_remove(ctx, path);
        pri_file_remove_rests(ctx, path);
    }
    pri_free(path);
    pri_run_remove_training(ctx, prefix);
}
