/* SPDX-License-Identifier: Apache-2.0 */
/* heads.c - see heads.h. */
#include "train/heads.h"

#include <string.h>

static bool head_of(pri_head *head, const pri_fact *fact)
{
    const pri_shape *shape = &fact->shape;

    if (!fact->known || fact->dtype != PRI_F32 || (shape->rank != 2 && shape->rank != 4))
        return false;
    head->classes = shape->dims[1];
    head->positions = pri_shape_span(shape, 2, shape->rank);
    head->is_mask = head->positions > 1;
    head->labels = head->classes;
    return head->classes > 0 && head->positions > 0;
}

/* What stands before a Sigmoid that ends a head of one output. */
static pri_value *before_sigmoid(pri_value *output)
{
    const pri_node *node = output->producer;

    return node != NULL && node->n_inputs == 1 && strcmp(node->op_type, "Sigmoid") == 0
               ? node->inputs[0]
               : output;
}

/* Keeps the first class head and the first mask head as the only outputs. */
static void trim_outputs(pri_view *view, const pri_facts *facts)
{
    pri_graph *graph = view->model->graph;
    const int n = graph->n_outputs;

    graph->n_outputs = 0;
    for (int k = 0; k < n; k++) {
        pri_value *output = graph->outputs[k];
        pri_head head = {0};
        output->is_output = false;
        output = pri_logits_of(output, facts, graph->opset);
        if (!head_of(&head, &facts->of[output->id]) || view->n_heads == 2 ||
            (view->n_heads == 1 && view->heads[0].is_mask == head.is_mask))
            continue;
        if (head.classes == 1)
            output = before_sigmoid(output);
        view->heads[view->n_heads++] = head;
        graph->outputs[graph->n_outputs++] = output;
    }
    for (int k = 0; k < graph->n_outputs; k++)
        graph->outputs[k]->is_output = true;
}

/* Open sizes of the input become those of the images. */
static pare_status fix_input(pri_view *view, const pare_data *data)
{
    int64_t dims[PARE_MAX_RANK];
    const int64_t last[4] = {-1, data->height, data->width, data->channels};
    const int64_t first[4] = {-1, data->channels, data->height, data->width};
    const int64_t *wanted = view->preprocess.is_nhwc ? last : first;

    PRI_TRY(pri_check_input(view->model, data));
    if (pare_model_input_shape(view->model, 0, dims) != 4)
        return PARE_OK;
    for (int k = 1; k < 4; k++)
        dims[k] = dims[k] < 0 ? wanted[k] : dims[k];
    return pare_model_set_input_shape(view->model, 0, 4, dims);
}

pare_status pri_view_open(pri_view *out, const pare_model *model, const pare_data *data,
                          const char *fallback)
{
    const char *text = pare_model_metadata(model, PRI_PREPROCESS_KEY);
    pri_facts *facts = NULL;
    pare_status status;

    *out = (pri_view){0};
    PRI_TRY(text == NULL && fallback != NULL
                ? pri_preprocess_parse(&out->preprocess, model->ctx, fallback)
                : pri_preprocess_of(&out->preprocess, model));
    PRI_TRY(pare_model_clone(&out->model, model));
    PRI_CHECK(fix_input(out, data), status, failed);
    PRI_CHECK(pri_facts_infer(&facts, out->model, 0, true), status, failed);
    trim_outputs(out, facts);
    pri_facts_free(facts);
    for (int k = 0; k < out->n_heads; k++) {
        pri_head *head = &out->heads[k];
        if (!head->is_mask)
            PRI_CHECK(pri_class_offset(&head->offset, model, head->classes), status, failed);
    }
    if (out->n_heads > 0)
        return PARE_OK;
    status = pri_fail(model->ctx, PARE_ERROR_UNSUPPORTED,
                      "no output is a class head (N x K) or a mask head (N x K x H x W)");
failed:
    pri_view_close(out);
    return status;
}

void pri_view_close(pri_view *view)
{
    pare_model_free(view->model);
    *view = (pri_view){0};
}

pare_status pri_view_check(const pri_view *view, const pri_head *head, const pare_data *data)
{
    const int64_t classes = (head->is_mask ? data->mask_classes : data->classes) + head->offset;

    if (classes > head->labels)
        return pri_fail(view->model->ctx, PARE_ERROR_DATA,
                        "%s go up to %lld, the head takes those below %lld",
                        head->is_mask ? "masks" : "labels", (long long)(classes - head->offset) - 1,
                        (long long)(head->labels - head->offset));
    if (head->is_mask && head->positions != data->height * data->width)
        return pri_fail(view->model->ctx, PARE_ERROR_SHAPE,
                        "masks are %lldx%lld, the mask head gives %lld positions",
                        (long long)data->height, (long long)data->width,
                        (long long)head->positions);
    return PARE_OK;
}

pare_status pri_view_select(pri_view *view, const pare_data *data, bool keep_all)
{
    pri_graph *graph = view->model->graph;
    int kept = 0;

    for (int k = 0; k < view->n_heads; k++) {
        const pri_head head = view->heads[k];
        const bool has_truth = head.is_mask ? data->masks != NULL : data->labels != NULL;
        if (has_truth)
            PRI_TRY(pri_view_check(view, &head, data));
        graph->outputs[k]->is_output = false;
        if (!has_truth && !keep_all)
            continue;
        view->heads[kept] = head;
        graph->outputs[kept++] = graph->outputs[k];
    }
    for (int k = 0; k < kept; k++)
        graph->outputs[k]->is_output = true;
    view->n_heads = graph->n_outputs = kept;
    if (kept == 0)
        return pri_fail(
            view->model->ctx, PARE_ERROR_DATA,
            "the images have neither the labels nor the masks this model's outputs need");
    return PARE_OK;
}

pare_status pri_view_match(int map[2], const pri_view *view, const pri_view *teacher)
{
    int n_matches = 0;

    for (int k = 0; k < view->n_heads; k++) {
        const pri_head *own = &view->heads[k];
        map[k] = -1;
        for (int j = 0; j < teacher->n_heads; j++) {
            const pri_head *other = &teacher->heads[j];
            if (other->is_mask != own->is_mask)
                continue;
            if (other->classes != own->classes || other->positions != own->positions)
                return pri_fail(
                    view->model->ctx, PARE_ERROR_SHAPE,
                    "the teacher gives %lldx%lld logits where the model gives %lldx%lld "
                    "(classes x positions)",
                    (long long)other->classes, (long long)other->positions, (long long)own->classes,
                    (long long)own->positions);
            map[k] = j;
            n_matches++;
        }
    }
    return n_matches > 0 ? PARE_OK
                         : pri_fail(view->model->ctx, PARE_ERROR_SHAPE,
                                    "the teacher has no output of the model's kind");
}

/* --- Watching --- */

pare_status pri_watcher_open(pri_watcher *out, pri_view *view, int64_t batch,
                             pri_value *const *taps, int n_taps, bool bf16)
{
    const pri_engine_options options = {
        .batch = batch, .taps = taps, .n_taps = n_taps, .bf16 = bf16};
    pare_context *ctx = view->model->ctx;

    *out = (pri_watcher){.view = view, .batch = batch};
    pare_status status = pri_batch_engine(&out->engine, view->model, options);
    for (int k = 0; k < view->n_heads && status == PARE_OK; k++) {
        const pri_head *head = &view->heads[k];
        out->logits[k] = pri_alloc(ctx, (size_t)(batch * head->classes),
                                   (size_t)head->positions * sizeof(float));
        if (out->logits[k] == NULL)
            status = PARE_ERROR_MEMORY;
    }
    if (status == PARE_OK) {
        out->padded = pri_alloc(ctx, (size_t)pri_engine_batch(out->engine), sizeof(int64_t));
        status = out->padded != NULL ? PARE_OK : PARE_ERROR_MEMORY;
    }
    if (status != PARE_OK)
        pri_watcher_close(out);
    return status;
}

void pri_watcher_close(pri_watcher *watcher)
{
    pri_engine_free(watcher->engine);
    pri_free(watcher->logits[0]);
    pri_free(watcher->logits[1]);
    pri_free(watcher->padded);
    *watcher = (pri_watcher){0};
}

/* Images padded[0 .. batch-1] as the engine's input; those made already begin with number `at`. */
static pare_status fill(pri_watcher *watcher, const pare_data *data, const pare_augment *augment,
                        uint64_t seed, const float *made, int64_t at, int64_t count)
{
    const int64_t batch = pri_engine_batch(watcher->engine);
    const int64_t size = data->height * data->width * data->channels;
    float *input = pri_engine_input(watcher->engine, 0);

    if (made == NULL)
        return pri_data_batch(data, &watcher->view->preprocess, watcher->padded, batch, augment,
                              seed, input, NULL, NULL);
    for (int64_t i = 0; i < batch; i++)
        memcpy(input + i * size, made + pri_min_i64(at + i, count - 1) * size,
               (size_t)size * sizeof *input);
    return PARE_OK;
}

pare_status pri_watcher_run(pri_watcher *watcher, const pare_data *data, const int64_t *order,
                            int64_t count, const pare_augment *augment, uint64_t seed,
                            const float *made)
{
    const pri_view *view = watcher->view;
    const int64_t batch = pri_engine_batch(watcher->engine);

    for (int64_t at = 0; at < count; at += batch) {
        const int64_t fresh = pri_min_i64(batch, count - at);
        for (int64_t i = 0; i < batch; i++)
            watcher->padded[i] = order[pri_min_i64(at + i, count - 1)];
        PRI_TRY(fill(watcher, data, augment, seed, made, at, count));
        PRI_TRY(pri_engine_forward(watcher->engine));
        for (int k = 0; k < view->n_heads; k++) {
            const int64_t size = view->heads[k].classes * view->heads[k].positions;
            memcpy(watcher->logits[k] + at * size, pri_engine_output(watcher->engine, k),
                   (size_t)(fresh * size) * sizeof(float));
        }
    }
    return PARE_OK;
}
