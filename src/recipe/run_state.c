/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run_state.c - see run_state.h.
 *
 * The state is the model itself as an ONNX file, with fingerprint, stage and points in its metadata;
 * it is replaced atomically, so a kill at any moment leaves the stage before or after.
 */
#include "recipe/run_state.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "data/data.h"
#include "model/model.h"
#include "onnx/onnx_io.h"

#define KEY "pare.run"

static uint64_t hash(uint64_t h, const void *bytes, size_t size)
{
    const unsigned char *p = bytes;

    for (size_t i = 0; i < size; i++)
        h = (h ^ p[i]) * UINT64_C(0x100000001b3); /* FNV-1a */
    return h;
}

static uint64_t hash_data(uint64_t h, const pare_data *data)
{
    if (data == NULL)
        return h;
    const int64_t size = data->height * data->width * data->channels;
    h = hash(h, &data->count, sizeof data->count);
    h = hash(h, &size, sizeof size);
    return hash(h, data->pixels, (size_t)(data->count > 0 ? size : 0)); /* the first image */
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
    uint64_t h = hash(UINT64_C(0xcbf29ce484222325), bytes, size);
    pri_free(bytes);
    pri_text_init(&all, model->ctx);
    pri_text_addf(&all, "%s %d %d %d %d %a %d %a %d %d %d %lld %d %d %lld %d %d %d %llu ",
                  pare_version(), (int)p->strategy, (int)p->fisher, (int)p->action,
                  (int)p->target.quantity, p->target.value, p->target.is_share, p->factor,
                  p->per_layer, p->ignore_cost, p->draws, (long long)p->align, p->steps,
                  p->reconstruct, (long long)p->calibration, p->no_fold, p->no_refit,
                  p->no_recalibrate, (unsigned long long)p->seed);
    pri_text_addf(&all, "%d %d %d %d %lld %a %a %a %s %a %a %a %a %a %a %d %llu", recipe->rounds,
                  recipe->epochs, recipe->final_epochs, recipe->distill, (long long)t->batch,
                  t->learning_rate, t->momentum, t->weight_decay,
                  t->schedule != NULL ? t->schedule : "", t->warmup, t->label_smoothing,
                  t->mask_weight, t->clip_norm, t->distill, t->temperature, t->keep_last,
                  (unsigned long long)t->seed);
    pri_text_addf(&all, " %d %d %a %a %a", t->augment.flip, t->augment.crop,
                  (double)t->augment.brightness, (double)t->augment.contrast,
                  (double)t->augment.noise);
    const pare_status status = pri_text_status(&all);
    h = hash(h, pri_text_get(&all), all.length);
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

/* "FINGERPRINT ROUND PRUNED N_POINTS round rounds macs parameters accuracy miou nll ..." */
static bool read_text(pri_run_state *out, const char *text, const char *fingerprint,
                      pare_round *points, int *n_points, int rounds)
{
    char found[32];
    int pruned = 0, used = 0;

    if (sscanf(text, "%31s %d %d %d%n", found, &out->round, &pruned, n_points, &used) != 4 ||
        strcmp(found, fingerprint) != 0 || out->round < 1 || out->round > rounds + 1 ||
        (out->round > rounds && pruned != 0) || *n_points < 0 || *n_points > rounds + 1)
        return false;
    out->is_pruned = pruned != 0;
    for (int i = 0; i < *n_points; i++) {
        pare_round *p = &points[i];
        text += used;
        if (sscanf(text, " %d %d %lf %lf %lf %lf %lf%n", &p->round, &p->rounds, &p->macs,
                   &p->parameters, &p->accuracy, &p->miou, &p->nll, &used) != 7)
            return false;
    }
    return true;
}

pare_status pri_run_load(pri_run_state *out, pare_context *ctx, const char *prefix,
                         const char *fingerprint, pare_round *points, int *n_points, int rounds)
{
    char *path = pri_run_path(ctx, prefix, ".round");
    pare_status status = PARE_OK;

    *out = (pri_run_state){0};
    *n_points = 0;
    if (path == NULL)
        return PARE_ERROR_MEMORY;
    if (pri_file_exists(path)) {
        status = pare_model_load(&out->model, ctx, path);
        const char *text = status == PARE_OK ? pare_model_metadata(out->model, KEY) : NULL;
        if (status == PARE_OK &&
            (text == NULL || !read_text(out, text, fingerprint, points, n_points, rounds))) {
            pri_log(ctx, PARE_LOG_INFO, "'%s' is of another run; starting anew", path);
            pare_model_free(out->model);
            *out = (pri_run_state){0};
            *n_points = 0;
        }
        if (status != PARE_OK)
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

pare_status pri_run_save(const pri_run_state *state, const char *prefix, const char *fingerprint,
                         const pare_round *points, int n_points)
{
    pare_context *ctx = state->model->ctx;
    char *path = pri_run_path(ctx, prefix, ".round");
    pare_model *copy = NULL;
    pri_text text;

    pri_text_init(&text, ctx);
    pri_text_addf(&text, "%s %d %d %d", fingerprint, state->round, state->is_pruned, n_points);
    for (int i = 0; i < n_points; i++)
        pri_text_addf(&text, " %d %d %.17g %.17g %.17g %.17g %.17g", points[i].round,
                      points[i].rounds, points[i].macs, points[i].parameters, points[i].accuracy,
                      points[i].miou, points[i].nll);
    pare_status status = path != NULL ? pri_text_status(&text) : PARE_ERROR_MEMORY;
    if (status == PARE_OK)
        status = pare_model_clone(&copy, state->model);
    if (status == PARE_OK)
        status = pare_model_set_metadata(copy, KEY, pri_text_get(&text));
    if (status == PARE_OK)
        status = pare_model_save(copy, path, true);
    pare_model_free(copy);
    pri_text_clear(&text);
    pri_free(path);
    return status;
}

static void remove_file(pare_context *ctx, const char *prefix, const char *suffix)
{
    char *path = pri_run_path(ctx, prefix, suffix);

    if (path != NULL)
        (void)unlink(path);
    pri_free(path);
}

void pri_run_remove_training(pare_context *ctx, const char *prefix)
{
    remove_file(ctx, prefix, ".train");
}

void pri_run_remove(pare_context *ctx, const char *prefix)
{
    remove_file(ctx, prefix, ".round");
    remove_file(ctx, prefix, ".train");
}
