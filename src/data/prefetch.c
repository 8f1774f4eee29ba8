/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prefetch.c - see prefetch.h.
 *
 * One mutex guards all states; pixels are written outside of it, by the one worker that holds the
 * slot, and read by the reader after it has seen the slot ready under the mutex.
 */
#include "data/prefetch.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

enum { MOST_WORKERS = 16, MESSAGE_BYTES = 512 };
static const long poll_ns = 100000000; /* between two looks at the cancel flag */

typedef struct slot {
    pri_batch batch;
    int64_t *order;
    uint64_t seed;
    int64_t number; /* batch it is for; -1: free */
    bool is_ready;
} slot;

struct pri_prefetch {
    pare_context *ctx; /* the reader's */
    pri_prefetch_options options;
    pthread_mutex_t mutex;
    pthread_cond_t filled, freed;
    pthread_t workers[MOST_WORKERS];
    int n_workers, n_slots;
    slot *slots;
    int64_t next_made, next_read; /* batch numbers */
    int held;                     /* slot the reader has; -1: none */
    bool is_stopped;
    pare_status status; /* of the first worker that failed */
    char message[MESSAGE_BYTES];
    double waited_s;
};

/* --- Workers --- */

/* A slot for the next batch, or NULL when there is nothing left to make. Called with the mutex. */
static slot *take_slot(pri_prefetch *p)
{
    for (;;) {
        if (p->is_stopped || p->status != PARE_OK || p->next_made >= p->options.count)
            return NULL;
        slot *s = &p->slots[p->next_made % p->n_slots];
        if (s->number < 0) {
            s->number = p->next_made++;
            s->is_ready = false;
            s->seed = p->options.plan(p->options.user, s->number, s->order);
            return s;
        }
        pthread_cond_wait(&p->freed, &p->mutex);
    }
}

static bool must_stop(pri_prefetch *p)
{
    pthread_mutex_lock(&p->mutex);
    const bool stop = p->is_stopped || p->status != PARE_OK;
    pthread_mutex_unlock(&p->mutex);
    return stop;
}

/* False when it failed or was told to stop. */
static bool fill_slot(pri_prefetch *p, slot *s, pri_room *room)
{
    const pri_batch_job job = {p->options.data, p->options.preprocess, p->options.augment, s->seed};

    for (int64_t n = 0; n < p->options.batch; n++) {
        if (must_stop(p))
            return false;
        const pare_status status = pri_batch_write(&s->batch, n, &job, s->order[n], room);
        if (status == PARE_OK)
            continue;
        pthread_mutex_lock(&p->mutex);
        if (p->status == PARE_OK)
            snprintf(p->message, MESSAGE_BYTES, "%s",
                     room->ctx != NULL ? pare_context_message(room->ctx)
                                       : "out of memory: making a batch");
        p->status = p->status == PARE_OK ? status : p->status;
        pthread_mutex_unlock(&p->mutex);
        return false;
    }
    return true;
}

static void *work(void *user)
{
    pri_prefetch *p = user;
    pri_room room = {0};
    bool goes_on = true;

    while (goes_on) {
        pthread_mutex_lock(&p->mutex);
        slot *s = take_slot(p);
        pthread_mutex_unlock(&p->mutex);
        goes_on = s != NULL && fill_slot(p, s, &room);
        pthread_mutex_lock(&p->mutex);
        if (goes_on)
            s->is_ready = true;
        pthread_cond_broadcast(&p->filled);
        pthread_mutex_unlock(&p->mutex);
    }
    pri_room_clear(&room);
    return NULL;
}

/* --- Reader --- */

/* Waits a little for a worker, so that a cancel is seen in time. */
static void wait_briefly(pri_prefetch *p)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += poll_ns;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    (void)pthread_cond_timedwait(&p->filled, &p->mutex, &until);
}

pare_status pri_prefetch_next(pri_prefetch *p, const pri_batch **out, const int64_t **order)
{
    const double start = pri_clock_s();
    pare_status status = PARE_OK;

    pthread_mutex_lock(&p->mutex);
    if (p->held >= 0) {
        p->slots[p->held].number = -1;
        p->held = -1;
        pthread_cond_broadcast(&p->freed);
    }
    slot *s = &p->slots[p->next_read % p->n_slots];
    while (status == PARE_OK && !(s->number == p->next_read && s->is_ready)) {
        status = p->status;
        if (status == PARE_OK && pri_is_cancelled(p->ctx))
            status = PARE_ERROR_CANCELLED;
        if (status == PARE_OK)
            wait_briefly(p);
    }
    if (status == PARE_OK) {
        p->held = (int)(p->next_read++ % p->n_slots);
        *out = &s->batch;
        if (order != NULL)
            *order = s->order;
    }
    p->waited_s += pri_clock_s() - start;
    pthread_mutex_unlock(&p->mutex);
    if (status == PARE_ERROR_CANCELLED)
        return pri_check_cancel(p->ctx, "waiting for images");
    return status == PARE_OK ? PARE_OK : pri_fail(p->ctx, status, "%s", p->message);
}

double pri_prefetch_waited_s(const pri_prefetch *p)
{
    return p->waited_s;
}

/* --- Life --- */

static pare_status make_slot(slot *s, pri_prefetch *p)
{
    const pri_prefetch_options *o = &p->options;
    const pare_data *data = o->data;
    const size_t area = (size_t)(data->height * data->width), n = (size_t)o->batch;
    const bool mixes = o->augment != NULL && (o->augment->mixup > 0 || o->augment->cutmix > 0);
    const bool has_masks = o->wants_truth && data->masks != NULL;
    pri_batch *b = &s->batch;

    s->number = -1;
    s->order = pri_alloc(p->ctx, n, sizeof *s->order);
    b->images = pri_alloc_aligned(p->ctx, n * area * (size_t)data->channels * sizeof *b->images);
    bool ok = s->order != NULL && b->images != NULL;
    if (o->wants_truth) {
        b->labels = pri_alloc(p->ctx, n, sizeof *b->labels);
        ok = ok && b->labels != NULL;
    }
    if (o->wants_truth && mixes) {
        b->labels2 = pri_alloc(p->ctx, n, sizeof *b->labels2);
        b->weights = pri_alloc(p->ctx, n, sizeof *b->weights);
        ok = ok && b->labels2 != NULL && b->weights != NULL;
    }
    if (has_masks) {
        b->masks = pri_alloc(p->ctx, n, area);
        ok = ok && b->masks != NULL;
    }
    if (has_masks && mixes) {
        b->masks2 = pri_alloc(p->ctx, n, area);
        ok = ok && b->masks2 != NULL;
    }
    return ok ? PARE_OK : PARE_ERROR_MEMORY;
}

static pare_status make_slots(pri_prefetch *p)
{
    p->slots = pri_alloc(p->ctx, (size_t)p->n_slots, sizeof *p->slots);
    if (p->slots == NULL)
        return PARE_ERROR_MEMORY;
    for (int i = 0; i < p->n_slots; i++)
        PRI_TRY(make_slot(&p->slots[i], p));
    return PARE_OK;
}

static pare_status start_workers(pri_prefetch *p, int wanted)
{
    while (p->n_workers < wanted && pthread_create(&p->workers[p->n_workers], NULL, work, p) == 0)
        p->n_workers++;
    return p->n_workers > 0 ? PARE_OK
                            : pri_fail(p->ctx, PARE_ERROR_INTERNAL, "cannot start a thread");
}

/* Pixels in memory that are only shifted and normalised keep one thread far from busy; decoding is
 * worth all of them, since the engine waits for it. */
static int count_workers(const pare_context *ctx, const pri_prefetch_options *o)
{
    const int all = pare_context_threads(ctx);
    int workers = 1;

    if (o->threads > 0)
        workers = o->threads;
    else if (o->data->store != NULL)
        workers = all;
    else if (pri_augment_needs_canvas(o->augment))
        workers = all / 2;
    return (int)pri_max_i64(1, pri_min_i64(workers, MOST_WORKERS));
}

pare_status pri_prefetch_open(pri_prefetch **out, pare_context *ctx,
                              const pri_prefetch_options *options)
{
    pthread_condattr_t clock;
    pri_prefetch *p = pri_alloc(ctx, 1, sizeof *p);
    const int workers = count_workers(ctx, options);

    *out = p;
    if (p == NULL)
        return PARE_ERROR_MEMORY;
    p->ctx = ctx;
    p->options = *options;
    p->n_slots = workers + 1;
    p->next_made = p->next_read = options->first;
    p->held = -1;
    pthread_mutex_init(&p->mutex, NULL);
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&p->filled, &clock);
    pthread_cond_init(&p->freed, NULL);
    pthread_condattr_destroy(&clock);
    pare_status status = make_slots(p);
    if (status == PARE_OK)
        status = start_workers(p, workers);
    if (status != PARE_OK) {
        pri_prefetch_close(p);
        *out = NULL;
    }
    return status;
}

void pri_prefetch_close(pri_prefetch *p)
{
    if (p == NULL)
        return;
    pthread_mutex_lock(&p->mutex);
    p->is_stopped = true;
    pthread_cond_broadcast(&p->freed);
    pthread_mutex_unlock(&p->mutex);
    for (int i = 0; i < p->n_workers; i++)
        pthread_join(p->workers[i], NULL);
    for (int i = 0; i < p->n_slots && p->slots != NULL; i++) {
        pri_batch *b = &p->slots[i].batch;
        pri_free(p->slots[i].order);
        pri_free(b->images);
        pri_free(b->labels);
        pri_free(b->labels2);
        pri_free(b->weights);
        pri_free(b->masks);
        pri_free(b->masks2);
    }
    pri_free(p->slots);
    pthread_cond_destroy(&p->filled);
    pthread_cond_destroy(&p->freed);
    pthread_mutex_destroy(&p->mutex);
    pri_free(p);
}
