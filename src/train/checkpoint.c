/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checkpoint.c - the state of a training run in a file.
 *
 * header, then rows of floats: weights and statistics, moments of the optimiser, best weights and
 * statistics, their average where there is one; then what is known of labels, and a checksum of all
 * before it. The header names the run it belongs to by four hashes; a file of another
 * run, machine order or length is refused before anything is changed.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "data/augment.h"
#include "train/trainer.h"

#define MAGIC "PARETRN"
enum { VERSION = 3, BYTE_ORDER_MARK = 0x01020304 };

typedef struct header {
    char magic[8];
    uint32_t version, order;
    pri_identity identity;
    int32_t threads, algorithms; /* pare_algorithms */
    pri_position position;
    int64_t trained, total, rows, samples; /* rows: floats of all */
} header;

/* FNV-1a over words of eight bytes; the rest byte by byte. */
static uint64_t hash_bytes(uint64_t hash, const void *data, size_t size)
{
    const unsigned char *bytes = data;
    const uint64_t prime = UINT64_C(0x100000001b3);
    size_t i = 0;

    for (; i + 8 <= size; i += 8) {
        uint64_t word;
        memcpy(&word, bytes + i, 8);
        hash = (hash ^ word) * prime;
        hash ^= hash >> 29;
    }
    for (; i < size; i++)
        hash = (hash ^ bytes[i]) * prime;
    return (hash ^ size) * prime;
}

static uint64_t hash_text(uint64_t hash, const char *text)
{
    return hash_bytes(hash, text, strlen(text));
}

static uint64_t hash_attributes(uint64_t hash, const pri_node *node)
{
    for (int a = 0; a < node->n_attrs; a++) {
        const pri_attr *attr = &node->attrs[a];
        hash = hash_text(hash, attr->name);
        hash = hash_bytes(hash, &attr->i, sizeof attr->i);
        hash = hash_bytes(hash, &attr->f, sizeof attr->f);
        if (attr->type == PRI_ATTR_INTS && attr->count > 0)
            hash = hash_bytes(hash, attr->ints, (size_t)attr->count * sizeof *attr->ints);
        if (attr->type == PRI_ATTR_STRING && attr->s != NULL)
            hash = hash_text(hash, attr->s);
    }
    return hash;
}

static uint64_t hash_model(const pare_model *model)
{
    const pri_graph *graph = model->graph;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (int i = 0; i < graph->n_nodes; i++) {
        const pri_node *node = graph->nodes[i];
        if (node->is_dead)
            continue;
        hash = hash_attributes(hash_text(hash, node->op_type), node);
        for (int k = 0; k < node->n_inputs; k++)
            hash = hash_text(hash, node->inputs[k] != NULL ? node->inputs[k]->name : "");
        for (int k = 0; k < node->n_outputs; k++)
            hash = hash_text(hash, node->outputs[k] != NULL ? node->outputs[k]->name : "");
    }
    for (int i = 0; i < graph->n_values; i++) {
        const pri_tensor *constant = graph->values[i]->constant;
        if (constant == NULL)
            continue;
        hash =
            hash_bytes(hash, constant->shape.dims, (size_t)constant->shape.rank * sizeof(int64_t));
        hash = hash_bytes(hash, constant->data,
                          (size_t)pri_tensor_count(constant) * pri_dtype_bytes(constant->dtype));
    }
    return hash;
}

/* The network as a view of it sees images and labels. */
static uint64_t hash_view(const pri_view *view)
{
    const pri_preprocess *p = &view->preprocess;
    uint64_t hash = hash_model(view->model);

    hash = hash_bytes(hash, &p->scale, sizeof p->scale);
    hash = hash_bytes(hash, p->mean, sizeof p->mean);
    hash = hash_bytes(hash, p->std, sizeof p->std);
    hash = hash_bytes(hash, &p->is_bgr, sizeof p->is_bgr);
    for (int k = 0; k < view->n_heads; k++)
        hash = hash_bytes(hash, &view->heads[k].offset, sizeof view->heads[k].offset);
    return hash;
}

void pri_trainer_identify(pri_identity *out, const pri_trainer *trainer)
{
    const pare_train_options *o = &trainer->options;
    const double numbers[] = {o->epochs,        (double)o->batch,   o->learning_rate,
                              o->momentum,      o->weight_decay,    (double)(o->beta2),
                              o->warmup,        o->label_smoothing, o->mask_weight,
                              o->clip_norm,     o->distill,         o->temperature,
                              o->keep_last,     o->distill_inner,   o->freeze_norm,
                              trainer->is_bf16, o->average,         o->early_stop,
                              o->trim,          o->trim_after,      trainer->noise.samples != NULL};

    const char *texts[] = {o->loss, o->mask_loss, o->class_weights};

    out->model = hash_view(&trainer->view);
    out->options = pri_augment_hash(hash_bytes(o->seed, numbers, sizeof numbers), &o->augment);
    out->options = hash_text(out->options, trainer->optimizer->name);
    out->options = hash_text(out->options, trainer->schedule->name);
    for (size_t k = 0; k < PRI_COUNT(texts); k++)
        out->options = hash_text(out->options, texts[k] != NULL ? texts[k] : "");
    out->images = pri_data_hash(1, trainer->train);
    if (trainer->val != NULL)
        out->images = pri_data_hash(out->images, trainer->val);
    out->teacher = o->teacher != NULL ? hash_view(&trainer->teacher_view) : 0;
}

static int64_t count_floats(const pri_trainer *trainer)
{
    const pri_state *state = &trainer->state;
    const int64_t copies = trainer->average.decay > 0 ? 3 : 2;

    return copies * state->total + trainer->optimizer->rows * state->trained;
}

static int64_t count_samples(const pri_trainer *trainer)
{
    return trainer->noise.samples != NULL ? trainer->noise.count : 0;
}

static size_t file_size(const pri_trainer *trainer)
{
    return sizeof(header) + (size_t)count_floats(trainer) * sizeof(float) +
           (size_t)count_samples(trainer) * sizeof(pri_sample) + sizeof(uint64_t);
}

pare_status pri_checkpoint_write(const pri_trainer *trainer, const pri_identity *identity)
{
    const pri_state *state = &trainer->state;
    const size_t size = file_size(trainer);
    unsigned char *bytes = pri_alloc(trainer->ctx, size, 1);

    if (bytes == NULL)
        return PARE_ERROR_MEMORY;
    const header head = {.magic = MAGIC,
                         .version = VERSION,
                         .order = BYTE_ORDER_MARK,
                         .identity = *identity,
                         .threads = pare_context_threads(trainer->ctx),
                         .algorithms = (int32_t)pare_context_algorithms(trainer->ctx),
                         .position = trainer->position,
                         .trained = state->trained,
                         .total = state->total,
                         .rows = count_floats(trainer),
                         .samples = count_samples(trainer)};
    memcpy(bytes, &head, sizeof head);
    float *row = (float *)(void *)(bytes + sizeof head);
    pri_state_read(state, row);
    row += state->total;
    const int64_t moments = trainer->optimizer->rows * state->trained;
    memcpy(row, trainer->moments, (size_t)moments * sizeof *row);
    row += moments;
    memcpy(row, trainer->good, (size_t)state->total * sizeof *row);
    row += state->total;
    if (trainer->average.decay > 0) {
        memcpy(row, trainer->average.row, (size_t)state->total * sizeof *row);
        row += state->total;
    }
    if (head.samples > 0)
        memcpy(row, trainer->noise.samples, (size_t)head.samples * sizeof(pri_sample));
    const uint64_t sum = hash_bytes(VERSION, bytes, size - sizeof sum);
    memcpy(bytes + size - sizeof sum, &sum, sizeof sum);
    const pare_status status =
        pri_file_write(trainer->ctx, trainer->options.checkpoint, bytes, size, true);
    pri_free(bytes);
    return status;
}

static pare_status refuse(const pri_trainer *trainer, const char *what)
{
    return pri_fail(
        trainer->ctx, PARE_ERROR_ARGUMENT,
        "checkpoint '%s' belongs to a run with %s; repeat that command or remove the file",
        trainer->options.checkpoint, what);
}

static bool is_sane(const pri_position *p, const pri_trainer *trainer)
{
    return p->epoch >= 0 && p->epoch <= trainer->options.epochs && p->step >= 0 &&
           p->step <= trainer->steps && (p->epoch < trainer->options.epochs || p->step == 0) &&
           p->best_epoch >= 0 && p->best_epoch <= p->epoch && p->images >= 0 &&
           isfinite(p->loss_sum) && isfinite(p->seconds) && p->seconds >= 0;
}

static pare_status check(const pri_trainer *trainer, const pri_identity *identity,
                         const pri_bytes *file)
{
    const char *path = trainer->options.checkpoint;
    header head;
    uint64_t sum;

    if (file->size_bytes < sizeof head + sizeof sum || memcmp(file->data, MAGIC, 8) != 0)
        return pri_fail(trainer->ctx, PARE_ERROR_FORMAT, "'%s' is not a checkpoint of pare", path);
    memcpy(&head, file->data, sizeof head);
    if (head.version != VERSION || head.order != BYTE_ORDER_MARK)
        return pri_fail(trainer->ctx, PARE_ERROR_FORMAT,
                        "checkpoint '%s' was written by another version or kind of machine", path);
    if (head.identity.model != identity->model)
        return refuse(trainer, "another model, preprocessing or class offset");
    if (head.identity.options != identity->options)
        return refuse(trainer, "other options");
    if (head.identity.images != identity->images)
        return refuse(trainer, "other images");
    if (head.identity.teacher != identity->teacher)
        return refuse(trainer, "another teacher or preprocessing of it");
    memcpy(&sum, file->data + file->size_bytes - sizeof sum, sizeof sum);
    if (file->size_bytes != file_size(trainer) || head.total != trainer->state.total ||
        head.trained != trainer->state.trained || head.rows != count_floats(trainer) ||
        head.samples != count_samples(trainer) || !is_sane(&head.position, trainer) ||
        sum != hash_bytes(VERSION, file->data, file->size_bytes - sizeof sum))
        return pri_fail(trainer->ctx, PARE_ERROR_FORMAT, "checkpoint '%s' is damaged", path);
    const float *row = (const float *)(const void *)(file->data + sizeof head);
    for (int64_t i = 0; i < head.rows; i++) {
        if (!isfinite(row[i]))
            return pri_fail(trainer->ctx, PARE_ERROR_FORMAT,
                            "checkpoint '%s' holds a number that is not finite", path);
    }
    return PARE_OK;
}

/* What follows the weights. */
static void restore(pri_trainer *trainer, const float *row, int64_t samples)
{
    const pri_state *state = &trainer->state;
    const int64_t moments = trainer->optimizer->rows * state->trained;

    memcpy(trainer->moments, row, (size_t)moments * sizeof *row);
    row += moments;
    memcpy(trainer->good, row, (size_t)state->total * sizeof *row);
    row += state->total;
    if (trainer->average.decay > 0) {
        memcpy(trainer->average.row, row, (size_t)state->total * sizeof *row);
        row += state->total;
    }
    if (samples > 0)
        memcpy(trainer->noise.samples, row, (size_t)samples * sizeof(pri_sample));
    trainer->noise.dropped = 0;
    for (int64_t i = 0; i < samples; i++)
        trainer->noise.dropped += trainer->noise.samples[i].is_dropped != 0;
}

bool pare_train_is_checkpoint(pare_context *ctx, const char *path)
{
    char magic[sizeof MAGIC];

    if (pri_file_size(path) < (int64_t)sizeof magic)
        return false;
    if (pri_file_read_part(magic, ctx, path, 0, sizeof magic) == PARE_OK)
        return memcmp(magic, MAGIC, sizeof magic) == 0;
    pri_forget(ctx);
    return false;
}

pare_status pri_checkpoint_prepare(const pri_trainer *trainer)
{
    const char *path = trainer->options.checkpoint;

    pri_file_remove_rests(trainer->ctx, path);
    if (!pri_file_exists(path) || pare_train_is_checkpoint(trainer->ctx, path))
        return PARE_OK;
    return trainer->options.resume
               ? pri_fail(trainer->ctx, PARE_ERROR_FORMAT, "'%s' is not a checkpoint of pare", path)
               : pri_fail(trainer->ctx, PARE_ERROR_EXISTS,
                          "'%s' is to be the checkpoint, but is a file of another kind; move it "
                          "away or state another name",
                          path);
}

/* What the user may change between parts of a run, but not without a trace. */
static void tell_differences(pare_context *ctx, const header *head)
{
    const int threads = pare_context_threads(ctx);

    if (head->threads != threads)
        pri_log(ctx, PARE_LOG_WARNING,
                "the run began on %d threads and goes on with %d: its result differs by rounding "
                "from that of an undisturbed one",
                (int)head->threads, threads);
    if (head->algorithms != (int32_t)pare_context_algorithms(ctx))
        pri_log(ctx, PARE_LOG_WARNING,
                "the run began with other algorithms of convolutions (--algorithms): its result "
                "differs by rounding from that of an undisturbed one");
}

pare_status pri_checkpoint_read(pri_trainer *trainer, const pri_identity *identity)
{
    const pri_state *state = &trainer->state;
    pri_bytes file = {0};

    PRI_TRY(pri_file_read(&file, trainer->ctx, trainer->options.checkpoint));
    const pare_status status = check(trainer, identity, &file);
    if (status == PARE_OK) {
        header head;
        const float *row = (const float *)(const void *)(file.data + sizeof head);
        memcpy(&head, file.data, sizeof head);
        tell_differences(trainer->ctx, &head);
        trainer->position = head.position;
        pri_state_write(state, row);
        restore(trainer, row + state->total, head.samples);
    }
    pri_bytes_clear(&file);
    return status;
}
